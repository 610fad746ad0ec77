package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/extract"
	"sekretariat/ledger"
	"sekretariat/pipeline"
)

// settled waits until sorting has decided on a letter, and routing if it is one.
func (o *office) settled(id sekretariat.LetterID) *sekretariat.Letter {
	return o.await(id, "an outcome", func(l *sekretariat.Letter) bool { return l.Status == sekretariat.StatusParked || routed(l) })
}

const (
	autoReply = "Auto-Submitted: auto-replied\r\nSubject: Autoodpowiedź\r\n"
	list      = "List-Id: <nowiny.example>\r\nSubject: Nowiny\r\n"
	bounce    = "Return-Path: <>\r\nSubject: Undelivered Mail Returned to Sender\r\n" +
		"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n"
	bounceBody = "--b\r\nContent-Type: text/plain\r\n\r\nNie dostarczono.\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n" +
		"Reporting-MTA: dns; mx.example\r\n\r\nFinal-Recipient: rfc822; jan@poczta.example\r\nAction: failed\r\nStatus: 5.1.1\r\n--b--\r\n"
	receipt     = "Subject: Przeczytano\r\nContent-Type: multipart/report; report-type=disposition-notification; boundary=b\r\n"
	receiptBody = "--b\r\nContent-Type: text/plain\r\n\r\nPrzeczytano.\r\n--b\r\nContent-Type: message/disposition-notification\r\n\r\n" +
		"Disposition: manual-action/MDN-sent-manually; displayed\r\n--b--\r\n"
)

func spamFilters(c *configs.Centre) {
	limit := 15.0
	c.Mailboxes[0].SpamHeaders = []configs.SpamHeader{
		{Name: "X-Spam-Flag", Contains: "YES"}, {Name: "X-Rspamd-Score", AtLeast: &limit}, {Name: "X-Spam-Level", AtLeast: &limit},
	}
	c.Parking.Keep = []string{"@uw.example"}
}

