package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/wneessen/go-mail/smtp"

	"sekretariat"
	"sekretariat/ledger"
	"sekretariat/storage"
)

const (
	// giveUp is how old the letter may be while its acknowledgement is tried;
	// later it says nothing new (RFC 5321 §4.5.4.1: four to five days).
	giveUp = latest + 48*time.Hour
	// lostAfter is when a sender that wrote "sending" and nothing else must
	// have died: far more than messageTime.
	lostAfter = 10 * time.Minute
)

// retries are the pauses after a refusal "for now"; the last one repeats.
var retries = []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour}

// dialRetries are the pauses while the relay cannot be reached.
var dialRetries = []time.Duration{5 * time.Second, 15 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute}

func pause(list []time.Duration, n int) time.Duration { return list[min(max(n, 0), len(list)-1)] }

// send sends what is due until ctx ends.
func (b *Outbox) send(ctx context.Context) error {
	failures := 0
	for wait := time.Duration(0); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		wait = b.o.Poll
		err := b.sendDue(ctx)
		if ctx.Err() != nil {
			return nil
		}
		b.troubled(err)
		switch {
		case err == nil:
			failures = 0
		default:
			wait = pause(dialRetries, failures)
			failures++
			b.o.Logger.Error().Err(err).Dur("again", wait).Msg("acknowledgements cannot be sent; check the relay (acknowledgement.smtp)")
		}
	}
}

// sendDue goes once through what is due. An error means that the relay, or the
// ledger, does not answer.
func (b *Outbox) sendDue(ctx context.Context) error {
	ids, err := b.o.Due.AckDue(ctx, b.o.Clock())
	if err != nil {
		return err
	}
	line := &line{relay: b.relay}
	defer line.close()
	var unreachable error
	for _, id := range ids {
		err := b.one(ctx, line, id)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errUnreachable):
			unreachable = err // the others may have to be given up
		case err != nil && !errors.Is(err, ledger.ErrConflict):
			b.o.Logger.Error().Err(err).Str("letter", string(id)).Msg("an acknowledgement could not be worked on; trying again")
		}
	}
	return unreachable
}

var errUnreachable = errors.New("the relay cannot be used")

// line is a connection that serves several messages, dialled when the first
// one needs it.
type line struct {
	relay  relay
	client *smtp.Client
	failed error // of the dialling; it is not tried again in this round
}

func (l *line) open(ctx context.Context) (*smtp.Client, error) {
	if l.client == nil && l.failed == nil {
		l.client, l.failed = l.relay.connect(ctx)
	}
	if l.failed != nil {
		return nil, fmt.Errorf("%w: %w", errUnreachable, l.failed)
	}
	return l.client, nil
}

// drop ends the connection without a word: the transaction in it is in doubt.
func (l *line) drop() {
	if l.client != nil {
		_ = l.client.Close()
		l.client = nil
	}
}

func (l *line) close() {
	if l.client != nil {
		_ = l.client.Quit() // all that was sent is answered for
		l.drop()
	}
}

// one works on the acknowledgement of one letter. The ledger decides what there
// is to do: the read model may be behind.
func (b *Outbox) one(ctx context.Context, line *line, id sekretariat.LetterID) error {
	l, seq, err := b.letter(ctx, id)
	if err != nil {
		return err
	}
	now := b.o.Clock()
	switch {
	case l.Ack == nil || !l.Ack.State.Open():
		return nil
	case l.Ack.State == sekretariat.AckSending:
		if now.Sub(l.Ack.At) < lostAfter {
			return nil // the read model will know its end in a moment
		}
		return b.failed(ctx, l, seq, outcome{code: codeUnknown, unknown: true})
	case l.Ack.Due.After(now):
		return nil
	}
	if code := b.withheld(l); code != "" {
		return b.suppress(ctx, l, seq, code)
	}
	m, code, err := b.sealedMessage(ctx, l)
	if err != nil {
		return err
	}
	if code != "" {
		return b.suppress(ctx, l, seq, code)
	}
	client, err := line.open(ctx)
	if err != nil {
		if now.Sub(l.Arrived.Arrived.At) > giveUp {
			return errors.Join(err, b.failed(ctx, l, seq, outcome{code: codeUnreachable}))
		}
		return err
	}
	return b.attempt(ctx, line, client, l, seq, m)
}

