package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/extract/mail"
	"sekretariat/ledger"
	"sekretariat/pipeline"
	"sekretariat/pipeline/mailkey"
	"sekretariat/pipeline/outbox"
)

func read(t *testing.T, raw string) sekretariat.Reading {
	t.Helper()
	r, err := mail.Read(t.Context(), strings.NewReader(raw), mail.Options{Headers: pipeline.AutomaticHeaders})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAcknowledgement(t *testing.T) {
	o := open(t)
	o.run(o.outbox())
	id := o.mail("jan@poczta.example", "Osobliwy temat", "Proszę o zasiłek. Mieszkam przy ul. Sekretnej 7.", "Message-ID: <pierwszy@poczta.example>\r\n")
	l := o.acked(id, sekretariat.AckSent)
	got := o.relay.messages()
	if len(got) != 1 || got[0].from != "" || got[0].to != "jan@poczta.example" {
		t.Fatalf("relay got %+v, want one message from <> to the writer", got)
	}
	r := read(t, got[0].message)
	for name, want := range map[string]string{"Auto-Submitted": "auto-replied", "Precedence": "bulk", "X-Auto-Response-Suppress": "All"} {
		if r.Headers[name] != want {
			t.Errorf("%s is %q, want %q (RFC 3834)", name, r.Headers[name], want)
		}
	}
	if r.Sender.Email != "ops@ops.example" || !slices.Equal(r.References, []string{"pierwszy@poczta.example"}) || r.MessageID != o.keys.NoticeID(id, "ops.example") {
		t.Errorf("from %q, references %v, id %q", r.Sender.Email, r.References, r.MessageID)
	}
	number := fmt.Sprintf("RPW/%d/%d", l.Number.N, l.Number.Year)
	for _, want := range []string{number, "art. 63 § 1", "00 111 22 33", "Dział Zasiłków", "Ośrodek Pomocy Społecznej w Przykładowie", "e-Doręczenia", "nie oznacza, że podanie zostało złożone"} {
		if !strings.Contains(r.Text, want) {
			t.Errorf("text lacks %q:\n%s", want, r.Text)
		}
	}
	for _, secret := range []string{"Osobliwy", "Sekretnej", "zasiłek", "Tajny"} {
		if strings.Contains(got[0].message, secret) || strings.Contains(r.Text, secret) || strings.Contains(r.Subject, secret) {
			t.Errorf("the letter is echoed: %q", secret)
		}
	}
	html := slices.ContainsFunc(r.Parts, func(p sekretariat.Part) bool { return p.Type == "text/html" })
	if !html || !strings.Contains(got[0].message, `lang=3D"pl"`) {
		t.Errorf("no HTML form with a language: %+v", r.Parts)
	}
	if r.Auto == "" {
		t.Error("nobody could know that a machine wrote it")
	}
}

// What comes back of ours is known as ours, and nothing else is.
func TestOwnNotices(t *testing.T) {
	o := open(t)
	o.run(o.outbox())
	o.acked(o.mail("jan@poczta.example", "Zasiłek", "Proszę o zasiłek."), sekretariat.AckSent)
	own := o.relay.messages()[0].message
	mine := read(t, own)
	if !o.keys.Own(&mine) {
		t.Fatalf("our own notice is not known: headers %v, to %+v, subject %q", mine.Headers, mine.Recipients, mine.Subject)
	}
	id := o.raw("Return-Path: <>\r\n" + own)
	if l := o.await(id, "sorting", func(l *sekretariat.Letter) bool { return l.Status != "" }); l.Reason != sekretariat.ParkOwn {
		t.Errorf("our notice came back and is %s (%s)", l.Status, l.Reason)
	}
	head, body, _ := strings.Cut(own, "\r\n\r\n")
	subjectLine := ""
	for line := range strings.Lines(head) {
		if strings.HasPrefix(line, "Subject:") {
			subjectLine = line
		}
	}
	for name, forged := range map[string]string{
		"other words":      head + "\r\n\r\n" + strings.Replace(body, "potwierdzamy", "grozimy", 1),
		"another subject":  strings.Replace(own, subjectLine, "Subject: Pomocy\r\n", 1),
		"another writer's": strings.Replace(own, "jan@poczta.example", "ola@poczta.example", 1),
		"only its id and header": "Message-ID: <" + mine.MessageID + ">\r\n" + mailkey.Header + ": " + mine.Headers[mailkey.Header] +
			"\r\nFrom: a@b.example\r\nTo: jan@poczta.example\r\nSubject: Pomocy\r\n\r\nPotrzebuję pomocy.",
	} {
		if forged == own {
			t.Fatalf("%s: nothing was changed", name)
		}
		if r := read(t, forged); o.keys.Own(&r) {
			t.Errorf("%s: taken for ours, it would never be read", name)
		}
	}
	other := mailkey.New([]byte("another office"), o.cfg.ID)
	if other.Own(&mine) {
		t.Error("another office's key knows our notice as its own")
	}
}

// A duel with an automatic answerer that keeps none of the rules: at most one
// acknowledgement, however long it lasts and whatever it changes. The thousand
// rounds of TestDuelOfAThousandRounds are its judgement alone; these go through
// the whole pipeline.
func TestDuel(t *testing.T) {
	o := open(t, func(c *configs.Centre) { c.Acknowledgement.PerSender = 3 })
	o.run(o.outbox())
	first := o.mail("odpowiadacz@poczta.example", "Zasiłek", "Proszę o zasiłek.", "Message-ID: <pierwszy@poczta.example>\r\n")
	o.acked(first, sekretariat.AckSent)
	ack := read(t, o.relay.messages()[0].message)
	var rest []func() sekretariat.LetterID
	for n := range rounds {
		subject, extra := "Re: "+ack.Subject, ""
		switch n % 4 {
		case 1: // keeps references, changes the subject
			subject, extra = fmt.Sprintf("Odpowiedz %d", n), "In-Reply-To: <"+ack.MessageID+">\r\n"
		case 2: // refers to its own first mail only
			subject, extra = "Odpowiedz", "References: <pierwszy@poczta.example>\r\n"
		case 3: // the same again as the first mail, with a new id
			subject = "Zasiłek"
		}
		text := fmt.Sprintf("Dziekuje za wiadomosc numer %d.", n)
		if n%4 == 3 {
			text = "Proszę o zasiłek."
		}
		rest = append(rest, o.take(o.letter("odpowiadacz@poczta.example", subject, text, extra, fmt.Sprintf("Message-ID: <runda-%d@poczta.example>\r\nX-Round: %d\r\n", n, n))))
	}
	for _, wait := range rest {
		o.acked(wait(), sekretariat.AckSuppressed)
	}
	if got := len(o.relay.messages()); got != 1 {
		t.Errorf("%d acknowledgements in %d rounds, want 1", got, rounds)
	}
}

func TestRefusals(t *testing.T) {
	o := open(t)
	o.relay.answer = func(n int, to string) error {
		switch {
		case strings.HasPrefix(to, "nikt@"):
			return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"}
		case strings.HasPrefix(to, "filtr@"):
			return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "policy"}
		case n < 3:
			return &smtp.SMTPError{Code: 450, EnhancedCode: smtp.EnhancedCode{4, 2, 0}, Message: "greylisted"}
		}
		return nil
	}
	o.run(o.outbox())
	t.Run("for now", func(t *testing.T) {
		id := o.mail("szary@poczta.example", "Zasiłek", "Proszę o zasiłek.")
		for range 2 {
			before := o.acked(id, sekretariat.AckWaiting)
			if before.Ack.Code != "smtp-450" || len(before.Failures) != 0 {
				t.Errorf("waiting with %q and failures %v", before.Ack.Code, before.Failures)
			}
			o.later.Store(int64(before.Ack.Due.Sub(time.Now()) + time.Second))
			o.await(id, "the next attempt", func(l *sekretariat.Letter) bool { return l.Ack.Attempt > before.Ack.Attempt })
		}
		if l := o.acked(id, sekretariat.AckSent); l.Ack.Attempt != 3 {
			t.Errorf("sent at attempt %d, want 3", l.Ack.Attempt)
		}
	})
	t.Run("for good, no such address", func(t *testing.T) {
		l := o.acked(o.mail("nikt@poczta.example", "Zasiłek", "Proszę o zasiłek dla mnie."), sekretariat.AckFailed)
		if len(l.Failures) != 1 || l.Failures[0].Step != sekretariat.StepAcknowledge || l.Failures[0].Code != "smtp-550" {
			t.Errorf("the clerk sees %+v, want the refusal", l.Failures)
		}
		o.visible()
		next := o.mail("nikt@poczta.example", "Inna sprawa", "Szukam noclegu.")
		o.await(next, "no answer to a bad contact", func(l *sekretariat.Letter) bool { return l.Ack != nil && l.Ack.Code == "bad-contact" })
		o.visible()
		if bad, err := o.ix.SenderBad(t.Context(), sekretariat.Principal{Centre: o.cfg.ID, Register: true}, next, time.Now()); err != nil || !bad {
			t.Errorf("the contact of the next letter is bad: %v, %v", bad, err)
		}
	})
	t.Run("for good, by policy", func(t *testing.T) {
		id := o.mail("filtr@poczta.example", "Zasiłek", "Proszę o zasiłek celowy.")
		o.acked(id, sekretariat.AckFailed)
		o.visible()
		if bad, err := o.ix.SenderBad(t.Context(), sekretariat.Principal{Centre: o.cfg.ID, Register: true}, id, time.Now()); err != nil || bad {
			t.Errorf("a refusal by policy makes the address bad: %v, %v", bad, err)
		}
	})
}

