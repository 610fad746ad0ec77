package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/extract/mail"
	"sekretariat/ingest/email/dovecottest"
)

// TestKeeperReadsAgain: a copy at the source may go when event, manifest,
// original, letters and entries are whole, and when the letter was destroyed at
// the end of its retention; not otherwise.
func TestKeeperReadsAgain(t *testing.T) {
	d := startDovecot(t, dovecottest.Options{})
	dir := t.TempDir()
	secret := write(t, dir, "password", dovecottest.Password)
	write(t, dir, "centre.yaml", fmt.Sprintf("id: ops\nname: OPS\ndepartments:\n  - { id: sekretariat, name: Sekretariat }\nmailboxes:\n"+
		"  - { id: poczta, address: poczta@ops.example, server: \"%s\", ca: %s, user: intake, password: { file: %s }, delete_after_days: 30 }\n", d.TLSAddr, d.CA, secret))
	cfg, err := configs.Load(write(t, dir, "installation.yaml", "data: data\nlisten: { desk: \"off\", scanners: \"off\" }\ncentres: [centre.yaml]\n"))
	if err != nil {
		t.Fatal(err)
	}
	h, err := openHouse(t.Context(), cfg, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	s, err := newService(h, roles{true, true, true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := s.close(); err != nil {
			t.Error(err)
		}
	}()
	id := func(n int) sekretariat.SubmissionID {
		hash := &mail.IdentityHasher{}
		fmt.Fprintf(hash, "Subject: %d\r\n\r\nPismo\r\n", n)
		return sekretariat.NewSubmissionID("ops", sekretariat.KindMail, "poczta", string(hash.Digest()))
	}
	for n := range 3 {
		if err := d.Deliver("intake", "INBOX", fmt.Appendf(nil, "Subject: %d\r\n\r\nPismo\r\n", n), time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	k := keeper{s, s.centres[0]}
	safe := func(n int) error {
		_, err := k.Safe(t.Context(), id(n))
		return err
	}
	r := &running{t: t, log: &lines{}}
	for n := range 3 {
		r.until(fmt.Sprint("safe ", n), func() bool { return safe(n) == nil })
	}
	if safe(99) == nil {
		t.Error("a mail that nobody knows is called safe")
	}
	// One octet of an original changes on the disk.
	pattern := filepath.Join(cfg.Data, folderObjects, "c/ops/s", "*", string(id(0))+".o.*")
	r.until("original on the disk", func() bool {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) != 1 {
			return false
		}
		raw, err := os.ReadFile(files[0])
		if err != nil {
			return false
		}
		raw[len(raw)-20] ^= 1
		if err := os.WriteFile(files[0], raw, 0o600); err != nil {
			t.Fatal(err)
		}
		return safe(0) != nil
	})
	// The entry of another is gone.
	var entries []string
	r.until("entries on the disk", func() bool {
		entries = nil
		err := filepath.WalkDir(filepath.Join(cfg.Data, folderObjects, "c/ops/r"), func(p string, e os.DirEntry, err error) error {
			if err == nil && !e.IsDir() && filepath.Ext(p) == ".json" {
				entries = append(entries, p)
			}
			return err
		})
		return err == nil && len(entries) == 3
	})
	for _, e := range entries {
		if err := os.Rename(e, e+".away"); err != nil {
			t.Fatal(err)
		}
	}
	r.until("missing entry seen", func() bool { return safe(1) != nil })
	for _, e := range entries {
		if err := os.Rename(e+".away", e); err != nil {
			t.Fatal(err)
		}
	}
	r.until("entry back", func() bool { return safe(1) == nil })
	if err := s.vault.Shred(t.Context(), "ops", id(2)); err != nil {
		t.Fatal(err)
	}
	if err := safe(2); err != nil {
		t.Errorf("destroyed at the end of its retention, but kept in the mailbox: %v", err)
	}
}
