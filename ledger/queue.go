package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"github.com/rs/zerolog"

	"sekretariat"
)

// QueueOptions say whose queue to open.
type QueueOptions struct {
	URL         string
	Credentials []byte // as IssueDepartment returned them
	CA          string // PEM file; "" means the system's authorities
	Centre      sekretariat.CentreID
	Department  sekretariat.DepartmentID
	Logger      zerolog.Logger
}

// QueueClient is the department's side of its queue, over plain NATS. Next must not
// be called by two goroutines at once; messages may be answered anywhere.
type QueueClient struct {
	c       *conn
	kill    context.CancelFunc
	o       QueueOptions
	pullers map[Lane]*puller
	spare   *QueueMessage // a normal one that came together with an urgent one
}

// queueWait is how long a department's request stays open. The server cannot
// see across accounts whether the asker is still there: what it sends to one
// that is gone comes again only after a minute. So requests are short, and
// Close waits for the open ones.
const queueWait = 2 * time.Second

// spareTime is how long a message may wait in the client before it is fetched
// anew; the server gives it to the next asker after a minute.
const spareTime = 20 * time.Second

// QueueMessage is one event for a department. The same event may come again:
// keep its id with what you did and skip what you know.
type QueueMessage struct {
	Event      sekretariat.Event
	Lane       Lane
	Seq        uint64
	Time       time.Time // when the server stored it
	Deliveries uint64    // 1 the first time

	c     *conn
	reply string
	taken time.Time
}

// OpenQueue connects with a department's credentials. It waits until ctx ends
// for a server that is away; credentials that are refused are an error at once.
func OpenQueue(ctx context.Context, o QueueOptions) (*QueueClient, error) {
	if err := validDepartment(o.Centre, o.Department); err != nil {
		return nil, err
	}
	user, err := nkeys.ParseDecoratedUserNKey(o.Credentials)
	if err != nil {
		return nil, fmt.Errorf("what was given for queue %s is no credentials file of ours (token create --creds writes one): %w", o.Department, err)
	}
	pub, err := user.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("credentials for queue %s: %w", o.Department, err)
	}
	opts := []nats.Option{nats.UserCredentialBytes(o.Credentials)}
	if o.CA != "" {
		opts = append(opts, nats.RootCAs(o.CA))
	}
	q := &QueueClient{o: o, pullers: map[Lane]*puller{}}
	var life context.Context
	life, q.kill = context.WithCancel(context.Background())
	if q.c, err = connect(life, o.URL, inboxOf(pub), o.Logger, opts...); err != nil {
		q.kill()
		return nil, fmt.Errorf("queue %s: %w", o.Department, err)
	}
	if err := q.admitted(ctx); err != nil {
		q.Close()
		return nil, fmt.Errorf("queue %s of %s: %w", o.Department, o.Centre, err)
	}
	return q, nil
}

// ErrRefused: the server does not accept the credentials (any more).
var ErrRefused = errors.New("the NATS server refuses the credentials: expired, revoked or of another installation")

// shown is a server's address without a password that may stand in it.
func shown(server string) string {
	u, err := url.Parse(server)
	if err != nil {
		return "of the configuration"
	}
	return u.Redacted()
}

// online waits for the connection.
func (q *QueueClient) online(ctx context.Context) error {
	check := time.NewTicker(50 * time.Millisecond)
	defer check.Stop()
	for !q.c.nc.IsConnected() {
		err := q.c.nc.LastError()
		if errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) || errors.Is(err, nats.ErrAuthRevoked) {
			return ErrRefused
		}
		select {
		case <-check.C:
		case <-ctx.Done():
			return fmt.Errorf("the NATS server %s does not answer (%v): %w", shown(q.o.URL), err, ctx.Err())
		case <-q.c.life.Done():
			return ErrClosed
		}
	}
	return nil
}

// admitted waits for the connection and looks at the two consumers.
func (q *QueueClient) admitted(ctx context.Context) error {
	if err := q.online(ctx); err != nil {
		return err
	}
	for _, lane := range lanes {
		subject := "CONSUMER.INFO." + streamOf(q.o.Centre, Queue) + "." + QueueConsumer(q.o.Department, lane)
		if err := q.c.apiOnce(ctx, subject, nil, nil); err != nil {
			return fmt.Errorf("the credentials do not open this queue: %w", err)
		}
	}
	return nil
}

