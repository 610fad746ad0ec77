package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/ledger"
	"sekretariat/pipeline"
)

// bailiff is a mail that holds three letters.
const bailiff = "From: komornik@sad.example\r\nSubject: Zajecia\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" +
	"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nW zalaczeniu trzy pisma.\r\n" +
	"--b\r\nContent-Type: text/plain; charset=utf-8; name=pierwsze.txt\r\nContent-Disposition: attachment; filename=pierwsze.txt\r\n\r\nkowalski alfa\r\n" +
	"--b\r\nContent-Type: text/plain; charset=utf-8; name=drugie.txt\r\nContent-Disposition: attachment; filename=drugie.txt\r\n\r\nnowak beta szukam noclegu\r\n" +
	"--b\r\nContent-Type: text/plain; charset=utf-8; name=trzecie.txt\r\nContent-Disposition: attachment; filename=trzecie.txt\r\n\r\nwrona gamma\r\n" +
	"--b--\r\n"

// inHand takes the mail in and brings it into the sekretariat's hands.
func inHand(t *testing.T) (*office, *sekretariat.Letter) {
	o := open(t, nil)
	o.run()
	l := o.settled(o.take("a", bailiff))
	if l.Department != sekretariat.Sekretariat {
		if err := o.pipe.Reroute(t.Context(), o.clerk(), l.ID, l.Revision, sekretariat.Sekretariat, "do podziału"); err != nil {
			t.Fatal(err)
		}
		l = o.await(l.ID, "the sekretariat", func(l *sekretariat.Letter) bool { return l.Department == sekretariat.Sekretariat })
	}
	return o, l
}

// filesOf are the paths of the files that a letter covers, by name.
func filesOf(t *testing.T, o *office, l *sekretariat.Letter) map[string]string {
	t.Helper()
	r, err := pipeline.LoadReading(t.Context(), o.house.Vault, o.cfg.ID, l.ID.Submission(), l.Reading)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, p := range r.Parts {
		if p.Attachment {
			out[p.SafeName] = p.Path
		}
	}
	if strings.TrimSpace(r.Text) != "" {
		out["text"] = ""
	}
	return out
}

// Three letters in one mail: two get numbers of their own, in order, with the
// same day of receipt; each shows its own file alone, and so does the first
// (rule P3). Joining cancels a number and gives its file back.
func TestSplitAndJoin(t *testing.T) {
	o, l := inHand(t)
	f := filesOf(t, o, l)
	pieces := []pipeline.Piece{{Parts: []string{f["drugie.txt"]}, Text: true}, {Parts: []string{f["trzecie.txt"]}}}
	ids, err := o.pipe.Split(t.Context(), o.clerk(), l.ID, l.Revision, pieces, "trzy sprawy")
	if err != nil || len(ids) != 2 {
		t.Fatalf("split: %v %v", ids, err)
	}
	if _, err := o.pipe.Split(t.Context(), o.clerk(), l.ID, l.Revision, pieces, "trzy sprawy"); !errors.Is(err, pipeline.ErrChanged) {
		t.Errorf("the same command again: %v", err)
	}
	first := o.await(l.ID, "the router's second look", func(l *sekretariat.Letter) bool { return l.Rereads == 1 && l.Advised == 1 })
	want := []map[string]string{{"pierwsze.txt": f["pierwsze.txt"], "text": ""}, {"drugie.txt": f["drugie.txt"], "text": ""}, {"trzecie.txt": f["trzecie.txt"]}}
	letters := []*sekretariat.Letter{first}
	for i, id := range ids {
		c := o.await(id, "a decision", (*sekretariat.Letter).Decided)
		if c.Parent != l.ID || c.Number.N != i+2 || !c.Arrived.Arrived.At.Equal(l.Arrived.Arrived.At) {
			t.Errorf("child %d: parent %s, number %d, received %s", i, c.Parent, c.Number.N, c.Arrived.Arrived.At)
		}
		letters = append(letters, c)
	}
	for i, l := range letters {
		if got := filesOf(t, o, l); fmt.Sprint(got) != fmt.Sprint(want[i]) {
			t.Errorf("letter %d covers %v, want %v", i+1, got, want[i])
		}
	}
	if r := o.verified(); r.Registered != 3 {
		t.Errorf("verify counts %d letters", r.Registered)
	}
	o.replayed(t)
	o.verified()

	third := letters[2]
	if third.Department != sekretariat.Sekretariat {
		if err := o.pipe.Join(t.Context(), o.clerk(), third.ID, third.Revision, l.ID, "jedna sprawa"); err == nil {
			t.Error("a letter that a department has was joined")
		}
		if err := o.pipe.Reroute(t.Context(), o.clerk(), third.ID, third.Revision, sekretariat.Sekretariat, "do połączenia"); err != nil {
			t.Fatal(err)
		}
		third = o.await(third.ID, "the sekretariat", func(l *sekretariat.Letter) bool { return l.Department == sekretariat.Sekretariat })
	}
	if err := o.pipe.Join(t.Context(), o.clerk(), third.ID, third.Revision, l.ID, "jedna sprawa"); err != nil {
		t.Fatal(err)
	}
	first = o.await(l.ID, "the joined reading", func(l *sekretariat.Letter) bool { return l.Rereads == 2 })
	if got := filesOf(t, o, first); got["pierwsze.txt"] == "" || got["trzecie.txt"] == "" || got["drugie.txt"] != "" {
		t.Errorf("after joining the first letter covers %v", got)
	}
	third = o.await(third.ID, "the end", func(l *sekretariat.Letter) bool { return l.Cancelled })
	if third.Of != l.ID || third.Number.N != 3 {
		t.Errorf("the cancelled entry: of %s, number %d", third.Of, third.Number.N)
	}
	if r := o.verified(); r.Registered != 3 || r.Cancelled != 1 {
		t.Errorf("verify counts %d letters, %d cancelled", r.Registered, r.Cancelled)
	}
}

