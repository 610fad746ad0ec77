package epuap

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"sekretariat"
	"sekretariat/ingest"
	"sekretariat/ingest/epuap/epuaptest"
)

// TestSampleAnswers reads the answers of the sample set.
func TestSampleAnswers(t *testing.T) {
	var expected map[string]struct {
		Operation string
		Kind      string
		Status    *int   `json:"status_code"`
		ID        string `json:"epuap_document_id"`
		Sent      string
		Sender    string `json:"sender_entity"`
		ReplyTo   string `json:"reply_to"`
		Waiting   *int
		Fault     *int `json:"fault_code"`
		Document  *struct {
			SHA1   string `json:"sha1_base64"`
			SHA256 string `json:"sha256_hex"`
			Size   int64
		}
		WSSec *struct{ Crypto string }
	}
	if err := json.Unmarshal(sample(t, "expected.json"), &expected); err != nil {
		t.Fatal(err)
	}
	n := 0
	for name, e := range expected {
		if !strings.HasPrefix(name, "soap-") || e.Kind == "soap-request" {
			continue
		}
		n++
		raw := sample(t, name)
		a, err := parse(bytes.NewReader(raw), DefaultMaxAnswer)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if e.Status != nil && !a.code(fmt.Sprint(*e.Status)) {
			t.Errorf("%s: kod %q", name, a.fields[pathCode])
		}
		if e.Waiting != nil && a.fields[pathWaiting] != fmt.Sprint(*e.Waiting) {
			t.Errorf("%s: waiting %q", name, a.fields[pathWaiting])
		}
		if e.Fault != nil && (a.fault == nil || a.fault.kod != fmt.Sprint(*e.Fault) || a.fault.security) {
			t.Errorf("%s: fault %+v", name, a.fault)
		}
		if id := documentID(a.fields[pathExtra]); id != e.ID {
			t.Errorf("%s: id %q, want %q", name, id, e.ID)
		}
		for path, want := range map[string]string{"dataNadania": e.Sent, "danePodmiotu.identyfikator": e.Sender, "adresOdpowiedzi": e.ReplyTo} {
			if want != "" && a.fields[path] != want {
				t.Errorf("%s: %s %q, want %q", name, path, a.fields[path], want)
			}
		}
		if signed := a.security.Err == nil; signed != (e.WSSec != nil && e.WSSec.Crypto == "valid") {
			t.Errorf("%s: signature %v", name, a.security.Err)
		}
		if e.Document == nil {
			if a.content.size != 0 {
				t.Errorf("%s: a document", name)
			}
			continue
		}
		if got := base64.StdEncoding.EncodeToString(a.content.sha1); got != e.Document.SHA1 || string(hexDigest(a.content.sha256)) != e.Document.SHA256 {
			t.Errorf("%s: digests %s, %s", name, got, hexDigest(a.content.sha256))
		}
		body, err := document(bytes.NewReader(raw), DefaultMaxAnswer)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(body); err != nil || string(sekretariat.DigestOf(b)) != e.Document.SHA256 {
			t.Errorf("%s: document %v", name, err)
		}
	}
	if n < 6 {
		t.Errorf("only %d answers", n)
	}
}

const soapHead = `<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>`
const soapTail = `</e:Body></e:Envelope>`

func answerOf(inside string) string {
	return soapHead + `<x:OdpowiedzPullPobierz xmlns:x="http://wsdl.epuap.gov.pl/obiekty/">` + inside + `</x:OdpowiedzPullPobierz>` + soapTail
}

