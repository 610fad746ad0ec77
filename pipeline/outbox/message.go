package outbox

import (
	"bytes"
	"fmt"
	"net/mail"
	"regexp"
	"strings"

	gomail "github.com/wneessen/go-mail"

	"sekretariat"
	"sekretariat/extract/html"
	"sekretariat/pipeline/mailkey"
)

// maxName bounds the centre's name in From, in characters.
const maxName = 100

// plainMessageID is a Message-ID that may be put into our header: the dot-atom
// or a near relative (RFC 5322 §3.6.4), nothing that ends a line or a bracket.
var plainMessageID = regexp.MustCompile(`^[!-;=?-~]{1,250}$`)

// message writes the acknowledgement of a letter, always the same but for its
// date: plain text and HTML, marked by all that RFC 3834 §3.1 names as an
// automatic answer. Of the letter it holds the sender's address and the
// Message-ID, both only if they are plain.
func (b *Outbox) message(l *sekretariat.Letter, r *sekretariat.Reading) ([]byte, error) {
	text, err := b.template(l).render(b.fields(l))
	if err != nil {
		return nil, err
	}
	from := b.sender(l)
	m := gomail.NewMsg(gomail.WithCharset(gomail.CharsetUTF8), gomail.WithEncoding(gomail.EncodingQP), gomail.WithNoDefaultUserAgent())
	m.FromMailAddress(&mail.Address{Name: oneLine(b.o.Centre.Name, maxName), Address: from})
	m.ToMailAddress(&mail.Address{Address: r.Sender.Email})
	m.Subject(text.subject)
	m.SetDateWithValue(b.o.Clock().In(sekretariat.Warsaw()))
	id := b.o.Keys.NoticeID(l.ID, domain(from))
	m.SetMessageIDWithValue(id)
	// RFC 3834 §5 and, for programs that do not know it, their own words.
	m.SetGenHeader("Auto-Submitted", "auto-replied")
	m.SetGenHeader("X-Auto-Response-Suppress", "All")
	m.SetGenHeader("Precedence", "bulk")
	m.SetGenHeader("Content-Language", "pl")
	if plainMessageID.MatchString(r.MessageID) {
		m.SetGenHeaderPreformatted("In-Reply-To", "<"+r.MessageID+">")
		m.SetGenHeaderPreformatted("References", "<"+r.MessageID+">")
	}
	sign := b.o.Keys.Sign(id, r.Sender.Email, text.subject, text.text, html.Text(text.html))
	m.SetGenHeaderPreformatted(mailkey.Header, sign)
	m.SetBodyString(gomail.TypeTextPlain, text.text)
	m.AddAlternativeString(gomail.TypeTextHTML, text.html)
	var out bytes.Buffer
	if _, err := m.WriteTo(&out); err != nil {
		return nil, fmt.Errorf("compose: %w", err)
	}
	// On one line, for the programs that look for it there.
	return bytes.Replace(out.Bytes(), []byte("Message-ID:\r\n <sk1-"), []byte("Message-ID: <sk1-"), 1), nil
}

// sender is the address that an acknowledgement comes from: the configured one,
// else that of the mailbox that got the letter.
func (b *Outbox) sender(l *sekretariat.Letter) string {
	if b.cfg.From != "" {
		return b.cfg.From
	}
	first := ""
	for _, m := range b.o.Centre.Mailboxes {
		if m.ID == l.Arrived.Account && m.Address != "" {
			return m.Address
		}
		if first == "" {
			first = m.Address
		}
	}
	return first
}

func domain(address string) string {
	_, d, _ := strings.Cut(address, "@")
	return d
}

// hello is the name that the relay is greeted with.
func (b *Outbox) hello() string {
	if b.cfg.SMTP.Hello != "" {
		return b.cfg.SMTP.Hello
	}
	for _, a := range b.ours() {
		return domain(a)
	}
	return "localhost"
}
