package epuap

import (
	"errors"
	"fmt"
)

// code says what kind of trouble stops a box; for metrics and logs, and to
// choose the sentence that the clerk reads.
type code string

const (
	codeOK          code = "ok"
	codeStarting    code = "starting"
	codeConnect     code = "connect"
	codeCertificate code = "certificate" // ours: missing, unusable, expired
	codeLogin       code = "login"       // WS-Security refused: certificate unknown or clock wrong
	codeRefused     code = "refused"     // a fault of the service: no right to the box, no such box
	codePlatform    code = "platform"    // maintenance page, 5xx, answers that make no sense
	codeSignature   code = "signature"   // answers are not signed by a pinned certificate
	codeStore       code = "store"       // our own receiver
	codeConfirm     code = "confirm"     // taken, but the platform does not take the confirmation
	codeDocument    code = "document"    // the letter at the head of the queue cannot be taken
)

// fault is an error with its kind.
type fault struct {
	code code
	err  error
}

func (f *fault) Error() string { return f.err.Error() }
func (f *fault) Unwrap() error { return f.err }

func trouble(c code, err error) error { return &fault{c, err} }

// codeOf is the kind of err, codePlatform if it has none.
func codeOf(err error) code {
	var f *fault
	if errors.As(err, &f) {
		return f.code
	}
	return codePlatform
}

// soapFault is a fault that the service answered with.
type soapFault struct {
	faultcode string // local part: "Server", "FailedAuthentication"
	security  bool   // of WS-Security (OASIS WSS 1.0 §12)
	kod       string // of Wyjatek, "" without one
	skew      bool   // our clock differs from the platform's
}

// Error names codes only: the texts of the platform may name people.
func (f *soapFault) Error() string {
	s := fmt.Sprintf("the service answered with a fault: %s", f.faultcode)
	if f.kod != "" {
		s += ", kod " + f.kod
	}
	if f.security && f.skew {
		s += ": the clocks of this machine and of the platform differ, set ours"
	} else if f.security {
		s += ": check that the certificate of the system is registered on ePUAP for this entity"
	}
	return s
}