// What machines send is set aside, unless it is urgent, closed or in doubt
// (rule P8); and no header that the mailbox does not trust makes spam.
func TestWhatIsSetAside(t *testing.T) {
	o := open(t, nil, spamFilters, func(c *configs.Centre) {
		c.Rules = append(c.Rules, configs.Rule{ID: "rece", Text: []string{"komisja"}, Department: "zamkniety", Weight: 0.9, Because: "dla komisji"})
	})
	o.run()
	cases := []struct {
		name, account, head, body string
		want                      sekretariat.ParkReason
	}{
		{"an ordinary letter", "a", "Subject: Zasiłek\r\n", "proszę o zasiłek", ""},
		{"an automatic answer", "a", autoReply, "Jestem na urlopie.", sekretariat.ParkAutoReply},
		{"an automatic answer of Exchange", "a", "X-Auto-Response-Suppress: All\r\nSubject: Automatic reply: Pismo\r\n", "Jestem na urlopie 2.", sekretariat.ParkAutoReply},
		{"a person's mail about an absence, from a server that asks for silence", "a", "X-Auto-Response-Suppress: OOF\r\nSubject: Nieobecność syna\r\n", "syn był chory", ""},
		{"bulk mail that is no list", "a", "Precedence: bulk\r\nSubject: Odpowiedź w sprawie\r\n", "odpowiadamy na pismo", ""},
		{"a newsletter", "a", "List-Unsubscribe: <mailto:x@y.example>\r\nSubject: Nowiny\r\n", "nowiny 2", sekretariat.ParkList},
		{"a bounce", "a", bounce, bounceBody, sekretariat.ParkBounce},
		{"a read receipt", "a", receipt, receiptBody, sekretariat.ParkReceipt},
		{"a mailing list", "a", list, "Zapraszamy na konferencję.", sekretariat.ParkList},
		{"a notification of a website's form", "a", "Auto-Submitted: auto-generated\r\nSubject: Formularz\r\n", "proszę o zasiłek", ""},
		{"spam by flag", "a", "X-Spam-Flag: YES\r\nSubject: Kredyt\r\n", "tanio", sekretariat.ParkSpam},
		{"spam by score", "a", "X-Rspamd-Score: 15.3\r\nSubject: Kredyt\r\n", "tanio 1", sekretariat.ParkSpam},
		{"below the score", "a", "X-Rspamd-Score: 14.9\r\nSubject: Kredyt\r\n", "tanio 2", ""},
		{"a negative score", "a", "X-Rspamd-Score: -19\r\nSubject: Kredyt\r\n", "tanio 3", ""},
		{"spam by stars", "a", "X-Spam-Level: ****************\r\nSubject: Kredyt\r\n", "tanio 4", sekretariat.ParkSpam},
		{"the filter's field above a forged one", "a", "X-Spam-Flag: NO\r\nX-Spam-Flag: YES\r\nSubject: Kredyt\r\n", "tanio 5", ""},
		{"a field that the mailbox does not trust", "a", "X-Spam-Status: Yes, score=99\r\nSubject: Kredyt\r\n", "tanio 6", ""},
		{"a field that another mailbox trusts", "b", "X-Spam-Flag: YES\r\nSubject: Kredyt\r\n", "tanio 7", ""},
		{"danger in spam", "a", "X-Spam-Flag: YES\r\nSubject: Kredyt\r\n", "mąż mnie bije", ""},
		{"danger in an automatic answer", "a", autoReply, "mąż mnie bije codziennie", ""},
		{"danger in a list's attachment", "a", list + "Content-Type: multipart/mixed; boundary=b\r\n",
			"--b\r\nContent-Type: text/plain\r\n\r\nNowiny\r\n--b\r\nContent-Type: text/plain; name=a.txt\r\nContent-Disposition: attachment; filename=a.txt\r\n\r\nmąż mnie bije\r\n--b--\r\n", ""},
		{"a closed department's matter in a list", "a", list, "pismo do komisji", ""},
		{"for one person alone", "a", list, "Do rąk własnych pani dyrektor", ""},
		{"a list of a sender to be kept", "a", "From: biuro@uw.example\r\n" + list, "Okólnik", ""},
		{"a mail that says it is a notice of ours", "a", "X-Sekretariat: 1 abcdef\r\nSubject: Potwierdzenie wpływu\r\n", "mój wniosek", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			head := c.head
			if !strings.Contains(head, "From: ") {
				head = "From: jan@poczta.example\r\n" + head
			}
			// The body tells cases apart: equal mails would be twins.
			l := o.settled(o.take(c.account, head+"Content-Language: pl\r\nX-Case: "+c.name+"\r\n\r\n"+c.body))
			if l.Reason != c.want || (c.want != "") != (l.Status == sekretariat.StatusParked) {
				t.Errorf("letter is %s, reason %q; want reason %q", l.Status, l.Reason, c.want)
			}
		})
	}
}

// A look that fails or takes too long registers the letter.
func TestDoubtIsALetter(t *testing.T) {
	pipeline.ShortLook(t, 50*time.Millisecond)
	for name, reader := range map[string]extract.Reader{"it hangs": blind{hang: true}, "it fails": blind{}} {
		t.Run(name, func(t *testing.T) {
			o := open(t, reader)
			o.run()
			id := o.take("a", "From: jan@poczta.example\r\n"+autoReply+"\r\nurlop")
			l := o.await(id, "sorting", func(l *sekretariat.Letter) bool { return l.Status != "" })
			if l.Status != sekretariat.StatusSorted {
				t.Errorf("letter is %s (%s), want sorted", l.Status, l.Reason)
			}
		})
	}
}

// blind is a reader that reads nothing.
type blind struct{ hang bool }

func (b blind) Read(ctx context.Context, _ extract.Input) (sekretariat.Reading, error) {
	if b.hang {
		<-ctx.Done()
		return sekretariat.Reading{}, ctx.Err()
	}
	return sekretariat.Reading{}, errors.New("no reader today")
}

