package ledger

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/textproto"
	"strconv"
	"sync"

	"bufio"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"
	"golang.org/x/sync/errgroup"
)

// Headers of JetStream (ADR-50 for the batches) and our own.
const (
	hdrBatchID     = "Nats-Batch-Id"
	hdrBatchSeq    = "Nats-Batch-Sequence"
	hdrBatchCommit = "Nats-Batch-Commit"
	hdrLastSeq     = "Nats-Expected-Last-Sequence"
	hdrLastSubject = "Nats-Expected-Last-Subject-Sequence"
	hdrMsgID       = "Nats-Msg-Id"
	// hdrAppend carries a token that is different for every append, so that
	// an append whose answer was lost recognises its own message.
	hdrAppend = "Sk-Append"
)

// pending is one message on its way into a stream.
type pending struct {
	ctx     context.Context
	subject string // absolute
	lastSeq uint64
	data    []byte
	token   string
	unsure  bool // an attempt had an unknown outcome
	once    sync.Once
	done    chan outcome
}

type outcome struct {
	seq uint64
	err error
}

func newPending(ctx context.Context, subject string, lastSeq uint64, data []byte) *pending {
	return &pending{ctx: ctx, subject: subject, lastSeq: lastSeq, data: data, token: nuid.Next(), done: make(chan outcome, 1)}
}

func (p *pending) finish(seq uint64, err error) {
	p.once.Do(func() { p.done <- outcome{seq, err} })
}

// msg renders p for the server.
func (p *pending) msg() *nats.Msg {
	h := nats.Header{hdrAppend: {p.token}}
	if p.lastSeq != AnySeq {
		h[hdrLastSubject] = []string{strconv.FormatUint(p.lastSeq, 10)}
	} else {
		// Without a condition only the server's window of duplicates keeps a
		// repeated attempt from being stored twice.
		h[hdrMsgID] = []string{p.token}
	}
	return &nats.Msg{Subject: p.subject, Header: h, Data: p.data}
}

// publish sends ps as one atomic batch (a single one as a plain message) and
// returns the sequence of the first. streamSeq, unless AnySeq, is the last
// sequence the whole stream must have. On any error but a conflict the outcome
// is unknown.
func (c *conn) publish(ctx context.Context, ps []*pending, streamSeq uint64) (uint64, error) {
	if _, err := c.connected(ctx); err != nil {
		return 0, err
	}
	batch := nuid.Next()
	for i, p := range ps {
		m := p.msg()
		if i == 0 && streamSeq != AnySeq {
			m.Header[hdrLastSeq] = []string{strconv.FormatUint(streamSeq, 10)}
		}
		if len(ps) > 1 {
			m.Header[hdrBatchID] = []string{batch}
			m.Header[hdrBatchSeq] = []string{strconv.Itoa(i + 1)}
		}
		if i < len(ps)-1 {
			if err := c.nc.PublishMsg(m); err != nil {
				return 0, err
			}
			continue
		}
		if len(ps) > 1 {
			m.Header[hdrBatchCommit] = []string{"1"}
		}
		return c.commit(ctx, m, len(ps))
	}
	return 0, errors.New("nothing to publish")
}

// commit sends the last message of a batch and reads the answer for all.
func (c *conn) commit(ctx context.Context, m *nats.Msg, n int) (uint64, error) {
	reply, err := c.request(ctx, m)
	if err != nil {
		return 0, err
	}
	var ack struct {
		Error *apiError `json:"error"`
		Seq   uint64    `json:"seq"`
		Count int       `json:"count"`
	}
	if err := json.Unmarshal(reply.Data, &ack); err != nil {
		return 0, fmt.Errorf("acknowledgement of the server: %w", err)
	}
	switch {
	case ack.Error != nil:
		return 0, ack.Error
	case ack.Seq < uint64(n), n > 1 && ack.Count != n:
		return 0, fmt.Errorf("the server acknowledged %d of %d messages up to sequence %d", ack.Count, n, ack.Seq)
	}
	return ack.Seq - uint64(n) + 1, nil
}

// isConflict tells whether the server refused because of a condition, or
// because it has the message already.
func isConflict(err error) bool {
	return hasCode(err, codeWrongLastSeq, codeWrongLastSeqConst, codeDuplicateInBatch, codeDuplicateInProcess)
}

// final tells that repeating the same messages is pointless.
func final(err error) bool {
	return hasCode(err, codeStreamNotFound, codeMessageTooLarge, codeAtomicDisabled) ||
		errors.Is(err, nats.ErrMaxPayload) || errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, ErrClosed)
}

// resolve finds out what became of messages that the server refused or did not
// answer: own ones that are stored and ones whose condition no longer holds
// are finished; it returns those that may be tried again.
func (c *conn) resolve(ctx context.Context, stream string, ps []*pending) ([]*pending, error) {
	again := make([]bool, len(ps))
	var g errgroup.Group
	g.SetLimit(32)
	for i, p := range ps {
		g.Go(func() error {
			retry, err := c.resolveOne(ctx, stream, p)
			again[i] = retry
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return ps, err
	}
	rest := ps[:0:0]
	for i, p := range ps {
		if again[i] {
			rest = append(rest, p)
		}
	}
	return rest, nil
}

// resolveOne relies on the condition: the first message on the subject after
// lastSeq is ours, or somebody else's and then ours cannot be there. Without a
// condition only the last one is looked at; the server's window of duplicates
// does the rest.
func (c *conn) resolveOne(ctx context.Context, stream string, p *pending) (retry bool, err error) {
	if p.lastSeq == AnySeq {
		m, err := c.get(ctx, stream, msgGet{Last: p.subject})
		if err == nil && tokenOf(m.Header) == p.token {
			p.finish(m.Seq, nil)
			return false, nil
		}
		return err == nil || errors.Is(err, ErrNotFound), ignoreNotFound(err)
	}
	m, err := c.get(ctx, stream, msgGet{Seq: p.lastSeq + 1, Next: p.subject})
	switch {
	case err == nil && p.unsure && tokenOf(m.Header) == p.token:
		p.finish(m.Seq, nil)
		return false, nil
	case err == nil:
		p.finish(0, ErrConflict)
		return false, nil
	case !errors.Is(err, ErrNotFound):
		return false, err
	case p.lastSeq == 0:
		return true, nil
	}
	last, err := c.get(ctx, stream, msgGet{Last: p.subject})
	if errors.Is(err, ErrNotFound) || err == nil && last.Seq != p.lastSeq {
		p.finish(0, ErrConflict)
		return false, nil
	}
	return err == nil, err
}

// tokenOf reads hdrAppend out of raw headers.
func tokenOf(raw []byte) string {
	_, rest, ok := bytes.Cut(raw, []byte("\r\n")) // the line NATS/1.0
	if !ok {
		return ""
	}
	h, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(rest))).ReadMIMEHeader()
	if err != nil {
		return ""
	}
	return h.Get(hdrAppend)
}

func isNotFound(err error) bool { return errors.Is(err, ErrNotFound) }

func ignoreNotFound(err error) error {
	if isNotFound(err) {
		return nil
	}
	return err
}
