package email

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestXOAUTH2(t *testing.T) {
	s := newScripted(t, "MOVE AUTH=XOAUTH2 SASL-IR", 2)
	var got []string
	refused := ""
	s.bendWith(func(tag, command string) (string, bool) {
		if rest, ok := strings.CutPrefix(command, "AUTHENTICATE XOAUTH2 "); ok {
			raw, err := base64.StdEncoding.DecodeString(rest)
			if err != nil {
				t.Error(err)
			}
			if got = append(got, string(raw)); strings.Contains(string(raw), "expired") {
				refused = tag
				return "+ eyJzdGF0dXMiOiI0MDEifQ==\r\n", true // the reasons, to be answered with nothing
			}
		}
		return refused + " NO [AUTHENTICATIONFAILED] expired\r\n", command == ""
	})
	o := newOffice(t, s.addr)
	o.mailbox.Auth, o.password = "xoauth2", "expired"
	c, stop := o.run()
	o.until("refused", func() bool { return c.Health().Code == "login" })
	o.mu.Lock()
	o.password = "fresh"
	o.mu.Unlock()
	o.until("taken", func() bool { return len(s.left()) == 0 })
	stop()
	o.shelf.holds(t, letters(1, 2))
	if got[0] != "user=intake\x01auth=Bearer expired\x01\x01" || got[len(got)-1] != "user=intake\x01auth=Bearer fresh\x01\x01" {
		t.Errorf("sent %q", got)
	}
}

// TestRefusedPasswordIsPresentedOnce: hosters ban who tries again and again.
func TestRefusedPasswordIsPresentedOnce(t *testing.T) {
	s := newScripted(t, "MOVE", 1)
	refusals := 0
	s.bendWith(func(tag, command string) (string, bool) {
		is := strings.HasPrefix(command, "LOGIN")
		if is {
			refusals++
		}
		return tag + " NO [AUTHENTICATIONFAILED] wrong\r\n", is
	})
	o := newOffice(t, s.addr)
	o.tune.refused = [2]time.Duration{time.Hour, 2 * time.Hour}
	c := o.channel()
	ctx, cancel := context.WithCancel(t.Context())
	asked := 0
	c.opt.Password = func() (string, error) {
		if asked++; asked == 50 {
			cancel()
		}
		return "zle", nil
	}
	if err := c.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if s.mu.Lock(); refusals != 1 {
		t.Errorf("presented %d times", refusals)
	}
	s.mu.Unlock()
}

// TestFullMailboxIsTold: a full mailbox turns senders away unseen.
func TestFullMailboxIsTold(t *testing.T) {
	s := newScripted(t, "MOVE QUOTA", 1)
	s.bendWith(func(tag, command string) (string, bool) {
		return "* QUOTAROOT INBOX \"user\"\r\n* QUOTA \"user\" (STORAGE 97 100 MESSAGE 3 1000)\r\n" + tag + " OK\r\n", strings.HasPrefix(command, "GETQUOTAROOT")
	})
	o := newOffice(t, s.addr)
	c, stop := o.run()
	o.until("told", func() bool { return c.Health().Code == "quota" })
	stop()
	if h := c.Health(); !h.OK || !strings.Contains(h.Message, "97%") {
		t.Errorf("%+v", h)
	}
}

// TestServerThatKeepsNoKeywords: STORE is answered with OK and does nothing.
// The mailbox is then not read again and again, and nothing is copied twice.
func TestServerThatKeepsNoKeywords(t *testing.T) {
	for _, after := range []string{"keyword", "move"} {
		s := newScripted(t, "", 20)
		s.bendWith(func(tag, command string) (string, bool) {
			return tag + " OK ignored\r\n", strings.HasPrefix(command, "UID STORE") && strings.Contains(command, Keyword)
		})
		o := newOffice(t, s.addr)
		o.mailbox.After = after
		o.tune.reconcile = time.Millisecond
		for range 3 {
			c, stop := o.run()
			o.until("taken", func() bool { return o.shelf.count() == 20 && c.Health().Waiting == 0 })
			stop()
		}
		o.shelf.holds(t, letters(1, 20))
		if o.shelf.repeats > 0 {
			t.Errorf("%s: %d read again", after, o.shelf.repeats)
		}
		if after == "move" && len(s.done) != 20 {
			t.Errorf("%d copied", len(s.done))
		}
	}
}

// TestServerThatOnlyPretendsToMove says OK and moves nothing: that is found
// out, and does not end in a frenzy.
func TestServerThatOnlyPretendsToMove(t *testing.T) {
	s := newScripted(t, "MOVE", 20)
	s.bendWith(func(tag, command string) (string, bool) {
		return tag + " OK moved\r\n", strings.HasPrefix(command, "UID MOVE")
	})
	o := newOffice(t, s.addr)
	c, stop := o.run()
	o.until("taken and found to be there still", func() bool {
		o.shelf.mu.Lock()
		defer o.shelf.mu.Unlock()
		return o.shelf.repeats == 20
	})
	o.until("at rest", func() bool { return c.Health().Waiting == 0 })
	stop()
	o.shelf.holds(t, letters(1, 20))
	if o.shelf.repeats != 20 {
		t.Errorf("%d read again", o.shelf.repeats)
	}
}

// TestStopDoesNotWaitForTheServer: a message of which the rest does not come,
// a silent server, a server at rest; the process ends at once and leaves
// nothing behind.
func TestStopDoesNotWaitForTheServer(t *testing.T) {
	for name, silent := range map[string]string{
		"in a message": "* 3 FETCH (UID 3 BODY[] {100000}\r\nabc" + hang, "before an answer": hang, "at rest": "",
	} {
		t.Run(name, func(t *testing.T) {
			s := newScripted(t, "MOVE IDLE", 5)
			there := make(chan struct{}, 100)
			s.bendWith(func(tag, command string) (string, bool) {
				if silent == "" {
					return "", false
				}
				if fetches(command, 3) {
					there <- struct{}{}
				}
				return silent, fetches(command, 3)
			})
			o := newOffice(t, s.addr)
			o.tune.silence, o.mailbox.Poll = time.Hour, time.Hour
			before := goleak.IgnoreCurrent()
			c, stop := o.run()
			if silent == "" {
				o.until("at rest", func() bool { return c.Health().Waiting == 0 })
			} else {
				<-there
			}
			stop()
			s.stop()
			goleak.VerifyNone(t, before)
		})
	}
}

// TestStoreAwayIsTold: mail that cannot be made durable waits in the mailbox,
// and somebody hears of it before the store is back.
func TestStoreAwayIsTold(t *testing.T) {
	s := newScripted(t, "MOVE", 3)
	o := newOffice(t, s.addr)
	o.tune.stuck = 10 * time.Millisecond
	back := make(chan struct{})
	o.shelf.before = func(int) error { <-back; return nil }
	c, stop := o.run()
	o.until("told", func() bool { return c.Health().Code == "store" })
	if h := c.Health(); h.OK || !strings.Contains(h.Message, "nic nie ginie") || len(s.left()) != 3 {
		t.Errorf("%+v, %d left", h, len(s.left()))
	}
	close(back)
	o.until("moved", func() bool { return len(s.left()) == 0 && c.Health().OK })
	stop()
	o.shelf.holds(t, letters(1, 3))
}