func TestParseRefuses(t *testing.T) {
	for name, doc := range map[string]string{
		"foreign element":     soapHead + `<x xmlns="urn:x"/>` + soapTail,
		"two elements":        soapHead + `<x:A xmlns:x="http://wsdl.epuap.gov.pl/obiekty/"/><x:B xmlns:x="http://wsdl.epuap.gov.pl/obiekty/"/>` + soapTail,
		"two documents":       answerOf(`<dokument><zawartosc>eA==</zawartosc><zawartosc>eQ==</zawartosc></dokument>`),
		"two dates":           answerOf(`<dataNadania>2026-01-01T00:00:00Z</dataNadania><dataNadania>2026-01-02T00:00:00Z</dataNadania>`),
		"elements in a field": answerOf(`<dokument><zawartosc><Include/></zawartosc></dokument>`),
		"DTD":                 `<!DOCTYPE x [<!ENTITY a "b">]>` + answerOf(``),
		"too deep":            answerOf(strings.Repeat("<a>", 40) + strings.Repeat("</a>", 40)),
		"cut off":             answerOf(`x`)[:100],
		"no envelope":         `<a/>`,
	} {
		if _, err := parse(strings.NewReader(doc), DefaultMaxAnswer); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	a, err := parse(strings.NewReader(answerOf(`<nowe><coś/></nowe><dokument><zawartosc> eA
== </zawartosc></dokument><status><kod> 1 </kod></status>`)), DefaultMaxAnswer)
	if err != nil || a.content.size != 1 || !a.code("1") {
		t.Errorf("unknown elements, another order, white space: %+v, %v", a, err)
	}
}

func TestIdentityOfTime(t *testing.T) {
	for in, want := range map[string]string{
		"2026-04-14T10:22:30.871+02:00":    "2026-04-14T08:22:30.871Z",
		"2026-04-14T08:22:30.871Z":         "2026-04-14T08:22:30.871Z",
		"2026-04-14T10:22:30.871":          "2026-04-14T08:22:30.871Z", // Polish time
		"2026-01-14T10:22:30":              "2026-01-14T09:22:30.000Z",
		"2026-04-14T10:22:30.871456+02:00": "2026-04-14T08:22:30.871Z",
		"wczoraj":                          "wczoraj",
		"":                                 "",
	} {
		if got := instant(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func TestDocumentID(t *testing.T) {
	for doc, want := range map[string]string{
		`<a><IdentyfikatorDokumentu>1</IdentyfikatorDokumentu><b><IdentyfikatorDokumentu> 2 </IdentyfikatorDokumentu></b></a>`: "2",
		`<a/>`:                "",
		`<a`:                  "",
		`<!DOCTYPE a><a/>`:    "",
		"\xef\xbb\xbf<a></a>": "",
	} {
		if got := documentID(base64.StdEncoding.EncodeToString([]byte(doc))); got != want {
			t.Errorf("%s: %q, want %q", doc, got, want)
		}
	}
	if documentID("") != "" || documentID("!!") != "" {
		t.Error("not base64")
	}
}

// TestMissingFields: an answer with a document and little else is a letter.
func TestMissingFields(t *testing.T) {
	h := newHouse(t, epuaptest.Options{})
	confirmed := ""
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		switch {
		case bytes.Contains(b, []byte("ZapytaniePullPotwierdz")):
			_, confirmed, _ = strings.Cut(string(b), "<skrot>")
			confirmed, _, _ = strings.Cut(confirmed, "</skrot>")
			io.WriteString(w, soapHead+`<OdpowiedzPullPotwierdz xmlns="http://wsdl.epuap.gov.pl/obiekty/"><status><kod>1</kod></status></OdpowiedzPullPotwierdz>`+soapTail)
		case confirmed != "":
			io.WriteString(w, answerOf(`<status><kod>0</kod></status>`))
		default:
			io.WriteString(w, answerOf(`<dokument><zawartosc>eA==</zawartosc></dokument>`))
		}
	}))
	defer s.Close()
	h.options.Account.URL = s.URL
	h.run(t, h.channel(t), 1)
	h.complete(t, "x")
	sum := sha1.Sum([]byte("x"))
	if want := base64.StdEncoding.EncodeToString(sum[:]); confirmed != want {
		t.Errorf("confirmed %q, want %q", confirmed, want)
	}
	if d := h.memory.kept[0]; d.Arrived.Basis != sekretariat.BasisServerArrival || d.Arrived.At.IsZero() || !d.Sent.IsZero() {
		t.Errorf("arrived %+v", d.Arrived)
	}
}

// measure is a receiver that reads a letter and forgets it.
type measure struct {
	ingest.Receiver
	size int64
	peak uint64
}

type done struct{ r sekretariat.Receipt }

func (d done) Wait(context.Context) (sekretariat.Receipt, error) { return d.r, nil }

func (m *measure) Take(_ context.Context, d sekretariat.Delivery, body io.Reader) (ingest.Ticket, error) {
	n, err := io.Copy(io.Discard, body)
	m.size = n
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	m.peak = s.TotalAlloc
	return done{sekretariat.Receipt{Submission: "x", Original: sekretariat.Digest(d.Source["nazwaPliku"])}}, err
}

// TestMemory: a letter of 48 MiB passes in a few megabytes, signed or not. The
// test's platform makes the answer while it is sent.
func TestMemory(t *testing.T) {
	const size = 48 << 20
	h := newHouse(t, epuaptest.Options{})
	calls := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if calls++; calls != 1 {
			io.WriteString(w, answerOf(`<status><kod>0</kod></status>`))
			return
		}
		before, after, _ := strings.Cut(answerOf(`<status><kod>1</kod></status><dokument><nazwaPliku>x</nazwaPliku><zawartosc>@</zawartosc></dokument>`), "@")
		io.WriteString(w, before)
		line := []byte(strings.Repeat("A", 64<<10))
		for range size / 3 * 4 / len(line) {
			w.Write(line)
		}
		io.WriteString(w, after)
	}))
	defer s.Close()
	h.options.Account.URL = s.URL
	m := &measure{Receiver: h.memory}
	h.options.Receiver = m
	c := h.channel(t)
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	h.run(t, c, 1)
	if m.size != size {
		t.Fatalf("%d octets came", m.size)
	}
	// All memory ever allocated, the test's own server included.
	if used := m.peak - before.TotalAlloc; used > 24<<20 {
		t.Errorf("%d MiB were allocated", used>>20)
	}
	if files, _ := filepath.Glob(filepath.Join(h.options.Temp, "*")); len(files) != 0 {
		t.Errorf("left behind: %v", files)
	}
}

