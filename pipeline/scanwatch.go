package pipeline

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/extract/virus"
)

// How often the virus scanner is asked whether it lives, and how long it may be
// silent or its signatures may be old before that is an alarm.
const (
	scannerAsk     = 30 * time.Second
	scannerAgain   = 500 * time.Millisecond // first; doubled up to scannerAsk
	maxSignatures  = 72 * time.Hour         // rule P7
	scannerPatient = time.Minute            // an alarm after that long down
)

// ScanStatus is how the virus scanner of a centre is.
type ScanStatus struct {
	Off     bool // the centre scans nothing
	Known   bool // this process asks it: it runs the scan role
	Down    bool
	Error   string        // why it is down, for the operator
	Since   time.Time     // since when it is up or down
	Version virus.Version // when it last answered
	Waiting int           // letters that wait for it in this process
}

// Alarms are the sentences that an operator must see, none when all is well.
func (s ScanStatus) Alarms(now time.Time) []string {
	switch {
	case s.Off || !s.Known:
		return nil
	case s.Down && now.Sub(s.Since) >= scannerPatient:
		return []string{fmt.Sprintf("the virus scanner has not answered since %s: parts of new letters stay locked until it does; look at clamav-daemon (%s)",
			s.Since.Format(time.RFC3339), s.Error)}
	case s.Down:
		return nil
	case s.Version.Made == nil:
		return []string{"the virus scanner does not say how old its signatures are: run freshclam, or copy the files of a machine that did"}
	case now.Sub(*s.Version.Made) > maxSignatures:
		return []string{fmt.Sprintf("the signatures of the virus scanner are from %s, older than three days: look at clamav-freshclam and its way through the proxy",
			s.Version.Made.Format(time.RFC3339))}
	}
	return nil
}

// scanWatch knows whether the virus scanner lives, and holds back those who
// need it while it does not.
type scanWatch struct {
	s     *virus.Scanner // nil: off
	clock sekretariat.Clock
	log   zerolog.Logger

	mu     sync.Mutex
	status ScanStatus
	up     chan struct{} // closed while it lives
	ask    chan struct{} // asks for a look at once
}

func newScanWatch(s *virus.Scanner, clock sekretariat.Clock, log zerolog.Logger) *scanWatch {
	w := &scanWatch{s: s, clock: clock, log: log, up: make(chan struct{}), ask: make(chan struct{}, 1)}
	w.status = ScanStatus{Off: s == nil, Down: s != nil, Since: clock(), Error: "not asked yet"}
	return w
}

// run asks the scanner again and again until ctx ends.
func (w *scanWatch) run(ctx context.Context) error {
	w.mu.Lock()
	w.status.Known = true
	w.mu.Unlock()
	pause, warned := scannerAgain, time.Time{}
	for {
		if w.look(ctx) {
			pause = scannerAsk
		} else {
			pause = min(2*pause, scannerAsk)
		}
		now := w.clock()
		if alarms := w.get().Alarms(now); len(alarms) > 0 && now.Sub(warned) > time.Hour {
			warned = now
			w.log.Error().Msg(alarms[0])
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.ask:
			pause = scannerAgain
		case <-time.After(pause):
		}
	}
}

// look asks once and notes the answer.
func (w *scanWatch) look(ctx context.Context) bool {
	v, err := w.s.Ping(ctx)
	if ctx.Err() != nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	changed := w.status.Down != (err != nil)
	if changed {
		w.status.Since = w.clock()
	}
	if w.status.Down = err != nil; err != nil {
		w.status.Error = err.Error()
		if changed {
			w.up = make(chan struct{})
			w.log.Warn().Err(err).Msg("the virus scanner does not answer; parts of new letters stay locked, everything else goes on")
		}
		return false
	}
	w.status.Version, w.status.Error = v, ""
	if changed {
		close(w.up)
		w.log.Info().Str("scanner", v.Program).Int("database", v.Database).Msg("the virus scanner answers")
	}
	return true
}

// wait returns when the scanner lives.
func (w *scanWatch) wait(ctx context.Context) (virus.Version, error) {
	w.mu.Lock()
	w.status.Waiting++
	up := w.up
	w.mu.Unlock()
	defer func() { w.mu.Lock(); w.status.Waiting--; w.mu.Unlock() }()
	select {
	case <-up:
		return w.get().Version, nil
	case <-ctx.Done():
		return virus.Version{}, ctx.Err()
	}
}

// lost tells that a scan failed and returns whether the scanner is down: then
// it pays to wait for it, else the fault is somewhere else.
func (w *scanWatch) lost(ctx context.Context, _ error) bool {
	down := !w.look(ctx) && ctx.Err() == nil
	if down {
		select {
		case w.ask <- struct{}{}: // look again sooner than in half a minute
		default:
		}
	}
	return down
}

func (w *scanWatch) get() ScanStatus {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.status
}

// WatchScanner asks the virus scanner again and again until ctx ends, for a
// process that shows its state and does not run the scan role.
func (p *Pipeline) WatchScanner(ctx context.Context) error {
	if p.o.Scanner == nil {
		return nil
	}
	return p.scanner.run(ctx)
}

// ScanStatus tells how the virus scanner is.
func (p *Pipeline) ScanStatus() ScanStatus { return p.scanner.get() }

// ScanState returns what may be done with a part of a letter; "" is the
// original.
func (p *Pipeline) ScanState(l *sekretariat.Letter, path string) sekretariat.ScanState {
	state := l.Verdict().State(path)
	if state == sekretariat.ScanPending && p.o.Scanner == nil {
		return sekretariat.ScanOff
	}
	return state
}

// Scanner is the virus scanner of the centre, nil: it does without. Content
// that leaves at once and was never stored is scanned by who sends it.
func (p *Pipeline) Scanner() *virus.Scanner { return p.o.Scanner }
