package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sekretariat"
)

// The bounds of work groups.
const (
	defaultConcurrency = 64
	defaultWait        = 60 * time.Second
	maxAhead           = 1024                   // events taken in advance, when handlers are quick
	aheadTime          = 100 * time.Millisecond // how much work is taken in advance
	firstRetry         = 500 * time.Millisecond
	maxRetry           = 15 * time.Minute
	// maxAckPending is how many events of a group may be running or waiting
	// for a repetition. Those that wait for hours must not stop new ones.
	maxAckPending = 100_000
)

func (o WorkOptions) withDefaults() WorkOptions {
	if o.Concurrency <= 0 {
		o.Concurrency = defaultConcurrency
	}
	if o.Wait <= 0 {
		o.Wait = defaultWait
	}
	return o
}

// work is one running Work call.
type work struct {
	g      *centreLog
	s      StreamName
	stream string
	group  string
	o      WorkOptions
	h      Handler

	jobs  chan *job
	freed chan struct{} // a job was finished

	mu   sync.Mutex
	held map[*job]time.Time // taken and not finished; when last extended
	mean time.Duration      // how long a handler takes, smoothed
}

type job struct {
	msg *nats.Msg
	md  *nats.MsgMetadata
}

// Work implements Log.
func (g *centreLog) Work(ctx context.Context, s StreamName, group string, o WorkOptions, h Handler) error {
	name, err := g.name(s)
	if err != nil {
		return err
	}
	if !sekretariat.ValidSlug(group) {
		return fmt.Errorf("work group %q: not a valid name", group)
	}
	w := &work{
		g: g, s: s, stream: name, group: group, o: o.withDefaults(), h: h,
		freed: make(chan struct{}, 1), held: map[*job]time.Time{}, mean: aheadTime,
	}
	w.jobs = make(chan *job, 2*(w.o.Concurrency+maxAhead))
	var handlers sync.WaitGroup
	for range w.o.Concurrency {
		handlers.Go(func() { w.handle(ctx) })
	}
	beat := make(chan struct{})
	var extender sync.WaitGroup
	extender.Go(func() { w.extend(beat) })

	err = w.fetch(ctx)
	close(w.jobs)
	handlers.Wait()
	close(beat)
	extender.Wait()
	_ = g.l.c.nc.FlushTimeout(2 * time.Second) // acknowledgements are hints
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("work group %s on %s: %w", group, s, err)
	}
	return ctx.Err()
}

// fetch takes events until ctx ends, making the consumer anew whenever it or
// the server went away.
func (w *work) fetch(ctx context.Context) error {
	var b backoff
	for {
		began := time.Now()
		err := w.g.l.ensureConsumer(ctx, w.stream, w.consumer())
		if err == nil {
			err = w.pull(ctx)
		}
		if ctx.Err() != nil {
			return nil
		}
		if refused(err) || errors.Is(err, ErrClosed) {
			return err
		}
		if time.Since(began) > time.Minute {
			b = backoff{}
		}
		w.g.l.log.Warn().Err(err).Str("stream", w.stream).Str("group", w.group).Msg("work interrupted, going on")
		if b.wait(ctx, w.g.l.life) != nil {
			return nil
		}
	}
}

func (w *work) consumer() jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable:       w.group,
		DeliverPolicy: jetstream.DeliverAllPolicy,
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       w.o.Wait,
		MaxDeliver:    -1,
		MaxAckPending: maxAckPending,
		Replicas:      w.g.l.replicas,
	}
}

// pull asks for as many events as there is room for and hands them out, for as
// long as the connection lasts.
func (w *work) pull(ctx context.Context) error {
	p, err := w.g.l.c.newPuller(ctx, w.stream, w.group, w.o.Concurrency+maxAhead)
	if err != nil {
		return err
	}
	defer p.close()
	for {
		if room := w.room() - p.open; room >= max(1, w.capacity()/4) {
			if err := p.ask(room); err != nil {
				return err
			}
		}
		select {
		case m := <-p.ch:
			data, err := p.take(m)
			if err != nil {
				return err
			}
			if data {
				w.take(m)
			}
		case <-w.freed:
		case <-p.epoch.Done():
			return errLostConnection
		case <-p.silence.C:
			if len(p.ch) == 0 && p.open > 0 {
				return errors.New("the server is silent")
			}
			p.heard()
		case <-ctx.Done():
			return nil
		}
	}
}

// capacity is how many events this process holds at once: those being handled
// and enough for the next moment. Slow handlers leave the rest to others.
func (w *work) capacity() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	ahead := float64(w.o.Concurrency) * float64(aheadTime) / float64(max(w.mean, time.Microsecond))
	return w.o.Concurrency + int(min(ahead, maxAhead))
}

func (w *work) room() int {
	c := w.capacity()
	w.mu.Lock()
	defer w.mu.Unlock()
	return c - len(w.held)
}

func (w *work) take(m *nats.Msg) {
	md, err := m.Metadata()
	if err != nil {
		w.g.l.log.Error().Err(err).Str("stream", w.stream).Msg("message without metadata ignored")
		return
	}
	j := &job{msg: m, md: md}
	w.mu.Lock()
	w.held[j] = time.Now()
	w.mu.Unlock()
	w.jobs <- j // has room for more than is ever asked for
}

