package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"sync"
	"text/tabwriter"
	"time"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/ingest/email/dovecottest"
	"sekretariat/ingest/epuap/epuaptest"
	"sekretariat/pipeline"
)

// demoTime bounds a demo: on a slow machine it says what is missing instead of
// hanging.
const demoTime = 2 * time.Minute

// demo starts everything embedded, sends sample letters through real doors and
// shows each as it passes.
func demo(ctx context.Context, c *cli) error {
	f := c.flags("demo")
	data := f.String("data", "data/demo", "folder that the demo makes and leaves")
	if err := c.parseOnly(f); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, demoTime)
	defer cancel()
	d, err := newDemo(ctx, *data, c.stdout)
	if err != nil {
		return err
	}
	defer d.stop()
	return d.run(ctx, c)
}

// demoWorld is what stands around the service in a demo: a mail server, a
// simulated ePUAP platform, a simulated provider of e-Doręczenia, a box folder.
type demoWorld struct {
	data     string
	out      io.Writer
	dovecot  *dovecottest.Server
	platform *epuaptest.Platform
	server   *epuaptest.Server // of the platform
	system   struct{ cert, key []byte }
	ade      *demoADE
	box      string
	letters  []sample

	mu    sync.Mutex
	seen  map[sekretariat.LetterID]*passing
	rows  map[[2]string]int // channel, department
	done  int
	ended chan struct{}
}

// passing is a letter on its way through the demo.
type passing struct {
	kind   sekretariat.Kind
	number sekretariat.Number
}

// Accounts of the demo centre, as in configs/demo.yaml.
const (
	demoMailbox = "demo"
	demoEntity  = "opsprzykladowo"
	demoSkrytka = "/opsprzykladowo/SkrytkaESP"
	demoBox     = "box" // folder below the data folder
)

func newDemo(ctx context.Context, data string, out io.Writer) (*demoWorld, error) {
	if err := clearDemo(data); err != nil {
		return nil, err
	}
	letters, err := samples()
	if err != nil {
		return nil, err
	}
	d := &demoWorld{
		data: data, out: out, box: filepath.Join(data, demoBox), letters: letters,
		seen: map[sekretariat.LetterID]*passing{}, rows: map[[2]string]int{}, ended: make(chan struct{}),
	}
	if err := os.MkdirAll(d.box, 0o700); err != nil {
		return nil, fmt.Errorf("demo folder: %w", err)
	}
	if d.dovecot, err = dovecottest.Start(ctx, dovecottest.Options{Users: []string{demoMailbox}}); err != nil {
		return nil, fmt.Errorf("mail server of the demo: %w", err)
	}
	if err := d.startPlatform(); err != nil {
		return nil, errors.Join(fmt.Errorf("simulated ePUAP of the demo: %w", err), d.dovecot.Stop())
	}
	if d.ade, err = startADE(); err != nil {
		return nil, errors.Join(fmt.Errorf("simulated e-Doręczenia of the demo: %w", err), d.server.Close(), d.dovecot.Stop())
	}
	return d, nil
}

func (d *demoWorld) startPlatform() (err error) {
	if d.platform, err = epuaptest.New(epuaptest.Options{}); err != nil {
		return err
	}
	d.platform.AddBox(epuaptest.Box{Entity: demoEntity, Name: "SkrytkaESP", Address: demoSkrytka})
	if d.system.cert, d.system.key, err = d.platform.NewSystem(demoEntity); err != nil {
		return err
	}
	d.server, err = d.platform.StartTLS("")
	return err
}

// clearDemo removes what an earlier demo left, and nothing else.
func clearDemo(data string) error {
	entries, err := os.ReadDir(data)
	if errors.Is(err, os.ErrNotExist) || err == nil && len(entries) == 0 {
		return os.MkdirAll(data, 0o700)
	}
	if err != nil {
		return fmt.Errorf("demo folder: %w", err)
	}
	// configs/ has a demo.yaml too.
	for _, name := range []string{demoProfile, demoBox} {
		if _, err := os.Stat(filepath.Join(data, name)); err != nil {
			return usagef("%s is not empty and not of a demo; give --data another folder", data)
		}
	}
	// Not under the feet of a demo or a service that runs on it.
	lock, err := lockFolder(data)
	if err != nil {
		return err
	}
	if err := errors.Join(os.RemoveAll(data), lock.Close()); err != nil {
		return fmt.Errorf("demo folder: %w", err)
	}
	return os.MkdirAll(data, 0o700)
}

