package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"sekretariat"
	"sekretariat/ledger"
	"sekretariat/register"
	"sekretariat/storage"
)

// healthHandler answers /healthz, that the process lives, and /readyz.
func (s *service) healthHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", s.readyz)
	return mux
}

// readyz says whether a letter that came now would get its number.
func (s *service) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 3*time.Second)
	defer cancel()
	if err := s.notReady(ctx); err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, err)
		return
	}
	fmt.Fprintln(w, "ready")
	for _, a := range s.alarms() {
		fmt.Fprintln(w, "warning:", a)
	}
}

// alarms are faults that stop no letter and want the administrator all the
// same.
func (s *service) alarms() (list []string) {
	for _, c := range s.centres {
		for _, a := range s.pipelines[c.cfg.ID].ScanStatus().Alarms(sekretariat.SystemClock()) {
			list = append(list, string(c.cfg.ID)+": "+a)
		}
	}
	for _, o := range s.outboxes {
		if a := o.Alarm(); a != "" {
			list = append(list, a)
		}
	}
	return append(append(list, s.channelAlarms()...), s.certificateAlarms()...)
}

// maxJournalLag is how far the journal may be behind before it is an alarm
// (invariant I6).
const maxJournalLag = 10 * time.Second

// centreNotReady asks for what may live in other processes: the object store
// and a registrar for each series.
func (s *service) centreNotReady(ctx context.Context, c *centreHouse) error {
	if _, err := s.objects.Head(ctx, storage.ConfigKey(c.cfg.ID, "probe")); err != nil && !errors.Is(err, storage.ErrNotFound) {
		return fmt.Errorf("the object store does not answer: %w", err)
	}
	for _, series := range c.cfg.Series {
		alive, err := s.ledger.Working(ctx, c.cfg.ID, ledger.Letter, register.Group(series.ID))
		if err != nil {
			return err
		}
		if !alive {
			return fmt.Errorf("no registrar of series %s of %s is at work", series.ID, c.cfg.ID)
		}
	}
	return nil
}

func (s *service) notReady(ctx context.Context) error {
	if err := s.ledger.Ready(ctx); err != nil {
		return fmt.Errorf("the ledger does not answer: %w", err)
	}
	for _, c := range s.centres {
		if err := s.centreNotReady(ctx, c); err != nil {
			return err
		}
	}
	for _, r := range s.registrar {
		st := r.Status()
		if !st.Ready && st.Err == nil {
			return fmt.Errorf("series %s is still being compared with its entries", st.Series)
		}
		if !st.Ready {
			return fmt.Errorf("series %s cannot register: %w", st.Series, st.Err)
		}
	}
	for _, j := range s.journals {
		lag, err := s.ledger.JournalBehind(ctx, j.centre, j.stream)
		if err != nil {
			return err
		}
		if lag > maxJournalLag {
			return fmt.Errorf("the journal of %s is %s behind", j.stream, lag.Round(time.Second))
		}
	}
	return nil
}