func (w *work) handle(ctx context.Context) {
	for j := range w.jobs {
		began := time.Now()
		w.one(ctx, j)
		w.mu.Lock()
		delete(w.held, j)
		w.mean += (time.Since(began) - w.mean) / 16
		w.mu.Unlock()
		select {
		case w.freed <- struct{}{}:
		default:
		}
	}
}

// one handles one event and tells the server what became of it.
func (w *work) one(ctx context.Context, j *job) {
	if ctx.Err() != nil {
		w.answer(j, "-NAK")
		return
	}
	st, err := w.g.stored(w.s, rawMsg{Subject: j.msg.Subject, Seq: j.md.Sequence.Stream, Data: j.msg.Data, Time: j.md.Timestamp})
	st.Redelivered = j.md.NumDelivered > 1
	if err != nil {
		err = PermanentCode("unreadable", err)
	} else {
		err = w.g.l.guarded(w.group, st.Event.ID, func() error { return w.h(ctx, st) })
	}
	switch {
	case err == nil:
		w.answer(j, "+ACK")
	case ctx.Err() != nil:
		w.answer(j, "-NAK")
	case IsPermanent(err):
		w.bury(ctx, j, st, err)
	default:
		w.later(j, err)
	}
}

// guarded calls a handler; a panic is an error, so that one bad letter never
// stops the next.
func (l *Ledger) guarded(group, event string, handler func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			// Its text may quote a letter; the stack does not.
			l.log.Error().Str("group", group).Str("event", event).Bytes("stack", debug.Stack()).Msg("handler panicked")
			err = errPanic
		}
	}()
	return handler()
}

var errPanic = errors.New("handler panicked")

// later asks for the event again after a while that doubles each time.
func (w *work) later(j *job, cause error) {
	d := maxRetry
	if n := j.md.NumDelivered; n < 12 {
		d = min(maxRetry, firstRetry<<max(n-1, 0))
	}
	d = jitter(d)
	w.g.l.log.Warn().Err(cause).Str("stream", w.stream).Str("group", w.group).
		Uint64("seq", j.md.Sequence.Stream).Uint64("delivery", j.md.NumDelivered).Dur("again", d).Msg("event failed")
	body, err := json.Marshal(map[string]int64{"delay": d.Nanoseconds()})
	if err != nil {
		return
	}
	w.answer(j, "-NAK "+string(body))
}

// bury puts the event among the dead letters and ends its redelivery.
func (w *work) bury(ctx context.Context, j *job, st Stored, cause error) {
	code := codeOf(cause)
	w.g.l.log.Error().Err(cause).Str("stream", w.stream).Str("group", w.group).
		Uint64("seq", j.md.Sequence.Stream).Str("code", code).Msg("event failed for good")
	if err := w.g.bury(ctx, w.s, w.group, j.md.Sequence.Stream, st, code); err != nil {
		w.later(j, err)
		return
	}
	w.answer(j, "+TERM "+code)
}

func (w *work) answer(j *job, what string) {
	// Lost with the connection at worst; then the event comes again.
	if err := w.g.l.c.nc.Publish(j.msg.Reply, []byte(what)); err != nil {
		w.g.l.log.Debug().Err(err).Str("stream", w.stream).Msg("acknowledgement not sent")
	}
}

// extend tells the server that the held events are still being worked on.
func (w *work) extend(stop <-chan struct{}) {
	every := w.o.Wait / 3
	t := time.NewTicker(max(every/2, time.Millisecond))
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-stop:
			return
		}
		var due []*job
		w.mu.Lock()
		for j, at := range w.held {
			if time.Since(at) >= every {
				w.held[j] = time.Now()
				due = append(due, j)
			}
		}
		w.mu.Unlock()
		for _, j := range due {
			w.answer(j, "+WPI")
		}
	}
}

// EventDead is the type of the events on DEAD.
const EventDead sekretariat.EventType = "dead.v1"

// DeadData is an event that a work group could not handle.
type DeadData struct {
	Stream StreamName         `json:"stream"`
	Seq    uint64             `json:"seq"`
	Group  string             `json:"group"`
	Code   string             `json:"code"`            // see PermanentCode
	Event  *sekretariat.Event `json:"event,omitempty"` // nil if it was unreadable
}

// bury appends to DEAD, once for each group and event.
func (g *centreLog) bury(ctx context.Context, s StreamName, group string, seq uint64, st Stored, code string) error {
	d := DeadData{Stream: s, Seq: seq, Group: group, Code: code}
	subject := fmt.Sprintf("%s.%s.%d", group, strings.ToLower(string(s)), seq)
	about := subject
	if st.Event.ID != "" {
		d.Event, about = &st.Event, st.Event.Subject
	}
	e, err := sekretariat.NewEvent(EventDead, g.centre, group, about, 0, time.Now(), d)
	if err != nil {
		return err
	}
	e.ID = "dead." + subject
	_, err = g.Append(ctx, Dead, Record{Subject: subject, Event: e})
	if errors.Is(err, ErrConflict) {
		return nil // buried by an earlier attempt
	}
	return err
}
