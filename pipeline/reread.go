package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sekretariat"
	"sekretariat/extract"
	"sekretariat/ledger"
	"sekretariat/router"
)

// rereaders is how many letters are read once more at a time.
const rereaders = 4

// reread reads a letter once more when a file came that it only referred to:
// what is in it may make it urgent, or another department's. Each file is read
// as it comes; a letter does not wait for the last one.
func (p *Pipeline) reread(ctx context.Context, s ledger.Stored) error {
	if s.Event.Type != sekretariat.EventFetched {
		return nil
	}
	d, err := sekretariat.DataOf[sekretariat.FetchedData](s.Event)
	if err != nil {
		return ledger.Permanent(err)
	}
	if d.Object == nil {
		return nil
	}
	state, _, err := State(ctx, p.o.Log, d.Letter.Submission())
	if err != nil {
		return err
	}
	l := state.Letters[d.Letter.Part()]
	files := arrivedLater(l)
	if l == nil || l.Reader == "" || l.Cancelled || l.RereadFiles >= len(files) {
		return nil
	}
	reading, err := p.readFiles(ctx, l, files)
	if err != nil || reading == nil {
		return err
	}
	ref, err := p.sealReading(ctx, l.ID.Submission(), reading, fmt.Sprintf("%d.again.%d.json", l.ID.Part(), len(files)))
	if hopeless(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return p.amend(ctx, l.ID, 0, func(now *sekretariat.Letter) (*sekretariat.Event, error) {
		if now.RereadFiles >= len(files) {
			return nil, nil
		}
		if overtaken(now, l.Reading) {
			return nil, errMoved // the event comes again
		}
		revision := now.Rereads + 1
		return p.event(sekretariat.EventReread, "read", string(l.ID), revision, sekretariat.RereadData{
			Letter: l.ID, Number: now.Number, Revision: revision, Reading: ref, Reader: reading.Reader, Outcome: reading.Outcome,
			Files: len(files), Arrived: lite(now.Arrived), Closed: now.Closed,
		})
	})
}

// rereadWith reads a letter once more with what change adds to the reading in
// force; nothing happens if change says that there is nothing to add.
func (p *Pipeline) rereadWith(ctx context.Context, id sekretariat.LetterID, change func(*sekretariat.Reading) bool) error {
	for {
		state, seq, err := State(ctx, p.o.Log, id.Submission())
		if err != nil {
			return err
		}
		l := state.Letters[id.Part()]
		if l == nil || l.Reader == "" {
			return ledger.Permanent(fmt.Errorf("letter %s: %w", id, sekretariat.ErrOutOfOrder))
		}
		reading, err := LoadReading(ctx, p.o.Vault, p.id, id.Submission(), l.Reading)
		if hopeless(err) {
			return nil
		}
		if err != nil || !change(reading) {
			return err
		}
		// Two that add at once do so under different names; the later one
		// begins again.
		ref, err := p.sealReading(ctx, id.Submission(), reading, fmt.Sprintf("%d.more.%d.json", id.Part(), seq))
		if err != nil {
			return err
		}
		e, err := p.event(sekretariat.EventReread, "read", string(id), l.Rereads+1, sekretariat.RereadData{
			Letter: id, Number: l.Number, Revision: l.Rereads + 1, Reading: ref, Reader: reading.Reader, Outcome: reading.Outcome,
			Arrived: lite(l.Arrived), Closed: l.Closed,
		})
		if err != nil {
			return err
		}
		_, err = p.o.Log.Append(ctx, ledger.Letter, ledger.Record{Subject: string(id.Submission()), LastSeq: seq, Event: *e})
		if !errors.Is(err, ledger.ErrConflict) {
			return err
		}
	}
}

// errMoved: a further reading came in between, and this one lacks what it adds.
var errMoved = errors.New("the letter was read once more meanwhile")

// overtaken tells whether another reading of a letter is in force than the one
// that something was made of: it says more, or, after a split, must say less.
// What was made of the former one speaks of what may be another department's.
func overtaken(l *sekretariat.Letter, read sekretariat.ObjectRef) bool {
	return l.Reading.Key != read.Key
}

// arrivedLater lists the paths of the parts that are here by now.
func arrivedLater(l *sekretariat.Letter) (paths []string) {
	if l == nil {
		return nil
	}
	for path, f := range l.Fetched {
		if f.Object != nil {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths
}

// readFiles adds what the files say to the reading of their letter; nil if that
// cannot be opened any more. The parts stay what they are: files that lay at
// the platform.
func (p *Pipeline) readFiles(ctx context.Context, l *sekretariat.Letter, files []string) (*sekretariat.Reading, error) {
	reading, err := LoadReading(ctx, p.o.Vault, p.id, l.ID.Submission(), l.Reading)
	if hopeless(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for i := range reading.Parts {
		q := &reading.Parts[i]
		if q.Fate != FateRemote || q.SHA256 != "" || !slices.Contains(files, q.Path) {
			continue
		}
		file, err := p.readFile(ctx, l, *q)
		if err != nil {
			return nil, err
		}
		if file != nil {
			addFile(reading, q, file)
			q.Size, q.SHA256 = l.Fetched[q.Path].Object.Size, l.Fetched[q.Path].Object.SHA256 // read
		}
	}
	return reading, nil
}

// readFile reads one file; nil if it cannot be opened any more.
func (p *Pipeline) readFile(ctx context.Context, l *sekretariat.Letter, q sekretariat.Part) (*sekretariat.Reading, error) {
	body, err := p.o.Vault.Open(ctx, p.id, l.ID.Submission(), l.Fetched[q.Path].Object.Key)
	if hopeless(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open part %s of letter %s: %w", q.Path, l.ID, err)
	}
	defer body.Close()
	r, err := p.o.Reader.Read(ctx, extract.Input{Name: q.Name, MediaType: q.Declared, At: p.o.Clock(), Body: body})
	if hopeless(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read part %s of letter %s: %w", q.Path, l.ID, err)
	}
	return &r, nil
}

// addFile adds what was read of a file to the part that it is.
func addFile(r *sekretariat.Reading, q *sekretariat.Part, file *sekretariat.Reading) {
	var text strings.Builder
	add := func(s string) {
		if s = strings.TrimSpace(s); s != "" && text.Len()+len(s) < sekretariat.MaxText {
			text.WriteString(s + "\n")
		}
	}
	if !strings.HasPrefix(strings.TrimSpace(file.Text), strings.TrimSuffix(file.Subject, "…")) {
		add(file.Subject)
	}
	add(file.Text)
	for _, m := range file.Parts {
		add(m.Text)
	}
	q.Type, q.Text = file.Format, text.String()
	for _, s := range file.Signatures {
		if s.Part == "" { // of the file itself; those within it have no place here
			s.Part, s.Of = q.Path, ""
			r.Signatures = append(r.Signatures, s)
		}
	}
	for _, f := range file.Findings {
		if len(r.Findings) < sekretariat.MaxFindings && f.Code != "no-sender" {
			r.Findings = append(r.Findings, sekretariat.Finding{Code: f.Code, Part: q.Path, Detail: f.Detail})
		}
	}
	for _, n := range file.CaseNumbers {
		if !slices.Contains(r.CaseNumbers, n) {
			r.CaseNumbers = append(r.CaseNumbers, n)
		}
	}
}

// reconsider has the router look at a further reading. Nobody's letter moves
// behind its back: only what nobody has decided about yet, or what is a danger
// and lies untouched where the router itself put it, goes elsewhere. Urgency
// may rise anywhere. All else is a hint for the people who have the letter.
func (p *Pipeline) reconsider(ctx context.Context, s ledger.Stored) error {
	d, err := sekretariat.DataOf[sekretariat.RereadData](s.Event)
	if err != nil {
		return ledger.Permanent(err)
	}
	reading, err := p.reading(ctx, d.Letter, d.Reading)
	if err != nil {
		return err
	}
	facts := router.Facts{Arrived: d.Arrived, Reading: *reading, Now: p.o.Clock()}
	state, _, err := State(ctx, p.o.Log, d.Letter.Submission())
	if err != nil {
		return err
	}
	if l := state.Letters[d.Letter.Part()]; l != nil && l.Decision.Rule == router.RuleSheet {
		facts.Arrived.Sheet = "" // what do the words say? Where they disagree with the sheet, people are told
	}
	advice := p.o.Router.Advise(facts)
	ref, err := p.keepAdvice(ctx, d.Letter, advice)
	if err != nil {
		return err
	}
	return p.amend(ctx, d.Letter, 0, func(l *sekretariat.Letter) (*sekretariat.Event, error) {
		if l.Cancelled || l.Status == sekretariat.StatusParked || l.Advised >= d.Revision || overtaken(l, d.Reading) {
			return nil, nil
		}
		said := advice.Decision
		if poor(reading) && said.Urgency == sekretariat.Normal && !said.Closed {
			said.Department = sekretariat.Sekretariat // a person decides; the hint stays
		}
		decision, changed := again(l, said)
		if !changed {
			data := sekretariat.AdvisedData{Letter: l.ID, Revision: d.Revision, Department: advice.Decision.Department, Advice: named(ref)}
			return p.event(sekretariat.EventAdvised, "route", string(l.ID), d.Revision, data)
		}
		e, err := p.routed(l, l.ID, l.Number, decision, l.Closed || d.Closed, d.Arrived.Received, "", nil)
		if err != nil {
			return nil, err
		}
		return amended(e, func(r *sekretariat.RoutedData) { r.Advice, r.Reread = named(ref), d.Revision })
	})
}

// poor tells whether text was recognised too unsurely for a machine to decide.
func poor(r *sekretariat.Reading) bool {
	return slices.ContainsFunc(r.Findings, func(f sekretariat.Finding) bool { return f.Code == FindingPoor })
}

// again makes the decision that follows from a further reading; changed is false
// if the one in force stays.
func again(l *sekretariat.Letter, said sekretariat.Decision) (d sekretariat.Decision, changed bool) {
	if !l.Decided() {
		return said, true
	}
	now := l.Decision
	higher := said.Urgency.Above(now.Urgency)
	untouched := now.Rule != RulePerson && l.Status == sekretariat.StatusRouted
	nobodys := l.Department == sekretariat.Sekretariat && said.Department != sekretariat.Sekretariat
	switch {
	case said.Closed && !now.Closed: // mail that must not be opened (rule P13), whoever put it there
		if now.Urgency.Above(said.Urgency) {
			said.Urgency = now.Urgency
		}
		if !untouched { // it stays with those who have it, and is hidden from all others
			now.Urgency, now.Closed, now.Silent, now.Copies = said.Urgency, true, true, nil
			return now, true
		}
		said.Silent = true
		return said, true
	case untouched && (nobodys || higher && said.Urgency == sekretariat.Danger):
		if now.Urgency.Above(said.Urgency) {
			said.Urgency = now.Urgency
		}
		said.Closed, said.Silent = said.Closed || now.Closed, said.Silent || now.Silent
		return said, true
	case higher:
		now.Urgency, now.Closed, now.Silent = said.Urgency, now.Closed || said.Closed, now.Silent || said.Silent
		now.Evidence = append(slices.Clone(now.Evidence), said.Evidence...)
		if said.Department != l.Department {
			now.Suggestions = append([]sekretariat.Suggestion{{Department: said.Department, Label: said.Label, Score: said.Confidence}}, now.Suggestions...)
		}
		return now, true
	}
	return now, false
}
