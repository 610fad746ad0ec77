package outbox

import (
	"context"
	"fmt"
	"sync"

	"sekretariat"
)

// monthly is how many days' worth of acknowledgements one sender gets in a
// month: a machine that takes a day for each of its answers is bounded, too.
const monthly = 10

// claims takes the letter's place under the limits: one acknowledgement for a
// sender and thread, one for the same words of a sender in a month, a few a day
// for a sender, some hundred a day for the centre. The claims are the ledger's
// and name the letter, so that a repeat after a crash finds its own.
func (b *Outbox) claims(ctx context.Context, l *sekretariat.Letter, r *sekretariat.Reading) (code string, err error) {
	now := b.o.Clock()
	if _, bad, err := b.o.Due.BadContact(ctx, b.o.Keys.Contact(r.Sender.Email), now); err != nil {
		return "", err
	} else if bad {
		return SuppressedBad, nil
	}
	day := sekretariat.Day(now)
	sender := b.o.Keys.Contact(r.Sender.Email)
	for _, c := range []struct {
		name string
		most int
		code string
	}{
		{fmt.Sprintf("thread.%s.%s", sender, b.thread(r)), 1, SuppressedThread},
		{fmt.Sprintf("words.%s.%s.%s", day[:7], sender, b.o.Keys.Words(r.Subject+"\n"+r.Text)), 1, SuppressedSame},
		{fmt.Sprintf("month.%s.%s", day[:7], sender), monthly * b.cfg.PerSender, SuppressedSender},
		{fmt.Sprintf("sender.%s.%s", day, sender), b.cfg.PerSender, SuppressedSender},
		{"day." + day, b.cfg.PerDay, SuppressedDay},
	} {
		ok, err := b.claim(ctx, c.name, c.most, l.ID)
		if err != nil {
			return "", fmt.Errorf("limits of acknowledgements: %w", err)
		}
		if !ok {
			return c.code, nil
		}
	}
	return "", nil
}

// thread is the digest of the message that began the thread.
func (b *Outbox) thread(r *sekretariat.Reading) sekretariat.Digest {
	t := b.o.Keys.Thread(r)
	switch {
	case t != nil && len(t.References) > 0:
		return t.References[0]
	case t != nil && t.Message != "":
		return t.Message
	}
	return b.o.Keys.Words(r.Subject + "\n" + r.Text)
}

// claim takes one of most places under a name, unless others have them all.
func (b *Outbox) claim(ctx context.Context, name string, most int, id sekretariat.LetterID) (bool, error) {
	full := fmt.Sprintf("ack.%s.%s", b.o.Centre.ID, name)
	for n := b.slots.from(full); n <= most; n++ {
		winner, err := b.o.Claims.Claim(ctx, fmt.Sprintf("%s.%d", full, n), []byte(id))
		if err != nil {
			return false, err
		}
		if string(winner) == string(id) {
			return true, nil
		}
		b.slots.taken(full, n)
	}
	return false, nil
}

// slots remembers which places others have, so that the three hundredth letter
// of a day need not ask for all of them. Losing it costs requests, nothing else.
type slots struct {
	mu   sync.Mutex
	next map[string]int
}

// maxSlots bounds the names remembered.
const maxSlots = 1000

func (s *slots) from(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(s.next[name], 1)
}

func (s *slots) taken(name string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == nil || len(s.next) > maxSlots {
		s.next = map[string]int{}
	}
	s.next[name] = max(s.next[name], n+1)
}
