package ingest

import (
	"context"
	"maps"
	"strings"

	"sekretariat"
)

// SourceParked is the key of Manifest.Source that names the reason of a parked
// item.
const SourceParked = "parked"

// Park fulfils Receiver. The note becomes the body of a submission with the
// delivery's kind and account and with an identity apart from that of the
// thing it speaks of. Park waits until the note is durable.
func (r *Intake) Park(ctx context.Context, d sekretariat.Delivery, reason sekretariat.ParkReason, note string) (sekretariat.Receipt, error) {
	if err := checkNote(reason, note); err != nil {
		return sekretariat.Receipt{}, err
	}
	source := maps.Clone(d.Source)
	if source == nil {
		source = map[string]string{}
	}
	source[SourceParked] = string(reason)
	d.Source, d.Content, d.MediaType = source, nil, "text/plain; charset=utf-8"
	t, err := r.take(ctx, d, reason, strings.NewReader(note))
	if err != nil {
		return sekretariat.Receipt{}, err
	}
	return t.Wait(ctx)
}
