package pipeline

import (
	"container/heap"
	"context"
	"sync"
)

// ticket is a letter that waits for text recognition.
type ticket struct {
	urgent bool
	pages  int
	seq    uint64
}

// before tells whether a letter goes first: the urgent ones, then the short
// ones, so that nobody waits behind a file of three hundred pages, then those
// that came first.
func (t ticket) before(u ticket) bool {
	switch {
	case t.urgent != u.urgent:
		return t.urgent
	case t.pages/10 != u.pages/10:
		return t.pages < u.pages
	}
	return t.seq < u.seq
}

// turnstile lets so many letters in at once, in the order of their tickets.
type turnstile struct {
	mu      sync.Mutex
	free    int
	waiting waiters
}

type waiter struct {
	ticket
	let   chan struct{}
	index int
}

// enter waits for a turn; leave gives it to the next one.
func (q *turnstile) enter(ctx context.Context, t ticket) (leave func(), err error) {
	q.mu.Lock()
	if q.free > 0 {
		q.free--
		q.mu.Unlock()
		return q.leave, nil
	}
	w := &waiter{ticket: t, let: make(chan struct{})}
	heap.Push(&q.waiting, w)
	q.mu.Unlock()
	select {
	case <-w.let:
		return q.leave, nil
	case <-ctx.Done():
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if w.index < 0 { // let in at the same moment
		q.next()
	} else {
		heap.Remove(&q.waiting, w.index)
	}
	return nil, ctx.Err()
}

func (q *turnstile) leave() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.next()
}

// next hands a turn on.
func (q *turnstile) next() {
	if len(q.waiting) == 0 {
		q.free++
		return
	}
	w, _ := heap.Pop(&q.waiting).(*waiter)
	close(w.let)
}

type waiters []*waiter

func (w waiters) Len() int           { return len(w) }
func (w waiters) Less(i, j int) bool { return w[i].before(w[j].ticket) }
func (w waiters) Swap(i, j int)      { w[i], w[j] = w[j], w[i]; w[i].index, w[j].index = i, j }

// Push implements heap.Interface.
func (w *waiters) Push(x any) {
	v, _ := x.(*waiter)
	v.index = len(*w)
	*w = append(*w, v)
}

// Pop implements heap.Interface.
func (w *waiters) Pop() any {
	last := (*w)[len(*w)-1]
	*w, last.index = (*w)[:len(*w)-1], -1
	return last
}
