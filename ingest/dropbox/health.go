package dropbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"sekretariat"
	"sekretariat/ingest"
)

// fault is what is wrong with a box; it is the Code of Health.
type fault string

// The faults, the gravest first.
const (
	faultFolder  fault = "folder"  // cannot be opened or listed
	faultReceive fault = "receive" // the receiver does not make files durable
	faultFile    fault = "file"    // some files cannot be read or moved
)

// status is what Health tells, gathered by Run.
type status struct {
	mu       sync.Mutex
	since    map[fault]time.Time
	waiting  int // files that are not finished, -1 = not known
	leftover int // entries that will never be taken in
	broken   int // files that cannot be read or moved
}

func (s *status) fail(what fault, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.since == nil {
		s.since = map[fault]time.Time{}
	}
	if _, ok := s.since[what]; !ok {
		s.since[what] = now
	}
	if what == faultFolder {
		s.waiting = -1
	}
}

func (s *status) mend(what fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.since, what)
}

// count notes what the last scan saw.
func (s *status) count(waiting, leftover, broken int, now time.Time) {
	if broken > 0 {
		s.fail(faultFile, now)
	} else {
		s.mend(faultFile)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting, s.leftover, s.broken = waiting, leftover, broken
}

// Health fulfils ingest.Channel.
func (f *Folder) Health() ingest.Health {
	s := &f.status
	s.mu.Lock()
	defer s.mu.Unlock()
	h := ingest.Health{OK: len(s.since) == 0, Code: "ok", Waiting: s.waiting}
	for _, what := range []fault{faultFolder, faultReceive, faultFile} {
		if since, ok := s.since[what]; ok {
			h.Code = string(what)
			h.Message = "Od " + since.In(sekretariat.Warsaw()).Format("2.01. 15:04") + " " + s.explain(what)
			return h
		}
	}
	if s.leftover > 0 {
		h.Message = fmt.Sprintf("W folderze skrzynki leżą pozycje, które nie są przyjmowane: %d (podfoldery, skróty lub porzucone pliki tymczasowe). Proszę zajrzeć do folderu.", s.leftover)
	}
	return h
}

// explain says in plain Polish what is wrong and what to do.
func (s *status) explain(what fault) string {
	switch what {
	case faultFolder:
		return "folder skrzynki jest niedostępny. Skany czekają na urządzeniu lub w folderze. Proszę sprawdzić, czy udział sieciowy jest podłączony, i powiadomić administratora."
	case faultReceive:
		return "skany nie mogą zostać zapisane i czekają w folderze. Zostaną przyjęte same, gdy usterka minie. Proszę powiadomić administratora."
	}
	return fmt.Sprintf("plików, których nie można odczytać lub przenieść: %d. Proszę sprawdzić uprawnienia do folderu skrzynki.", s.broken)
}

// report notes and logs a failed attempt.
func (f *Folder) report(r result) {
	if r.outcome == refused {
		f.status.fail(faultReceive, f.o.Clock())
	}
	if r.outcome == refused || r.outcome == unreadable {
		f.o.Logger.Warn().Str("error", withoutNames(r.err)).Msg("file not taken in, trying again")
	}
}

// withoutNames describes an error without the file names that errors of the
// operating system carry, for they may name people.
func withoutNames(err error) string {
	var p *fs.PathError
	var l *os.LinkError
	switch {
	case errors.As(err, &p):
		return p.Op + ": " + p.Err.Error()
	case errors.As(err, &l):
		return l.Op + ": " + l.Err.Error()
	}
	return err.Error()
}
