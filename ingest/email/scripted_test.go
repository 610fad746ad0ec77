package email

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-imap/v2"
)

// scripted is a small IMAP server that can be bent to answer wrongly.
type scripted struct {
	t    testing.TB
	addr string
	caps string
	stop func()
	// bend may answer a command (without its tag, upper case as sent) in place
	// of the server; it is called with mu held. The reply is sent as it is;
	// hang leaves the client waiting, cut ends the connection after the reply.
	bend func(tag, command string) (reply string, handled bool)

	mu       sync.Mutex
	validity uint32
	messages []*stored
	done     [][]byte
	made     bool // the folder for taken mail exists
	logins   int
	log      []string
}

type stored struct {
	uid     imap.UID
	body    []byte
	date    string
	size    int // RFC822.SIZE, -1: the true one
	deleted bool
	keyword bool
}

// Replies with a meaning beside their text.
const (
	hang = "\x00hang"
	cut  = "\x00cut"
)

func newScripted(t testing.TB, caps string, messages int) *scripted {
	s := &scripted{t: t, caps: caps, validity: 7}
	for n := 1; n <= messages; n++ {
		s.messages = append(s.messages, &stored{uid: imap.UID(n), body: letter(n), date: noon.Format(`"02-Jan-2006 15:04:05 -0700"`), size: -1})
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	var all sync.WaitGroup
	var conns sync.Map
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Store(c, nil)
			all.Go(func() { defer c.Close(); s.serve(c) })
		}
	})
	s.stop = sync.OnceFunc(func() {
		l.Close()
		conns.Range(func(c, _ any) bool { c.(net.Conn).Close(); return true })
		all.Wait()
	})
	t.Cleanup(func() {
		s.stop()
		for _, command := range s.log {
			if why := forbidden(command); why != "" {
				t.Errorf("%q: %s", command, why)
			}
		}
	})
	return s
}

// forbidden tells what no command of ours may do: sequence numbers change under
// a client's hands (osTicket 6979: every second mail removed), \Seen belongs to
// people, and go-imap falls over the answers to some items.
func forbidden(command string) string {
	word, _, _ := strings.Cut(command, " ")
	switch {
	case slices.Contains([]string{"FETCH", "STORE", "COPY", "MOVE", "SEARCH", "SORT"}, word):
		return "sequence numbers are never used"
	case word == "EXPUNGE", word == "CLOSE":
		return "removes what others have flagged"
	case strings.Contains(command, "FETCH") && (strings.Contains(command, "BODY[") || strings.Contains(command, "RFC822 ")):
		return "sets \\Seen"
	case strings.Contains(command, `\Seen`):
		return "\\Seen belongs to people"
	case strings.Contains(command, "ENVELOPE"), strings.Contains(command, "BODYSTRUCTURE"), strings.Contains(command, "FETCH") && strings.Contains(command, "FLAGS"):
		return "go-imap cannot read every answer to it"
	case strings.HasPrefix(command, "UID SEARCH") && (strings.Contains(command, "UNSEEN") || strings.Contains(command, "NEW") || strings.Contains(command, "RECENT")):
		return "a colleague who opened a mail would hide it"
	}
	return ""
}

// bendWith sets bend; the server may be running.
func (s *scripted) bendWith(bend func(tag, command string) (string, bool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bend = bend
}

// send writes a reply; false ends the conversation.
func send(c net.Conn, reply string) bool {
	reply, ends := strings.CutSuffix(reply, cut)
	reply, hangs := strings.CutSuffix(reply, hang)
	if _, err := io.WriteString(c, reply); err != nil {
		return false
	}
	if hangs {
		_, _ = io.Copy(io.Discard, c) // until the client has enough
	}
	return !ends && !hangs
}

func (s *scripted) serve(c net.Conn) {
	if greeting, ok := s.bent("", "greeting"); ok {
		if !send(c, greeting) {
			return
		}
	} else if !send(c, "* OK ready\r\n") {
		return
	}
	in := bufio.NewReader(c)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		tag, command, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		if command == "IDLE" {
			send(c, "+ idling\r\n")
			if _, err := in.ReadString('\n'); err != nil || !send(c, tag+" OK done\r\n") {
				return
			}
			continue
		}
		reply, ok := s.bent(tag, command)
		if !ok {
			s.mu.Lock()
			reply = s.answer(command) + tag + " OK done\r\n"
			s.mu.Unlock()
		}
		if !send(c, reply) {
			return
		}
	}
}

func (s *scripted) bent(tag, command string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, command)
	if s.bend == nil {
		return "", false
	}
	return s.bend(tag, command)
}

