package api_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/desk/api"
	"sekretariat/extract"
	"sekretariat/extract/archive/archivetest"
	"sekretariat/extract/virus"
	"sekretariat/extract/virus/virustest"
	"sekretariat/ingest"
	"sekretariat/ingest/ingesttest"
	"sekretariat/pipeline"
	"sekretariat/register"
	"sekretariat/router"
)

const childMode = "SEKRETARIAT_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childMode) != "" {
		if err := extract.Serve(os.Stdin, os.Stdout); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// desk is a whole centre behind its API.
type desk struct {
	t      *testing.T
	id     sekretariat.CentreID
	house  *ingesttest.House
	intake *ingest.Intake
	pipe   *pipeline.Pipeline
	cfg    *configs.Centre
	other  string // a second token of the sekretariat
	plain  string // one that may not call alarms false
	server *httptest.Server
	token  string
	n      int
}

// openDesk starts a centre; address is that of its virus scanner, "" for none.
func openDesk(t *testing.T, address string) *desk {
	t.Helper()
	t.Setenv(childMode, "serve")
	h := ingesttest.NewHouse(t)
	d := &desk{t: t, id: h.Centre(t), house: h, intake: h.Receiver(t, ingest.Limits{})}
	cfg := &configs.Centre{ID: d.id, Series: []configs.Series{{ID: "rpw", Format: "RPW/{n}/{year}"}}, Labels: map[string]configs.To{}, RuleSets: []string{},
		Departments: []configs.Department{{ID: sekretariat.Sekretariat, Name: "Sekretariat"}}}
	log, err := h.Log(d.id)
	if err != nil {
		t.Fatal(err)
	}
	r, err := router.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	pool := extract.NewPool(extract.PoolOptions{Command: []string{os.Args[0]}, Temp: t.TempDir(), Logger: zerolog.Nop(), Time: time.Minute})
	t.Cleanup(pool.Close)
	o := pipeline.Options{Centre: cfg, Log: log, Vault: h.Vault, Claims: h.Ledger, Reader: extract.Direct{Temp: t.TempDir()}, Router: r, Logger: zerolog.Nop(), Parts: pool}
	if address != "" {
		o.Scanner = virus.New(address)
	}
	d.pipe, d.cfg = pipeline.New(o), cfg
	d.run(register.NewRegistrar(register.Options{Centre: d.id, Series: "rpw", Log: log, Store: h.Store, Logger: zerolog.Nop()}))
	tokens := api.NewTokens(h.Store, sekretariat.SystemClock)
	d.token, _, err = tokens.Create(t.Context(), d.id, []string{api.ScopeRegister, api.ScopeQuarantine}, time.Hour, "")
	if err != nil {
		t.Fatal(err)
	}
	if d.other, _, err = tokens.Create(t.Context(), d.id, []string{api.ScopeRegister, api.ScopeQuarantine}, time.Hour, ""); err != nil {
		t.Fatal(err)
	}
	if d.plain, _, err = tokens.Create(t.Context(), d.id, []string{api.ScopeRegister}, time.Hour, ""); err != nil {
		t.Fatal(err)
	}
	d.server = httptest.NewServer(api.New(api.Options{
		Centres: map[sekretariat.CentreID]api.Centre{d.id: {Pipeline: d.pipe, Log: log, Vault: h.Vault, Explain: func(sekretariat.Decision) string { return "" }, Print: cfg.Print}},
		Tokens:  tokens, Parts: pool, Session: func(*http.Request) (sekretariat.CentreID, sekretariat.Principal, bool) {
			return d.id, sekretariat.Principal{ID: "p", Centre: d.id, Register: true, Departments: []sekretariat.DepartmentID{sekretariat.Sekretariat}}, true
		},
		Clock: sekretariat.SystemClock, Logger: zerolog.Nop(),
	}))
	t.Cleanup(d.server.Close)
	return d
}

