// Package registertest opens a small office for the tests of the register and
// of its sub-packages: a real embedded ledger, the dir store under its staging
// log, a vault; and it plays receiver, sorter, reader, router and deliverer.
package registertest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"sekretariat"
	"sekretariat/ledger"
	"sekretariat/storage"
	"sekretariat/storage/dir"
)

// Centre is the centre of the office.
const Centre sekretariat.CentreID = "zielona-gora"

// Office is an open office.
type Office struct {
	T      testing.TB
	Dir    string
	Ledger *ledger.Ledger
	Log    ledger.Log
	Store  *storage.Staged
	Vault  *storage.Vault
	Logger zerolog.Logger

	driver [2]*dir.Driver
	open   bool
}

// Open opens the office whose files lie in folder, which may hold an earlier
// one's; the test closes it.
func Open(t testing.TB, folder string, series ...sekretariat.SeriesID) *Office {
	t.Helper()
	if len(series) == 0 {
		series = []sekretariat.SeriesID{"rpw"}
	}
	o := &Office{T: t, Dir: folder, Logger: zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.ErrorLevel)}
	ctx := context.Background()
	var err error
	o.Ledger, err = ledger.Open(ctx, ledger.Options{Dir: o.path("nats"), Port: -1, Logger: o.Logger})
	o.must(err)
	o.Log, err = o.Ledger.Centre(ctx, Centre, series)
	o.must(err)
	for i, name := range []string{"objects", "keys"} {
		o.driver[i], err = dir.Open(o.path(name), dir.Options{})
		o.must(err)
	}
	o.Store, err = storage.OpenStaged(ctx, o.path("staging"), o.driver[0], storage.StagedOptions{Keys: o.driver[1], Logger: o.Logger})
	o.must(err)
	if err := storage.CreateOfficeKey(o.path("office.key"), "k1"); err != nil && !os.IsExist(err) {
		if _, serr := os.Stat(o.path("office.key")); serr != nil {
			o.must(err)
		}
	}
	office, err := storage.LoadOfficeKeys(o.path("office.key"))
	o.must(err)
	o.Vault = storage.NewVault(o.Store, storage.NewKeyStore(o.Store.Keys(), office))
	o.open = true
	t.Cleanup(o.Close)
	return o
}

func (o *Office) path(name string) string { return filepath.Join(o.Dir, name) }

func (o *Office) must(err error) {
	o.T.Helper()
	if err != nil {
		o.T.Fatal(err)
	}
}

// Close closes the office; it may be opened again.
func (o *Office) Close() {
	o.T.Helper()
	if !o.open {
		return
	}
	o.open = false
	if err := o.Ledger.Close(); err != nil {
		o.T.Errorf("close ledger: %v", err)
	}
	if err := o.Store.Close(context.Background()); err != nil {
		o.T.Errorf("close store: %v", err)
	}
	for _, d := range o.driver {
		if err := d.Close(); err != nil {
			o.T.Errorf("close driver: %v", err)
		}
	}
}

// Announced makes the data of an arrival that was neither stored nor announced.
func Announced(name string, at time.Time) sekretariat.ArrivedData {
	sub := sekretariat.NewSubmissionID(Centre, sekretariat.KindMail, "poczta", name)
	return sekretariat.ArrivedData{
		Submission: sub, Kind: sekretariat.KindMail, Door: sekretariat.DoorIMAP, Account: "poczta", Series: "rpw",
		Size: int64(len(name)), ManifestKey: storage.ManifestKey(Centre, sub), Manifest: sekretariat.DigestOf([]byte(name)),
		Arrived:  sekretariat.Arrival{At: at.Truncate(time.Second), Basis: sekretariat.BasisServerArrival},
		Received: at.UTC().Truncate(time.Millisecond),
	}
}

