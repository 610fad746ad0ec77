package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"sekretariat"
	"sekretariat/configs"
)

// startIdle is how long a started service may settle before its memory is read.
const startIdle = 20 * time.Second

// benchStart measures a service that has o.count registered letters: the time
// from its start until it is ready, and its resident memory when idle. A data
// folder given by --data is filled once and used again.
func benchStart(ctx context.Context, c *cli, o benchFlags, messages [][]byte) error {
	dir := o.data
	if dir == "" {
		d, err := os.MkdirTemp("", "sekretariat-bench-")
		if err != nil {
			return fmt.Errorf("folder for the runs: %w", err)
		}
		dir = d
		defer os.RemoveAll(d)
	}
	full := filepath.Join(dir, "letters") // says how many the folder has
	if raw, err := os.ReadFile(full); err == nil {
		o.count, _ = strconv.Atoi(strings.TrimSpace(string(raw)))
	} else if err := fillFolder(ctx, dir, o.count, messages); err != nil {
		return err
	} else if err := os.WriteFile(full, []byte(strconv.Itoa(o.count)), 0o600); err != nil {
		return fmt.Errorf("folder to fill: %w", err)
	}
	var ready, memory []float64
	for range o.runs {
		r, m, err := startOnce(ctx, dir)
		if err != nil {
			return err
		}
		ready, memory = append(ready, r.Seconds()), append(memory, float64(m)/(1<<20))
	}
	fmt.Fprintf(c.stdout, "%d letters: ready after %.2f s, %.0f MiB resident when idle (medians of %d starts)\n", o.count, median(ready), median(memory), o.runs)
	return nil
}

// fillFolder registers n letters through the whole service, doors aside. Begun
// again after a kill, it goes on where it was.
func fillFolder(ctx context.Context, dir string, n int, messages [][]byte) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("folder to fill: %w", err)
	}
	cfg, err := demoConfig(filepath.Join(dir, demoProfile), dir)
	if err != nil {
		return err
	}
	h, err := openHouse(ctx, cfg, logger(warnOnly, os.Stderr))
	if err != nil {
		return err
	}
	s, err := newService(h, roles{route: true, desk: true})
	if err != nil {
		return errors.Join(err, h.close())
	}
	running, halt := context.WithCancel(ctx)
	defer halt()
	g, running := errgroup.WithContext(running)
	g.Go(func() error { return s.run(running) })
	g.Go(func() error {
		defer halt()
		if err := takeMany(running, s, n, messages); err != nil {
			return err
		}
		return allQueued(running, s, n)
	})
	return errors.Join(g.Wait(), s.close())
}

// allQueued waits until n letters are in queues.
func allQueued(ctx context.Context, s *service, n int) error {
	centre := s.centres[0].cfg.ID
	for {
		c, err := s.indexes[centre].Counts(ctx, commandLine(centre))
		if err != nil {
			return err
		}
		queued := 0
		for _, q := range c.Queues {
			queued += q
		}
		if queued >= n {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("only %d of %d letters were queued: %w", queued, n, ctx.Err())
		case <-time.After(time.Second):
		}
	}
}

// demoConfig writes the demo's profile; its accounts are off.
func demoConfig(profile, dir string) (*configs.Installation, error) {
	if err := os.WriteFile(profile, configs.Demo, 0o600); err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	cfg, err := configs.Load(profile, configs.LoadOptions{Data: dir})
	if err != nil {
		return nil, err
	}
	cfg.Listen.Desk, cfg.Listen.Scanners = "127.0.0.1:0", "127.0.0.1:0"
	return cfg, nil
}

// takeMany hands n different mails to the receiver, many at once.
func takeMany(ctx context.Context, s *service, n int, messages [][]byte) error {
	centre := s.centres[0].cfg
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(256)
	for i := range n {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error {
			raw := append(fmt.Appendf(nil, "X-Kopia: %d\r\n", i), messages[i%len(messages)]...)
			t, err := s.receiver.Take(ctx, sekretariat.Delivery{
				Centre: centre.ID, Kind: sekretariat.KindMail, Door: sekretariat.DoorIMAP, Account: centre.Mailboxes[0].ID,
				Identity: func(b sekretariat.BodyFacts) []string { return []string{string(b.SHA256)} },
				Arrived:  sekretariat.Arrival{At: sekretariat.SystemClock(), Basis: sekretariat.BasisServerArrival}, MediaType: "message/rfc822",
			}, bytes.NewReader(raw))
			if err != nil {
				return fmt.Errorf("take mail %d in: %w", i, err)
			}
			_, err = t.Wait(ctx)
			return err
		})
	}
	return g.Wait()
}

// startOnce starts the service as a process of its own and returns the time
// until /readyz says yes and its resident memory after a while.
func startOnce(ctx context.Context, dir string) (time.Duration, int64, error) {
	exe, err := os.Executable()
	if err != nil {
		return 0, 0, fmt.Errorf("find the program's own file: %w", err)
	}
	addr, err := freeAddress()
	if err != nil {
		return 0, 0, err
	}
	config := filepath.Join(dir, "start.yaml")
	text := fmt.Sprintf("data: .\nlisten: {desk: %q, scanners: \"\"}\ncentres: [%s]\n", addr, demoProfile)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return 0, 0, fmt.Errorf("installation file: %w", err)
	}
	cmd := exec.CommandContext(ctx, exe, "serve", "--config", config)
	var log bytes.Buffer
	cmd.Stderr = &log
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, 0, fmt.Errorf("start the service: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-ended
	}()
	for {
		probe := &cli{args: []string{"--url", "http://" + addr}, stdout: &bytes.Buffer{}, stderr: &bytes.Buffer{}}
		if readyCommand(ctx, probe) == nil {
			break
		}
		select {
		case err := <-ended:
			ended <- err
			return 0, 0, fmt.Errorf("the service ended: %w\n%s", err, log.String())
		case <-time.After(10 * time.Millisecond):
		}
		if time.Since(begin) > 5*time.Minute {
			return 0, 0, fmt.Errorf("the service is not ready after five minutes\n%s", log.String())
		}
	}
	took := time.Since(begin)
	select {
	case <-ctx.Done():
		return 0, 0, ctx.Err()
	case <-time.After(startIdle):
	}
	rss, err := resident(cmd.Process.Pid)
	return took, rss, err
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}

// resident is VmRSS of a process in octets.
func resident(pid int) (int64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("memory of the service: %w", err)
	}
	_, rest, _ := strings.Cut(string(raw), "VmRSS:")
	kb, err := strconv.ParseInt(strings.Fields(rest + " ?")[0], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("memory of the service: %w", err)
	}
	return kb << 10, nil
}
