// Package dropbox is the channel of scanned letters: the drop boxes of a
// centre, whose papers a worker scans. Two doors lead into a box: a watched
// folder, into which scanners and copiers write, and an HTTP upload with a
// token for exactly one box. Box, unit and department come from the
// configuration, never from the file, and the same bytes in one box are one
// submission through whichever door they came.
package dropbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/ingest"
)

// Defaults of a watched folder.
const (
	DefaultQuiet    = 5 * time.Second
	DefaultPoll     = 15 * time.Second
	DefaultKeep     = 7 * 24 * time.Hour // rule P14
	DefaultPatience = 10 * time.Minute
	defaultParallel = 8
	longestBackoff  = time.Minute
)

// Options say which folder to watch and what to do with its files.
type Options struct {
	Centre   sekretariat.CentreID
	Box      configs.Box // ID, Folder and the times; zero times mean the defaults
	Receiver ingest.Receiver
	Emptied  Emptied           // nil: the day of the scan is the day of receipt
	Clock    sekretariat.Clock // nil = SystemClock
	Logger   zerolog.Logger
	// Patience is how long a file may look unfinished, without changing,
	// before it is taken in as it is (default 10 min).
	Patience time.Duration
	// Parallel is how many files are taken in at once (default 8).
	Parallel int
}

// Folder watches one box folder. It fulfils ingest.Channel.
//
// A file passes through these steps; a crash between any two is mended by the
// next start, which takes files in .taken again (a Repeat, if need be):
// quiet and complete in the folder → claimed by renaming into .taken → read,
// durable → renamed into done/<day>, or error/<day> with a reason in Polish.
type Folder struct {
	o Options

	status status

	// Only the goroutine of Run touches these.
	seen   map[string]*sighting // by path
	ready  []*sighting          // to be worked on, oldest first
	looked time.Time            // time of the last scan
	due    time.Time            // time of the next one
	claims map[string]bool      // folders in .taken that a worker is busy with
	round  uint64               // of the last scan
	purged string               // day of the last emptying of done/

	results chan result
	running sync.WaitGroup
	slots   chan struct{}
}

// New makes the channel. It fails only for options that no waiting mends.
func New(o Options) (*Folder, error) {
	switch {
	case !sekretariat.ValidSlug(string(o.Centre)) || !sekretariat.ValidSlug(o.Box.ID):
		return nil, fmt.Errorf("box %q of centre %q: centre and box need ids of lower-case letters, digits and hyphens", o.Box.ID, o.Centre)
	case o.Box.Folder == "":
		return nil, fmt.Errorf("box %s of centre %s has no folder: set boxes.folder", o.Box.ID, o.Centre)
	case o.Receiver == nil:
		return nil, fmt.Errorf("box %s of centre %s: no receiver", o.Box.ID, o.Centre)
	case o.Box.Quiet < 0 || o.Box.Poll < 0 || o.Box.Keep < 0 || o.Patience < 0 || o.Parallel < 0:
		return nil, fmt.Errorf("box %s of centre %s: times must not be negative", o.Box.ID, o.Centre)
	}
	setDefault(&o.Box.Quiet, DefaultQuiet)
	setDefault(&o.Box.Poll, DefaultPoll)
	setDefault(&o.Box.Keep, DefaultKeep)
	setDefault(&o.Patience, DefaultPatience)
	setDefault(&o.Parallel, defaultParallel)
	if o.Clock == nil {
		o.Clock = sekretariat.SystemClock
	}
	o.Logger = o.Logger.With().Str("channel", string(o.Centre)+"/"+o.Box.ID).Logger()
	return &Folder{
		o: o, status: status{waiting: -1},
		results: make(chan result, o.Parallel), slots: make(chan struct{}, o.Parallel),
	}, nil
}

func setDefault[T int | time.Duration](v *T, to T) {
	if *v == 0 {
		*v = to
	}
}

// Name fulfils ingest.Channel.
func (f *Folder) Name() string { return string(f.o.Centre) + "/" + f.o.Box.ID }

// Run fulfils ingest.Channel. Whatever is wrong with the folder (not mounted,
// no rights, full) is shown in Health and tried again.
func (f *Folder) Run(ctx context.Context) error {
	for tries := 0; ctx.Err() == nil; tries++ {
		began := time.Now()
		err := f.session(ctx)
		if ctx.Err() != nil {
			break
		}
		if time.Since(began) > longestBackoff {
			tries = 0
		}
		f.o.Logger.Warn().Err(err).Msg("box folder cannot be worked on, trying again")
		f.status.fail(faultFolder, f.o.Clock())
		pause(ctx, backoff(f.step(), tries))
	}
	return nil
}

