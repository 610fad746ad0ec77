package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sekretariat"
	"sekretariat/extract"
	"sekretariat/extract/ocr"
	"sekretariat/extract/page"
	"sekretariat/extract/recognise"
	"sekretariat/ledger"
)

// Recogniser goes through the pages of scans in child processes; extract.Pool
// does.
type Recogniser interface {
	Pages(ctx context.Context, body sekretariat.Body, ask extract.Pages, sink extract.PageSink) error
}

// How letters wait for text recognition: a work group of its own, so that it
// holds up nothing else (rule P7). Of those in hand the urgent and the short
// ones go first.
const (
	recognising   = 64 // letters in hand
	recognisers   = 2  // of them being worked on
	attempts      = 3  // for a part that kills its process
	poorBelow     = 60 // mean confidence under which a person must look
	progressPause = 3 * time.Second
	leastPicture  = 500 // pixels of the shorter side: smaller ones are logos
)

// The codes of RecognisedData.
const (
	CodeNoTool = "no-tool"
	CodeAsked  = "asked"
	codeKilled = "killed"
)

// FindingPoor marks a letter whose scans could be read only unsurely, as
// handwriting mostly is: a person decides, with what was read at hand.
const FindingPoor = "ocr-poor"

// recognise has the text of one letter's scans recognised.
func (p *Pipeline) recognise(ctx context.Context, s ledger.Stored) error {
	id, ok, err := wantsText(s.Event)
	if err != nil {
		return ledger.Permanent(err)
	}
	if !ok {
		return nil
	}
	state, _, err := State(ctx, p.o.Log, id.Submission())
	if err != nil {
		return err
	}
	l := state.Letters[id.Part()]
	if l == nil || l.Reader == "" || l.Cancelled || settled(l) {
		return nil
	}
	r, err := LoadReading(ctx, p.o.Vault, p.id, id.Submission(), l.Reading)
	if hopeless(err) {
		return nil
	}
	if err != nil {
		return err
	}
	parts := pictured(r)
	if len(parts) == 0 {
		return nil
	}
	leave, err := p.texts.enter(ctx, ticket{urgent: l.Decision.Urgency != sekretariat.Normal, pages: len(r.Pages), seq: s.Seq})
	if err != nil {
		return err
	}
	defer leave()
	m, err := Manifest(ctx, p.o.Vault, p.id, id.Submission())
	if hopeless(err) {
		return nil
	}
	if err != nil {
		return err
	}
	body, err := p.o.Vault.Open(ctx, p.id, id.Submission(), m.Original.Key)
	if hopeless(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open original of letter %s: %w", id, err)
	}
	defer body.Close()
	j := &job{p: p, ctx: ctx, letter: l, reading: r, parts: parts, body: body}
	if err := j.run(); err != nil && !hopeless(err) {
		return fmt.Errorf("recognise the text of letter %s: %w", id, err)
	}
	return nil
}

// wantsText finds the letter of an event after which there may be text to
// recognise: it was read, or a person asked for it once more.
func wantsText(e sekretariat.Event) (sekretariat.LetterID, bool, error) {
	switch e.Type {
	case sekretariat.EventRead:
		d, err := sekretariat.DataOf[sekretariat.ReadData](e)
		return d.Letter, true, err
	case sekretariat.EventRecognised:
		d, err := sekretariat.DataOf[sekretariat.RecognisedData](e)
		return d.Letter, d.State == sekretariat.RecognitionWaiting && d.Code == CodeAsked, err
	}
	return "", false, nil
}

// settled tells whether recognition of a letter has come to an end.
func settled(l *sekretariat.Letter) bool {
	if l.Recognition == nil {
		return false
	}
	switch l.Recognition.State {
	case sekretariat.RecognitionDone, sekretariat.RecognitionPoor, sekretariat.RecognitionFailed:
		return true
	}
	return false
}

// pictured lists the parts of a letter that may hold text as a picture: scans,
// photos that are no logos, PDF files of which not every page has text.
func pictured(r *sekretariat.Reading) (paths []string) {
	sealed := func(path string) bool {
		return slices.ContainsFunc(r.Findings, func(f sekretariat.Finding) bool {
			return f.Code == extract.FindingEncrypted && f.Part == path
		})
	}
	lacking := func(path string) bool {
		return slices.ContainsFunc(r.Findings, func(f sekretariat.Finding) bool {
			return f.Part == path && (f.Code == extract.FindingPicture || f.Code == "pages-no-text" || f.Code == "pdf-broken")
		})
	}
	wanted := func(path, typ string) bool {
		switch {
		case !page.Known(typ) || sealed(path):
			return false
		case typ == "application/pdf":
			return lacking(path) || slices.ContainsFunc(r.Pages, func(q sekretariat.Page) bool { return q.Part == path && q.Confidence > 0 })
		}
		return slices.ContainsFunc(r.Pages, func(q sekretariat.Page) bool {
			return q.Part == path && (q.Width == 0 || min(q.Width, q.Height) >= leastPicture)
		})
	}
	if strings.HasPrefix(r.Reader, "file-") && wanted("", r.Format) {
		paths = append(paths, "")
	}
	for _, q := range r.Parts {
		if q.SHA256 != "" && q.Fate != FateRemote && wanted(q.Path, q.Type) {
			paths = append(paths, q.Path)
		}
	}
	return paths
}