func (d *desk) run(reg *register.Registrar) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = reg.Run(ctx) })
	wg.Go(func() {
		if err := d.pipe.Run(ctx, pipeline.AllRoles); err != nil {
			d.t.Errorf("pipeline: %v", err)
		}
	})
	d.t.Cleanup(func() { cancel(); wg.Wait() })
}

// mail takes in a mail with attachments and waits until it is ready.
func (d *desk) mail(ready func(*sekretariat.Letter) bool, files ...archivetest.File) sekretariat.LetterID {
	d.t.Helper()
	d.n++
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: a@poczta.example\r\nSubject: Sprawa %d\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=g\r\n\r\n--g\r\n\r\nw zalaczeniu\r\n", d.n)
	for _, f := range files {
		fmt.Fprintf(&b, "--g\r\nContent-Disposition: attachment; filename=\"%s\"\r\nContent-Transfer-Encoding: base64\r\n\r\n%s\r\n", f.Name, base64.StdEncoding.EncodeToString(f.Content))
	}
	b.WriteString("--g--\r\n")
	ticket, err := d.intake.Take(d.t.Context(), sekretariat.Delivery{
		Centre: d.id, Kind: sekretariat.KindMail, Door: sekretariat.DoorIMAP, Account: "a", Series: "rpw",
		Identity: func(f sekretariat.BodyFacts) []string { return []string{string(f.SHA256)} },
		Arrived:  sekretariat.Arrival{At: time.Now().UTC(), Basis: sekretariat.BasisServerArrival}, MediaType: "message/rfc822",
	}, &b)
	if err != nil {
		d.t.Fatal(err)
	}
	r, err := ticket.Wait(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	id := sekretariat.NewLetterID(r.Submission, 1)
	d.await(id, ready)
	return id
}

func (d *desk) await(id sekretariat.LetterID, ready func(*sekretariat.Letter) bool) {
	d.t.Helper()
	log, err := d.house.Log(d.id)
	if err != nil {
		d.t.Fatal(err)
	}
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if s, _, err := pipeline.State(d.t.Context(), log, id.Submission()); err == nil && s.Letters[1] != nil && ready(s.Letters[1]) {
			return
		}
		if time.Now().After(end) {
			d.t.Fatal("waited in vain for the letter")
		}
	}
}

func read(l *sekretariat.Letter) bool    { return l.Revision > 0 }
func scanned(l *sekretariat.Letter) bool { return l.Scan != nil && l.Revision > 0 }

// call asks the API and returns status, header and body.
func (d *desk) call(method string, id sekretariat.LetterID, path, body string) (int, http.Header, []byte) {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), method, d.server.URL+"/api/v1/letters/"+string(id)+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+d.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, raw
}

// want asks and compares; a body in want is to be equal, or contained when
// there is an error.
func (d *desk) want(method string, id sekretariat.LetterID, path, body string, status int, want string) {
	d.t.Helper()
	got, _, raw := d.call(method, id, path, body)
	if got != status || status == http.StatusOK && string(raw) != want || !bytes.Contains(raw, []byte(want)) {
		d.t.Errorf("%s %s: %d %.300q, want %d %.100q", method, path, got, raw, status, want)
	}
}

var note = archivetest.File{Name: "notatka.txt", Content: []byte("Notatka.")}

