package edeliverytest

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// Fault is one way to misbehave. The zero Fault is none.
type Fault struct {
	// Status answers with this status and no more: 202, 400, 401, 403, 429, 5xx,
	// a redirect.
	Status int
	// RetryAfter goes with a Status, in seconds.
	RetryAfter int
	// Page answers with a web page and status 200, as in a maintenance window.
	Page bool
	// Slow waits before answering.
	Slow time.Duration
	// Cut breaks the connection after so many octets of a file or of JSON; -1
	// before the first.
	Cut int
	// Double shows every message of a list twice.
	Double bool
	// Reorder shows the messages of a list in another order.
	Reorder bool
	// WrongOctets changes an octet of a file.
	WrongOctets bool
	// Changed changes the subject of the message that is asked for, for good.
	Changed bool
	// Expire makes all tokens worthless after this answer.
	Expire bool
}

// misbehave answers as the fault says and tells whether that was all.
func (p *Platform) misbehave(w http.ResponseWriter, r *http.Request, f Fault) bool {
	if f.Slow > 0 {
		select {
		case <-time.After(f.Slow):
		case <-r.Context().Done():
			return true
		}
	}
	switch {
	case f.Page:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, "<html><body>Przerwa techniczna</body></html>")
		return true
	case f.Cut < 0:
		panic(http.ErrAbortHandler)
	case f.Status == 0:
		return false
	}
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(f.RetryAfter))
	}
	if f.Status >= 300 && f.Status < 400 {
		w.Header().Set("Location", "https://informacja.example/")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(f.Status)
	switch {
	case f.Status == http.StatusAccepted:
		_, _ = io.WriteString(w, `{"status":"PENDING"}`)
	case f.Status >= 400:
		_, _ = fmt.Fprintf(w, `[{"error":"BLAD_%d","error_description":"opis"}]`, f.Status)
	}
	return true
}

// cutter breaks the connection after some octets.
type cutter struct {
	http.ResponseWriter
	left int
}

func (c *cutter) Write(p []byte) (int, error) {
	if len(p) < c.left {
		c.left -= len(p)
		return c.ResponseWriter.Write(p)
	}
	_, _ = c.ResponseWriter.Write(p[:c.left])
	if f, ok := c.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
	panic(http.ErrAbortHandler)
}
