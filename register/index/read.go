package index

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sekretariat"
)

// Row is one line of a list. When View is Masked, only Number and Arrived (the
// day alone) are set, the same for every kind of closed letter (rule P5).
type Row struct {
	View    sekretariat.View
	Number  sekretariat.Number
	Arrived time.Time // data wpływu, UTC

	Basis      sekretariat.Basis // what Arrived rests on
	Redated    int               // changes of the day of receipt
	Letter     sekretariat.LetterID
	Series     sekretariat.SeriesID
	Kind       sekretariat.Kind
	Door       sekretariat.Door
	Account    string
	Box        string
	Status     sekretariat.Status
	Reason     sekretariat.ParkReason
	Of         sekretariat.LetterID
	Parent     sekretariat.LetterID
	Department sekretariat.DepartmentID
	Copy       bool // in a queue: for information only
	Urgency    sekretariat.Urgency
	Rule       string
	Closed     bool
	Cancelled  bool
	Revision   int
	Failed     int                          // steps that failed for good
	Reading    sekretariat.ObjectRef        // zero: not read yet
	Subject    string                       // as the reading says; "" also while Words has not come to it
	Sender     string                       // its name, else its address
	Hold       time.Time                    // parked: when it registers itself, zero = never
	Junk       *sekretariat.Confirmation    // parked: a person said that it is no letter
	Ack        *sekretariat.Acknowledgement // nil = none was thought of

	Received, Sorted, Registered, Read, Routed, Queued time.Time // zero = not yet
}

// Page asks for part of a list.
type Page struct {
	Limit int    // rows, at most and by default MaxLimit
	After string // Next of the page before, "" for the first one
}

// MaxLimit bounds one page.
const MaxLimit = 500

// ErrBadPage is returned for a Page.After that no list gave out.
var ErrBadPage = errors.New("malformed page mark")

func (p Page) limit() int {
	if p.Limit <= 0 || p.Limit > MaxLimit {
		return MaxLimit
	}
	return p.Limit
}

// Filter narrows the register. A filter on anything that a masked row does not
// show leaves masked rows out altogether: whether one matches would tell.
type Filter struct {
	Series sekretariat.SeriesID
	Year   int
	From   string // data wpływu, RRRR-MM-DD, Polish day, inclusive
	To     string // inclusive

	Kind       sekretariat.Kind
	Department sekretariat.DepartmentID
	Status     sekretariat.Status

	Oldest bool // the lowest number first, as in a register book

	// Backdated leaves those whose data wpływu is a day before that of their
	// registration (rule P2).
	Backdated bool
}

func (f Filter) narrow() bool {
	return f.Kind != "" || f.Department != "" || f.Status != "" || f.Backdated
}

// ErrBadDay is returned for a day that is not RRRR-MM-DD.
var ErrBadDay = errors.New("malformed day, want RRRR-MM-DD")

// days narrows to whole days, so that the hour of a masked row cannot be found
// by asking.
func (q *query) days(f Filter) error {
	for _, d := range []struct {
		day, condition string
		plus           int
	}{{f.From, "l.arrived >= ?", 0}, {f.To, "l.arrived < ?", 1}} {
		if d.day == "" {
			continue
		}
		t, err := time.ParseInLocation(time.DateOnly, d.day, sekretariat.Warsaw())
		if err != nil {
			return fmt.Errorf("%q: %w", d.day, ErrBadDay)
		}
		q.and(d.condition, t.AddDate(0, 0, d.plus).UnixMilli())
	}
	return nil
}

// Letter returns a letter that the principal may see in full. It returns
// ErrNotFound for all others, foreign or missing.
func (x *Index) Letter(ctx context.Context, p sekretariat.Principal, id sekretariat.LetterID) (sekretariat.Letter, error) {
	var l sekretariat.Letter
	sub, err := octets(id.Submission())
	if err != nil {
		return l, ErrNotFound
	}
	s := x.see(p)
	var raw []byte
	err = x.read.QueryRowContext(ctx, "SELECT l.state FROM letter l WHERE l.submission = ? AND l.part = ? AND "+s.full,
		append([]any{sub, id.Part()}, s.args...)...).Scan(&raw)
	if errors.Is(err, sql.ErrNoRows) {
		return l, ErrNotFound
	}
	if err == nil {
		err = json.Unmarshal(raw, &l)
	}
	if err != nil {
		return l, fmt.Errorf("read letter from the index: %w", err)
	}
	return l, nil
}

// ByNumber returns the row of a number, masked where the principal may see no
// more. It returns ErrNotFound when there is none that they may know of.
func (x *Index) ByNumber(ctx context.Context, p sekretariat.Principal, n sekretariat.Number) (Row, error) {
	s := x.see(p)
	q := query{where: []string{"l.year = ?", "l.series = ?", "l.n = ?", "l.n > 0", s.visible()}}
	q.args = append([]any{n.Year, string(n.Series), n.N}, s.args...)
	rows, err := x.rows(ctx, s, q, 1)
	if err != nil {
		return Row{}, err
	}
	if len(rows) == 0 {
		return Row{}, ErrNotFound
	}
	return rows[0], nil
}