func TestInfectedAndUnscannedPartsAreLocked(t *testing.T) {
	clamd := virustest.Start(t)
	d := openDesk(t, clamd.Address)
	id := d.mail(scanned, note, archivetest.File{Name: "a.zip", Content: archivetest.ZIP(t, note, archivetest.File{Name: "e.com", Content: virustest.Eicar})})
	d.want("GET", id, "/parts/2", "", http.StatusOK, "Notatka.")
	d.want("GET", id, "/parts/3.1", "", http.StatusOK, "Notatka.")
	for _, path := range []string{"/original", "/parts/3", "/parts/3.2", "/parts/3/preview"} {
		d.want("GET", id, path, "", http.StatusForbidden, "Wykryto wirusa (Eicar-Test-Signature.UNOFFICIAL). Plik jest zablokowany")
	}
	var l api.Letter
	if status, _, raw := d.call("GET", id, "", ""); status != http.StatusOK || json.Unmarshal(raw, &l) != nil || l.Scan.State != sekretariat.ScanInfected || l.Parts[4].Scan != sekretariat.ScanInfected {
		t.Errorf("letter: %d %s", status, raw)
	}
	clamd.Stop()
	id = d.mail(read, note)
	for _, path := range []string{"/original", "/parts/1", "/parts/2", "/preview"} {
		d.want("GET", id, path, "", http.StatusTooEarly, `"code":"unscanned"`)
	}
	if status, _, raw := d.call("GET", id, "/reading", ""); status != http.StatusOK || !bytes.Contains(raw, []byte("w zalaczeniu")) {
		t.Errorf("the text of a letter that was not scanned: %d %s", status, raw)
	}
	clamd.Start()
	d.await(id, scanned)
	d.want("GET", id, "/parts/2", "", http.StatusOK, "Notatka.")
}

func TestPasswordsAreAskedForAndForgotten(t *testing.T) {
	d := openDesk(t, virustest.Start(t).Address)
	names := archivetest.SevenZip(t, []string{"-ptajne", "-mhe=on"}, note)
	id := d.mail(scanned, archivetest.File{Name: "a.zip", Content: archivetest.SevenZip(t, []string{"-tzip", "-mem=AES256", "-ptajne"}, note)},
		archivetest.File{Name: "b.7z", Content: names}, archivetest.File{Name: "c.pdf", Content: sealedPDF(t, "tajne")},
		archivetest.File{Name: "d.zip", Content: archivetest.SevenZip(t, []string{"-tzip", "-ptajne"}, archivetest.File{Name: "e.com", Content: virustest.Eicar})})
	if _, _, raw := d.call("GET", id, "/reading", ""); !bytes.Contains(raw, []byte(`"code":"encrypted","part":"4"`)) {
		t.Errorf("a PDF under a password: %s", raw)
	}
	d.want("GET", id, "/parts/2.1", "", http.StatusUnprocessableEntity, "encrypted")
	for _, part := range []string{"2", "3", "4", "5"} {
		d.want("POST", id, "/parts/"+part+"/open", `{"password":"inne"}`, http.StatusUnprocessableEntity, "hasło nie pasuje")
	}
	d.want("POST", id, "/parts/2/open", `{"password":"`, http.StatusBadRequest, "password")
	for part, text := range map[string]string{"2": "Notatka.", "3": "Notatka.", "4": "Wniosek o pomoc"} {
		status, _, raw := d.call("POST", id, "/parts/"+part+"/open", `{"password":"tajne"}`)
		if status != http.StatusOK || !bytes.Contains(raw, []byte(text)) {
			t.Errorf("part %s with its password: %d %s", part, status, raw)
		}
	}
	d.want("POST", id, "/parts/2/open", `{"password":"tajne","part":"2.1"}`, http.StatusOK, "Notatka.")
	d.want("POST", id, "/parts/3/open", `{"password":"tajne","part":"3.1"}`, http.StatusOK, "Notatka.")
	d.want("POST", id, "/parts/3/open", `{"password":"tajne","part":"1"}`, http.StatusNotFound, "no such letter")
	d.want("POST", id, "/parts/5/open", `{"password":"tajne","part":"5.1"}`, http.StatusForbidden, "Wykryto wirusa")
	d.formPassword(id)
	status, _, raw := d.call("POST", id, "/parts/4/open", `{"password":"tajne","part":"4"}`)
	if status != http.StatusOK || !bytes.HasPrefix(raw, []byte("%PDF-")) || bytes.Contains(raw, []byte("/Encrypt")) {
		t.Errorf("a PDF without its password: %d %.20q", status, raw)
	}
	if _, _, raw := d.call("GET", id, "/reading", ""); bytes.Contains(raw, []byte("tajne")) || bytes.Contains(raw, []byte("Notatka.")) {
		t.Errorf("something of it was kept: %s", raw)
	}
}

