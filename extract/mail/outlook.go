package mail

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"sekretariat"
	"sekretariat/extract/charset"
	"sekretariat/extract/html"
	"sekretariat/extract/mapi"
	"sekretariat/extract/msg"
	"sekretariat/extract/rtf"
)

// Outlook tells whether a file of a type by content is an Outlook message: its
// name may have told, and if not, only a look inside can.
func Outlook(body sekretariat.Body, typ string) bool {
	if typ == "application/x-ole-storage" {
		_, err := msg.Open(body, body.Size())
		return err == nil
	}
	return typ == TypeOutlook
}

// Wrapped tells whether a part lies inside a foreign format, an Outlook message
// or a signature: it is opened only where a reader may die.
func Wrapped(p sekretariat.Part) bool { return strings.Contains(p.Encoding, "@") }

// mapiHeader makes a header of what a message says of itself: that which came
// with it from outside, and for what is missing there its properties.
func mapiHeader(m *mapi.Message) header {
	var h header
	for line := range strings.SplitSeq(m.Props.Text(mapi.TransportHeaders), "\n") {
		if line = strings.TrimRight(line, "\r"); line != "" {
			h.add([]byte(line))
		}
	}
	p := &m.Props
	h.fill("subject", p.First(mapi.Subject, mapi.NormalizedSubject))
	h.fill("from", mailboxOf(p.First(mapi.RepresentingName, mapi.SenderName), smtp(p.First(mapi.RepresentingSMTP, mapi.RepresentingEmail, mapi.SenderSMTP), p.First(mapi.SenderEmail))))
	var to, cc []string
	for i := range m.Recipients {
		one := &m.Recipients[i]
		box := mailboxOf(one.First(mapi.DisplayName), smtp(one.First(mapi.SMTPAddress), one.First(mapi.EmailAddress)))
		switch one.Int(mapi.RecipientType) {
		case 2:
			cc = append(cc, box)
		case 0, 1:
			to = append(to, box)
		}
	}
	h.fill("to", strings.Join(to, ", "))
	h.fill("cc", strings.Join(cc, ", "))
	for name, id := range map[string]mapi.ID{"message-id": mapi.MessageID, "in-reply-to": mapi.InReplyTo, "references": mapi.References} {
		h.fill(name, p.First(id))
	}
	for _, id := range []mapi.ID{mapi.SubmitTime, mapi.DeliveryTime} {
		if t := p.Time(id); !t.IsZero() {
			h.fill("date", t.Format(time.RFC1123Z))
		}
	}
	return h
}

// fill adds a field that is missing.
func (h *header) fill(name, value string) {
	if value = oneLine(value); value != "" && !h.has(name) {
		h.add([]byte(name + ": " + value))
	}
}

// smtp returns the first of several addresses that is one: others are names
// within Exchange ("/o=…").
func smtp(addrs ...string) string {
	for _, a := range addrs {
		if strings.Contains(a, "@") && !strings.HasPrefix(a, "/") {
			return a
		}
	}
	return ""
}

