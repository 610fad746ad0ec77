package mail

import (
	"slices"
	"strings"
	"unicode"

	"sekretariat"
	"sekretariat/extract/charset"
)

// Limits of what a Reading holds of a header.
const (
	maxSubject    = 8 << 10 // octets
	maxHeaderText = 2000    // octets of a selected header
	maxReferences = 200
	maxDetail     = 200 // octets of a finding
)

// reader collects what one message says, of whatever depth.
type reader struct {
	opts     Options
	out      sekretariat.Reading
	seen     map[sekretariat.Finding]bool // without details
	reserved int                          // parts that a preamble may turn into
	texts    int                          // octets of text kept
	levels   []int                        // messages around each part
	outlook  bool                         // the original is an Outlook message: its header is made here
	event    string                       // what the first invitation says
	near     string                       // encoding of the first text that is not plain ASCII
	class    string                       // what kind of machine wrote it, by its class there
	root     header
	report   report

	// work counts octets handled, by every stage that handles them, and
	// steps of the structure: it must stay linear in the size of the message.
	work int64
}

func newReader(opts Options) *reader {
	return &reader{
		opts: opts, seen: map[sekretariat.Finding]bool{},
		out: sekretariat.Reading{Reader: Name, Format: "message/rfc822", Outcome: sekretariat.ReadOK},
	}
}

// find notes a finding, once per code and part.
func (r *reader) find(code, part, detail string) {
	key := sekretariat.Finding{Code: code, Part: part}
	if r.seen[key] || len(r.out.Findings) >= sekretariat.MaxFindings {
		return
	}
	r.seen[key] = true
	if len(r.out.Findings) == sekretariat.MaxFindings-1 {
		key, detail = sekretariat.Finding{Code: FindingFindingsLimit}, ""
	}
	key.Detail = cutString(oneLine(strings.ToValidUTF8(detail, "")), maxDetail)
	r.out.Findings = append(r.out.Findings, key)
}

// room tells whether one more part may be listed, leaving a place for the
// opaque rest.
func (r *reader) room() bool {
	return len(r.out.Parts)+r.reserved < r.opts.MaxParts-1
}

// addPart lists a part within level messages.
func (r *reader) addPart(p sekretariat.Part, level int) int {
	r.out.Parts = append(r.out.Parts, p)
	r.levels = append(r.levels, level)
	return len(r.out.Parts) - 1
}

// budget returns as much of text as may still be kept of this message.
func (r *reader) budget(text, path string) string {
	const all = 8 // times the text of one part
	if left := all*r.opts.MaxText - r.texts; len(text) > left {
		text = cutString(text, max(0, left))
		r.find(FindingTextCut, path, "")
	}
	r.texts += len(text)
	return text
}

// messageHeader takes the header of a message of whatever depth.
func (r *reader) messageHeader(f *frame, h *header) {
	if f.level == 0 {
		r.root = *h
		return
	}
	if f.level == 1 && r.report.kind != "" {
		r.report.about(h)
	}
	if f.part < 0 {
		return
	}
	text, subject := summary(h)
	p := &r.out.Parts[f.part]
	p.Text = r.budget(text, p.Path)
	f.subject = subject
}

// summary says who wrote a message within the letter, and about what.
func summary(h *header) (text, subject string) {
	subject = cutString(headerText(h.get("subject")), maxHeaderText)
	var lines []string
	const enough = 2048 // octets of a From field that names one person
	from := h.get("from")
	if list, _, _ := addresses(from[:min(len(from), enough)], 1); len(list) > 0 {
		lines = append(lines, strings.TrimSpace("Od: "+strings.TrimSpace(list[0].Name+" "+list[0].Email)))
	}
	if subject != "" {
		lines = append(lines, "Temat: "+subject)
	}
	return strings.Join(lines, "\n"), subject
}

// endMessage gives the text of a message that has ended to where it belongs.
func (r *reader) endMessage(f *frame) {
	if f.level == 0 {
		r.say(f.pieces)
		return
	}
	r.readPieces(f.pieces)
	if f.part >= 0 {
		if p := &r.out.Parts[f.part]; p.Name == "" && f.subject != "" {
			p.SafeName = safeName(f.subject, "message/rfc822", p.Path)
		}
	}
}

