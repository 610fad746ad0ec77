package lmtp

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/extract/mail"
	"sekretariat/ingest"
	"sekretariat/ingest/ingesttest"
)

// door is a running door over a real receiver.
type door struct {
	t      testing.TB
	house  *ingesttest.House
	centre sekretariat.CentreID
	s      *Server
	stop   func()
}

// between lets a test stand between door and receiver.
type between struct {
	ingest.Receiver
	take func(ctx context.Context, d sekretariat.Delivery, body io.Reader) (ingest.Ticket, error)
}

func (b between) Take(ctx context.Context, d sekretariat.Delivery, body io.Reader) (ingest.Ticket, error) {
	return b.take(ctx, d, body)
}

func newDoor(t testing.TB, change func(*Options)) *door {
	t.Helper()
	d := &door{t: t, house: ingesttest.NewHouse(t)}
	d.centre = d.house.Centre(t)
	o := Options{
		Door:     configs.MailDoor{LMTP: "127.0.0.1:0", SMTP: "127.0.0.1:0", Name: "drzwi.example"},
		Accounts: []Account{account(d.centre, "poczta", "poczta@ops.example", "sekretariat@ops.example"), account(d.centre, "mzon", "mzon@ops.example")},
		Receiver: d.house.Receiver(t, ingest.Limits{}), Logger: zerolog.Nop(), MaxSize: 10 << 20,
	}
	if change != nil {
		change(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	d.s = s
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	var once sync.Once
	d.stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}
	t.Cleanup(d.stop)
	return d
}

func account(centre sekretariat.CentreID, id, address string, aliases ...string) Account {
	return Account{centre, configs.Mailbox{Account: configs.Account{ID: id}, Address: address, Aliases: aliases, Door: true}}
}

const (
	viaLMTP = 0
	viaSMTP = 1
)

// dial opens a conversation as a mail server does.
func (d *door) dial(way int) *smtp.Client {
	d.t.Helper()
	conn, err := net.Dial("tcp", d.s.Addrs()[way].String())
	if err != nil {
		d.t.Fatal(err)
	}
	c := smtp.NewClient(conn)
	if way == viaLMTP {
		c = smtp.NewClientLMTP(conn)
	}
	d.t.Cleanup(func() { c.Close() })
	return c
}

// send hands a mail over and returns the answer for each recipient.
func send(c *smtp.Client, lmtp bool, from string, to []string, body string) map[string]error {
	answers := map[string]error{}
	err := c.Reset() // go-smtp's client remembers the recipients of the mail before
	if err == nil {
		err = c.Mail(from, nil)
	}
	if err != nil {
		for _, r := range to {
			answers[r] = err
		}
		return answers
	}
	var accepted []string
	for _, r := range to {
		if answers[r] = c.Rcpt(r, nil); answers[r] == nil {
			accepted = append(accepted, r)
		}
	}
	if len(accepted) == 0 {
		return answers
	}
	fail := func(err error) map[string]error {
		for _, r := range accepted {
			answers[r] = err
		}
		return answers
	}
	w, err := c.Data()
	if err != nil {
		return fail(err)
	}
	if _, err := io.WriteString(w, body); err != nil {
		return fail(err)
	}
	if !lmtp {
		return fail(w.Close())
	}
	_, err = w.CloseWithLMTPResponse()
	var each smtp.LMTPDataError
	if errors.As(err, &each) {
		for r, e := range each {
			answers[r] = e
		}
		return answers
	}
	return fail(err)
}

func code(err error) int {
	var e *smtp.SMTPError
	switch {
	case err == nil:
		return 250
	case errors.As(err, &e):
		return e.Code
	}
	return 0
}

func letter(n int) string {
	return fmt.Sprintf("Received: from a by mx.ops.example; %s\r\nFrom: jan@example.org\r\nSubject: sprawa %d\r\n\r\n.kropka\r\nPismo %d\r\n", time.Now().Add(-3*time.Hour).Format(time.RFC1123Z), n, n)
}

func TestTakesMailByBothProtocols(t *testing.T) {
	d := newDoor(t, nil)
	for way, name := range []string{"lmtp", "smtp"} {
		if got := send(d.dial(way), way == viaLMTP, "jan@example.org", []string{"Poczta+notatka@OPS.example"}, letter(way)); code(got["Poczta+notatka@OPS.example"]) != 250 {
			t.Fatalf("%s: %v", name, got)
		}
	}
	all := d.house.Submissions(t, d.centre)
	if len(all) != 2 {
		t.Fatalf("%d submissions", len(all))
	}
	for _, s := range all {
		m := s.Manifest
		if m.Kind != sekretariat.KindMail || m.Account != "poczta" || m.Arrived.Basis != sekretariat.BasisServerArrival || m.Original.MediaType != "message/rfc822" {
			t.Errorf("manifest %+v", m)
		}
		if ago := time.Since(m.Arrived.At); ago < 3*time.Hour-time.Minute || ago > 3*time.Hour+time.Minute {
			t.Errorf("arrived %s ago, want when the mail server took it, 3 h", ago)
		}
		if m.Source["envelope-from"] != "jan@example.org" || m.Source["envelope-to"] != "Poczta+notatka@OPS.example" {
			t.Errorf("source %v", m.Source)
		}
		if !bytes.HasPrefix(s.Original, []byte("Return-Path: <jan@example.org>\r\nDelivered-To: Poczta+notatka@OPS.example\r\nReceived: ")) || !bytes.Contains(s.Original, []byte("\r\n\r\n.kropka\r\n")) {
			t.Errorf("original %q", s.Original)
		}
	}
}

// TestSameMailAsByIMAP: other trace fields on top, the same submission.
func TestSameMailAsByIMAP(t *testing.T) {
	d := newDoor(t, nil)
	c := d.dial(viaLMTP)
	body := letter(1)
	_, rest, _ := strings.Cut(body, "\r\n") // as it lies in the mailbox, with other trace fields
	id := &mail.IdentityHasher{}
	fmt.Fprintf(id, "Return-Path: <jan@example.org>\r\nDelivered-To: poczta\r\nReceived: from mx by imap; Mon, 30 Nov 2026 08:00:00 +0100\r\n%s", rest)
	for range 3 {
		if got := send(c, true, "jan@example.org", []string{"poczta@ops.example"}, body); code(got["poczta@ops.example"]) != 250 {
			t.Fatal(got)
		}
	}
	all := d.house.Submissions(t, d.centre)
	want := sekretariat.NewSubmissionID(d.centre, sekretariat.KindMail, "poczta", string(id.Digest()))
	if len(all) != 1 || all[0].Manifest.Submission != want {
		t.Fatalf("%d submissions, want one, with the identity of the IMAP channel", len(all))
	}
}

func TestAnswersForEachRecipient(t *testing.T) {
	d := newDoor(t, nil)
	to := []string{"poczta@ops.example", "nikt@ops.example", "sekretariat@ops.example", "mzon@ops.example"}
	got := send(d.dial(viaLMTP), true, "", to, letter(1))
	for r, want := range map[string]int{to[0]: 250, to[1]: 550, to[2]: 250, to[3]: 250} {
		if code(got[r]) != want {
			t.Errorf("%s: %v, want %d", r, got[r], want)
		}
	}
	if n := len(d.house.Submissions(t, d.centre)); n != 2 { // two addresses of one mailbox are one
		t.Errorf("%d submissions", n)
	}
	got = send(d.dial(viaSMTP), false, "", to, letter(2))
	for r, want := range map[string]int{to[0]: 250, to[1]: 550, to[2]: 250, to[3]: 452} {
		if code(got[r]) != want {
			t.Errorf("SMTP %s: %v, want %d", r, got[r], want)
		}
	}
}

// TestOneOfTwoFails: each recipient is told what became of his copy.
func TestOneOfTwoFails(t *testing.T) {
	var d *door
	broken := errors.New("store is away")
	d = newDoor(t, func(o *Options) {
		inner := o.Receiver
		o.Receiver = between{inner, func(ctx context.Context, v sekretariat.Delivery, body io.Reader) (ingest.Ticket, error) {
			if v.Account == "mzon" {
				return nil, broken
			}
			return inner.Take(ctx, v, body)
		}}
	})
	got := send(d.dial(viaLMTP), true, "", []string{"mzon@ops.example", "poczta@ops.example"}, letter(1))
	if code(got["mzon@ops.example"]) != 451 || code(got["poczta@ops.example"]) != 250 {
		t.Errorf("%v", got)
	}
}

func TestLargeMailForSeveralIsSentAgain(t *testing.T) {
	d := newDoor(t, func(o *Options) { o.MaxSize = 50 << 20 })
	c := d.dial(viaLMTP)
	body := letter(1) + strings.Repeat("Zdjęcie pisma, bardzo duże.\r\n", maxCopy/20)
	to := []string{"poczta@ops.example", "mzon@ops.example"}
	for range 3 {
		var left []string
		for r, err := range send(c, true, "", to, body) {
			if code(err) == 452 {
				left = append(left, r)
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if to = left; len(to) == 0 {
			break
		}
	}
	all := d.house.Submissions(t, d.centre)
	if len(to) != 0 || len(all) != 2 || !bytes.HasSuffix(all[0].Original, []byte(body)) || !bytes.HasSuffix(all[1].Original, []byte(body)) {
		t.Errorf("%d submissions, not delivered to %q", len(all), to)
	}
}

// TestNoRoomForCopies: with all memory for copies taken the first mailbox gets
// the mail, and the server brings it again for the other.
func TestNoRoomForCopies(t *testing.T) {
	d := newDoor(t, nil)
	d.s.room = 10 * time.Millisecond
	for range maxCopies {
		d.s.copies <- struct{}{}
	}
	to := []string{"poczta@ops.example", "mzon@ops.example"}
	got := send(d.dial(viaLMTP), true, "", to, letter(1))
	if code(got[to[0]]) != 250 || code(got[to[1]]) != 452 {
		t.Fatalf("%v", got)
	}
	<-d.s.copies
	d.s.room = time.Minute
	if got := send(d.dial(viaLMTP), true, "", to, letter(1)); code(got[to[0]]) != 250 || code(got[to[1]]) != 250 {
		t.Fatalf("%v", got)
	}
	if n := len(d.house.Submissions(t, d.centre)); n != 2 {
		t.Errorf("%d submissions", n)
	}
}

func TestTooLargeIsRefusedForGood(t *testing.T) {
	d := newDoor(t, func(o *Options) { o.MaxSize = 100 << 10 })
	for way := range 2 {
		c := d.dial(way)
		body := letter(way) + strings.Repeat("x\r\n", 100<<10)
		if got := send(c, way == viaLMTP, "", []string{"poczta@ops.example"}, body); code(got["poczta@ops.example"]) != 552 {
			t.Errorf("way %d: %v", way, got)
		}
		// The rest of the mail is not taken for commands: the conversation goes on.
		if got := send(c, way == viaLMTP, "", []string{"poczta@ops.example"}, letter(10+way)); code(got["poczta@ops.example"]) != 250 {
			t.Errorf("way %d, next mail: %v", way, got)
		}
		if err := c.Mail("jan@example.org", &smtp.MailOptions{Size: 1 << 30}); code(err) != 552 {
			t.Errorf("way %d, announced: %v", way, err)
		}
	}
	exact := letter(99)
	exact += strings.Repeat("y", 100<<10-len(exact)-2) + "\r\n"
	if got := send(d.dial(viaLMTP), true, "", []string{"poczta@ops.example"}, exact); code(got["poczta@ops.example"]) != 250 {
		t.Errorf("exactly the limit: %v", got)
	}
}

// TestLaterWhenNotDurable: a ticket that does not become durable in time, and a
// door that is shut in the middle, are "later"; the same mail is welcome again.
func TestLaterWhenNotDurable(t *testing.T) {
	stuck := true
	d := newDoor(t, func(o *Options) {
		inner := o.Receiver
		o.Receiver = between{inner, func(ctx context.Context, v sekretariat.Delivery, body io.Reader) (ingest.Ticket, error) {
			ticket, err := inner.Take(ctx, v, body)
			if stuck && err == nil {
				return never{}, nil
			}
			return ticket, err
		}}
	})
	d.s.patience = 50 * time.Millisecond
	if got := send(d.dial(viaLMTP), true, "", []string{"poczta@ops.example"}, letter(1)); code(got["poczta@ops.example"]) != 451 {
		t.Fatalf("%v", got)
	}
	stuck = false
	if got := send(d.dial(viaSMTP), false, "", []string{"poczta@ops.example"}, letter(1)); code(got["poczta@ops.example"]) != 250 {
		t.Fatalf("%v", got)
	}
	if n := len(d.house.Submissions(t, d.centre)); n != 1 {
		t.Errorf("%d submissions", n)
	}
}

type never struct{}

func (never) Wait(ctx context.Context) (sekretariat.Receipt, error) {
	<-ctx.Done()
	return sekretariat.Receipt{}, ctx.Err()
}

// TestChunks: whole chunks are a mail, in one conversation after the other.
func TestChunks(t *testing.T) {
	d := newDoor(t, nil)
	for way, hello := range []string{"LHLO", "EHLO"} {
		conn, err := net.Dial("tcp", d.s.Addrs()[way].String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "%s x\r\nMAIL FROM:<>\r\nRCPT TO:<poczta@ops.example>\r\nBDAT 12\r\nSubject: %d\r\nBDAT 5 LAST\r\n\r\nx\r\nQUIT\r\n", hello, way)
		answers, err := io.ReadAll(conn)
		if err != nil || !strings.Contains(string(answers), "OK: queued") {
			t.Errorf("%v: %s", err, answers)
		}
	}
	if n := len(d.house.Submissions(t, d.centre)); n != 2 {
		t.Errorf("%d submissions", n)
	}
}

// TestBrokenOff: a connection that ends inside a mail leaves nothing behind.
func TestBrokenOff(t *testing.T) {
	d := newDoor(t, nil)
	for way, hello := range []string{"LHLO", "EHLO"} {
		for _, last := range []string{"DATA\r\nSubject: x\r\n\r\npolowa", "BDAT 100\r\nSubject: x\r\n\r\n", "BDAT 14 LAST\r\nSubject: x\r\n"} {
			conn, err := net.Dial("tcp", d.s.Addrs()[way].String())
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(conn, "%s x\r\nMAIL FROM:<>\r\nRCPT TO:<poczta@ops.example>\r\n%s", hello, last)
			if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			answers, err := io.ReadAll(conn)
			if err != nil && !errors.Is(err, io.EOF) {
				t.Logf("%v", err)
			}
			if strings.Contains(string(answers), "queued") {
				t.Errorf("%s %q: confirmed: %s", hello, last, answers)
			}
			conn.Close()
		}
	}
	if n := len(d.house.Submissions(t, d.centre)); n != 0 {
		t.Errorf("%d submissions of half mails", n)
	}
}

func TestOnlyItsOwnMailServerMayComeIn(t *testing.T) {
	d := newDoor(t, func(o *Options) { o.Door.Allow = []string{"192.0.2.0/24"} })
	if got := send(d.dial(viaLMTP), true, "", []string{"poczta@ops.example"}, letter(1)); code(got["poczta@ops.example"]) == 250 {
		t.Error("a stranger came in")
	}
	s := &Server{}
	for _, c := range []struct {
		peer net.Addr
		ok   bool
	}{
		{&net.TCPAddr{IP: net.ParseIP("192.0.2.7")}, true}, {&net.TCPAddr{IP: net.ParseIP("::ffff:192.0.2.7")}, true},
		{&net.TCPAddr{IP: net.ParseIP("192.0.3.7")}, false}, {&net.UnixAddr{Net: "unix"}, true},
	} {
		s.allow = d.s.allow
		if s.allowed(c.peer) != c.ok {
			t.Errorf("%v: allowed is %v", c.peer, !c.ok)
		}
	}
}

func TestUnixSocketAndRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lmtp")
	for n := range 2 { // the second finds the socket of a process that died
		d := newDoor(t, func(o *Options) { o.Door = configs.MailDoor{LMTP: "unix:" + path} })
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		if got := send(smtp.NewClientLMTP(conn), true, "", []string{"poczta@ops.example"}, letter(n)); code(got["poczta@ops.example"]) != 250 {
			t.Fatal(got)
		}
		if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o660 {
			t.Errorf("%v %v", st, err)
		}
		conn.Close()
		d.stop()
		// A process that was killed leaves its socket behind.
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		l.SetUnlinkOnClose(false)
		l.Close()
	}
}

func TestStartTLSWithRenewedCertificate(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	makePair(t, cert, key, 1)
	d := newDoor(t, func(o *Options) {
		o.Door.Cert, o.Door.Key = cert, configs.Secret{File: key}
	})
	serial := func() int64 {
		c, err := smtp.DialStartTLS(d.s.Addrs()[viaSMTP].String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.Noop(); err != nil {
			t.Fatal(err)
		}
		state, _ := c.TLSConnectionState()
		return state.PeerCertificates[0].SerialNumber.Int64()
	}
	if serial() != 1 {
		t.Error("not our certificate")
	}
	if err := os.WriteFile(cert, []byte("half a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(cert, later, later); err != nil {
		t.Fatal(err)
	}
	if serial() != 1 {
		t.Error("a broken file replaced a good certificate")
	}
	makePair(t, cert, key, 2)
	if serial() != 2 {
		t.Error("the renewed certificate is not used")
	}
}

func TestAddressOfTwoMailboxes(t *testing.T) {
	_, err := New(Options{Receiver: between{}, Accounts: []Account{account("a", "x", "poczta@ops.example"), account("b", "y", "y@b.example", "Poczta@ops.example")}})
	if err == nil || !strings.Contains(err.Error(), "a/x and b/y") {
		t.Errorf("%v", err)
	}
}

func TestArrivalIsTheMailServers(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	for head, want := range map[string]string{
		"Received: from x\r\n\tby mx (Postfix); Fri, 27 Nov 2026 15:00:00 +0100 (CET)\r\nReceived: later; Mon, 30 Nov 2026 10:00:00 +0000\r\n": "2026-11-27T14:00:00Z",
		"Return-Path: <x>\r\nReceived: by mx; Mon, 30 Nov 2026 08:30:00 +0100\r\n\r\n":                                                         "2026-11-30T07:30:00Z",
		"Subject: x\r\n\r\nReceived: by body; Mon, 30 Nov 2026 08:30:00 +0100\r\n":                                                             "2026-11-30T12:00:00Z",
		"Received: by mx; Mon, 30 Nov 2026 14:00:00 +0100\r\n":                                                                                 "2026-11-30T12:00:00Z", // to come
		"Received: by mx; Mon, 3 Nov 2025 14:00:00 +0100\r\n":                                                                                  "2026-11-30T12:00:00Z", // long ago
		"Received: by mx; yesterday\r\n":                                                                                                       "2026-11-30T12:00:00Z",
		"Received: by mx":                                                                                                                      "2026-11-30T12:00:00Z",
		"":                                                                                                                                     "2026-11-30T12:00:00Z",
	} {
		if got := arrival([]byte(head), now).Format(time.RFC3339); got != want {
			t.Errorf("%q: %s, want %s", head, got, want)
		}
	}
}

// FuzzReceived: what a stranger wrote into the header does no harm.
func FuzzReceived(f *testing.F) {
	f.Add([]byte("Received: a\r\n b; Mon, 30 Nov 2026 14:00:00 +0100\r\n"))
	f.Fuzz(func(t *testing.T, head []byte) {
		now := time.Unix(1_800_000_000, 0).UTC()
		if at := arrival(head, now); at.After(now) || now.Sub(at) > maxHeld {
			t.Fatalf("arrived %s", at)
		}
	})
}

// TestSwaks is a mail client that is not ours.
func TestSwaks(t *testing.T) {
	swaks, err := exec.LookPath("swaks")
	if err != nil {
		t.Skip("swaks is not installed: install the Debian package swaks")
	}
	d := newDoor(t, nil)
	for way, protocol := range []string{"LMTP", "ESMTP"} {
		out, err := exec.Command(swaks, "--protocol", protocol, "--server", d.s.Addrs()[way].String(), "--from", "jan@example.org",
			"--to", "poczta@ops.example,sekretariat@ops.example", "--header", "Subject: pismo "+protocol, "--body", "Treść\n.\nz kropką").CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", protocol, err, out)
		}
	}
	all := d.house.Submissions(t, d.centre)
	if len(all) != 2 {
		t.Fatalf("%d submissions", len(all))
	}
	for _, s := range all {
		if !bytes.Contains(s.Original, []byte("\r\n.\r\nz kropką")) {
			t.Errorf("original %q", s.Original)
		}
	}
}
