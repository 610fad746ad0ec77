package mail

import (
	"bytes"
	"crypto/sha256"
	"hash"
	"io"
	"strings"

	"sekretariat"
)

// IdentityHasher computes the identity of a mail while its octets stream
// through: the digest of the message from the first non-trace header field on.
// Submission ids are made of it, so that the same mail fetched again, from
// another folder, after another filter, through a server that changes line
// ends, is the same submission, while no other change goes unseen.
//
// The contract, fixed for ever (changing it makes every office's mail new):
//
//  1. Every CRLF, every CR not followed by LF and every LF not preceded by CR
//     is one line end. All line ends are hashed as CRLF. A last line without
//     an end is hashed without one.
//  2. If the first line begins with "From " and then an octet that is neither
//     blank, tab nor colon (the separator of an mbox file), it is left out.
//  3. As long as the next line is a trace field, it is left out together with
//     the lines right after it that begin with a blank or a tab (its folded
//     rest). A trace field is a line with a colon before which stand at most
//     64 octets, and these, without blanks and tabs at their end and with
//     ASCII letters in lower case, equal a name of traceNames or begin with a
//     prefix of tracePrefixes.
//  4. The identity is the SHA-256 of everything from the first other line on,
//     whatever that line is: a field, an empty line, text.
//  5. If there is no other line at all, nothing is left out: everything is
//     hashed (by rule 1), for otherwise all such messages would be one.
//
// The zero value is ready to use. Memory is constant. Write never fails; put
// it behind an io.MultiWriter or use Reader.
type IdentityHasher struct {
	all   lineHash // everything, until the body has begun (rule 5)
	body  lineHash // from the first line that counts
	state identityState
	later bool   // the first line is over
	folds bool   // the line before was a trace field or its folded rest
	cr    bool   // the last octet was CR: a LF would belong to it
	begin []byte // of the current line, while it is not known what it is
}

type identityState uint8

const (
	idStart identityState = iota // at the begin of a line that may be left out
	idName                       // collecting what may be the name of a field
	idSkip                       // inside a line that is left out
	idBody                       // everything counts
)

// maxTraceName is the most octets before a colon that are looked at (rule 3).
const maxTraceName = 64

// traceNames are the fields that servers and filters put on top of a mail when
// they deliver it. Never change this list; see IdentityHasher.
var traceNames = map[string]bool{
	// RFC 5321 §4.4, RFC 5322 §3.6.7, RFC 9228 and their relatives.
	"return-path": true, "received": true, "delivered-to": true, "x-original-to": true, "envelope-to": true, "delivery-date": true,
	"x-envelope-from": true, "x-envelope-to": true, "x-delivered-to": true, "old-return-path": true, "x-return-path": true,
	"x-received": true, "x-forwarded-to": true, "x-forwarded-for": true, "x-google-smtp-source": true,
	"x-sieve": true, "x-sieve-redirected-from": true, "x-resolved-to": true, "x-deliver-to": true, "x-recipient-id": true,
	// Results of checks: RFC 8601, RFC 7208, filters.
	"authentication-results": true, "received-spf": true, "dkim-filter": true, "dmarc-filter": true, "x-dkim": true, "x-dmarc": true,
	"x-greylist": true, "x-quarantine-id": true, "x-scanned-by": true, "x-av-checked": true, "x-bogosity": true, "x-spam": true,
	"x-rspamd": true, "x-spamd-result": true, "x-spamd-bar": true, "x-forefront-antispam-report": true,
	"x-microsoft-antispam": true, "x-microsoft-antispam-mailbox-delivery": true,
	// What mailbox files and mail programs write into them.
	"status": true, "x-status": true, "x-uid": true, "x-uidl": true, "x-keywords": true, "x-imap": true, "x-imapbase": true,
	"x-mozilla-status": true, "x-mozilla-status2": true, "x-mozilla-keys": true, "x-account-key": true,
	// Large Polish providers.
	"x-wp-mailid": true, "x-wp-av": true, "x-wp-spam": true, "x-ovh-tracer-id": true, "x-ovh-spamstate": true, "x-ovh-spamscore": true,
	"x-ovh-spamcause": true, "x-ovh-remote": true,
}

