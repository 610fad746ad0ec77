package epuap

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"sekretariat"
	"sekretariat/extract/xmlsec"
	"sekretariat/ingest"
)

// maxAgain is how often a letter may be offered again after its confirmation
// was accepted before we stop asking for a while.
const maxAgain = 3

// head is what this process knows of the letter at the head of the queue.
type head struct {
	key      string
	durable  bool // taken, or a note about it parked: only to be confirmed
	receipt  sekretariat.Receipt
	refusals int  // of the confirmation, since the letter was seen first or confirmed
	again    int  // offered although confirmed
	damaged  int  // times it came unusable
	parked   bool // a note about it lies before a clerk
	unsure   bool // a confirmation of it may still be on its way
}

// Run fulfils ingest.Channel: it asks for letters until the queue is empty,
// waits, and asks again; after trouble it waits longer, up to 15 minutes.
func (c *Channel) Run(ctx context.Context) error {
	defer c.http.CloseIdleConnections()
	c.fresh = true
	for failures := 0; ; {
		err := c.round(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			failures++
			c.status.failed(codeOf(err))
			c.o.Logger.Warn().Str("channel", c.Name()).Str("code", string(codeOf(err))).Int("failures", failures).Err(err).Msg("ePUAP box not read")
		} else {
			failures = 0
			c.status.fine()
		}
		if !c.pause(ctx, c.delay(failures)) {
			return nil
		}
	}
}

// Health fulfils ingest.Channel.
func (c *Channel) Health() ingest.Health { return c.status.report() }

// delay is how long to wait before the next round, with jitter, so that many
// boxes do not ask in step.
func (c *Channel) delay(failures int) time.Duration {
	d := c.o.Account.Poll
	if failures > 0 {
		d = min(d, firstBackOff)
		for range failures - 1 {
			if d = 2 * d; d >= maxBackOff {
				d = maxBackOff
				break
			}
		}
	}
	return d - d/4 + rand.N(d/4+1)
}

// wait waits and tells whether ctx is still alive.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// round takes letters until the queue is empty or something fails.
func (c *Channel) round(ctx context.Context) error {
	signer, err := c.signer()
	if err != nil {
		return err
	}
	for {
		more, err := c.next(ctx, signer)
		if err != nil {
			if code := codeOf(err); code == codeConfirm || code == codeDocument {
				c.probe(ctx, signer) // how many letters wait behind it
			}
			return err
		}
		if !more {
			c.status.waiting(0)
			return nil
		}
	}
}

// Waiting asks the platform how many letters wait: a cheap way to try settings
// and certificate out.
func (c *Channel) Waiting(ctx context.Context) (int, error) {
	signer, err := c.signer()
	if err != nil {
		return 0, err
	}
	return c.count(ctx, signer)
}

func (c *Channel) count(ctx context.Context, signer *xmlsec.Signer) (int, error) {
	r, n, err := c.ask(ctx, signer)
	r.close()
	return n, err
}

// ask is count with the whole answer, which the caller closes.
func (c *Channel) ask(ctx context.Context, signer *xmlsec.Signer) (*reply, int, error) {
	r, err := c.call(ctx, signer, opWaiting)
	if err != nil {
		return r, 0, err
	}
	n, err := strconv.Atoi(r.fields[pathWaiting])
	if err != nil || n < 0 {
		return r, 0, trouble(codePlatform, fmt.Errorf("%s: %w: no number of letters", opWaiting.name, errAnswer))
	}
	return r, n, nil
}

func (c *Channel) probe(ctx context.Context, signer *xmlsec.Signer) {
	if n, err := c.count(ctx, signer); err == nil {
		c.status.waiting(n)
	}
}

// next takes the letter at the head of the queue. It tells whether there may
// be more.
//
// Between two confirmations there is always a look at the head of the queue.
// A letter is named to the platform by its digest alone; repeating a
// confirmation whose answer was lost could remove a second letter with the
// same content that we have never seen. For the same reason nothing is
// confirmed while an earlier confirmation may still be on its way: one without
// an answer, or one that a process sent before it died. Which letter that was
// about shows after a while at the head of the queue.
func (c *Channel) next(ctx context.Context, signer *xmlsec.Signer) (bool, error) {
	r, err := c.call(ctx, signer, opNext)
	defer r.close()
	if err != nil {
		if r != nil && r.cut {
			return false, c.unusable(ctx, r, sekretariat.ParkOversize, noteTooLong)
		}
		return false, err
	}
	if !r.letter() {
		if r.element != "" && !r.code("0") && !r.code("1") && r.fields[pathCode] != "" {
			return false, trouble(codePlatform, fmt.Errorf("%s: status kod %s", opNext.name, printable(r.fields[pathCode])))
		}
		c.head = head{}
		return false, nil
	}
	if err := c.keep(ctx, r); err != nil {
		return false, err
	}
	if c.head.unsure {
		c.head.unsure = false
		return c.settle(ctx, c.o.Account.Settle), nil // and look again
	}
	return true, c.confirm(ctx, signer, r)
}

// letter tells whether the answer holds one. What decides is the content, not
// the kod, on which the sources disagree; a letter without content is one only
// if its other fields say so.
func (r *reply) letter() bool {
	c := r.content
	return c.size > 0 || c.bad != nil || c.present && r.code("1") && r.fields["dataNadania"] != "" && r.fields["dokument.nazwaPliku"] != ""
}

