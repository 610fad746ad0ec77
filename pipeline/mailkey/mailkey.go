// Package mailkey is what the office can tell of a mail with a secret of its
// own: keyed digests of addresses and message ids, which join letters and count
// contacts without personal data in events (invariant I5), and the signature by
// which our own notices are recognised when they come back, so that nobody can
// forge a letter into being taken for one.
package mailkey

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sekretariat"
)

// Key is the secret of one centre.
type Key struct{ secret []byte }

// New makes the key of a centre from the installation's secret.
func New(secret []byte, centre sekretariat.CentreID) *Key {
	k := &Key{secret: secret}
	return &Key{secret: k.mac("centre", string(centre))}
}

// mac is an HMAC-SHA256 over fields, each with its length, so that no two lists
// of fields are alike.
func (k *Key) mac(purpose string, fields ...string) []byte {
	h := hmac.New(sha256.New, k.secret)
	for _, f := range append([]string{purpose}, fields...) {
		fmt.Fprintf(h, "%d:%s,", len(f), f)
	}
	return h.Sum(nil)
}

// digestSize is how much of a keyed digest is kept, octets: enough that two
// contacts of an office are never one.
const digestSize = 16

func (k *Key) digest(purpose, value string) sekretariat.Digest {
	if value == "" {
		return ""
	}
	return sekretariat.Digest(hex.EncodeToString(k.mac(purpose, value)[:digestSize]))
}

// Contact is the digest of an e-mail address, "" for none. Case does not count.
func (k *Key) Contact(email string) sekretariat.Digest {
	return k.digest("contact", strings.ToLower(strings.TrimSpace(email)))
}

// Message is the digest of a Message-ID, with or without its brackets.
func (k *Key) Message(id string) sekretariat.Digest {
	return k.digest("message", bare(id))
}

// Words is the digest of a text whose spaces and line ends do not count.
func (k *Key) Words(text string) sekretariat.Digest {
	return k.digest("words", strings.Join(strings.Fields(text), " "))
}

func bare(id string) string { return strings.Trim(strings.TrimSpace(id), "<>") }

// Thread says how a mail hangs together with others. nil: by nothing.
func (k *Key) Thread(r *sekretariat.Reading) *sekretariat.Thread {
	t := sekretariat.Thread{Sender: k.Contact(r.Sender.Email), Message: k.Message(r.MessageID)}
	refs := r.References
	if len(refs) > sekretariat.MaxThreadReferences {
		refs = append(slices.Clone(refs[:1]), refs[len(refs)-sekretariat.MaxThreadReferences+1:]...)
	}
	for _, id := range refs {
		if l, ours := k.Notice(id); !ours {
			t.References = append(t.References, k.Message(id))
		} else if !slices.Contains(t.Own, l) {
			t.Own = append(t.Own, l)
		}
	}
	if t.IsZero() {
		return nil
	}
	return &t
}

// Platform says how a document of an official channel hangs together with
// others of the same account: a proof names the letter that it is about by the
// platform's id, and the platform vouches for ids. nil: by nothing.
func (k *Key) Platform(kind sekretariat.Kind, account string, r *sekretariat.Reading) *sekretariat.Thread {
	if r.MessageID == "" && len(r.References) == 0 {
		return nil
	}
	space := string(kind) + ":" + account
	t := &sekretariat.Thread{Sender: k.digest("platform", space)}
	if r.MessageID != "" {
		t.Message = k.Message(space + ":" + r.MessageID)
	}
	for _, id := range r.References[:min(len(r.References), sekretariat.MaxThreadReferences)] {
		t.References = append(t.References, k.Message(space+":"+id))
	}
	return t
}

// The Message-ID of an acknowledgement: version, letter, part, signature, as
// one dot-atom (RFC 5322 §3.2.3). It names its letter, so that an answer, a
// bounce or a second try need no table to find it again.
const noticePrefix = "sk1-"

var base32hex = base32.HexEncoding.WithPadding(base32.NoPadding)

// signSize is how much of a signature is kept, octets.
const signSize = 15

// NoticeID is the Message-ID, without brackets, of the acknowledgement of a
// letter: always the same for the same letter.
func (k *Key) NoticeID(l sekretariat.LetterID, domain string) string {
	raw, _ := hex.DecodeString(string(l.Submission())) // a LetterID is hex by construction
	return fmt.Sprintf("%s%s-%d-%s@%s", noticePrefix, low(raw), l.Part(), k.noticeSign(l), domain)
}

func low(raw []byte) string { return strings.ToLower(base32hex.EncodeToString(raw)) }

func (k *Key) noticeSign(l sekretariat.LetterID) string {
	return low(k.mac("notice", string(l))[:signSize])
}

// Notice tells whether a Message-ID is one that NoticeID made, and of which
// letter. Case may have been changed on the way.
func (k *Key) Notice(id string) (sekretariat.LetterID, bool) {
	local, _, _ := strings.Cut(strings.ToLower(bare(id)), "@")
	fields := strings.Split(strings.TrimPrefix(local, noticePrefix), "-")
	if !strings.HasPrefix(local, noticePrefix) || len(fields) != 3 {
		return "", false
	}
	raw, err := base32hex.DecodeString(strings.ToUpper(fields[0]))
	part, perr := strconv.Atoi(fields[1])
	if err != nil || perr != nil {
		return "", false
	}
	l, err := sekretariat.ParseLetterID(hex.EncodeToString(raw) + "." + strconv.Itoa(part))
	if err != nil || !hmac.Equal([]byte(k.noticeSign(l)), []byte(fields[2])) {
		return "", false
	}
	return l, true
}

// Header is the header field of our notices: a version and signatures.
const Header = "X-Sekretariat"

const headerVersion = "1"

// Sign returns the value of Header for a notice: it covers the Message-ID, the
// recipient, the subject and each text (plain and from HTML), so that neither
// a copied Message-ID nor a copied header makes another mail ours.
func (k *Key) Sign(id, to, subject string, texts ...string) string {
	out := headerVersion
	for _, t := range texts {
		out += " " + k.sign(id, to, subject, t)
	}
	return out
}

func (k *Key) sign(id, to, subject, text string) string {
	words := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	return low(k.mac("own", strings.ToLower(bare(id)), strings.ToLower(to), words(subject), words(text))[:signSize])
}

// Own tells whether a mail is a notice of ours, unchanged but for the way it
// went: signed by us, to the recipient it names, with nothing added.
func (k *Key) Own(r *sekretariat.Reading) bool {
	signs := strings.Fields(r.Headers[Header])
	if _, ours := k.Notice(r.MessageID); !ours || len(signs) < 2 || signs[0] != headerVersion || len(r.Recipients) != 1 {
		return false
	}
	if slices.ContainsFunc(r.Parts, func(p sekretariat.Part) bool { return p.Attachment }) {
		return false
	}
	want := k.sign(r.MessageID, r.Recipients[0].Email, r.Subject, r.Text)
	return slices.ContainsFunc(signs[1:], func(s string) bool { return hmac.Equal([]byte(strings.ToLower(s)), []byte(want)) })
}
