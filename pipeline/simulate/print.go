package simulate

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"

	"sekretariat"
)

// Print writes the sums for people.
func (r Report) Print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "letters\t%d\t(closed, counted only: %d; not to be opened: %d)\n", r.Letters, r.Hidden, r.Unreadable)
	fmt.Fprintf(t, "would move\t%d\n", r.Moved)
	fmt.Fprintf(t, "sent without asking\t%d\tbefore: %d\n", r.AutoAfter, r.AutoBefore)
	fmt.Fprintf(t, "against a person\t%d\tbefore: %d, of %d that a person decided\n", r.AgainstAfter, r.AgainstBefore, r.Judged)
	fmt.Fprintf(t, "urgency raised\t%d\n", r.Raised)
	fmt.Fprintf(t, "urgency lowered\t%d\n", r.Lowered)
	if len(r.Moves) > 0 {
		fmt.Fprintln(t, "\nFROM\tTO\tLETTERS\tAGAINST A PERSON")
	}
	for _, m := range r.Moves {
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\n", m.From, m.To, m.Letters, m.Against)
	}
	fmt.Fprintf(t, "\nIt took %.1f s. Nothing was changed.\n", r.Took.Seconds())
	return t.Flush()
}

// CSV writes a line for each letter that would be treated differently.
func (r Report) CSV(w io.Writer) error {
	c := csv.NewWriter(w)
	_ = c.Write([]string{"letter", "number", "arrived", "from", "to", "first", "person", "against", "urgency", "urgency before", "rule", "confidence"})
	for _, x := range r.Rows {
		_ = c.Write([]string{string(x.Letter), x.Number, sekretariat.Day(x.Arrived), string(x.From), string(x.To), string(x.First), string(x.Person),
			strconv.FormatBool(x.Against), string(x.Urgency), string(x.Was), x.Rule, strconv.FormatFloat(x.Confidence, 'f', 3, 64)})
	}
	c.Flush()
	return c.Error() // of all lines before
}
