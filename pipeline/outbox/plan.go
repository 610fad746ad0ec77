package outbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"sekretariat"
	"sekretariat/ledger"
	"sekretariat/pipeline"
	"sekretariat/storage"
)

// latest is how old a mail may be when it is acknowledged: a first look into an
// old mailbox must not answer the mail of years.
const latest = 72 * time.Hour

// plan decides, once, whether a letter is acknowledged: when it is both read
// and routed.
func (b *Outbox) plan(ctx context.Context, s ledger.Stored) error {
	id, ok, err := about(s.Event)
	if err != nil {
		return ledger.Permanent(err)
	}
	for ok {
		l, seq, err := b.letter(ctx, id)
		if err != nil {
			return err
		}
		if !b.concerns(l) {
			return nil
		}
		err = b.decide(ctx, l, seq)
		if !errors.Is(err, ledger.ErrConflict) {
			return err
		}
	}
	return nil
}

// about finds the letter of an event after which a letter may be ready.
func about(e sekretariat.Event) (id sekretariat.LetterID, ok bool, err error) {
	switch e.Type {
	case sekretariat.EventRead:
		d, err := sekretariat.DataOf[sekretariat.ReadData](e)
		return d.Letter, true, err
	case sekretariat.EventRouted:
		d, err := sekretariat.DataOf[sekretariat.RoutedData](e)
		return d.Letter, true, err
	}
	return "", false, nil
}

// concerns tells whether an acknowledgement of the letter is to be thought of
// now.
func (b *Outbox) concerns(l *sekretariat.Letter) bool {
	ready := l.Reader != "" && l.Decided() && l.Decision.Rule != pipeline.RuleOverdue && !l.Number.IsZero()
	return ready && l.Ack == nil && !l.Cancelled && l.Parent == "" && l.Arrived.Kind == sekretariat.KindMail && !b.tooLate(l) &&
		(len(b.cfg.Accounts) == 0 || slices.Contains(b.cfg.Accounts, l.Arrived.Account))
}

func (b *Outbox) tooLate(l *sekretariat.Letter) bool {
	return b.o.Clock().Sub(l.Arrived.Arrived.At) > latest
}

// decide plans an acknowledgement or says why there is none.
func (b *Outbox) decide(ctx context.Context, l *sekretariat.Letter, seq uint64) error {
	r, err := pipeline.LoadReading(ctx, b.o.Vault, b.o.Centre.ID, l.ID.Submission(), l.Reading)
	switch {
	case errors.Is(err, storage.ErrShredded), errors.Is(err, storage.ErrDamaged):
		return b.suppress(ctx, l, seq, SuppressedUnread)
	case err != nil:
		return err
	}
	code := b.forbidden(l, r)
	if code == "" {
		code, err = b.claims(ctx, l, r)
	}
	if err != nil {
		return err
	}
	if code != "" {
		return b.suppress(ctx, l, seq, code)
	}
	ref, err := b.keep(ctx, l, r)
	if err != nil {
		return err
	}
	return b.append(ctx, l, seq, sekretariat.EventAckPlanned, 0, sekretariat.AckPlannedData{
		Letter: l.ID, Message: ref, Contact: b.o.Keys.Contact(r.Sender.Email), Due: b.o.Clock().Add(b.cfg.Delay).UTC(), Config: b.o.Centre.Version,
	})
}

func (b *Outbox) suppress(ctx context.Context, l *sekretariat.Letter, seq uint64, code string) error {
	return b.append(ctx, l, seq, sekretariat.EventAckSuppressed, 0, sekretariat.AckSuppressedData{Letter: l.ID, Code: code})
}

// sealed is what is kept before anything is sent: exactly what will be sent.
type sealed struct {
	To      string `json:"to"`
	Message []byte `json:"message"` // RFC 5322, CRLF
}

// maxSealed bounds a sealed message, octets; ours are a few kilobytes.
const maxSealed = 1 << 20

// keep seals the message beside the letter. A message that was kept before a
// crash stands.
func (b *Outbox) keep(ctx context.Context, l *sekretariat.Letter, r *sekretariat.Reading) (sekretariat.ObjectRef, error) {
	message, err := b.message(l, r)
	if err != nil {
		return sekretariat.ObjectRef{}, fmt.Errorf("write the acknowledgement of %s: %w", l.ID, err)
	}
	raw, err := json.Marshal(sealed{To: r.Sender.Email, Message: message})
	if err != nil {
		return sekretariat.ObjectRef{}, fmt.Errorf("write the acknowledgement of %s: %w", l.ID, err)
	}
	sub := l.ID.Submission()
	key := storage.DerivedKey(b.o.Centre.ID, sub, "outbox-1", fmt.Sprintf("%d.ack.json", l.ID.Part()))
	err = b.o.Vault.PutOnce(ctx, b.o.Centre.ID, sub, key, bytes.NewReader(raw))
	if errors.Is(err, storage.ErrExists) {
		raw, err = b.o.Vault.ReadAll(ctx, b.o.Centre.ID, sub, key, maxSealed)
	}
	if err != nil {
		return sekretariat.ObjectRef{}, fmt.Errorf("keep the acknowledgement of %s: %w", l.ID, err)
	}
	return sekretariat.ObjectRef{Key: key, SHA256: sekretariat.DigestOf(raw), Size: int64(len(raw)), MediaType: "application/json"}, nil
}
