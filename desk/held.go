package desk

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"sekretariat"
	"sekretariat/pipeline"
)

// heldDecision is a decision that takes effect in a moment, unless it is undone
// (rule P19). If the program dies before, it did not happen: the letter is
// where it was, before everybody's eyes.
type heldDecision struct {
	centre   *Centre
	who      sekretariat.Principal
	letter   sekretariat.LetterID
	revision int
	to       sekretariat.DepartmentID
	reason   string
	at       time.Time // when it takes effect
	timer    *time.Timer
}

// held are the decisions of all people that may still be undone.
type held struct {
	wait     time.Duration
	carryOut func(*heldDecision)
	mu       sync.Mutex
	m        map[sekretariat.LetterID]*heldDecision
	failed   map[string][]*heldDecision // by person, until they have seen it
	closed   bool
	running  sync.WaitGroup
}

// heldView is one of them as a page shows it.
type heldView struct {
	Letter sekretariat.LetterID
	To     string
	Failed bool // it could not be carried out
}

func newHeld(wait time.Duration, carryOut func(*heldDecision)) *held {
	return &held{wait: wait, carryOut: carryOut, m: map[sekretariat.LetterID]*heldDecision{}, failed: map[string][]*heldDecision{}}
}

// add holds a decision. It is false when another one on the same letter is
// held, or the desk is closing: then nothing was decided.
func (h *held) add(d *heldDecision) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, there := h.m[d.letter]; there || h.closed {
		return false
	}
	d.at = time.Now().Add(h.wait)
	d.timer = time.AfterFunc(h.wait, func() { h.run(d) })
	h.m[d.letter] = d
	return true
}

// run carries a decision out if it is still held.
func (h *held) run(d *heldDecision) {
	h.mu.Lock()
	mine := h.m[d.letter] == d
	if mine {
		delete(h.m, d.letter)
		h.running.Add(1)
	}
	h.mu.Unlock()
	if mine {
		defer h.running.Done()
		h.carryOut(d)
	}
}

// undo takes a decision back; only whoever made it may. It is false when it
// has taken effect already.
func (h *held) undo(id sekretariat.LetterID, person string) bool {
	h.mu.Lock()
	d := h.m[id]
	if d == nil || d.who.ID != person {
		h.mu.Unlock()
		return false
	}
	delete(h.m, id)
	h.mu.Unlock()
	d.timer.Stop()
	return true
}

func (h *held) has(id sekretariat.LetterID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, there := h.m[id]
	return there
}

// of lists what a person may still undo, the latest first.
func (h *held) of(person string, c *Centre) []heldView {
	h.mu.Lock()
	defer h.mu.Unlock()
	var mine []*heldDecision
	for _, d := range h.m {
		if d.who.ID == person {
			mine = append(mine, d)
		}
	}
	slices.SortFunc(mine, func(a, b *heldDecision) int { return b.at.Compare(a.at) })
	var out []heldView
	for _, d := range h.failed[person] {
		out = append(out, heldView{Letter: d.letter, To: departmentName(c.Config, d.to), Failed: true})
	}
	delete(h.failed, person)
	for _, d := range mine {
		out = append(out, heldView{Letter: d.letter, To: departmentName(c.Config, d.to)})
	}
	return out
}

// close carries everything out at once and takes nothing more.
func (h *held) close() {
	h.mu.Lock()
	h.closed = true
	all := slices.Collect(maps.Values(h.m))
	h.mu.Unlock()
	for _, d := range all {
		d.timer.Stop()
		h.run(d)
	}
	h.running.Wait()
}

// How long a decision is tried again while ledger or store are away.
const (
	carryFor  = 5 * time.Minute
	carryStep = 2 * time.Second
)

// carryOut makes a held decision take effect. If the letter has changed
// meanwhile, the other change stands and the letter is where that put it;
// whoever decided is told on their next page.
func (d *Desk) carryOut(h *heldDecision) {
	ctx, cancel := context.WithTimeout(context.Background(), carryFor)
	defer cancel()
	for {
		err := h.centre.Pipeline.Reroute(ctx, h.who, h.letter, h.revision, h.to, h.reason)
		if err == nil {
			return
		}
		if ctx.Err() != nil || errors.Is(err, pipeline.ErrChanged) || refused(err) || errors.Is(err, pipeline.ErrInvalid) {
			d.o.Logger.Error().Err(err).Str("letter", string(h.letter)).Msg("a decision of a clerk could not be carried out; the letter stays where it was")
			d.held.tell(h)
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(carryStep):
		}
	}
}

// tell remembers a decision that failed until whoever made it has seen it.
func (h *held) tell(d *heldDecision) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failed[d.who.ID] = append(h.failed[d.who.ID], d)
}
