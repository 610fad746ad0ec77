// Package ingesttest is the conformance suite of channels and what tests of
// channels need: a real receiver over a real store and ledger (House), and a
// receiver that breaks off wherever a process can die (Faulty). Run puts any
// channel through crashes between any two steps, repeats and cancellations, and
// checks that every delivery arrives exactly once, bit for bit, and that its
// source is told neither too early nor in vain.
package ingesttest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/ingest"
	"sekretariat/ledger"
	"sekretariat/storage"
	"sekretariat/storage/dir"
)

// House is a place for deliveries to arrive at: staged files, vault and
// embedded ledger in one folder.
type House struct {
	Vault  *storage.Vault
	Store  *storage.Staged
	Ledger *ledger.Ledger

	office  *storage.OfficeKeys
	drivers []*dir.Driver
	mu      sync.Mutex
	logs    map[sekretariat.CentreID]ledger.Log
}

// NewHouse opens a house in a temporary folder; it is closed with the test.
func NewHouse(t testing.TB) *House {
	t.Helper()
	h, err := OpenHouse(context.Background(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(context.Background()); err != nil {
			t.Errorf("close the house: %v", err)
		}
	})
	return h
}

// OpenHouse opens the house that lies in a folder, or makes one there: for
// tests that kill a process and look at what it left.
func OpenHouse(ctx context.Context, folder string) (*House, error) {
	objects, err := dir.Open(filepath.Join(folder, "objects"), dir.Options{})
	if err != nil {
		return nil, err
	}
	keys, err := dir.Open(filepath.Join(folder, "keys"), dir.Options{})
	if err != nil {
		return nil, err
	}
	h := &House{logs: map[sekretariat.CentreID]ledger.Log{}, drivers: []*dir.Driver{objects, keys}}
	h.Store, err = storage.OpenStaged(ctx, filepath.Join(folder, "staging"), objects, storage.StagedOptions{Keys: keys, Logger: zerolog.Nop()})
	if err != nil {
		return nil, err
	}
	h.office, err = storage.ParseOfficeKeys([]byte("test AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="))
	if err != nil {
		return nil, err
	}
	h.Vault = h.VaultOver(h.Store)
	h.Ledger, err = ledger.Open(ctx, ledger.Options{Dir: filepath.Join(folder, "nats"), Logger: zerolog.Nop()})
	if err != nil {
		return nil, err
	}
	return h, nil
}

// VaultOver is the house's vault over its store as seen through a wrapper that
// fails or stops.
func (h *House) VaultOver(objects storage.Grouper) *storage.Vault {
	return storage.NewVault(objects, storage.NewKeyStore(objects.Keys(), h.office))
}

// Close closes ledger and store.
func (h *House) Close(ctx context.Context) error {
	err := errors.Join(h.Ledger.Close(), h.Store.Close(ctx))
	for _, d := range h.drivers {
		err = errors.Join(err, d.Close())
	}
	return err
}

var centres atomic.Int64

// Centre makes a centre of its own, with its streams, so that tests can share
// a house.
func (h *House) Centre(t testing.TB) sekretariat.CentreID {
	t.Helper()
	c := sekretariat.CentreID(fmt.Sprintf("centre-%d", centres.Add(1)))
	if _, err := h.Log(c); err != nil {
		t.Fatal(err)
	}
	return c
}

// Log returns the ledger of a centre, which it lays out if it is new.
func (h *House) Log(c sekretariat.CentreID) (ledger.Log, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if l, ok := h.logs[c]; ok {
		return l, nil
	}
	l, err := h.Ledger.Centre(context.Background(), c, []sekretariat.SeriesID{"rpw"})
	if err == nil {
		h.logs[c] = l
	}
	return l, err
}

// Receiver makes a receiver at the house; it is closed with the test.
func (h *House) Receiver(t testing.TB, limits ingest.Limits) *ingest.Intake {
	t.Helper()
	r, err := ingest.NewReceiver(ingest.Options{Vault: h.Vault, Log: h.Log, Limits: limits, Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(t.Context()); err != nil && t.Context().Err() == nil {
			t.Errorf("close the receiver: %v", err)
		}
	})
	return r
}

// Submission is one announced submission as the house holds it.
type Submission struct {
	Arrived  sekretariat.ArrivedData
	Manifest sekretariat.Manifest
	Original []byte
}

// Submissions reads back everything that was announced in a centre, in order.
// It fails the test if an event, its manifest and its original do not agree.
func (h *House) Submissions(t testing.TB, c sekretariat.CentreID) []Submission {
	t.Helper()
	log, err := h.Log(c)
	if err != nil {
		t.Fatal(err)
	}
	var all []Submission
	err = log.Replay(context.Background(), ledger.Intake, 1, func(s ledger.Stored) error {
		one, err := h.read(c, s)
		all = append(all, one)
		return err
	})
	if err != nil {
		t.Fatalf("read back what arrived: %v", err)
	}
	return all
}

// read opens what one event announces.
func (h *House) read(c sekretariat.CentreID, s ledger.Stored) (one Submission, err error) {
	if one.Arrived, err = sekretariat.DataOf[sekretariat.ArrivedData](s.Event); err != nil {
		return one, err
	}
	a := one.Arrived
	if s.Subject != string(a.Submission) || s.Event.Subject != s.Subject {
		return one, fmt.Errorf("event on subject %s speaks of %s", s.Subject, a.Submission)
	}
	const limit = 1 << 30
	raw, err := h.Vault.ReadAll(context.Background(), c, a.Submission, a.ManifestKey, limit)
	if err != nil {
		return one, err
	}
	if sekretariat.DigestOf(raw) != a.Manifest {
		return one, fmt.Errorf("manifest of %s is not the one that was announced", a.Submission)
	}
	if err = json.Unmarshal(raw, &one.Manifest); err != nil {
		return one, err
	}
	ref := one.Manifest.Original
	if one.Original, err = h.Vault.ReadAll(context.Background(), c, a.Submission, ref.Key, limit); err != nil {
		return one, err
	}
	if sekretariat.DigestOf(one.Original) != ref.SHA256 || int64(len(one.Original)) != ref.Size {
		return one, fmt.Errorf("original of %s is not what its manifest says", a.Submission)
	}
	return one, nil
}