// Recognise asks for text recognition of a letter once more: the button beside
// "nie odczytano".
func (p *Pipeline) Recognise(ctx context.Context, who sekretariat.Principal, id sekretariat.LetterID) error {
	l, _, err := p.letter(ctx, who, id)
	if err != nil {
		return err
	}
	if !who.Decides() && !slices.Contains(who.Departments, l.Department) {
		return ErrForbidden
	}
	return p.amend(ctx, id, 0, func(l *sekretariat.Letter) (*sekretariat.Event, error) {
		if l.Recognition == nil {
			return nil, fmt.Errorf("%w: nothing of the letter is a scan", ErrInvalid)
		}
		if !settled(l) {
			return nil, nil // it is being read
		}
		d := sekretariat.RecognisedData{Letter: id, Revision: l.Recognition.Revision + 1, State: sekretariat.RecognitionWaiting,
			Pages: l.Recognition.Pages, Code: CodeAsked, By: who.ID}
		return p.event(sekretariat.EventRecognised, "api", string(id), d.Revision, d)
	})
}

// addText puts what was recognised into a reading; changed is false if all of
// it is there.
func addText(r *sekretariat.Reading, rec *sekretariat.Recognition, poor bool) (changed bool) {
	for _, part := range rec.Parts {
		var text strings.Builder
		for _, q := range part.Pages {
			if t := strings.TrimSpace(q.Text); t != "" && text.Len()+len(t) < sekretariat.MaxText {
				text.WriteString(t + "\n\n")
			}
			changed = notePage(r, part.Path, q) || changed
		}
		changed = putText(r, part.Path, strings.TrimSpace(text.String())) || changed
		lost := slices.ContainsFunc(part.Pages, func(q sekretariat.RecognisedPage) bool { return q.Code != "" })
		if part.Code == "" && len(part.Pages) > 0 && !lost {
			before := len(r.Findings)
			r.Findings = slices.DeleteFunc(r.Findings, func(f sekretariat.Finding) bool {
				return f.Part == part.Path && (f.Code == extract.FindingPicture || f.Code == "pages-no-text")
			})
			changed = changed || len(r.Findings) < before
		}
	}
	found := slices.ContainsFunc(r.Findings, func(f sekretariat.Finding) bool { return f.Code == FindingPoor })
	if !poor && found { // a better run takes it back
		r.Findings = slices.DeleteFunc(r.Findings, func(f sekretariat.Finding) bool { return f.Code == FindingPoor })
		changed = true
	}
	if poor && !found && len(r.Findings) < sekretariat.MaxFindings {
		r.Findings = append(r.Findings, sekretariat.Finding{Code: FindingPoor})
		changed = true
	}
	return changed
}

// notePage puts what is known of a page into the reading's list of pages.
func notePage(r *sekretariat.Reading, path string, q sekretariat.RecognisedPage) bool {
	for i := range r.Pages {
		p := &r.Pages[i]
		if p.Part != path || p.Number != q.Number {
			continue
		}
		was := *p
		p.Blank, p.Faults, p.Confidence, p.Turn = q.Blank, q.Faults, q.Confidence, q.Turn
		return was.Blank != p.Blank || was.Confidence != p.Confidence || was.Turn != p.Turn || !slices.Equal(was.Faults, p.Faults)
	}
	return false
}

// putText gives a part, or the letter itself, what was recognised, beside the
// text that it has of its own.
func putText(r *sekretariat.Reading, path, text string) bool {
	if text == "" {
		return false
	}
	add := func(to *string) bool {
		if strings.Contains(*to, text) {
			return false
		}
		*to = strings.TrimSpace(*to + "\n\n" + text)
		*to = strings.ToValidUTF8((*to)[:min(len(*to), sekretariat.MaxText)], "")
		return true
	}
	if path == "" {
		changed := add(&r.Text)
		if changed && r.Subject == "" {
			r.Subject = extract.FirstLine(r.Text)
		}
		return changed
	}
	for i := range r.Parts {
		if r.Parts[i].Path == path {
			r.Parts[i].Fate = "read"
			return add(&r.Parts[i].Text)
		}
	}
	return false
}

// ofPages tells whether an error says that a part has no pages for us, so that
// no repetition helps, and why.
func ofPages(err error) (code string, ok bool) {
	switch {
	case errors.Is(err, page.ErrPassword):
		return "password", true
	case errors.Is(err, page.ErrDamaged), errors.Is(err, page.ErrKind), errors.Is(err, extract.ErrNoPart):
		return recognise.CodeDamaged, true
	case errors.Is(err, ocr.ErrMissing):
		return "", false
	case extract.IsChildFailure(err):
		return codeKilled, true
	}
	return "", false
}
