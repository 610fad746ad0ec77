package edelivery

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// client makes the HTTP client. Redirects are not followed: the token and the
// letters are meant for one address, and a provider that moved says so.
func (c *Channel) client() (*http.Client, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if file := c.o.Account.CA; file != "" {
		extra, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("ca: %w: give a PEM file that the service may read", err)
		}
		if !pool.AppendCertsFromPEM(extra) {
			return nil, fmt.Errorf("ca: %s holds no certificate in PEM form", file)
		}
	}
	secure := &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	if c.o.Account.MTLS {
		secure.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := c.keys()
			return &pair, err
		}
	}
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: 30 * time.Second}).DialContext,
			TLSClientConfig:       secure,
			TLSHandshakeTimeout:   30 * time.Second,
			ResponseHeaderTimeout: c.o.Timeout,
			IdleConnTimeout:       90 * time.Second,
			MaxIdleConnsPerHost:   8,
			DisableCompression:    true, // limits count what comes
		},
	}, nil
}

// request is one call of the API.
type request struct {
	name   string // of the operation, for messages
	method string // GET if ""
	path   string // below the mailbox, escaped
	query  url.Values
	body   any      // JSON, nil without
	accept []int    // statuses beside 200
	types  []string // media types of a good answer; JSON if nil
}

// call sends a request with a token; a refused token is renewed once. The
// caller closes the answer, which has one of the wanted statuses.
func (c *Channel) call(ctx context.Context, r request) (*http.Response, error) {
	for again := false; ; again = true {
		token, err := c.tokens.get(ctx)
		if err != nil {
			return nil, err
		}
		resp, err := c.send(ctx, r, token)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode != http.StatusUnauthorized || again {
			return resp, c.judge(resp, r)
		}
		c.tokens.drop(token)
		discard(resp)
	}
}

// send makes one attempt. Reading the body ends with an error once the
// provider has been silent for too long.
func (c *Channel) send(ctx context.Context, r request, token string) (*http.Response, error) {
	method, body := r.method, io.Reader(nil)
	if method == "" {
		method = http.MethodGet
	}
	if r.body != nil {
		raw, err := json.Marshal(r.body)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.name, err)
		}
		body = bytes.NewReader(raw)
	}
	target := c.base + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	ctx, alive, stop := watch(ctx, c.o.Timeout)
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		stop()
		return nil, failed(codeConnect, fmt.Errorf("%s: %w", r.name, withoutURL(err)))
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("User-Agent", "sekretariat")
	req.Header.Set("Accept", strings.Join(append(r.types, "application/json"), ", "))
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		defer stop()
		return nil, failed(codeConnect, fmt.Errorf("%s: %w", r.name, cause(ctx, withoutURL(err))))
	}
	alive()
	c.clocks(resp)
	resp.Body = &living{ReadCloser: resp.Body, ctx: ctx, alive: alive, stop: stop}
	return resp, nil
}

// judge closes and refuses an answer that was not wanted.
func (c *Channel) judge(resp *http.Response, r request) error {
	s := resp.StatusCode
	if s == http.StatusOK {
		media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
		if media != "text/html" || contains(r.types, "text/html") {
			return nil
		}
		discard(resp)
		return failed(codePlatform, fmt.Errorf("%s: a web page instead of an answer", r.name))
	}
	for _, a := range r.accept {
		if s == a {
			return nil
		}
	}
	defer discard(resp)
	f := &fault{code: codePlatform, after: retryAfter(resp), err: &httpError{name: r.name, status: s, code: errorCode(resp)}}
	switch {
	case s == http.StatusUnauthorized:
		f.code = codeLogin
	case s == http.StatusForbidden:
		f.code = codeRefused
	case s == http.StatusTooManyRequests:
		f.code = codeLimit
	case s >= 300 && s < 400:
		f.code = codeMoved
	}
	return f
}

// errorCode reads the code of an error answer (schema ErrorInfo, in a list).
func errorCode(resp *http.Response) string {
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return ""
	}
	var list []struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(raw, &list) != nil || len(list) == 0 {
		return ""
	}
	return wordOnly(list[0].Error)
}

// json calls and decodes an answer of at most limit octets. It returns the
// status.
func (c *Channel) json(ctx context.Context, r request, limit int64, into any) (int, error) {
	resp, err := c.call(ctx, r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return 0, failed(codeConnect, fmt.Errorf("%s: the answer broke off: %w", r.name, err))
	}
	if int64(len(raw)) > limit {
		return 0, failed(codePlatform, fmt.Errorf("%s: the answer has more than %d octets", r.name, limit))
	}
	if into == nil {
		return resp.StatusCode, nil
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return 0, failed(codePlatform, fmt.Errorf("%s: the answer is not the JSON of the contract", r.name))
	}
	return resp.StatusCode, nil
}

// maxRetryAfter bounds what a provider may ask for: rule P10's pace.
const maxRetryAfter = 15 * time.Minute

// retryAfter reads how long the provider asks to wait (RFC 9110 §10.2.3).
func retryAfter(resp *http.Response) time.Duration {
	v := resp.Header.Get("Retry-After")
	d := time.Duration(0)
	if n, err := strconv.Atoi(v); err == nil && n > 0 && n < 1<<20 {
		d = time.Duration(n) * time.Second
	} else if t, err := http.ParseTime(v); err == nil {
		if from, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
			d = t.Sub(from)
		}
	}
	return min(max(d, 0), maxRetryAfter)
}

// discard reads what is left of a short answer, so that its connection can be
// used again.
func discard(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	resp.Body.Close()
}

// minSkew is the difference of clocks that is worth correcting.
const minSkew = 20 * time.Second

// clocks compares ours with the provider's, so that the next assertion is good
// there whatever our clock says.
func (c *Channel) clocks(resp *http.Response) {
	t, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return
	}
	skew := t.Sub(c.o.Clock())
	if skew.Abs() < minSkew {
		skew = 0
	}
	c.status.skew(skew)
}

func (c *Channel) skew() time.Duration { return c.status.offsetNow() }

// watch makes a context that ends when nothing happened for a while; alive says
// that something did.
func watch(ctx context.Context, silence time.Duration) (_ context.Context, alive func(), stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	t := time.AfterFunc(silence, func() { cancel(errSilence) })
	return ctx, func() { t.Reset(silence) }, func() { t.Stop(); cancel(nil) }
}

var errSilence = errors.New("the provider does not answer")

// cause names silence as the reason if it was, and says nothing but that when
// the work was called off: the HTTP client would give the reason for that as
// its error, which is another message's.
func cause(ctx context.Context, err error) error {
	switch {
	case errors.Is(context.Cause(ctx), errSilence):
		return errSilence
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return err
}

// withoutURL takes the address out of an error of the HTTP client: its path
// names messages, and its query would name what was searched for.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// living tells of every octet that comes, and ends the watch with the body.
type living struct {
	io.ReadCloser
	ctx   context.Context
	alive func()
	stop  func()
}

func (l *living) Read(p []byte) (int, error) {
	n, err := l.ReadCloser.Read(p)
	if n > 0 {
		l.alive()
	}
	if err != nil && err != io.EOF {
		err = failed(codeConnect, fmt.Errorf("the answer broke off: %w", cause(l.ctx, err)))
	}
	return n, err
}

func (l *living) Close() error {
	l.stop()
	return l.ReadCloser.Close()
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}
