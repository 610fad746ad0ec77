package lmtp

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/mail"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"sekretariat"
	extract "sekretariat/extract/mail"
	"sekretariat/ingest"
)

// What a mail server is told (RFC 5321, 4.2; RFC 3463).
var (
	errNotAllowed = &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "This door is for the office's own mail server; see mail_door.allow"}
	errNobody     = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "No such mailbox here"}
	errTooLarge   = &smtp.SMTPError{Code: 552, EnhancedCode: smtp.EnhancedCode{5, 3, 4}, Message: "Message is over the size limit"}
	errLater      = &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "Not durable yet, please try again later"}
	errOneByOne   = &smtp.SMTPError{Code: 452, EnhancedCode: smtp.EnhancedCode{4, 5, 3}, Message: "One mailbox at a time, please send again for this recipient"}
	errBroken     = &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 4, 2}, Message: "The message broke off"}
)

// session is one connection; go-smtp calls it from one goroutine at a time.
type session struct {
	s    *Server
	lmtp bool
	conn *smtp.Conn

	from string
	to   []recipient
}

type recipient struct {
	address string
	account *Account
}

func (s *Server) session(c *smtp.Conn, lmtp bool) (smtp.Session, error) {
	if !s.allowed(c.Conn().RemoteAddr()) {
		return nil, errNotAllowed
	}
	return &session{s: s, lmtp: lmtp, conn: c}, nil
}

// Reset fulfils smtp.Session.
func (x *session) Reset() { x.from, x.to = "", nil }

// Logout fulfils smtp.Session.
func (x *session) Logout() error { return nil }

// Mail begins a mail. Its size is looked at here when the server says it.
func (x *session) Mail(from string, o *smtp.MailOptions) error {
	if o != nil && o.Size > x.s.o.MaxSize {
		return errTooLarge
	}
	x.from = from
	return nil
}

// Rcpt adds a recipient. By SMTP there is one answer for all of them, so they
// must belong to one mailbox.
func (x *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	a := x.s.account(to)
	if a == nil {
		return errNobody
	}
	if !x.lmtp && len(x.to) > 0 && x.to[0].account != a {
		return errOneByOne
	}
	x.to = append(x.to, recipient{to, a})
	return nil
}

// Data takes a mail by SMTP.
func (x *session) Data(r io.Reader) error {
	return x.take(r)[x.to[0].account]
}

// LMTPData takes a mail by LMTP and answers for each recipient.
func (x *session) LMTPData(r io.Reader, status smtp.StatusCollector) error {
	answers := x.take(r)
	for _, to := range x.to {
		status.SetStatus(to.address, answers[to.account])
	}
	return nil
}

// take makes the mail durable for each account, reads r to its end whatever
// happens, and returns what to answer: nil is 250.
func (x *session) take(r io.Reader) map[*Account]error {
	answers := map[*Account]error{}
	var accounts []*Account
	for _, to := range x.to {
		if _, seen := answers[to.account]; !seen {
			answers[to.account] = errLater
			accounts = append(accounts, to.account)
		}
	}
	in := &source{r: r, conn: x.conn.Conn()}
	body, drop := x.forAll(in, len(accounts))
	defer drop()
	for i, a := range accounts {
		var err error = errOneByOne
		if again := body(i); again != nil {
			err = x.takeFor(a, again)
		}
		answers[a] = x.answer(a, in, err)
	}
	in.drain()
	return answers
}

// forAll returns a function that gives the mail from its beginning to one
// account after the other, nil if that is not possible: a mail that is long or
// when many are on their way is streamed to the first account only, and the
// server sends it again for the others.
func (x *session) forAll(in *source, accounts int) (body func(i int) io.Reader, drop func()) {
	once := func(i int) io.Reader {
		if i == 0 {
			return in
		}
		return nil
	}
	if accounts < 2 {
		return once, func() {}
	}
	room := time.NewTimer(x.s.room)
	defer room.Stop()
	select {
	case x.s.copies <- struct{}{}:
	case <-room.C:
		return once, func() {}
	case <-x.s.life.Done():
		return once, func() {}
	}
	drop = func() { <-x.s.copies }
	begin, err := io.ReadAll(io.LimitReader(in, maxCopy+1))
	if err == nil && len(begin) <= maxCopy {
		return func(int) io.Reader { return bytes.NewReader(begin) }, drop
	}
	return func(i int) io.Reader {
		if i == 0 {
			return io.MultiReader(bytes.NewReader(begin), in)
		}
		return nil
	}, drop
}

// takeFor hands the mail to the receiver and waits until it is durable.
func (x *session) takeFor(a *Account, r io.Reader) error {
	ctx, cancel := context.WithTimeout(x.s.life, x.s.patience+time.Hour) // reading has its own limits
	defer cancel()
	in := bufio.NewReaderSize(r, peek)
	head, _ := in.Peek(peek) // what cannot be read fails below
	id := &extract.IdentityHasher{}
	trace := x.trace(a)
	limited := &limit{r: io.MultiReader(strings.NewReader(trace), in), left: x.s.o.MaxSize + int64(len(trace))}
	ticket, err := x.s.o.Receiver.Take(ctx, x.delivery(a, head, id), id.Reader(limited))
	if err != nil {
		return err
	}
	wait, stop := context.WithTimeout(x.s.life, x.s.patience)
	defer stop()
	_, err = ticket.Wait(wait)
	return err
}