// TestSpool: what is written is read, from memory and from the file, more than
// once; the file holds nothing readable.
func TestSpool(t *testing.T) {
	for _, size := range []int{0, 1, spoolMemory, spoolMemory + 1, 3*spoolMemory + 17} {
		s := newSpool(t.TempDir(), int64(size))
		want := bytes.Repeat([]byte("Kowalska "), size/9+1)[:size]
		for rest := want; len(rest) > 0; {
			n := min(len(rest), 100_000)
			if _, err := s.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		for range 2 {
			if got, err := io.ReadAll(s.reader()); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d octets: %d came back, %v", size, len(got), err)
			}
		}
		if n, err := s.Write([]byte("x")); err != errTooLong || n != 0 {
			t.Errorf("over the limit: %d, %v", n, err)
		}
		if s.file != nil {
			raw := make([]byte, 100)
			if _, err := s.file.ReadAt(raw, 0); err != nil && err != io.EOF || bytes.Contains(raw, []byte("Kowal")) {
				t.Errorf("the file is readable: %v", err)
			}
		}
		s.close()
	}
}

// TestTLS: the platform's certificate must come from a known CA.
func TestTLS(t *testing.T) {
	h := newHouse(t, epuaptest.Options{})
	s, err := h.StartTLS("")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	h.options.Account.URL = s.URL
	h.put(t, epuaptest.Document{Content: []byte("x")})
	c := h.channel(t)
	h.run(t, c, 1)
	if got := c.Health(); got.OK || got.Code != "connect" {
		t.Errorf("unknown CA: %+v", got)
	}
	h.options.Account.CA = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(h.options.Account.CA, s.CA, 0o600); err != nil {
		t.Fatal(err)
	}
	h.run(t, h.channel(t), 1)
	h.complete(t, "x")
}

// TestPlatformAway: nobody answers for a while, then on the same port again.
func TestPlatformAway(t *testing.T) {
	h := newHouse(t, epuaptest.Options{})
	h.put(t, epuaptest.Document{Content: []byte("x")})
	h.server.Close()
	c := h.channel(t)
	h.run(t, c, 3)
	if got := c.Health(); got.Code != "connect" {
		t.Errorf("%+v", got)
	}
	s, err := h.Start(h.server.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	h.run(t, c, 1)
	h.complete(t, "x")
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(answerOf(`<status><kod>1</kod></status><daneDodatkowe>PGEvPg==</daneDodatkowe><dokument><zawartosc>eA==</zawartosc></dokument>`)))
	f.Add([]byte(soapHead + `<e:Fault><faultcode>e:Server</faultcode><detail><x:Wyjatek xmlns:x="http://wsdl.epuap.gov.pl/obiekty/"><kod>1</kod></x:Wyjatek></detail></e:Fault>` + soapTail))
	f.Fuzz(func(t *testing.T, doc []byte) {
		a, err := parse(bytes.NewReader(doc), 1<<20)
		if a == nil {
			t.Fatal("no answer at all")
		}
		_ = documentID(a.fields[pathExtra])
		if err != nil || !a.content.present || a.content.bad != nil {
			return
		}
		r, err := document(bytes.NewReader(doc), 1<<20)
		if err != nil {
			t.Fatalf("the document that was measured is not found: %v", err)
		}
		b, err := io.ReadAll(r)
		sum := sha1.Sum(b)
		if err != nil || !slices.Equal(sum[:], a.content.sha1) || int64(len(b)) != a.content.size {
			t.Fatalf("the document is read in two ways: %d and %d octets, %v", len(b), a.content.size, err)
		}
	})
}
