package index

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sekretariat"
	"sekretariat/ledger"
)

var departments = []sekretariat.DepartmentID{"sekretariat", "dps", "swiadczenia", "przemoc", "kadry"}

// drawStory draws letters in every state: parked, waiting, registered, closed,
// re-routed, with copies, split, cancelled.
func drawStory(t *rapid.T, s *story) {
	number := map[sekretariat.SeriesID]int{}
	dept := rapid.SampledFrom(departments)
	for range rapid.IntRange(1, 6).Draw(t, "submissions") {
		a := s.arrive(rapid.SampledFrom([]sekretariat.Kind{sekretariat.KindMail, sekretariat.KindBox}).Draw(t, "kind"))
		a.Series = rapid.SampledFrom([]sekretariat.SeriesID{"rpw", "mzon"}).Draw(t, "series")
		if rapid.IntRange(0, 9).Draw(t, "unsorted") == 0 {
			continue
		}
		letters := make([]sekretariat.SortedLetter, rapid.IntRange(1, 3).Draw(t, "letters"))
		for i := range letters {
			letters[i].Closed = rapid.Bool().Draw(t, "closed")
			if rapid.IntRange(0, 3).Draw(t, "park") == 0 {
				letters[i].Action, letters[i].Reason = sekretariat.ActionPark, sekretariat.ParkTest
			}
		}
		cause := s.sort(a, letters...)
		for i, l := range letters {
			steps := rapid.IntRange(0, 4).Draw(t, "steps")
			if l.Action == sekretariat.ActionPark || steps == 0 {
				continue
			}
			number[a.Series]++
			s.register(a, i+1, sekretariat.Number{Series: a.Series, Year: 2026, N: number[a.Series]}, cause)
			if steps > 1 {
				s.read(a, i+1)
				for again := range rapid.IntRange(0, 2).Draw(t, "read again") { // before its words are in the index
					id := sekretariat.NewLetterID(a.Submission, i+1)
					s.add(ledger.Letter, sekretariat.EventReread, string(a.Submission), again+1, sekretariat.RereadData{
						Letter: id, Revision: again + 1, Reader: "file-1", Outcome: sekretariat.ReadOK, Reading: sekretariat.ObjectRef{Key: fmt.Sprintf("%s.%d", id, again)},
					})
				}
			}
			for rev := 1; steps > 2 && rev <= steps-2; rev++ {
				d := sekretariat.Decision{Department: dept.Draw(t, "department"), Urgency: rapid.SampledFrom([]sekretariat.Urgency{"normal", "urgent", "danger"}).Draw(t, "urgency")}
				d.Copies = rapid.SliceOfN(dept, 0, 2).Draw(t, "copies")
				s.route(a, i+1, rev, rapid.IntRange(0, 3).Draw(t, "closing") == 0, d)
				s.queue(a, i+1, rev, d.Department, false)
			}
			if rapid.IntRange(0, 5).Draw(t, "cancel") == 0 {
				s.add(ledger.Letter, sekretariat.EventCancelled, string(a.Submission), i, sekretariat.CancelledData{Letter: sekretariat.NewLetterID(a.Submission, i+1), By: "p", Reason: "r"})
			}
		}
	}
}

func drawPrincipal(t *rapid.T) sekretariat.Principal {
	return sekretariat.Principal{
		ID:          "p",
		Centre:      rapid.SampledFrom([]sekretariat.CentreID{centre, centre, centre, "inny", ""}).Draw(t, "centre"),
		Departments: rapid.SliceOfN(rapid.SampledFrom(append([]sekretariat.DepartmentID{""}, departments...)), 0, 2).Draw(t, "departments"),
		Register:    rapid.Bool().Draw(t, "register"),
		Closed:      rapid.Bool().Draw(t, "closed right"),
		Admin:       rapid.Bool().Draw(t, "admin"),
	}
}

// truth folds the story as the vocabulary says, the truth for every query.
func truth(t *rapid.T, s *story) []sekretariat.Letter {
	states := map[sekretariat.SubmissionID]*sekretariat.State{}
	for _, e := range s.events {
		if e.Stream != ledger.Letter && e.Stream != ledger.Register("rpw") && e.Stream != ledger.Register("mzon") {
			continue
		}
		sub := sekretariat.LetterID(e.Subject).Submission()
		if states[sub] == nil {
			states[sub] = &sekretariat.State{}
		}
		if err := states[sub].Apply(e.Event); err != nil {
			t.Fatal(err)
		}
	}
	var out []sekretariat.Letter
	for _, st := range states {
		for _, l := range st.Letters {
			out = append(out, *l)
		}
	}
	return out
}

