package epuaptest_test

import (
	"bytes"
	"crypto/sha1"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sekretariat/extract/xmlsec"
	"sekretariat/ingest/epuap/epuaptest"
)

const address = "/mopsprzykladowo/SkrytkaESP"

// at is a minute after the sample requests were signed.
var at = time.Date(2026, 4, 14, 8, 31, 0, 0, time.UTC)

func samples(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("SEKRETARIAT_TESTDATA")
	if dir == "" {
		wd, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for wd != "/" {
			if _, err := os.Stat(filepath.Join(wd, "go.mod")); err == nil {
				break
			}
			wd = filepath.Dir(wd)
		}
		dir = filepath.Join(wd, "..", "shared", "testdata")
	}
	dir = filepath.Join(dir, "epuap")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("test data not found in %s: set SEKRETARIAT_TESTDATA", dir)
	}
	return dir
}

func sample(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(samples(t), name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func platform(t testing.TB, o epuaptest.Options) (*epuaptest.Platform, *epuaptest.Server) {
	t.Helper()
	o.Clock = func() time.Time { return at }
	p, err := epuaptest.New(o)
	if err != nil {
		t.Fatal(err)
	}
	p.AddBox(epuaptest.Box{Entity: "mopsprzykladowo", Name: "SkrytkaESP", Address: address})
	s, err := p.Start("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return p, s
}

// post sends a request and returns status and body.
func post(t testing.TB, url, action string, msg []byte) (int, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(msg))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "text/xml")
	if action != "" {
		req.Header.Set("SOAPAction", action)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// TestSampleRequests: requests that were made and signed by other programs.
func TestSampleRequests(t *testing.T) {
	p, s := platform(t, epuaptest.Options{})
	letter := sample(t, "doc-4566-podpis-pz.xml")
	if _, err := p.Enqueue(address, epuaptest.Document{Content: letter}); err != nil {
		t.Fatal(err)
	}
	ask := func(name string) (int, string) { return post(t, s.URL, "", sample(t, name)) }

	if code, body := ask("soap-oczekujace-zadanie.xml"); code != 500 || !strings.Contains(body, "wsse:FailedAuthentication") {
		t.Errorf("unknown certificate: %d %s", code, body)
	}
	block, _ := pem.Decode(sample(t, "certs/wsclient.pem"))
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	p.Register(cert)
	if code, body := ask("soap-oczekujace-zadanie.xml"); code != 500 || !strings.Contains(body, "Wyjatek") {
		t.Errorf("certificate without an entity: %d %s", code, body)
	}
	p.Register(cert, "mopsprzykladowo")
	if code, body := ask("soap-oczekujace-zadanie.xml"); code != 200 || !strings.Contains(body, "<oczekujace>1</oczekujace>") {
		t.Errorf("waiting: %d %s", code, body)
	}
	for range 2 { // fetching does not remove
		code, body := ask("soap-pobierz-zadanie.xml")
		if code != 200 || !strings.Contains(body, base64.StdEncoding.EncodeToString(letter)) {
			t.Errorf("next: %d", code)
		}
		if sec, err := xmlsec.ReadMessage(strings.NewReader(body), xmlsec.Limits{}, nil); err != nil || sec.Err != nil || !sec.Timestamp {
			t.Errorf("the answer is not signed: %v, %v", err, sec.Err)
		}
	}
	if code, body := ask("soap-pobierz-zadanie-zly-podpis.xml"); code != 500 || !strings.Contains(body, "wsse:FailedCheck") {
		t.Errorf("changed request: %d %s", code, body)
	}
	if code, body := ask("soap-potwierdz-zadanie.xml"); code != 200 || !strings.Contains(body, "<kod>1</kod>") || len(p.Held(address)) != 0 {
		t.Errorf("confirm: %d %s", code, body)
	}
	if code, body := ask("soap-potwierdz-zadanie.xml"); code != 200 || !strings.Contains(body, "<kod>0</kod>") {
		t.Errorf("confirm again: %d %s", code, body)
	}
	c := p.Counters()
	if c.Served != 2 || c.Confirmed != 1 || c.Refused != 1 || c.Faults != 3 || c.Requests[epuaptest.OpConfirm] != 2 {
		t.Errorf("counters %+v", c)
	}
	p.Skew(6 * time.Minute)
	if code, body := ask("soap-pobierz-zadanie.xml"); code != 500 || !strings.Contains(body, "MessageExpired") {
		t.Errorf("old request: %d %s", code, body)
	}
	if code, _ := ask("soap-oczekujace-zadanie.xml"); code != 200 {
		t.Errorf("a request without a Timestamp has no age: %d", code)
	}
}

// TestStrict: requests that are signed and not right all the same.
func TestStrict(t *testing.T) {
	p, s := platform(t, epuaptest.Options{})
	cert, key, err := p.NewSystem("mopsprzykladowo")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := xmlsec.NewSigner(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	body := func(name, inside string) string {
		return `<ob:` + name + ` xmlns:ob="http://wsdl.epuap.gov.pl/obiekty/">` + inside + `</ob:` + name + `>`
	}
	const good = `<podmiot>mopsprzykladowo</podmiot><nazwaSkrytki>SkrytkaESP</nazwaSkrytki><adresSkrytki>` + address + `</adresSkrytki>`
	action := `"http://ws.epuap.gov.pl/pull/pobierzNastepny"`
	for name, c := range map[string]struct{ content, action, want string }{
		"right":             {body("ZapytaniePullPobierz", good), action, "OdpowiedzPullPobierz"},
		"no action":         {body("ZapytaniePullPobierz", good), "", "OdpowiedzPullPobierz"},
		"other action":      {body("ZapytaniePullPobierz", good), `"http://ws.epuap.gov.pl/pull/potwierdzOdebranie"`, "soapenv:Client"},
		"other order":       {body("ZapytaniePullPobierz", `<nazwaSkrytki>SkrytkaESP</nazwaSkrytki><podmiot>mopsprzykladowo</podmiot><adresSkrytki>`+address+`</adresSkrytki>`), "", "soapenv:Client"},
		"missing child":     {body("ZapytaniePullPobierz", `<podmiot>mopsprzykladowo</podmiot>`), "", "soapenv:Client"},
		"skrot to much":     {body("ZapytaniePullPobierz", good+"<skrot>x</skrot>"), "", "soapenv:Client"},
		"skrot missing":     {body("ZapytaniePullPotwierdz", good), "", "soapenv:Client"},
		"qualified child":   {body("ZapytaniePullPobierz", strings.ReplaceAll(good, "podmiot>", "ob:podmiot>")), "", "soapenv:Client"},
		"no namespace":      {`<ZapytaniePullPobierz>` + good + `</ZapytaniePullPobierz>`, "", "soapenv:Client"},
		"unknown operation": {body("ZapytaniePullWszystko", good), "", "soapenv:Client"},
		"text":              {body("ZapytaniePullPobierz", "x"+good), "", "soapenv:Client"},
		"nothing":           {"", "", "soapenv:Client"},
		"foreign entity":    {body("ZapytaniePullPobierz", strings.Replace(good, "<podmiot>mopsprzykladowo", "<podmiot>inny", 1)), "", "Wyjatek"},
		"unknown box":       {body("ZapytaniePullPobierz", strings.Replace(good, "SkrytkaESP</adres", "inna</adres", 1)), "", "Wyjatek"},
		"wrong box name":    {body("ZapytaniePullPobierz", strings.Replace(good, "SkrytkaESP</nazwa", "inna</nazwa", 1)), "", "Wyjatek"},
	} {
		msg, err := signer.Message([]byte(c.content), at, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if _, got := post(t, s.URL, c.action, msg); !strings.Contains(got, c.want) {
			t.Errorf("%s: %s", name, got)
		}
	}
	if code, got := post(t, s.URL, "", []byte(`<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>`+body("ZapytaniePullPobierz", good)+`</e:Body></e:Envelope>`)); code != 500 || !strings.Contains(got, "wsse:InvalidSecurity") {
		t.Errorf("unsigned: %d %s", code, got)
	}
	if code, got := post(t, s.URL, "", []byte("<a")); code != 500 || !strings.Contains(got, "soapenv:Client") {
		t.Errorf("no XML: %d %s", code, got)
	}
	if resp, err := http.Get(s.URL); err != nil || resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: %v", err)
	}
	if resp, err := http.Post(s.URL, "application/json", strings.NewReader("{}")); err != nil || resp.StatusCode != http.StatusUnsupportedMediaType {
		t.Errorf("JSON: %v", err)
	}
}

// TestQueue: first in, first out; once is once; the last goes last.
func TestQueue(t *testing.T) {
	p, _ := platform(t, epuaptest.Options{})
	for _, id := range []string{"1", "2", "3"} {
		if _, err := p.EnqueueOnce(address, epuaptest.Document{ID: id}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.EnqueueOnce(address, epuaptest.Document{ID: "1"}); err != nil {
		t.Fatal(err)
	}
	p.Last(address, "2")
	if got := strings.Join(p.Held(address), " "); got != "1 3 2" {
		t.Errorf("held %s", got)
	}
	if _, err := p.Enqueue(address, epuaptest.Document{ID: "1"}); err != nil || len(p.Held(address)) != 4 {
		t.Errorf("the same letter once more: %v", err)
	}
	if _, err := p.Enqueue("/nie/ma", epuaptest.Document{}); err == nil {
		t.Error("a letter to a box that does not exist")
	}
	sum := sha1.Sum(nil)
	if !epuaptest.Both.Fits(nil, base64.StdEncoding.EncodeToString(sum[:])) || epuaptest.SHA256.Fits(nil, base64.StdEncoding.EncodeToString(sum[:])) {
		t.Error("digests")
	}
}
