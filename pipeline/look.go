package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"sekretariat"
	"sekretariat/extract"
	"sekretariat/extract/mail"
	"sekretariat/router"
)

// lookTime bounds what sorting may cost a letter: who cannot be looked at in
// time is registered. Tests shorten it.
var lookTime = 10 * time.Second

// glanceSize is how much of a mail sorting looks at first, octets: all of
// nearly every mail without attachments.
const glanceSize = 1 << 20

// sorting is what a look at a mail decides.
type sorting struct {
	reason  sekretariat.ParkReason   // "" = register
	until   *time.Time               // with ParkHold
	to      sekretariat.DepartmentID // who gets it without a number
	thread  *sekretariat.Thread
	reading *sekretariat.Reading // what was read, for the clerk
	bounced sekretariat.LetterID // the letter whose acknowledgement came back
	status  string               // of the bounce, RFC 3463
}

// look decides whether a mail is set aside. Whatever fails, takes too long or
// is doubtful is a letter; an error means only that ctx ended.
func (p *Pipeline) look(ctx context.Context, a sekretariat.ArrivedData) (sorting, error) {
	bounded, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	v, err := p.safely(func() (sorting, error) { return p.lookAt(bounded, a) })
	if ctx.Err() != nil {
		return sorting{}, ctx.Err()
	}
	if err != nil {
		p.o.Logger.Warn().Err(err).Str("submission", string(a.Submission)).Msg("a mail could not be looked at before it is registered; it is registered")
		return sorting{}, nil
	}
	return v, nil
}

// safely makes an error of a panic: a fault of ours in looking must not keep a
// letter from its number.
func (p *Pipeline) safely(look func() (sorting, error)) (s sorting, err error) {
	defer func() {
		if v := recover(); v != nil {
			p.o.Logger.Error().Bytes("stack", debug.Stack()).Msg("looking at a mail panicked") // its text may quote the mail
			s, err = sorting{}, errPanicked
		}
	}()
	return look()
}

var errPanicked = errors.New("looking at it panicked")

func (p *Pipeline) lookAt(ctx context.Context, a sekretariat.ArrivedData) (sorting, error) {
	o, err := p.openOriginal(ctx, a.Submission)
	if err != nil {
		return sorting{}, err
	}
	defer o.body.Close()
	r, whole, err := p.glance(ctx, a, o)
	if err != nil || r.Outcome == sekretariat.ReadUnreadable {
		return sorting{}, err
	}
	if whole {
		p.glanced.put(string(a.Submission), r)
	}
	v := p.classify(a, r)
	v.reading = r
	if v.reason == "" || v.reason == sekretariat.ParkOwn {
		return v, nil // its own signature says that nobody wrote anything into it
	}
	if !whole {
		if r, err = p.readAll(ctx, a, o, p.o.Reader); err != nil {
			return sorting{}, err
		}
	}
	if p.needsPerson(a, r) || v.until != nil && doubtful(r) {
		return sorting{}, nil
	}
	v.reading = r
	if p.o.Keys != nil {
		v.thread = p.o.Keys.Thread(r)
	}
	return v, nil
}

// setAside makes the parked letter of a verdict, with its reading sealed beside
// it.
func (p *Pipeline) setAside(ctx context.Context, a sekretariat.ArrivedData, l sekretariat.SortedLetter, v sorting) (sekretariat.SortedLetter, error) {
	l = parked(l, v.reason, "")
	l.Until, l.Thread, l.Department = v.until, v.thread, v.to
	if v.reading == nil {
		return l, nil
	}
	ref, err := p.sealReading(ctx, a.Submission, v.reading, fmt.Sprintf("%d.parked.json", l.Part))
	l.Reading = &ref
	return l, err
}

