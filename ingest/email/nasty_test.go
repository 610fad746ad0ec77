package email

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"sekretariat"
)

// fetches tells whether a command asks for the content of a message.
func fetches(command string, uid imap.UID) bool {
	args := strings.Fields(command)
	return strings.HasPrefix(command, "UID FETCH") && strings.Contains(command, "BODY.PEEK[]") && contains(args[2], uid)
}

func alone(command string) bool { return !strings.ContainsAny(strings.Fields(command)[2], ":,") }

// TestServersThatAnswerWrongly: whatever one message or one answer does to the
// connection, all the others are taken and moved, each once.
func TestServersThatAnswerWrongly(t *testing.T) {
	cases := []struct {
		name   string
		bend   func(s *scripted) func(tag, command string) (string, bool)
		parked bool // message 3 is parked and stays
		gone   bool // message 3 was taken away by somebody
	}{
		{name: "well-behaved", bend: func(*scripted) func(string, string) (string, bool) { return nil }},
		{name: "unknown and odd responses", bend: func(s *scripted) func(string, string) (string, bool) {
			return func(tag, command string) (string, bool) {
				if tag == "" {
					return "", false
				}
				return "* XSTRANGE 1 (2 \"3\r\n* FLAGS (\\Seen odd[ )\r\n* OK [PERMANENTFLAGS (odd] \\*)] x\r\n* 1 FETCH (X-GM-MSGID 5 FLAGS (odd]))\r\n" +
					"* XLITERAL {5}\r\na\r\n(b\r\n* VANISHED 1:7\r\n" + s.answer(command) + tag + " OK done {7}\r\n", true
			}
		}},
		{name: "absurd literal", parked: true, bend: func(*scripted) func(string, string) (string, bool) {
			return func(tag, command string) (string, bool) {
				return "* 3 FETCH (UID 3 BODY[] {99999999999999}\r\nabc" + hang, fetches(command, 3)
			}
		}},
		{name: "no content", parked: true, bend: func(s *scripted) func(string, string) (string, bool) {
			return func(tag, command string) (string, bool) {
				if !fetches(command, 3) {
					return "", false
				}
				b := s.messages[slices.IndexFunc(s.messages, func(m *stored) bool { return m.uid == 3 })].body
				return strings.Replace(s.answer(command), fmt.Sprintf("{%d}\r\n%s", len(b), b), "NIL", 1) + tag + " OK done\r\n", true
			}
		}},
		{name: "nothing said of a message", parked: true, bend: func(s *scripted) func(string, string) (string, bool) {
			return func(tag, command string) (string, bool) {
				if !fetches(command, 3) {
					return "", false
				}
				command = strings.Replace(command, "3", "999", 1)
				if strings.Contains(command, "1:") {
					command = "UID FETCH 1:2,4:999 (UID BODY.PEEK[])"
				}
				return s.answer(command) + tag + " OK done\r\n", true
			}
		}},
		{name: "connection ends at a message", parked: true, bend: func(s *scripted) func(string, string) (string, bool) {
			return func(_, command string) (string, bool) {
				return "* 3 FETCH (UID 3 BODY[] {100}\r\nabc" + cut, fetches(command, 3)
			}
		}},
		{name: "NO to a message", parked: true, bend: func(s *scripted) func(string, string) (string, bool) {
			return func(tag, command string) (string, bool) {
				return tag + " NO [SERVERBUG] cannot\r\n", fetches(command, 3)
			}
		}},
		{name: "garbage after a literal", parked: true, bend: func(s *scripted) func(string, string) (string, bool) {
			return func(tag, command string) (string, bool) {
				// {10} of a longer message: what follows is no answer any more.
				return "* 3 FETCH (UID 3 BODY[] {10}\r\n" + string(letter(3)) + ")\r\n" + tag + " OK done\r\n", fetches(command, 3)
			}
		}},
		{name: "empty date", bend: func(s *scripted) func(string, string) (string, bool) {
			s.messages[2].date = `""`
			return nil
		}},
		{name: "size of another message", bend: func(s *scripted) func(string, string) (string, bool) {
			s.messages[2].size = 17
			return nil
		}},
		{name: "expunged by another meanwhile", gone: true, bend: func(s *scripted) func(string, string) (string, bool) {
			return func(tag, command string) (string, bool) {
				i := slices.IndexFunc(s.messages, func(m *stored) bool { return m.uid == 3 })
				if i < 0 || !fetches(command, 3) {
					return "", false
				}
				s.remove(func(m *stored) bool { return m.uid == 3 })
				return s.answer(command) + fmt.Sprintf("* %d EXPUNGE\r\n", i+1) + tag + " NO [EXPUNGEISSUED] some are gone\r\n", true
			}
		}},
		{name: "backwards, with flags and quoted", bend: func(s *scripted) func(string, string) (string, bool) {
			return func(tag, command string) (string, bool) {
				if !strings.Contains(command, "BODY.PEEK[]") {
					return "", false
				}
				var b strings.Builder
				for i, m := range slices.Backward(s.messages) {
					if !contains(strings.Fields(command)[2], m.uid) {
						continue
					}
					fmt.Fprintf(&b, "* %d FETCH (FLAGS (\\Seen) UID %d BODY[] {%d}\r\n%s)\r\n", i+1, m.uid, len(m.body), m.body)
				}
				return b.String() + tag + " OK done\r\n", true
			}
		}},
		{name: "more messages than there can be", bend: func(s *scripted) func(string, string) (string, bool) {
			n := 0
			return func(tag, command string) (string, bool) {
				n++
				return "* SEARCH 1 2 4000000000\r\n* ESEARCH (TAG \"" + tag + "\") UID ALL 1:4294967295\r\n" + tag + " OK done\r\n",
					strings.HasPrefix(command, "UID SEARCH") && n < 20
			}
		}},
		{name: "silent at every third command", bend: func(s *scripted) func(string, string) (string, bool) {
			n := 0
			return func(tag, command string) (string, bool) {
				n++
				return hang, tag != "" && n%20 == 13
			}
		}},
		{name: "line without end", bend: func(s *scripted) func(string, string) (string, bool) {
			n := 0
			return func(tag, command string) (string, bool) {
				n++
				return "* OK " + strings.Repeat("x", 1<<20) + hang, n == 9
			}
		}},
		{name: "turned away at the door", bend: func(s *scripted) func(string, string) (string, bool) {
			n := 0
			return func(tag, command string) (string, bool) {
				n++
				return "* BYE too many connections\r\n" + cut, n == 1
			}
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newScripted(t, "MOVE UIDPLUS", 30)
			s.bendWith(c.bend(s))
			o := newOffice(t, s.addr)
			o.tune.silence = 300 * time.Millisecond
			ch, stop := o.run()
			var want []imap.UID
			if c.parked {
				want = []imap.UID{3}
			}
			o.until("all others moved", func() bool { return slices.Equal(s.left(), want) && ch.Health().Waiting == 0 })
			stop()
			all := letters(1, 30)
			if c.parked || c.gone {
				all = letters(1, 30, 3)
			}
			o.shelf.holds(t, all)
			if n := len(o.shelf.notes); (n == 1) != c.parked || n > 1 {
				t.Errorf("%d notes", n)
			}
			if c.parked && o.shelf.reasons[sekretariat.ParkRefused] != 1 {
				t.Errorf("reasons %v", o.shelf.reasons)
			}
		})
	}
}