// mailboxOf writes an address as a header has it.
func mailboxOf(name, addr string) string {
	name = strings.NewReplacer(`"`, "'", `\`, "/", "\n", " ", "\r", " ").Replace(name)
	addr = strings.Trim(strings.NewReplacer("<", "", ">", "", ",", "", "\n", "", "\r", "").Replace(addr), " '\"")
	switch {
	case addr == "" && name == "":
		return ""
	case addr == "":
		return `"` + name + `"`
	case name == "" || name == addr || strings.Trim(name, "'") == addr:
		return "<" + addr + ">"
	}
	return `"` + name + `" <` + addr + `>`
}

// mapiAuto tells what kind of machine wrote a message by its class
// (MS-OXCMSG §2.2.1.3).
func mapiAuto(class string) string {
	class = strings.ToLower(class)
	switch {
	case strings.HasPrefix(class, "report.") && strings.HasSuffix(class, ".ndr"):
		return AutoBounce
	case strings.HasPrefix(class, "report.") && strings.HasSuffix(class, ".delayed"):
		return AutoDelay
	case strings.HasPrefix(class, "report."):
		return AutoReceipt
	case strings.Contains(class, "oof"):
		return AutoReply
	}
	return ""
}

// mapiText is one body of a message.
type mapiText struct {
	step, typ, charset, text string
	raw                      []byte
}

// mapiTexts returns the bodies of a message, the plain one first. The
// compressed RTF is read only when there is nothing else: it says the same.
func (r *reader) mapiTexts(m *mapi.Message) []mapiText {
	var out []mapiText
	if m.Props.Has(mapi.Body) {
		text, _ := plainText(m.Props.Text(mapi.Body))
		out = append(out, mapiText{step: "text", typ: "text/plain", text: text, raw: m.Props.Binary(mapi.Body)})
	}
	if m.Props.Has(mapi.HTML) {
		t := mapiText{step: "html", typ: "text/html", raw: m.Props.Binary(mapi.HTML)}
		t.text, t.charset = r.mapiHTML(m)
		out = append(out, t)
	}
	if raw := m.Props.Binary(mapi.RTFCompressed); len(raw) > 0 {
		t := mapiText{step: "rtf", typ: typeRTF, raw: raw}
		if strings.TrimSpace(joinTexts(out)) == "" {
			t.text = r.rtf(raw)
		}
		out = append(out, t)
	}
	for i := range out {
		out[i].text = cutString(strings.ToValidUTF8(out[i].text, "\uFFFD"), r.opts.MaxText)
	}
	return out
}

func joinTexts(texts []mapiText) string {
	var all []string
	for _, t := range texts {
		all = append(all, t.text)
	}
	return strings.Join(all, "")
}

func (r *reader) mapiHTML(m *mapi.Message) (text, name string) {
	raw := m.Props.Binary(mapi.HTML)
	if m.Props.Type(mapi.HTML) == mapi.TypeUnicode {
		raw = []byte(m.Props.Text(mapi.HTML))
	}
	raw = raw[:min(len(raw), keepText)]
	r.work += int64(len(raw))
	label := charset.Codepage(m.Props.Int(mapi.InternetCodepage))
	if label == "" {
		label = html.MetaCharset(raw)
	}
	text, res := charset.Decode(raw, label)
	text = html.Convert(text, r.opts.MaxText).Text
	text, _ = plainText(text)
	return text, res.Name
}

// rtf returns the text of a compressed RTF body.
func (r *reader) rtf(raw []byte) string {
	doc, err := rtf.Decompress(raw, keepText)
	if err != nil && len(doc) == 0 {
		return ""
	}
	r.work += int64(len(doc))
	text, isHTML := rtf.Convert(doc, keepText)
	if isHTML {
		text = html.Convert(text, r.opts.MaxText).Text
	}
	text, _ = plainText(text)
	return text
}

// mapiPieces turns bodies into the pieces that alternatives are.
func mapiPieces(texts []mapiText) []piece {
	var out []piece
	for i, t := range texts {
		if strings.TrimSpace(t.text) != "" {
			out = append(out, piece{child: i + 1, html: t.step == "html", text: t.text})
		}
	}
	return out
}

// outlookFile is an Outlook message with the part that it is.
type outlookFile struct {
	*msg.File
	wrap sekretariat.Part
}

// place returns the place of a stream in it: a path of ordinals, perhaps with
// the name of a body.
func (f *outlookFile) place(path []int, body string) (which, encoding string) {
	words := make([]string, 0, len(path)+1)
	for _, n := range path {
		words = append(words, strconv.Itoa(n))
	}
	if body != "" {
		words = append(words, body)
	}
	which = strings.Join(words, ".")
	return which, f.wrap.Encoding + "/0/" + stepMSG + "." + which
}

// root takes the original itself, an Outlook message.
func (x *expander) root(f *msg.File) error {
	x.r.outlook = true
	m := f.Message()
	x.r.root, x.r.class = mapiHeader(m), mapiAuto(m.Props.Text(mapi.MessageClass))
	return x.members(&outlookFile{File: f, wrap: sekretariat.Part{Length: x.body.Size()}}, m, -1, nil)
}

// members lists the bodies and the attachments of the message that path leads
// to in f. It is part i, or the letter itself when i is negative.
func (x *expander) members(f *outlookFile, m *mapi.Message, i int, path []int) error {
	level, at := 0, ""
	if i >= 0 {
		level, at = x.r.levels[i], x.r.out.Parts[i].Path
		x.r.out.Parts[i].Fate = "opened"
		x.summary(i, m)
	}
	if m.Cut {
		x.r.find(FindingOutlookCut, at, "")
	}
	ordinal, err := x.bodies(f, m, level, at, path)
	if err != nil {
		return err
	}
	for n := range m.Attachments {
		if err := x.ctx.Err(); err != nil {
			return err
		}
		ordinal++
		if ok, err := x.member(f, &m.Attachments[n], level, childOf(at, ordinal), append(slices.Clone(path), n)); !ok || err != nil {
			return err
		}
	}
	return nil
}

func childOf(path string, ordinal int) string {
	return strings.TrimPrefix(path+"."+strconv.Itoa(ordinal), ".")
}

// bodies lists the bodies of a message and takes their text; it returns how
// many there are.
func (x *expander) bodies(f *outlookFile, m *mapi.Message, level int, at string, path []int) (int, error) {
	texts := x.r.mapiTexts(m)
	pieces := mapiPieces(texts)
	for n, t := range texts {
		which, encoding := f.place(path, t.step)
		i, ok := x.add(sekretariat.Part{
			Path: childOf(at, n+1), Declared: t.typ, Type: t.typ, Charset: t.charset, Fate: "listed",
			Encoding: encoding, Offset: f.wrap.Offset, Length: f.wrap.Length,
		}, level)
		if !ok {
			return n, nil
		}
		sink := newFileSink()
		if _, err := io.Copy(sink, member(f.File, which)); err != nil {
			return n, fmt.Errorf("read a body: %w", err)
		}
		x.settle(i, sink)
		for j := range pieces {
			if pieces[j].child == n+1 {
				pieces[j].part = i
				x.r.out.Parts[i].Fate = "text"
			}
		}
	}
	pieces = x.r.combine("alternative", at, pieces)
	for j := range pieces {
		pieces[j].text = x.r.budget(pieces[j].text, at)
	}
	if level == 0 {
		x.r.say(pieces)
	} else {
		x.r.readPieces(pieces)
	}
	return len(texts), nil
}

// member lists one attachment and descends into a message; ok is false when
// there is no room for more.
func (x *expander) member(f *outlookFile, a *mapi.Attachment, level int, at string, path []int) (ok bool, err error) {
	which, encoding := f.place(path, "")
	p := sekretariat.Part{Path: at, Fate: "listed", Attachment: true, Encoding: encoding, Offset: f.wrap.Offset, Length: f.wrap.Length}
	if a.Embedded != nil {
		p.Type = TypeOutlook
		i, room := x.add(p, level+1)
		if !room {
			return false, nil
		}
		x.r.out.Parts[i].Name = cutString(oneLine(a.Name()), maxName)
		x.settle(i, newFileSink())
		return true, x.members(f, a.Embedded, i, path)
	}
	sink := newFileSink()
	if a.Size > 0 {
		_, err = io.Copy(sink, member(f.File, which))
		x.r.work += sink.size
		if err != nil {
			return false, fmt.Errorf("read an attachment: %w", err)
		}
	}
	return x.list(p, a, sink, level), nil
}
