package pipeline

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"time"

	"sekretariat"
	"sekretariat/extract"
	"sekretariat/extract/ocr"
	"sekretariat/extract/recognise"
	"sekretariat/ledger"
	"sekretariat/storage"
)

// job is the recognition of one letter.
type job struct {
	p       *Pipeline
	ctx     context.Context
	letter  *sekretariat.Letter
	reading *sekretariat.Reading
	parts   []string
	body    storage.Object

	result sekretariat.Recognition
	count  int // pages of all parts
	done   int
	blank  int
	told   time.Time
}

// run first looks at all pages, which is quick: their number, previews, what is
// wrong with them. Then it reads them.
func (j *job) run() error {
	if had := j.letter.Recognition; had != nil && had.Pages > 0 {
		j.count, j.blank = had.Pages, had.Blank // they were looked at before
	} else if err := j.look(); err != nil {
		return err
	}
	if err := j.tool(); err != nil {
		return err
	}
	if err := j.tell(sekretariat.RecognisedData{State: sekretariat.RecognitionRunning}); err != nil {
		return err
	}
	j.result = sekretariat.Recognition{Engine: recognise.Engine}
	j.blank, j.done = 0, 0
	for _, path := range j.parts {
		if err := j.read(path); err != nil {
			return err
		}
	}
	return j.finish()
}

// errNoTool brings the event again: others must have their previews meanwhile.
var errNoTool = errors.New("text recognition waits for Tesseract")

// tool asks for Tesseract: until it is there the letter is marked so ("OCR czeka").
func (j *job) tool() error {
	missing := ocr.Available()
	if missing == nil {
		return nil
	}
	if err := j.tell(sekretariat.RecognisedData{State: sekretariat.RecognitionWaiting, Code: CodeNoTool}); err != nil {
		return err
	}
	return fmt.Errorf("%w: %w", errNoTool, missing)
}

// ask is what is asked of a child about a part.
func (j *job) ask(path string) extract.Pages {
	a := extract.Pages{
		Parts: extract.Parts{Reading: *j.reading, Want: []string{path}}, Cache: j.p.o.EngineCache,
		Parallel: max(1, runtime.NumCPU()/recognisers),
	}
	if first, last, ok := pageRange(j.letter.Range); ok && path == "" {
		a.First, a.Last = first, last
	}
	return a
}

// pageRange reads "pages:3-5", see SortedLetter.Range.
func pageRange(s string) (first, last int, ok bool) {
	rest, ok := strings.CutPrefix(s, "pages:")
	if !ok {
		return 0, 0, false
	}
	a, b, _ := strings.Cut(rest, "-")
	first, err1 := strconv.Atoi(a)
	last, err2 := strconv.Atoi(b)
	return first, last, err1 == nil && err2 == nil && first >= 1 && last >= first
}

// look counts and judges the pages and keeps their previews.
func (j *job) look() error {
	for _, path := range j.parts {
		err := j.p.o.Recogniser.Pages(j.ctx, j.body, j.ask(path), &lookSink{j, path})
		if _, ofPart := ofPages(err); err != nil && !ofPart {
			return err
		}
	}
	return nil
}

// lookSink takes the pages of the first, quick round.
type lookSink struct {
	j    *job
	path string
}

// Count implements extract.PageSink.
func (s *lookSink) Count(pages int) error { s.j.count += pages; return nil }

// Page implements extract.PageSink.
func (s *lookSink) Page(p sekretariat.RecognisedPage) error {
	if p.Blank {
		s.j.blank++
	}
	return nil
}

// Preview implements extract.PageSink.
func (s *lookSink) Preview(number, edge int, jpeg []byte) error {
	return s.j.keep(PageKey(s.j.p.id, s.j.letter.ID.Submission(), s.path, number, edge), jpeg)
}

// Copy implements extract.PageSink.
func (s *lookSink) Copy(io.Reader) error { return nil }

// pagesName is the name and version of previews of pages.
const pagesName = "pages-1"

// PageKey is where the preview of a page lies: of a part ("" = the letter), a
// number from 1, with so many pixels on its longer side.
func PageKey(c sekretariat.CentreID, s sekretariat.SubmissionID, part string, number, edge int) string {
	if part == "" {
		part = "0"
	}
	return storage.DerivedKey(c, s, pagesName, fmt.Sprintf("%s-%d-%d.jpg", part, number, edge))
}

func (j *job) keep(key string, b []byte) error {
	item := storage.SealItem{Key: key, Body: bytes.NewReader(b), Patient: true}
	if err := j.p.o.Vault.Commit(j.ctx, j.p.id, j.letter.ID.Submission(), []storage.SealItem{item}); err != nil {
		return fmt.Errorf("keep what was made of a page: %w", err)
	}
	return nil
}

// read recognises one part. A part that kills its process is tried again a few
// times; then it stands there as not read.
func (j *job) read(path string) error {
	var part sekretariat.RecognisedPart
	for try := 1; ; try++ {
		part = sekretariat.RecognisedPart{Path: path}
		ask, before, blank := j.ask(path), j.done, j.blank
		ask.Text = true
		err := j.p.o.Recogniser.Pages(j.ctx, j.body, ask, &textSink{j, &part})
		if err == nil {
			break
		}
		code, ofPart := ofPages(err)
		if j.ctx.Err() != nil || !ofPart {
			return err
		}
		part.Code = code
		if code != codeKilled || try >= attempts {
			break
		}
		j.done, j.blank = before, blank
	}
	j.result.Parts = append(j.result.Parts, part)
	return nil
}

