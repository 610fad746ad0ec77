package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"time"
)

// maxBatchBytes bounds one batch of Append (octets of payload).
const maxBatchBytes = 4 << 20

// committer gathers concurrent appends to one stream: while one batch is on
// its way to the disk the next one collects.
type committer struct {
	l      *Ledger
	stream string
	in     chan *pending
	held   []*pending // taken from in, but of a later batch
	busy   int        // messages of the batch before
	last   uint64     // last sequence that was acknowledged, if known
	known  bool
}

func (l *Ledger) newCommitter(stream string) *committer {
	k := &committer{l: l, stream: stream, in: make(chan *pending, MaxBatch)}
	l.wg.Go(k.run)
	return k
}

// run commits batches until the ledger closes; what was handed over before is
// still committed.
func (k *committer) run() {
	for {
		batch := k.gather()
		if batch == nil {
			return
		}
		k.begin()
		k.busy = len(batch)
		k.commit(batch)
	}
}

// gather returns the next batch: at least one message, no two of one subject
// (the second's condition could not hold before the first is stored); nil
// when the ledger closes and nothing waits.
func (k *committer) gather() []*pending {
	g := gathering{subjects: map[string]bool{}}
	held := k.held
	k.held = nil
	for _, p := range held {
		k.add(&g, p)
	}
	if len(g.batch) == 0 {
		select {
		case p := <-k.in:
			k.add(&g, p)
		case <-k.l.closing:
			select {
			case p := <-k.in:
				k.add(&g, p)
			default:
				return nil
			}
		}
	}
	// Callers that the last batch has just answered are about to come again:
	// let them run before deciding that nobody else is waiting.
	for idle := 0; idle < 2 && g.room() && len(k.held) < MaxBatch; {
		select {
		case p := <-k.in:
			k.add(&g, p)
			idle = 0
		default:
			runtime.Gosched()
			idle++
		}
	}
	k.linger(&g)
	return g.batch
}

// How long a batch under backlog waits to become as large as the one before:
// a batch costs the server files and flushes of its own, whatever it holds.
const (
	lingerFrom = 4 // messages of the batch before
	lingerMax  = 2 * time.Millisecond
)

// linger lets a batch grow under backlog. A single letter on a quiet system
// never waits: the batch before it was as small as its own.
func (k *committer) linger(g *gathering) {
	if k.busy < lingerFrom || len(g.batch) >= k.busy {
		return
	}
	end := time.NewTimer(lingerMax)
	defer end.Stop()
	for len(g.batch) < k.busy && g.room() && len(k.held) < MaxBatch {
		select {
		case p := <-k.in:
			k.add(g, p)
		case <-end.C:
			return
		case <-k.l.closing:
			return
		}
	}
}

// gathering is a batch in the making.
type gathering struct {
	batch    []*pending
	bytes    int
	subjects map[string]bool
}

func (g *gathering) room() bool { return len(g.batch) < MaxBatch && g.bytes < maxBatchBytes }

// add puts p into the batch or, if it does not fit, among the held ones.
func (k *committer) add(g *gathering, p *pending) {
	if !g.room() || g.subjects[p.subject] {
		k.held = append(k.held, p)
		return
	}
	g.batch = append(g.batch, p)
	g.bytes += len(p.data)
	g.subjects[p.subject] = true
}

// commit tries until every message of the batch is stored, refused or given up
// by its caller.
func (k *committer) commit(batch []*pending) {
	var b backoff
	for {
		batch = k.wanted(batch)
		if len(batch) == 0 {
			return
		}
		now, later := k.split(batch)
		rest, err := k.attempt(now)
		if err == nil && len(rest) < len(now) { // progress
			batch = append(rest, later...)
			continue
		}
		if err != nil && final(err) {
			k.fail(batch, err)
			return
		}
		batch = append(rest, later...)
		if err := b.wait(k.l.life, k.l.life); err != nil {
			k.fail(batch, err)
			return
		}
	}
}

