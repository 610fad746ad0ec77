package pipeline_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/extract"
	"sekretariat/extract/archive/archivetest"
	"sekretariat/extract/virus"
	"sekretariat/extract/virus/virustest"
	"sekretariat/ledger"
	"sekretariat/pipeline"
	"sekretariat/router"
)

// direct opens parts in this process, which tests may.
type direct struct{ d extract.Direct }

func (d direct) Parts(ctx context.Context, body sekretariat.Body, ask extract.Parts, fn func(sekretariat.Part, io.Reader) error) error {
	return d.d.Deliver(ctx, body, ask, fn)
}

// scanned opens an office that scans with the daemon at address.
func scanned(t *testing.T, address string) *office {
	o := open(t, nil)
	r, err := router.New(o.cfg)
	if err != nil {
		t.Fatal(err)
	}
	o.pipe = pipeline.New(pipeline.Options{
		Centre: o.cfg, Log: o.log, Vault: o.house.Vault, Claims: o.house.Ledger, Reader: o.reader, Router: r, Logger: zerolog.Nop(),
		Scanner: virus.New(address), Parts: direct{extract.Direct{Temp: t.TempDir()}},
	})
	return o
}

// withFiles makes the rest of a mail that has attachments.
func withFiles(text string, files ...archivetest.File) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "--g\r\n\r\n%s\r\n", text)
	for _, f := range files {
		fmt.Fprintf(&b, "--g\r\nContent-Disposition: attachment; filename=\"%s\"\r\nContent-Transfer-Encoding: base64\r\n\r\n%s\r\n",
			f.Name, base64.StdEncoding.EncodeToString(f.Content))
	}
	b.WriteString("--g--\r\n")
	return b.String()
}

func wasScanned(l *sekretariat.Letter) bool { return l.Scan != nil }

func TestInfectedPartsAreLocked(t *testing.T) {
	o := scanned(t, virustest.Start(t).Address)
	o.run()
	good := archivetest.File{Name: "dobry.txt", Content: []byte("Wniosek.")}
	sealed := archivetest.SevenZip(t, []string{"-tzip", "-ptajne"}, good)
	infected := o.mailWithFiles("a", "bije mnie", archivetest.File{Name: "eicar.com", Content: virustest.Eicar}, good,
		archivetest.File{Name: "a.zip", Content: archivetest.ZIP(t, good, archivetest.File{Name: "zly.exe", Content: virustest.Invented})},
		archivetest.File{Name: "tajne.zip", Content: sealed})
	l := o.await(infected, "the scan", wasScanned)
	l = o.await(infected, "a decision", routed)
	if l.Department != "przemoc" || l.Number.IsZero() {
		t.Errorf("an infected letter is registered and routed all the same: %+v", l)
	}
	want := map[string]sekretariat.ScanState{
		"": sekretariat.ScanInfected, "1": sekretariat.ScanClean, "2": sekretariat.ScanInfected, "3": sekretariat.ScanClean,
		"4": sekretariat.ScanInfected, "4.1": sekretariat.ScanClean, "4.2": sekretariat.ScanInfected, "5": sekretariat.ScanEncrypted, "5.1": sekretariat.ScanEncrypted,
	}
	for path, state := range want {
		if got := o.pipe.ScanState(l, path); got != state {
			t.Errorf("part %q is %s, want %s", path, got, state)
		}
	}
	if v := l.Scan.Virus("4.2"); v != virustest.InventedName {
		t.Errorf("part 4.2 holds %q", v)
	}
	clean := o.await(o.mailWithFiles("a", "nocleg", good), "the scan", wasScanned)
	if o.pipe.ScanState(clean, "") != sekretariat.ScanClean || o.pipe.ScanState(clean, "2") != sekretariat.ScanClean || clean.Scan.Scanned != 3 {
		t.Errorf("a clean letter: %+v", clean.Scan)
	}
}

// mailWithFiles takes in a mail with attachments.
func (o *office) mailWithFiles(account, text string, files ...archivetest.File) sekretariat.LetterID {
	o.t.Helper()
	return o.raw("rpw", account, fmt.Sprintf("From: a@poczta.example\r\nSubject: Sprawa\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=g\r\n\r\n%s", withFiles(text, files...)))
}

// Without its scanner an office goes on: letters are registered and routed,
// only their parts wait, and they are scanned when the scanner comes back.
func TestScannerDownHoldsUpNothingElse(t *testing.T) {
	d := virustest.Prepare(t)
	o := scanned(t, d.Address)
	stop := o.run()
	var ids []sekretariat.LetterID
	for i := range 10 {
		ids = append(ids, o.mail("a", fmt.Sprintf("nocleg %d", i)))
	}
	for _, id := range ids {
		l := o.await(id, "a decision without the scanner", routed)
		if l.Department != "bezdomnosc" || l.Scan != nil || o.pipe.ScanState(l, "1") != sekretariat.ScanPending {
			t.Errorf("a letter while the scanner is down: %+v", l)
		}
	}
	s := o.pipe.ScanStatus()
	if !s.Down || len(s.Alarms(s.Since.Add(time.Hour))) != 1 || len(s.Alarms(s.Since)) != 0 {
		t.Errorf("status %+v with alarms %q", s, s.Alarms(s.Since.Add(time.Hour)))
	}
	d.Start()
	for _, id := range ids {
		if l := o.await(id, "the scan", wasScanned); o.pipe.ScanState(l, "1") != sekretariat.ScanClean {
			t.Errorf("after its return: %+v", l.Scan)
		}
	}
	if s := o.pipe.ScanStatus(); s.Down || len(s.Alarms(time.Now())) != 1 {
		t.Errorf("status %+v: signatures without an age are an alarm", s)
	}
	// A daemon that goes in the middle is waited for as well.
	d.Stop()
	id := o.mail("a", "nocleg ostatni")
	o.await(id, "a decision", routed)
	d.Start()
	o.await(id, "the scan", wasScanned)
	stop()
}

