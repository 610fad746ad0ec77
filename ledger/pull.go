package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// The rhythm of pull requests: one stays open this long, and the server says
// that it is alive in between.
const (
	pullExpires   = 30 * time.Second
	pullHeartbeat = 5 * time.Second
	pullMaxBytes  = 4 << 20 // per request; over four of the largest messages
)

// puller asks one consumer for messages. It is used by one goroutine.
type puller struct {
	c       *conn
	next    string // API subject
	inbox   string
	sub     *nats.Subscription
	ch      chan *nats.Msg
	id      int
	open    int // messages asked for and neither come nor called off
	epoch   context.Context
	silence *time.Timer
}

// newPuller subscribes for messages of a consumer; ahead is the most that will
// be asked for at once.
func (c *conn) newPuller(ctx context.Context, stream, consumer string, ahead int) (*puller, error) {
	epoch, err := c.connected(ctx)
	if err != nil {
		return nil, err
	}
	p := &puller{
		c: c, epoch: epoch, inbox: c.nc.NewInbox(),
		next:    "$JS.API.CONSUMER.MSG.NEXT." + stream + "." + consumer,
		ch:      make(chan *nats.Msg, 2*ahead+64),
		silence: time.NewTimer(2 * pullHeartbeat),
	}
	if p.sub, err = c.nc.ChanSubscribe(p.inbox+".*", p.ch); err != nil {
		p.silence.Stop()
		return nil, fmt.Errorf("subscribing to consumer %s of %s: %w", consumer, stream, err)
	}
	return p, nil
}

// close unsubscribes. It hands back what has arrived and was not looked at.
func (p *puller) close() {
	p.silence.Stop()
	_ = p.sub.Unsubscribe() // fails only on a closed connection
	for {
		select {
		case m := <-p.ch:
			if strings.HasPrefix(m.Reply, "$JS.ACK.") {
				_ = p.c.nc.Publish(m.Reply, []byte("-NAK")) // at worst it comes again later
			}
		default:
			return
		}
	}
}

// errLostConnection: the connection broke; what was asked for will not come.
var errLostConnection = errors.New("connection lost")

// ask requests n more messages and waits for them.
func (p *puller) ask(n int) error {
	return p.send(n, map[string]any{
		"batch": n, "max_bytes": pullMaxBytes,
		"expires": pullExpires.Nanoseconds(), "idle_heartbeat": pullHeartbeat.Nanoseconds(),
	})
}

// askFor requests n more messages and waits for them so long, silently.
func (p *puller) askFor(n int, d time.Duration) error {
	return p.send(n, map[string]any{"batch": n, "expires": d.Nanoseconds()})
}

// askNow requests n more messages of those that are there.
func (p *puller) askNow(n int) error {
	return p.send(n, map[string]any{"batch": n, "no_wait": true})
}

func (p *puller) send(n int, request map[string]any) error {
	// A request on a new connection whose answer nobody waits for would take a
	// message away from everybody until it is redelivered.
	if p.epoch.Err() != nil {
		return errLostConnection
	}
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	p.id++
	p.open += n
	return p.c.nc.PublishRequest(p.next, p.inbox+"."+strconv.Itoa(p.id), body)
}

// heard notes that the server is alive.
func (p *puller) heard() { p.silence.Reset(2 * pullHeartbeat) }

// take sorts out one arrival: true means it is a message of the stream. An
// error means that the consumer must be looked at or made anew.
func (p *puller) take(m *nats.Msg) (bool, error) {
	p.heard()
	status := m.Header.Get("Status")
	if len(m.Data) > 0 || status == "" {
		p.open = max(0, p.open-1)
		return true, nil
	}
	desc := m.Header.Get("Description")
	switch status {
	case "100":
		return false, nil
	case "404", "408":
	case "409":
		low := strings.ToLower(desc)
		if strings.Contains(low, "consumer deleted") || strings.Contains(low, "leadership change") || strings.Contains(low, "shutdown") {
			return false, fmt.Errorf("consumer: %s", desc)
		}
	default:
		return false, fmt.Errorf("consumer answers %s %s", status, desc)
	}
	rest, err := strconv.Atoi(m.Header.Get("Nats-Pending-Messages"))
	if err != nil {
		rest = p.open
	}
	p.open = max(0, p.open-rest)
	return false, nil
}
