package register

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"sekretariat"
	"sekretariat/ledger"
)

// Fault is one broken promise: what it concerns (an id, a number, a stream, an
// object key, never a name), what is wrong, and what to do.
type Fault struct {
	Code string `json:"code"`
	ID   string `json:"id"`
	What string `json:"what"`
	Do   string `json:"do,omitempty"`
}

// Waiting counts what is on its way and will go on by itself while the service
// runs.
type Waiting struct {
	Sorting  int       `json:"sorting"`  // submissions
	Number   int       `json:"number"`   // letters, from here on
	Entry    int       `json:"entry"`    // registered, entry object not written yet
	Reading  int       `json:"reading"`  //
	Decision int       `json:"decision"` //
	Queue    int       `json:"queue"`    // decided, not in the queue yet
	Oldest   time.Time `json:"oldest,omitzero"`
}

// SeriesReport is what one series holds in one year.
type SeriesReport struct {
	Series  sekretariat.SeriesID `json:"series"`
	Year    int                  `json:"year"`
	First   int                  `json:"first"`
	Last    int                  `json:"last"`
	Letters int                  `json:"letters"`
}

// StreamReport is how far a stream and its journal go.
type StreamReport struct {
	Stream  ledger.StreamName `json:"stream"`
	Events  uint64            `json:"events"`
	Journal uint64            `json:"journal"` // last event in the journal
}

// Report is the outcome of Verify for one centre.
type Report struct {
	Centre sekretariat.CentreID `json:"centre"`
	Deep   bool                 `json:"deep"`

	Arrived    int                              `json:"arrived"`    // submissions
	Split      int                              `json:"split"`      // letters beyond the first of a submission
	Registered int                              `json:"registered"` // cancelled ones too
	Cancelled  int                              `json:"cancelled"`
	Parked     int                              `json:"parked"`
	Handed     int                              `json:"handed"`    // of the parked: with a department, without a number
	Destroyed  int                              `json:"destroyed"` // submissions whose key was shredded
	Queues     map[sekretariat.DepartmentID]int `json:"queues"`    // letters by owning queue, done ones too
	Waiting    Waiting                          `json:"waiting"`

	Series  []SeriesReport `json:"series"`
	Streams []StreamReport `json:"streams"`

	Faults []Fault `json:"faults"`
	Notes  []Fault `json:"notes"`
}

// maxFaults bounds the faults and the notes that are listed; a damaged disk
// may have one for every letter.
const maxFaults = 1000

// OK tells whether every promise is kept.
func (r *Report) OK() bool { return len(r.Faults) == 0 }

func add(list *[]Fault, f Fault) {
	switch n := len(*list); {
	case n < maxFaults:
		*list = append(*list, f)
	case n == maxFaults:
		*list = append(*list, Fault{Code: "more", What: fmt.Sprintf("more than %d, the rest is not listed", maxFaults)})
	}
}

// Text is the report for people.
func (r *Report) Text() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("%s: arrived %d + split off %d = registered %d + parked %d + waiting for a number %d + waiting to be sorted %d",
		r.Centre, r.Arrived, r.Split, r.Registered, r.Parked, r.Waiting.Number, r.Waiting.Sorting)
	queued := 0
	for _, n := range r.Queues {
		queued += n
	}
	line("  registered %d = in queues %d + waiting: reading %d, decision %d, queue %d",
		r.Registered, queued, r.Waiting.Reading, r.Waiting.Decision, r.Waiting.Queue)
	if r.Handed > 0 {
		line("  of the parked %d are with a department, without a number", r.Handed)
	}
	for _, d := range slices.Sorted(maps.Keys(r.Queues)) {
		line("    queue %-24s %d", d, r.Queues[d])
	}
	for _, s := range r.Series {
		line("  series %s %d: numbers %d to %d, %d letters", s.Series, s.Year, s.First, s.Last, s.Letters)
	}
	if n := r.Waiting.Entry; n > 0 {
		line("  waiting for the object of their entry: %d; the service writes it when it runs", n)
	}
	for _, s := range r.Streams {
		line("  stream %-20s %d events, journal up to %d", s.Stream, s.Events, s.Journal)
	}
	if !r.Waiting.Oldest.IsZero() {
		line("  the oldest that waits was received %s", r.Waiting.Oldest.Format(time.RFC3339))
	}
	for _, part := range []struct {
		name string
		list []Fault
	}{{"note", r.Notes}, {"FAULT", r.Faults}} {
		for _, f := range part.list {
			line("  %s %s %s: %s", part.name, f.Code, f.ID, f.What)
			if f.Do != "" {
				line("      do: %s", f.Do)
			}
		}
	}
	if r.OK() {
		line("  every promise is kept")
	} else {
		line("  %d promises are broken", len(r.Faults))
	}
	return b.String()
}
