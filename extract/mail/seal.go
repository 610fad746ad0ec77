package mail

import (
	"strings"

	"sekretariat/extract/cms"
)

// maxSeals bounds how many signed parts are digested at the same time: signed
// parts within signed parts cost their size again and again.
const maxSeals = 2

// keepSignature is how much of a detached signature is kept, decoded octets.
const keepSignature = 256 << 10

// seal digests the first part of a multipart/signed as it was signed: from its
// header on, all line ends as CRLF, without the line end that belongs to the
// delimiter (RFC 1847 §2.1, RFC 8551 §3.1.1).
type seal struct {
	digests cms.Digests
	start   int64
	cr      bool // the last octet was CR
	done    bool
}

// newSeal begins one at an offset; algorithms are those that the message
// names, or the usual ones.
func newSeal(micalg string, start int64) *seal {
	names := cms.ParseMicalg(micalg)
	if len(names) == 0 {
		names = []cms.Hash{cms.SHA256, cms.SHA1}
	}
	return &seal{digests: cms.NewDigests(names...), start: start}
}

// raw takes octets as they stand in the stream.
func (s *seal) raw(p []byte) {
	from := 0
	for i, c := range p {
		if c == '\n' && !(s.cr && i == 0) && (i == 0 || p[i-1] != '\r') {
			_, _ = s.digests.Write(p[from:i])
			_, _ = s.digests.Write(crlf)
			from = i + 1
		}
	}
	_, _ = s.digests.Write(p[from:])
	if len(p) > 0 {
		s.cr = p[len(p)-1] == '\r'
	}
}

// openSeal begins to digest the part that now comes if it is the first one of
// a signed multipart.
func (s *scanner) openSeal(f *frame) {
	if f.sub != "signed" || f.seal != nil || f.next > 0 || !strings.Contains(f.protocol, "pkcs7") || len(s.seals) >= maxSeals {
		return
	}
	f.seal = newSeal(f.micalg, s.here())
	s.seals = append(s.seals, f.seal)
}

// closeSeal ends it.
func (s *scanner) closeSeal(f *frame) {
	if f.seal == nil || f.seal.done {
		return
	}
	f.seal.done = true
	for i := len(s.seals) - 1; i >= 0; i-- {
		if s.seals[i] == f.seal {
			s.seals = append(s.seals[:i], s.seals[i+1:]...)
		}
	}
}

// detached tells whether the leaf is the signature of a signed multipart.
func (l *leaf) detached() bool {
	switch l.ent.ctype {
	case "application/pkcs7-signature", "application/x-pkcs7-signature":
		f := l.parent()
		return f != nil && f.sub == "signed"
	}
	return false
}

// readSignature says what a detached signature says, and whether it fits.
func (l *leaf) readSignature() {
	r, f := l.s.r, l.parent()
	d := cms.NewDecoder(func([]byte) {})
	_, _ = d.Write(l.keep)
	r.work += int64(len(l.keep))
	obj := d.Close()
	switch {
	case obj.Broken != "" && l.size <= keepSignature:
		r.find(FindingSignatureBroken, l.ent.path, obj.Broken)
	case len(obj.Signers) > 0:
		var digests cms.Digests
		if f.seal != nil {
			digests = f.seal.digests
		}
		r.signed(f.path, obj.Signatures("smime", f.path, digests))
	}
}
