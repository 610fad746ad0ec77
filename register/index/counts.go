package index

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"strings"

	"sekretariat"
)

// Counts is how much there is, as far as the principal may see it, with the
// conservation of letters: nothing that came in may be missing from the right
// side (invariant I4).
type Counts struct {
	// Whole: the principal sees the register, so that the next four are told.
	// Others see the letters of their departments alone.
	Whole    bool
	Arrived  int // submissions announced
	Split    int // letters beyond the first of a submission
	Unsorted int // submissions that wait to be sorted
	Repeats  int // deliveries that were seen again

	Registered int // letters with a number, cancelled ones too
	Parked     int
	Waiting    int // sorted, waiting for a number

	// Of the registered ones:
	Unread    int                              // wait to be read
	Unrouted  int                              // read, wait for a decision
	Queues    map[sekretariat.DepartmentID]int // routed, taken or done, by owner
	Open      map[sekretariat.DepartmentID]int // of Queues: not done and not cancelled
	Masked    int                              // closed to the principal, wherever they are
	Cancelled int                              // of the others, not subtracted anywhere
}

// Balanced tells whether what came in is all there: arrived + split off =
// registered + parked + still waiting, and registered = sum over queues + still
// waiting. It is false for a moment while INTAKE is applied after LETTER.
func (c Counts) Balanced() bool {
	queues := 0
	for _, n := range c.Queues {
		queues += n
	}
	return (!c.Whole || c.Arrived+c.Split == c.Registered+c.Parked+c.Waiting+c.Unsorted) &&
		c.Registered == queues+c.Unread+c.Unrouted+c.Masked
}

// sort is what letters are tallied by: all that decides where one is counted
// and, but for copies, who may see it.
type sort struct {
	status                      sekretariat.Status
	department                  sekretariat.DepartmentID
	numbered, closed, cancelled bool
}

func sortOf(l *sekretariat.Letter) sort {
	return sort{l.Status, l.Department, !l.Number.IsZero(), l.Closed, l.Cancelled}
}

// open tells whether such a letter is work for its department's queue.
func (k sort) open() bool {
	return !k.cancelled && (k.status == sekretariat.StatusRouted || k.status == sekretariat.StatusTaken)
}

// letter is such a letter of a centre, as far as MaySee asks.
func (k sort) letter(c sekretariat.CentreID) sekretariat.Letter {
	l := sekretariat.Letter{Centre: c, Department: k.department, Closed: k.closed}
	if k.numbered {
		l.Number.N = 1
	}
	return l
}

const sorts = "l.status, l.department, %s, l.closed, l.cancelled, %s"

// Counts counts what the principal may see.
func (x *Index) Counts(ctx context.Context, p sekretariat.Principal) (Counts, error) {
	c := Counts{Queues: map[sekretariat.DepartmentID]int{}, Open: map[sekretariat.DepartmentID]int{}}
	// One transaction, so that the sums are of one moment.
	tx, err := x.read.BeginTx(ctx, nil)
	if err != nil {
		return c, fmt.Errorf("count letters: %w", err)
	}
	defer tx.Rollback()
	letters := 0
	see := func(k sort, v sekretariat.View, n int) {
		if v != sekretariat.Hidden {
			c.add(k, v, n)
			letters += n
		}
	}
	err = each(ctx, tx, "SELECT "+fmt.Sprintf(sorts, "l.numbered", "l.letters")+" FROM tally l WHERE l.letters <> 0", nil, func(k sort, n int) {
		see(k, sekretariat.MaySee(p, k.letter(x.centre)), n)
	})
	if err != nil {
		return c, fmt.Errorf("count letters: %w", err)
	}
	if err := x.countCopies(ctx, tx, p, see); err != nil {
		return c, fmt.Errorf("count copies: %w", err)
	}
	for _, queues := range []map[sekretariat.DepartmentID]int{c.Queues, c.Open} {
		maps.DeleteFunc(queues, func(_ sekretariat.DepartmentID, n int) bool { return n == 0 })
	}
	if p.Centre == x.centre && (p.Register || p.Admin) {
		if err := x.countSubmissions(ctx, tx, p, &c, letters); err != nil {
			return c, fmt.Errorf("count submissions: %w", err)
		}
	}
	return c, nil
}

