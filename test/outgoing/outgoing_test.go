// Package outgoing tests the whole program from outside: mail in by IMAP, an
// acknowledgement out by SMTP, and all that must not be answered, registered or
// sent twice.
package outgoing

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/extract/mail"
	"sekretariat/test/world"
)

// town is a world whose centre acknowledges mail and has two mailboxes.
type town struct {
	*world.World
	t     *testing.T
	relay *relay
	n     int
}

func newTown(t *testing.T) *town {
	r := newRelay(t)
	w := &town{t: t, relay: r}
	w.World = world.New(t, func(c *configs.Centre) {
		c.Mailboxes[0].SpamHeaders = []configs.SpamHeader{{Name: "X-Spam-Flag", Contains: "YES"}}
		second := c.Mailboxes[0]
		second.ID, second.Address, second.User, second.Poll = "druga", "druga@ops.example", "second", time.Second
		c.Mailboxes[0].Poll = time.Second
		c.Mailboxes = append(c.Mailboxes, second)
		c.Acknowledgement = configs.Acknowledgement{On: true, Delay: time.Millisecond,
			SMTP: configs.SMTP{Server: r.addr, CA: r.ca, User: relayUser, Password: configs.Secret{File: r.password}}}
	})
	return w
}

// post puts a mail into a mailbox, as a mail server would.
func (w *town) post(user, message string) {
	w.t.Helper()
	if err := w.Dovecot.Deliver(user, "INBOX", []byte(message), time.Now()); err != nil {
		w.t.Fatal(err)
	}
}

func letter(from, subject, id, text string, extra ...string) string {
	return fmt.Sprintf("Return-Path: <%s>\r\nDate: %s\r\nFrom: Jan Kowalski <%s>\r\nTo: sekretariat@ops.example\r\nSubject: %s\r\nMessage-ID: <%s>\r\n%s"+
		"Content-Type: text/plain; charset=utf-8\r\n\r\n%s\r\n", from, time.Now().Format(time.RFC1123Z), from, subject, id, strings.Join(extra, ""), text)
}

func (w *town) command(args ...string) string {
	w.t.Helper()
	out, errs, code := w.Run(append(args, "--config", w.Config)...)
	if code != 0 {
		w.t.Fatalf("sekretariat %s: exit %d\n%s", strings.Join(args, " "), code, errs)
	}
	return out
}

