package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/ingest"
	"sekretariat/ingest/ingesttest"
	"sekretariat/storage"
	"sekretariat/storage/dir"
)

// Two processes with a staging folder each, over one object store and one
// ledger, take the same deliveries at once: the first manifest wins, both give
// the same answer, and there is one event.
func TestTwoProcesses(t *testing.T) {
	h := ingesttest.NewHouse(t)
	c := h.Centre(t)
	folder := t.TempDir()
	var receivers []*ingest.Intake
	for i := range 2 {
		receivers = append(receivers, processOver(t, h, folder, i))
	}
	const deliveries = 40
	var receipts [2][deliveries]sekretariat.Receipt
	var wg sync.WaitGroup
	for i := range deliveries {
		for p := range receivers {
			wg.Go(func() {
				receipts[p][i] = take(t, receivers[p], named(c, fmt.Sprint(i)), fmt.Sprintf("delivery %d by process %d", i, p))
			})
		}
	}
	wg.Wait()
	for i := range deliveries {
		a, b := receipts[0][i], receipts[1][i]
		if a.Repeat == b.Repeat {
			t.Errorf("delivery %d: repeat is %v for both", i, a.Repeat)
		}
		a.Repeat, b.Repeat = false, false
		if a != b {
			t.Errorf("delivery %d: receipts differ: %+v and %+v", i, a, b)
		}
	}
	log, err := h.Log(c)
	if err != nil {
		t.Fatal(err)
	}
	state, err := log.State(context.Background(), "INTAKE")
	if err != nil || state.Messages != deliveries {
		t.Errorf("%d events, want %d (%v)", state.Messages, deliveries, err)
	}
}

// processOver makes a receiver with a staging folder of its own.
func processOver(t *testing.T, h *ingesttest.House, folder string, n int) *ingest.Intake {
	t.Helper()
	objects, err := dir.Open(filepath.Join(folder, "objects"), dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := dir.Open(filepath.Join(folder, "keys"), dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	staged, err := storage.OpenStaged(context.Background(), filepath.Join(folder, fmt.Sprint("staging", n)), objects,
		storage.StagedOptions{Keys: keys, Shared: true, Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	r, err := ingest.NewReceiver(ingest.Options{Vault: h.VaultOver(staged), Log: h.Log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if err := errors.Join(staged.Close(context.Background()), objects.Close(), keys.Close()); err != nil {
			t.Error(err)
		}
	})
	return r
}
