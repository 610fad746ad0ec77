package edelivery

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/ingest"
	"sekretariat/ingest/edelivery/edeliverytest"
	"sekretariat/ingest/ingesttest"
)

func TestMain(m *testing.M) {
	if child() {
		return
	}
	goleak.VerifyTestMain(m)
}

// box is one simulated mailbox as the conformance suite sees it.
type box struct {
	*office
	centre sekretariat.CentreID
	after  string
}

// Put lays message n into the mailbox. A number that was put before goes back
// into INBOX. The container that the house must keep is the one that a look at
// the simulator gives.
func (b *box) Put(t testing.TB, n int) []byte {
	t.Helper()
	at := time.Date(2026, 4, 14, 8, 0, n, 0, time.UTC)
	m := edeliverytest.Message{
		ID: strconv.Itoa(n), Subject: fmt.Sprintf("Pismo %d", n), Text: strings.Repeat("treść ", 100), From: sender,
		Timestamp: at, Receipt: at, Sent: at, Event: at,
		Attachments: []edeliverytest.Attachment{{ID: fmt.Sprintf("a%d", n), Name: "pismo.txt", Type: "text/plain", Content: fmt.Appendf(nil, "załącznik %d", n)}},
		Evidences:   []edeliverytest.Evidence{{ID: fmt.Sprintf("e%d", n), Type: "BPOX", Created: at, Content: edeliverytest.Proof("BPOX", strconv.Itoa(n))}},
	}
	if _, err := b.office.Put(ade, m); err != nil {
		t.Fatal(err)
	}
	there, _ := b.Message(ade, m.ID)
	return expected(t, there)
}

func (b *box) Channel(t testing.TB, r ingest.Receiver) ingest.Channel {
	t.Helper()
	o := b.options
	o.Centre, o.Receiver, o.Known, o.Logger = b.centre, r, nil, zerolog.Nop()
	o.Account.After = b.after
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	c.tune = quick()
	return c
}

// Held returns what was not moved or deleted.
func (b *box) Held(t testing.TB) []int {
	t.Helper()
	var held []int
	for _, id := range b.office.Held(ade, "INBOX", "TRASH") {
		n, err := strconv.Atoi(id)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, n)
	}
	slices.Sort(held)
	return held
}

// TestConformance runs the suite of all channels with messages that are
// deleted once they are durable, which is where most can go wrong: there are two
// steps at the source, and nothing to go back to. SEKRETARIAT_AFTER=move runs
// it with messages that are moved.
func TestConformance(t *testing.T) {
	after := cmp.Or(os.Getenv("SEKRETARIAT_AFTER"), configs.AfterDelete)
	ingesttest.Run(t, func(t *testing.T, centre sekretariat.CentreID) ingesttest.Source {
		return &box{office: newOffice(t, edeliverytest.Options{}), centre: centre, after: after}
	})
}
