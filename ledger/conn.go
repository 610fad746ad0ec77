package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

// ErrClosed: the ledger was closed in this process.
var ErrClosed = errors.New("the ledger is closed")

// attemptTimeout bounds one request to the server. A lost connection ends it
// at once, so that only a silent server or a changing leader costs this much.
const attemptTimeout = 5 * time.Second

// conn is the connection to the server and the knowledge of when it broke:
// each uninterrupted stretch is an epoch, whose context ends with it.
type conn struct {
	nc  *nats.Conn
	log zerolog.Logger

	mu    sync.Mutex
	up    chan struct{} // closed while connected
	epoch context.Context
	end   context.CancelFunc
	life  context.Context // ends when the ledger closes
}

// connect dials with o, which names server and credentials, and goes on trying
// for ever; wait tells when it has succeeded.
func connect(life context.Context, url, inbox string, log zerolog.Logger, o ...nats.Option) (*conn, error) {
	c := &conn{log: log, life: life, up: make(chan struct{})}
	c.epoch, c.end = context.WithCancel(life)
	c.end()
	o = append(o,
		nats.Name("sekretariat"),
		nats.CustomInboxPrefix(inbox),
		nats.MaxReconnects(-1),
		nats.IgnoreAuthErrorAbort(),
		nats.CustomReconnectDelay(func(attempts int) time.Duration {
			return jitter(min(50*time.Millisecond<<min(attempts, 10), 5*time.Second))
		}),
		// No buffer: what is published while the server is away would be
		// sent later behind our back, when the caller has long given up.
		nats.ReconnectBufSize(-1),
		nats.PingInterval(10*time.Second),
		nats.MaxPingsOutstanding(2),
		nats.RetryOnFailedConnect(true),
		nats.ConnectHandler(func(*nats.Conn) { c.begin() }),
		nats.ReconnectHandler(func(*nats.Conn) { c.begin(); log.Info().Msg("connected to NATS again") }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { c.broken(err) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			log.Warn().Err(err).Msg("NATS reports an error")
		}),
	)
	nc, err := nats.Connect(url, o...)
	if err != nil {
		return nil, fmt.Errorf("connecting to NATS: %w", err)
	}
	c.nc = nc
	if nc.IsConnected() {
		c.begin()
	}
	return c, nil
}

// begin starts a new epoch.
func (c *conn) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.epoch.Err() == nil || c.life.Err() != nil {
		return
	}
	c.epoch, c.end = context.WithCancel(c.life)
	close(c.up)
}

// broken ends the epoch and with it every request in flight.
func (c *conn) broken(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.epoch.Err() != nil {
		return
	}
	c.end()
	c.up = make(chan struct{})
	if err != nil {
		c.log.Warn().Err(err).Msg("lost the connection to NATS")
	}
}

// connected waits for a connection and returns the context of its epoch.
func (c *conn) connected(ctx context.Context) (context.Context, error) {
	for {
		c.mu.Lock()
		up, epoch := c.up, c.epoch
		c.mu.Unlock()
		if epoch.Err() == nil {
			return epoch, nil
		}
		select {
		case <-up:
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for the NATS server: %w", context.Cause(ctx))
		case <-c.life.Done():
			return nil, ErrClosed
		}
	}
}

// request sends m once and waits for the answer until ctx ends, the connection
// breaks or attemptTimeout is over. Any error may mean that it was carried out.
func (c *conn) request(ctx context.Context, m *nats.Msg) (*nats.Msg, error) {
	epoch, err := c.connected(ctx)
	if err != nil {
		return nil, err
	}
	actx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	defer context.AfterFunc(epoch, cancel)()
	return c.nc.RequestMsgWithContext(actx, m)
}

// apiError is what the JetStream API answers when it refuses.
type apiError struct {
	Code        int    `json:"code"`
	ErrCode     int    `json:"err_code"`
	Description string `json:"description"`
}

func (e *apiError) Error() string { return fmt.Sprintf("%s (%d)", e.Description, e.ErrCode) }

// Codes of nats-server's errors.json that we tell apart.
const (
	codeConsumerNotFound   = 10014
	codeNoMessage          = 10037
	codeStreamNotFound     = 10059
	codeWrongLastSeq       = 10071
	codeWrongLastSeqConst  = 10164
	codeMessageTooLarge    = 10054
	codeAtomicDisabled     = 10174
	codeDuplicateInBatch   = 10201
	codeDuplicateInProcess = 10158
	codeDeleteFailed       = 10057
)

func hasCode(err error, codes ...int) bool {
	var a *apiError
	if !errors.As(err, &a) {
		return false
	}
	for _, c := range codes {
		if a.ErrCode == c {
			return true
		}
	}
	return false
}

// refused tells that the server has understood and will say no again.
func refused(err error) bool {
	var a *apiError
	return errors.As(err, &a) &&
		(a.Code >= 400 && a.Code < 500 && a.Code != 408 && a.Code != 429 || a.ErrCode == codeDeleteFailed)
}

// api calls the JetStream API below "$JS.API." and decodes the answer into
// out. It repeats with back-off while the server is away or busy, until ctx
// ends; a refusal comes back as *apiError. Only for calls that may be repeated.
func (c *conn) api(ctx context.Context, subject string, in, out any) error {
	body := []byte{}
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return fmt.Errorf("asking %s: %w", subject, err)
		}
	}
	var b backoff
	for {
		err := c.apiOnce(ctx, subject, body, out)
		if err == nil || refused(err) || errors.Is(err, ErrClosed) {
			return err
		}
		if werr := b.wait(ctx, c.life); werr != nil {
			return fmt.Errorf("asking %s: %w (last answer: %w)", subject, werr, err)
		}
	}
}

func (c *conn) apiOnce(ctx context.Context, subject string, body []byte, out any) error {
	m, err := c.request(ctx, &nats.Msg{Subject: "$JS.API." + subject, Data: body})
	if err != nil {
		return err
	}
	var e struct {
		Error *apiError `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &e); err != nil {
		return fmt.Errorf("answer of %s: %w", subject, err)
	}
	if e.Error != nil {
		return e.Error
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(m.Data, out)
}

// backoff waits longer each time, with jitter, from 20 ms to 2 s.
type backoff struct{ d time.Duration }

func (b *backoff) wait(ctx, life context.Context) error {
	b.d = min(max(2*b.d, 20*time.Millisecond), 2*time.Second)
	t := time.NewTimer(jitter(b.d))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-life.Done():
		return ErrClosed
	}
}

// jitter returns d less up to a third, so that many callers that failed
// together do not come back together.
func jitter(d time.Duration) time.Duration {
	return d - time.Duration(rand.Int64N(int64(d)/3+1))
}
