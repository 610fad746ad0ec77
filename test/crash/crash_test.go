// Package crash proves that every delivery is registered exactly once while the
// program is killed with -9 at random moments.
package crash

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"sekretariat"
	"sekretariat/extract/mail"
	"sekretariat/ingest/epuap/epuaptest"
	"sekretariat/storage"
	"sekretariat/test/world"
)

func env(name string, def int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return def
}

// TestExactlyOnceThroughKills takes in mails, ePUAP letters and files while the
// service is killed again and again, and then holds the register against what
// was sent. Sizes: CRASH_MAILS, CRASH_EPUAP, CRASH_FILES, CRASH_KILLS; without
// them a very short form runs. CRASH_SEED repeats a run.
func TestExactlyOnceThroughKills(t *testing.T) {
	mails, letters, files, kills := env("CRASH_MAILS", 60), env("CRASH_EPUAP", 8), env("CRASH_FILES", 8), env("CRASH_KILLS", 3)
	seed := uint64(env("CRASH_SEED", int(time.Now().UnixNano()&0xffffff)))
	t.Logf("%d mails, %d ePUAP letters, %d files, %d kills, CRASH_SEED=%d", mails, letters, files, kills, seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	// The mails are of all kinds; what machines sent is to be registered, too, so
	// that each has a number to be counted by.
	w := world.New(t, world.RegisterAll)
	f := newFeed(t, w, mails, letters, files)

	taken := 0
	for k := range kills {
		f.feed(t, (k+1)*f.total/(kills+1)) // something is always on its way
		s := w.Start(t)
		// From the first moments of a start to the middle of the work.
		time.Sleep(time.Duration(50+rnd.IntN(1500)) * time.Millisecond)
		if s.Ended() {
			t.Fatalf("run %d ended by itself:\n%s", k, s.Log())
		}
		s.Kill()
		taken++
	}
	f.feed(t, f.total)
	s := w.Start(t)
	w.WaitReady(t, s)
	f.waitDrained(t, s)
	if code := s.Stop(t); code != 0 {
		t.Errorf("exit status after SIGTERM: %d, want 0\n%s", code, s.Log())
	}
	t.Logf("killed %d times; verify:\n%s", taken, w.Verify(t))
	f.compare(t, w.Export(t))
}

// feed is what is sent: every delivery with the digest that the register must
// show exactly once.
type feed struct {
	w     *world.World
	total int
	next  int
	send  []func(t *testing.T) // in random order of channels
	want  map[string]string    // digest → what it is
}

func newFeed(t *testing.T, w *world.World, mails, letters, files int) *feed {
	f := &feed{w: w, total: mails + letters + files, want: map[string]string{}}
	corpus := testMails(t)
	at := time.Now().Add(-time.Hour)
	for i := range mails {
		raw := copyOf(corpus[i%len(corpus)], i)
		f.expect("mail", mailDigest(t, raw), i)
		f.send = append(f.send, func(t *testing.T) {
			if err := w.Dovecot.Deliver(world.Mailbox, "INBOX", raw, at.Add(time.Duration(i)*time.Second)); err != nil {
				t.Fatal(err)
			}
		})
	}
	for i := range letters {
		doc := []byte(fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8"?><w:Dokument xmlns:w="http://crd.gov.pl/wzor/2017/10/24/4566/"><w:TrescDokumentu><w:Tytul>Wniosek %d</w:Tytul></w:TrescDokumentu></w:Dokument>`, i))
		f.expect("epuap", digest(doc), i)
		f.send = append(f.send, func(t *testing.T) {
			if _, err := w.Platform.Enqueue(world.Skrytka, epuaptest.Document{FileName: fmt.Sprintf("%d.xml", i), Content: doc, Sent: at}); err != nil {
				t.Fatal(err)
			}
		})
	}
	for i := range files {
		content := []byte(fmt.Sprintf("Skan numer %d\nProszę o pomoc.\n", i))
		f.expect("box", digest(content), i)
		f.send = append(f.send, func(t *testing.T) {
			if err := os.WriteFile(filepath.Join(w.Box, fmt.Sprintf("skan-%d.txt", i)), content, 0o600); err != nil {
				t.Fatal(err)
			}
		})
	}
	rnd := rand.New(rand.NewPCG(7, 7))
	rnd.Shuffle(len(f.send), func(i, j int) { f.send[i], f.send[j] = f.send[j], f.send[i] })
	return f
}

func (f *feed) expect(what, digest string, i int) {
	f.want[what+":"+digest] = fmt.Sprintf("%s %d", what, i)
}

func (f *feed) feed(t *testing.T, upTo int) {
	for ; f.next < upTo; f.next++ {
		f.send[f.next](t)
	}
}

// waitDrained waits until the sources hold nothing any more and the register
// has everything.
func (f *feed) waitDrained(t *testing.T, s *world.Service) {
	world.WaitUntil(t, 10*time.Minute, "all sources to be empty", func() bool {
		if s.Ended() {
			t.Fatalf("the service ended by itself:\n%s", s.Log())
		}
		left, err := f.w.Dovecot.Files(world.Mailbox, "INBOX")
		if err != nil {
			t.Fatal(err)
		}
		return len(left) == 0 && len(f.w.Platform.Held(world.Skrytka)) == 0 && boxEmpty(t, f.w.Box)
	})
	last := -1
	world.WaitUntil(t, 5*time.Minute, "all letters to be queued", func() bool {
		n := 0
		for _, l := range f.w.Export(t) {
			if l.Queued != "" {
				n++
			}
		}
		if n != last {
			t.Logf("%d of %d letters are in their queues", n, f.total)
			last = n
		}
		return n >= f.total
	})
}

func boxEmpty(t *testing.T, box string) bool {
	entries, err := os.ReadDir(box)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !e.IsDir() {
			return false
		}
	}
	taken, err := os.ReadDir(filepath.Join(box, ".taken"))
	return err != nil || len(taken) == 0
}

// compare holds the register against what was sent.
func (f *feed) compare(t *testing.T, lines []world.Line) {
	if len(lines) != f.total {
		t.Errorf("%d register entries, want %d", len(lines), f.total)
	}
	var numbers []int
	seen := map[string]string{}
	vault := f.w.Vault(t)
	for _, l := range lines {
		key := l.Channel + ":" + digestOf(t, vault, l)
		if _, ok := f.want[key]; !ok {
			t.Errorf("%s: content that nobody sent (%s)", l.Identifier, key)
		}
		if before, twice := seen[key]; twice {
			t.Errorf("%s and %s are the same delivery %s", before, l.Identifier, f.want[key])
		}
		seen[key] = l.Identifier
		if l.Queued == "" || l.Department == "" {
			t.Errorf("%s is in no queue", l.Identifier)
		}
		n, err := strconv.Atoi(l.Identifier[strings.LastIndex(l.Identifier, "-")+1:])
		if err != nil {
			t.Fatalf("identifier %q", l.Identifier)
		}
		numbers = append(numbers, n)
	}
	for key, what := range f.want {
		if _, ok := seen[key]; !ok {
			t.Errorf("lost: %s", what)
		}
	}
	sort.Ints(numbers)
	for i, n := range numbers {
		if n != i+1 {
			t.Fatalf("numbers have a gap or a repeat at %d (found %d)", i+1, n)
		}
	}
}

// digestOf is the digest to compare: for mail the digest of the message apart
// from line ends, because the mail server makes every line end CRLF.
func digestOf(t *testing.T, v *storage.Vault, l world.Line) string {
	if l.Channel != "mail" {
		return l.SHA256
	}
	return world.MailDigest(t, v, sekretariat.SubmissionID(l.Submission))
}

func mailDigest(t *testing.T, raw []byte) string {
	h := new(mail.IdentityHasher)
	if _, err := h.Write(raw); err != nil {
		t.Fatal(err)
	}
	return string(h.Digest())
}

func digest(b []byte) string {
	d := sha256.Sum256(b)
	return hex.EncodeToString(d[:])
}

// copyOf makes a mail distinct by a header field of ours.
func copyOf(raw []byte, i int) []byte {
	return append([]byte(fmt.Sprintf("X-Kopia: %d\r\n", i)), raw...)
}

// testMails returns the mails of the test data, or small ones of our own where
// the folder is missing.
func testMails(t *testing.T) [][]byte {
	root := os.Getenv("SEKRETARIAT_TESTDATA")
	if root == "" {
		root = "../../../shared/testdata"
	}
	var out [][]byte
	err := filepath.WalkDir(filepath.Join(root, "mail"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".eml" {
			return err
		}
		raw, err := os.ReadFile(path)
		// An mbox "From " line is no part of a message that IMAP serves.
		if bytes.HasPrefix(raw, []byte("From ")) {
			_, raw, _ = bytes.Cut(raw, []byte("\n"))
		}
		out = append(out, raw)
		return err
	})
	if err != nil || len(out) == 0 {
		t.Logf("no mails in %s (set SEKRETARIAT_TESTDATA): using a plain one", root)
		return [][]byte{[]byte("From: a@poczta.example\r\nSubject: Wniosek\r\n\r\nProsz=EA o pomoc.\r\n")}
	}
	return out
}