// formPassword sends the form of the page, from the page itself and from
// elsewhere.
func (d *desk) formPassword(id sekretariat.LetterID) {
	d.t.Helper()
	for site, status := range map[string]int{"same-origin": http.StatusOK, "cross-site": http.StatusUnauthorized} {
		req, err := http.NewRequestWithContext(d.t.Context(), "POST", d.server.URL+"/api/v1/letters/"+string(id)+"/parts/3/open", strings.NewReader("password=tajne&part="))
		if err != nil {
			d.t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Sec-Fetch-Site", site)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			d.t.Fatal(err)
		}
		raw, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != status || status == http.StatusOK && !bytes.Contains(raw, []byte("3.1: notatka.txt, 8 B")) {
			d.t.Errorf("form from %s: %d %q %v", site, resp.StatusCode, raw, err)
		}
	}
}

// onePage is a PDF without a cross-reference table, which the tools mend.
const onePage = "%PDF-1.4\n1 0 obj << /Type /Catalog /Pages 2 0 R >> endobj\n2 0 obj << /Type /Pages /Kids [3 0 R] /Count 1 >> endobj\n" +
	"3 0 obj << /Type /Page /Parent 2 0 R /MediaBox [0 0 300 300] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >> endobj\n" +
	"4 0 obj << /Length 48 >>\nstream\nBT /F1 12 Tf 20 200 Td (Wniosek o pomoc) Tj ET  \nendstream\nendobj\n" +
	"5 0 obj << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> endobj\ntrailer << /Root 1 0 R >>\n%%EOF\n"

func sealedPDF(t *testing.T, password string) []byte {
	t.Helper()
	if _, err := exec.LookPath("qpdf"); err != nil {
		t.Skip("qpdf is not installed (Debian package qpdf)")
	}
	in, out := t.TempDir()+"/in.pdf", t.TempDir()+"/out.pdf"
	if err := os.WriteFile(in, []byte(onePage), 0o600); err != nil {
		t.Fatal(err)
	}
	// qpdf warns of the missing table with status 3.
	msg, err := exec.Command("qpdf", "--encrypt", password, "inne-wlasciciela", "256", "--", in, out).CombinedOutput()
	raw, rerr := os.ReadFile(out)
	if rerr != nil {
		t.Fatalf("qpdf: %v %s", err, msg)
	}
	return raw
}

func TestPreviewsAreMadeOnceAndSealed(t *testing.T) {
	d := openDesk(t, "")
	id := d.mail(read, archivetest.File{Name: "a.pdf", Content: []byte(onePage)}, note,
		archivetest.File{Name: "b.rtf", Content: []byte(`{\rtf1\ansi Wniosek}`)})
	for range 2 {
		status, h, raw := d.call("GET", id, "/parts/2/preview", "")
		if status != http.StatusOK || h.Get("Content-Type") != "application/pdf" || !bytes.HasPrefix(raw, []byte("%PDF-")) {
			t.Fatalf("preview: %d %v %.100q", status, h, raw)
		}
	}
	if status, _, raw := d.call("GET", id, "/parts/4/preview", ""); status != http.StatusOK || !bytes.HasPrefix(raw, []byte("%PDF-")) {
		t.Errorf("preview of an office document: %d %.200q", status, raw)
	}
	d.want("GET", id, "/parts/3/preview", "", http.StatusUnprocessableEntity, "no preview")
	d.want("GET", id, "/parts/2/preview?page=x", "", http.StatusBadRequest, "page")
	d.want("GET", id, "/parts/9/preview", "", http.StatusNotFound, "no such letter")
}
