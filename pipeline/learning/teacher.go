package learning

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/ledger"
	"sekretariat/pipeline"
	"sekretariat/router"
	"sekretariat/router/model"
	"sekretariat/storage"
)

// Options are what a teacher needs.
type Options struct {
	Centre *configs.Centre
	Log    ledger.Log
	Vault  *storage.Vault
	Router *router.Router
	Logger zerolog.Logger
	// Recheck is how often the teacher looks whether letters were destroyed
	// that it learned from; default an hour.
	Recheck time.Duration
	// Watch, if not nil, is told each time that the router was taught. It must
	// not block.
	Watch func()
}

// Teacher follows what people decide and teaches the router.
type Teacher struct {
	o Options

	mu      sync.Mutex
	history *History
	lessons map[sekretariat.LetterID]*lesson
	taught  []Taught

	measuring sync.Mutex
	report    Report // of the layer that it names
}

// lesson is a letter as it was read for learning; nil when it must not teach.
type lesson struct{ router.Lesson }

// Taught is one example with what the router made of its letter.
type Taught struct {
	Example
	Lesson router.Lesson
}

// New makes a teacher.
func New(o Options) *Teacher {
	if o.Recheck == 0 {
		o.Recheck = time.Hour
	}
	return &Teacher{o: o, history: NewHistory(), lessons: map[sekretariat.LetterID]*lesson{}}
}

// Run follows LETTER until ctx ends. A router that cannot learn is left alone.
func (t *Teacher) Run(ctx context.Context) error {
	if t.o.Centre.Routing.Learning == configs.Off || !t.o.Router.CanLearn() {
		<-ctx.Done()
		return ctx.Err()
	}
	t.mu.Lock()
	t.history, t.lessons = NewHistory(), map[sekretariat.LetterID]*lesson{}
	t.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var watch sync.WaitGroup
	defer watch.Wait()
	watch.Go(func() { t.watchDestroyed(ctx) })
	defer cancel() // before watch.Wait
	return t.o.Log.Follow(ctx, ledger.Letter, 1, func(s ledger.Stored) error {
		t.mu.Lock()
		defer t.mu.Unlock()
		if s.Event.Type == sekretariat.EventReread { // the letter says more than it did
			if d, err := sekretariat.DataOf[sekretariat.RereadData](s.Event); err == nil {
				delete(t.lessons, d.Letter)
				t.history.changed = true
			}
		}
		return t.history.Apply(s.Seq, s.Event)
	}, func() error { return t.catchUp(ctx) })
}

// catchUp teaches the router what is new.
func (t *Teacher) catchUp(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.history.changed {
		return nil
	}
	if err := t.teach(ctx); err != nil {
		return err
	}
	t.history.changed = false
	if t.o.Watch != nil {
		t.o.Watch()
	}
	return nil
}

// Load replays all that was decided so far, once, and teaches the router.
func (t *Teacher) Load(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	err := t.o.Log.Replay(ctx, ledger.Letter, 1, func(s ledger.Stored) error { return t.history.Apply(s.Seq, s.Event) })
	if err != nil || !t.o.Router.CanLearn() {
		return err
	}
	return t.teach(ctx)
}

// Taught are the examples that the router learned from, oldest first.
func (t *Teacher) Taught() []Taught {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.taught
}

// Report is Measure of what the router was taught; it is made once for each
// layer, when somebody asks.
func (t *Teacher) Report() Report {
	t.measuring.Lock()
	defer t.measuring.Unlock()
	version := ""
	if l := t.o.Router.Learned(); l != nil {
		version = l.Version
	}
	if version != t.report.Version || version == "" {
		t.report = Measure(t.o.Router, t.Taught())
	}
	return t.report
}

// correction is how much more a decision against the model counts than one that
// agrees: there are far fewer of them.
const correction = 2

