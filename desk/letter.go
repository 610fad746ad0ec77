package desk

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/desk/api"
	"sekretariat/ledger"
	"sekretariat/pipeline"
	"sekretariat/register/index"
	"sekretariat/storage"
)

// letterData is the page of one letter.
type letterData struct {
	Letter   *sekretariat.Letter
	Printed  string
	Where    string
	Why      string
	Hint     string              // department that a further reading points to, by name
	Advice   *sekretariat.Advice // what the router says; nil = nothing
	Waits    string
	Sender   string
	Reading  *sekretariat.Reading // nil: not read yet, or not to be opened
	Parts    []api.Part           // what hangs on it, and what may be done with it
	Scan     api.Scan             // of the original
	Alarm    *api.Part            // the original, when an alarm is about it and no file
	Trouble  string               // why it cannot be shown
	Findings []string
	Effects  []configs.MatterEffect // what the way of sending counts for
	Steps    []stepView
	Notes    []noteView
	Content  string // where the API has its content
	Keys     []keyView
	Mine     bool // of a department of the person: take, done, hand back
	Judge    bool // may release false virus alarms
	Held     bool
	Twin     sekretariat.LetterID
	Reshape  *reshapeView // nil: not for this person
	Parent   sekretariat.LetterID
	Parked   *parkedView // nil: it is not set aside
	Matter   []row       // other letters of the same matter
	Receipts []index.Receipt
	Ack      ackView // State "" = none was thought of
	// BadContact: a mail to this sender came back.
	BadContact bool
	// MayTakeAlarm: the person may answer for the danger.
	MayTakeAlarm bool
	Clocks       []clockView // deadlines and the contact duty
	StopReasons  []stopView
}

// ackView is how far the acknowledgement of a letter has come.
type ackView struct {
	State sekretariat.AckState
	At    time.Time
	Why   string
}

// keyView is one department with the key that chooses it.
type keyView struct {
	configs.Department
	Key       string
	Suggested bool
	Instead   string // who takes its letters meanwhile
}

type stepView struct {
	index.Step
	Where string
	Who   string
}

// noteView is the reason of a person.
type noteView struct {
	At   time.Time
	Who  string
	Text string
}

// letter shows everything that is known of a letter to somebody who may see it.
func (d *Desk) letter(ctx context.Context, v visit) error {
	l, err := d.load(ctx, v)
	if err != nil {
		return err
	}
	data := letterData{
		Letter: l, Where: departmentName(v.c.Config, l.Department), Content: "/api/v1/letters/" + string(l.ID),
		Mine: slices.Contains(v.who.Departments, l.Department), Held: d.held.has(l.ID), Judge: v.who.Quarantine, Twin: l.Of, Parent: l.Parent, Parked: parkedOf(v, l),
	}
	data.Effects = v.c.Config.LegalEffects(l.Arrived.Kind, l.Arrived.Arrived.At)
	if l.Hint != "" {
		data.Hint = departmentName(v.c.Config, l.Hint)
	}
	if !l.Number.IsZero() {
		data.Printed = v.c.Config.Print(l.Number)
	}
	if l.Decided() {
		data.Why = v.c.Explain(l.Decision)
		data.Waits = waits(d.o.Clock().Sub(l.Routed))
	}
	data.MayTakeAlarm = v.who.Decides() || data.Mine
	if v.who.Decides() || data.Mine {
		data.Keys = d.keys(v.c.Config, l)
	}
	if err := d.addAdvice(ctx, v, l, &data); err != nil {
		return err
	}
	if err := d.addReading(ctx, v, l, &data); err != nil {
		return err
	}
	data.Reshape = d.reshapeOf(v, l, data.Parts)
	if err := d.addHistory(ctx, v, l, &data); err != nil {
		return err
	}
	name := data.Printed
	if name == "" {
		name = "Pismo bez numeru"
	}
	return d.show(v, "pismo", name, data)
}