// TestParkedMessageIsTakenWhenTheServerRecovers: the note stays, the message
// follows.
func TestParkedMessageIsTakenWhenTheServerRecovers(t *testing.T) {
	s := newScripted(t, "MOVE", 5)
	broken := true
	s.bendWith(func(tag, command string) (string, bool) {
		return tag + " NO cannot\r\n", broken && fetches(command, 3)
	})
	o := newOffice(t, s.addr)
	o.tune.repark, o.tune.reconcile = 0, 10*time.Millisecond
	_, stop := o.run()
	o.until("parked", func() bool { o.shelf.mu.Lock(); defer o.shelf.mu.Unlock(); return len(o.shelf.notes) == 1 })
	s.mu.Lock()
	broken = false
	s.mu.Unlock()
	o.until("taken after all", func() bool { return len(s.left()) == 0 })
	stop()
	o.shelf.holds(t, letters(1, 5))
}

// TestRefusedMoveDeletesNothing: COPY or MOVE says NO; go-imap's own fall-back
// would delete the messages then.
func TestRefusedMoveDeletesNothing(t *testing.T) {
	for name, caps := range map[string]string{"UID MOVE": "MOVE UIDPLUS", "UID COPY": "UIDPLUS"} {
		t.Run(name, func(t *testing.T) {
			s := newScripted(t, caps, 250)
			full := true
			s.bendWith(func(tag, command string) (string, bool) {
				return tag + " NO [OVERQUOTA] full\r\n", full && strings.HasPrefix(command, name)
			})
			o := newOffice(t, s.addr)
			o.tune.reconcile = 10 * time.Millisecond
			c, stop := o.run()
			o.until("taken and marked", func() bool { return o.shelf.count() == 250 && c.Health().Waiting == 0 })
			if h := c.Health(); !h.OK || h.Code != "move" || !strings.Contains(h.Message, DefaultDone) {
				t.Errorf("health %+v", h)
			}
			if n := len(s.left()); n != 250 {
				t.Errorf("%d left, want all", n)
			}
			s.mu.Lock()
			for _, command := range s.log {
				if strings.Contains(command, `\Deleted`) || strings.Contains(command, "EXPUNGE") {
					t.Errorf("sent %q although nothing was copied", command)
				}
			}
			full = false
			s.mu.Unlock()
			o.until("moved when there is room", func() bool { return len(s.left()) == 0 })
			stop()
			o.shelf.holds(t, letters(1, 250))
			if len(s.done) != 250 {
				t.Errorf("%d in the other folder", len(s.done))
			}
		})
	}
}