// withheld says why a planned acknowledgement must not leave any more.
func (b *Outbox) withheld(l *sekretariat.Letter) string {
	switch {
	case !b.cfg.On:
		return SuppressedOff
	case l.Cancelled:
		return SuppressedCancelled
	}
	return b.betrays(l)
}

func (b *Outbox) sealedMessage(ctx context.Context, l *sekretariat.Letter) (m sealed, code string, err error) {
	raw, err := b.o.Vault.ReadAll(ctx, b.o.Centre.ID, l.ID.Submission(), l.Ack.Message.Key, maxSealed)
	switch {
	case errors.Is(err, storage.ErrShredded), errors.Is(err, storage.ErrDamaged):
		return m, SuppressedUnread, nil
	case err != nil:
		return m, "", fmt.Errorf("open the acknowledgement of %s: %w", l.ID, err)
	}
	if err := json.Unmarshal(raw, &m); err != nil || !plainAddress.MatchString(m.To) {
		return m, SuppressedUnread, nil
	}
	return m, "", nil
}

// attempt sends once. "sending" is written first and only if nothing happened
// to the letter since it was looked at: a re-routing that came in between wins.
// From then on it is either known what became of the message, or it is never
// sent again.
func (b *Outbox) attempt(ctx context.Context, line *line, client *smtp.Client, l *sekretariat.Letter, seq uint64, m sealed) error {
	n := l.Ack.Attempt + 1
	err := b.append(ctx, l, seq, sekretariat.EventAckSending, n, sekretariat.AckAttemptData{Letter: l.ID, Attempt: n})
	if err != nil {
		return err
	}
	o := transmit(client, m.To, m.Message)
	switch {
	case o.unknown, o.code == codeBroken:
		line.drop()
	case o.code != "":
		if client.Reset() != nil {
			line.drop()
		}
	}
	return b.note(context.WithoutCancel(ctx), l.ID, n, o)
}

// note writes what became of an attempt. People may have written about the
// letter meanwhile.
func (b *Outbox) note(ctx context.Context, id sekretariat.LetterID, n int, o outcome) error {
	ctx, cancel := context.WithTimeout(ctx, messageTime)
	defer cancel()
	for {
		l, seq, err := b.letter(ctx, id)
		if err != nil {
			return err
		}
		if o.code == "" {
			err = b.append(ctx, l, seq, sekretariat.EventAckSent, n, sekretariat.AckAttemptData{Letter: id, Attempt: n})
		} else {
			l.Ack.Attempt = n
			err = b.failed(ctx, l, seq, o)
		}
		if !errors.Is(err, ledger.ErrConflict) {
			return err
		}
	}
}

// failed notes a failure: for now, with the next attempt, or for good; then it
// stands on the letter.
func (b *Outbox) failed(ctx context.Context, l *sekretariat.Letter, seq uint64, o outcome) error {
	now := b.o.Clock()
	d := sekretariat.AckAttemptData{Letter: l.ID, Attempt: l.Ack.Attempt, Code: o.code, Contact: l.Ack.Contact, Bad: o.bad}
	if o.again {
		again := now.Add(pause(retries, l.Ack.Attempt-1)).UTC()
		if again.Sub(l.Arrived.Arrived.At) > giveUp {
			d.Code = codeGaveUp
		} else {
			d.Again = &again
		}
	}
	return b.append(ctx, l, seq, sekretariat.EventAckFailed, l.Ack.Attempt, d)
}