// answer says what the mail server should do.
func (x *session) answer(a *Account, in *source, err error) error {
	switch {
	case err == nil || errors.Is(err, errOneByOne):
		return err
	case errors.Is(err, ingest.ErrTooLarge):
		return errTooLarge
	case in.err != nil && !errors.Is(in.err, io.EOF):
		return errBroken
	}
	x.s.o.Logger.Warn().Err(err).Str("centre", string(a.Centre)).Str("account", a.Mailbox.ID).
		Msg("mail door: a mail cannot be made durable, the mail server keeps it")
	return errLater
}

// trace are the fields that the last server on the way puts on top of a mail
// (RFC 5321, 4.4). They take no part in its identity.
func (x *session) trace(a *Account) string {
	to := ""
	for _, r := range x.to {
		if r.account == a {
			to = r.address
			break
		}
	}
	return fmt.Sprintf("Return-Path: <%s>\r\nDelivered-To: %s\r\n", oneLine(x.from), oneLine(to))
}

// oneLine makes sure that an address cannot begin a field of its own.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s)
}

// delivery describes the mail as the IMAP channel does: the same content in the
// same mailbox is the same submission.
func (x *session) delivery(a *Account, head []byte, id *extract.IdentityHasher) sekretariat.Delivery {
	m := a.Mailbox
	var to []string
	for _, r := range x.to {
		if r.account == a {
			to = append(to, r.address)
		}
	}
	door := sekretariat.DoorSMTP
	if x.lmtp {
		door = sekretariat.DoorLMTP
	}
	return sekretariat.Delivery{
		Centre: a.Centre, Kind: sekretariat.KindMail, Door: door,
		Account: m.ID, Unit: m.Unit, Department: m.Department, Series: m.Series,
		Identity:  func(sekretariat.BodyFacts) []string { return []string{string(id.Digest())} },
		Content:   func(sekretariat.BodyFacts) sekretariat.Digest { return id.Digest() },
		Arrived:   sekretariat.Arrival{At: arrival(head, x.s.o.Clock()), Basis: sekretariat.BasisServerArrival},
		MediaType: "message/rfc822",
		Source:    map[string]string{"mailbox": m.Address, "envelope-from": x.from, "envelope-to": strings.Join(to, ", ")},
	}
}

// How much of a mail is looked at for its first Received field, and how long
// mail servers keep what they cannot deliver (RFC 5321, 4.5.4.1: 4-5 days).
const (
	peek    = 16 << 10
	maxHeld = 7 * 24 * time.Hour
)

// arrival is when the office's mail server took the mail (rule P2): the time in
// the topmost Received field, which that server wrote. It may have held the
// mail for days because we were away.
func arrival(head []byte, now time.Time) time.Time {
	at, ok := received(head)
	if !ok || at.After(now) || now.Sub(at) > maxHeld {
		return now
	}
	return at.UTC()
}

// received reads the date of the topmost Received field.
func received(head []byte) (time.Time, bool) {
	var field []byte
	for line := range bytes.Lines(head) {
		switch {
		case field != nil && (line[0] == ' ' || line[0] == '\t'):
			field = append(field, line...)
			continue
		case field != nil:
			return dateOf(field)
		case len(bytes.TrimRight(line, "\r\n")) == 0:
			return time.Time{}, false
		}
		if name, rest, ok := bytes.Cut(line, []byte(":")); ok && bytes.EqualFold(bytes.TrimSpace(name), []byte("Received")) {
			field = bytes.Clone(rest)
		}
	}
	return dateOf(field)
}

func dateOf(field []byte) (time.Time, bool) {
	i := bytes.LastIndexByte(field, ';')
	if i < 0 {
		return time.Time{}, false
	}
	at, err := mail.ParseDate(strings.Join(strings.Fields(string(field[i+1:])), " "))
	return at, err == nil
}

// source is the mail as it comes over the connection.
type source struct {
	r    io.Reader
	conn net.Conn
	err  error // how it ended
}

func (s *source) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(p)
	if errors.Is(err, io.EOF) && over(s.conn) {
		// go-smtp takes a connection that ends inside the last BDAT chunk for
		// the end of the mail: half a letter would be taken for a whole one.
		err = io.ErrUnexpectedEOF
	}
	s.err = err
	return n, err
}

// drain reads what nobody wanted: the answer is due after the last octet, and a
// server that is cut off in the middle would come again and again.
func (s *source) drain() { _, _ = io.Copy(io.Discard, s) }

// limit ends a mail that is too large with ErrTooLarge.
type limit struct {
	r    io.Reader
	left int64
}

func (l *limit) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return 0, ingest.ErrTooLarge
	}
	return n, err
}