// After the last octet nobody knows: never again, and the clerk sees it.
func TestUnknownOutcomeIsNotSentAgain(t *testing.T) {
	o := open(t)
	o.relay.data = func(int) error { return errHangUp }
	o.run(o.outbox())
	id := o.mail("jan@poczta.example", "Zasiłek", "Proszę o zasiłek.")
	l := o.acked(id, sekretariat.AckFailed)
	if l.Ack.Code != "unknown" || len(l.Failures) != 1 {
		t.Errorf("code %q, failures %v; want unknown on the letter", l.Ack.Code, l.Failures)
	}
	o.later.Store(int64(time.Hour))
	o.acked(o.mail("ola@poczta.example", "Zasiłek", "Proszę o zasiłek."), sekretariat.AckFailed) // the outbox went on
	if got := len(o.relay.messages()); got != 2 {
		t.Errorf("relay got %d messages of two letters", got)
	}
}

// A sender that died between its note and the answer: nobody sends again.
func TestCrashWhileSendingIsNotSentAgain(t *testing.T) {
	o := open(t)
	o.cfg.Acknowledgement.Delay = time.Hour
	o.run(o.outbox())
	id := o.mail("jan@poczta.example", "Zasiłek", "Proszę o zasiłek.")
	o.acked(id, sekretariat.AckPlanned)
	_, seq, err := pipeline.State(t.Context(), o.log, id.Submission())
	if err != nil {
		t.Fatal(err)
	}
	e, err := sekretariat.NewEvent(sekretariat.EventAckSending, o.cfg.ID, "outbox", string(id), 1, o.clock(), sekretariat.AckAttemptData{Letter: id, Attempt: 1})
	if err == nil {
		_, err = o.log.Append(t.Context(), ledger.Letter, ledger.Record{Subject: string(id.Submission()), LastSeq: seq, Event: e})
	}
	if err != nil {
		t.Fatal(err)
	}
	o.later.Store(int64(2 * time.Hour))
	if l := o.acked(id, sekretariat.AckFailed); l.Ack.Code != "unknown" {
		t.Errorf("code %q, want unknown", l.Ack.Code)
	}
	if got := o.relay.messages(); len(got) != 0 {
		t.Errorf("relay got %d messages", len(got))
	}
}

