package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"sekretariat"
	"sekretariat/extract"
	"sekretariat/extract/archive"
	"sekretariat/extract/virus"
	"sekretariat/pipeline"
)

// unlock is what a clerk sends who knows a password. Neither it nor what it
// opens is stored; every request brings it again.
type unlock struct {
	Password string `json:"password"`
	// Part, if not "", asks for the content of this part: the encrypted
	// document itself without its password, or a member of an archive.
	Part string `json:"part"`
}

// maxPassword bounds a password, octets.
const maxPassword = 1024

// Opened is what a password opens.
type Opened struct {
	Text     string                `json:"text,omitempty"`
	Parts    []sekretariat.Part    `json:"parts"` // the encrypted part, then what it holds
	Pages    []sekretariat.Page    `json:"pages,omitempty"`
	Findings []sekretariat.Finding `json:"findings,omitempty"`
}

// openPart reads an encrypted part with a password: POST {"password": …}.
func (a *api) openPart(ctx context.Context, c call) error {
	l, r, err := a.read(ctx, c)
	if err != nil {
		return err
	}
	ask, err := decodeUnlock(c)
	if err != nil {
		return err
	}
	path := c.r.PathValue("path")
	p, ok := find(r.Parts, path)
	if !ok {
		return pipeline.ErrNotFound
	}
	if err := locked(c.c.Pipeline, l, path); err != nil {
		return err
	}
	_, body, err := a.open(ctx, c)
	if err != nil {
		return err
	}
	defer body.Close()
	look, err := a.Parts.Look(ctx, body, extract.Parts{Reading: *r, Want: []string{path}, Password: ask.Password})
	if err != nil {
		return unlockError(err)
	}
	if ask.Part == "" {
		out := Opened{Parts: look.Parts, Pages: look.Pages, Findings: look.Findings}
		if len(look.Parts) > 0 {
			out.Text = look.Parts[0].Text
		}
		if formEncoded(c.r) {
			showOpened(c.w, out)
			return nil
		}
		answer(c.w, http.StatusOK, out)
		return nil
	}
	return a.sendOpened(ctx, c, body, opened(r, look, p), ask)
}

// decodeUnlock reads JSON, or the form of the page.
func decodeUnlock(c call) (unlock, error) {
	var ask unlock
	var err error
	body := http.MaxBytesReader(c.w, c.r.Body, 1<<14)
	if formEncoded(c.r) {
		c.r.Body = body
		err = c.r.ParseForm()
		ask = unlock{Password: c.r.PostForm.Get("password"), Part: c.r.PostForm.Get("part")}
	} else {
		d := json.NewDecoder(body)
		d.DisallowUnknownFields()
		err = d.Decode(&ask)
	}
	// What a decoder says may quote the password: it goes nowhere.
	if err != nil || ask.Password == "" || len(ask.Password) > maxPassword {
		return ask, fmt.Errorf("%w: the body must be JSON with password (and part)", pipeline.ErrInvalid)
	}
	return ask, nil
}

func formEncoded(r *http.Request) bool {
	typ, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return typ == "application/x-www-form-urlencoded"
}

// Unlock is where the password of an encrypted part is sent to: the part that
// it opens. UnlockPart is what to ask for there; "" shows what an archive holds
// whose names are encrypted too.
func (p Part) Unlock() string {
	if p.Member > 0 && p.In != "" {
		return p.In
	}
	return p.Path
}

// UnlockPart belongs to Unlock.
func (p Part) UnlockPart() string {
	if archive.Known(p.Type) {
		return ""
	}
	return p.Path
}

// showOpened answers the form of the page in plain words.
func showOpened(w http.ResponseWriter, o Opened) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	for _, p := range o.Parts {
		name := p.SafeName
		if name == "" {
			name = p.Path
		}
		fmt.Fprintf(w, "%s: %s, %d B\n", p.Path, name, p.Size)
		if p.Text != "" {
			fmt.Fprintf(w, "\n%s\n\n", p.Text)
		}
	}
}

// unlockError answers in Polish, for a clerk waits for it.
func unlockError(err error) error {
	switch {
	case errors.Is(err, archive.ErrPassword):
		return fmt.Errorf("%w: hasło nie pasuje, spróbuj jeszcze raz", errPart)
	case extract.IsChildFailure(err), errors.Is(err, archive.ErrLimit), errors.Is(err, archive.ErrMethod):
		return fmt.Errorf("%w: pliku nie da się tu otworzyć, użyj programu, w którym powstał", errPart)
	}
	return partError(err)
}

// opened is the reading with what a password opened in one part.
func opened(r *sekretariat.Reading, look sekretariat.Reading, p sekretariat.Part) sekretariat.Reading {
	out := *r
	out.Parts = nil
	for _, q := range r.Parts {
		if !holds(p.Path, q.Path) || q.Path == p.Path {
			out.Parts = append(out.Parts, q)
		}
	}
	for _, q := range look.Parts {
		if q.Path != p.Path {
			out.Parts = append(out.Parts, q)
		}
	}
	return out
}

// holds tells whether the part at outer holds the one at inner.
func holds(outer, inner string) bool {
	return len(inner) > len(outer) && inner[:len(outer)+1] == outer+"."
}

// sendOpened scans what the password opens and sends it. It is unpacked twice,
// for none of it may lie anywhere in between.
func (a *api) sendOpened(ctx context.Context, c call, body sekretariat.Body, r sekretariat.Reading, ask unlock) error {
	p, ok := find(r.Parts, ask.Part)
	if !ok || ask.Part != c.r.PathValue("path") && !holds(c.r.PathValue("path"), ask.Part) {
		return pipeline.ErrNotFound
	}
	want := extract.Parts{Reading: r, Want: []string{p.Path}, Password: ask.Password, As: extract.AsOpened}
	each := func(fn func(sekretariat.Part, io.Reader) error) error {
		found := false
		err := a.Parts.Parts(ctx, body, want, func(q sekretariat.Part, content io.Reader) error {
			found = true
			return fn(q, content)
		})
		if err == nil && !found {
			err = extract.ErrNoPart
		}
		return err
	}
	if s := c.c.Pipeline.Scanner(); s != nil {
		err := each(func(_ sekretariat.Part, content io.Reader) error { return scanNow(ctx, s, content) })
		if err != nil {
			return unlockError(err)
		}
	}
	return unlockError(each(func(q sekretariat.Part, content io.Reader) error { return sendPart(c.w, q, content) }))
}

// scanNow scans content that leaves at once.
func scanNow(ctx context.Context, s *virus.Scanner, content io.Reader) error {
	found, err := s.Scan(ctx, content)
	switch {
	case errors.Is(err, virus.ErrTooLarge):
		return &lockedError{State: sekretariat.ScanFailed}
	case errors.Is(err, virus.ErrDown):
		return &lockedError{State: sekretariat.ScanPending}
	case err != nil:
		return err
	case found != "":
		return &lockedError{State: sekretariat.ScanInfected, Virus: found}
	}
	return nil
}

// crossOrigin refuses forms that another site makes a browser send.
var crossOrigin = http.NewCrossOriginProtection()

// looking tells whether a POST only looks: the form of a password, sent by the
// page itself.
func looking(r *http.Request) bool {
	return strings.HasSuffix(r.URL.Path, "/open") && formEncoded(r) && crossOrigin.Check(r) == nil
}
