package epuap

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/ingest/epuap/epuaptest"
)

// receiver is an office that the platform calls.
func receiver(t *testing.T, change func(*Options)) (*memory, *httptest.Server) {
	t.Helper()
	m := &memory{}
	o := Options{
		Centre: "przykladowo", Receiver: m, Logger: zerolog.Nop(), Temp: t.TempDir(),
		Account: configs.EPUAP{
			Account: configs.Account{ID: "esp", Unit: "mops"}, Address: address, Name: "SkrytkaESP", Entity: "mopsprzykladowo",
			Push: true, Pins: []string{pinOfSamples(t)},
		},
	}
	if change != nil {
		change(&o)
	}
	p, err := NewPush(o)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(p)
	t.Cleanup(func() { http.DefaultClient.CloseIdleConnections(); s.Close() })
	return m, s
}

// ask sends a request without a message and returns the status.
func ask(t *testing.T, method, url, media string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", media)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// pinOfSamples is the digest of the certificate that signed the sample call.
func pinOfSamples(t *testing.T) string {
	t.Helper()
	sec, err := readSecurity(sample(t, "push-odbiorca-zadanie.xml"))
	if err != nil {
		t.Fatal(err)
	}
	return signerDigest(sec)
}

func call(t *testing.T, url string, msg []byte) (int, string) {
	t.Helper()
	resp, err := http.Post(url, "text/xml; charset=utf-8", bytes.NewReader(msg))
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

// TestSampleCall: the same letter by push and by pull is one submission.
func TestSampleCall(t *testing.T) {
	m, s := receiver(t, nil)
	for range 2 {
		code, body := call(t, s.URL, sample(t, "push-odbiorca-zadanie.xml"))
		a, err := parse(strings.NewReader(body), DefaultMaxAnswer)
		if code != 200 || err != nil || a.element != "OdpowiedzOdbiorcy" || !a.code("1") {
			t.Fatalf("%d %s, %v", code, body, err)
		}
	}
	letters, _ := m.letters()
	if len(letters) != 1 || letters[0] != string(sample(t, "doc-4566-podpis-pz.xml")) {
		t.Fatalf("%d letters", len(letters))
	}
	d := m.kept[0]
	id := sekretariat.NewSubmissionID("przykladowo", "epuap", "esp", "", address, "53b40f14fdb7b5655851e3ada82c32550d49697b67a16b4bf1fca6efcc84b63c", "2026-04-14T08:22:30.871Z", "77000001")
	if d.id != id || d.Door != sekretariat.DoorEPUAPPush || d.Kind != sekretariat.KindEPUAP || d.Test {
		t.Errorf("delivery %+v", d.Delivery)
	}
	for k, want := range map[string]string{
		"danePodmiotu.pesel": "02041517880", "daneNadawcy.uzytkownik": "wkowalska", "adresOdpowiedzi": "/wkowalska/domyslna",
		"nazwaPliku": "Pismo ogolne.xml", "odpowiedz.podpis": "pinned", "identyfikatorDokumentu": "77000001",
	} {
		if d.Source[k] != want {
			t.Errorf("%s: %q, want %q", k, d.Source[k], want)
		}
	}
}

// TestCallsRefused: what is not the platform's, or not whole, is not kept.
func TestCallsRefused(t *testing.T) {
	good := string(sample(t, "push-odbiorca-zadanie.xml"))
	swap := func(from, to string) string {
		changed := strings.Replace(good, from, to, 1)
		if changed == good {
			t.Fatalf("%s is not in the sample", from)
		}
		return changed
	}
	for name, c := range map[string]struct {
		msg    string
		change func(*Options)
		want   string
	}{
		"not signed":      {string(sample(t, "soap-potwierdz-odpowiedz.xml")), nil, "wsse:InvalidSecurity"},
		"changed":         {swap("<nazwaPliku>Pismo", "<nazwaPliku>Inne"), nil, "wsse:FailedCheck"},
		"other signer":    {good, func(o *Options) { o.Account.Pins = []string{strings.Repeat("00", 32)} }, "wsse:FailedAuthentication"},
		"other box":       {good, func(o *Options) { o.Account.Address = "/mopsprzykladowo/inna" }, "another box"},
		"no XML":          {"nic", nil, "soapenv:Client"},
		"too large":       {good, func(o *Options) { o.MaxAnswer = 1000 }, "too large"},
		"a query instead": {string(sample(t, "soap-oczekujace-zadanie.xml")), func(o *Options) { o.Account.Pins = append(o.Account.Pins, clientPin(t)) }, "no document"},
		"store is away":   {good, func(o *Options) { o.Receiver.(*memory).beforeWait = func() error { return errStore } }, "proszę powtórzyć"},
		"store refuses":   {good, func(o *Options) { o.Receiver.(*memory).limit = 10 }, "too large"},
	} {
		m, s := receiver(t, c.change)
		code, body := call(t, s.URL, []byte(c.msg))
		if code != 500 || !strings.Contains(body, "<soapenv:Fault") || !strings.Contains(body, c.want) {
			t.Errorf("%s: %d %s", name, code, body)
		}
		if letters, _ := m.letters(); len(letters) != 0 {
			t.Errorf("%s: a letter was kept", name)
		}
	}
	_, s := receiver(t, nil)
	if code := ask(t, "POST", s.URL, "application/json"); code != 500 {
		t.Errorf("JSON: %d", code)
	}
	if code := ask(t, "PUT", s.URL, "text/xml"); code != 405 {
		t.Errorf("PUT: %d", code)
	}
	if code := ask(t, "GET", s.URL+"?wsdl", "text/xml"); code != 404 {
		t.Errorf("no WSDL: %d", code)
	}
	wsdl := filepath.Join(t.TempDir(), "o.wsdl")
	if err := os.WriteFile(wsdl, []byte("<definitions/>"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, s = receiver(t, func(o *Options) { o.Account.PushWSDL = wsdl })
	if code := ask(t, "GET", s.URL+"?wsdl", "text/xml"); code != 200 {
		t.Errorf("WSDL: %d", code)
	}
	if _, err := NewPush(Options{Centre: "x", Receiver: &memory{}, Account: configs.EPUAP{Account: configs.Account{ID: "a"}, Address: "/a/b", Entity: "a"}}); err == nil {
		t.Error("a receiver without pins")
	}
}

func clientPin(t *testing.T) string {
	t.Helper()
	sec, err := readSecurity(sample(t, "soap-oczekujace-zadanie.xml"))
	if err != nil {
		t.Fatal(err)
	}
	return signerDigest(sec)
}

// TestSimulatedCalls: the simulator calls until it is told "received"; faults
// on our side and lost answers change nothing.
func TestSimulatedCalls(t *testing.T) {
	keys, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	p, err := epuaptest.New(epuaptest.Options{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	p.AddBox(epuaptest.Box{Entity: "mopsprzykladowo", Name: "SkrytkaESP", Address: address})
	fail := 2
	m, s := receiver(t, func(o *Options) {
		o.Account.Pins = []string{p.Pin()}
		o.Receiver.(*memory).afterWait = func() error {
			if fail--; fail >= 0 {
				return errStore
			}
			return nil
		}
	})
	inline := `<w:Dokument xmlns:w="urn:w" a="1"><w:Tytul>Bez &amp; kopii</w:Tytul></w:Dokument>`
	for _, d := range []epuaptest.Document{
		{Content: []byte("<Dokument/>"), ID: "1", Sent: time.Unix(1, 0)}, {Content: []byte(inline), ID: "2", Inline: true, Sent: time.Unix(2, 0)}, {Content: []byte("x"), ID: "3", Test: true, Sent: time.Unix(3, 0)},
	} {
		if err := p.Push(t.Context(), s.URL, address, d, 5); err != nil {
			t.Errorf("%s: %v", d.ID, err)
		}
	}
	letters, _ := m.letters()
	if len(letters) != 3 || letters[0] != "<Dokument/>" || letters[1] != inline || !m.kept[2].Test {
		t.Errorf("letters %q", letters)
	}
	fail = 100
	if err := p.Push(t.Context(), s.URL, address, epuaptest.Document{Content: []byte("y"), ID: "4"}, 2); err == nil {
		t.Error("the platform believes that a letter was received that was not")
	}
	// Old calls, and calls of a clock that is far off.
	fail = 0
	p.Skew(time.Hour)
	if err := p.Push(t.Context(), s.URL, address, epuaptest.Document{Content: []byte("z"), ID: "5"}, 1); err == nil || !strings.Contains(err.Error(), "MessageExpired") {
		t.Errorf("an old call: %v", err)
	}
	if errors.Is(err, errStore) {
		t.Error(err)
	}
}

func FuzzCall(f *testing.F) {
	f.Add([]byte(`<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Header><o:DanePodmiotuAny xmlns:o="` + spaceObjects + `"><pesel>1</pesel></o:DanePodmiotuAny></e:Header><e:Body><o:DokumentAny xmlns:o="` + spaceObjects + `"><a/></o:DokumentAny></e:Body></e:Envelope>`))
	f.Fuzz(func(t *testing.T, msg []byte) {
		s := newSpool(t.TempDir(), 1<<20)
		defer s.close()
		if _, err := s.Write(msg); err != nil {
			return
		}
		p := &Push{link: link{o: Options{MaxAnswer: 1 << 20}}}
		if r, err := p.parse(s); err == nil || r != nil {
			t.Fatal("nobody signed it")
		}
	})
}