// replayed handles every event of LETTER again, as after a crash.
func (o *office) replayed(t *testing.T) {
	t.Helper()
	err := o.log.Replay(t.Context(), ledger.Letter, 1, func(s ledger.Stored) error { return pipeline.Handle(o.pipe, t.Context(), s) })
	if err != nil {
		t.Fatal(err)
	}
}

// A department that gets one of the letters reads its own file, and neither the
// others' nor the original.
func TestSplitLettersAreApart(t *testing.T) {
	o, l := inHand(t)
	f := filesOf(t, o, l)
	ids, err := o.pipe.Split(t.Context(), o.clerk(), l.ID, l.Revision, []pipeline.Piece{{Parts: []string{f["drugie.txt"]}}}, "dwie sprawy")
	if err != nil {
		t.Fatal(err)
	}
	c := o.await(ids[0], "a decision", (*sekretariat.Letter).Decided)
	if c.Department != "bezdomnosc" {
		if err := o.pipe.Reroute(t.Context(), o.clerk(), c.ID, c.Revision, "bezdomnosc", "ich"); err != nil {
			t.Fatal(err)
		}
	}
	who := o.who("bezdomnosc")
	if _, err := o.pipe.Content(t.Context(), who, c.ID); err != nil {
		t.Errorf("the department cannot read its letter: %v", err)
	}
	if _, err := o.pipe.Open(t.Context(), who, c.ID); !errors.Is(err, pipeline.ErrForbidden) {
		t.Errorf("the department opens the whole consignment: %v", err)
	}
	if _, err := o.pipe.Content(t.Context(), who, l.ID); !errors.Is(err, pipeline.ErrNotFound) {
		t.Errorf("the department reads the other letter: %v", err)
	}
	r, err := pipeline.LoadReading(t.Context(), o.house.Vault, o.cfg.ID, c.ID.Submission(), c.Reading)
	if err != nil || strings.Contains(r.Text+r.Subject, "Zajecia") || strings.Contains(fmt.Sprint(r.Parts), "kowalski") {
		t.Errorf("the letter shows what is not its own: %+v %v", r, err)
	}
}