// attempt publishes a batch and returns what is to be tried again.
func (k *committer) attempt(batch []*pending) (rest []*pending, err error) {
	first, err := k.l.c.publish(k.l.life, batch, AnySeq)
	if err == nil {
		k.acknowledged(first, len(batch))
		for i, p := range batch {
			p.finish(first+uint64(i), nil)
		}
		return nil, nil
	}
	if final(err) {
		return batch, err
	}
	if !isConflict(err) {
		k.l.log.Warn().Err(err).Str("stream", k.stream).Int("events", len(batch)).Msg("append not confirmed, trying again")
		for _, p := range batch {
			p.unsure = true
		}
		if !slices.ContainsFunc(batch, func(p *pending) bool { return p.lastSeq == AnySeq }) {
			return batch, err // their conditions tell at the next attempt
		}
	}
	return k.l.c.resolve(k.l.life, k.stream, batch)
}

// maxHole bounds the sequences that one failed write can have left empty.
const maxHole = 2 * MaxBatch

// begin looks where the stream ends before this process writes to it.
func (k *committer) begin() {
	if k.known || k.l.embedded == nil {
		return
	}
	if i, err := k.l.c.info(k.l.life, k.stream); err == nil {
		k.last, k.known = i.State.Last, true
	}
}

// acknowledged notes what was stored. A write that failed, as on a full disk,
// leaves its sequences empty: what is missing between the last acknowledgement
// and this one was acknowledged to nobody, and readers must not take it for
// damage. Only the process of the embedded server knows that.
func (k *committer) acknowledged(first uint64, n int) {
	if !k.known || first <= k.last {
		return
	}
	for seq := max(k.last+1, first-min(first, maxHole)); seq < first; seq++ {
		if _, err := k.l.c.get(k.l.life, k.stream, msgGet{Seq: seq}); !isNotFound(err) {
			continue // of another process, or not known
		}
		if _, err := k.l.claim(k.l.life, erasedKey(k.stream, seq), []byte("never-acknowledged")); err != nil {
			k.l.log.Error().Err(err).Str("stream", k.stream).Uint64("seq", seq).Msg("an empty sequence could not be noted; verify will name it")
			continue
		}
		k.l.log.Warn().Str("stream", k.stream).Uint64("seq", seq).Msg("a write failed and left this sequence empty; nothing was lost")
	}
	k.last = first + uint64(n) - 1
}

// wanted drops messages that nobody waits for any more.
func (k *committer) wanted(batch []*pending) []*pending {
	rest := batch[:0:0]
	for _, p := range batch {
		if err := p.ctx.Err(); err != nil {
			p.finish(0, err)
			continue
		}
		rest = append(rest, p)
	}
	return rest
}

// split returns what goes into one publish. An unconditional message in doubt
// goes alone: the server answers a duplicate with its first sequence, but
// refuses a batch that contains one.
func (k *committer) split(batch []*pending) (now, later []*pending) {
	for i, p := range batch {
		if p.unsure && p.lastSeq == AnySeq {
			if i == 0 {
				return batch[:1], batch[1:]
			}
			return batch[:i], batch[i:]
		}
	}
	return batch, nil
}

func (k *committer) fail(batch []*pending, err error) {
	for _, p := range batch {
		p.finish(0, err)
	}
}

// encode checks a record and renders its event.
func (g *centreLog) encode(s StreamName, r Record) (string, []byte, error) {
	if !validSubject(r.Subject) {
		return "", nil, fmt.Errorf("%q is not a subject", r.Subject)
	}
	data, err := json.Marshal(r.Event)
	if err != nil {
		return "", nil, fmt.Errorf("encoding event %s: %w", r.Event.ID, err)
	}
	const headers = 1 << 10
	if len(data) > maxPayload-headers {
		return "", nil, fmt.Errorf("event %s has %d octets, over the limit of %d: events carry references only",
			r.Event.ID, len(data), maxPayload-headers)
	}
	return prefixOf(g.centre, s) + r.Subject, data, nil
}