// answer is the untagged part of a good answer.
func (s *scripted) answer(command string) string {
	var b strings.Builder
	args := strings.Fields(command)
	switch {
	case args[0] == "CAPABILITY":
		fmt.Fprintf(&b, "* CAPABILITY IMAP4rev1 %s\r\n", s.caps)
	case args[0] == "LOGIN", args[0] == "AUTHENTICATE":
		s.logins++
	case args[0] == "SELECT", args[0] == "EXAMINE":
		fmt.Fprintf(&b, "* FLAGS (\\Seen)\r\n* %d EXISTS\r\n* OK [UIDVALIDITY %d] valid\r\n", len(s.messages), s.validity)
	case args[0] == "LIST":
		b.WriteString("* LIST (\\Noselect) \"/\" \"\"\r\n")
	case args[0] == "CREATE":
		s.made = true
	case strings.HasPrefix(command, "UID SEARCH"):
		b.WriteString("* SEARCH")
		for _, m := range s.messages {
			if s.fits(m, args[2:]) {
				fmt.Fprintf(&b, " %d", m.uid)
			}
		}
		b.WriteString("\r\n")
	case strings.HasPrefix(command, "UID FETCH"):
		for i, m := range s.messages {
			if contains(args[2], m.uid) {
				b.WriteString(s.fetched(i, m, command))
			}
		}
	case strings.HasPrefix(command, "UID STORE"):
		for _, m := range s.messages {
			if contains(args[2], m.uid) {
				m.deleted = m.deleted || strings.Contains(command, `\Deleted`)
				m.keyword = m.keyword || strings.Contains(command, Keyword)
			}
		}
	case strings.HasPrefix(command, "UID MOVE"), strings.HasPrefix(command, "UID COPY"):
		for _, m := range s.messages {
			if contains(args[2], m.uid) {
				s.done = append(s.done, m.body)
			}
		}
		if args[1] == "MOVE" {
			s.remove(func(m *stored) bool { return contains(args[2], m.uid) })
		}
	case strings.HasPrefix(command, "UID EXPUNGE"):
		s.remove(func(m *stored) bool { return m.deleted && contains(args[2], m.uid) })
	case command == "EXPUNGE":
		s.remove(func(m *stored) bool { return m.deleted })
	}
	return b.String()
}

func (s *scripted) remove(which func(*stored) bool) {
	s.messages = slices.DeleteFunc(s.messages, which)
}

func (s *scripted) fetched(i int, m *stored, command string) string {
	size := m.size
	if size < 0 {
		size = len(m.body)
	}
	switch {
	case strings.Contains(command, "RFC822.SIZE"):
		return fmt.Sprintf("* %d FETCH (UID %d INTERNALDATE %s RFC822.SIZE %d)\r\n", i+1, m.uid, m.date, size)
	case strings.Contains(command, "BODY.PEEK[HEADER]"):
		header, _, _ := strings.Cut(string(m.body), "\r\n\r\n")
		return fmt.Sprintf("* %d FETCH (UID %d BODY[HEADER]<0> {%d}\r\n%s)\r\n", i+1, m.uid, len(header), header)
	}
	return fmt.Sprintf("* %d FETCH (UID %d BODY[] {%d}\r\n%s)\r\n", i+1, m.uid, len(m.body), m.body)
}

// fits evaluates the search keys that the channel uses.
func (s *scripted) fits(m *stored, keys []string) bool {
	for i, k := range keys {
		switch k {
		case "UID":
			if !contains(keys[i+1], m.uid) && !(strings.HasSuffix(keys[i+1], "*") && m == s.messages[len(s.messages)-1]) {
				return false
			}
		case "UNKEYWORD":
			if m.keyword {
				return false
			}
		case "KEYWORD":
			if !m.keyword {
				return false
			}
		case "UNDELETED":
			if m.deleted {
				return false
			}
		}
	}
	return true
}

func contains(set string, uid imap.UID) bool {
	for part := range strings.SplitSeq(set, ",") {
		first, last, isRange := strings.Cut(part, ":")
		a, _ := strconv.ParseUint(first, 10, 32)
		z, err := strconv.ParseUint(last, 10, 32)
		if err != nil {
			z = 1 << 32
		}
		if !isRange {
			z = a
		}
		if uint64(uid) >= a && uint64(uid) <= z {
			return true
		}
	}
	return false
}

// left tells what is in the folder.
func (s *scripted) left() (uids []imap.UID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.messages {
		uids = append(uids, m.uid)
	}
	return uids
}

func letters(from, to int, but ...int) (all [][]byte) {
	for n := from; n <= to; n++ {
		if !slices.Contains(but, n) {
			all = append(all, letter(n))
		}
	}
	return all
}
