package pipeline_test

import (
	"cmp"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"sekretariat"
	"sekretariat/pipeline"
	"sekretariat/storage"
)

// platform is a file repository that gives each file once.
type platform struct {
	mu    sync.Mutex
	files map[string]string
	asked map[string]int
	down  int // requests that fail for now

	account string        // "" = "esp"
	wait    chan struct{} // files come once it is closed; nil = at once
}

func (p *platform) Accounts() []string { return []string{cmp.Or(p.account, "esp")} }

func (p *platform) Limit(account string) int64 {
	if account != cmp.Or(p.account, "esp") {
		return 0
	}
	return 1 << 20
}

func (p *platform) Fetch(ctx context.Context, account, id string, w io.Writer) error {
	if p.wait != nil {
		select {
		case <-p.wait:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked[id]++
	if p.down > 0 {
		p.down--
		_, _ = io.WriteString(w, "half of")
		return errors.New("connection lost")
	}
	content, ok := p.files[id]
	if !ok {
		return pipeline.ErrRemoteGone
	}
	if len(content) > 1000 {
		return pipeline.ErrRemoteTooLarge
	}
	delete(p.files, id)
	_, err := io.WriteString(w, content)
	return err
}

// letterWith takes in an ePUAP letter with attachments by link.
func (o *office) letterWith(account, title string, files ...[2]string) sekretariat.LetterID {
	o.t.Helper()
	var b strings.Builder
	for _, f := range files {
		fmt.Fprintf(&b, `<Zalacznik nazwaPliku="%s.pdf" kodowanie="URI"><DaneZalacznika>https://epuap.gov.pl/file-download-servlet/DownloadServlet?fileId=%s</DaneZalacznika><OpisZalacznika>%s</OpisZalacznika></Zalacznik>`, f[0], f[0], f[1])
	}
	doc := `<Dokument xmlns="urn:f"><TrescDokumentu><Tytul>` + title + `</Tytul><Zalaczniki>` + b.String() + `</Zalaczniki></TrescDokumentu></Dokument>`
	d := sekretariat.Delivery{
		Centre: o.cfg.ID, Kind: sekretariat.KindEPUAP, Door: sekretariat.DoorEPUAPPull, Account: account,
		Identity: func(b sekretariat.BodyFacts) []string { return []string{string(b.SHA256)} },
		Arrived:  sekretariat.Arrival{At: time.Now().UTC(), Basis: sekretariat.BasisSent}, MediaType: "application/xml",
	}
	ticket, err := o.intake.Take(o.t.Context(), d, strings.NewReader(doc))
	if err != nil {
		o.t.Fatal(err)
	}
	r, err := ticket.Wait(o.t.Context())
	if err != nil {
		o.t.Fatal(err)
	}
	return sekretariat.NewLetterID(r.Submission, 1)
}

func (o *office) content(l *sekretariat.Letter, path string) string {
	o.t.Helper()
	ref := l.Fetched[path].Object
	if ref == nil {
		o.t.Fatalf("part %s was not fetched: %+v", path, l.Fetched)
	}
	raw, err := o.house.Vault.ReadAll(o.t.Context(), o.cfg.ID, l.ID.Submission(), ref.Key, 1<<20)
	if err != nil || sekretariat.DigestOf(raw) != ref.SHA256 || int64(len(raw)) != ref.Size {
		o.t.Fatalf("part %s: %d octets, %v", path, len(raw), err)
	}
	return string(raw)
}

// TestFetch: attachments at the platform come once, whoever refers to them, and
// hold up nothing.
func TestFetch(t *testing.T) {
	o := open(t, nil)
	sum := sha1.Sum([]byte("plik 1"))
	remote := &platform{files: map[string]string{"1": "plik 1", "2": "plik 2", "4": strings.Repeat("x", 2000)}, asked: map[string]int{}, down: 1}
	o.connect(remote)
	o.run()
	id := o.letterWith("esp", "pierwsze", [2]string{"1", base64.StdEncoding.EncodeToString(sum[:])}, [2]string{"2", "0123456789abcdef0123456789abcdef01234567"}, [2]string{"3", "opis"}, [2]string{"4", ""})
	o.await(id, "a decision", routed)
	l := o.await(id, "its attachments", func(l *sekretariat.Letter) bool { return len(l.Fetched) == 4 })
	if o.content(l, "1") != "plik 1" || l.Fetched["1"].Code != "" {
		t.Errorf("first: %+v", l.Fetched["1"])
	}
	if o.content(l, "2") != "plik 2" || l.Fetched["2"].Code != "digest-differs" {
		t.Errorf("second: %+v", l.Fetched["2"])
	}
	if l.Fetched["3"].Object != nil || l.Fetched["3"].Code != "gone" || l.Fetched["4"].Code != "too-large" {
		t.Errorf("third and fourth: %+v", l.Fetched)
	}
	again := o.letterWith("esp", "drugie", [2]string{"1", ""})
	l = o.await(again, "the same attachment", func(l *sekretariat.Letter) bool { return len(l.Fetched) == 1 })
	if o.content(l, "1") != "plik 1" {
		t.Error("the second letter has another file")
	}
	remote.mu.Lock()
	defer remote.mu.Unlock()
	if remote.asked["1"] != 2 { // once in vain, once with success
		t.Errorf("file 1 was asked for %d times", remote.asked["1"])
	}
}

// TestFetchAfterACrash: what was made durable before a crash is found again and
// not asked for: the platform would refuse.
func TestFetchAfterACrash(t *testing.T) {
	o := open(t, nil)
	remote := &platform{files: map[string]string{"1": "plik 1"}, asked: map[string]int{}}
	o.connect(remote)
	id := o.letterWith("esp", "pismo", [2]string{"1", ""})
	key := storage.DerivedKey(o.cfg.ID, id.Submission(), "fetch-1", pipeline.FetchName("esp", "1"))
	if err := o.house.Vault.Put(t.Context(), o.cfg.ID, id.Submission(), key, storage.Bytes([]byte("plik 1"))); err != nil {
		t.Fatal(err)
	}
	o.run()
	l := o.await(id, "its attachment", func(l *sekretariat.Letter) bool { return len(l.Fetched) == 1 })
	if o.content(l, "1") != "plik 1" || remote.asked["1"] != 0 {
		t.Errorf("asked %d times", remote.asked["1"])
	}
	// Another letter finds it too.
	other := o.letterWith("esp", "inne", [2]string{"1", ""})
	l = o.await(other, "its attachment", func(l *sekretariat.Letter) bool { return len(l.Fetched) == 1 })
	if o.content(l, "1") != "plik 1" {
		t.Error("another file")
	}
}
