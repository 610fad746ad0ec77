package index

import (
	"context"
	"fmt"

	"sekretariat"
)

// Counts is how much there is, as far as the principal may see it, with the
// conservation of letters: nothing that came in may be missing from the right
// side (invariant I4).
type Counts struct {
	Arrived  int // submissions announced
	Split    int // letters beyond the first of a submission
	Unsorted int // submissions that wait to be sorted

	Registered int // letters with a number, cancelled ones too
	Parked     int
	Waiting    int // sorted, waiting for a number

	// Of the registered ones:
	Unread    int                              // wait to be read
	Unrouted  int                              // read, wait for a decision
	Queues    map[sekretariat.DepartmentID]int // routed, taken or done, by owner
	Open      map[sekretariat.DepartmentID]int // of Queues: not done and not cancelled
	Masked    int                              // closed to the principal, wherever they are
	Cancelled int                              // of all registered ones, not subtracted anywhere
	Repeats   int                              // deliveries that were seen again
}

// Balanced tells whether what came in is all there: arrived + split off =
// registered + parked + still waiting, and registered = sum over queues + still
// waiting. It is false for a moment while INTAKE is applied after LETTER.
func (c Counts) Balanced() bool {
	queues := 0
	for _, n := range c.Queues {
		queues += n
	}
	return c.Arrived+c.Split == c.Registered+c.Parked+c.Waiting+c.Unsorted &&
		c.Registered == queues+c.Unread+c.Unrouted+c.Masked
}

// Counts counts what the principal may see. Submissions and repeats are told
// to those who may see the register, others see their letters alone.
func (x *Index) Counts(ctx context.Context, p sekretariat.Principal) (Counts, error) {
	c := Counts{Queues: map[sekretariat.DepartmentID]int{}, Open: map[sekretariat.DepartmentID]int{}}
	// One transaction, so that the sums are of one moment.
	tx, err := x.read.BeginTx(ctx, nil)
	if err != nil {
		return c, fmt.Errorf("count letters: %w", err)
	}
	defer tx.Rollback()
	s := x.see(p)
	rows, err := tx.QueryContext(ctx, `SELECT `+s.level()+` AS level, l.status, l.department, l.n > 0, l.open, l.cancelled, COUNT(*)
		FROM letter l WHERE `+s.visible()+` GROUP BY 1, 2, 3, 4, 5, 6`, append(append([]any{}, s.args...), s.args...)...)
	if err != nil {
		return c, fmt.Errorf("count letters: %w", err)
	}
	defer rows.Close()
	letters := 0
	for rows.Next() {
		var g group
		if err := rows.Scan(&g.view, &g.status, &g.department, &g.numbered, &g.open, &g.cancelled, &g.n); err != nil {
			return c, fmt.Errorf("count letters: %w", err)
		}
		letters += g.n
		c.add(g)
	}
	if err := rows.Err(); err != nil {
		return c, fmt.Errorf("count letters: %w", err)
	}
	var sorted int
	err = tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM (SELECT DISTINCT l.submission FROM letter l WHERE "+s.visible()+")", s.args...).Scan(&sorted)
	if err == nil {
		// Letters without an announcement must show as an imbalance.
		err = tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM submission b WHERE b.intake = 1 AND
			EXISTS (SELECT 1 FROM letter l WHERE l.submission = b.id AND `+s.visible()+")", s.args...).Scan(&c.Arrived)
	}
	c.Split = letters - sorted
	if err == nil && p.Centre == x.centre && (p.Register || p.Admin) {
		err = tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM submission WHERE intake = 1 AND sorted = 0").Scan(&c.Unsorted)
		if err == nil {
			err = tx.QueryRowContext(ctx, "SELECT COALESCE(SUM(seen), 0) FROM submission").Scan(&c.Repeats)
		}
	}
	if err != nil {
		return c, fmt.Errorf("count submissions: %w", err)
	}
	c.Arrived += c.Unsorted
	return c, nil
}

// group is one line of the counting query.
type group struct {
	view                      sekretariat.View
	status                    sekretariat.Status
	department                sekretariat.DepartmentID
	numbered, open, cancelled bool
	n                         int
}

func (c *Counts) add(g group) {
	if !g.numbered {
		if g.status == sekretariat.StatusParked {
			c.Parked += g.n
		} else {
			c.Waiting += g.n
		}
		return
	}
	c.Registered += g.n
	if g.view != sekretariat.Full {
		c.Masked += g.n
		return
	}
	if g.cancelled {
		c.Cancelled += g.n
	}
	switch g.status {
	case sekretariat.StatusRouted, sekretariat.StatusTaken, sekretariat.StatusDone:
		c.Queues[g.department] += g.n
		if g.open {
			c.Open[g.department] += g.n
		}
	case sekretariat.StatusRead:
		c.Unrouted += g.n
	default:
		c.Unread += g.n
	}
}
