package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"sekretariat/configs"
)

// find returns the command that args name and its arguments.
func find(args []string) (*command, *cli) {
	for i := range commands {
		words := strings.Fields(commands[i].name)
		if words[0] != args[0] {
			continue
		}
		if len(words) == 1 {
			return &commands[i], &cli{args: args[1:]}
		}
		if len(args) < 2 {
			return &commands[i], &cli{}
		}
		return &commands[i], &cli{sub: args[1], args: args[2:]}
	}
	return nil, nil
}

func help(w io.Writer) {
	fmt.Fprintf(w, "sekretariat %s — intake of letters for welfare centres\n\n", version)
	for _, c := range commands {
		if c.help != "" {
			fmt.Fprintf(w, "  sekretariat %s %s\n        %s\n", c.name, c.args, c.help)
		}
	}
	fmt.Fprintln(w, "\nCommands that work on an installation take --config FILE, or --data DIR for a data folder\nthat a demo left. README.md shows the first steps.")
}

// flags makes the flag set of a command.
func (c *cli) flags(name string) *flag.FlagSet {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.SetOutput(c.stderr)
	return f
}

// parse parses the arguments; flags may stand before and after the others,
// which are returned.
func (c *cli) parse(f *flag.FlagSet) ([]string, error) {
	var rest []string
	args := c.args
	for {
		if err := f.Parse(args); err != nil {
			if err == flag.ErrHelp {
				return nil, err
			}
			return nil, usageError{err.Error()}
		}
		if f.NArg() == 0 {
			return rest, nil
		}
		rest = append(rest, f.Arg(0))
		args = f.Args()[1:]
	}
}

// parseOnly is parse for a command that takes flags and nothing else: what it
// would not look at is a mistake, not a wish.
func (c *cli) parseOnly(f *flag.FlagSet) error {
	rest, err := c.parse(f)
	switch {
	case err != nil || len(rest) == 0:
		return err
	case strings.HasSuffix(rest[0], ".yaml"):
		return usagef("say: sekretariat %s --config %s", f.Name(), rest[0])
	}
	return usagef("%q is not understood here; see: sekretariat %s --help", rest[0], f.Name())
}

// installationFlags are the flags by which a command finds its installation.
type installationFlags struct{ config, data string }

func (i *installationFlags) add(f *flag.FlagSet) {
	f.StringVar(&i.config, "config", "", "installation file or centre profile")
	f.StringVar(&i.data, "data", "", "data folder; alone: one that a demo left")
}

// demoProfile is the profile that a demo leaves in its data folder.
const demoProfile = "demo.yaml"

func (i *installationFlags) load() (*configs.Installation, error) {
	path := i.config
	if path == "" {
		if i.data == "" {
			return nil, usagef("--config FILE is missing (or --data DIR for the data folder of a demo)")
		}
		path = i.data + "/" + demoProfile
		if _, err := os.Stat(path); err != nil {
			return nil, usagef("%s is not the data folder of a demo; give --config FILE", i.data)
		}
	}
	return configs.Load(path, configs.LoadOptions{Data: i.data})
}

// logger makes the program's log as the configuration says.
func logger(cfg configs.Log, w io.Writer) zerolog.Logger {
	level, err := zerolog.ParseLevel(cfg.Level)
	if err != nil || cfg.Level == "" {
		level = zerolog.InfoLevel
	}
	if cfg.Pretty {
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: "15:04:05"}
	}
	return zerolog.New(w).Level(level).With().Timestamp().Logger()
}

// warnOnly is the log of commands that print results.
var warnOnly = configs.Log{Level: "warn", Pretty: true}

// readyCommand asks /readyz: container engines and systemd call it.
func readyCommand(ctx context.Context, c *cli) error {
	f := c.flags("ready")
	url := f.String("url", "http://127.0.0.1:8300", "address of the desk listener")
	if err := c.parseOnly(f); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, *url+"/readyz", nil)
	if err != nil {
		return usageError{err.Error()}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("the service does not answer: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err != nil {
		return fmt.Errorf("the service does not answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s", text)
	}
	fmt.Fprintf(c.stdout, "%s", text)
	return nil
}