// session works on one opened folder until ctx ends or the folder fails.
func (f *Folder) session(ctx context.Context) error {
	root, err := os.OpenRoot(f.o.Box.Folder)
	if err != nil {
		return fmt.Errorf("open the box folder: %w", err)
	}
	defer root.Close()
	if err := prepare(root); err != nil {
		return err
	}
	events, closeWatch := f.watch()
	defer closeWatch()
	f.seen, f.claims, f.ready, f.purged = map[string]*sighting{}, map[string]bool{}, nil, ""
	ctx, cancel := context.WithCancel(ctx)
	defer f.drain()
	defer cancel()
	f.due = time.Now()
	for {
		if !time.Now().Before(f.due) {
			if err := f.look(root); err != nil {
				return err
			}
		}
		f.start(ctx, root)
		if !f.wait(ctx, events) {
			return ctx.Err()
		}
	}
}

// look goes through the folder and finds out what is ready and when to look
// again.
func (f *Folder) look(root *os.Root) error {
	if err := f.stillThere(root); err != nil {
		return err
	}
	f.looked = time.Now()
	f.due = f.looked.Add(f.o.Box.Poll)
	if err := f.scan(root); err != nil {
		return err
	}
	f.status.mend(faultFolder)
	f.purge(root)
	return nil
}

// lookAt moves the next look forward to a time, yet leaves a pause between two
// looks: a folder of 20,000 files must not be listed for each of them.
func (f *Folder) lookAt(at time.Time) {
	if pause := f.looked.Add(f.o.Box.Quiet / 4); at.Before(pause) {
		at = pause
	}
	if at.Before(f.due) {
		f.due = at
	}
}

// wait pauses until the next look is due, the kernel reports something, or a
// file was finished. It returns false when ctx ended.
func (f *Folder) wait(ctx context.Context, events <-chan struct{}) bool {
	timer := time.NewTimer(time.Until(f.due))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-events:
		f.lookAt(time.Now())
	case r := <-f.results:
		f.settle(r)
	case <-timer.C:
	}
	return true
}

// drain waits for the files in work; they end soon, because ctx has ended or
// because the folder is gone.
func (f *Folder) drain() {
	idle := make(chan struct{})
	go func() { f.running.Wait(); close(idle) }()
	for {
		select {
		case <-f.results:
		case <-idle:
			for len(f.results) > 0 {
				<-f.results
			}
			return
		}
	}
}

// watch begins watching if that can be done; else the poll alone must do.
func (f *Folder) watch() (<-chan struct{}, func()) {
	if f.o.Box.Network {
		return nil, func() {}
	}
	w, err := watch(f.o.Box.Folder)
	if err != nil {
		f.o.Logger.Warn().Err(err).Msg("folder cannot be watched, polling instead; raise fs.inotify.max_user_watches or set network: true")
		return nil, func() {}
	}
	return w.C, w.Close
}

// prepare makes our folders inside the box folder, which itself is never
// made: a missing one means that a share is not mounted.
func prepare(root *os.Root) error {
	for _, d := range []string{takenDir, doneDir, errorDir} {
		if err := root.Mkdir(d, 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make %s in the box folder: %w", d, err)
		}
		info, err := root.Lstat(d)
		if err != nil {
			return fmt.Errorf("look at %s in the box folder: %w", d, err)
		}
		if !info.IsDir() {
			return fmt.Errorf("%s in the box folder is not a folder: move it away", d)
		}
	}
	return removeEmptyClaims(root)
}

// stillThere notices that the folder was unmounted or exchanged under us.
func (f *Folder) stillThere(root *os.Root) error {
	now, err := os.Stat(f.o.Box.Folder)
	if err != nil {
		return fmt.Errorf("look at the box folder: %w", err)
	}
	ours, err := root.Stat(".")
	if err != nil {
		return fmt.Errorf("look at the opened box folder: %w", err)
	}
	if !os.SameFile(now, ours) {
		return errors.New("the box folder was exchanged")
	}
	return nil
}

// step is the shortest pause after a failure.
func (f *Folder) step() time.Duration { return min(f.o.Box.Quiet, time.Second) }

// backoff grows from step to longestBackoff, with jitter so that many boxes
// that failed together do not return together.
func backoff(step time.Duration, tries int) time.Duration {
	d := longestBackoff
	if tries < 20 {
		d = min(d, step<<tries)
	}
	return d/2 + rand.N(d/2+1)
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