// What could not be taken out for a look stays locked, and so does what the
// scanner does not take.
func TestUnscannableStaysLocked(t *testing.T) {
	o := scanned(t, virustest.Start(t).Address)
	o.run()
	large := archivetest.File{Name: "duzy.bin", Content: bytes.Repeat([]byte("0123456789abcde\n"), virustest.MaxStream/16+1)}
	zip := archivetest.ZIP(t, archivetest.File{Name: "a.txt", Content: bytes.Repeat([]byte("proba "), 1000)})
	broken := bytes.Clone(zip)
	broken[60] ^= 0xff
	l := o.await(o.mailWithFiles("a", "nocleg", large, archivetest.File{Name: "b.zip", Content: broken}), "the scan", wasScanned)
	for path, want := range map[string]sekretariat.ScanState{"": sekretariat.ScanFailed, "1": sekretariat.ScanClean, "2": sekretariat.ScanFailed, "3.1": sekretariat.ScanFailed} {
		if got := o.pipe.ScanState(l, path); got != want {
			t.Errorf("part %q is %s, want %s: %+v", path, got, want, l.Scan.Unscanned)
		}
	}
}

func TestSignatureAlarm(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	at := func(age time.Duration) pipeline.ScanStatus {
		made := now.Add(-age)
		return pipeline.ScanStatus{Known: true, Version: virus.Version{Program: "ClamAV 1.4.6", Made: &made}}
	}
	if a := at(71 * time.Hour).Alarms(now); len(a) != 0 {
		t.Errorf("fresh signatures: %q", a)
	}
	if a := at(73 * time.Hour).Alarms(now); len(a) != 1 {
		t.Errorf("signatures of three days: %q", a)
	}
	if a := (pipeline.ScanStatus{Off: true, Known: true}).Alarms(now); len(a) != 0 {
		t.Errorf("switched off: %q", a)
	}
}

// A scan that is done again, after a crash before its acknowledgement or by two
// workers at once, tells nothing twice.
func TestScanIsToldOnce(t *testing.T) {
	o := scanned(t, virustest.Start(t).Address)
	o.run()
	id := o.mail("a", "nocleg")
	o.await(id, "the scan", wasScanned)
	events, err := o.log.Subject(t.Context(), ledger.Letter, string(id.Submission()))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		for _, again := range []bool{false, true} {
			e.Redelivered = again
			if err := pipeline.HandleScan(o.pipe, t.Context(), e); err != nil {
				t.Errorf("%s again: %v", e.Event.Type, err)
			}
		}
	}
	if events, err = o.log.Subject(t.Context(), ledger.Letter, string(id.Submission())); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range events {
		if e.Event.Type == sekretariat.EventScanned {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d verdicts on one letter", n)
	}
}

// What is set aside is scanned like letters: a clerk looks at it too. When it
// becomes a letter it is scanned once more, and is locked until then.
func TestParkedMailIsScanned(t *testing.T) {
	d := virustest.Prepare(t)
	o := scanned(t, d.Address)
	o.run()
	id := o.raw("rpw", "a", "From: a@poczta.example\r\n"+autoReply+"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=g\r\n\r\n"+
		withFiles("nie ma mnie", archivetest.File{Name: "eicar.com", Content: virustest.Eicar}, archivetest.File{Name: "dobry.txt", Content: []byte("Wniosek.")}))
	l := o.settled(id)
	if l.Status != sekretariat.StatusParked || o.pipe.ScanState(l, "3") != sekretariat.ScanPending {
		t.Fatalf("%s, %s without the scanner", l.Status, o.pipe.ScanState(l, "3"))
	}
	d.Start() // it was down: parked mail waits for it as letters do
	want := map[string]sekretariat.ScanState{"": sekretariat.ScanInfected, "2": sekretariat.ScanInfected, "3": sekretariat.ScanClean}
	check := func(l *sekretariat.Letter) {
		t.Helper()
		for path, state := range want {
			if got := o.pipe.ScanState(l, path); got != state {
				t.Errorf("part %q is %s, want %s", path, got, state)
			}
		}
	}
	check(o.await(id, "the scan", wasScanned))
	if err := o.pipe.Release(t.Context(), o.clerk(), id); err != nil {
		t.Fatal(err)
	}
	l = o.await(id, "the second scan", func(l *sekretariat.Letter) bool { return l.Scans == 2 })
	check(l)
	events, err := o.log.Subject(t.Context(), ledger.Letter, string(id.Submission()))
	if err != nil {
		t.Fatal(err)
	}
	scans, redelivered := 0, events
	for _, e := range redelivered {
		if e.Event.Type == sekretariat.EventScanned {
			scans++
		}
		e.Redelivered = true
		if err := pipeline.HandleScan(o.pipe, t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	if l = o.await(id, "itself", wasScanned); scans != 2 || l.Scans != 2 {
		t.Errorf("%d scans, %d after all was delivered again, want 2", scans, l.Scans)
	}
}