// tracePrefixes begin the names of more of them. Never change this list.
var tracePrefixes = []string{
	"arc-", "x-spam-", "x-rspamd-", "x-virus-", "x-amavis-", "x-dspam-", "x-crm114-", "x-mailscanner-", "x-clamav-", "x-vr-spam",
	"x-ms-exchange-organization-", "x-ms-exchange-transport-", "x-ms-exchange-crosstenant-", "x-eopattributedmessage", "x-barracuda-",
	"x-proofpoint-", "x-mimecast-", "x-cmae-", "x-spamexperts-",
}

// traceField tells whether the octets before a colon name a trace field.
func traceField(name []byte) bool {
	if len(name) > maxTraceName {
		return false
	}
	s := lowerASCII(bytes.TrimRight(name, " \t"))
	if traceNames[s] {
		return true
	}
	for _, p := range tracePrefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

func lowerASCII(b []byte) string {
	out := make([]byte, len(b))
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		out[i] = c
	}
	return string(out)
}

// Reader returns a reader that passes r on and hashes what is read.
func (h *IdentityHasher) Reader(r io.Reader) io.Reader { return io.TeeReader(r, h) }

// Digest returns the identity of what was written so far.
func (h *IdentityHasher) Digest() sekretariat.Digest {
	switch {
	case h.state == idBody:
		return h.body.digest()
	case h.state == idName: // a last line without an end and without a colon
		return sekretariat.DigestOf(h.begin)
	}
	return h.all.digest()
}

// Write takes the next octets of the message.
func (h *IdentityHasher) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		if h.cr && p[0] == '\n' {
			h.cr, p = false, p[1:]
			continue
		}
		h.cr = false
		window := p[:min(len(p), lineWindow)]
		end := lineLength(window)
		if end == len(window) {
			h.content(window)
			p = p[end:]
			continue
		}
		h.content(p[:end])
		h.lineEnd()
		h.cr = p[end] == '\r'
		p = p[end+1:]
	}
	return n, nil
}

// lineWindow is how far the next line end is looked for at once.
const lineWindow = 1024

// lineLength returns how many octets of p come before its first line end.
func lineLength(p []byte) int {
	if lf := bytes.IndexByte(p, '\n'); lf >= 0 {
		p = p[:lf]
	}
	if cr := bytes.IndexByte(p, '\r'); cr >= 0 {
		p = p[:cr]
	}
	return len(p)
}

// content takes octets of one line.
func (h *IdentityHasher) content(p []byte) {
	if h.state != idBody {
		h.all.write(p)
	}
	for len(p) > 0 && h.state != idBody && h.state != idSkip {
		h.octet(p[0])
		p = p[1:]
	}
	if h.state == idBody {
		h.body.write(p)
	}
}

// octet takes one octet of a line of which it is not known what it is.
func (h *IdentityHasher) octet(c byte) {
	if h.state == idStart {
		if h.folds && (c == ' ' || c == '\t') {
			h.state = idSkip
			return
		}
		h.folds, h.state = false, idName
	}
	h.begin = append(h.begin, c)
	switch {
	case !h.later && len(h.begin) == len("From x") && string(h.begin[:5]) == "From " && c != ' ' && c != '\t' && c != ':':
		h.state = idSkip
	case c == ':' && traceField(h.begin[:len(h.begin)-1]):
		h.state, h.folds = idSkip, true
	case c == ':' || len(h.begin) > maxTraceName:
		h.beginBody()
	}
}

func (h *IdentityHasher) lineEnd() {
	switch h.state {
	case idSkip:
		h.all.write(crlf)
		h.state, h.later, h.begin = idStart, true, h.begin[:0]
		return
	case idStart, idName:
		h.beginBody()
	}
	h.body.write(crlf)
}

// beginBody makes the current line the first one that counts.
func (h *IdentityHasher) beginBody() {
	h.state = idBody
	h.body.write(h.begin)
	h.begin, h.all = nil, lineHash{}
}

var crlf = []byte("\r\n")

// lineHash hashes many small pieces.
type lineHash struct {
	sum hash.Hash
	buf []byte
}

func (l *lineHash) write(p []byte) {
	const block = 8 << 10
	if len(l.buf)+len(p) > block {
		l.flush()
	}
	if len(p) > block {
		l.sum.Write(p)
		return
	}
	l.buf = append(l.buf, p...)
}

func (l *lineHash) flush() {
	if l.sum == nil {
		l.sum = sha256.New()
	}
	l.sum.Write(l.buf)
	l.buf = l.buf[:0]
}

func (l *lineHash) digest() sekretariat.Digest {
	l.flush()
	return digest(l.sum)
}