// Every query gives exactly what sekretariat.MaySee allows, for any letters
// and any principal, page by page.
func TestSightIsMaySee(t *testing.T) {
	dir := t.TempDir()
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		x := openAt(t, filepath.Join(dir, fmt.Sprint(n)))
		defer x.Close()
		s := newStory(t)
		drawStory(rt, s)
		apply(t, x, s.events, rapid.IntRange(1, 50).Draw(rt, "transaction"))
		letters, p := truth(rt, s), drawPrincipal(rt)
		limit := rapid.IntRange(1, 5).Draw(rt, "page")

		checkLetters(rt, x, p, letters)
		checkRegister(rt, x, p, letters, Filter{}, limit)
		checkRegister(rt, x, p, letters, Filter{Department: "dps"}, limit)
		checkRegister(rt, x, p, letters, Filter{Kind: sekretariat.KindBox, Series: "mzon"}, limit)
		for _, d := range departments {
			checkQueue(rt, x, p, d, letters, limit)
		}
		checkParked(rt, x, p, letters, limit)
		checkCounts(rt, x, p, letters)
	})
}

// written compares what letters point at, too.
func written(t *rapid.T, l sekretariat.Letter) string {
	raw, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func checkLetters(t *rapid.T, x *Index, p sekretariat.Principal, letters []sekretariat.Letter) {
	for _, l := range letters {
		got, err := x.Letter(t.Context(), p, l.ID)
		view := sekretariat.MaySee(p, l)
		switch {
		case view == sekretariat.Full && (err != nil || written(t, got) != written(t, l)):
			t.Fatalf("letter %+v\n is %+v (%v)", l, got, err)
		case view != sekretariat.Full && (!errors.Is(err, ErrNotFound) || err.Error() != ErrNotFound.Error()):
			t.Fatalf("letter of view %d answers %v", view, err)
		}
		if l.Number.IsZero() {
			continue
		}
		row, err := x.ByNumber(t.Context(), p, l.Number)
		if (view == sekretariat.Hidden) != errors.Is(err, ErrNotFound) || row.View != view {
			t.Fatalf("number of view %d answers %+v, %v", view, row, err)
		}
	}
}

// all reads a list page by page.
func all(t *rapid.T, limit int, list func(Page) ([]Row, string, error)) []Row {
	var out []Row
	for page := (Page{Limit: limit}); ; {
		rows, next, err := list(page)
		if err != nil {
			t.Fatal(err)
		}
		if out = append(out, rows...); next == "" {
			return out
		}
		if page.After = next; len(out) > 1000 {
			t.Fatal("list without an end")
		}
	}
}

func checkRegister(t *rapid.T, x *Index, p sekretariat.Principal, letters []sekretariat.Letter, f Filter, limit int) {
	var want []string
	for _, l := range letters {
		view := sekretariat.MaySee(p, l)
		if l.Number.IsZero() || view == sekretariat.Hidden || view == sekretariat.Masked && f.narrow() ||
			f.Series != "" && l.Series != f.Series || f.Kind != "" && l.Arrived.Kind != f.Kind || f.Department != "" && l.Department != f.Department {
			continue
		}
		want = append(want, fmt.Sprint(l.Number, view))
	}
	var got []string
	rows := all(t, limit, func(pg Page) ([]Row, string, error) { return x.Register(t.Context(), p, f, pg) })
	for _, r := range rows {
		got = append(got, fmt.Sprint(r.Number, r.View))
		if r.View == sekretariat.Masked && fmt.Sprintf("%+v", r) != fmt.Sprintf("%+v", Row{View: sekretariat.Masked, Number: r.Number, Arrived: r.Arrived}) {
			t.Fatalf("masked row tells more than number and day: %+v", r)
		}
		if h := r.Arrived.In(sekretariat.Warsaw()); r.View == sekretariat.Masked && h.Hour()+h.Minute()+h.Second() != 0 {
			t.Fatalf("masked row tells the hour: %v", h)
		}
	}
	if !slices.IsSortedFunc(rows, func(a, b Row) int {
		if a.Number.Series != b.Number.Series {
			return cmp.Compare(b.Number.Series, a.Number.Series)
		}
		return b.Number.N - a.Number.N
	}) {
		t.Fatalf("register out of order: %v", got)
	}
	same(t, "register", got, want)
}

func same(t *rapid.T, what string, got, want []string) {
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("%s:\n got %v\nwant %v", what, got, want)
	}
}