// glance reads the message itself. whole: the Reading is what the reader would
// make of the whole mail, for there are no attachments.
func (p *Pipeline) glance(ctx context.Context, a sekretariat.ArrivedData, o original) (r *sekretariat.Reading, whole bool, err error) {
	in := p.input(a, o)
	in.Glance = true
	size := o.body.Size()
	in.Body = io.NewSectionReader(o.body, 0, min(size, glanceSize))
	reading, err := p.o.Glance.Read(ctx, in)
	if err != nil {
		return nil, false, fmt.Errorf("glance at submission %.12s…: %w", a.Submission, err)
	}
	if killed(reading) {
		return nil, false, fmt.Errorf("glance at submission %.12s…: %w", a.Submission, errKilled)
	}
	only := !slices.ContainsFunc(reading.Parts, func(part sekretariat.Part) bool { return part.Attachment || part.Fate != "text" })
	return &reading, only && size <= glanceSize, nil
}

var errKilled = errors.New("the reading process died over it")

func killed(r sekretariat.Reading) bool {
	return slices.ContainsFunc(r.Findings, func(f sekretariat.Finding) bool { return f.Code == extract.FindingKilled })
}

// classify says what a mail would be parked as.
func (p *Pipeline) classify(a sekretariat.ArrivedData, r *sekretariat.Reading) sorting {
	v := sorting{reason: p.Junk(a, r)}
	if v.reason == sekretariat.ParkBounce && p.o.Keys != nil {
		if l, ours := p.o.Keys.Notice(r.Headers[mail.HeaderReportOriginal]); ours {
			v.bounced, v.status = l, status(r.Headers[mail.HeaderReportStatus])
		}
	}
	if v.reason != "" {
		return v
	}
	rule, found := p.unregistrable(a.Account, r)
	switch {
	case !found:
	case rule.Hold:
		until := p.o.Centre.Parking.HoldFrom(p.o.Clock())
		v.reason, v.until = sekretariat.ParkHold, &until
	default:
		v.reason, v.to = sekretariat.ParkReason(rule.Category), rule.Department
	}
	return v
}

// status keeps a status code of RFC 3463 and nothing else: it goes into an
// event.
func status(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), " ")
	if len(s) > 11 || strings.Trim(s, "0123456789.") != "" {
		return ""
	}
	return s
}

// needsPerson tells whether a mail must come before a clerk whatever it looks
// like (rule P8): it is urgent, it may be of a closed department or about
// violence, or its words say that it is for one person alone.
func (p *Pipeline) needsPerson(a sekretariat.ArrivedData, r *sekretariat.Reading) bool {
	d := p.o.Router.Decide(router.Facts{Arrived: lite(a), Reading: *r, Now: p.o.Clock()})
	// The model has a second thought on everything, also on the words of a mail
	// program; its best one counts, and what it would not send by itself.
	d.Suggestions = d.Suggestions[:min(1, len(d.Suggestions))]
	return d.Urgency != sekretariat.Normal || p.Sensitive(d) || p.closedWords.Match(r)
}

// sensitiveLabels are the subject matters that must be handled with care
// (rule P6).
var sensitiveLabels = []string{"przemoc", "asysta-rodzinna"}

// Sensitive tells whether a decision, or one of its suggestions, points at
// violence, children or a closed department.
func (p *Pipeline) Sensitive(d sekretariat.Decision) bool {
	departments := append([]sekretariat.DepartmentID{d.Department, d.Instead}, d.Copies...)
	labels := []string{d.Label}
	for _, s := range d.Suggestions {
		departments, labels = append(departments, s.Department), append(labels, s.Label)
	}
	for _, l := range sensitiveLabels {
		if slices.Contains(labels, l) {
			return true
		}
		to := p.o.Centre.Labels[l]
		if to.Department != "" && to.Department != sekretariat.Sekretariat && slices.Contains(departments, to.Department) {
			return true
		}
	}
	return slices.ContainsFunc(departments, p.closed)
}

// doubtful tells whether something of a letter is not known.
func doubtful(r *sekretariat.Reading) bool { return r.Outcome != sekretariat.ReadOK || UnreadParts(r) }

// UnreadParts tells whether a letter has attachments whose content is not
// known.
func UnreadParts(r *sekretariat.Reading) bool {
	return slices.ContainsFunc(r.Parts, func(p sekretariat.Part) bool {
		return p.Attachment && p.Size > 0 && p.Fate != "read" && p.Fate != "text" && p.Fate != "opened"
	})
}