// Next waits for the next event, urgent ones first, until ctx ends. Returns
// ErrRefused when the credentials were revoked or have expired.
func (q *QueueClient) Next(ctx context.Context) (*QueueMessage, error) {
	var b backoff
	for {
		m, err := q.next(ctx)
		if err == nil {
			return m, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if errors.Is(err, ErrRefused) {
			return nil, fmt.Errorf("queue %s of %s: %w", q.o.Department, q.o.Centre, err)
		}
		q.drop()
		if werr := b.wait(ctx, q.c.life); werr != nil {
			return nil, werr
		}
	}
}

func (q *QueueClient) next(ctx context.Context) (*QueueMessage, error) {
	if err := q.online(ctx); err != nil {
		return nil, err
	}
	for _, lane := range lanes {
		if q.pullers[lane] != nil {
			continue
		}
		p, err := q.c.newPuller(ctx, streamOf(q.o.Centre, Queue), QueueConsumer(q.o.Department, lane), 4)
		if err != nil {
			return nil, err
		}
		q.pullers[lane] = p
	}
	if m, err := q.now(ctx, Urgent); m != nil || err != nil {
		return m, err
	}
	if m := q.takeSpare(); m != nil {
		return m, nil
	}
	if m, err := q.now(ctx, Normal); m != nil || err != nil {
		return m, err
	}
	return q.wait(ctx)
}

// takeSpare returns the spare message unless it has become too old.
func (q *QueueClient) takeSpare() *QueueMessage {
	m := q.spare
	q.spare = nil
	if m != nil && time.Since(m.taken) > spareTime {
		_ = m.Nak(0) // at worst it comes again a little later
		return nil
	}
	return m
}

// now fetches what is there already.
func (q *QueueClient) now(ctx context.Context, lane Lane) (*QueueMessage, error) {
	p := q.pullers[lane]
	if p.open == 0 {
		if err := p.askNow(1); err != nil {
			return nil, err
		}
	} else if len(p.ch) == 0 {
		return nil, nil // an open request would have got it
	}
	for p.open > 0 || len(p.ch) > 0 {
		m, err := q.receive(ctx, lane, p)
		if m != nil || err != nil {
			return m, err
		}
	}
	return nil, nil
}

// wait asks both lanes and returns what comes first.
func (q *QueueClient) wait(ctx context.Context) (*QueueMessage, error) {
	u, n := q.pullers[Urgent], q.pullers[Normal]
	for {
		for _, p := range []*puller{u, n} {
			if p.open == 0 {
				if err := p.askFor(1, queueWait); err != nil {
					return nil, err
				}
			}
		}
		select {
		case raw := <-u.ch:
			if m, err := q.message(Urgent, u, raw); m != nil || err != nil {
				return m, err
			}
		case raw := <-n.ch:
			m, err := q.message(Normal, n, raw)
			if err != nil {
				return nil, err
			}
			if m == nil {
				continue
			}
			if len(u.ch) > 0 {
				q.spare = m
				continue
			}
			return m, nil
		case <-u.epoch.Done():
			return nil, errLostConnection
		case <-u.silence.C:
			return nil, errors.New("the server is silent")
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (q *QueueClient) receive(ctx context.Context, lane Lane, p *puller) (*QueueMessage, error) {
	select {
	case raw := <-p.ch:
		return q.message(lane, p, raw)
	case <-p.epoch.Done():
		return nil, errLostConnection
	case <-p.silence.C:
		return nil, errors.New("the server is silent")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// message turns an arrival into a QueueMessage; nil if it is only a status.
func (q *QueueClient) message(lane Lane, p *puller, raw *nats.Msg) (*QueueMessage, error) {
	data, err := p.take(raw)
	if err != nil || !data {
		return nil, err
	}
	md, err := raw.Metadata()
	if err != nil {
		return nil, err
	}
	m := &QueueMessage{
		Lane: lane, Seq: md.Sequence.Stream, Time: md.Timestamp.UTC(), Deliveries: md.NumDelivered,
		c: q.c, reply: raw.Reply, taken: time.Now(),
	}
	if err := json.Unmarshal(raw.Data, &m.Event); err != nil {
		return nil, fmt.Errorf("event %d of queue %s: %w", m.Seq, q.o.Department, err)
	}
	return m, nil
}

// drop forgets the pullers; what they had asked for comes again.
func (q *QueueClient) drop() {
	for lane, p := range q.pullers {
		p.close()
		delete(q.pullers, lane)
	}
	q.spare = nil
}

// Close ends what was asked for, gives back messages that were not handed out
// and disconnects. It may take two seconds. Next must have returned.
func (q *QueueClient) Close() {
	if q.spare != nil {
		_ = q.spare.Nak(0) // at worst it comes again a little later
	}
	end := time.NewTimer(queueWait + queueWait/2)
	defer end.Stop()
	for _, p := range q.pullers {
		q.finish(p, end.C)
	}
	q.drop()
	_ = q.c.nc.FlushTimeout(time.Second) // the same
	q.kill()
	q.c.nc.Close()
}

// finish hands back what still comes to an open request.
func (q *QueueClient) finish(p *puller, end <-chan time.Time) {
	for p.open > 0 {
		select {
		case m := <-p.ch:
			if data, err := p.take(m); err != nil {
				return
			} else if data {
				_ = q.c.nc.Publish(m.Reply, []byte("-NAK")) // at worst it comes again later
			}
		case <-p.epoch.Done():
			return
		case <-end:
			return
		}
	}
}

// Ack says "safely received" and waits until the server has heard it.
func (m *QueueMessage) Ack(ctx context.Context) error {
	if _, err := m.c.request(ctx, &nats.Msg{Subject: m.reply, Data: []byte("+ACK")}); err != nil {
		return fmt.Errorf("acknowledging event %s (it will come again): %w", m.Event.ID, err)
	}
	return nil
}

// Nak asks for the event again after a while.
func (m *QueueMessage) Nak(after time.Duration) error {
	body, err := json.Marshal(map[string]int64{"delay": after.Nanoseconds()})
	if err != nil {
		return err
	}
	return m.c.nc.Publish(m.reply, append([]byte("-NAK "), body...))
}

// Refuse ends the redelivery of an event that can never be worked on. reason is
// a code; it appears in FollowAdvisories.
func (m *QueueMessage) Refuse(reason string) error {
	return m.c.nc.Publish(m.reply, []byte("+TERM "+reason))
}