// keep makes the letter durable, unless this process did so before.
func (c *Channel) keep(ctx context.Context, r *reply) error {
	if r.content.bad != nil {
		return c.unusable(ctx, r, sekretariat.ParkRefused, noteDamaged)
	}
	key := c.key(r)
	if c.head.key != key {
		c.head = head{key: key}
	}
	switch {
	case c.head.durable:
		return c.seen(ctx)
	case c.head.parked: // too large, and not smaller since
		return c.unusable(ctx, r, sekretariat.ParkOversize, noteTooLong)
	}
	if r.content.size == 0 {
		if _, err := c.o.Receiver.Park(ctx, c.delivery(r), sekretariat.ParkRefused, c.note(noteEmpty, r)); err != nil {
			return trouble(codeStore, fmt.Errorf("park a note about a letter: %w", err))
		}
		c.head.durable = true
		return nil
	}
	body, err := document(r.spool.reader(), c.o.MaxAnswer)
	if err != nil {
		return trouble(codeStore, fmt.Errorf("read the spooled answer: %w", err))
	}
	ticket, err := c.o.Receiver.Take(ctx, c.delivery(r), body)
	if errors.Is(err, ingest.ErrTooLarge) {
		c.head.damaged = 1 // no second try: it will not become smaller
		return c.unusable(ctx, r, sekretariat.ParkOversize, noteTooLong)
	}
	if err != nil {
		return trouble(codeStore, fmt.Errorf("take a letter in: %w", err))
	}
	receipt, err := ticket.Wait(ctx)
	if err != nil {
		return trouble(codeStore, fmt.Errorf("take a letter in: %w", err))
	}
	if receipt.Original != hexDigest(r.content.sha256) {
		// The confirmation would name other octets than those we keep.
		return trouble(codeStore, errors.New("the receiver keeps other octets than the platform sent"))
	}
	c.head.durable, c.head.receipt = true, receipt
	c.head.unsure = c.fresh && receipt.Repeat
	c.fresh = false
	c.o.Logger.Info().Str("channel", c.Name()).Str("submission", string(receipt.Submission)).Bool("repeat", receipt.Repeat).Int64("octets", r.content.size).Msg("ePUAP letter taken in")
	return nil
}

// seen counts a letter that is offered again although we confirmed it.
func (c *Channel) seen(ctx context.Context) error {
	if c.head.again == 0 || c.head.receipt.Submission == "" {
		return nil
	}
	err := c.o.Receiver.Seen(ctx, c.o.Centre, sekretariat.SeenData{
		Submission: c.head.receipt.Submission, Door: sekretariat.DoorEPUAPPull, Account: c.o.Account.ID,
	})
	if err != nil {
		return trouble(codeStore, fmt.Errorf("count a repeated letter: %w", err))
	}
	return nil
}

// confirm tells the platform that the letter is ours. A refusal is no error the
// first time: the letter is looked at again and the other digest tried.
func (c *Channel) confirm(ctx context.Context, signer *xmlsec.Signer, r *reply) error {
	if c.head.again >= maxAgain {
		c.head.again = 0
		return trouble(codeConfirm, errors.New("the platform accepts the confirmation and offers the letter again"))
	}
	sha2 := c.sha2 != (c.head.refusals%2 == 1)
	skrot := r.content.sha1
	if sha2 {
		skrot = r.content.sha256
	}
	answer, err := c.call(ctx, signer, opConfirm, "skrot", base64.StdEncoding.EncodeToString(skrot))
	defer answer.close()
	switch {
	case err == nil && answer.code("1"):
		c.sha2 = sha2
		c.head.refusals = 0
		c.head.again++
		return nil
	case err != nil && !declined(err):
		c.head.unsure = true
		return err
	}
	if c.head.refusals++; c.head.refusals%2 == 1 {
		return nil
	}
	if err == nil {
		err = fmt.Errorf("status kod %q", printable(answer.fields[pathCode]))
	}
	return trouble(codeConfirm, fmt.Errorf("%s: neither digest is accepted: %w", opConfirm.name, err))
}

// declined tells whether the service itself said no, for whatever reason: its
// codes are not public.
func declined(err error) bool {
	var f *soapFault
	return errors.As(err, &f) && !f.security
}

// unusable deals with a letter that cannot be taken: it stays on the platform.
// It may have been damaged on the way, so only the second sight of it brings a
// note before a clerk. Always an error, so that nobody asks again at once.
func (c *Channel) unusable(ctx context.Context, r *reply, reason sekretariat.ParkReason, note string) error {
	key := c.key(r)
	if c.head.key != key {
		c.head = head{key: key}
	}
	if c.head.damaged++; c.head.damaged > 1 && !c.head.parked {
		if _, err := c.o.Receiver.Park(ctx, c.delivery(r), reason, c.note(note, r)); err != nil {
			return trouble(codeStore, fmt.Errorf("park a note about a letter: %w", err))
		}
		c.head.parked = true
	}
	return trouble(codeDocument, fmt.Errorf("the letter at the head of the queue cannot be taken in: %s", reason))
}
