package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/extract/trust"
	"sekretariat/ledger"
	"sekretariat/pipeline"
	"sekretariat/register"
	"sekretariat/register/index"
	"sekretariat/router"
	"sekretariat/storage"
)

// checkConfig loads configuration files and says what they turn off.
func checkConfig(_ context.Context, c *cli) error {
	files, err := c.parse(c.flags("check-config"))
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return usagef("name a file: sekretariat check-config FILE …")
	}
	bad := 0
	for _, name := range files {
		cfg, err := configs.Load(name)
		if err != nil {
			fmt.Fprintln(c.stderr, err)
			bad++
			continue
		}
		if _, err := trust.Load(cfg.Trust); err != nil {
			fmt.Fprintf(c.stderr, "%s: %v\n", name, err)
			bad++
			continue
		}
		for _, p := range cfg.Profiles {
			_, err := router.New(p) // phrases are compiled there
			if err == nil {
				err = checkMail(p)
			}
			if err != nil {
				fmt.Fprintf(c.stderr, "%s: %v\n", name, err)
				bad++
				continue
			}
			fmt.Fprintf(c.stdout, "%s: %s (%s): %d departments, %d mailboxes, %d skrytki, %d e-Doręczenia, %d boxes\n",
				name, p.Name, p.ID, len(p.Departments), len(p.Mailboxes), len(p.EPUAP), len(p.EDelivery), len(p.Boxes))
		}
		for _, w := range cfg.Warnings {
			fmt.Fprintln(c.stdout, "  uwaga:", w)
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d files cannot be used", bad, len(files))
	}
	return nil
}

// openFor opens the installation that the flags name, quietly.
func (i *installationFlags) openFor(ctx context.Context, c *cli) (*house, error) {
	cfg, err := i.load()
	if err != nil {
		return nil, err
	}
	return openAny(ctx, cfg, logger(warnOnly, c.stderr))
}

// configApply stores each centre profile as its next active version.
func configApply(ctx context.Context, c *cli) error {
	if c.sub != "apply" {
		return usagef("say: sekretariat config apply --config FILE")
	}
	f := c.flags("config apply")
	var in installationFlags
	in.add(f)
	by := f.String("by", machineUser(), "who activates it: id of an account of the page")
	if err := c.parseOnly(f); err != nil {
		return err
	}
	h, err := in.openFor(ctx, c)
	if err != nil {
		return err
	}
	defer h.close()
	for _, centre := range h.centres {
		who, err := h.answering(ctx, centre, *by)
		if err != nil {
			return err
		}
		version, changed, err := applyConfig(ctx, h, centre, centre.profile, who)
		if err != nil {
			return fmt.Errorf("centre %s: %w", centre.cfg.ID, err)
		}
		what := "is active already"
		if changed {
			what = "is active from the next start"
		}
		fmt.Fprintf(c.stdout, "%s: version %d %s\n", centre.cfg.ID, version, what)
	}
	return nil
}

// initSecrets writes what an installation needs before it can start apart.
func initSecrets(_ context.Context, c *cli) error {
	f := c.flags("init")
	var in installationFlags
	in.add(f)
	target := f.String("dir", "", "folder for the secrets (compose, systemd)")
	if err := c.parseOnly(f); err != nil {
		return err
	}
	if *target == "" {
		cfg, err := in.load()
		if err != nil {
			return err
		}
		*target = filepath.Join(cfg.Data, folderSecrets)
	}
	if err := writeSecrets(*target); err != nil {
		return err
	}
	fmt.Fprintf(c.stdout, "Secrets are in %s. Keep a copy of %s in the safe: without it no letter can be opened again.\n",
		*target, filepath.Join(*target, fileOfficeKey))
	return nil
}

func writeSecrets(target string) error {
	if err := os.MkdirAll(target, 0o700); err != nil {
		return fmt.Errorf("secrets: %w", err)
	}
	if err := ledger.InitSecrets(target); err != nil {
		return err
	}
	key := filepath.Join(target, fileOfficeKey)
	if _, err := os.Stat(key); errors.Is(err, fs.ErrNotExist) {
		if err := storage.CreateOfficeKey(key, officeKeyID); err != nil {
			return err
		}
	}
	for _, name := range []string{"s3-access-key", "s3-secret-key", fileIdempotencyKey} {
		if err := randomFile(filepath.Join(target, name)); err != nil {
			return err
		}
	}
	return writeS3Certificate(target)
}

