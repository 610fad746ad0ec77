package email

import (
	"bytes"
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/ingest"
	"sekretariat/ingest/email/dovecottest"
	"sekretariat/ingest/ingesttest"
)

// mailSource is one user's mailbox on a Dovecot.
type mailSource struct {
	server *dovecottest.Server
	centre sekretariat.CentreID
	user   string
	drawer drawer
}

func (m *mailSource) Put(t testing.TB, n int) []byte {
	t.Helper()
	if err := m.server.Deliver(m.user, "INBOX", letter(n), noon); err != nil {
		t.Fatal(err)
	}
	return letter(n)
}

func (m *mailSource) Channel(t testing.TB, r ingest.Receiver) ingest.Channel {
	t.Helper()
	o := newOffice(t, m.server.Addr)
	o.mailbox.User = m.user
	c, err := New(Options{
		Centre: m.centre, Mailbox: o.mailbox, Receiver: r, Cursors: &m.drawer, Logger: zerolog.Nop(),
		Password: func() (string, error) { return dovecottest.Password, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	c.tune = quick()
	return c
}

func (m *mailSource) Held(t testing.TB) []int {
	t.Helper()
	var held []int
	files, err := m.server.Files(m.user, "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range files {
		b, err := os.ReadFile(p)
		if os.IsNotExist(err) { // renamed or moved meanwhile
			return m.Held(t)
		}
		if err != nil {
			t.Fatal(err)
		}
		var n int
		_, rest, _ := bytes.Cut(b, []byte("Subject: sprawa "))
		if _, err := fmt.Sscan(string(rest[:min(9, len(rest))]), &n); err != nil {
			t.Fatal(err)
		}
		held = append(held, n)
	}
	return held
}

// TestConformance runs the suite of all channels: crashes of the receiver
// between any two steps, repeats, a store that is away.
func TestConformance(t *testing.T) {
	var users []string
	for n := range 100 {
		users = append(users, fmt.Sprintf("u%d", n))
	}
	s := startDovecot(t, dovecottest.Options{Users: users})
	var next atomic.Int32
	ingesttest.Run(t, func(t *testing.T, centre sekretariat.CentreID) ingesttest.Source {
		return &mailSource{server: s, centre: centre, user: users[next.Add(1)-1]}
	})
}

var _ ingest.Channel = (*Channel)(nil)
