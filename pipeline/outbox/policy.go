package outbox

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"sekretariat"
	"sekretariat/extract/polish"
	"sekretariat/pipeline"
	"sekretariat/pipeline/mailkey"
)

// Why no acknowledgement is sent. The codes stand in events; Polish is what a
// clerk reads.
const (
	SuppressedMachine   = "machine"        // RFC 3834 §2: automatic, list, bulk
	SuppressedJunk      = "junk"           // recognised as no letter, released by a person
	SuppressedOwn       = "own"            // an answer to a notice of ours, or one of them
	SuppressedNoPath    = "no-return-path" // nobody knows where an answer would go
	SuppressedNullPath  = "null-path"      // RFC 5321 §4.5.5: never answered
	SuppressedOtherPath = "other-path"     // the envelope's sender is not the writer
	SuppressedAddress   = "address"        // no plain address
	SuppressedRole      = "role-address"   // no-reply, mailer-daemon, …
	SuppressedOurs      = "our-address"    // an address of the centre itself
	SuppressedNotTo     = "not-to-us"      // the centre is not among the addressees
	SuppressedForged    = "forged"         // the office's own server says that the sender is forged
	SuppressedUnread    = "unread"         // something of the letter is not known
	SuppressedCare      = "care"           // rule P6: violence, child, whistle-blower, danger
	SuppressedClosed    = "closed"         // a closed letter
	SuppressedTooLate   = "too-late"
	SuppressedBad       = "bad-contact" // mail does not reach this address
	SuppressedThread    = "thread"      // this thread was acknowledged
	SuppressedSame      = "same-text"   // the same words of the same sender were
	SuppressedSender    = "sender-cap"  // enough for one sender and day
	SuppressedDay       = "day-cap"     // enough for one day
	SuppressedOff       = "off"         // turned off since it was planned
	SuppressedCancelled = "cancelled"   // the entry was cancelled
)

var polishCodes = map[string]string{
	SuppressedMachine: "wiadomość wysłał automat", SuppressedJunk: "wiadomość rozpoznana jako niechciana", SuppressedOwn: "to odpowiedź na nasze zawiadomienie",
	SuppressedNoPath: "nie wiadomo, dokąd trafiłaby odpowiedź", SuppressedNullPath: "wiadomość bez nadawcy zwrotnego",
	SuppressedOtherPath: "nadawca koperty jest inny niż autor", SuppressedAddress: "nieprawidłowy adres nadawcy",
	SuppressedRole: "adres, na który się nie odpowiada", SuppressedOurs: "adres naszej jednostki", SuppressedNotTo: "wiadomość nie była adresowana do nas",
	SuppressedForged: "nadawca prawdopodobnie podrobiony", SuppressedUnread: "nie wszystko w piśmie udało się odczytać",
	SuppressedCare: "odpowiedź mogłaby zaszkodzić piszącemu", SuppressedClosed: "korespondencja zastrzeżona", SuppressedTooLate: "minęło za dużo czasu",
	SuppressedBad: "poczta nie dociera pod ten adres", SuppressedThread: "w tej korespondencji potwierdzenie już było",
	SuppressedSame: "takie samo pismo było już potwierdzone", SuppressedSender: "ten nadawca dostał już dość potwierdzeń",
	SuppressedDay: "wyczerpany dzienny limit potwierdzeń", SuppressedOff: "potwierdzenia wyłączono", SuppressedCancelled: "wpis anulowano",
	codeUnknown: "nie wiadomo, czy potwierdzenie wyszło; nie zostanie wysłane ponownie", codeGaveUp: "serwer pocztowy nie przyjął potwierdzenia przez kilka dni",
	codeUnreachable: "serwer pocztowy był niedostępny przez kilka dni",
}

// Polish says in plain Polish why an acknowledgement was not sent or failed.
func Polish(code string) string {
	if s, ok := polishCodes[code]; ok {
		return s
	}
	if n, ok := strings.CutPrefix(code, "smtp-"); ok {
		return "serwer pocztowy odmówił (kod " + n + ")"
	}
	return code
}

// forbidden says why a letter must not be acknowledged, "" if it may be.
func (b *Outbox) forbidden(l *sekretariat.Letter, r *sekretariat.Reading) string {
	switch {
	case automatic(r):
		return SuppressedMachine
	case b.o.Pipeline.Junk(l.Arrived, r) != "":
		return SuppressedJunk
	case b.answersUs(r):
		return SuppressedOwn
	}
	if code := b.contact(r); code != "" {
		return code
	}
	if !b.cfg.Unread && (r.Outcome != sekretariat.ReadOK || pipeline.UnreadParts(r)) {
		return SuppressedUnread
	}
	if code := b.betrays(l); code != "" {
		return code
	}
	if b.unsafe.Match(r) {
		return SuppressedCare
	}
	return ""
}

// automatic tells whether a machine wrote the mail, by all that RFC 3834 §2
// names and by what is customary. It is stricter than what is parked: here
// doubt means no answer.
func automatic(r *sekretariat.Reading) bool {
	head := func(name string) string { return strings.ToLower(strings.TrimSpace(r.Headers[name])) }
	if submitted, _, _ := strings.Cut(head("Auto-Submitted"), ";"); submitted != "" && strings.TrimSpace(submitted) != "no" {
		return true
	}
	switch head("Precedence") {
	case "bulk", "list", "junk", "auto_reply", "auto-reply":
		return true
	}
	if suppress := head("X-Auto-Response-Suppress"); suppress != "" && suppress != "none" {
		return true
	}
	for name := range r.Headers {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "list-") {
			return true
		}
	}
	for _, name := range []string{"X-Mailing-List", "Mailing-List", "X-Loop", "X-Autoreply", "X-Autorespond", "X-Autoresponse", "X-Auto-Reply-From", "X-Precedence", "Feedback-ID", "X-Failed-Recipients"} {
		if r.Headers[name] != "" {
			return true
		}
	}
	return r.Auto != ""
}