func (d *Desk) load(ctx context.Context, v visit) (*sekretariat.Letter, error) {
	id, err := sekretariat.ParseLetterID(v.r.PathValue("letter"))
	if err != nil {
		return nil, pipeline.ErrNotFound
	}
	return v.c.Pipeline.Letter(ctx, v.who, id)
}

func (d *Desk) addReading(ctx context.Context, v visit, l *sekretariat.Letter, data *letterData) error {
	data.Scan = api.ScanOf(v.c.Pipeline, l)
	if l.Reading.Key == "" { // what was set aside was read when it was sorted
		data.Trouble = "Pismo nie jest jeszcze odczytane. Będzie tu za chwilę."
		return nil
	}
	if _, err := v.c.Pipeline.Content(ctx, v.who, l.ID); errors.Is(err, pipeline.ErrForbidden) {
		data.Trouble = "Przesyłka zawiera też pisma innych działów. O swoją część poproś sekretariat: wydzieli ją."
		return nil
	} else if err != nil {
		return err
	}
	r, err := pipeline.LoadReading(ctx, v.c.Vault, v.c.Config.ID, l.ID.Submission(), l.Reading)
	switch {
	case errors.Is(err, storage.ErrShredded):
		data.Trouble = "Treść pisma została zniszczona zgodnie z decyzją o brakowaniu."
		return nil
	case errors.Is(err, storage.ErrDamaged), errors.Is(err, storage.ErrNotFound):
		data.Trouble = "Zapisanej treści nie da się otworzyć. Powiadom administratora."
		return nil
	case err != nil:
		return err
	}
	data.Reading, data.Sender, data.Parts = r, senderOf(r.Sender), api.PartsOf(v.c.Pipeline, l, r)
	data.Alarm = api.OriginalOf(v.c.Pipeline, l, data.Parts)
	for _, f := range r.Findings {
		if w := findingWord(f); w != "" && !slices.Contains(data.Findings, w) {
			data.Findings = append(data.Findings, w)
		}
	}
	return nil
}

