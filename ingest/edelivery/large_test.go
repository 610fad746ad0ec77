package edelivery

import (
	"bytes"
	"io"
	"os"
	"strconv"
	"testing"

	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/ingest"
	"sekretariat/ingest/edelivery/edeliverytest"
	"sekretariat/ingest/ingesttest"
	"sekretariat/ledger"
)

// peak is the most memory that this process ever held, octets.
func peak(t testing.TB) int64 {
	t.Helper()
	raw, err := os.ReadFile("/proc/self/status")
	must(t, err)
	_, rest, _ := bytes.Cut(raw, []byte("VmHWM:"))
	fields := bytes.Fields(rest[:40])
	kb, err := strconv.ParseInt(string(fields[0]), 10, 64)
	must(t, err)
	return kb << 10
}

// A large attachment passes through the real receiver into the store in little
// memory. SEKRETARIAT_LARGE is its size in MiB (default 32).
func TestLargeAttachmentInLittleMemory(t *testing.T) {
	size := int64(32 << 20)
	if s := os.Getenv("SEKRETARIAT_LARGE"); s != "" {
		mib, err := strconv.ParseInt(s, 10, 64)
		must(t, err)
		size = mib << 20
	}
	house := ingesttest.NewHouse(t)
	f := newOffice(t, edeliverytest.Options{})
	f.put(t, edeliverytest.Message{Attachments: []edeliverytest.Attachment{{
		Name: "film.mp4", Size: size, Stream: func() io.Reader { return io.LimitReader(zeros{}, size) },
	}}})
	f.options.Centre, f.options.Receiver, f.options.Known = house.Centre(t), house.Receiver(t, ingest.Limits{}), nil
	f.options.Logger = zerolog.Nop()
	before := peak(t)
	round(t, f.channel(t))
	extra := peak(t) - before
	t.Logf("%d MiB extra for an attachment of %d MiB", extra>>20, size>>20)
	if extra > 64<<20 {
		t.Errorf("%d MiB of extra memory, want at most 64", extra>>20)
	}
	log, err := house.Log(f.options.Centre)
	must(t, err)
	var sizes []int64
	must(t, log.Replay(t.Context(), ledger.Intake, 1, func(s ledger.Stored) error {
		d, err := sekretariat.DataOf[sekretariat.ArrivedData](s.Event)
		sizes = append(sizes, d.Size)
		return err
	}))
	if len(sizes) != 1 || sizes[0] < size {
		t.Errorf("submissions of %d octets, want one of more than %d", sizes, size)
	}
}
