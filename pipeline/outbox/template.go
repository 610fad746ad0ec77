package outbox

import (
	"bytes"
	_ "embed"
	"fmt"
	htmltemplate "html/template"
	"io"
	"slices"
	"strings"
	"text/template"
	"unicode"

	"sekretariat"
	"sekretariat/configs"
)

//go:embed ack.txt
var shippedText string

//go:embed ack.html
var shippedHTML string

// shippedSubject is the subject where a template has none.
const shippedSubject = "Potwierdzenie wpływu {{.Number}}"

// Fields are all that a template can name: nothing of the letter itself is
// among them, so nothing of it can be sent back.
type Fields struct {
	Centre, Address, Phone string
	Number, Day            string // as printed; 7 marca 2026
	Department             string // "" unless the profile marks it public (rule P6)
	ADE, EPUAP             string // addresses for lodging validly, "" if not known
	Valid                  bool   // say how to lodge validly (art. 63 § 1 KPA)
	// Crisis are the numbers that help outside working hours, 112 first; empty
	// within them (rule P16).
	Crisis []string
}

// rendered is a filled-in template.
type rendered struct{ subject, text, html string }

// compiled is one template of a centre.
type compiled struct {
	subject, text *template.Template
	html          *htmltemplate.Template // over Fields, or over layout
	shippedLayout bool
}

// layout is what the shipped HTML shows: the plain text in paragraphs and lists.
type layout struct {
	Title  string
	Blocks []block
}

type block struct {
	Text  string
	Items []string // not empty: a list
}

type templates map[string]compiled // by label, "" for all others

// compileTemplates compiles the centre's templates and tries each one.
func compileTemplates(c *configs.Centre) (templates, error) {
	out := templates{}
	list := append([]configs.AckTemplate{{}}, c.Acknowledgement.Templates...)
	for _, t := range list {
		made, err := compileTemplate(t)
		if err == nil {
			_, err = made.render(Fields{Centre: "x", Number: "RPW/1/2026", Day: "1 stycznia 2026", Department: "x", ADE: "x", EPUAP: "x", Valid: true, Crisis: []string{"x"}})
		}
		if err != nil {
			return nil, fmt.Errorf("template %q: %w", t.Label, err)
		}
		out[t.Label] = made
	}
	return out, nil
}

func compileTemplate(t configs.AckTemplate) (c compiled, err error) {
	if t.Subject == "" {
		t.Subject = shippedSubject
	}
	if t.Text == "" {
		t.Text = shippedText
	}
	if c.subject, err = template.New("subject").Option("missingkey=error").Parse(t.Subject); err != nil {
		return c, err
	}
	if c.text, err = template.New("text").Option("missingkey=error").Parse(t.Text); err != nil {
		return c, err
	}
	c.shippedLayout = t.HTML == ""
	if c.shippedLayout {
		t.HTML = shippedHTML
	}
	c.html, err = htmltemplate.New("html").Option("missingkey=error").Parse(t.HTML)
	return c, err
}

// maxRendered bounds a filled-in template, octets.
const maxRendered = 64 << 10

// maxSubject bounds a subject, in characters.
const maxSubject = 150

func (c compiled) render(f Fields) (rendered, error) {
	var r rendered
	var err error
	if r.subject, err = fill(c.subject, f); err != nil {
		return r, err
	}
	r.subject = oneLine(r.subject, maxSubject)
	if r.subject == "" {
		return r, fmt.Errorf("the subject is empty")
	}
	if r.text, err = fill(c.text, f); err != nil {
		return r, err
	}
	if len(f.Crisis) > 0 && !strings.Contains(r.text, f.Crisis[0]) { // a template of the centre does not say it
		r.text += "\n\nW razie zagrożenia nie należy czekać na odpowiedź:\n\n- " + strings.Join(f.Crisis, "\n- ")
	}
	r.text = tidy(r.text)
	var data any = f
	if c.shippedLayout {
		data = layout{r.subject, blocks(r.text)}
	}
	r.html, err = fill(c.html, data)
	return r, err
}

// executer is a text or HTML template.
type executer interface {
	Execute(w io.Writer, data any) error
}

