package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/ingest/email/dovecottest"
	"sekretariat/pipeline"
	"sekretariat/storage"
)

// benchFlags are the flags of bench intake.
type benchFlags struct {
	count, runs int
	mails, data string
	profile     string
	noPeer      bool
	keep        bool
}

// benchCommand measures the intake: from a mailbox full of mail to department
// queues, everything durable, beside mbsync with FSync copying the same mailbox
// into files, in turn, and prints medians.
func benchCommand(ctx context.Context, c *cli) error {
	if c.sub == "ocr" {
		return benchOCR(ctx, c)
	}
	if c.sub != "intake" && c.sub != "latency" && c.sub != "start" {
		return usagef("say: sekretariat bench intake|latency|start|ocr")
	}
	f := c.flags("bench " + c.sub)
	var o benchFlags
	f.IntVar(&o.count, "count", 5000, "messages in the mailbox; start: registered letters")
	f.IntVar(&o.runs, "runs", 5, "runs of each")
	f.StringVar(&o.mails, "mails", "", "folder of .eml files to repeat (default: the sample letters)")
	f.StringVar(&o.data, "data", "", "where the data folders of the runs go (default: the system's temporary folder); start: the folder to fill, or one that was filled before")
	f.BoolVar(&o.noPeer, "no-peer", false, "do not run mbsync")
	f.BoolVar(&o.keep, "keep", false, "leave the folders of the runs")
	f.StringVar(&o.profile, "cpuprofile", "", "write a CPU profile of the last run of ours into this file")
	if err := c.parseOnly(f); err != nil {
		return err
	}
	messages, err := benchMails(o.mails)
	if err != nil {
		return err
	}
	switch c.sub {
	case "latency":
		return benchLatency(ctx, c, o, messages)
	case "start":
		return benchStart(ctx, c, o, messages)
	}
	if _, err := exec.LookPath("mbsync"); err != nil && !o.noPeer {
		return usagef("mbsync is not installed (Debian package isync); install it or give --no-peer")
	}
	b, err := newBench(ctx, o, messages)
	if err != nil {
		return err
	}
	defer b.close()
	var ours, peers []float64
	for run := range o.runs {
		stop, err := o.startProfile(run)
		if err != nil {
			return err
		}
		seconds, err := b.ours(ctx, run)
		stop()
		if err != nil {
			return err
		}
		ours = append(ours, float64(o.count)/seconds)
		fmt.Fprintf(c.stdout, "run %d: sekretariat %.0f messages/s (%.2f s)", run+1, ours[run], seconds)
		if !o.noPeer {
			if seconds, err = b.peer(ctx, run); err != nil {
				return err
			}
			peers = append(peers, float64(o.count)/seconds)
			fmt.Fprintf(c.stdout, ", mbsync %.0f messages/s (%.2f s)", peers[run], seconds)
		}
		fmt.Fprintln(c.stdout)
	}
	fmt.Fprintf(c.stdout, "median of %d runs, %d messages: sekretariat %.0f messages/s (%.2f ms of processor for each)", o.runs, o.count, median(ours), median(b.processor))
	if !o.noPeer {
		fmt.Fprintf(c.stdout, ", mbsync %.0f messages/s, ratio %.2f", median(peers), median(ours)/median(peers))
	}
	fmt.Fprintln(c.stdout)
	return nil
}

// startProfile begins the CPU profile of the last run.
func (o benchFlags) startProfile(run int) (stop func(), err error) {
	if o.profile == "" || run != o.runs-1 {
		return func() {}, nil
	}
	f, err := os.Create(o.profile)
	if err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(fmt.Errorf("profile: %w", err), f.Close())
	}
	return func() {
		pprof.StopCPUProfile()
		if err := f.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "profile:", err)
		}
	}, nil
}

// settle lets the disk finish what came before, so that runs do not pay for
// each other. For the same reason nothing is deleted between runs: ext4 takes
// long to create a file while inodes were freed within the last five seconds.
func settle() {
	unix.Sync()
	time.Sleep(6 * time.Second)
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}

