package ingesttest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"

	"sekretariat"
	"sekretariat/ingest"
)

// blocked is a receiver whose store is away: bodies are read, but no ticket
// ever comes to its end.
type blocked struct {
	once    sync.Once
	waiting chan struct{} // closed when the channel first waits
}

func (b *blocked) Take(_ context.Context, _ sekretariat.Delivery, body io.Reader) (ingest.Ticket, error) {
	if _, err := io.Copy(io.Discard, body); err != nil {
		return nil, fmt.Errorf("read body: %w", err)
	}
	return b, nil
}

func (b *blocked) Wait(ctx context.Context) (sekretariat.Receipt, error) {
	b.once.Do(func() { close(b.waiting) })
	<-ctx.Done()
	return sekretariat.Receipt{}, ctx.Err()
}

func (b *blocked) Seen(ctx context.Context, _ sekretariat.CentreID, _ sekretariat.SeenData) error {
	<-ctx.Done()
	return ctx.Err()
}

func (b *blocked) Park(ctx context.Context, _ sekretariat.Delivery, _ sekretariat.ParkReason, _ string) (sekretariat.Receipt, error) {
	return b.Wait(ctx)
}

// limited refuses the one body with the digest as too large.
type limited struct {
	ingest.Receiver
	refuse sekretariat.Digest
}

func (l *limited) Take(ctx context.Context, d sekretariat.Delivery, body io.Reader) (ingest.Ticket, error) {
	b, err := io.ReadAll(body)
	if err != nil {
		return nil, fmt.Errorf("read body: %w", err)
	}
	if sekretariat.DigestOf(b) == l.refuse {
		return nil, fmt.Errorf("%d octets: %w", len(b), ingest.ErrTooLarge)
	}
	return l.Receiver.Take(ctx, d, bytes.NewReader(b))
}
