package mail

import (
	"bytes"
	"strings"

	"sekretariat"
)

// report is what a delivery or disposition report says (RFC 3464, RFC 8098).
type report struct {
	kind       string // report-type, "" while the message is no report
	action     string // of the worst recipient: "failed", "delayed", …
	original   string // message id of the mail it is about
	subject    string // of that mail
	envelope   string
	recipients []sekretariat.ReportRecipient
}

// Headers that this package adds to those of the mail: facts of a report, of
// its worst recipient.
const (
	HeaderReportAction    = "Report-Action"
	HeaderReportStatus    = "Report-Status"
	HeaderReportRecipient = "Report-Recipient"
	HeaderReportOriginal  = "Report-Original-Message-ID"
)

// addTo puts the report into a Reading.
func (r *report) addTo(out *sekretariat.Reading) {
	if r.kind == "" && len(r.recipients) == 0 {
		return
	}
	kind := r.kind
	if kind == "" {
		kind = "text"
	}
	out.Report = &sekretariat.Report{
		Kind: kind, Action: cutString(r.action, 64), OriginalID: r.original, OriginalSubject: r.subject, Envelope: r.envelope, Recipients: r.recipients,
	}
	var worst sekretariat.ReportRecipient
	for _, one := range r.recipients {
		if worst.Address == "" || rank[one.Action] > rank[worst.Action] {
			worst = one
		}
	}
	for name, v := range map[string]string{
		HeaderReportAction: r.action, HeaderReportStatus: worst.Status, HeaderReportRecipient: worst.Address, HeaderReportOriginal: r.original,
	} {
		if v == "" {
			continue
		}
		if out.Headers == nil {
			out.Headers = map[string]string{}
		}
		out.Headers[name] = cutString(v, maxHeaderText)
	}
}

// noteReport notes that the message itself, not one within it, is a report.
func (r *reader) noteReport(level int, kind string) {
	if level == 0 && r.report.kind == "" {
		r.report.kind = cutString(kind, 64)
		if kind == "" {
			r.report.kind = "unknown"
		}
	}
}

// rank orders the actions of RFC 3464 §2.3.3; the worst one counts.
var rank = map[string]int{"failed": 5, "delayed": 4, "expanded": 3, "relayed": 2, "delivered": 1, "deliverable": 1}

// readReport reads the fields of a report part of the message itself.
func (r *reader) readReport(ctype string, raw []byte) {
	if r.report.kind == "" {
		return
	}
	r.work += int64(len(raw))
	for _, group := range fieldGroups(raw) {
		if ctype == "text/rfc822-headers" {
			r.report.about(group)
			return
		}
		r.report.group(group)
	}
}

// about takes the header of the mail that the report is about.
func (r *report) about(h *header) {
	if ids := messageIDs(h.get("message-id"), 1); len(ids) > 0 && r.original == "" {
		r.original = ids[0]
	}
	if r.subject == "" {
		raw := h.get("subject")
		r.subject = cutString(headerText(raw[:min(len(raw), 2*maxHeaderText)]), maxHeaderText)
	}
}

// group takes the fields about the whole mail or about one recipient.
func (r *report) group(h *header) {
	if ids := messageIDs(h.get("original-message-id"), 1); len(ids) > 0 {
		r.original = ids[0]
	}
	if id := h.get("original-envelope-id"); id != nil && r.envelope == "" {
		r.envelope = cutString(headerText(id), maxMessageID)
	}
	one := sekretariat.ReportRecipient{
		Address: reportAddress(h.get("final-recipient")), Original: reportAddress(h.get("original-recipient")),
		Status: firstWord(h.get("status")), Diagnostic: diagnostic(h.get("diagnostic-code")),
	}
	if d := h.get("disposition"); d != nil {
		_, what, _ := strings.Cut(headerText(d), ";")
		one.Action = strings.ToLower(firstWord([]byte(strings.TrimLeft(what, " "))))
		one.Action, _, _ = strings.Cut(one.Action, "/")
		if r.action == "" {
			r.action = one.Action
		}
	}
	if action := strings.ToLower(firstWord(h.get("action"))); action != "" {
		one.Action = action
		if rank[action] > rank[r.action] {
			r.action = action
		}
	}
	if one.Address == "" {
		one.Address, one.Original = one.Original, ""
	}
	if one.Original == one.Address {
		one.Original = ""
	}
	r.add(one)
}

func (r *report) add(one sekretariat.ReportRecipient) {
	if one.Address == "" || len(r.recipients) >= sekretariat.MaxReportRecipients {
		return
	}
	for _, known := range r.recipients {
		if strings.EqualFold(known.Address, one.Address) && known.Action == one.Action {
			return
		}
	}
	r.recipients = append(r.recipients, one)
}

