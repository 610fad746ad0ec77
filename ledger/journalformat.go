package ledger

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"sekretariat"
	"sekretariat/storage"
)

// A journal object is a text of JSON lines: a head, then one line for each
// sequence from First on without a gap. docs/storage.md shows one.

// journalVersion is the version of the format in the head.
const journalVersion = 1

// The bounds of one journal object (octets); one is closed long before.
const (
	journalClose = 8 << 20
	journalLimit = 64 << 20
)

// journalHead is the first line. Previous is the digest of the object before
// this one, which makes a chain of all.
type journalHead struct {
	Version  int                  `json:"version"`
	Centre   sekretariat.CentreID `json:"centre"`
	Stream   StreamName           `json:"stream"`
	First    uint64               `json:"first"`
	Previous sekretariat.Digest   `json:"previous,omitempty"`
	// Instead is the digest of a lost object that this one stands for: the next
	// one names that as its previous one. See MendJournal.
	Instead sekretariat.Digest `json:"instead,omitempty"`
}

// journalLine is one message of the stream as it was stored.
type journalLine struct {
	Seq     uint64          `json:"seq"`
	Time    time.Time       `json:"time,omitzero"`
	Subject string          `json:"subject,omitempty"` // relative
	Event   json.RawMessage `json:"event,omitempty"`
	Raw     []byte          `json:"raw,omitempty"`    // instead of Event when that is not JSON
	Erased  bool            `json:"erased,omitempty"` // was erased before it was journalled
}

func (g *centreLog) journalLine(s StreamName, it item) journalLine {
	if it.erased {
		return journalLine{Seq: it.Seq, Erased: true}
	}
	l := journalLine{Seq: it.Seq, Time: it.Time.UTC(), Subject: strings.TrimPrefix(it.Subject, prefixOf(g.centre, s))}
	if json.Valid(it.Data) {
		l.Event = it.Data
	} else {
		l.Raw = it.Data
	}
	return l
}

// same tells whether two lines tell the same. What was erased since tells
// nothing any more. The server's time does not count: a stream that was made
// again from its journal has the same events at other times.
func (l journalLine) same(o journalLine) bool {
	if l.Erased || o.Erased {
		return l.Seq == o.Seq
	}
	return l.Seq == o.Seq && l.Subject == o.Subject &&
		bytes.Equal(l.Event, o.Event) && bytes.Equal(l.Raw, o.Raw)
}

// journalWriter builds an object.
type journalWriter struct {
	buf   bytes.Buffer
	enc   *json.Encoder
	head  journalHead
	last  journalLine
	lines int
}

func newJournalWriter(h journalHead) (*journalWriter, error) {
	w := &journalWriter{head: h}
	w.enc = json.NewEncoder(&w.buf)
	w.enc.SetEscapeHTML(false) // events go in as they are
	return w, w.enc.Encode(h)
}

func (w *journalWriter) add(l journalLine) error {
	w.last = l
	w.lines++
	return w.enc.Encode(l)
}

// journalObject is one that was read.
type journalObject struct {
	head   journalHead
	digest sekretariat.Digest
	lines  []journalLine
}

// next is the first sequence behind the object.
func (o *journalObject) next() uint64 { return o.head.First + uint64(len(o.lines)) }

// readJournalObject reads and checks one object; storage.ErrNotFound when it is
// not there.
func readJournalObject(ctx context.Context, store storage.Store, c sekretariat.CentreID, s StreamName, first uint64) (*journalObject, error) {
	key := storage.JournalKey(c, string(s), first)
	obj, err := store.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	defer obj.Close()
	if obj.Size() > journalLimit {
		return nil, fmt.Errorf("journal object %s has %d octets: %w", key, obj.Size(), storage.ErrDamaged)
	}
	b, err := io.ReadAll(io.NewSectionReader(obj, 0, obj.Size()))
	if err != nil {
		return nil, fmt.Errorf("journal object %s: %w", key, err)
	}
	o, err := parseJournal(b)
	if err != nil {
		return nil, fmt.Errorf("journal object %s: %w: %w", key, err, storage.ErrDamaged)
	}
	if h := o.head; h.Centre != c || h.Stream != s || h.First != first {
		return nil, fmt.Errorf("journal object %s says that it is %s %s %d: %w", key, h.Centre, h.Stream, h.First, storage.ErrDamaged)
	}
	return o, nil
}

// errJournalVersion: a newer program wrote the object. To this one it is as good
// as damaged, but not to be written anew.
var errJournalVersion = errors.New("unknown version of a journal object")

func parseJournal(b []byte) (*journalObject, error) {
	o := &journalObject{digest: sekretariat.DigestOf(b)}
	if len(b) == 0 || b[len(b)-1] != '\n' {
		return nil, errors.New("it ends in the middle of a line")
	}
	sc := bufio.NewScanner(bytes.NewReader(b))
	sc.Buffer(nil, 2*maxPayload)
	if !sc.Scan() {
		return nil, errors.New("no head")
	}
	if err := json.Unmarshal(sc.Bytes(), &o.head); err != nil {
		return nil, fmt.Errorf("head: %w", err)
	}
	if o.head.Version != journalVersion {
		return nil, fmt.Errorf("%w: %d", errJournalVersion, o.head.Version)
	}
	for sc.Scan() {
		var l journalLine
		if err := json.Unmarshal(sc.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("line %d: %w", len(o.lines)+2, err)
		}
		if l.Seq != o.next() {
			return nil, fmt.Errorf("line %d: sequence %d instead of %d", len(o.lines)+2, l.Seq, o.next())
		}
		o.lines = append(o.lines, l)
	}
	if err := sc.Err(); err != nil {
		return nil, err
	}
	if len(o.lines) == 0 {
		return nil, errors.New("no events")
	}
	return o, nil
}
