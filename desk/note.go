package desk

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/extract/note"
	"sekretariat/ingest/manual"
	"sekretariat/pipeline"
)

// wayPaths are the forms by their path.
var wayPaths = map[string]note.Way{"telefon": note.Phone, "osobiscie": note.Person, "poczta": note.Post}

// noteData is the page of a form.
type noteData struct {
	Path        string // of the way
	Note        note.Note
	Department  sekretariat.DepartmentID
	Departments []configs.Department
	With        map[string]bool // ticked
	Enclosures  map[string]string
	Today       string
	Sent        sekretariat.LetterID // the form was sent before: this letter stands
}

// mayWrite tells who may write something into the register: everybody who
// works with letters. Auditors and administrators only look.
func mayWrite(v visit) bool {
	return len(v.who.Departments) > 0
}

func (d *Desk) noteForm(_ context.Context, v visit) error {
	way, ok := wayPaths[v.r.PathValue("way")]
	if !ok || !mayWrite(v) {
		return pipeline.ErrNotFound
	}
	data := d.noteData(v, note.Note{Form: newForm(), Way: way, Day: sekretariat.Day(d.o.Clock())})
	return d.show(v, "nowe", "Wpisz do rejestru", data)
}

func (d *Desk) noteData(v visit, n note.Note) noteData {
	data := noteData{
		Path: v.r.PathValue("way"), Note: n, Departments: v.c.Config.Departments, Enclosures: note.Enclosures, With: map[string]bool{}, Today: sekretariat.Day(d.o.Clock()),
	}
	for _, c := range n.With {
		data.With[c] = true
	}
	return data
}

// newForm is a UUID (RFC 9562, version 4).
func newForm() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// noteSend takes a filled form in. It answers once the note is durable; what
// was typed is never lost with an error.
func (d *Desk) noteSend(ctx context.Context, v visit) error {
	way, ok := wayPaths[v.r.PathValue("way")]
	if !ok || !mayWrite(v) {
		return pipeline.ErrNotFound
	}
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, 4*maxForm)
	if err := v.r.ParseForm(); err != nil {
		return fmt.Errorf("%w: the form", pipeline.ErrInvalid)
	}
	f := v.r.PostForm
	field := func(name string) string { return strings.TrimSpace(f.Get(name)) }
	n := note.Note{
		Form: field("formularz"), Way: way, Name: field("kto"), Phone: field("telefon"), Email: field("email"), Address: field("adres"),
		Subject: field("temat"), Text: field("tresc"), Day: field("dzien"), Why: field("powod"), Tracking: field("nadanie"), Posted: field("nadano"), With: f["z"], By: v.person.ID,
	}
	to := sekretariat.DepartmentID(field("dzial"))
	id, err := manual.Take(ctx, d.noteOptions(v, to), n)
	if errors.Is(err, note.ErrBad) || errors.Is(err, manual.ErrSent) {
		data := d.noteData(v, n)
		data.Department, data.Sent = to, id
		p := d.frame(&v, "Wpisz do rejestru", data)
		p.Problem = problemOf(err)
		d.pages.render(v.w, http.StatusUnprocessableEntity, "nowe", p)
		return nil
	}
	if err != nil {
		return err
	}
	if d.appears(ctx, v, id) {
		return d.goTo(v, "/pismo/"+string(id))
	}
	return d.show(v, "zapisano", "Zapisano", nil)
}

func problemOf(err error) string {
	if errors.Is(err, manual.ErrSent) {
		return "Ten formularz był już wysłany z inną treścią. Obowiązuje pierwsza; nowe pismo wpisz w nowym formularzu."
	}
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

func (d *Desk) noteOptions(v visit, to sekretariat.DepartmentID) manual.Options {
	o := manual.Options{Receiver: d.o.Receiver, Centre: v.c.Config.ID, Clock: d.o.Clock}
	if dep, ok := v.c.Config.DepartmentByID(to); ok {
		o.Department, o.Unit = dep.ID, dep.Unit
	}
	return o
}

// How long a clerk waits for the number of what they wrote down.
const (
	appearTime = 3 * time.Second
	appearStep = 50 * time.Millisecond
)

// appears waits until the letter is decided on and the person may see it.
func (d *Desk) appears(ctx context.Context, v visit, id sekretariat.LetterID) bool {
	ctx, cancel := context.WithTimeout(ctx, appearTime)
	defer cancel()
	for {
		l, err := v.c.Pipeline.Letter(ctx, v.who, id)
		if err == nil && l.Decided() {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(appearStep):
		}
	}
}