func (d *demoWorld) stop() {
	if err := errors.Join(d.ade.server.Close(), d.server.Close(), d.dovecot.Stop()); err != nil {
		fmt.Fprintln(d.out, "servers of the demo:", err)
	}
}

func (d *demoWorld) run(ctx context.Context, c *cli) error {
	cfg, err := d.configure()
	if err != nil {
		return err
	}
	h, err := openHouse(ctx, cfg, logger(warnOnly, c.stderr))
	if err != nil {
		return err
	}
	s, err := newService(h, roles{ingest: true, route: true, desk: true})
	if err != nil {
		return errors.Join(err, h.close())
	}
	s.watch = d.step(s)
	started := make(chan struct{})
	s.ready = func() { close(started) }
	running, halt := context.WithCancel(ctx)
	result := make(chan error, 1)
	go func() { result <- s.run(running) }()
	err = d.play(ctx, started, result)
	halt()
	err = errors.Join(err, <-result)
	err = errors.Join(err, s.close())
	if err == nil {
		d.table()
	}
	return err
}

// play sends the letters once the service runs and waits until all are where
// they belong.
func (d *demoWorld) play(ctx context.Context, started <-chan struct{}, result chan error) error {
	select {
	case <-started:
	case err := <-result:
		result <- nil
		return fmt.Errorf("the service did not start: %w", err)
	}
	fmt.Fprintf(d.out, "A demo centre is running in %s: one mailbox (IMAP), one skrytka (ePUAP), one address of e-Doręczenia, one drop box (folder).\nSending %d letters.\n\n", d.data, d.expected())
	fmt.Fprintf(d.out, "%-14s %-9s %-22s %5s  %s\n", "NUMBER", "BY", "DEPARTMENT", "MS", "WHY")
	if err := d.send(); err != nil {
		return err
	}
	select {
	case <-d.ended:
		return nil
	case err := <-result:
		result <- nil
		return fmt.Errorf("the service ended: %w", err)
	case <-ctx.Done():
		d.mu.Lock()
		defer d.mu.Unlock()
		return fmt.Errorf("only %d of %d letters arrived within %s; run: sekretariat verify --data %s", d.done, d.expected(), demoTime, d.data)
	}
}

// Besides the samples: one letter that the platform marks as a test, a proof
// that a letter of ours was delivered, and one mail that is delivered twice.
const demoExtra = 2

func (d *demoWorld) expected() int { return len(d.letters) + demoExtra }

// send puts the letters where citizens put them.
func (d *demoWorld) send() error {
	at := time.Now()
	for i, s := range d.letters {
		var err error
		switch s.Channel {
		case "email":
			err = d.deliver(s.mail("sekretariat@ops.example", at, i%5 == 4), i == 0)
		case "epuap":
			_, err = d.platform.Enqueue(demoSkrytka, epuaptest.Document{
				FileName: s.ID + ".xml", Content: s.epuap(at), Sent: at, Sender: epuaptest.Sender{ID: "konto-" + s.ID, Kind: "F", Name: s.From.Name},
			})
		case "edelivery":
			err = d.ade.send(s, at)
		default:
			err = d.drop(s.ID+".pdf", s.pdf())
		}
		if err != nil {
			return fmt.Errorf("send sample %s: %w", s.ID, err)
		}
	}
	if err := d.ade.prove(at); err != nil {
		return fmt.Errorf("send a proof: %w", err)
	}
	_, err := d.platform.Enqueue(demoSkrytka, epuaptest.Document{FileName: "test.xml", Content: d.letters[0].epuap(at), Sent: at, Test: true})
	return err
}

func (d *demoWorld) deliver(message []byte, twice bool) error {
	if err := d.dovecot.Deliver(demoMailbox, "INBOX", message, time.Now()); err != nil || !twice {
		return err
	}
	return d.dovecot.Deliver(demoMailbox, "INBOX", message, time.Now())
}

// drop writes a file as a scanner does: under another name first.
func (d *demoWorld) drop(name string, content []byte) error {
	part := filepath.Join(d.box, "."+name+".part")
	if err := os.WriteFile(part, content, 0o600); err != nil {
		return err
	}
	return os.Rename(part, filepath.Join(d.box, name))
}

