// Package epuap proves, from outside, what the ePUAP channel promises: one
// letter by three ways is one registered letter, its attachments come from the
// file repository once, and what its signature is worth stands beside it.
package epuap

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/desk/api"
	"sekretariat/ingest/epuap/epuaptest"
	"sekretariat/test/world"
)

// samples returns the folder of the ePUAP samples, or skips.
func samples(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("SEKRETARIAT_TESTDATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "testdata")
	}
	dir, err := filepath.Abs(filepath.Join(dir, "epuap"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("test data not found in %s: set SEKRETARIAT_TESTDATA", dir)
	}
	return dir
}

type office struct {
	*world.World
	t     *testing.T
	dir   string // of the samples
	token string
}

func open(t *testing.T) *office {
	o := &office{t: t, dir: samples(t)}
	o.World = world.New(t, func(c *configs.Centre) { c.VirusScan = configs.Off })
	trust := fmt.Sprintf("trust: { signers: [{ file: %s/certs/pz.pem, as: profil-zaufany }, { file: %s/certs/upp.pem, as: platform }] }\n", o.dir, o.dir)
	f, err := os.OpenFile(o.Config, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(trust); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	s := o.Start(t)
	o.WaitReady(t, s)
	out, errs, code := o.Run("token", "create", "--config", o.Config, "--register")
	if code != 0 {
		t.Fatalf("token: %s", errs)
	}
	o.token = strings.TrimSpace(out)
	return o
}

func (o *office) sample(name string) []byte {
	o.t.Helper()
	b, err := os.ReadFile(filepath.Join(o.dir, name))
	if err != nil {
		o.t.Fatal(err)
	}
	return b
}

func (o *office) get(path string) (int, string) {
	o.t.Helper()
	req, err := http.NewRequestWithContext(o.t.Context(), http.MethodGet, "http://"+o.Desk+path, nil)
	if err != nil {
		o.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+o.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		o.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		o.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// letter waits until a letter is as it should be.
func (o *office) letter(id sekretariat.LetterID, what string, ok func(api.Letter) bool) api.Letter {
	o.t.Helper()
	var l api.Letter
	world.WaitUntil(o.t, time.Minute, what, func() bool {
		code, body := o.get("/api/v1/letters/" + string(id))
		l = api.Letter{}
		return code == http.StatusOK && json.Unmarshal([]byte(body), &l) == nil && ok(l)
	})
	return l
}

// identity is the letter id that a document must get (contract of ids).
func identity(doc []byte, sent, id string) sekretariat.LetterID {
	s := sekretariat.NewSubmissionID(world.Centre, sekretariat.KindEPUAP, "epuap", world.Skrytka, string(sekretariat.DigestOf(doc)), sent, id)
	return sekretariat.NewLetterID(s, 1)
}

// TestOneLetterThreeWays: by push, by pull and by emergency download through a
// box, the same letter is registered once.
func TestOneLetterThreeWays(t *testing.T) {
	o := open(t)
	doc := o.sample("doc-4566-podpis-pz.xml")
	sent := time.Date(2026, 4, 14, 8, 22, 30, 871_000_000, time.UTC)
	d := epuaptest.Document{ID: "77000001", Content: doc, Sent: sent, Sender: epuaptest.Sender{ID: "wkowalska", FirstName: "Wanda", Name: "Kowalska", PESEL: "02041517880"}}
	if err := o.Platform.Push(t.Context(), "http://"+o.Calls+"/epuap/"+string(world.Centre)+"/epuap", world.Skrytka, d, 3); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Platform.Enqueue(world.Skrytka, d); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(o.Box, "awaryjne.zip"), emergency(t, doc), 0o600); err != nil {
		t.Fatal(err)
	}
	id := identity(doc, "2026-04-14T08:22:30.871Z", "77000001")
	l := o.letter(id, "the letter", func(l api.Letter) bool { return len(l.Signatures) == 1 })
	if s := l.Signatures[0]; s.Verdict != sekretariat.VerdictValid || !strings.Contains(s.Text, "podpis zaufany: WANDA KOWALSKA, ważny") {
		t.Errorf("signature %+v", s)
	}
	if l.Door != sekretariat.DoorEPUAPPush || l.Sender.Name != "Wanda Kowalska" || l.Sender.Basis != "signature" || len(l.Senders) < 2 {
		t.Errorf("letter %+v", l)
	}
	if len(l.Effects) == 0 || l.Effects[0].Rule != "epuap-podanie-od-2026" || l.Effects[0].Effect != "ineffective" {
		t.Errorf("effects %+v", l.Effects)
	}
	if code, page := o.get("/api/v1/letters/" + string(id) + "/view"); code != http.StatusOK || !strings.Contains(page, "podpis zaufany: WANDA KOWALSKA, ważny") {
		t.Errorf("view: HTTP %d", code)
	}
	world.WaitUntil(t, time.Minute, "all three ways to end", func() bool {
		left, _ := filepath.Glob(filepath.Join(o.Box, "*.zip"))
		return len(o.Platform.Held(world.Skrytka)) == 0 && len(left) == 0 && strings.Contains(o.Verify(t), "parked 1")
	})
	var numbered int
	for _, line := range o.Export(t) {
		if line.Number != "" {
			numbered++
		}
	}
	if numbered != 1 {
		t.Errorf("%d numbers were given", numbered)
	}
}

// emergency is the ZIP file that the portal gives out.
func emergency(t *testing.T, doc []byte) []byte {
	t.Helper()
	extra := base64.StdEncoding.EncodeToString([]byte(`<d><IdentyfikatorDokumentu>77000001</IdentyfikatorDokumentu></d>`))
	list := `<?xml version="1.0" encoding="UTF-8"?><Dokumenty><Dokument><DanePodmiotu><Identyfikator>wkowalska</Identyfikator><TypOsoby>F</TypOsoby></DanePodmiotu><DaneNadawcy/>` +
		`<DataNadania>14.04.2026T10:22:30.871</DataNadania><NazwaSkrytki>SkrytkaESP</NazwaSkrytki><AdresSkrytki>` + world.Skrytka + `</AdresSkrytki><AdresOdpowiedzi/>` +
		`<DaneDodatkowe>` + extra + `</DaneDodatkowe><NazwaPliku>pismo.xml</NazwaPliku><SciezkaWArchiwum>Pismo ogólne.xml</SciezkaWArchiwum></Dokument></Dokumenty>`
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, content := range map[string]string{"Deskryptor.xml": list, "Pismo og\xa2lne.xml": string(doc)} { // ó in CP852
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, NonUTF8: true})
		if err == nil {
			_, err = io.WriteString(w, content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestAttachmentFromTheRepository: what a letter refers to is fetched once and
// given out like any other part; an UPP finds its letter.
func TestAttachmentFromTheRepository(t *testing.T) {
	o := open(t)
	const file = "To jest duży załącznik.\n"
	doc := bytes.Replace(o.sample("doc-4566-zalacznik-uri.xml"), []byte("t/OHq73tZZcMWth+xKXlqQCaB40="), []byte("opis"), 1)
	entity, _, _ := strings.Cut(strings.Trim(world.Skrytka, "/"), "/")
	o.Platform.AddFile("77000101", epuaptest.StoredFile{Entity: entity, Name: "dokumentacja.pdf", Content: []byte(file)})
	o.Platform.Inject(epuaptest.Fault{Operation: epuaptest.OpDownload, Status: 503})
	sent := time.Date(2026, 4, 14, 8, 0, 0, 0, time.UTC)
	if _, err := o.Platform.Enqueue(world.Skrytka, epuaptest.Document{ID: "77000001", Content: doc, Sent: sent}); err != nil {
		t.Fatal(err)
	}
	upp := o.sample("upp-podpisane.xml")
	if _, err := o.Platform.Enqueue(world.Skrytka, epuaptest.Document{ID: "77000002", Content: upp, Sent: sent}); err != nil {
		t.Fatal(err)
	}
	id := identity(doc, "2026-04-14T08:00:00.000Z", "77000001")
	l := o.letter(id, "its attachment", func(l api.Letter) bool { return len(l.Parts) > 0 && l.Parts[0].Fate == "fetched" })
	code, body := o.get("/api/v1/letters/" + string(id) + "/parts/" + l.Parts[0].Path)
	if code != http.StatusOK || body != file || l.Parts[0].SHA256 != sekretariat.DigestOf([]byte(file)) {
		t.Errorf("HTTP %d %q, %+v", code, body, l.Parts[0])
	}
	if n := o.Platform.Given("77000101"); n != 1 {
		t.Errorf("the file was given out %d times", n)
	}
	proof := identity(upp, "2026-04-14T08:00:00.000Z", "77000002")
	p := o.letter(proof, "the proof and its letter", func(l api.Letter) bool { return len(l.Matter) == 1 })
	if p.Matter[0].Letter != id || len(p.Signatures) != 1 || p.Signatures[0].Kind != "platform-seal" || p.Signatures[0].Verdict != sekretariat.VerdictValid {
		t.Errorf("proof %+v", p)
	}
	o.Verify(t)
}
