package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"sekretariat"
)

// maxPayload bounds one message (octets). Events carry references only.
const maxPayload = 1 << 20

// maxSubject bounds a relative subject; the longest is a letter in a queue.
const maxSubject = 250

// What a stream's metadata say of it.
const (
	metaCentre = "sekretariat-centre"
	metaStream = "sekretariat-stream"
)

// streamOf is the name of a centre's stream on the server.
func streamOf(c sekretariat.CentreID, s StreamName) string {
	return "SK-" + strings.ToUpper(string(c)+"-"+string(s))
}

// prefixOf is what stands before the relative subjects of a stream.
func prefixOf(c sekretariat.CentreID, s StreamName) string {
	name := strings.ToLower(string(s))
	if series, ok := strings.CutPrefix(name, "register-"); ok {
		name = "register." + series
	}
	return "sk." + string(c) + "." + name + "."
}

// validSubject tells whether s may be published to: tokens without wildcards,
// blanks and control characters.
func validSubject(s string) bool {
	if s == "" || len(s) > maxSubject {
		return false
	}
	for tok := range strings.SplitSeq(s, ".") {
		if tok == "" || strings.ContainsFunc(tok, func(r rune) bool {
			return r <= ' ' || r > '~' || r == '*' || r == '>'
		}) {
			return false
		}
	}
	return true
}

// Centre creates the centre's streams where they are missing, or brings their
// settings up to date, and returns the Log over them.
func (l *Ledger) Centre(ctx context.Context, c sekretariat.CentreID, series []sekretariat.SeriesID) (Log, error) {
	if !sekretariat.ValidSlug(string(c)) {
		return nil, fmt.Errorf("centre %q: not a valid id", c)
	}
	names := []StreamName{Intake, Letter, Queue, Audit, Dead}
	for _, s := range series {
		if !sekretariat.ValidSlug(string(s)) {
			return nil, fmt.Errorf("centre %s: series %q is not a valid id", c, s)
		}
		names = append(names, Register(s))
	}
	for _, n := range names {
		if err := l.ensureStream(ctx, l.streamConfig(c, n)); err != nil {
			return nil, fmt.Errorf("streams of centre %s: %w", c, err)
		}
	}
	return l.newLog(c, names), nil
}

// streamConfig is how a centre's stream is kept: for ever, unchangeable in
// bulk, read at the leader. Single messages can be erased (see Erase).
func (l *Ledger) streamConfig(c sekretariat.CentreID, n StreamName) jetstream.StreamConfig {
	cfg := jetstream.StreamConfig{
		Name:               streamOf(c, n),
		Subjects:           []string{prefixOf(c, n) + ">"},
		Retention:          jetstream.LimitsPolicy,
		Discard:            jetstream.DiscardNew,
		Storage:            jetstream.FileStorage,
		Replicas:           l.replicas,
		DenyPurge:          true,
		AllowAtomicPublish: true,
		MaxMsgSize:         maxPayload,
		Metadata:           map[string]string{metaCentre: string(c), metaStream: string(n)},
		// Conditions keep events from being stored twice. The server's own
		// window of message ids only makes its start slower: it reads the
		// window again.
		Duplicates: time.Second,
	}
	if n == Audit { // appended without a condition
		cfg.Duplicates = 2 * time.Minute
	}
	return cfg
}

// ensureStream creates or updates a stream. Two installations' names cannot
// mix: a stream whose subjects are others is refused.
func (l *Ledger) ensureStream(ctx context.Context, cfg jetstream.StreamConfig) error {
	var have struct {
		Config jetstream.StreamConfig `json:"config"`
	}
	err := l.c.api(ctx, "STREAM.INFO."+cfg.Name, nil, &have)
	verb := "STREAM.UPDATE."
	switch {
	case hasCode(err, codeStreamNotFound):
		verb = "STREAM.CREATE."
	case err != nil:
		return fmt.Errorf("stream %s: %w", cfg.Name, err)
	case !slices.Equal(have.Config.Subjects, cfg.Subjects):
		return fmt.Errorf("stream %s exists with subjects %v instead of %v: another centre or program uses this name",
			cfg.Name, have.Config.Subjects, cfg.Subjects)
	}
	if err := l.c.api(ctx, verb+cfg.Name, cfg, nil); err != nil {
		return fmt.Errorf("stream %s: %w", cfg.Name, err)
	}
	return nil
}

// ErrRewound: the ledger's past is not what it was: its last sequence has moved
// backwards or it holds something else where we have read already. Nobody
// repairs this by repeating; numbering stops and people are called.
var ErrRewound = errors.New("the ledger was rewound")