// noticeSubject begins the subject of our notices, folded: who answers one by a
// program that keeps no references is recognised by it.
const noticeSubject = "potwierdzenie wplywu"

func (b *Outbox) answersUs(r *sekretariat.Reading) bool {
	if r.Headers[mailkey.Header] != "" || strings.Contains(polish.Fold(r.Subject), noticeSubject) {
		return true
	}
	t := b.o.Keys.Thread(r)
	return t != nil && len(t.Own) > 0
}

// plainAddress is what may stand in an SMTP command: no quoting, no other
// alphabet, nothing that ends a line.
var plainAddress = regexp.MustCompile(`^[A-Za-z0-9!#$%&'*+/=?^_{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_{|}~-]+)*@([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z0-9-]{2,63}$`)

// maxAddress is the longest address, octets (RFC 5321 §4.5.3.1.3).
const maxAddress = 254

var roleAddress = regexp.MustCompile(`^(mailer-daemon|postmaster|mail-daemon|daemon|root|nobody|www-data|apache|nginx|noreply|no-reply|no_reply|donotreply|do-not-reply|do_not_reply|` +
	`nieodpowiadaj|nie-odpowiadaj|nie_odpowiadaj|bounces?|majordomo|listserv|newsletter|autoresponder|automat|powiadomienia|notifications?|alerts?)([+.=-].*)?$` +
	`|^owner-|-(request|owner|bounces?|relay)$|no-?reply|nie-?odpowiadaj`)

// contact says why the writer's address must not be answered.
func (b *Outbox) contact(r *sekretariat.Reading) string {
	from := strings.ToLower(r.Sender.Email)
	path := strings.ToLower(strings.TrimSpace(r.Headers["Return-Path"]))
	local, _, _ := strings.Cut(from, "@")
	switch {
	case path == "":
		return SuppressedNoPath
	case path == "<>":
		return SuppressedNullPath
	case len(from) > maxAddress || len(local) > 64 || !plainAddress.MatchString(from) || len(r.Senders) > 1:
		return SuppressedAddress
	case strings.Trim(path, "<>") != from:
		return SuppressedOtherPath
	case roleAddress.MatchString(local):
		return SuppressedRole
	case slices.Contains(b.ours(), from):
		return SuppressedOurs
	case !b.toUs(r):
		return SuppressedNotTo
	case strings.Contains(strings.ToLower(r.Headers["Authentication-Results"]), "dmarc=fail"):
		return SuppressedForged
	}
	return ""
}

// ours are the addresses of the centre, in lower case.
func (b *Outbox) ours() []string {
	out := []string{strings.ToLower(b.cfg.From)}
	for _, m := range b.o.Centre.Mailboxes {
		out = append(out, strings.ToLower(m.Address))
		for _, a := range m.Aliases {
			out = append(out, strings.ToLower(a))
		}
	}
	for _, c := range b.o.Centre.Contacts {
		out = append(out, strings.ToLower(c.Email))
	}
	return slices.DeleteFunc(out, func(s string) bool { return s == "" })
}

// toUs tells whether the mail names an address of the centre's domain: what
// names none came as a hidden copy or over a list (RFC 3834 §2).
func (b *Outbox) toUs(r *sekretariat.Reading) bool {
	var domains []string
	for _, a := range b.ours() {
		_, d, _ := strings.Cut(a, "@")
		domains = append(domains, d)
	}
	return len(domains) == 0 || slices.ContainsFunc(r.Recipients, func(p sekretariat.Party) bool {
		_, d, _ := strings.Cut(strings.ToLower(p.Email), "@")
		return slices.Contains(domains, d)
	})
}

// betrays says why an acknowledgement would tell too much, by where the letter
// is and might have gone (rule P6). It is asked again right before sending.
func (b *Outbox) betrays(l *sekretariat.Letter) string {
	d := l.Decision
	switch {
	case l.Closed:
		return SuppressedClosed
	case d.Silent: // a wish of the writer ("nie pisać"), or the router found that an answer could betray
		return SuppressedCare
	case d.Urgency == sekretariat.Danger || b.o.Pipeline.Sensitive(d):
		return SuppressedCare
	case slices.Contains(b.cfg.NotLabels, d.Label) && d.Label != "":
		return SuppressedCare
	case slices.ContainsFunc(d.Suggestions, func(s sekretariat.Suggestion) bool { return s.Label != "" && slices.Contains(b.cfg.NotLabels, s.Label) }):
		return SuppressedCare
	}
	return ""
}

// validity tells whether the centre's policy of a day says that applications by
// plain e-mail do not count, so that the way to lodge validly is to be told
// (art. 63 § 1 KPA).
func (b *Outbox) validity(at time.Time) bool {
	day := sekretariat.Day(at)
	for _, p := range b.o.Centre.EmailPolicy {
		if p.From <= day && (p.To == "" || day <= p.To) {
			return p.Policy != "accept"
		}
	}
	return true
}