// step prints a letter when it has arrived in its queue, or is parked.
func (d *demoWorld) step(s *service) func(pipeline.Step) {
	explain, print := s.centres[0].router.Explain, s.centres[0].cfg.Print
	return func(st pipeline.Step) {
		d.mu.Lock()
		defer d.mu.Unlock()
		p := d.seen[st.Letter]
		if p == nil {
			p = &passing{}
			d.seen[st.Letter] = p
		}
		if st.Kind != "" {
			p.kind = st.Kind
		}
		switch st.Type {
		case sekretariat.EventRegistered:
			p.number = st.Number
			return
		case sekretariat.EventSorted:
			d.line("-", p.kind, "(parked)", st.Took, "reason: "+st.Decision.Rule)
		case sekretariat.EventQueued:
			d.line(print(st.Number), p.kind, string(st.Decision.Department), st.Took, explain(st.Decision))
		default:
			return
		}
		if d.done++; d.done == d.expected() {
			close(d.ended)
		}
	}
}

func (d *demoWorld) line(number string, kind sekretariat.Kind, department string, took time.Duration, why string) {
	fmt.Fprintf(d.out, "%-14s %-9s %-22s %5d  %s\n", number, kind, department, took.Milliseconds(), oneLine(why, 600))
	d.rows[[2]string{string(kind), department}]++
}

func (d *demoWorld) table() {
	type row struct {
		by, to string
		n      int
	}
	var rows []row
	for k, n := range d.rows {
		rows = append(rows, row{k[0], k[1], n})
	}
	sort.Slice(rows, func(i, j int) bool {
		return rows[i].to < rows[j].to || rows[i].to == rows[j].to && rows[i].by < rows[j].by
	})
	fmt.Fprintln(d.out)
	t := tabwriter.NewWriter(d.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "DEPARTMENT\tBY\tLETTERS")
	total := 0
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%s\t%d\n", r.to, r.by, r.n)
		total += r.n
	}
	fmt.Fprintf(t, "all\t\t%d\n", total)
	t.Flush()
	fmt.Fprintf(d.out, "\nOne of the mails was delivered twice and stands here once. Look further:\n"+
		"  bin/sekretariat queue list --data %[1]s --department przemoc\n"+
		"  bin/sekretariat verify --deep --data %[1]s\n"+
		"  bin/sekretariat register export --format csv --data %[1]s\n", d.data)
}

// configure writes the profile of the demo, with the addresses of its servers,
// into its data folder and loads it.
func (d *demoWorld) configure() (*configs.Installation, error) {
	folder, err := filepath.Abs(d.data)
	if err != nil {
		return nil, fmt.Errorf("demo folder: %w", err)
	}
	file := func(name string) string { return filepath.Join(folder, name) }
	for name, content := range map[string][]byte{
		"imap-password": []byte(dovecottest.Password), "epuap-key.pem": d.system.key, "epuap-cert.pem": d.system.cert, "epuap-ca.pem": d.server.CA,
		"ade-key.pem": d.ade.keys.Key, "ade-cert.pem": d.ade.keys.Cert, "ade-ca.pem": d.ade.server.CA,
		demoProfile: configs.Demo,
	} {
		if err := os.WriteFile(file(name), content, 0o600); err != nil {
			return nil, fmt.Errorf("demo folder: %w", err)
		}
	}
	cfg, err := configs.Load(file(demoProfile), configs.LoadOptions{Data: d.data, Adjust: func(c *configs.Centre) {
		m, e, b := &c.Mailboxes[0], &c.EPUAP[0], &c.Boxes[0]
		m.Server, m.CA, m.User, m.Password = d.dovecot.TLSAddr, d.dovecot.CA, demoMailbox, configs.Secret{File: file("imap-password")}
		e.URL, e.CA, e.Cert, e.Key = d.server.URL, file("epuap-ca.pem"), file("epuap-cert.pem"), configs.Secret{File: file("epuap-key.pem")}
		e.Pins = []string{d.platform.Pin()}
		b.Folder = file(demoBox)
		a := &c.EDelivery[0]
		a.URL, a.TokenURL, a.CA = d.ade.server.URL, d.ade.server.TokenURL, file("ade-ca.pem")
		a.Cert, a.Key = file("ade-cert.pem"), configs.Secret{File: file("ade-key.pem")}
	}})
	if err != nil {
		return nil, err
	}
	// What the service runs with is what the folder keeps for the commands
	// that come later.
	adjusted, err := configs.Canonical(cfg.Profiles[0])
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(file(demoProfile), adjusted, 0o600); err != nil {
		return nil, fmt.Errorf("demo folder: %w", err)
	}
	cfg.Listen.Desk, cfg.Listen.Scanners = "127.0.0.1:0", "127.0.0.1:0"
	return cfg, nil
}
