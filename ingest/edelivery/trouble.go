package edelivery

import (
	"errors"
	"fmt"
	"net"
	"time"
)

// code says what kind of trouble stops a mailbox; for metrics and logs, and to
// choose the sentence that the clerk reads.
type code string

const (
	codeOK          code = "ok"
	codeStarting    code = "starting"
	codeConnect     code = "connect"
	codeCertificate code = "certificate" // ours: missing, unusable, expired
	codeLogin       code = "login"       // the token service refuses us, or the API refuses its token
	codeRefused     code = "refused"     // no right to the mailbox or to an operation
	codeLimit       code = "limit"       // too many requests
	codeMoved       code = "moved"       // the service answers with a redirect: its address has changed
	codePlatform    code = "platform"    // 5xx, maintenance page, answers that make no sense
	codeStore       code = "store"       // our own receiver or ledger
	codeMessage     code = "message"     // one message only: others go on
	codePending     code = "pending"     // one message is still being moved by the provider
	codeConfirm     code = "confirm"     // taken, but it cannot be moved or deleted at its source
)

// fault is an error with its kind.
type fault struct {
	code  code
	after time.Duration // the provider asks to wait so long
	err   error
}

func (f *fault) Error() string { return f.err.Error() }
func (f *fault) Unwrap() error { return f.err }

func failed(c code, err error) error { return &fault{code: c, err: err} }

// codeOf is the kind of err; our own side, if nothing says otherwise.
func codeOf(err error) code {
	var f *fault
	if errors.As(err, &f) {
		return f.code
	}
	return codeStore
}

// afterOf is how long the provider asks to wait, 0 if it does not.
func afterOf(err error) time.Duration {
	var f *fault
	if errors.As(err, &f) {
		return f.after
	}
	return 0
}

// single tells whether an error concerns one message only.
func single(err error) bool {
	switch codeOf(err) {
	case codeMessage, codePending, codeConfirm:
		return true
	}
	return false
}

// httpError is an answer with another status than wanted. It names codes only:
// the texts of the provider may name people.
type httpError struct {
	name   string // of the operation
	status int
	code   string // of the answer, "" without one
}

func (e *httpError) Error() string {
	s := fmt.Sprintf("%s: HTTP %d", e.name, e.status)
	if e.code != "" {
		s += ", " + e.code
	}
	return s
}

// statusOf is the HTTP status that an error came from, 0 if none.
func statusOf(err error) int {
	var h *httpError
	if errors.As(err, &h) {
		return h.status
	}
	return 0
}

// about makes an error of one message out of one that came up while that
// message was asked for: one message that the provider stumbles over must not
// stop the others. When everything fails, the next list does too.
func about(err error) error {
	switch codeOf(err) {
	case codePlatform, codeConnect, codeRefused:
		return &fault{code: codeMessage, after: afterOf(err), err: err}
	}
	return err
}

// lasting tells whether an error of a message is the provider's refusal, which
// asking again soon does not change.
func lasting(err error) bool {
	s := statusOf(err)
	return codeOf(err) == codeMessage && s >= 400 && s < 500
}

// trouble is one message that could not be taken yet.
type trouble struct {
	tries   int
	next    time.Time // not before
	wrong   int       // times its octets were not what it declares
	told    bool      // a note about it lies before a clerk
	listed  time.Time // last seen in the mailbox
	confirm bool      // it is taken; only the source could not be told
	item    item
}

func isLocal(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