// Register lists registered letters, the newest year first, by series, the
// highest number first, or with Filter.Oldest all the other way round. The string is the After of the next page, "" at the
// end.
func (x *Index) Register(ctx context.Context, p sekretariat.Principal, f Filter, page Page) ([]Row, string, error) {
	s := x.see(p)
	q := query{where: []string{"l.n > 0"}, order: "l.year DESC, l.series DESC, l.n DESC"}
	beyond := "(l.year < ? OR l.year = ? AND (l.series < ? OR l.series = ? AND l.n < ?))"
	if f.Oldest {
		q.order = "l.year ASC, l.series ASC, l.n ASC"
		beyond = "(l.year > ? OR l.year = ? AND (l.series > ? OR l.series = ? AND l.n > ?))"
	}
	if f.narrow() {
		q.and(s.full, s.args...)
	} else {
		q.and(s.visible(), s.args...)
	}
	q.equal("l.series", string(f.Series))
	q.equal("l.kind", string(f.Kind))
	q.equal("l.department", string(f.Department))
	q.equal("l.status", string(f.Status))
	if f.Year != 0 {
		q.and("l.year = ?", f.Year)
	}
	if f.Backdated {
		// SQLite knows no Polish days: what may be, by the two offsets of Poland's
		// clock from UTC; register looks again.
		q.and("l.registered > 0 AND (l.registered + 7200000) / 86400000 > (l.arrived + 3600000) / 86400000")
	}
	if err := q.days(f); err != nil {
		return nil, "", err
	}
	if page.After != "" {
		m, err := parseMark(page.After, 3)
		if err != nil {
			return nil, "", err
		}
		year, n := m.int(0), m.int(2)
		q.and(beyond, year, year, m[1], m[1], n)
	}
	rows, err := x.rows(ctx, s, q, page.limit())
	if err != nil || len(rows) < page.limit() {
		return slices.DeleteFunc(rows, otherDay(f)), "", err
	}
	last := rows[len(rows)-1].Number
	rows = slices.DeleteFunc(rows, otherDay(f))
	return rows, newMarkString(strconv.Itoa(last.Year), string(last.Series), strconv.Itoa(last.N)), nil
}

// otherDay tells what a list of letters of an earlier day leaves out.
func otherDay(f Filter) func(Row) bool {
	return func(r Row) bool {
		return f.Backdated && sekretariat.Day(r.Arrived) >= sekretariat.Day(r.Registered)
	}
}

// Queue lists the open work of a department: routed or taken letters that it
// owns and copies for its information, urgent ones first, then the oldest. A
// department that the principal has no right to looks like an empty one.
func (x *Index) Queue(ctx context.Context, p sekretariat.Principal, d sekretariat.DepartmentID, page Page) ([]Row, string, error) {
	s := x.see(p)
	q := query{order: "l.urgent DESC, l.received ASC, l.id ASC"}
	q.where = []string{"l.open = 1", `(l.department = ? OR l.id IN (SELECT letter FROM copy WHERE department = ?))`}
	q.args = []any{string(d), string(d)}
	q.and(s.full, s.args...)
	return x.oldest(ctx, s, q, d, page)
}

// Parked lists what waits aside with a reason, the oldest first.
func (x *Index) Parked(ctx context.Context, p sekretariat.Principal, page Page) ([]Row, string, error) {
	return x.ParkedBetween(ctx, p, time.Time{}, time.Time{}, page)
}

// ParkedBetween lists what waits aside and was received from since on and
// before until: the daily list of rule P8. A zero time is no bound.
func (x *Index) ParkedBetween(ctx context.Context, p sekretariat.Principal, since, until time.Time, page Page) ([]Row, string, error) {
	s := x.see(p)
	q := query{where: []string{"l.status = 'parked'"}, order: "l.urgent DESC, l.received ASC, l.id ASC"}
	if !since.IsZero() {
		q.and("l.received >= ?", since.UnixMilli())
	}
	if !until.IsZero() {
		q.and("l.received < ?", until.UnixMilli())
	}
	q.and(s.full, s.args...)
	return x.oldest(ctx, s, q, "", page)
}

// Handed lists what a department has without a number, the oldest first.
func (x *Index) Handed(ctx context.Context, p sekretariat.Principal, d sekretariat.DepartmentID, page Page) ([]Row, string, error) {
	s := x.see(p)
	q := query{where: []string{"l.status = 'parked'", "l.department = ?"}, args: []any{string(d)}, order: "l.urgent DESC, l.received ASC, l.id ASC"}
	q.and(s.full, s.args...)
	return x.oldest(ctx, s, q, d, page)
}

// oldest runs a list in the order of a queue.
func (x *Index) oldest(ctx context.Context, s sight, q query, d sekretariat.DepartmentID, page Page) ([]Row, string, error) {
	if page.After != "" {
		m, err := parseMark(page.After, 3)
		if err != nil {
			return nil, "", err
		}
		q.and("(l.urgent < ? OR l.urgent = ? AND (l.received > ? OR l.received = ? AND l.id > ?))",
			m.int(0), m.int(0), m.int(1), m.int(1), m.int(2))
	}
	rows, last, err := x.scan(ctx, s, q, page.limit())
	for i := range rows {
		rows[i].Copy = d != "" && rows[i].Department != d
	}
	if err != nil || len(rows) < page.limit() {
		return rows, "", err
	}
	urgent := "0"
	if last.urgent {
		urgent = "1"
	}
	return rows, newMarkString(urgent, strconv.FormatInt(last.received, 10), strconv.FormatInt(last.id, 10)), nil
}