// TestFolderForTakenMailIsMade on servers that do and do not say TRYCREATE.
func TestFolderForTakenMailIsMade(t *testing.T) {
	for _, code := range []string{"[TRYCREATE] ", ""} {
		s := newScripted(t, "MOVE", 3)
		s.bendWith(func(tag, command string) (string, bool) {
			return tag + " NO " + code + "no such folder\r\n", strings.HasPrefix(command, "UID MOVE") && !s.made
		})
		o := newOffice(t, s.addr)
		_, stop := o.run()
		o.until("moved", func() bool { return len(s.left()) == 0 })
		stop()
		o.shelf.holds(t, letters(1, 3))
	}
}

// TestServerWithoutUIDPLUS leaves flagged messages to others: EXPUNGE would
// remove what a colleague has flagged.
func TestServerWithoutUIDPLUS(t *testing.T) {
	s := newScripted(t, "", 12)
	s.messages[11].deleted = true // by a colleague
	o := newOffice(t, s.addr)
	o.tune.reconcile = 5 * time.Millisecond
	c, stop := o.run()
	o.until("taken", func() bool { return o.shelf.count() == 12 && c.Health().Waiting == 0 })
	stop()
	o.shelf.holds(t, letters(1, 12))
	if n := len(s.left()); n != 12 {
		t.Errorf("%d left", n)
	}
	if len(s.done) != 12 {
		t.Errorf("%d copied", len(s.done))
	}
	for _, command := range s.log {
		if strings.Contains(command, "EXPUNGE") {
			t.Errorf("sent %q", command)
		}
	}
}
