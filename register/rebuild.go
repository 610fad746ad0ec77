package register

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/ledger"
	"sekretariat/storage"
)

// RebuildOptions say what Rebuild works on.
type RebuildOptions struct {
	Centre sekretariat.CentreID
	Series []sekretariat.SeriesID
	Log    ledger.Log
	Vault  *storage.Vault
	Index  string // file of the read model, "" = leave it alone
	// Ledger, when not nil, also gives the journal back what the store has
	// lost of it and the ledger still has.
	Ledger *ledger.Ledger
	Logger zerolog.Logger
}

// ErrDiverged: the ledger has events that the journal contradicts. It cannot be
// repaired in place, for the ledger forgets nothing.
var ErrDiverged = errors.New("ledger and journal tell different stories: move the NATS folder away and run rebuild again, it is then made from the objects alone")

// RebuildReport is what Rebuild did for one centre.
type RebuildReport struct {
	Centre   sekretariat.CentreID         `json:"centre"`
	Restored map[ledger.StreamName]uint64 `json:"restored"` // events brought back from the journal
	Mended   []Fault                      `json:"mended"`   // journal objects written again from the ledger
	Derived  []Fault                      `json:"derived"`  // what was not in the journal and follows from other objects
	Notes    []Fault                      `json:"notes"`
}

// Text is the report for people.
func (r *RebuildReport) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:\n", r.Centre)
	for _, s := range []ledger.StreamName{ledger.Intake, ledger.Letter, ledger.Queue, ledger.Audit} {
		fmt.Fprintf(&b, "  stream %-20s %d events from the journal\n", s, r.Restored[s])
	}
	for s, n := range r.Restored {
		if strings.HasPrefix(string(s), string(ledger.Register(""))) {
			fmt.Fprintf(&b, "  stream %-20s %d events from the journal\n", s, n)
		}
	}
	for _, f := range r.Mended {
		fmt.Fprintf(&b, "  %s %s: %s\n", f.Code, f.ID, f.What)
	}
	for _, f := range r.Derived {
		fmt.Fprintf(&b, "  derived %s %s: %s\n", f.Code, f.ID, f.What)
	}
	for _, f := range r.Notes {
		fmt.Fprintf(&b, "  note %s %s: %s\n", f.Code, f.ID, f.What)
	}
	b.WriteString("  the index is made again at the next start; run verify now\n")
	return b.String()
}

// rebuilder is one Rebuild.
type rebuilder struct {
	o      RebuildOptions
	v      *verifier // what the streams tell, once they are restored
	report RebuildReport
}

// Rebuild makes the ledger's streams of a centre again from objects: journal
// objects that are missing or damaged between others are written again from the
// ledger while it has their events; what the
// journal has is appended in the same order under the same sequences to empty
// streams, or to streams that hold the beginning of it. What an unjournalled
// tail held is derived: arrivals from manifests, registrations from entries,
// and that a registered letter was sorted from its registration. Nothing is
// decided anew; what the workers have to do again is named. The file of the
// read model is removed, the next start makes it. No worker of the centre may
// run meanwhile. It may be repeated after any crash.
func Rebuild(ctx context.Context, o RebuildOptions) (*RebuildReport, error) {
	r := &rebuilder{o: o, report: RebuildReport{Centre: o.Centre, Restored: map[ledger.StreamName]uint64{}}}
	streams := []ledger.StreamName{ledger.Intake, ledger.Letter, ledger.Queue, ledger.Audit}
	for _, s := range o.Series {
		streams = append(streams, ledger.Register(s))
	}
	for _, s := range streams {
		if err := r.mend(ctx, s); err != nil {
			return nil, fmt.Errorf("rebuild: %w", err)
		}
		if err := r.restore(ctx, s); err != nil {
			return nil, fmt.Errorf("rebuild stream %s of %s: %w", s, o.Centre, err)
		}
	}
	for _, step := range []func(context.Context) error{r.look, r.arrivals, r.registrations, r.removeIndex} {
		if err := step(ctx); err != nil {
			return nil, fmt.Errorf("rebuild %s: %w", o.Centre, err)
		}
	}
	return &r.report, nil
}

func (r *rebuilder) derived(code, id, format string, args ...any) {
	add(&r.report.Derived, Fault{Code: code, ID: id, What: fmt.Sprintf(format, args...)})
}

func (r *rebuilder) note(code, id, format string, args ...any) {
	add(&r.report.Notes, Fault{Code: code, ID: id, What: fmt.Sprintf(format, args...)})
}

