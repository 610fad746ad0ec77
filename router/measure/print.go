package measure

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"
)

// Print writes a report for people.
func (r Report) Print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name string, s Share) {
		if s.Of > 0 {
			low, high := s.Interval()
			fmt.Fprintf(t, "%s\t%d/%d\t%.1f %%\t95 %%: %.1f–%.1f\n", name, s.Part, s.Of, 100*s.Value(), 100*low, 100*high)
		}
	}
	fmt.Fprintf(t, "letters\t%d\tmodel %s\t%.0f decisions/s on one core\n", r.Letters, r.Model, float64(r.Letters)/max(r.Took.Seconds(), float64(time.Microsecond)/float64(time.Second)))
	line("top-1", r.Top1)
	line("top-2", r.Top2)
	line("automatic", r.Automatic)
	line("  of these right", r.Right)
	line("urgent, recall", r.Urgent)
	line("urgent, false alarms", r.Alarms)
	line("zagrożenie, of all letters", r.Dangers)
	line("kind of letter", r.Kind)
	line("contact phone", r.Phone)
	line("  where one is given", r.PhoneSaid)
	line("contact e-mail", r.Email)
	line("case number", r.CaseNo)
	line("  where one is given", r.CaseSaid)
	score := func(name string, s Score) {
		if s.True+s.False+s.Missing > 0 {
			p, c := s.Precision(), s.Recall()
			fmt.Fprintf(t, "%s\tF1 %.3f\tprecision %d/%d\trecall %d/%d\n", name, s.F1(), p.Part, p.Of, c.Part, c.Of)
		}
	}
	score("formal defects", r.Defect)
	for _, d := range slices.Sorted(maps.Keys(r.Defects)) {
		score("  "+d, r.Defects[d])
	}
	score("second departments (automatic letters)", r.Second)
	for _, group := range []struct {
		name string
		of   map[string]Share
	}{{"label", r.Labels}, {"channel", r.Channels}, {"trait", r.Traits}} {
		for _, k := range slices.Sorted(maps.Keys(group.of)) {
			line(group.name+" "+k, group.of[k])
		}
	}
	for _, p := range r.Curve {
		low, high := p.Right.Interval()
		fmt.Fprintf(t, "surest %.0f %%\tfrom %.3f\t%.1f %% right\t95 %%: %.1f–%.1f\n", 100*p.Coverage, p.At, 100*p.Right.Value(), 100*low, 100*high)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	return r.confusion(w)
}

// confusion prints which label is taken for which.
func (r Report) confusion(w io.Writer) error {
	if len(r.Confusion) == 0 {
		return nil
	}
	names := slices.Sorted(maps.Keys(r.Confusion))
	for _, said := range r.Confusion {
		for l := range said {
			if !slices.Contains(names, l) {
				names = append(names, l)
			}
		}
	}
	t := tabwriter.NewWriter(w, 0, 0, 1, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "true \\ said\t")
	for i := range names {
		fmt.Fprintf(t, "%d\t", i+1)
	}
	fmt.Fprintln(t)
	for i, truth := range names {
		fmt.Fprintf(t, "%d %s\t", i+1, truth)
		for _, said := range names {
			if n := r.Confusion[truth][said]; n > 0 {
				fmt.Fprintf(t, "%d\t", n)
			} else {
				fmt.Fprint(t, "·\t")
			}
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}
