package desk

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sekretariat"
	"sekretariat/desk/api"
	"sekretariat/pipeline"
	"sekretariat/register/index"
)

// reshapeView is what the sekretariat may do with a letter that is in its hands:
// split it, join it with the one it was split from, correct its day of receipt.
type reshapeView struct {
	Files   []api.Part // that can be split off
	Into    sekretariat.LetterID
	Day     string
	Today   string
	Splits  bool
	Redated int
}

// reshapeOf is nil where the person may do none of it.
func (d *Desk) reshapeOf(v visit, l *sekretariat.Letter, parts []api.Part) *reshapeView {
	if !v.who.Decides() || !l.Decided() || l.Cancelled {
		return nil
	}
	r := &reshapeView{Day: sekretariat.Day(l.Arrived.Arrived.At), Today: sekretariat.Day(d.o.Clock()), Redated: l.Redated}
	if l.Department != sekretariat.Sekretariat || len(l.Copies) > 0 {
		return r
	}
	r.Into = l.Parent
	for _, p := range parts {
		if p.Attachment && p.In == "" && p.Member == 0 {
			r.Files = append(r.Files, p)
		}
	}
	r.Splits = len(r.Files) > 1 || len(r.Files) == 1 && l.Range == ""
	return r
}

// split makes letters of the files that the person numbered: 1 stays, 2 and
// more are new ones.
func (d *Desk) split(ctx context.Context, v visit) error {
	return d.onLetter(ctx, v, func(l *sekretariat.Letter, revision int, reason string) (string, error) {
		pieces, err := piecesOf(v.r.PostForm)
		if err == nil {
			_, err = v.c.Pipeline.Split(ctx, v.who, l.ID, revision, pieces, reason)
		}
		return "/pismo/" + string(l.ID), err
	})
}

// piecesOf reads the fields "plik-<path>" with the ordinal of the letter.
func piecesOf(f map[string][]string) ([]pipeline.Piece, error) {
	byLetter := map[int][]string{}
	for name, values := range f {
		path, ok := strings.CutPrefix(name, "plik-")
		if !ok || len(values) != 1 {
			continue
		}
		n, err := strconv.Atoi(values[0])
		if err != nil || n < 1 || n > 99 {
			return nil, fmt.Errorf("%w: the number of the letter must be from 1 to 99", pipeline.ErrInvalid)
		}
		if n > 1 {
			byLetter[n] = append(byLetter[n], path)
		}
	}
	text := len(f["tresc"]) > 0
	var order []int
	for n := range byLetter {
		order = append(order, n)
	}
	slices.Sort(order)
	var out []pipeline.Piece
	for _, n := range order {
		slices.Sort(byLetter[n])
		out = append(out, pipeline.Piece{Parts: byLetter[n], Text: text})
	}
	return out, nil
}

func (d *Desk) join(ctx context.Context, v visit) error {
	return d.onLetter(ctx, v, func(l *sekretariat.Letter, revision int, reason string) (string, error) {
		return "/pismo/" + string(l.Parent), v.c.Pipeline.Join(ctx, v.who, l.ID, revision, l.Parent, reason)
	})
}

func (d *Desk) redate(ctx context.Context, v visit) error {
	return d.onLetter(ctx, v, func(l *sekretariat.Letter, revision int, reason string) (string, error) {
		return "/pismo/" + string(l.ID), v.c.Pipeline.Redate(ctx, v.who, l.ID, revision, v.r.PostForm.Get("dzien"), reason)
	})
}

// backdatedData is the page of letters whose day of receipt lies before that of
// their registration.
type backdatedData struct {
	From, To string
	Rows     []backdatedRow
	Next     string
}

type backdatedRow struct {
	row
	Registered string
	Why        string
}

// backdated lists them for the supervisor (rule P2).
func (d *Desk) backdated(ctx context.Context, v visit) error {
	if !v.who.Register {
		return pipeline.ErrForbidden
	}
	q := v.r.URL.Query()
	f := index.Filter{From: q.Get("od-dnia"), To: q.Get("do-dnia"), Backdated: true}
	rows, next, err := v.c.Index.Register(ctx, v.who, f, index.Page{Limit: pageRows, After: q.Get("od")})
	if err != nil {
		return err
	}
	data := backdatedData{From: f.From, To: f.To, Next: next}
	for i, r := range d.rows(v.c, rows) {
		data.Rows = append(data.Rows, backdatedRow{
			row: r, Registered: sekretariat.Day(rows[i].Registered),
			Why: v.c.Pipeline.WhyEarlier(ctx, rows[i].Letter, rows[i].Basis, rows[i].Redated, rows[i].Reading),
		})
	}
	return d.show(v, "wsteczne", "Wcześniejsza data wpływu", data)
}