// Two processes, as after a lost lease: the note before sending lets one pass.
func TestTwoSendersSendOnce(t *testing.T) {
	o := open(t)
	o.run(o.outbox(), o.outbox(), o.outbox())
	var ids []sekretariat.LetterID
	for n := range 20 {
		ids = append(ids, o.mail(fmt.Sprintf("jan%d@poczta.example", n), "Zasiłek", "Proszę o zasiłek."))
	}
	for _, id := range ids {
		o.acked(id, sekretariat.AckSent)
	}
	if got := len(o.relay.messages()); got != len(ids) {
		t.Errorf("%d messages for %d letters", got, len(ids))
	}
}

// A letter that goes to the violence team after its acknowledgement was
// planned is not acknowledged (rule P6).
func TestReroutingStopsTheAcknowledgement(t *testing.T) {
	o := open(t)
	o.cfg.Acknowledgement.Delay = time.Hour
	o.run(o.outbox())
	clerk := sekretariat.Principal{ID: "t", Centre: o.cfg.ID, Register: true, Departments: []sekretariat.DepartmentID{"sekretariat"}}
	for _, to := range []sekretariat.DepartmentID{"przemoc", "zamkniety"} {
		id := o.mail("jan@"+string(to)+".example", "Zasiłek", "Proszę o zasiłek "+string(to[0:3]))
		o.acked(id, sekretariat.AckPlanned)
		if err := o.pipe.Reroute(t.Context(), clerk, id, 1, to, "do zespołu"); err != nil {
			t.Fatal(err)
		}
		o.later.Store(int64(2 * time.Hour))
		o.acked(id, sekretariat.AckSuppressed)
		o.later.Store(0)
	}
	if got := o.relay.messages(); len(got) != 0 {
		t.Errorf("relay got %d messages", len(got))
	}
}

