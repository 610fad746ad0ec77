package pipeline

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/extract/mail"
	"sekretariat/extract/polish"
	"sekretariat/pipeline/mailkey"
)

// AutomaticHeaders are header fields, beside those of every Reading, by which
// machines say that they are machines; junk and acknowledgements look at them.
var AutomaticHeaders = []string{
	mailkey.Header, "List-Post", "List-Help", "List-Subscribe", "List-Owner", "List-Archive", "X-Mailing-List", "Mailing-List",
	"X-Loop", "X-Autoreply", "X-Autorespond", "X-Autoresponse", "X-Auto-Reply-From", "X-Precedence", "Feedback-ID",
}

// headers are the further fields to read in the mail of an account.
func (p *Pipeline) headers(account string) []string {
	out := slices.Clone(AutomaticHeaders)
	for _, h := range p.spamHeaders(account) {
		if !slices.Contains(out, h.Name) {
			out = append(out, h.Name)
		}
	}
	return out
}

func (p *Pipeline) spamHeaders(account string) []configs.SpamHeader {
	i := slices.IndexFunc(p.o.Centre.Mailboxes, func(m configs.Mailbox) bool { return m.ID == account })
	if i < 0 {
		return nil
	}
	return p.o.Centre.Mailboxes[i].SpamHeaders
}

// automatic are the kinds of machines whose mail nobody need register. Others,
// such as notifications (a form on a website is one), may be letters.
var automatic = map[string]sekretariat.ParkReason{
	mail.AutoBounce:  sekretariat.ParkBounce,
	mail.AutoDelay:   sekretariat.ParkReceipt,
	mail.AutoReceipt: sekretariat.ParkReceipt,
	mail.AutoReply:   sekretariat.ParkAutoReply,
	mail.AutoList:    sekretariat.ParkList,
	mail.AutoBulk:    sekretariat.ParkList,
}

// Junk tells whether a mail is no letter, and why; "" means that it may be one.
// It says nothing of urgency. Spam is what the mail server has put into its
// folder for that, or what a trusted header field says.
func (p *Pipeline) Junk(a sekretariat.ArrivedData, r *sekretariat.Reading) sekretariat.ParkReason {
	reason := automatic[r.Auto]
	if reason == sekretariat.ParkAutoReply && !surelyReply(r) || r.Auto == mail.AutoBulk && r.Headers["List-Unsubscribe"] == "" {
		reason = ""
	}
	switch {
	case p.o.Keys != nil && p.o.Keys.Own(r):
		reason = sekretariat.ParkOwn
	case sentBy(r.Sender, p.o.Centre.Parking.Keep):
		return ""
	case reason == "" && (a.Junk || slices.ContainsFunc(p.spamHeaders(a.Account), func(h configs.SpamHeader) bool { return spam(h, r.Headers) })):
		reason = sekretariat.ParkSpam
	}
	if slices.Contains(p.o.Centre.Parking.Off, string(reason)) {
		return ""
	}
	return reason
}

// replyMarks begin the subjects that programs write over automatic answers,
// folded.
var replyMarks = []string{
	"automatic reply", "auto reply", "auto-reply", "autoreply", "auto:", "out of office", "odpowiedz automatyczna", "automatyczna odpowiedz", "autoodpowiedz",
}

// surelyReply tells whether a mail that looks like an automatic answer says so
// itself, by a header field or at the begin of its subject. A person's mail
// about an absence, from a server that asks for silence, does not.
func surelyReply(r *sekretariat.Reading) bool {
	for _, name := range []string{"Auto-Submitted", "X-Autoreply", "X-Autorespond", "X-Autoresponse", "X-Auto-Reply-From"} {
		if v := strings.ToLower(r.Headers[name]); v != "" && !strings.HasPrefix(v, "no") {
			return true
		}
	}
	for _, name := range []string{"Precedence", "X-Precedence"} {
		if v := strings.ToLower(r.Headers[name]); v == "auto_reply" || v == "auto-reply" {
			return true
		}
	}
	subject := polish.Fold(r.Subject)
	return slices.ContainsFunc(replyMarks, func(m string) bool { return strings.HasPrefix(subject, m) })
}

// spam tells whether the office's filter calls a mail spam.
func spam(h configs.SpamHeader, headers map[string]string) bool {
	v, ok := headers[h.Name]
	if !ok {
		return false
	}
	if h.AtLeast == nil {
		return slices.ContainsFunc(strings.FieldsFunc(v, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' && r != '_' }),
			func(w string) bool { return strings.EqualFold(w, strings.TrimSpace(h.Contains)) })
	}
	score, ok := score(v)
	return ok && score >= *h.AtLeast
}

// score reads the number of a field: "15.2", "Yes, score=15.2 required=5",
// "default: False [15.20 / 15.00]", or the count of its stars, "*****".
func score(v string) (float64, bool) {
	if stars := strings.TrimSpace(v); stars != "" && strings.Trim(stars, "*+x") == "" {
		return float64(len(stars)), true
	}
	for i := 0; i < len(v); i++ {
		if v[i] < '0' || v[i] > '9' {
			continue
		}
		begin, end := i, i
		for end < len(v) && (v[end] >= '0' && v[end] <= '9' || v[end] == '.') {
			end++
		}
		if begin > 0 && v[begin-1] == '-' {
			begin--
		}
		n, err := strconv.ParseFloat(strings.TrimRight(v[begin:end], "."), 64)
		return n, err == nil
	}
	return 0, false
}

// sentBy tells whether a sender is one of the addresses or @domains.
func sentBy(who sekretariat.Party, terms []string) bool {
	address := strings.ToLower(who.Email)
	return slices.ContainsFunc(terms, func(t string) bool {
		t = strings.ToLower(t)
		return address != "" && (address == t || strings.HasPrefix(t, "@") && strings.HasSuffix(address, t))
	})
}

// parkingRule is a compiled rule of the centre for mail that is not subject to
// registration.
type parkingRule struct {
	configs.NotRegistered
	subject *polish.Matcher // nil: any subject
}

// CheckParking compiles the centre's rules for mail that is not subject to
// registration; the error names the rule and the phrase that cannot be used.
func CheckParking(c *configs.Centre) error {
	_, err := parkingRules(c)
	return err
}

func parkingRules(c *configs.Centre) ([]parkingRule, error) {
	var out []parkingRule
	for _, r := range c.Parking.Rules {
		var phrases []polish.Phrase
		for _, t := range r.Subject {
			ph, err := polish.ParsePhrase(t)
			if err != nil {
				return nil, fmt.Errorf("parking of centre %s: rule %q: %w", c.ID, r.ID, err)
			}
			phrases = append(phrases, ph)
		}
		rule := parkingRule{NotRegistered: r}
		if len(phrases) > 0 {
			rule.subject = polish.NewMatcher(phrases)
		}
		out = append(out, rule)
	}
	return out, nil
}

// unregistrable finds the centre's rule by which a mail is not subject to
// registration (rule P9).
func (p *Pipeline) unregistrable(account string, r *sekretariat.Reading) (parkingRule, bool) {
	for _, rule := range p.parking {
		if len(rule.Accounts) > 0 && !slices.Contains(rule.Accounts, account) ||
			len(rule.From) > 0 && !sentBy(r.Sender, rule.From) ||
			rule.subject != nil && !says(rule.subject, r.Subject) {
			continue
		}
		return rule, true
	}
	return parkingRule{}, false
}

func says(m *polish.Matcher, subject string) bool {
	found := false
	m.Match(polish.Prepare(subject), func(polish.Hit) { found = true })
	return found
}