// query is a SELECT being put together.
type query struct {
	where []string
	args  []any
	order string
}

func (q *query) and(condition string, args ...any) {
	q.where = append(q.where, condition)
	q.args = append(q.args, args...)
}

func (q *query) equal(column, value string) {
	if value != "" {
		q.and(column+" = ?", value)
	}
}

func (x *Index) rows(ctx context.Context, s sight, q query, limit int) ([]Row, error) {
	rows, _, err := x.scan(ctx, s, q, limit)
	return rows, err
}

// place is where a row stands in the order of a queue.
type place struct {
	urgent       bool
	received, id int64
}

const columns = `l.id, l.urgent, l.received, l.state, l.sorted, l.read,
	COALESCE((SELECT u.queued FROM queue u WHERE u.submission = l.submission AND u.part = l.part AND u.revision = l.revision AND u.department = l.department), 0),
	COALESCE((SELECT t.subject FROM title t WHERE t.letter = l.id), ''), COALESCE((SELECT t.sender FROM title t WHERE t.letter = l.id), '')`

func (x *Index) scan(ctx context.Context, s sight, q query, limit int) ([]Row, place, error) {
	statement := "SELECT " + s.level() + ", " + columns + " FROM letter l WHERE " + strings.Join(q.where, " AND ")
	if q.order != "" {
		statement += " ORDER BY " + q.order
	}
	args := append(append(append([]any{}, s.args...), q.args...), limit)
	rs, err := x.read.QueryContext(ctx, statement+" LIMIT ?", args...)
	if err != nil {
		return nil, place{}, fmt.Errorf("read the index: %w", err)
	}
	defer rs.Close()
	var out []Row
	var at place
	for rs.Next() {
		r, where, err := scanRow(rs)
		if err != nil {
			return nil, place{}, fmt.Errorf("read the index: %w", err)
		}
		out, at = append(out, r), where
	}
	if err := rs.Err(); err != nil {
		return nil, place{}, fmt.Errorf("read the index: %w", err)
	}
	return out, at, nil
}

func scanRow(rs *sql.Rows) (Row, place, error) {
	var view sekretariat.View
	var at place
	var raw []byte
	var sorted, read, queued int64
	var subject, sender string
	if err := rs.Scan(&view, &at.id, &at.urgent, &at.received, &raw, &sorted, &read, &queued, &subject, &sender); err != nil {
		return Row{}, at, err
	}
	var l sekretariat.Letter
	if err := json.Unmarshal(raw, &l); err != nil {
		return Row{}, at, err
	}
	if view != sekretariat.Full {
		return masked(l), at, nil
	}
	return Row{
		View: view, Number: l.Number, Arrived: l.Arrived.Arrived.At,
		Basis: l.Arrived.Arrived.Basis, Redated: l.Redated,
		Letter: l.ID, Series: l.Series, Kind: l.Arrived.Kind, Door: l.Arrived.Door, Account: l.Arrived.Account, Box: l.Arrived.Box,
		Status: l.Status, Reason: l.Reason, Of: l.Of, Parent: l.Parent,
		Department: l.Department, Urgency: l.Decision.Urgency, Rule: l.Decision.Rule,
		Closed: l.Closed, Cancelled: l.Cancelled, Revision: l.Revision, Failed: len(l.Failures), Reading: l.Reading, Hold: l.Hold, Junk: l.Junk, Ack: l.Ack,
		Subject: subject, Sender: sender,
		Received: l.Arrived.Received, Sorted: timeOf(sorted), Registered: l.Registered, Read: timeOf(read), Routed: l.Routed, Queued: timeOf(queued),
	}, at, nil
}

// masked is the row of a letter that is closed to the principal: number and
// day of receipt. The hour would tell one closed letter from another.
func masked(l sekretariat.Letter) Row {
	y, m, d := l.Arrived.Arrived.At.In(sekretariat.Warsaw()).Date()
	return Row{View: sekretariat.Masked, Number: l.Number, Arrived: time.Date(y, m, d, 0, 0, 0, 0, sekretariat.Warsaw()).UTC()}
}

func timeOf(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// pageMark is the place where the next page begins: some fields, opaque to
// callers.
type pageMark []string

func newMarkString(fields ...string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strings.Join(fields, "\x00")))
}

func parseMark(s string, fields int) (pageMark, error) {
	raw, err := base64.RawURLEncoding.DecodeString(s)
	m := pageMark(strings.Split(string(raw), "\x00"))
	if err != nil || len(m) != fields {
		return nil, ErrBadPage
	}
	return m, nil
}

func (m pageMark) int(i int) int64 {
	n, _ := strconv.ParseInt(m[i], 10, 64)
	return n
}