func fill(t executer, data any) (string, error) {
	var b bytes.Buffer
	if err := t.Execute(&b, data); err != nil {
		return "", err
	}
	if b.Len() > maxRendered {
		return "", fmt.Errorf("the filled-in template has %d octets, %d are allowed", b.Len(), maxRendered)
	}
	return b.String(), nil
}

// tidy drops trailing blanks and more than one empty line at once.
func tidy(text string) string {
	var out []string
	for line := range strings.SplitSeq(strings.ReplaceAll(text, "\r\n", "\n"), "\n") {
		line = strings.TrimRightFunc(line, unicode.IsSpace)
		if line == "" && (len(out) == 0 || out[len(out)-1] == "") {
			continue
		}
		out = append(out, line)
	}
	return strings.TrimSpace(strings.Join(out, "\n")) + "\n"
}

// blocks cuts a plain text into paragraphs and lists ("- " at the line start).
func blocks(text string) []block {
	var out []block
	for paragraph := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		b := block{}
		for line := range strings.Lines(paragraph) {
			line = strings.TrimSpace(line)
			switch item, isItem := strings.CutPrefix(line, "- "); {
			case isItem:
				b.Items = append(b.Items, item)
			case len(b.Items) > 0:
				out = append(out, b)
				b = block{Text: line}
			default:
				b.Text = strings.TrimSpace(b.Text + " " + line)
			}
		}
		out = append(out, b)
	}
	return out
}

// oneLine makes s fit for a header field: one line, no control characters.
func oneLine(s string, most int) string {
	clean := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0x2028 || r == 0x2029 || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	clean = strings.Join(strings.Fields(clean), " ")
	if rs := []rune(clean); len(rs) > most {
		clean = string(rs[:most])
	}
	return clean
}

// fields fills in what may be said of a letter.
func (b *Outbox) fields(l *sekretariat.Letter) Fields {
	c := b.o.Centre
	f := Fields{
		Centre: c.Name, Address: c.Address, Number: l.Number.Printed(), Day: polishDay(l.Arrived.Arrived), ADE: b.cfg.EDelivery,
		Valid: b.validity(l.Arrived.Arrived.At),
	}
	if !c.OpenAt(b.o.Clock()) {
		f.Crisis = append([]string{emergency}, c.Alarms.Crisis...)
	}
	if s, ok := c.SeriesByID(l.Number.Series); ok {
		f.Number = s.Print(l.Number)
	}
	day := sekretariat.Day(b.o.Clock())
	for _, k := range c.Contacts {
		if k.Phone != "" && slices.Contains(k.Departments, sekretariat.Sekretariat) && k.From <= day && (k.To == "" || day <= k.To) {
			f.Phone = k.Phone
			break
		}
	}
	if d, ok := c.DepartmentByID(l.Department); ok && d.Public && !d.Closed && d.ID != sekretariat.Sekretariat {
		f.Department = d.Name
	}
	if f.ADE == "" && len(c.EDelivery) > 0 {
		f.ADE = c.EDelivery[0].Address
	}
	if len(c.EPUAP) > 0 {
		f.EPUAP = c.EPUAP[0].Address
	}
	return f
}

// emergency is the number for every danger.
const emergency = "112 – numer alarmowy"

// template chooses the text for a letter: that of its label if its department
// may be named at all, else the one for everything.
func (b *Outbox) template(l *sekretariat.Letter) compiled {
	if t, ok := b.templates[l.Decision.Label]; ok && l.Decision.Label != "" {
		if d, known := b.o.Centre.DepartmentByID(l.Department); known && d.Public && !d.Closed {
			return t
		}
	}
	return b.templates[""]
}

var months = [...]string{"stycznia", "lutego", "marca", "kwietnia", "maja", "czerwca", "lipca", "sierpnia", "września", "października", "listopada", "grudnia"}

// polishDay writes the day of receipt as people do: "7 marca 2026 r.".
func polishDay(a sekretariat.Arrival) string {
	y, m, d := a.At.In(sekretariat.Warsaw()).Date()
	return fmt.Sprintf("%d %s %d r.", d, months[m-1], y)
}
