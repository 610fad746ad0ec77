package edelivery

import (
	"fmt"
	"strings"
	"time"

	"sekretariat"
	"sekretariat/extract/edoreczenia"
)

// identity are the fields that make a message the same message (contract:
// address of the mailbox, id of the message). A proof of a sent message is
// apart from it: there may be one for each thing that can become of it. So is
// evidence about a received message that came late.
func (c *Channel) identity(l *letter) []string {
	fields := []string{c.o.Account.Address, l.id}
	if l.piece != "" {
		return append(fields, "evidence", l.piece)
	}
	if l.kind == edoreczenia.KindProof && l.class != edoreczenia.ClassEvidence {
		fields = append(fields, "proof", l.class)
	}
	return fields
}

// submission is the id of the submission that a letter is or becomes.
func (c *Channel) submission(l *letter) sekretariat.SubmissionID {
	return sekretariat.NewSubmissionID(c.o.Centre, sekretariat.KindEDelivery, c.o.Account.ID, c.identity(l)...)
}

// delivery says of a letter what the provider says of it.
func (c *Channel) delivery(l *letter) sekretariat.Delivery {
	a := c.o.Account
	m := l.message.Metadata
	d := sekretariat.Delivery{
		Centre: c.o.Centre, Kind: sekretariat.KindEDelivery, Door: sekretariat.DoorUAAPI, Account: a.ID,
		Unit: a.Unit, Department: a.Department, Series: a.Series,
		Proof:  l.kind == edoreczenia.KindProof,
		Source: c.source(l), MediaType: edoreczenia.MediaType, Arrived: c.arrived(l),
	}
	identity := c.identity(l)
	d.Identity = func(sekretariat.BodyFacts) []string { return identity }
	for _, s := range []string{m.SubmissionDate, m.EventDate} {
		if t, ok := edoreczenia.ParseTime(s); ok {
			d.Sent = t
			break
		}
	}
	return d
}

// arrived is the legal day of receipt (rule P2): that of the proof of receipt;
// before there is one, that of storing in the mailbox. A proof arrives when its
// evidence was made.
func (c *Channel) arrived(l *letter) sekretariat.Arrival {
	m := l.message.Metadata
	if l.kind == edoreczenia.KindMessage {
		if t, ok := edoreczenia.ParseTime(m.ReceiptDate); ok {
			return sekretariat.Arrival{At: t, Basis: sekretariat.BasisReceipt}
		}
	}
	var newest time.Time
	for _, e := range l.evidences {
		if t, ok := edoreczenia.ParseTime(e.Created); ok && t.After(newest) {
			newest = t
		}
	}
	if l.kind == edoreczenia.KindProof && !newest.IsZero() {
		return sekretariat.Arrival{At: newest, Basis: sekretariat.BasisMailbox}
	}
	if t, ok := edoreczenia.ParseTime(m.Timestamp); ok {
		return sekretariat.Arrival{At: t, Basis: sekretariat.BasisMailbox}
	}
	return sekretariat.Arrival{At: c.o.Clock(), Basis: sekretariat.BasisServerArrival}
}

// source keeps what is not in the container (the state of the message when it
// was taken, the letter of ours that it is about), and the four dates, which
// must be at hand without opening it.
func (c *Channel) source(l *letter) map[string]string {
	m := l.message.Metadata
	var labels []string
	for _, x := range l.message.Control.Labels[:min(len(l.message.Control.Labels), 20)] {
		labels = append(labels, x.Label)
	}
	s := map[string]string{
		"ade": c.o.Account.Address, "messageId": l.id, "threadId": m.ThreadID, "refToMessageId": m.RefToMessageID,
		"timestamp": m.Timestamp, "receiptDate": m.ReceiptDate, "submissionDate": m.SubmissionDate, "eventDate": m.EventDate,
		"messageType": l.message.Control.Type, "labels": strings.Join(labels, " "), "from": m.From.ADE,
		edoreczenia.SourceStatus: l.message.Control.Status, edoreczenia.SourceClass: l.class,
		sourceEvidences: evidenceIDs(l.evidences), edoreczenia.SourceEvidence: l.piece,
	}
	if l.sent != nil {
		s[edoreczenia.SourceAbout] = l.sent.MessageID
		s[edoreczenia.SourceAboutSubject] = l.sent.Subject
		s[edoreczenia.SourceAboutCase] = l.sent.CaseID
		for _, to := range l.sent.To {
			s[edoreczenia.SourceAboutTo] = strings.TrimSpace(edoreczenia.Describe(to))
			break
		}
	}
	for k, v := range s {
		if v = strings.ToValidUTF8(v, ""); v == "" {
			delete(s, k)
		} else {
			s[k] = v
		}
	}
	return s
}

// The beginnings of notes to a clerk.
const (
	noteLarge = "W skrzynce e-Doręczeń jest wiadomość większa, niż program może przyjąć. Nie została pobrana; leży dalej w skrzynce. Otwórz portal e-Doręczeń, zapisz ją i zarejestruj ręcznie."
	noteStuck = "W skrzynce e-Doręczeń jest wiadomość, której mimo wielu prób nie można pobrać. Program próbuje dalej. Otwórz ją na portalu e-Doręczeń; jeżeli sprawa jest pilna, zarejestruj ją ręcznie."
	noteStub  = "W skrzynce e-Doręczeń jest zawiadomienie o wiadomości, której operator jeszcze nie przekazał. Otwórz portal e-Doręczeń i sprawdź, czy trzeba ją tam odebrać: po upływie terminu uznaje się ją za doręczoną."
)

// noteGone: somebody removed it before it could be taken.
const noteGone = "Ze skrzynki e-Doręczeń zniknęła wiadomość, zanim program zdążył ją pobrać: ktoś ją usunął albo przeniósł. Sprawdź na portalu e-Doręczeń i zarejestruj ją ręcznie."

// note tells a clerk of a message that could not be taken.
func (c *Channel) note(begin string, it item) string {
	var b strings.Builder
	b.WriteString(begin + "\n")
	m := it.message.Metadata
	for _, line := range [][2]string{
		{"Skrzynka", c.o.Account.Address}, {"Temat", m.Subject}, {"Nadawca", edoreczenia.Describe(m.From)},
		{"Zapisano w skrzynce", m.Timestamp}, {"Doręczono", m.ReceiptDate}, {"Identyfikator wiadomości", it.id},
	} {
		if v := strings.Join(strings.Fields(line[1]), " "); v != "" {
			fmt.Fprintf(&b, "\n%s: %s", line[0], v[:min(len(v), 1000)])
		}
	}
	if d := it.message.Control.DaysToReceive; d > 0 {
		fmt.Fprintf(&b, "\nDni do uznania za doręczoną: %d", d)
	}
	return strings.ToValidUTF8(b.String(), "")
}
