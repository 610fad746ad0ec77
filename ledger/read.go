package ledger

import (
	"context"
	"fmt"
	"strings"
	"time"

	"sekretariat"
)

// rawMsg is a message as STREAM.MSG.GET answers it.
type rawMsg struct {
	Subject string    `json:"subject"`
	Seq     uint64    `json:"seq"`
	Header  []byte    `json:"hdrs"`
	Data    []byte    `json:"data"`
	Time    time.Time `json:"time"`
}

// msgGet is the question of STREAM.MSG.GET.
type msgGet struct {
	Seq  uint64 `json:"seq,omitempty"`
	Last string `json:"last_by_subj,omitempty"`
	Next string `json:"next_by_subj,omitempty"`
}

// get reads one message at the stream's leader; ErrNotFound.
func (c *conn) get(ctx context.Context, stream string, q msgGet) (rawMsg, error) {
	var r struct {
		Message rawMsg `json:"message"`
	}
	err := c.api(ctx, "STREAM.MSG.GET."+stream, q, &r)
	if hasCode(err, codeNoMessage) {
		return rawMsg{}, ErrNotFound
	}
	return r.Message, err
}

// streamInfo is the part of STREAM.INFO that we use.
type streamInfo struct {
	State struct {
		Messages uint64 `json:"messages"`
		First    uint64 `json:"first_seq"`
		Last     uint64 `json:"last_seq"`
		Deleted  int    `json:"num_deleted"`
	} `json:"state"`
}

func (c *conn) info(ctx context.Context, stream string) (streamInfo, error) {
	var i streamInfo
	err := c.api(ctx, "STREAM.INFO."+stream, nil, &i)
	return i, err
}

// centreLog is the Log of one centre.
type centreLog struct {
	l          *Ledger
	centre     sekretariat.CentreID
	committers map[StreamName]*committer
}

// name checks that the centre has the stream and returns its server name.
func (g *centreLog) name(s StreamName) (string, error) {
	if _, ok := g.committers[s]; !ok {
		return "", fmt.Errorf("centre %s has no stream %q", g.centre, s)
	}
	return streamOf(g.centre, s), nil
}

// stored turns a message into what callers see.
func (g *centreLog) stored(s StreamName, m rawMsg) (Stored, error) {
	st := Stored{
		Stream:  s,
		Subject: strings.TrimPrefix(m.Subject, prefixOf(g.centre, s)),
		Seq:     m.Seq,
		Time:    m.Time.UTC(),
	}
	var err error
	if st.Event, err = sekretariat.ParseEvent(m.Data); err != nil {
		return st, fmt.Errorf("%s sequence %d is not an event: %w", streamOf(g.centre, s), m.Seq, err)
	}
	return st, nil
}

func (g *centreLog) read(ctx context.Context, s StreamName, q msgGet) (Stored, error) {
	name, err := g.name(s)
	if err != nil {
		return Stored{}, err
	}
	m, err := g.l.c.get(ctx, name, q)
	if err != nil {
		return Stored{}, err
	}
	return g.stored(s, m)
}

// Last implements Log.
func (g *centreLog) Last(ctx context.Context, s StreamName, subject string) (Stored, error) {
	if !validSubject(subject) {
		return Stored{}, fmt.Errorf("last event of %s %q: not a subject", s, subject)
	}
	st, err := g.read(ctx, s, msgGet{Last: prefixOf(g.centre, s) + subject})
	if err != nil {
		return st, fmt.Errorf("last event of %s %s: %w", s, subject, err)
	}
	return st, nil
}

// Tail implements Log. Asking for the last message of all subjects would have
// the server look through all of them, one for each letter there ever was.
func (g *centreLog) Tail(ctx context.Context, s StreamName) (Stored, error) {
	st, err := g.tail(ctx, s)
	if err != nil {
		return st, fmt.Errorf("last event of %s: %w", s, err)
	}
	return st, nil
}

func (g *centreLog) tail(ctx context.Context, s StreamName) (Stored, error) {
	name, err := g.name(s)
	if err != nil {
		return Stored{}, err
	}
	i, err := g.l.c.info(ctx, name)
	if err != nil {
		return Stored{}, err
	}
	if i.State.Last > 0 {
		if st, err := g.read(ctx, s, msgGet{Seq: i.State.Last}); !isNotFound(err) {
			return st, err
		}
	}
	return g.read(ctx, s, msgGet{Last: prefixOf(g.centre, s) + ">"}) // the last sequence is an empty one
}

// Subject implements Log.
func (g *centreLog) Subject(ctx context.Context, s StreamName, subject string) ([]Stored, error) {
	if !validSubject(subject) {
		return nil, fmt.Errorf("events of %s %q: not a subject", s, subject)
	}
	var all []Stored
	err := g.matching(ctx, s, subject, func(st Stored) error {
		all = append(all, st)
		return nil
	})
	return all, err
}

// matching calls fn for each event whose relative subject matches filter,
// oldest first.
func (g *centreLog) matching(ctx context.Context, s StreamName, filter string, fn func(Stored) error) error {
	for seq := uint64(1); ; {
		st, err := g.read(ctx, s, msgGet{Seq: seq, Next: prefixOf(g.centre, s) + filter})
		if isNotFound(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("events of %s %s: %w", s, filter, err)
		}
		if err := fn(st); err != nil {
			return err
		}
		seq = st.Seq + 1
	}
}

// State implements Log.
func (g *centreLog) State(ctx context.Context, s StreamName) (StreamState, error) {
	name, err := g.name(s)
	if err != nil {
		return StreamState{}, err
	}
	i, err := g.l.c.info(ctx, name)
	if err != nil {
		return StreamState{}, fmt.Errorf("state of %s: %w", s, err)
	}
	return StreamState{First: i.State.First, Last: i.State.Last, Messages: i.State.Messages, Deleted: i.State.Deleted}, nil
}
