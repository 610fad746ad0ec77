// Package virus asks ClamAV's daemon whether content is infected: over its
// socket, with the INSTREAM command of clamd(8), so that the daemon needs no
// access to our files. Content is streamed; nothing of it is kept here.
package virus

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// The errors of a scan.
var (
	// ErrDown: the daemon does not answer, or broke off. Try again.
	ErrDown = errors.New("virus scanner does not answer")
	// ErrTooLarge: more than the daemon takes (StreamMaxLength in clamd.conf).
	ErrTooLarge = errors.New("larger than the virus scanner takes")
)

// How long to wait for the daemon: it must take each piece and give its verdict
// in this time, not the whole content.
const (
	dialTime    = 10 * time.Second
	pieceTime   = time.Minute
	verdictTime = 5 * time.Minute // MaxScanTime of clamd is two minutes by default
	pieceSize   = 64 << 10
	maxAnswer   = 4 << 10
	maxVirus    = 100 // octets of the name of a find
)

// Scanner is one daemon.
type Scanner struct {
	network, address string
}

// New returns a scanner for "unix:/run/clamav/clamd.ctl", "/run/clamav/clamd.ctl"
// or "host:port". Nothing is connected yet.
func New(address string) *Scanner {
	if path, ok := strings.CutPrefix(address, "unix:"); ok || strings.HasPrefix(address, "/") {
		return &Scanner{"unix", path}
	}
	return &Scanner{"tcp", address}
}

// Version is what the daemon says of itself.
type Version struct {
	Program  string     // "ClamAV 1.4.6"
	Database int        // version of the daily signatures, 0 = it does not say
	Made     *time.Time // when they were made, nil = it does not say
}

// Scan streams content to the daemon and returns the name of what it found, ""
// for nothing. Errors of content come back as they are; see ErrDown and
// ErrTooLarge for those of the daemon.
func (s *Scanner) Scan(ctx context.Context, content io.Reader) (found string, err error) {
	c, err := s.command(ctx, "INSTREAM")
	if err != nil {
		return "", err
	}
	defer c.Close()
	buf := make([]byte, 4+pieceSize)
	for {
		n, rerr := io.ReadFull(content, buf[4:])
		if rerr != nil && rerr != io.EOF && rerr != io.ErrUnexpectedEOF {
			return "", rerr
		}
		binary.BigEndian.PutUint32(buf, uint32(n))
		if n > 0 {
			if err := c.send(buf[:4+n]); err != nil {
				// The daemon says why before it hangs up.
				return c.verdict()
			}
		}
		if rerr != nil {
			break
		}
	}
	if err := c.send([]byte{0, 0, 0, 0}); err != nil {
		return c.verdict()
	}
	return c.verdict()
}

// Ping asks whether the daemon is there and what it knows.
func (s *Scanner) Ping(ctx context.Context) (Version, error) {
	c, err := s.command(ctx, "VERSION")
	if err != nil {
		return Version{}, err
	}
	defer c.Close()
	text, err := c.answer(pieceTime)
	if err != nil {
		return Version{}, err
	}
	return parseVersion(text), nil
}

// parseVersion reads "ClamAV 1.4.6/27500/Mon Nov 30 08:00:00 2026"; without
// signatures of ClamAV's own there is only the first field. The time is local.
func parseVersion(text string) Version {
	fields := strings.SplitN(text, "/", 3)
	v := Version{Program: clean(fields[0])}
	if len(fields) == 3 {
		v.Database, _ = strconv.Atoi(fields[1])
		if at, err := time.ParseInLocation("Mon Jan _2 15:04:05 2006", strings.TrimSpace(fields[2]), time.Local); err == nil {
			at = at.UTC()
			v.Made = &at
		}
	}
	return v
}

// conn is one connection for one command.
type conn struct {
	net.Conn
	in   *bufio.Reader
	stop func() bool
}

func (s *Scanner) command(ctx context.Context, name string) (*conn, error) {
	d := net.Dialer{Timeout: dialTime}
	nc, err := d.DialContext(ctx, s.network, s.address)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("%w: %w", ErrDown, err)
	}
	c := &conn{Conn: nc, in: bufio.NewReaderSize(nc, 512)}
	c.stop = context.AfterFunc(ctx, func() { nc.Close() })
	if err := c.send([]byte("z" + name + "\x00")); err != nil {
		c.Close()
		return nil, fmt.Errorf("%w: %w", ErrDown, err)
	}
	return c, nil
}

// Close implements io.Closer.
func (c *conn) Close() error {
	c.stop()
	return c.Conn.Close()
}

func (c *conn) send(b []byte) error {
	if err := c.SetWriteDeadline(time.Now().Add(pieceTime)); err != nil {
		return err
	}
	_, err := c.Write(b)
	return err
}

func (c *conn) answer(limit time.Duration) (string, error) {
	if err := c.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return "", fmt.Errorf("%w: %w", ErrDown, err)
	}
	raw, err := bufio.NewReader(io.LimitReader(c.in, maxAnswer)).ReadString(0)
	if err != nil && (err != io.EOF || raw == "") {
		return "", fmt.Errorf("%w: %w", ErrDown, err)
	}
	return strings.TrimSpace(strings.TrimSuffix(raw, "\x00")), nil
}

// verdict reads "stream: OK", "stream: Eicar-Test-Signature FOUND" or a
// sentence that ends in ERROR.
func (c *conn) verdict() (string, error) {
	text, err := c.answer(verdictTime)
	if err != nil {
		return "", err
	}
	switch _, result, _ := strings.Cut(text, ": "); {
	case result == "OK":
		return "", nil
	case strings.HasSuffix(result, " FOUND"):
		return clean(strings.TrimSuffix(result, " FOUND")), nil
	case strings.Contains(text, "size limit exceeded"):
		return "", ErrTooLarge
	}
	return "", fmt.Errorf("%w: it says %q", ErrDown, clean(text))
}

// clean makes what the daemon says fit for events and logs.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, s)
	if s = strings.TrimSpace(s[:min(len(s), maxVirus)]); s == "" {
		return "unnamed"
	}
	return s
}