// mend writes lost journal objects of a stream again from the ledger.
func (r *rebuilder) mend(ctx context.Context, stream ledger.StreamName) error {
	if r.o.Ledger == nil {
		return nil
	}
	mended, err := r.o.Ledger.MendJournal(ctx, r.o.Vault.Objects(), r.o.Centre, stream)
	for _, m := range mended {
		what := "written again from the ledger, octet by octet as it was"
		if !m.Exact {
			what = "written again from the ledger; the chain of digests names what it stands for"
		}
		add(&r.report.Mended, Fault{Code: "journal-mended", ID: fmt.Sprintf("%s %d-%d", stream, m.First, m.Last), What: what})
		r.o.Logger.Info().Str("stream", string(stream)).Uint64("first", m.First).Uint64("last", m.Last).Bool("exact", m.Exact).Msg("journal mended from the ledger")
	}
	return err
}

// eventErased stands where an event was erased on purpose before the stream was
// lost, so that all others keep their sequences.
const eventErased sekretariat.EventType = "erased.v1"

// restore appends what the journal has beyond the end of a stream.
func (r *rebuilder) restore(ctx context.Context, stream ledger.StreamName) error {
	var have []uint64 // hashes of the events that are there
	st, err := r.o.Log.State(ctx, stream)
	if err != nil {
		return err
	}
	if st.Last > 0 {
		have = make([]uint64, st.Last)
		err := r.o.Log.Replay(ctx, stream, 1, func(s ledger.Stored) error {
			if s.Seq <= st.Last {
				have[s.Seq-1] = hashOf(s)
			}
			return nil
		})
		var gap *ledger.GapError
		if errors.As(err, &gap) || st.First > 1 {
			return fmt.Errorf("%w (%w)", ErrDiverged, err)
		}
		if err != nil {
			return err
		}
	}
	b := &batch{r: r, stream: stream, last: st.Last}
	_, err = ledger.ReadJournal(ctx, r.o.Vault.Objects(), r.o.Centre, stream, 1, func(s ledger.Stored) error {
		if s.Seq <= st.Last {
			if h := have[s.Seq-1]; h != 0 && h != hashOf(s) {
				return fmt.Errorf("sequence %d: %w", s.Seq, ErrDiverged)
			}
			return nil
		}
		return b.add(ctx, s)
	})
	if err == nil {
		err = b.flush(ctx)
	}
	if b.restored > 0 {
		r.report.Restored[stream] = b.restored
		r.o.Logger.Info().Str("stream", string(stream)).Uint64("events", b.restored).Msg("restored from the journal")
	}
	return err
}

// batch appends journalled events in groups.
type batch struct {
	r        *rebuilder
	stream   ledger.StreamName
	last     uint64 // sequence that the stream ends with
	records  []ledger.Record
	restored uint64
}

func (b *batch) add(ctx context.Context, s ledger.Stored) error {
	for next := b.last + uint64(len(b.records)) + 1; next < s.Seq; next++ {
		e, err := sekretariat.NewEvent(eventErased, b.r.o.Centre, "rebuild", fmt.Sprintf("%s-%d", b.stream, next), 0, s.Event.Time, nil)
		if err != nil {
			return err
		}
		if err := b.put(ctx, ledger.Record{Subject: fmt.Sprintf("erased.%d", next), LastSeq: ledger.AnySeq, Event: e}); err != nil {
			return err
		}
	}
	b.restored++
	return b.put(ctx, ledger.Record{Subject: s.Subject, LastSeq: ledger.AnySeq, Event: s.Event})
}

func (b *batch) put(ctx context.Context, rec ledger.Record) error {
	b.records = append(b.records, rec)
	if len(b.records) < ledger.MaxBatch {
		return nil
	}
	return b.flush(ctx)
}

func (b *batch) flush(ctx context.Context) error {
	if len(b.records) == 0 {
		return nil
	}
	_, err := b.r.o.Log.AppendAll(ctx, b.stream, b.last, b.records)
	if err != nil {
		return fmt.Errorf("append %d events behind sequence %d: %w", len(b.records), b.last, err)
	}
	b.last += uint64(len(b.records))
	b.records = b.records[:0]
	return nil
}

// removeIndex removes the read model.
func (r *rebuilder) removeIndex(context.Context) error {
	if r.o.Index == "" {
		return nil
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(r.o.Index + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove the index: %w", err)
		}
	}
	return nil
}
