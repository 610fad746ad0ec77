package main

import (
	"bytes"
	"io"
	netmail "net/mail"
	"strings"
	"time"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset" // go-message decodes others than UTF-8 only with it
	"github.com/emersion/go-message/mail"
	"github.com/jhillyerd/enmime/v2"
)

// unmbox drops the separator of an mbox file, which no server delivers.
func unmbox(raw []byte) []byte {
	if bytes.HasPrefix(raw, []byte("From ")) {
		if i := bytes.IndexByte(raw, '\n'); i >= 0 {
			return raw[i+1:]
		}
	}
	return raw
}

func withEnmime(raw []byte) Result {
	env, err := enmime.ReadEnvelope(bytes.NewReader(unmbox(raw)))
	if env == nil {
		return Result{}
	}
	out := Result{OK: err == nil, Subject: env.GetHeader("Subject"), Text: env.Text}
	if list, err := env.AddressList("From"); err == nil && len(list) > 0 {
		out.From = list[0].Address
	}
	if t, err := env.Date(); err == nil {
		out.Date = t.UTC().Format(time.RFC3339)
	}
	if env.Root != nil {
		for _, p := range env.Root.DepthMatchAll(func(*enmime.Part) bool { return true }) {
			out.Files = append(out.Files, file(p.FileName, p.Content))
		}
	}
	return out
}

// withMessage walks the entities of go-message: its mail.Reader gives up on
// whole mails for less.
func withMessage(raw []byte) Result {
	e, err := message.Read(bytes.NewReader(unmbox(raw)))
	if e == nil {
		return Result{}
	}
	h := mail.Header{Header: e.Header}
	out := Result{OK: err == nil || message.IsUnknownCharset(err) || message.IsUnknownEncoding(err)}
	out.Subject, _ = h.Subject()
	if list, err := h.AddressList("From"); err == nil && len(list) > 0 {
		out.From = list[0].Address
	} else if a, err := netmail.ParseAddress(h.Get("From")); err == nil {
		out.From = a.Address
	}
	if t, err := h.Date(); err == nil && !t.IsZero() {
		out.Date = t.UTC().Format(time.RFC3339)
	}
	var plain, html []string
	walk(e, 0, &out, &plain, &html)
	out.Text = strings.Join(append(plain, html...), "\n")
	return out
}

func walk(e *message.Entity, depth int, out *Result, plain, html *[]string) {
	if mr := e.MultipartReader(); mr != nil && depth < 100 {
		for {
			p, err := mr.NextPart()
			if p == nil {
				return
			}
			walk(p, depth+1, out, plain, html)
			if err != nil && !message.IsUnknownCharset(err) && !message.IsUnknownEncoding(err) {
				return
			}
		}
	}
	b, _ := io.ReadAll(e.Body)
	ctype, params, _ := e.Header.ContentType()
	disp, dparams, _ := e.Header.ContentDisposition()
	name := dparams["filename"]
	if name == "" {
		name = params["name"]
	}
	out.Files = append(out.Files, file(name, b))
	switch {
	case disp == "attachment":
	case ctype == "text/html":
		*html = append(*html, tags(string(b)))
	case ctype == "text/plain" || ctype == "":
		*plain = append(*plain, string(b))
	}
}

// tags takes the tags out of HTML in the simplest way: go-message leaves that
// to its users.
func tags(s string) string {
	var out strings.Builder
	for len(s) > 0 {
		i := strings.IndexByte(s, '<')
		if i < 0 {
			break
		}
		out.WriteString(s[:i])
		j := strings.IndexByte(s[i:], '>')
		if j < 0 {
			return out.String()
		}
		s = s[i+j+1:]
	}
	return out.String() + s
}