// benchDay is the date of the sample letters.
var benchDay = time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)

// benchMails reads the messages to repeat.
func benchMails(folder string) ([][]byte, error) {
	var out [][]byte
	if folder == "" {
		letters, err := samples()
		if err != nil {
			return nil, err
		}
		for _, s := range letters {
			out = append(out, s.mail("sekretariat@ops.example", benchDay, false)) // the same in every run
		}
		return out, nil
	}
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".eml" {
			return err
		}
		raw, err := os.ReadFile(path)
		if bytes.HasPrefix(raw, []byte("From ")) { // an mbox line is no part of a message
			_, raw, _ = bytes.Cut(raw, []byte("\n"))
		}
		out = append(out, raw)
		return err
	})
	if err == nil && len(out) == 0 {
		return nil, usagef("no .eml files in %s", folder)
	}
	return out, err
}

// bench is a mail server with one full mailbox for each run.
type bench struct {
	o         benchFlags
	dovecot   *dovecottest.Server
	dir       string
	processor []float64 // of the service's process, without reading processes, ms for each message and run
}

func newBench(ctx context.Context, o benchFlags, messages [][]byte) (*bench, error) {
	dir, err := os.MkdirTemp(o.data, "sekretariat-bench-")
	if err != nil {
		return nil, fmt.Errorf("folder for the runs: %w", err)
	}
	b := &bench{o: o, dir: dir}
	var users []string
	for run := range o.runs {
		users = append(users, fmt.Sprintf("run%d", run))
	}
	if b.dovecot, err = dovecottest.Start(ctx, dovecottest.Options{Users: users}); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	for _, u := range users {
		for i := range o.count {
			m := append(fmt.Appendf(nil, "X-Kopia: %d\r\n", i), messages[i%len(messages)]...)
			if err := b.dovecot.Deliver(u, "INBOX", m, time.Now()); err != nil {
				b.close()
				return nil, err
			}
		}
	}
	return b, nil
}

func (b *bench) close() {
	_ = b.dovecot.Stop()
	if b.o.keep {
		fmt.Fprintln(os.Stderr, "The folders of the runs are in", b.dir)
		return
	}
	_ = os.RemoveAll(b.dir)
}

// ours runs a whole service on an empty data folder and returns the seconds
// until the last message is in a department's queue.
func (b *bench) ours(ctx context.Context, run int) (float64, error) {
	dir := filepath.Join(b.dir, fmt.Sprintf("ours%d", run))
	cfg, err := b.configure(dir, run)
	if err != nil {
		return 0, err
	}
	if err := usedFolder(cfg.Data, cfg.Profiles[0].ID); err != nil {
		return 0, err
	}
	settle()
	before := processorTime()
	begin := time.Now()
	h, err := openHouse(ctx, cfg, logger(warnOnly, os.Stderr))
	if err != nil {
		return 0, err
	}
	s, err := newService(h, roles{ingest: true, route: true, desk: true})
	if err != nil {
		return 0, errors.Join(err, h.close())
	}
	var queued atomic.Int64
	all := make(chan time.Time, 1)
	s.watch = func(st pipeline.Step) {
		// A parked mail is told as sorted: nothing more is done with it.
		if (st.Type == sekretariat.EventQueued || st.Type == sekretariat.EventSorted) && queued.Add(1) == int64(b.o.count) {
			all <- time.Now()
		}
	}
	running, halt := context.WithCancel(ctx)
	defer halt()
	result := make(chan error, 1)
	go func() { result <- s.run(running) }()
	select {
	case end := <-all:
		used := processorTime() - before
		halt()
		err = <-result
		b.processor = append(b.processor, used.Seconds()*1000/float64(b.o.count))
		return end.Sub(begin).Seconds(), errors.Join(err, s.close())
	case err := <-result:
		return 0, errors.Join(fmt.Errorf("the service ended with %d of %d messages queued", queued.Load(), b.o.count), err, s.close())
	case <-time.After(10 * time.Minute):
		halt()
		return 0, errors.Join(fmt.Errorf("only %d of %d messages were queued within ten minutes", queued.Load(), b.o.count), <-result, s.close())
	}
}