// textSink takes the pages of the second round.
type textSink struct {
	j    *job
	part *sekretariat.RecognisedPart
}

// Count implements extract.PageSink.
func (s *textSink) Count(int) error { return nil }

// Page implements extract.PageSink.
func (s *textSink) Page(p sekretariat.RecognisedPage) error {
	s.part.Pages = append(s.part.Pages, p)
	s.j.done++
	if p.Blank {
		s.j.blank++
	}
	if time.Since(s.j.told) < progressPause {
		return nil
	}
	return s.j.tell(sekretariat.RecognisedData{State: sekretariat.RecognitionRunning})
}

// Preview implements extract.PageSink.
func (s *textSink) Preview(int, int, []byte) error { return nil }

// maxCopy bounds a searchable copy, octets.
const maxCopy = 1 << 30

// Copy implements extract.PageSink.
func (s *textSink) Copy(pdf io.Reader) error {
	spool, err := s.j.p.o.Vault.NewSpool(maxCopy)
	if err != nil {
		return err
	}
	defer spool.Discard()
	if _, err := io.Copy(spool, pdf); err != nil {
		return err
	}
	facts, sub := spool.Facts(), s.j.letter.ID.Submission()
	name := s.part.Path
	if name == "" {
		name = "0"
	}
	key := storage.DerivedKey(s.j.p.id, sub, recognise.Engine, fmt.Sprintf("%d.%s.%s.pdf", s.j.letter.ID.Part(), name, facts.SHA256[:16]))
	if err := s.j.p.o.Vault.Commit(s.j.ctx, s.j.p.id, sub, []storage.SealItem{{Key: key, Spool: spool}}); err != nil {
		return fmt.Errorf("keep a searchable copy: %w", err)
	}
	s.part.Copy = &sekretariat.ObjectRef{Key: key, SHA256: facts.SHA256, Size: facts.Size, MediaType: "application/pdf"}
	return nil
}

// finish keeps the result, has the letter read anew with it, and tells.
func (j *job) finish() error {
	raw, err := json.Marshal(j.result)
	if err != nil {
		return ledger.Permanent(fmt.Errorf("encode what was recognised: %w", err))
	}
	digest, sub := sekretariat.DigestOf(raw), j.letter.ID.Submission()
	ref := sekretariat.ObjectRef{
		Key:    storage.DerivedKey(j.p.id, sub, recognise.Engine, fmt.Sprintf("%d.%s.json", j.letter.ID.Part(), digest[:16])),
		SHA256: digest, Size: int64(len(raw)), MediaType: "application/json",
	}
	if err := j.keep(ref.Key, raw); err != nil {
		return err
	}
	d := outcome(j.result, j.count)
	d.Result = &ref
	// First the reading, then the word that it is done: a crash between them
	// repeats both.
	if err := j.p.rereadWith(j.ctx, j.letter.ID, func(r *sekretariat.Reading) bool {
		return addText(r, &j.result, d.State == sekretariat.RecognitionPoor)
	}); err != nil {
		return err
	}
	return j.tell(d)
}

// outcome judges what was recognised of so many pages.
func outcome(rec sekretariat.Recognition, count int) sekretariat.RecognisedData {
	d := sekretariat.RecognisedData{State: sekretariat.RecognitionDone}
	letters, sure, fine, seen, lost := 0, 0, 0, 0, ""
	for _, part := range rec.Parts {
		if part.Code != "" {
			lost = part.Code
		}
		seen += len(part.Pages)
		for _, q := range part.Pages {
			if q.Code != "" {
				lost = q.Code
				continue
			}
			fine++
			letters += len(q.Text)
			sure += len(q.Text) * q.Confidence
		}
	}
	d.Confidence = sure / max(letters, 1)
	switch {
	case fine == 0:
		d.State, d.Code = sekretariat.RecognitionFailed, lost
	case letters > 0 && d.Confidence < poorBelow:
		d.State = sekretariat.RecognitionPoor
	case seen < count: // the reading ended before the last page: a person looks
		d.State, d.Code = sekretariat.RecognitionPoor, cmp.Or(lost, codeKilled)
	default:
		d.Code = lost // some pages
	}
	return d
}

// tell writes how far it is.
func (j *job) tell(d sekretariat.RecognisedData) error {
	j.told = time.Now()
	id := j.letter.ID
	d.Letter, d.Pages, d.Done, d.Blank = id, max(j.count, j.done), j.done, j.blank
	return j.p.amend(j.ctx, id, 0, func(l *sekretariat.Letter) (*sekretariat.Event, error) {
		if l.Cancelled || settled(l) {
			return nil, nil // another worker was quicker
		}
		d.Revision = 1
		if had := l.Recognition; had != nil {
			if had.State == d.State && had.Done >= d.Done && had.Pages == d.Pages && had.Code == d.Code {
				return nil, nil
			}
			d.Revision = had.Revision + 1
		}
		return j.p.event(sekretariat.EventRecognised, "ocr", string(id), d.Revision, d)
	})
}

// LoadRecognition reads back what was recognised of a letter.
func LoadRecognition(ctx context.Context, v *storage.Vault, c sekretariat.CentreID, s sekretariat.SubmissionID, ref sekretariat.ObjectRef) (*sekretariat.Recognition, error) {
	raw, err := v.ReadAll(ctx, c, s, ref.Key, MaxReading)
	if err != nil {
		return nil, fmt.Errorf("recognised text of submission %.12s…: %w", s, err)
	}
	var r sekretariat.Recognition
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, fmt.Errorf("recognised text of submission %.12s…: %w: %w", s, storage.ErrDamaged, err)
	}
	return &r, nil
}