// countCopies moves the letters that the principal sees in full only because a
// department of theirs has a copy.
func (x *Index) countCopies(ctx context.Context, tx *sql.Tx, p sekretariat.Principal, see func(sort, sekretariat.View, int)) error {
	if p.Centre != x.centre || p.Register || len(p.Departments) == 0 {
		return nil // who sees the register sees every open letter anyhow
	}
	in := "(?" + strings.Repeat(",?", len(p.Departments)-1) + ")"
	var args []any
	for range 2 {
		for _, d := range p.Departments {
			args = append(args, string(d))
		}
	}
	query := "SELECT " + fmt.Sprintf(sorts, "l.n > 0", "COUNT(*)") + ` FROM letter l
		WHERE l.closed = 0 AND l.id IN (SELECT letter FROM copy WHERE department IN ` + in + `)
		AND NOT (l.department <> '' AND l.department IN ` + in + ") GROUP BY 1, 2, 3, 4, 5"
	return each(ctx, tx, query, args, func(k sort, n int) {
		see(k, sekretariat.MaySee(p, k.letter(x.centre)), -n)
		see(k, sekretariat.Full, n)
	})
}

// each calls f for each line of a counting query.
func each(ctx context.Context, tx *sql.Tx, query string, args []any, f func(sort, int)) error {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var k sort
		var n int
		if err := rows.Scan(&k.status, &k.department, &k.numbered, &k.closed, &k.cancelled, &n); err != nil {
			return err
		}
		f(k, n)
	}
	return rows.Err()
}

// countSubmissions counts what came in, without what the principal may not
// know of: letters is how many they see.
func (x *Index) countSubmissions(ctx context.Context, tx *sql.Tx, p sekretariat.Principal, c *Counts, letters int) error {
	s := x.see(p)
	var total, unannounced, strange, hidden int
	for _, q := range []struct {
		to    *int
		query string
		args  []any
	}{
		{&total, "SELECT COUNT(*) FROM submission", nil},
		{&unannounced, "SELECT COUNT(*) FROM submission WHERE intake = 0", nil},
		{&strange, "SELECT COUNT(*) FROM submission WHERE intake = 0 AND sorted = 1", nil}, // must show as an imbalance
		{&c.Unsorted, "SELECT COUNT(*) FROM submission WHERE intake = 1 AND sorted = 0", nil},
		{&c.Repeats, "SELECT COALESCE(SUM(seen), 0) FROM submission WHERE seen > 0", nil},
		{&hidden, `SELECT COUNT(*) FROM (SELECT DISTINCT submission FROM letter WHERE n = 0) h
			WHERE NOT EXISTS (SELECT 1 FROM letter l WHERE l.submission = h.submission AND ` + s.visible() + ")", s.args},
	} {
		if err := tx.QueryRowContext(ctx, q.query, q.args...).Scan(q.to); err != nil {
			return err
		}
	}
	announced := total - unannounced
	sorted := announced - c.Unsorted + strange
	c.Whole = true
	c.Arrived = announced - hidden
	c.Split = letters - (sorted - hidden)
	return nil
}

func (c *Counts) add(k sort, v sekretariat.View, n int) {
	if !k.numbered {
		if k.status == sekretariat.StatusParked {
			c.Parked += n
		} else {
			c.Waiting += n
		}
		return
	}
	c.Registered += n
	if v != sekretariat.Full {
		c.Masked += n
		return
	}
	if k.cancelled {
		c.Cancelled += n
	}
	switch k.status {
	case sekretariat.StatusRouted, sekretariat.StatusTaken, sekretariat.StatusDone:
		c.Queues[k.department] += n
		if k.open() {
			c.Open[k.department] += n
		}
	case sekretariat.StatusRead:
		c.Unrouted += n
	default:
		c.Unread += n
	}
}
