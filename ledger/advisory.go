package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// advisoryStream keeps what the server says of events that a consumer was
// given too often or has refused.
const advisoryStream = "SK-ADVISORIES"

const advisoryPrefix = "$JS.EVENT.ADVISORY.CONSUMER."

func advisoryConfig(replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:      advisoryStream,
		Subjects:  []string{advisoryPrefix + "MAX_DELIVERIES.>", advisoryPrefix + "MSG_TERMINATED.>"},
		Retention: jetstream.LimitsPolicy,
		Discard:   jetstream.DiscardOld,
		MaxAge:    365 * 24 * time.Hour,
		Storage:   jetstream.FileStorage,
		Replicas:  replicas,
	}
}

// Advisory is one such message. The event it is about stays in its stream.
type Advisory struct {
	Seq        uint64 // in the list of advisories: where to follow on
	Time       time.Time
	Terminated bool   // refused by the consumer; otherwise delivered too often
	Stream     string // the server's name
	Consumer   string
	StreamSeq  uint64
	Deliveries uint64
	Reason     string // of a refusal, as the consumer gave it
}

// FollowAdvisories calls fn for each advisory from sequence from (≥ 1) on until
// ctx ends or fn returns an error.
func (l *Ledger) FollowAdvisories(ctx context.Context, from uint64, fn func(Advisory) error) error {
	r := &reader{l: l, stream: advisoryStream, filter: advisoryPrefix + ">", pos: max(from, 1) - 1}
	defer r.close()
	for {
		it, err := r.next(ctx)
		if err != nil {
			return fmt.Errorf("following advisories: %w", err)
		}
		var a struct {
			Stream     string `json:"stream"`
			Consumer   string `json:"consumer"`
			StreamSeq  uint64 `json:"stream_seq"`
			Deliveries uint64 `json:"deliveries"`
			Reason     string `json:"reason"`
		}
		if err := json.Unmarshal(it.Data, &a); err != nil {
			return fmt.Errorf("advisory %d: %w", it.Seq, err)
		}
		err = fn(Advisory{
			Seq: it.Seq, Time: it.Time.UTC(), Stream: a.Stream, Consumer: a.Consumer, StreamSeq: a.StreamSeq,
			Deliveries: a.Deliveries, Reason: a.Reason,
			Terminated: strings.HasPrefix(it.Subject, advisoryPrefix+"MSG_TERMINATED."),
		})
		if err != nil {
			return err
		}
	}
}
