package faults

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sekretariat/configs"
	"sekretariat/extract/mail"
	"sekretariat/ingest/epuap/epuaptest"
	"sekretariat/test/world"
)

// Every mail, ePUAP letter and scan of the test data goes in by its real door;
// every one is registered, and none stops another.
func TestEverythingInTheTestDataIsRegistered(t *testing.T) {
	root := os.Getenv("SEKRETARIAT_TESTDATA")
	if root == "" {
		root = "../../../shared/testdata"
	}
	if _, err := os.Stat(root); err != nil {
		t.Skipf("no test data: %v (set SEKRETARIAT_TESTDATA)", err)
	}
	// Broken scans look unfinished for ever; here the box loses its patience soon.
	w := world.New(t, func(c *configs.Centre) {
		c.Boxes[0].Patience = 3 * time.Second
		world.RegisterAll(c)
	})
	sent := map[string]int{}
	each(t, filepath.Join(root, "mail"), func(name string, raw []byte) {
		if filepath.Ext(name) != ".eml" {
			return
		}
		if bytes.HasPrefix(raw, []byte("From ")) { // an mbox line is no part of a message
			_, raw, _ = bytes.Cut(raw, []byte("\n"))
		}
		if err := w.Dovecot.Deliver(world.Mailbox, "INBOX", raw, time.Now()); err != nil {
			t.Fatal(err)
		}
		sent["mail:"+identity(t, raw)]++ // what differs in line ends and trace headers alone is one
	})
	each(t, filepath.Join(root, "epuap"), func(name string, raw []byte) {
		if filepath.Ext(name) != ".xml" {
			return
		}
		if _, err := w.Platform.Enqueue(world.Skrytka, epuaptest.Document{FileName: filepath.Base(name), Content: raw, Sent: time.Now()}); err != nil {
			t.Fatal(err)
		}
		sent["epuap:"+digest(raw)]++
	})
	each(t, filepath.Join(root, "scans"), func(name string, raw []byte) {
		if err := os.WriteFile(filepath.Join(w.Box, digest(raw)[:12]+"-"+filepath.Base(name)), raw, 0o600); err != nil {
			t.Fatal(err)
		}
		sent["box:"+digest(raw)]++
	})
	s := w.Start(t)
	w.WaitReady(t, s)
	t.Logf("%d distinct deliveries", len(sent))
	var last int
	world.WaitUntil(t, 5*time.Minute, "everything to be queued", func() bool {
		if s.Ended() {
			t.Fatalf("the service ended:\n%s", s.Log())
		}
		n := 0
		for _, l := range w.Export(t) {
			if l.Queued != "" {
				n++
			}
		}
		if n != last {
			t.Logf("%d queued", n)
			last = n
		}
		return n >= len(sent)
	})
	if code := s.Stop(t); code != 0 {
		t.Errorf("exit status %d", code)
	}
	if bytes.Contains([]byte(s.Log()), []byte("panic")) {
		t.Errorf("a panic in the log:\n%s", s.Log())
	}
	w.Verify(t)
}

func identity(t *testing.T, raw []byte) string {
	t.Helper()
	h := new(mail.IdentityHasher)
	if _, err := h.Write(raw); err != nil {
		t.Fatal(err)
	}
	return string(h.Digest())
}

func each(t *testing.T, folder string, f func(name string, raw []byte)) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		switch filepath.Ext(path) {
		case ".md", ".tsv", ".jsonl", ".json", ".pem", ".crt", ".key":
			return nil // tells about the data, is not data
		}
		raw, err := os.ReadFile(path)
		if err == nil && len(raw) > 0 {
			f(path, raw)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