// A bounce of our acknowledgement marks the contact as bad; one that names
// another message does not.
func TestBounceOfOurAnswer(t *testing.T) {
	o := open(t)
	o.run(o.outbox())
	id := o.mail("jan@poczta.example", "Zasiłek", "Proszę o zasiłek.")
	o.acked(id, sekretariat.AckSent)
	bounce := func(original string) string {
		return "Return-Path: <>\r\nFrom: MAILER-DAEMON@mx.example\r\nSubject: Undelivered\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n" +
			"--b\r\nContent-Type: text/plain\r\n\r\nNie dostarczono.\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\n" +
			"Final-Recipient: rfc822; jan@poczta.example\r\nAction: failed\r\nStatus: 5.1.1\r\n--b\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: <" + original + ">\r\n--b--\r\n"
	}
	parked := func(raw string) {
		t.Helper()
		b := o.raw(raw)
		if l := o.await(b, "sorting", func(l *sekretariat.Letter) bool { return l.Status != "" }); l.Reason != sekretariat.ParkBounce {
			t.Fatalf("the bounce is %s %q", l.Status, l.Reason)
		}
	}
	ours := o.keys.NoticeID(id, "ops.example")
	parked(bounce("sk1-" + strings.Repeat("0", 52) + "-1-" + strings.Repeat("0", 24) + "@ops.example"))
	parked(bounce(strings.Replace(ours, "-1-", "-2-", 1)))
	o.acked(id, sekretariat.AckSent)
	parked(bounce(ours))
	if l := o.acked(id, sekretariat.AckBounced); l.Ack.Code != "5.1.1" {
		t.Errorf("bounced with %q, want 5.1.1", l.Ack.Code)
	}
	o.visible()
	next := o.mail("jan@poczta.example", "Inna sprawa", "Szukam noclegu.")
	o.await(next, "no answer to a bad contact", func(l *sekretariat.Letter) bool {
		if l.Ack != nil && l.Ack.Code != "bad-contact" {
			t.Fatalf("code %q", l.Ack.Code)
		}
		return l.Ack != nil
	})
}

// Nothing but "off" keeps the outbox from its limits: the centre's daily cap.
func TestDayCap(t *testing.T) {
	o := open(t, func(c *configs.Centre) { c.Acknowledgement.PerDay = 5 })
	o.run(o.outbox())
	sent, capped := 0, 0
	for n := range 12 {
		id := o.mail(fmt.Sprintf("jan%d@poczta.example", n), "Zasiłek", "Proszę o zasiłek.")
		l := o.await(id, "an outcome", func(l *sekretariat.Letter) bool { return l.Ack != nil && !l.Ack.State.Open() })
		switch {
		case l.Ack.State == sekretariat.AckSent:
			sent++
		case l.Ack.Code == "day-cap":
			capped++
		}
	}
	if sent != 5 || capped != 7 {
		t.Errorf("%d sent and %d capped, want 5 and 7", sent, capped)
	}
}