// Append implements Log. When ctx ends first, the event may be stored or not.
func (g *centreLog) Append(ctx context.Context, s StreamName, r Record) (uint64, error) {
	k, ok := g.committers[s]
	if !ok {
		return 0, fmt.Errorf("centre %s has no stream %q", g.centre, s)
	}
	seq, err := g.append(ctx, k, s, r)
	if err != nil {
		return 0, fmt.Errorf("append to %s %s: %w", s, r.Subject, err)
	}
	return seq, nil
}

func (g *centreLog) append(ctx context.Context, k *committer, s StreamName, r Record) (uint64, error) {
	subject, data, err := g.encode(s, r)
	if err != nil {
		return 0, err
	}
	p := newPending(ctx, subject, r.LastSeq, data)
	if err := g.l.enter(); err != nil {
		return 0, err
	}
	defer g.l.calls.Done()
	select {
	case k.in <- p:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	select {
	case o := <-p.done:
		return o.seq, o.err
	case <-ctx.Done():
		return 0, fmt.Errorf("outcome unknown: %w", ctx.Err())
	}
}

// AppendAll implements Log.
func (g *centreLog) AppendAll(ctx context.Context, s StreamName, streamSeq uint64, rs []Record) (uint64, error) {
	name, err := g.name(s)
	if err != nil {
		return 0, err
	}
	if len(rs) == 0 || len(rs) > MaxBatch {
		return 0, fmt.Errorf("append of %d events to %s: between 1 and %d go into one batch", len(rs), s, MaxBatch)
	}
	ps := make([]*pending, len(rs))
	seen := map[string]bool{}
	for i, r := range rs {
		subject, data, err := g.encode(s, r)
		if err != nil {
			return 0, fmt.Errorf("append to %s: %w", s, err)
		}
		if seen[subject] && r.LastSeq != AnySeq {
			return 0, fmt.Errorf("append to %s: two conditions on subject %s in one batch", s, r.Subject)
		}
		seen[subject] = true
		ps[i] = newPending(ctx, subject, r.LastSeq, data)
	}
	if err := g.l.enter(); err != nil {
		return 0, err
	}
	defer g.l.calls.Done()
	first, err := g.l.appendAll(ctx, name, streamSeq, ps)
	if err != nil {
		return 0, fmt.Errorf("append of %d events to %s after sequence %d: %w", len(rs), s, streamSeq, err)
	}
	return first, nil
}

// appendAll repeats the batch until its outcome is known. The message after
// streamSeq tells it: ours, somebody else's, or none yet.
func (l *Ledger) appendAll(ctx context.Context, stream string, streamSeq uint64, ps []*pending) (uint64, error) {
	var b backoff
	for unsure := false; ; {
		first, err := l.c.publish(ctx, ps, streamSeq)
		if err == nil || final(err) {
			return first, err
		}
		unsure = unsure || !isConflict(err)
		m, gerr := l.c.get(ctx, stream, msgGet{Seq: streamSeq + 1})
		switch {
		case gerr == nil && unsure && tokenOf(m.Header) == ps[0].token:
			return m.Seq, nil
		case gerr == nil:
			return 0, ErrConflict
		case isNotFound(gerr) && isConflict(err) && !l.stillAt(ctx, stream, streamSeq, ps):
			return 0, ErrConflict
		}
		if werr := b.wait(ctx, l.life); werr != nil {
			return 0, fmt.Errorf("outcome unknown: %w (last answer: %w)", werr, err)
		}
	}
}

// stillAt tells whether all conditions of the batch hold by now, which after a
// conflict happens only when an earlier attempt was still being decided.
func (l *Ledger) stillAt(ctx context.Context, stream string, streamSeq uint64, ps []*pending) bool {
	i, err := l.c.info(ctx, stream)
	if err != nil || i.State.Last != streamSeq {
		return err != nil
	}
	for _, p := range ps {
		if p.lastSeq == AnySeq {
			continue
		}
		m, err := l.c.get(ctx, stream, msgGet{Last: p.subject})
		if isNotFound(err) {
			m.Seq, err = 0, nil
		}
		if err == nil && m.Seq != p.lastSeq {
			return false
		}
	}
	return true
}