func TestSplitRefusals(t *testing.T) {
	o, l := inHand(t)
	f := filesOf(t, o, l)
	one := []pipeline.Piece{{Parts: []string{f["drugie.txt"]}}}
	for name, c := range map[string]struct {
		who    sekretariat.Principal
		rev    int
		pieces []pipeline.Piece
		reason string
		want   error
	}{
		"nothing named":    {o.clerk(), l.Revision, nil, "r", pipeline.ErrInvalid},
		"no reason":        {o.clerk(), l.Revision, one, " ", pipeline.ErrInvalid},
		"file twice":       {o.clerk(), l.Revision, append(slices.Clone(one), one...), "r", pipeline.ErrInvalid},
		"message alone":    {o.clerk(), l.Revision, []pipeline.Piece{{Text: true}}, "r", pipeline.ErrInvalid},
		"unknown file":     {o.clerk(), l.Revision, []pipeline.Piece{{Parts: []string{"77"}}}, "r", pipeline.ErrChanged},
		"other revision":   {o.clerk(), l.Revision + 1, one, "r", pipeline.ErrChanged},
		"a department":     {o.who("bezdomnosc"), l.Revision, one, "r", pipeline.ErrNotFound},
		"not the office's": {sekretariat.Principal{ID: "x", Centre: "inny", Register: true}, l.Revision, one, "r", pipeline.ErrNotFound},
	} {
		if _, err := o.pipe.Split(t.Context(), c.who, l.ID, c.rev, c.pieces, c.reason); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	// An auditor sees the letter and changes nothing.
	auditor := o.clerk()
	auditor.Looks = true
	if _, err := o.pipe.Letter(t.Context(), auditor, l.ID); err != nil {
		t.Errorf("the auditor does not see it: %v", err)
	}
	auditor.Departments = nil
	for name, do := range map[string]func() error{
		"split": func() error {
			_, err := o.pipe.Split(t.Context(), auditor, l.ID, l.Revision, one, "r")
			return err
		},
		"reroute": func() error {
			return o.pipe.Reroute(t.Context(), auditor, l.ID, l.Revision, "bezdomnosc", "r")
		},
		"redate": func() error {
			return o.pipe.Redate(t.Context(), auditor, l.ID, 0, sekretariat.Day(time.Now().AddDate(0, 0, -1)), "r")
		},
		"release": func() error { return o.pipe.Release(t.Context(), auditor, l.ID) },
	} {
		if err := do(); !errors.Is(err, pipeline.ErrForbidden) {
			t.Errorf("the auditor may %s: %v", name, err)
		}
	}
	o.verified()
}

// A person corrects the day of receipt: with a reason, never into the future,
// once; the number and the entry stay, the list names the reason (rule P2).
func TestRedate(t *testing.T) {
	o, l := inHand(t)
	now := time.Now()
	earlier := sekretariat.Day(now.AddDate(0, 0, -3))
	for name, c := range map[string]struct {
		day, reason string
		want        error
	}{
		"future":    {sekretariat.Day(now.AddDate(0, 0, 2)), "r", pipeline.ErrInvalid},
		"no reason": {earlier, "", pipeline.ErrInvalid},
		"no day":    {"wczoraj", "r", pipeline.ErrInvalid},
	} {
		if err := o.pipe.Redate(t.Context(), o.clerk(), l.ID, 0, c.day, c.reason); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := o.pipe.Redate(t.Context(), o.clerk(), l.ID, 0, earlier, "poczta z piątku"); err != nil {
		t.Fatal(err)
	}
	if err := o.pipe.Redate(t.Context(), o.clerk(), l.ID, 0, sekretariat.Day(now.AddDate(0, 0, -4)), "jeszcze raz"); !errors.Is(err, pipeline.ErrChanged) {
		t.Errorf("a second correction over the first: %v", err)
	}
	got := o.await(l.ID, "the new day", func(l *sekretariat.Letter) bool { return l.Redated == 1 })
	if sekretariat.Day(got.Arrived.Arrived.At) != earlier || got.Arrived.Arrived.Basis != sekretariat.BasisClerk || got.Number != l.Number || got.Revision != l.Revision {
		t.Errorf("corrected: %+v", got.Arrived.Arrived)
	}
	if why := o.pipe.WhyEarlier(t.Context(), l.ID, got.Arrived.Arrived.Basis, got.Redated, got.Reading); why != "poczta z piątku" {
		t.Errorf("the list says %q", why)
	}
	o.verified()
}

// between is a ledger in which something happens before the first event of a
// type is appended.
type between struct {
	ledger.Log
	before sekretariat.EventType
	do     func()
}

// Append implements ledger.Log.
func (b *between) Append(ctx context.Context, s ledger.StreamName, r ledger.Record) (uint64, error) {
	if do := b.do; do != nil && r.Event.Type == b.before {
		b.do = nil
		do()
	}
	return b.Log.Append(ctx, s, r)
}

// What was made of the whole reading does not come into force after a split: it
// quotes what is another letter's by then.
func TestSplitOvertakes(t *testing.T) {
	o, l := inHand(t)
	f := filesOf(t, o, l)
	log := &between{Log: o.log, before: sekretariat.EventRedated, do: func() {
		if _, err := o.pipe.Split(t.Context(), o.clerk(), l.ID, l.Revision, []pipeline.Piece{{Parts: []string{f["drugie.txt"]}}}, "dwie sprawy"); err != nil {
			t.Error(err)
		}
	}}
	p := pipeline.New(pipeline.Options{
		Centre: o.cfg, Log: log, Vault: o.house.Vault, Claims: o.house.Ledger, Reader: o.reader, Router: o.router, Logger: zerolog.Nop(), Clock: o.clock,
	})
	day := sekretariat.Day(time.Now().AddDate(0, 0, -1))
	if err := p.Redate(t.Context(), o.clerk(), l.ID, 0, day, "r"); !errors.Is(err, pipeline.ErrChanged) {
		t.Errorf("a correction made of the whole letter after its split: %v", err)
	}
	got := o.await(l.ID, "the router's second look", func(l *sekretariat.Letter) bool { return l.Advised == 1 })
	if got.Redated != 0 || got.Advice == nil || got.Advice.Key == l.Advice.Key {
		t.Errorf("after the split: %d corrections, advice %v", got.Redated, got.Advice)
	}
}