// addAdvice shows what the router says about the letter. An advice that cannot
// be opened is missing; the letter is shown all the same.
func (d *Desk) addAdvice(ctx context.Context, v visit, l *sekretariat.Letter, data *letterData) error {
	if l.Advice == nil {
		return nil
	}
	a, err := pipeline.LoadAdvice(ctx, v.c.Vault, v.c.Config.ID, l.ID.Submission(), *l.Advice)
	switch {
	case errors.Is(err, storage.ErrShredded), errors.Is(err, storage.ErrDamaged), errors.Is(err, storage.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	data.Advice = &a
	if l.Decision.Rule != pipeline.RulePerson && l.Hint == "" { // the decision that it explains is in force
		data.Why = a.Explanation
	}
	return nil
}

// addHistory tells who had the letter when, and why people moved it.
func (d *Desk) addHistory(ctx context.Context, v visit, l *sekretariat.Letter, data *letterData) error {
	steps, err := v.c.Index.History(ctx, v.c.Log, v.who, l.ID)
	if errors.Is(err, index.ErrNotFound) {
		return nil // the read model is a moment behind the ledger
	}
	if err != nil {
		return err
	}
	if err := d.addAround(ctx, v, l, data); err != nil {
		return err
	}
	names := d.peopleNames(ctx, v.c)
	data.Clocks, data.StopReasons = d.clocks(l, names), stops()
	for _, s := range steps {
		data.Steps = append(data.Steps, stepView{Step: s, Where: departmentName(v.c.Config, s.Department), Who: names[s.By]})
	}
	data.Notes, err = d.notes(ctx, v, l, names)
	return err
}

// peopleNames are the names behind the pseudonymous ids of events.
func (d *Desk) peopleNames(ctx context.Context, c *Centre) map[string]string {
	names := map[string]string{}
	all, err := c.People.List(ctx)
	if err != nil {
		d.o.Logger.Error().Err(err).Msg("the names of people could not be read; pages show their ids")
	}
	for _, p := range all {
		names[p.ID] = p.Name
	}
	return names
}

// maxNotes bounds the reasons shown of one letter.
const maxNotes = 50

func (d *Desk) notes(ctx context.Context, v visit, l *sekretariat.Letter, names map[string]string) ([]noteView, error) {
	events, err := v.c.Log.Subject(ctx, ledger.Letter, string(l.ID.Submission()))
	if err != nil {
		return nil, fmt.Errorf("reasons of a letter: %w", err)
	}
	var out []noteView
	for _, e := range events {
		ref, by := reasonIn(e.Event, l.ID)
		if ref == nil || len(out) == maxNotes {
			continue
		}
		text, err := v.c.Vault.ReadAll(ctx, v.c.Config.ID, l.ID.Submission(), ref.Key, maxForm)
		if err != nil {
			return nil, fmt.Errorf("reasons of a letter: %w", err)
		}
		out = append(out, noteView{At: e.Event.Time, Who: names[by], Text: string(text)})
	}
	return out, nil
}

// reasonIn finds the reason in words that a person gave with an event about a
// letter, and who that was; nil if there is none.
func reasonIn(e sekretariat.Event, id sekretariat.LetterID) (ref *sekretariat.ObjectRef, by string) {
	type said struct {
		Letter sekretariat.LetterID
		By     string
		Reason *sekretariat.ObjectRef
	}
	var d said
	var err error
	switch e.Type {
	case sekretariat.EventRouted, sekretariat.EventUnlocked, sekretariat.EventLocked, sekretariat.EventRedated:
		d, err = sekretariat.DataOf[said](e)
	case sekretariat.EventSplit:
		var s sekretariat.SplitData
		s, err = sekretariat.DataOf[sekretariat.SplitData](e)
		d = said{s.From, s.By, s.Reason}
	case sekretariat.EventCancelled:
		var s sekretariat.CancelledData
		s, err = sekretariat.DataOf[sekretariat.CancelledData](e)
		d = said{s.Letter, s.By, s.Note}
	}
	if err != nil || d.Letter != id {
		return nil, ""
	}
	return d.Reason, d.By
}

// departmentKeys choose departments, in their order in the profile. Letters
// that the page itself uses (j, k, n, p, x, z) are left out.
const departmentKeys = "123456789abcdefghilmoqrstuvwy"

func (d *Desk) keys(c *configs.Centre, l *sekretariat.Letter) []keyView {
	var out []keyView
	today := d.o.Clock()
	for i, dep := range c.Departments {
		k := keyView{Department: dep}
		if i < len(departmentKeys) {
			k.Key = departmentKeys[i : i+1]
		}
		k.Suggested = dep.ID == l.Hint || slices.ContainsFunc(l.Decision.Suggestions, func(s sekretariat.Suggestion) bool { return s.Department == dep.ID })
		if to, instead := c.Substitute(dep.ID, today); instead != "" {
			k.Instead = departmentName(c, to)
		}
		if dep.ID != l.Department {
			out = append(out, k)
		}
	}
	return out
}

// form reads the revision that the person looked at and their words.
func form(v visit) (revision int, reason string, err error) {
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, maxForm)
	if err := v.r.ParseForm(); err != nil {
		return 0, "", fmt.Errorf("%w: the form", pipeline.ErrInvalid)
	}
	revision, err = strconv.Atoi(v.r.PostForm.Get("rewizja"))
	if err != nil {
		return 0, "", fmt.Errorf("%w: the form", pipeline.ErrInvalid)
	}
	return revision, strings.TrimSpace(v.r.PostForm.Get("powod")), nil
}

// reroute decides where a letter goes. Danger goes at once, the rest waits a
// moment for "cofnij" (rule P19).
func (d *Desk) reroute(ctx context.Context, v visit) error {
	l, err := d.load(ctx, v)
	if err != nil {
		return err
	}
	revision, reason, err := form(v)
	if err != nil {
		return err
	}
	to := sekretariat.DepartmentID(v.r.PostForm.Get("dzial"))
	if _, ok := v.c.Config.DepartmentByID(to); !ok {
		return fmt.Errorf("%w: no such department", pipeline.ErrInvalid)
	}
	if !v.who.Decides() {
		return pipeline.ErrForbidden // a department hands back
	}
	if revision != l.Revision {
		return pipeline.ErrChanged
	}
	if reason == "" {
		reason = "Decyzja sekretariatu."
	}
	now := l.Decision.Urgency == sekretariat.Danger || v.r.PostForm.Get("kiedy") == "teraz"
	h := &heldDecision{centre: v.c, who: v.who, letter: l.ID, revision: revision, to: to, reason: reason}
	switch {
	case now:
		err = v.c.Pipeline.Reroute(ctx, v.who, l.ID, revision, to, reason)
	case !d.held.add(h):
		err = pipeline.ErrChanged
	}
	if err != nil {
		return err
	}
	return d.goTo(v, "/")
}

// undo takes back a decision that has not taken effect.
func (d *Desk) undo(_ context.Context, v visit) error {
	id, err := sekretariat.ParseLetterID(v.r.PathValue("letter"))
	if err != nil {
		return pipeline.ErrNotFound
	}
	if !d.held.undo(id, v.who.ID) {
		return pipeline.ErrChanged
	}
	return d.goTo(v, "/pismo/"+string(id))
}

func (d *Desk) take(ctx context.Context, v visit) error {
	return d.handle(ctx, v, func(l *sekretariat.Letter, revision int, _ string) error {
		return v.c.Pipeline.Take(ctx, v.who, l.ID, revision)
	})
}

func (d *Desk) done(ctx context.Context, v visit) error {
	return d.handle(ctx, v, func(l *sekretariat.Letter, revision int, _ string) error {
		return v.c.Pipeline.Done(ctx, v.who, l.ID, revision)
	})
}

func (d *Desk) handBack(ctx context.Context, v visit) error {
	return d.handle(ctx, v, func(l *sekretariat.Letter, revision int, reason string) error {
		return v.c.Pipeline.HandBack(ctx, v.who, l.ID, revision, reason)
	})
}

func (d *Desk) handle(ctx context.Context, v visit, do func(*sekretariat.Letter, int, string) error) error {
	return d.onLetter(ctx, v, func(l *sekretariat.Letter, revision int, reason string) (string, error) {
		return "/dzial/" + string(l.Department), do(l, revision, reason)
	})
}

// onLetter carries out what a person sent about a letter: the revision that they
// looked at and their words. do returns the page that follows.
func (d *Desk) onLetter(ctx context.Context, v visit, do func(l *sekretariat.Letter, revision int, reason string) (next string, err error)) error {
	l, err := d.load(ctx, v)
	if err != nil {
		return err
	}
	revision, reason, err := form(v)
	if err != nil {
		return err
	}
	next, err := do(l, revision, reason)
	if err != nil {
		return err
	}
	return d.goTo(v, next)
}

// goTo ends a command: the next page is asked for anew, and shows what is.
func (d *Desk) goTo(v visit, path string) error {
	d.settle(v)
	http.Redirect(v.w, v.r, path, http.StatusSeeOther)
	return nil
}

// settleTime is how long a command waits for the read model to show it.
const settleTime = 2 * time.Second

// settle lets the read model catch up with what was just done, so that the
// next page shows it.
func (d *Desk) settle(v visit) {
	ctx, cancel := context.WithTimeout(v.r.Context(), settleTime)
	defer cancel()
	state, err := v.c.Log.State(ctx, ledger.Letter)
	if err == nil {
		_ = v.c.Index.WaitFor(ctx, ledger.Letter, state.Last) // a page that is a moment behind is better than none
	}
}