// Arrive receives one submission whose body is name: original, manifest, event.
func (o *Office) Arrive(name string, at time.Time) sekretariat.ArrivedData {
	o.T.Helper()
	a, m, raw := o.manifest(name, at)
	o.must(o.Vault.Commit(context.Background(), Centre, a.Submission, []storage.SealItem{
		{Key: m.Original.Key, Body: storage.Bytes([]byte(name))},
		{Key: a.ManifestKey, Body: storage.Bytes(raw), Once: true},
	}))
	o.Announce(a)
	return a
}

func (o *Office) manifest(name string, at time.Time) (sekretariat.ArrivedData, sekretariat.Manifest, []byte) {
	a := Announced(name, at)
	sum := sekretariat.DigestOf([]byte(name))
	m := sekretariat.Manifest{
		Version: sekretariat.ManifestVersion, Submission: a.Submission, Centre: Centre, Kind: a.Kind, Door: a.Door, Account: a.Account,
		Series: a.Series, Original: sekretariat.ObjectRef{Key: storage.OriginalKey(Centre, a.Submission, sum), SHA256: sum, Size: a.Size},
		Arrived: a.Arrived, Received: a.Received,
	}
	raw := marshal(o.T, m)
	a.Manifest = sekretariat.DigestOf(raw)
	return a, m, raw
}

// Announce appends the arrival to INTAKE.
func (o *Office) Announce(a sekretariat.ArrivedData) {
	o.T.Helper()
	o.Append(ledger.Intake, string(a.Submission), 0, sekretariat.EventArrived, string(a.Submission), 0, a.Received, a)
}

// Append appends one event and returns its sequence.
func (o *Office) Append(stream ledger.StreamName, subject string, last uint64, typ sekretariat.EventType, about string, rev int, at time.Time, data any) uint64 {
	o.T.Helper()
	seq, err := o.append(stream, subject, last, typ, about, rev, at, data)
	o.must(err)
	return seq
}

func (o *Office) append(stream ledger.StreamName, subject string, last uint64, typ sekretariat.EventType, about string, rev int, at time.Time, data any) (uint64, error) {
	e, err := sekretariat.NewEvent(typ, Centre, "test", about, rev, at, data)
	if err != nil {
		return 0, err
	}
	return o.Log.Append(context.Background(), stream, ledger.Record{Subject: subject, LastSeq: last, Event: e})
}

// Letter is a letter to be registered in the main series.
func Letter(part int) sekretariat.SortedLetter {
	return sekretariat.SortedLetter{Part: part, Series: "rpw", Action: sekretariat.ActionRegister}
}

// Sort appends the sorting of a submission, by default into one letter.
func (o *Office) Sort(a sekretariat.ArrivedData, letters ...sekretariat.SortedLetter) uint64 {
	o.T.Helper()
	seq, err := o.sort(a, letters)
	o.must(err)
	return seq
}

func (o *Office) sort(a sekretariat.ArrivedData, letters []sekretariat.SortedLetter) (uint64, error) {
	if len(letters) == 0 {
		letters = []sekretariat.SortedLetter{Letter(1)}
	}
	return o.append(ledger.Letter, string(a.Submission), 0, sekretariat.EventSorted, string(a.Submission), 0, a.Received,
		sekretariat.SortedData{Arrived: a, Letters: letters})
}

// SortMany sorts n submissions of one letter each that were neither stored nor
// announced, many at once. The prefix tells several calls apart.
func (o *Office) SortMany(prefix string, n int, at time.Time) {
	o.T.Helper()
	var g errgroup.Group
	g.SetLimit(200)
	for i := range n {
		g.Go(func() error {
			_, err := o.sort(Announced(fmt.Sprint(prefix, i), at), nil)
			return err
		})
	}
	o.must(g.Wait())
}

// Entries returns the entries that the ledger of a series holds, in order.
func (o *Office) Entries(series sekretariat.SeriesID) []sekretariat.Entry {
	o.T.Helper()
	var out []sekretariat.Entry
	err := o.Log.Replay(context.Background(), ledger.Register(series), 1, func(s ledger.Stored) error {
		d, err := sekretariat.DataOf[sekretariat.RegisteredData](s.Event)
		out = append(out, d.Entry)
		return err
	})
	o.must(err)
	return out
}