// usedFolder makes a data folder as an office has it after its first weeks: with
// its key and the folders that the flat keys of submissions share. Those 4,096
// for objects and as many for keys are a cost of the first letters only.
func usedFolder(data string, centre sekretariat.CentreID) error {
	key := filepath.Join(data, folderSecrets, fileOfficeKey)
	if err := os.MkdirAll(filepath.Dir(key), 0o700); err != nil {
		return fmt.Errorf("folder of a run: %w", err)
	}
	if err := storage.CreateOfficeKey(key, officeKeyID); err != nil {
		return fmt.Errorf("folder of a run: %w", err)
	}
	for i := range 1 << 12 {
		shard := fmt.Sprintf("%03x", i)
		for _, f := range []string{
			filepath.Join(data, folderObjects, "c", string(centre), "s", shard), filepath.Join(data, folderKeys, string(centre), shard),
		} {
			if err := os.MkdirAll(f, 0o700); err != nil {
				return fmt.Errorf("folder of a run: %w", err)
			}
		}
	}
	return nil
}

// processorTime is what this process has used so far, user and system.
func processorTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (b *bench) configure(dir string, run int) (*configs.Installation, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("folder of a run: %w", err)
	}
	password := filepath.Join(dir, "imap-password")
	profile := filepath.Join(dir, demoProfile)
	if err := errors.Join(os.WriteFile(password, []byte(dovecottest.Password), 0o600), os.WriteFile(profile, configs.Demo, 0o600)); err != nil {
		return nil, fmt.Errorf("folder of a run: %w", err)
	}
	cfg, err := configs.Load(profile, configs.LoadOptions{Data: filepath.Join(dir, "data"), Adjust: func(c *configs.Centre) {
		m := &c.Mailboxes[0]
		m.Server, m.CA, m.User, m.Password = b.dovecot.TLSAddr, b.dovecot.CA, fmt.Sprintf("run%d", run), configs.Secret{File: password}
	}})
	if err != nil {
		return nil, err
	}
	cfg.Listen.Desk, cfg.Listen.Scanners = "127.0.0.1:0", "127.0.0.1:0"
	return cfg, nil
}

// peer runs mbsync over the mailbox of a run. Our run moved the messages into
// another folder, which is what mbsync copies.
func (b *bench) peer(ctx context.Context, run int) (float64, error) {
	dir := filepath.Join(b.dir, fmt.Sprintf("peer%d", run))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, fmt.Errorf("folder of a run: %w", err)
	}
	_, port, _ := strings.Cut(b.dovecot.TLSAddr, ":")
	config := filepath.Join(dir, "mbsyncrc")
	text := fmt.Sprintf(`FSync yes

IMAPAccount peer
Host localhost
Port %s
User run%d
Pass %s
SSLType IMAPS
CertificateFile %s

IMAPStore far
Account peer

MaildirStore near
Path %s/
Inbox %s/inbox
SubFolders Verbatim

Channel all
Far :far:"Sekretariat/Przyjete"
Near :near:
Create Near
SyncState *
`, port, run, dovecottest.Password, b.dovecot.CA, dir, dir)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return 0, fmt.Errorf("folder of a run: %w", err)
	}
	settle()
	begin := time.Now()
	out, err := exec.CommandContext(ctx, "mbsync", "-c", config, "all").CombinedOutput()
	seconds := time.Since(begin).Seconds()
	if err != nil && !bytes.Contains(out, []byte("incomplete header")) {
		return 0, fmt.Errorf("mbsync: %w\n%s", err, out)
	}
	return seconds, nil
}