// "To jest pismo": the released letter gets its number, and its day of receipt
// is that of its first arrival.
func TestReleaseGivesNumberAndKeepsArrival(t *testing.T) {
	o := open(t, nil)
	o.run()
	id := o.take("a", "From: jan@poczta.example\r\n"+list+"\r\nszukam noclegu")
	before := o.settled(id)
	if before.Status != sekretariat.StatusParked {
		t.Fatalf("letter is %s, want parked", before.Status)
	}
	if err := o.pipe.Release(t.Context(), o.who("bezdomnosc"), id); !errors.Is(err, pipeline.ErrNotFound) {
		t.Errorf("a department releases what it cannot see: %v", err)
	}
	o.later.Store(int64(72 * time.Hour))
	for range 2 { // twice is once
		if err := o.pipe.Release(t.Context(), o.clerk(), id); err != nil {
			t.Fatal(err)
		}
	}
	l := o.await(id, "a decision", routed)
	if l.Number.N != 1 || !l.Arrived.Arrived.At.Equal(before.Arrived.Arrived.At) || l.Department != "bezdomnosc" {
		t.Errorf("released letter: number %v, arrived %s, department %s; want 1, %s, bezdomnosc",
			l.Number, l.Arrived.Arrived.At, l.Department, before.Arrived.Arrived.At)
	}
	if err := o.pipe.ConfirmJunk(t.Context(), o.clerk(), id); !errors.Is(err, pipeline.ErrInvalid) {
		t.Errorf("a registered letter is called junk: %v", err)
	}
}

func TestJunkIsConfirmedByAPerson(t *testing.T) {
	o := open(t, nil)
	o.run()
	id := o.take("a", "From: jan@poczta.example\r\n"+list+"\r\nnowiny")
	o.settled(id)
	for range 2 {
		if err := o.pipe.ConfirmJunk(t.Context(), o.clerk(), id); err != nil {
			t.Fatal(err)
		}
	}
	l := o.settled(id)
	if l.Junk == nil || l.Junk.By != "test" || l.Junk.At.IsZero() {
		t.Errorf("confirmation is %+v, want who and when", l.Junk)
	}
	if err := o.pipe.Park(t.Context(), o.clerk(), id, sekretariat.ParkInformational, "bezdomnosc"); err != nil {
		t.Fatal(err)
	}
	if l, err := o.pipe.Letter(t.Context(), o.who("bezdomnosc"), id); err != nil || l.Reason != sekretariat.ParkInformational || l.Junk != nil {
		t.Errorf("the department it was given to gets %+v, %v; want the letter, informacyjne, no junk", l, err)
	}
	if err := o.pipe.ConfirmJunk(t.Context(), o.clerk(), id); !errors.Is(err, pipeline.ErrInvalid) {
		t.Errorf("information is called junk: %v", err)
	}
	if err := o.pipe.Park(t.Context(), o.clerk(), id, sekretariat.ParkSpam, ""); !errors.Is(err, pipeline.ErrInvalid) {
		t.Errorf("a person parks as spam: %v", err)
	}
}

// A copy of a mail that was set aside in one mailbox does not hold back the one
// in the other; releasing it later shows it as the second receipt.
func TestParkedCopyNeverHidesALetter(t *testing.T) {
	o := open(t, nil, spamFilters)
	o.run()
	raw := "X-Spam-Flag: YES\r\nFrom: jan@poczta.example\r\nSubject: Nocleg\r\n\r\nszukam noclegu"
	first := o.take("a", raw)
	if l := o.settled(first); l.Reason != sekretariat.ParkSpam {
		t.Fatalf("first copy: %s %s, want spam", l.Status, l.Reason)
	}
	second := o.take("b", raw)
	if l := o.settled(second); l.Status == sekretariat.StatusParked {
		t.Fatalf("the copy in the other mailbox is parked as %s, want a letter", l.Reason)
	}
	if err := o.pipe.Release(t.Context(), o.clerk(), first); !errors.Is(err, pipeline.ErrInvalid) {
		t.Errorf("a second number for one mail: %v", err)
	}
	if l := o.settled(first); l.Reason != sekretariat.ParkDuplicate || l.Of != second {
		t.Errorf("the copy is %s of %s, want a duplicate of %s", l.Reason, l.Of, second)
	}
}

func notRegistered(c *configs.Centre) {
	c.Parking.HoldUntil = "14:00"
	c.Parking.Rules = []configs.NotRegistered{
		{ID: "biuletyn", Category: "informacyjne", From: []string{"@gazeta.example"}},
		{ID: "robocze", Category: "robocze", Subject: []string{"notatka robocza"}, Hold: true},
	}
}