// verifyCommand checks every promise; exit status 1 if one is broken.
func verifyCommand(ctx context.Context, c *cli) error {
	f := c.flags("verify")
	var in installationFlags
	in.add(f)
	deep := f.Bool("deep", false, "read every original and compare its digest")
	asJSON := f.Bool("json", false, "print the report as JSON")
	if err := c.parseOnly(f); err != nil {
		return err
	}
	h, err := in.openFor(ctx, c)
	if err != nil {
		return err
	}
	defer h.close()
	broken := 0
	for _, centre := range h.centres {
		report, err := register.Verify(ctx, register.VerifyOptions{
			Centre: centre.cfg.ID, Series: centre.seriesIDs(), Log: centre.log, Vault: h.vault, Deep: *deep,
			First: centre.firstNumber,
		})
		if err != nil {
			return fmt.Errorf("centre %s: %w", centre.cfg.ID, err)
		}
		broken += len(report.Faults)
		if *asJSON {
			enc := json.NewEncoder(c.stdout)
			enc.SetIndent("", "  ")
			if err := enc.Encode(report); err != nil {
				return err
			}
			continue
		}
		fmt.Fprint(c.stdout, report.Text())
	}
	if broken > 0 {
		return fmt.Errorf("%d promises are broken, see above", broken)
	}
	return nil
}

// rebuildCommand makes index and lost streams again.
func rebuildCommand(ctx context.Context, c *cli) error {
	f := c.flags("rebuild")
	var in installationFlags
	in.add(f)
	if err := c.parseOnly(f); err != nil {
		return err
	}
	cfg, err := in.load()
	if err != nil {
		return err
	}
	h, err := openHouse(ctx, cfg, logger(warnOnly, c.stderr))
	if err != nil {
		return err
	}
	defer h.close()
	for _, centre := range h.centres {
		report, err := register.Rebuild(ctx, register.RebuildOptions{
			Centre: centre.cfg.ID, Series: centre.seriesIDs(), Log: centre.log, Vault: h.vault, Ledger: h.ledger,
			Index: filepath.Join(h.folder(folderIndex), string(centre.cfg.ID)+".sqlite"), Logger: h.log,
		})
		if err != nil {
			return fmt.Errorf("centre %s: %w", centre.cfg.ID, err)
		}
		fmt.Fprint(c.stdout, report.Text())
	}
	return nil
}

// exportCommand writes the register of a centre.
func exportCommand(ctx context.Context, c *cli) error {
	if c.sub != "export" {
		return usagef("say: sekretariat register export --format csv|jsonl")
	}
	f := c.flags("register export")
	var in centreFlags
	in.add(f)
	format := f.String("format", "csv", "csv or jsonl")
	if err := c.parseOnly(f); err != nil {
		return err
	}
	h, centre, err := in.open(ctx, c)
	if err != nil {
		return err
	}
	defer h.close()
	ix, cleanup, err := h.freshIndex(ctx, centre)
	if err != nil {
		return err
	}
	defer cleanup()
	original := func(ctx context.Context, s sekretariat.SubmissionID) (sekretariat.Digest, error) {
		m, err := pipeline.Manifest(ctx, h.vault, centre.cfg.ID, s)
		return m.Original.SHA256, err
	}
	return ix.Export(ctx, commandLine(centre.cfg.ID), index.Filter{}, c.stdout, index.Format(*format), centre.cfg.Print, original)
}

// commandLine is the principal of whoever can read the installation's keys:
// closed letters stay masked rows all the same (rule P5).
func commandLine(centre sekretariat.CentreID) sekretariat.Principal {
	return sekretariat.Principal{ID: "command-line", Centre: centre, Register: true, Departments: []sekretariat.DepartmentID{sekretariat.Sekretariat}}
}

// freshIndex brings a temporary index up to date with the ledger: the
// service's own may be in use, or behind.
func (h *house) freshIndex(ctx context.Context, c *centreHouse) (*index.Index, func(), error) {
	temp, err := os.MkdirTemp(h.folder(folderTemp), "index-")
	if err != nil {
		return nil, nil, fmt.Errorf("temporary index: %w", err)
	}
	ix, err := index.Open(ctx, filepath.Join(temp, "index.sqlite"), c.cfg.ID, h.log)
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(temp))
	}
	run, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	var failed error
	go func() {
		failed = ix.Project(run, c.log, c.seriesIDs())
		if ctx.Err() == nil {
			stop() // whoever waits for it shall not wait for ever
		}
		close(done)
	}()
	cleanup := func() {
		stop()
		<-done
		ix.Close()
		os.RemoveAll(temp)
	}
	if err := catchUp(run, ix, c); err != nil {
		cleanup()
		if ctx.Err() == nil && failed != nil {
			err = failed
		}
		return nil, nil, err
	}
	return ix, cleanup, nil
}

// catchUp waits until the index has all that the ledger has now.
func catchUp(ctx context.Context, ix *index.Index, c *centreHouse) error {
	streams := []ledger.StreamName{ledger.Intake, ledger.Letter, ledger.Queue, ledger.Audit}
	for _, s := range c.cfg.Series {
		streams = append(streams, ledger.Register(s.ID))
	}
	for _, s := range streams {
		state, err := c.log.State(ctx, s)
		if err != nil {
			return err
		}
		if err := ix.WaitFor(ctx, s, state.Last); err != nil {
			return fmt.Errorf("read stream %s: %w", s, err)
		}
	}
	return nil
}