// readPieces gives the text of a message within the letter to its parts.
func (r *reader) readPieces(pieces []piece) {
	for _, p := range pieces {
		part := &r.out.Parts[p.part]
		part.Text, part.Fate = p.text, "read"
	}
}

// say adds to the text of the letter.
func (r *reader) say(pieces []piece) {
	text := joined(pieces)
	if r.out.Text != "" && text != "" {
		text = r.out.Text + "\n\n" + text
	}
	if text != "" {
		r.out.Text = r.cutText(text)
	}
}

func (r *reader) cutText(s string) string {
	if len(s) > r.opts.MaxText {
		r.find(FindingTextCut, "", "")
		s = cutString(s, r.opts.MaxText)
	}
	return s
}

// headerText decodes an unstructured field.
func headerText(raw []byte) string { return oneLine(decodeWords(raw)) }

// finish fills in what the header of the message says and returns the Reading.
func (r *reader) finish() sekretariat.Reading {
	h, out := &r.root, &r.out
	r.decodeRaw(h)
	if strings.TrimSpace(out.Text) == "" {
		out.Text = r.event
	}
	r.subject(h)
	r.people(h)
	r.date(h)
	r.ids(h)
	out.Headers = selectHeaders(h, r.opts.Headers)
	if out.Auto = r.auto(h); out.Auto == "" {
		out.Auto = r.class
	}
	if out.Auto == AutoBounce || out.Auto == AutoDelay {
		if len(r.report.recipients) == 0 || r.report.original == "" {
			r.report.fromText(h, out.Text, out.Sender.Email)
		}
	}
	r.report.addTo(out)
	r.judge(h)
	return *out
}

// decodeRaw decodes the undeclared octets of the fields that people read: they
// are probably in the encoding of the text.
func (r *reader) decodeRaw(h *header) {
	for i := range h.fields {
		switch f := &h.fields[i]; f.name {
		case "subject", "from", "to", "cc", "reply-to", "sender":
			if beyondASCII(f.value) {
				f.value = []byte(charset.DecodeNear(f.value, r.near))
			}
		}
	}
}

func (r *reader) subject(h *header) {
	raw := h.get("subject")
	r.note8Bit(raw)
	r.out.Subject = cutString(headerText(raw), maxSubject)
	if len(h.all("subject")) > 1 {
		r.find(FindingSubjectRepeat, "", "")
	}
}

func (r *reader) note8Bit(raw []byte) {
	if beyondASCII(raw) && !r.outlook {
		r.find(FindingHeader8Bit, "", "")
	}
}

func (r *reader) people(h *header) {
	froms := h.all("from")
	if len(froms) == 0 {
		r.find(FindingFromMissing, "", "")
	}
	var all []sekretariat.Party
	for i, raw := range froms {
		if i == 1 {
			r.find(FindingFromRepeated, "", "")
		}
		if i > 9 {
			break
		}
		r.note8Bit(raw)
		list, ok, _ := addresses(raw, maxRecipients)
		if !ok || len(list) == 0 {
			r.find(FindingFromUnparsable, "", "")
		}
		all = append(all, list...)
	}
	if len(all) > 0 {
		r.out.Sender = all[0]
	}
	if len(all) > 1 {
		r.out.Senders = all[:min(len(all), maxRecipients)]
	}
	r.out.ReplyTo, _ = r.list(h, "reply-to", maxRecipients)
	to, _ := r.list(h, "to", maxRecipients)
	cc, _ := r.list(h, "cc", maxRecipients-len(to))
	r.out.Recipients = append(to, cc...)
}

// list reads all fields of a name as one address list.
func (r *reader) list(h *header, name string, limit int) ([]sekretariat.Party, bool) {
	var out []sekretariat.Party
	for _, raw := range h.all(name) {
		list, _, cut := addresses(raw, limit-len(out))
		out = append(out, list...)
		if cut {
			r.find(FindingRecipientsCut, "", "")
			return out, true
		}
	}
	return out, false
}

