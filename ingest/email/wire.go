package email

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Slowest rate at which an answer may trickle in, measured over the time spent
// waiting for it beyond the first minutes.
const (
	trickleGrace = 10 * time.Minute
	trickleRate  = 1 << 10 // octets/s
)

// wire is the raw connection with a watchdog. go-imap knows no deadline while
// it waits for an answer and gives a literal five minutes whatever its size, so
// its deadlines are ignored and progress is watched instead: while an answer is
// due, silence ends the connection; while none is due, nothing does.
type wire struct {
	net.Conn
	silence time.Duration

	mu       sync.Mutex
	due      bool      // an answer is due
	from     time.Time // since when
	waited   time.Duration
	received int64
	failed   bool // the peer or the network ended it
}

// expect starts the watch: an answer is due.
func (w *wire) expect() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.due, w.from, w.waited, w.received = true, time.Now(), 0, 0
	_ = w.Conn.SetReadDeadline(w.from.Add(w.silence)) // fails on a closed connection only, as Read will
}

// rest ends the watch: the connection may be silent.
func (w *wire) rest() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.due = false
	_ = w.Conn.SetReadDeadline(time.Time{})
}

func (w *wire) Read(p []byte) (int, error) {
	w.mu.Lock()
	start := time.Now()
	if w.due {
		_ = w.Conn.SetReadDeadline(start.Add(w.silence))
	}
	w.mu.Unlock()
	n, err := w.Conn.Read(p)
	if err == nil {
		return n, w.pace(start, n)
	}
	if !errors.Is(err, net.ErrClosed) {
		w.mu.Lock()
		w.failed = true
		w.mu.Unlock()
	}
	return n, err
}

// broke tells whether the connection was ended by the peer or the network, and
// not by this side.
func (w *wire) broke() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failed
}

// pace refuses a peer that sends just enough to never be silent.
func (w *wire) pace(start time.Time, n int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.due {
		return nil
	}
	if start.Before(w.from) {
		start = w.from
	}
	w.waited += time.Since(start)
	w.received += int64(n)
	if w.waited > trickleGrace+time.Duration(w.received/trickleRate)*time.Second {
		return fmt.Errorf("answer trickles: %d octets in %s", w.received, w.waited)
	}
	return nil
}

func (w *wire) Write(p []byte) (int, error) {
	_ = w.Conn.SetWriteDeadline(time.Now().Add(w.silence))
	return w.Conn.Write(p)
}

// SetDeadline does nothing: the watchdog decides.
func (w *wire) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing: the watchdog decides.
func (w *wire) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing: the watchdog decides.
func (w *wire) SetWriteDeadline(time.Time) error { return nil }