// A relay that is away holds nothing up and loses nothing.
func TestRelayAwayAndBack(t *testing.T) {
	o := open(t)
	addr := o.relay.addr
	if err := o.relay.server.Close(); err != nil {
		t.Fatal(err)
	}
	b := o.outbox()
	o.run(b)
	id := o.mail("jan@poczta.example", "Zasiłek", "Proszę o zasiłek.")
	if l := o.acked(id, sekretariat.AckPlanned); l.Ack.Attempt != 0 {
		t.Errorf("attempt %d though nothing could be sent", l.Ack.Attempt)
	}
	for deadline := time.Now().Add(10 * time.Second); b.Alarm() == ""; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nobody is told that the relay is away")
		}
	}
	o.later.Store(int64(6 * 24 * time.Hour))
	l := o.acked(id, sekretariat.AckFailed)
	if l.Ack.Code != "unreachable" || len(l.Failures) != 1 || addr == "" {
		t.Errorf("after days the clerk sees %q %v", l.Ack.Code, l.Failures)
	}
}

// The same letter is planned once, whatever is repeated.
func TestPlanningTwiceIsOnce(t *testing.T) {
	o := open(t)
	o.cfg.Acknowledgement.Delay = time.Hour
	b := o.outbox()
	o.run(b)
	id := o.mail("jan@poczta.example", "Zasiłek", "Proszę o zasiłek.")
	o.acked(id, sekretariat.AckPlanned)
	st, err := o.log.State(t.Context(), ledger.Letter)
	if err != nil {
		t.Fatal(err)
	}
	var again []ledger.Stored
	err = o.log.Replay(t.Context(), ledger.Letter, 1, func(s ledger.Stored) error { again = append(again, s); return nil })
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range again {
		if err := outbox.Plan(b, t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	if now, err := o.log.State(t.Context(), ledger.Letter); err != nil || now.Last != st.Last {
		t.Errorf("LETTER grew from %d to %d, %v", st.Last, now.Last, err)
	}
}

// broken is a ledger that dies right before it stores an event of some type.
type broken struct {
	ledger.Log
	at sekretariat.EventType
	n  atomic.Int64 // times
}

// dying is an outbox that dies so often right before it stores such an event.
func (o *office) dying(at sekretariat.EventType, times int64) *outbox.Outbox {
	b := &broken{Log: o.log, at: at}
	b.n.Store(times)
	return o.outboxOver(b)
}

var errPowerCut = errors.New("power cut")

func (b *broken) Append(ctx context.Context, s ledger.StreamName, r ledger.Record) (uint64, error) {
	if r.Event.Type == b.at && b.n.Add(-1) >= 0 {
		return 0, errPowerCut
	}
	return b.Log.Append(ctx, s, r)
}

// A power cut between the limits, the sealed message and the intent: the repeat
// finds its own limits and its own message, and one is sent.
func TestPowerCutWhilePlanning(t *testing.T) {
	o := open(t)
	o.run(o.dying(sekretariat.EventAckPlanned, 3))
	id := o.mail("jan@poczta.example", "Zasiłek", "Proszę o zasiłek.")
	l := o.acked(id, sekretariat.AckSent)
	if got := o.relay.messages(); len(got) != 1 || l.Ack.Attempt != 1 {
		t.Errorf("%d messages at attempt %d after three power cuts", len(got), l.Ack.Attempt)
	}
}

// A power cut right before "sending" is written: nothing was sent, and it is
// sent once.
func TestPowerCutBeforeSending(t *testing.T) {
	o := open(t)
	o.run(o.dying(sekretariat.EventAckSending, 2))
	o.acked(o.mail("jan@poczta.example", "Zasiłek", "Proszę o zasiłek."), sekretariat.AckSent)
	if got := o.relay.messages(); len(got) != 1 {
		t.Errorf("%d messages", len(got))
	}
}

// A power cut right before "sent" is written: it was sent, and is not again.
func TestPowerCutBeforeTheNote(t *testing.T) {
	o := open(t)
	o.run(o.dying(sekretariat.EventAckSent, 1<<30))
	id := o.mail("jan@poczta.example", "Zasiłek", "Proszę o zasiłek.")
	o.await(id, "the attempt", func(l *sekretariat.Letter) bool { return l.Ack != nil && l.Ack.State == sekretariat.AckSending })
	for deadline := time.Now().Add(10 * time.Second); len(o.relay.messages()) == 0 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
	}
	o.later.Store(int64(time.Hour))
	if l := o.acked(id, sekretariat.AckFailed); l.Ack.Code != "unknown" {
		t.Errorf("code %q, want unknown", l.Ack.Code)
	}
	if got := o.relay.messages(); len(got) != 1 {
		t.Errorf("%d messages", len(got))
	}
}