func (r *reader) date(h *header) {
	raw := h.get("date")
	switch t, ok := parseDate(raw); {
	case len(raw) == 0:
		r.find(FindingDateMissing, "", "")
	case !ok:
		r.find(FindingDateUnreadable, "", string(raw[:min(len(raw), maxDetail)]))
	default:
		t = t.UTC()
		r.out.Sent = &t
	}
}

func (r *reader) ids(h *header) {
	if raw := h.get("message-id"); len(raw) == 0 {
		r.find(FindingNoMessageID, "", "")
	} else if ids := messageIDs(raw, 1); len(ids) > 0 {
		r.out.MessageID = ids[0]
	} else {
		r.out.MessageID = messageID(raw)
	}
	known := map[string]bool{}
	for _, id := range append(messageIDs(h.get("references"), maxReferences), messageIDs(h.get("in-reply-to"), maxReferences)...) {
		if !known[id] && len(known) < maxReferences {
			known[id] = true
			r.out.References = append(r.out.References, id)
		}
	}
}

// selected are the fields that a Reading shows beside those it understands.
var selected = []string{
	"Return-Path", "Sender", "Delivered-To", "X-Original-To", "Auto-Submitted", "Precedence", "List-Id", "List-Unsubscribe",
	"X-Auto-Response-Suppress", "X-Failed-Recipients", "Importance", "X-Priority", "Priority", "Sensitivity",
	"Disposition-Notification-To", "Return-Receipt-To", "X-Spam-Flag", "X-Spam-Status", "X-Spam-Level", "X-Spam", "Authentication-Results",
	"Received-SPF", "X-Mailer", "User-Agent", "Organization", "Content-Language", "From", "Date", "Received",
}

// maxFurther bounds the names that a caller adds to selected.
const maxFurther = 50

// selectHeaders returns the first field of each selected name, decoded.
func selectHeaders(h *header, further []string) map[string]string {
	out := map[string]string{}
	for _, name := range slices.Concat(selected, further[:min(len(further), maxFurther)]) {
		raw := h.get(strings.ToLower(name))
		if v := headerText(raw[:min(len(raw), 2*maxHeaderText)]); v != "" {
			out[name] = cutString(v, maxHeaderText)
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// noteCharset tells how a text part was decoded when that was not simply as
// declared.
func (r *reader) noteCharset(path, declared string, res charset.Result) {
	if r.near == "" && res.Name != "us-ascii" {
		r.near = res.Name
	}
	detail := declared + " → " + res.Name
	if res.Unknown {
		r.find(FindingCharsetUnknown, path, detail)
	}
	switch res.Basis {
	case charset.Guessed:
		r.find(FindingCharsetGuessed, path, detail)
	case charset.Overruled:
		r.find(FindingCharsetOverruled, path, detail)
	}
	if res.Double {
		r.find(FindingCharsetDouble, path, detail)
	}
	if res.Lossy {
		r.find(FindingCharsetLossy, path, detail)
	}
}

// judge decides the outcome.
func (r *reader) judge(h *header) {
	out := &r.out
	if len(h.fields) == 0 {
		code := FindingNoHeader
		if len(out.Parts) == 0 {
			code = FindingEmpty
		}
		r.find(code, "", "")
	}
	if out.Text == "" && !hasContent(out.Parts) && len(h.fields) > 0 {
		r.find(FindingNoContent, "", "")
	}
	for _, f := range out.Findings {
		if partial[f.Code] {
			out.Outcome = sekretariat.ReadPartial
		}
	}
	for i := range out.Parts {
		if out.Parts[i].Fate == "unreadable" {
			out.Outcome = sekretariat.ReadPartial
		}
	}
	if len(h.fields) == 0 && (len(out.Parts) == 0 || binary(out.Text)) {
		out.Outcome = sekretariat.ReadUnreadable
	}
}

func hasContent(parts []sekretariat.Part) bool {
	for i := range parts {
		if parts[i].Attachment && parts[i].Size > 0 {
			return true
		}
	}
	return false
}

// binary tells whether text is nothing that a person wrote.
func binary(s string) bool {
	strange := 0
	for _, c := range s {
		if c == unicode.ReplacementChar || !unicode.IsPrint(c) && !unicode.IsSpace(c) {
			strange++
		}
	}
	return s == "" || strange*10 > len(s)
}
