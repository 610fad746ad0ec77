package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/ledger"
)

// removal counts the letters of what the next configuration no longer has.
type removal struct {
	departments map[sekretariat.DepartmentID]map[sekretariat.LetterID]bool
	series      map[sekretariat.SeriesID]map[sekretariat.LetterID]bool
}

// refuseRemoval refuses a configuration without a department or a number series
// that letters belong to: the letters would have an owner whom nobody can be,
// or numbers that nobody checks and exports.
func refuseRemoval(ctx context.Context, log ledger.Log, now, next *configs.Centre) error {
	r := removal{map[sekretariat.DepartmentID]map[sekretariat.LetterID]bool{}, map[sekretariat.SeriesID]map[sekretariat.LetterID]bool{}}
	for _, d := range now.Departments {
		if _, kept := next.DepartmentByID(d.ID); !kept {
			r.departments[d.ID] = map[sekretariat.LetterID]bool{}
		}
	}
	for _, s := range now.Series {
		if _, kept := next.SeriesByID(s.ID); !kept {
			r.series[s.ID] = map[sekretariat.LetterID]bool{}
		}
	}
	if len(r.departments)+len(r.series) == 0 {
		return nil
	}
	if err := r.count(ctx, log); err != nil {
		return fmt.Errorf("whether letters belong to what the new configuration removes: %w", err)
	}
	return r.err()
}

// count walks the stories of all letters; a letter counts for whoever has it
// or had it.
func (r *removal) count(ctx context.Context, log ledger.Log) error {
	for id := range r.series {
		err := log.Replay(ctx, ledger.Register(id), 1, func(s ledger.Stored) error {
			r.series[id][sekretariat.LetterID(s.Subject)] = true
			return nil
		})
		if err != nil {
			return err
		}
	}
	// QUEUE: <department>.<lane>.<letter>.<revision>
	err := log.Replay(ctx, ledger.Queue, 1, func(s ledger.Stored) error {
		if at := strings.Split(s.Subject, "."); len(at) > 3 {
			r.had(sekretariat.DepartmentID(at[0]), sekretariat.LetterID(strings.Join(at[2:len(at)-1], ".")))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return log.Replay(ctx, ledger.Letter, 1, r.letter) // what is on its way there
}

func (r *removal) letter(s ledger.Stored) error {
	switch s.Event.Type {
	case sekretariat.EventSorted:
		d, err := sekretariat.DataOf[sekretariat.SortedData](s.Event)
		for _, l := range d.Letters {
			id := sekretariat.NewLetterID(d.Arrived.Submission, l.Part)
			r.had(l.Department, id)
			if of, removed := r.series[l.Series]; removed {
				of[id] = true
			}
		}
		return err
	case sekretariat.EventRouted:
		d, err := sekretariat.DataOf[sekretariat.RoutedData](s.Event)
		for _, to := range append(slices.Clone(d.Decision.Copies), d.Decision.Department) {
			r.had(to, d.Letter)
		}
		return err
	}
	return nil
}

func (r *removal) had(d sekretariat.DepartmentID, id sekretariat.LetterID) {
	if of, removed := r.departments[d]; removed {
		of[id] = true
	}
}

// err is the refusal, nil if nothing that is removed has letters.
func (r *removal) err() error {
	var why []string
	for _, id := range slices.Sorted(maps.Keys(r.departments)) {
		if n := len(r.departments[id]); n > 0 {
			why = append(why, fmt.Sprintf("the new profile no longer has the department %q, which has or had %s: keep it, and close it with \"to: DAY\" "+
				"(its letters then go to the sekretariat) or with \"suspended: [{from: DAY, substitute: DEPARTMENT, why: REASON}]\"", id, letterCount(n)))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(r.series)) {
		if n := len(r.series[id]); n > 0 {
			why = append(why, fmt.Sprintf("the new profile no longer has the number series %q, which %s belong%s to: keep it, and close it by taking away "+
				"its \"units\" and every \"series: %s\" of a channel, so that nothing feeds it", id, letterCount(n), map[bool]string{true: "s"}[n == 1], id))
		}
	}
	if len(why) == 0 {
		return nil
	}
	return fmt.Errorf("the configuration in force stays: %s. See \"Closing a department or a number series\" in docs/operations.md", strings.Join(why, "; "))
}

func letterCount(n int) string {
	if n == 1 {
		return "1 letter"
	}
	return fmt.Sprintf("%d letters", n)
}
