package epuaptest

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"sekretariat"
)

// Push calls an office's receiver with a letter until it says "received", at
// most tries times. The operation's name is not known, so none is sent.
func (p *Platform) Push(ctx context.Context, url, address string, d Document, tries int) error {
	p.mu.Lock()
	b, now := p.boxes[address], p.now()
	p.mu.Unlock()
	if b == nil {
		return fmt.Errorf("push to %s: %w", address, errNoBox)
	}
	var err error
	for i := range tries {
		if err = p.push(ctx, url, b, d, now.Add(time.Duration(i)*time.Millisecond)); err == nil {
			return nil
		}
	}
	return fmt.Errorf("after %d calls: %w", tries, err)
}

func (p *Platform) push(ctx context.Context, url string, b *box, d Document, now time.Time) error {
	suffix, body := "", ""
	if d.Inline {
		suffix, body = "Any", string(d.Content)
	} else {
		var s strings.Builder
		leaf(&s, "nazwaPliku", or(d.FileName, "pismo.xml"))
		leaf(&s, "typPliku", or(d.FileType, "application/xml"))
		leaf(&s, "zawartosc", base64.StdEncoding.EncodeToString(d.Content))
		body = s.String()
	}
	msg, err := p.envelope(element("Dokument"+suffix, body), now)
	if err != nil {
		return err
	}
	msg = bytes.Replace(msg, []byte("</soapenv:Header>"), []byte(pushHeaders(b, d, suffix)+"</soapenv:Header>"), 1)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(msg))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "text/xml; charset=UTF-8")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || !bytes.Contains(answer, []byte("<kod>1</kod>")) {
		return fmt.Errorf("HTTP %d: %.900s", resp.StatusCode, answer)
	}
	return nil
}

// pushHeaders are the header elements of a call; they are not signed.
func pushHeaders(b *box, d Document, suffix string) string {
	var s strings.Builder
	header := func(name, content string) { s.WriteString(element(name+suffix, content)) }
	header("DanePodmiotu", "<identyfikator>"+escape(d.Sender.ID)+"</identyfikator><typOsoby>"+or(d.Sender.Kind, "F")+"</typOsoby><nazwiskoNazwa>"+escape(d.Sender.Name)+"</nazwiskoNazwa>")
	header("DaneNadawcy", "<uzytkownik>"+escape(d.User)+"</uzytkownik>")
	header("DataNadania", d.Sent.In(sekretariat.Warsaw()).Format("2006-01-02T15:04:05.000-07:00"))
	header("NazwaSkrytki", escape(b.Name))
	header("AdresSkrytki", escape(b.Address))
	header("AdresOdpowiedzi", escape(d.ReplyTo))
	header("CzyTestowe", fmt.Sprint(d.Test))
	extra := `<DaneDodatkowe><IdentyfikatorDokumentu>` + escape(d.ID) + `</IdentyfikatorDokumentu></DaneDodatkowe>`
	header("DaneDodatkowe", base64.StdEncoding.EncodeToString([]byte(extra)))
	if d.Inline {
		s.WriteString(element("NazwaPlikuAny", escape(or(d.FileName, "pismo.xml"))))
	}
	return s.String()
}