func firstWord(raw []byte) string {
	word, _, _ := strings.Cut(headerText(raw[:min(len(raw), maxDetail)]), " ")
	return cutString(strings.TrimRight(word, ";,"), 64)
}

// diagnostic drops the type of a diagnostic code: "smtp; 550 No such user".
func diagnostic(raw []byte) string {
	const most = 500 // octets
	if kind, rest, ok := bytes.Cut(raw, []byte(";")); ok && len(kind) < 20 {
		raw = rest
	}
	return cutString(headerText(raw[:min(len(raw), maxHeaderText)]), most)
}

// reportAddress drops the address type: "rfc822; jan@poczta.example".
func reportAddress(raw []byte) string {
	if _, rest, ok := bytes.Cut(raw, []byte(";")); ok {
		raw = rest
	}
	raw = bytes.TrimSpace(raw)
	if len(raw) > 0 && raw[0] == '<' {
		raw = raw[1:]
		if i := bytes.IndexByte(raw, '>'); i >= 0 {
			raw = raw[:i]
		}
	}
	return cleanEmail(raw)
}

// fieldGroups parses groups of fields separated by blank lines.
func fieldGroups(raw []byte) []*header {
	const most = 1000
	groups := []*header{{}}
	for line := range bytes.SplitSeq(raw, []byte("\n")) {
		line = bytes.TrimSuffix(line, []byte("\r"))
		if len(line) > 0 {
			groups[len(groups)-1].add(line)
			continue
		}
		if len(groups) < most && len(groups[len(groups)-1].fields) > 0 {
			groups = append(groups, &header{})
		}
	}
	return groups
}

// fromText completes the report of a bounce that is not written by RFC 3464:
// qmail, Exim, Exchange and many providers tell people, not programs.
func (r *report) fromText(h *header, text, sender string) {
	const most = 32 << 10 // octets that are looked at
	failed := h.get("x-failed-recipients")
	list, _, _ := addresses(failed[:min(len(failed), most)], sekretariat.MaxReportRecipients)
	for _, p := range list {
		r.add(sekretariat.ReportRecipient{Address: p.Email, Action: "failed"})
	}
	known := len(r.recipients) > 0
	last := -1 // recipient that the line before named
	for line := range strings.Lines(cutString(text, most)) {
		line = strings.TrimSpace(line)
		if id, ok := cutPrefixFold(strings.TrimLeft(line, "> "), "message-id:"); ok && r.original == "" {
			if ids := messageIDs([]byte(id), 1); len(ids) > 0 {
				r.original = ids[0]
			}
		}
		switch addr := lineAddress(line); {
		case last >= 0 && line != "" && addr == "":
			if line[0] != '-' && !originalBegins(line) {
				r.recipients[last].Diagnostic = cutString(line, 500)
			}
			last = -1
		case addr != "" && !known && !quoted(line) && !strings.EqualFold(addr, sender):
			n := len(r.recipients)
			r.add(sekretariat.ReportRecipient{Address: addr, Action: "failed"})
			if last = n; len(r.recipients) == n {
				last = -1
			}
		}
		known = known || originalBegins(line) // what comes now is the mail itself
	}
	if r.original == "" {
		if ids := append(messageIDs(h.get("in-reply-to"), 1), messageIDs(h.get("references"), maxReferences)...); len(ids) > 0 {
			r.original = ids[0]
		}
	}
	if len(r.recipients) > 0 && r.action == "" {
		r.action = "failed"
	}
}

func quoted(line string) bool { return strings.HasPrefix(line, ">") }

// lineAddress returns the address that a line consists of: "<jan@x.example>:",
// "jan@x.example", "jan@x.example (jan@x.example)".
func lineAddress(line string) string {
	const most = 700
	if len(line) > most || strings.Count(line, "@") == 0 {
		return ""
	}
	word, rest, _ := strings.Cut(line, " ")
	word = strings.Trim(word, "<>:;,*\"'")
	if rest = strings.Trim(strings.ReplaceAll(strings.ReplaceAll(rest, "mailto:", ""), word, ""), " <>():;,"); rest != "" {
		return ""
	}
	local, domain, ok := strings.Cut(word, "@")
	if !ok || local == "" || !strings.Contains(domain, ".") || strings.ContainsAny(word, "<>()[]{}:;,\\/=") || len(word) > maxEmail {
		return ""
	}
	return cleanEmail([]byte(word))
}

// originalBegins recognises the line after which a bounce quotes the mail.
func originalBegins(line string) bool {
	line = strings.ToLower(line)
	for _, s := range []string{
		"below this line is a copy", "this is a copy of the message", "original message", "message headers follow", "copy of your message",
		"message header", "returned message", "oryginalna wiadomość", "nagłówki oryginalnej", "nagłówek wiadomości", "kopia wiadomości", "treść wiadomości", "unsent message",
	} {
		if strings.Contains(line, s) {
			return true
		}
	}
	return false
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}