func checkQueue(t *rapid.T, x *Index, p sekretariat.Principal, d sekretariat.DepartmentID, letters []sekretariat.Letter, limit int) {
	var want, got []string
	for _, l := range letters {
		open := !l.Cancelled && (l.Status == sekretariat.StatusRouted || l.Status == sekretariat.StatusTaken)
		if open && (l.Department == d || slices.Contains(l.Copies, d)) && sekretariat.MaySee(p, l) == sekretariat.Full {
			want = append(want, fmt.Sprint(l.ID, l.Department != d))
		}
	}
	rows := all(t, limit, func(pg Page) ([]Row, string, error) { return x.Queue(t.Context(), p, d, pg) })
	for i, r := range rows {
		got = append(got, fmt.Sprint(r.Letter, r.Copy))
		if r.Queued.IsZero() && !r.Copy {
			t.Fatalf("queued letter without its time: %+v", r)
		}
		if i > 0 && rows[i-1].Urgency.Lane() == r.Urgency.Lane() && rows[i-1].Received.After(r.Received) ||
			i > 0 && rows[i-1].Urgency.Lane() == "normal" && r.Urgency.Lane() == "urgent" {
			t.Fatalf("queue out of order at %d", i)
		}
	}
	same(t, "queue", got, want)
}

func checkParked(t *rapid.T, x *Index, p sekretariat.Principal, letters []sekretariat.Letter, limit int) {
	var want, got []string
	for _, l := range letters {
		if l.Status == sekretariat.StatusParked && sekretariat.MaySee(p, l) == sekretariat.Full {
			want = append(want, string(l.ID))
		}
	}
	for _, r := range all(t, limit, func(pg Page) ([]Row, string, error) { return x.Parked(t.Context(), p, pg) }) {
		got = append(got, string(r.Letter))
	}
	same(t, "parked", got, want)
}

func checkCounts(t *rapid.T, x *Index, p sekretariat.Principal, letters []sekretariat.Letter) {
	want := Counts{Whole: p.Centre == centre && (p.Register || p.Admin), Queues: map[sekretariat.DepartmentID]int{}, Open: map[sekretariat.DepartmentID]int{}}
	submissions := map[sekretariat.SubmissionID]bool{}
	visible := 0
	for _, l := range letters {
		view := sekretariat.MaySee(p, l)
		if view == sekretariat.Hidden {
			continue
		}
		want.add(sortOf(&l), view, 1)
		submissions[l.ID.Submission()] = true
		visible++
	}
	c, err := x.Counts(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if !c.Balanced() {
		t.Fatalf("unbalanced: %+v", c)
	}
	if want.Whole {
		want.Unsorted = c.Unsorted
		want.Arrived, want.Split = len(submissions)+c.Unsorted, visible-len(submissions)
	}
	if fmt.Sprint(c) != fmt.Sprint(want) {
		t.Fatalf("counts\n got %+v\nwant %+v", c, want)
	}
}

// A masked row answers a filter by whole days and nothing finer.
func TestDaysOfMaskedRows(t *testing.T) {
	x := openAt(t, filepath.Join(t.TempDir(), "i"))
	s := newStory(t)
	s.now = time.Date(2026, 3, 28, 23, 30, 0, 0, time.UTC) // 00:30 on the 29th in Poland, the day clocks go forward
	a := s.arrive(sekretariat.KindMail)
	a.Arrived.At = s.now
	s.register(a, 1, sekretariat.Number{Series: "rpw", Year: 2026, N: 1}, s.sort(a, sekretariat.SortedLetter{Closed: true}))
	apply(t, x, s.events, 10)
	clerk := sekretariat.Principal{Centre: centre, Register: true}
	for _, c := range []struct {
		from, to string
		n        int
	}{{"", "", 1}, {"2026-03-29", "2026-03-29", 1}, {"2026-03-28", "2026-03-28", 0}, {"2026-03-30", "", 0}, {"", "2026-03-28", 0}} {
		rows, _, err := x.Register(t.Context(), clerk, Filter{From: c.from, To: c.to}, Page{})
		if err != nil || len(rows) != c.n {
			t.Errorf("%v: %d rows, %v", c, len(rows), err)
		}
	}
	if _, _, err := x.Register(t.Context(), clerk, Filter{From: "2026-03-29T00:30"}, Page{}); !errors.Is(err, ErrBadDay) {
		t.Errorf("a day with an hour: %v", err)
	}
	for _, mark := range []string{"x", "eA", newMarkString("1", "2")} {
		if _, _, err := x.Register(t.Context(), clerk, Filter{}, Page{After: mark}); !errors.Is(err, ErrBadPage) {
			t.Errorf("page mark %q: %v", mark, err)
		}
	}
}