func (t *Teacher) teach(ctx context.Context) error {
	t.taught = nil
	kept := map[sekretariat.LetterID]*lesson{}
	for _, x := range t.history.Examples() {
		l, known := t.lessons[x.Letter]
		if !known {
			var err error
			if l, err = t.read(ctx, x.Letter); err != nil {
				return err
			}
		}
		kept[x.Letter] = l
		if _, there := t.o.Centre.DepartmentByID(x.Department); l != nil && there {
			t.taught = append(t.taught, Taught{x, l.Lesson})
		}
	}
	t.lessons = kept
	if len(t.taught) == 0 {
		t.o.Router.Learn(nil)
		return nil
	}
	t.o.Router.Learn(Layer(t.o.Router, t.taught))
	return nil
}

// Layer makes what a router learns from examples.
func Layer(r *router.Router, list []Taught) *model.Layer {
	taught := make([]model.Taught, len(list))
	digest := sha256.New()
	for i, x := range list {
		taught[i] = model.Taught{Sketch: x.Lesson.Sketch, Before: x.Lesson.Before, Target: router.Place(x.Department), Weight: 1}
		if first, _ := r.First(x.Lesson, nil); first != x.Department {
			taught[i].Weight = correction
		}
		fmt.Fprintf(digest, "%s %s %d\n", x.Letter, x.Department, x.Seq)
	}
	return model.Teach(taught, hex.EncodeToString(digest.Sum(nil)[:6]))
}

// read makes the lesson of a letter out of its sealed reading; nil when it must
// not teach, or is destroyed.
func (t *Teacher) read(ctx context.Context, id sekretariat.LetterID) (*lesson, error) {
	events, err := t.o.Log.Subject(ctx, ledger.Letter, string(id.Submission()))
	if err != nil {
		return nil, fmt.Errorf("learn from %s: %w", id, err)
	}
	var state sekretariat.State
	var data *sekretariat.ReadData
	for _, s := range events {
		if err := state.Apply(s.Event); err != nil {
			return nil, fmt.Errorf("learn from %s: %w", id, err)
		}
		if s.Event.Type == sekretariat.EventRead {
			if d, err := sekretariat.DataOf[sekretariat.ReadData](s.Event); err == nil && d.Letter == id {
				data = &d
			}
		}
	}
	l := state.Letters[id.Part()]
	if l == nil || data == nil || t.private(l) {
		return nil, nil
	}
	r, err := pipeline.LoadReading(ctx, t.o.Vault, t.o.Centre.ID, id.Submission(), l.Reading)
	switch {
	case gone(err):
		return nil, nil
	case err != nil:
		return nil, err
	}
	x := t.o.Router.Lesson(router.Facts{Arrived: data.Arrived, Reading: *r, Now: data.Arrived.Received})
	if x.Barred {
		return nil, nil
	}
	return &lesson{x}, nil
}

// private tells whether a letter belongs to people that others must not learn
// of.
func (t *Teacher) private(l *sekretariat.Letter) bool {
	d, _ := t.o.Centre.DepartmentByID(l.Department)
	return l.Closed || l.Cancelled || d.Closed || t.o.Router.Shields(l.Department) || l.Decision.Urgency == sekretariat.Danger
}

// gone tells that a letter was destroyed, or cannot be opened by anybody.
func gone(err error) bool {
	return errors.Is(err, storage.ErrShredded) || errors.Is(err, storage.ErrDamaged) || errors.Is(err, storage.ErrNotFound)
}

// watchDestroyed forgets what was learned from letters that are destroyed.
func (t *Teacher) watchDestroyed(ctx context.Context) {
	tick := time.NewTicker(t.o.Recheck)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := t.Recheck(ctx); err != nil && ctx.Err() == nil {
			t.o.Logger.Error().Err(err).Str("centre", string(t.o.Centre.ID)).Msg("looking for destroyed letters among the examples failed; trying again")
		}
	}
}

// Recheck reads every example again, so that the router knows nothing of those
// that are destroyed.
func (t *Teacher) Recheck(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lessons = map[sekretariat.LetterID]*lesson{}
	return t.teach(ctx)
}
