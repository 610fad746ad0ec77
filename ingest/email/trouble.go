package email

import (
	"errors"
	"fmt"
)

// code says what kind of trouble stops a mailbox; for metrics and logs, and to
// choose the sentence that the clerk reads.
type code string

const (
	codeOK          code = "ok"
	codeStarting    code = "starting"
	codeConnect     code = "connect"
	codeCertificate code = "certificate"
	codePassword    code = "password" // cannot be read
	codeLogin       code = "login"    // refused
	codeToken       code = "token"    // OAuth2: the right to enter was taken back or has ended
	codeProvider    code = "provider" // OAuth2: who gives tokens cannot be asked
	codeLimit       code = "limit"    // too many connections
	codeFolder      code = "folder"
	codeProtocol    code = "protocol"
	codeStore       code = "store"       // our own receiver or cursors
	codeMove        code = "move"        // taken, but cannot be moved
	codeUIDValidity code = "uidvalidity" // the server renumbered the folder
	codeQuota       code = "quota"       // the mailbox is all but full
	codeParked      code = "parked"      // something waits in the mailbox for a person
)

var errTooManyConnections = errors.New("the server allows no further connection")

// fault is an error with its kind.
type fault struct {
	code code
	err  error
}

func (f *fault) Error() string { return f.err.Error() }
func (f *fault) Unwrap() error { return f.err }

func trouble(c code, err error) error { return &fault{c, err} }

// wrap says what was being done; an error that has a kind keeps it.
func wrap(c code, doing string, err error) error {
	if err == nil {
		return nil
	}
	return trouble(codeOf(err, c), fmt.Errorf("%s: %w", doing, err))
}

// codeOf is the kind of err, other if it has none.
func codeOf(err error, other code) code {
	var f *fault
	if errors.As(err, &f) {
		return f.code
	}
	return other
}
