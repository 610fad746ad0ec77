package ledger

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// ensureConsumer creates a durable consumer or brings its settings up to date.
// One that stands beyond the end of its stream belongs to a rewound ledger and
// would pass over what comes next without a word: it is made anew, and its
// group gets everything again, which its handlers bear.
func (l *Ledger) ensureConsumer(ctx context.Context, stream string, cfg jetstream.ConsumerConfig) error {
	var have struct {
		Delivered struct {
			Stream uint64 `json:"stream_seq"`
		} `json:"delivered"`
	}
	err := l.c.api(ctx, "CONSUMER.INFO."+stream+"."+cfg.Durable, nil, &have)
	if err != nil && !hasCode(err, codeConsumerNotFound) {
		return fmt.Errorf("consumer %s of %s: %w", cfg.Durable, stream, err)
	}
	if err == nil {
		i, ierr := l.c.info(ctx, stream)
		if ierr != nil {
			return fmt.Errorf("consumer %s of %s: %w", cfg.Durable, stream, ierr)
		}
		if have.Delivered.Stream > i.State.Last {
			l.log.Error().Str("stream", stream).Str("consumer", cfg.Durable).
				Uint64("consumer_seq", have.Delivered.Stream).Uint64("stream_seq", i.State.Last).
				Msg("the ledger was rewound below this consumer; it starts again from the beginning")
			err := l.c.api(ctx, "CONSUMER.DELETE."+stream+"."+cfg.Durable, nil, nil)
			if err != nil && !hasCode(err, codeConsumerNotFound) {
				return fmt.Errorf("consumer %s of %s: %w", cfg.Durable, stream, err)
			}
		}
	}
	req := map[string]any{"stream_name": stream, "config": cfg}
	if err := l.c.api(ctx, "CONSUMER.DURABLE.CREATE."+stream+"."+cfg.Durable, req, nil); err != nil {
		return fmt.Errorf("consumer %s of %s: %w", cfg.Durable, stream, err)
	}
	return nil
}