// Mail that is not subject to registration (rule P9).
func TestNotRegisteredAndHeld(t *testing.T) {
	o := open(t, nil, notRegistered)
	o.run()
	mail := func(from, subject, body string) *sekretariat.Letter {
		o.n++
		return o.settled(o.take("a", fmt.Sprintf("From: %s\r\nSubject: %s\r\nX-N: %d\r\n\r\n%s", from, subject, o.n, body)))
	}
	if l := mail("a@gazeta.example", "Biuletyn", "nowości"); l.Reason != sekretariat.ParkInformational {
		t.Errorf("a rule of the centre: %s %q, want informacyjne", l.Status, l.Reason)
	}
	if l := mail("a@gazeta.example", "Biuletyn", "mąż mnie bije"); l.Status == sekretariat.StatusParked {
		t.Errorf("an urgent mail is parked as %s", l.Reason)
	}
	if l := mail("a@b.example", "Notatka robocza", "mąż mnie bije"); l.Status == sekretariat.StatusParked {
		t.Errorf("an urgent mail is held")
	}
	held := mail("a@b.example", "Notatki robocze", "szukam noclegu")
	if held.Reason != sekretariat.ParkHold || !held.Hold.After(time.Now()) || held.Hold.Sub(time.Now()) > 25*time.Hour {
		t.Fatalf("a doubtful category: %s %q until %s, want held for less than a day", held.Status, held.Reason, held.Hold)
	}
	if err := o.pipe.ReleaseHeld(t.Context(), held.ID); err != nil {
		t.Fatal(err)
	}
	if l := o.settled(held.ID); l.Status != sekretariat.StatusParked {
		t.Fatal("a held letter was released before its hour")
	}
	o.later.Store(int64(25 * time.Hour))
	if err := o.pipe.ReleaseHeld(t.Context(), held.ID); err != nil {
		t.Fatal(err)
	}
	if l := o.await(held.ID, "a decision", routed); !l.Arrived.Arrived.At.Equal(held.Arrived.Arrived.At) {
		t.Errorf("it arrived %s, want %s", l.Arrived.Arrived.At, held.Arrived.Arrived.At)
	}
}

// Threads are told by keyed digests, and nothing of a mail stands in an event.
func TestEventsTellThreadsWithoutPersons(t *testing.T) {
	o := open(t, nil)
	o.run()
	id := o.take("a", "From: Jan Kowalski <jan.kowalski@poczta.example>\r\nSubject: Nocleg\r\nMessage-ID: <tajny-numer@poczta.example>\r\n"+
		"In-Reply-To: <wczesniejszy@poczta.example>\r\n\r\nszukam noclegu")
	o.settled(id)
	parked := o.take("a", "From: jan.kowalski@poczta.example\r\nMessage-ID: <tajny-drugi@poczta.example>\r\n"+autoReply+"\r\nurlop")
	o.settled(parked)
	var threads []sekretariat.Thread
	err := o.log.Replay(t.Context(), ledger.Letter, 1, func(s ledger.Stored) error {
		for _, secret := range []string{"kowalski", "poczta.example", "tajny", "wczesniejszy"} {
			if strings.Contains(strings.ToLower(string(s.Event.Data)), secret) {
				t.Errorf("event %s holds %q", s.Event.ID, secret)
			}
		}
		switch s.Event.Type {
		case sekretariat.EventRead:
			d, err := sekretariat.DataOf[sekretariat.ReadData](s.Event)
			if d.Thread != nil {
				threads = append(threads, *d.Thread)
			}
			return err
		case sekretariat.EventSorted:
			d, err := sekretariat.DataOf[sekretariat.SortedData](s.Event)
			if th := d.Letters[0].Thread; th != nil {
				threads = append(threads, *th)
			}
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(threads) != 2 || threads[0].Sender == "" || threads[0].Sender != threads[1].Sender || threads[0].Message == threads[1].Message {
		t.Fatalf("threads %+v, want one of the letter and one of the parked mail, same sender", threads)
	}
	if !slices.ContainsFunc(threads, func(th sekretariat.Thread) bool { return len(th.References) == 1 }) {
		t.Errorf("threads %+v, want a reference", threads)
	}
}