// get asks the API for a letter or a list.
func (w *town) get(token, path string) map[string]any {
	w.t.Helper()
	req, err := http.NewRequest(http.MethodGet, "http://"+w.Desk+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	var out map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil || resp.StatusCode != http.StatusOK {
		w.t.Fatalf("GET %s: %s %v %v", path, resp.Status, out, err)
	}
	return out
}

// aside counts the parked letters of a reason, by the API.
func (w *town) aside(token, reason string) (n int) {
	for _, l := range w.get(token, "/api/v1/parked")["letters"].([]any) {
		if p := l.(map[string]any)["parked"].(map[string]any); p["reason"] == reason {
			n++
		}
	}
	return n
}

// order sends a command by the API and returns the status.
func (w *town) order(token, path, body string) int {
	w.t.Helper()
	req, err := http.NewRequest(http.MethodPost, "http://"+w.Desk+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// parked returns the ids of the parked letters of a reason, by the command line.
func (w *town) parked(reason string) (ids []string) {
	for line := range strings.Lines(w.command("parked", "list")) {
		if f := strings.Fields(line); len(f) > 3 && f[2] == reason {
			ids = append(ids, f[len(f)-1])
		}
	}
	return ids
}

func (w *town) awaitMessages(n int) []message {
	w.t.Helper()
	world.WaitUntil(w.t, time.Minute, fmt.Sprintf("%d acknowledgements", n), func() bool { return len(w.relay.messages()) >= n })
	return w.relay.messages()
}

func TestMailInAcknowledgementOut(t *testing.T) {
	w := newTown(t)
	s := w.Start(t)
	w.WaitReady(t, s)
	token := strings.TrimSpace(lastLine(w.command("token", "create", "--centre", "demo", "--register")))

	// A citizen's mail, to two mailboxes, is answered once.
	first := letter("jan@poczta.example", "Pytanie", "pierwszy@poczta.example", "Dzień dobry, proszę o informację o zasiłku stałym.")
	w.post(world.Mailbox, first)
	w.post("second", first)
	got := w.awaitMessages(1)
	ack, err := mail.Read(t.Context(), strings.NewReader(got[0].text), mail.Options{})
	if err != nil || got[0].to != "jan@poczta.example" || !strings.Contains(ack.Subject, "RPW/1/") || !strings.Contains(ack.Text, "art. 63 § 1") {
		t.Fatalf("acknowledgement to %q: %q, %v\n%s", got[0].to, ack.Subject, err, ack.Text)
	}

	// What machines make of it is set aside; what the citizen makes of it is a
	// letter of the same matter.
	w.post(world.Mailbox, letter("jan@poczta.example", "Autoodpowiedź", "auto@poczta.example", "Jestem na wyjeździe.",
		"Auto-Submitted: auto-replied\r\nIn-Reply-To: <"+ack.MessageID+">\r\n"))
	w.post(world.Mailbox, letter("jan@poczta.example", "Odp: pytanie", "odpowiedz@poczta.example", "Dziękuję, mam jeszcze pytanie o zasiłek stały.",
		"In-Reply-To: <"+ack.MessageID+">\r\n"))
	w.post(world.Mailbox, letter("obca@poczta.example", "RPW/1/2026", "obca@poczta.example", "W sprawie RPW/1/2026 proszę o zasiłek stały."))
	w.post(world.Mailbox, letter("kredyt@poczta.example", "Kredyt", "spam@poczta.example", "Tani kredyt.", "X-Spam-Flag: YES\r\n"))
	w.awaitMessages(2) // the stranger's
	world.WaitUntil(t, time.Minute, "the auto-reply and the spam aside", func() bool { return w.aside(token, "auto-reply") == 1 && w.aside(token, "spam") == 1 })
	world.WaitUntil(t, time.Minute, "three letters", func() bool { return len(w.Export(t)) == 3 })

	var firstID, answerID string
	for _, l := range w.Export(t) {
		switch {
		case strings.HasSuffix(l.Identifier, "000001"):
			firstID = l.Letter
		case strings.HasSuffix(l.Identifier, "000002") && answerID == "":
			answerID = l.Letter
		}
	}
	l := w.get(token, "/api/v1/letters/"+firstID)
	if n := len(l["receipts"].([]any)); n != 2 {
		t.Errorf("%d receipts of one mail to two mailboxes", n)
	}
	if a := l["acknowledgement"].(map[string]any); a["state"] != "sent" {
		t.Errorf("acknowledgement %v", a)
	}
	joined := map[string]bool{}
	for _, m := range l["matter"].([]any) {
		m := m.(map[string]any)
		joined[fmt.Sprint(m["status"], m["reason"])] = true
	}
	if len(joined) != 2 || !joined["parkedauto-reply"] {
		t.Errorf("matter %v, want the answer and the parked auto-reply, and not the stranger's letter", l["matter"])
	}
	if out := w.command("inspect", "--letter", firstID); strings.Count(out, "receipt") != 2 || strings.Count(out, "same matter") != 2 || !strings.Contains(out, "sent") {
		t.Errorf("inspect:\n%s", out)
	}
	if out := w.command("outbox", "list", "--state", "sent"); strings.Count(out, " sent ") != 2 {
		t.Errorf("outbox:\n%s", out)
	}
	if out := w.command("outbox", "list", "--state", "suppressed"); !strings.Contains(out, "own (to odpowiedź na nasze zawiadomienie)") {
		t.Errorf("outbox:\n%s", out)
	}

	// "To jest pismo", by the command line and by the API.
	spam, auto := w.parked("spam")[0], w.parked("auto-reply")[0]
	if p := w.get(token, "/api/v1/letters/"+spam); p["subject"] != "Kredyt" || p["why"] != sekretariat.ParkSpam.Polish() {
		t.Errorf("a clerk sees of the spam: %v", p)
	}
	if out := w.command("parked", "confirm-junk", "--letter", auto); !strings.Contains(out, "done") {
		t.Errorf("confirm-junk: %s", out)
	}
	if code := w.order(token, "/api/v1/letters/"+spam+"/released", ""); code != http.StatusNoContent {
		t.Errorf("release: %d", code)
	}
	if code := w.order(token, "/api/v1/letters/"+spam+"/junk-confirmed", ""); code != http.StatusBadRequest {
		t.Errorf("a letter is called junk: %d", code)
	}
	world.WaitUntil(t, time.Minute, "the released letter", func() bool { return len(w.Export(t)) == 4 })
	list := w.get(token, "/api/v1/parked")["letters"].([]any)
	if len(list) != 2 {
		t.Errorf("parked: %v, want the twin and the auto-reply", list)
	}
	if code := s.Stop(t); code != 0 {
		t.Errorf("exit %d\n%s", code, s.Log())
	}
	for _, secret := range []string{"poczta.example", "Kowalski", "wyjeździe", relayPassword} {
		if strings.Contains(s.Log(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
	w.Verify(t)
	if n := len(w.relay.messages()); n != 2 {
		t.Errorf("%d acknowledgements left the house, want 2", n)
	}
}

// A power cut between the relay's last octet and its answer: the message is not
// sent again, and nothing else is lost.
func TestKilledWhileSending(t *testing.T) {
	w := newTown(t)
	whole := make(chan struct{})
	killed := make(chan struct{})
	w.relay.after = func(n int) {
		if n == 1 {
			close(whole)
			<-killed
		}
	}
	s := w.Start(t)
	w.WaitReady(t, s)
	w.post(world.Mailbox, letter("jan@poczta.example", "Pytanie", "a@poczta.example", "Proszę o informację o zasiłku stałym."))
	select {
	case <-whole:
	case <-time.After(time.Minute):
		t.Fatalf("nothing was sent\n%s", s.Log())
	}
	s.Kill()
	close(killed)
	s = w.Start(t)
	w.WaitReady(t, s)
	w.post(world.Mailbox, letter("ola@poczta.example", "Pytanie", "b@poczta.example", "Proszę o informację o zasiłku stałym dla mamy."))
	got := w.awaitMessages(2)
	if len(got) != 2 || got[1].to != "ola@poczta.example" {
		t.Errorf("after the power cut the relay got %+v", got)
	}
	if out := w.command("outbox", "list"); strings.Count(out, " sending ") != 1 {
		t.Errorf("the one in doubt is not shown:\n%s", out)
	}
	if code := s.Stop(t); code != 0 {
		t.Errorf("exit %d\n%s", code, s.Log())
	}
	w.Verify(t)
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}
