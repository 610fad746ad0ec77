package email

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"sekretariat"
	"sekretariat/ingest/email/dovecottest"
)

// shelfKeeper answers for a shelf.
type shelfKeeper struct {
	s       *shelf
	mu      sync.Mutex
	damaged func(body []byte) bool
	asked   int
}

func (k *shelfKeeper) Safe(_ context.Context, id sekretariat.SubmissionID) (time.Time, error) {
	k.mu.Lock()
	k.asked++
	k.mu.Unlock()
	k.s.mu.Lock()
	defer k.s.mu.Unlock()
	body, ok := k.s.bodies[id]
	switch {
	case !ok:
		return time.Time{}, errors.New("nothing is known of it")
	case k.damaged(body):
		return time.Time{}, errors.New("damaged")
	case bytes.Contains(body, []byte("sprawa 9\r\n")):
		return noon.AddDate(0, 0, 29), nil // taken long after it arrived
	}
	return noon, nil
}

func TestOldTakenMailIsDeletedWhenItIsSafe(t *testing.T) {
	for name, opt := range map[string]dovecottest.Options{"rich": {}, "prefix": {Prefix: "INBOX.", Separator: "."}, "poor": {CapabilityOverride: "IMAP4rev1"}} {
		t.Run(name, func(t *testing.T) {
			s := startDovecot(t, opt)
			o := newOffice(t, s.Addr)
			keeper := &shelfKeeper{s: o.shelf, damaged: func(b []byte) bool { return bytes.Contains(b, []byte("sprawa 7\r\n")) }}
			o.keeper, o.mailbox.DeleteAfterDays = keeper, 30
			now := noon.AddDate(0, 0, 10)
			var mu sync.Mutex
			o.clock = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
			o.tune.archive = 20 * time.Millisecond
			want := deliver(t, s, "INBOX", 1, 20)
			c, stop := o.run()
			// Somebody put a message of his own among the taken ones.
			deliver(t, s, DefaultDone, 500, 500)
			o.until("taken", func() bool {
				return o.shelf.count() == 20 && c.Health().Waiting == 0 && inFolder(t, s, DefaultDone) >= 21
			})
			stop()
			if n := inFolder(t, s, DefaultDone); n != 21 {
				t.Fatalf("%d in the folder for taken mail before the time", n)
			}
			flagStranger(t, s, opt.Prefix)
			mu.Lock()
			now = noon.AddDate(0, 0, 40)
			mu.Unlock()
			c, stop = o.run()
			if name == "poor" {
				o.until("looked", func() bool { return c.Health().Waiting == 0 })
				time.Sleep(200 * time.Millisecond) // several looks
				stop()
				if n := inFolder(t, s, DefaultDone); n != 21 || keeper.asked != 0 {
					t.Errorf("%d left, %d asked: a server without UIDPLUS cannot delete single messages", n, keeper.asked)
				}
				return
			}
			o.until("deleted", func() bool { return inFolder(t, s, DefaultDone) == 3 })
			stop()
			var left []string
			files, err := s.Files("intake", DefaultDone)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range files {
				b, err := os.ReadFile(p)
				if err != nil {
					t.Fatal(err)
				}
				_, subject, _ := strings.Cut(string(b), "Subject: sprawa ")
				left = append(left, strings.Fields(subject)[0])
			}
			if got := strings.Join(left, " "); len(left) != 3 || !strings.Contains(got, "7") || !strings.Contains(got, "9") || !strings.Contains(got, "500") {
				t.Errorf("left: %v, want the damaged one, the one taken lately, and the stranger's", left)
			}
			o.shelf.holds(t, want)
		})
	}
}

// flagStranger flags the stranger's message as deleted, as a colleague would who
// has not made up his mind: it is not ours to expunge.
func flagStranger(t *testing.T, s *dovecottest.Server, prefix string) {
	t.Helper()
	c := client(t, s.Addr)
	path := DefaultDone
	if prefix != "" {
		path = prefix + strings.ReplaceAll(DefaultDone, "/", ".")
	}
	if _, err := c.Select(path, nil).Wait(); err != nil {
		t.Fatal(err)
	}
	found, err := c.UIDSearch(&imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: "Subject", Value: "sprawa 500"}}}, nil).Wait()
	if err != nil || len(found.AllUIDs()) != 1 {
		t.Fatalf("%v, %v", found, err)
	}
	if err := c.Store(imap.UIDSetNum(found.AllUIDs()...), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Logout().Wait(); err != nil {
		t.Fatal(err)
	}
}

// TestDeletionDiesAnywhere cuts the connection after every so many octets: what
// is deleted in the end is what may be.
func TestDeletionDiesAnywhere(t *testing.T) {
	s := startDovecot(t, dovecottest.Options{})
	o := newOffice(t, s.Addr)
	want := deliver(t, s, "INBOX", 1, 12)
	_, stop := o.run()
	o.until("taken", func() bool { return inFolder(t, s, DefaultDone) == 12 })
	stop()
	cut := int64(300)
	var mu sync.Mutex
	p := newProxy(t, s.Addr, func() spoiled {
		mu.Lock()
		defer mu.Unlock()
		cut += 400
		return spoiled{up: cut, down: -1}
	})
	o.mailbox.Server, o.mailbox.DeleteAfterDays = p.addr, 30
	o.keeper = &shelfKeeper{s: o.shelf, damaged: func([]byte) bool { return false }}
	o.clock = func() time.Time { return noon.AddDate(0, 0, 100) }
	o.tune.archive = time.Millisecond
	_, stop = o.run()
	o.until("all deleted", func() bool { return inFolder(t, s, DefaultDone) == 0 })
	stop()
	o.shelf.holds(t, want)
}
