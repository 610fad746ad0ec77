package edoreczenia

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"sekretariat"
	"sekretariat/extract/sniff"
)

// message is the JSON of a message as the API gives it, with blanks and order
// of its own, which must survive.
const message = `{ "messageControlData": {"opened": true, "status": "Doręczona", "messageType": "Message"},
 "textBody" : "Dzień dobry,\r\nw załączeniu wniosek.",
 "messageMetadata": {"subject": "Wniosek  o zasiłek", "messageId": "m-1", "threadId": "t-1", "refToMessageId": "r-1", "caseId": "DPŚ.5120.12.2026",
  "from": {"eDeliveryAddress": "AE:PL-00000-00014-AAAAA-05", "contributor": {"firstName": "Anna", "lastName": "Testowa"},
    "address": {"country": "Polska", "city": "Testowo", "street": "Prosta", "postalCode": "00-001", "buildingNumber": "3", "houseNumber": "7"}},
  "to": [{"eDeliveryAddress": "AE:PL-00000-00013-AAAAA-06", "contributor": {"companyName": "Ośrodek", "companyNameContinued": "Pomocy"}}],
  "timestamp": "2026-11-19T09:15:04.120Z", "receiptDate": "2026-11-19T09:15:03Z", "submissionDate": "2026-11-19T09:14:58Z", "shippingService": "electronic"},
 "attachments": [{"order": 1, "attachmentId": "b", "file": {"fileMetadata": {"filename": "../zdjęcie.jpg", "description": "Zdjęcie domu"}}},
  {"order": 0, "attachmentId": "a", "file": {"fileMetadata": {"filename": "wniosek.txt"}}}], "unknown": 1 }`

const evidence = `{"evidenceId":"e1","type":"BP.OX","downloaded":true,"externalData":"https://x","createDate":"2026-11-19T09:15:03Z","eventDate":"2026-11-19T09:15:03Z"}`

// form is a general letter of ePUAP, as citizens still attach them.
const form = `<?xml version="1.0" encoding="UTF-8"?><wnio:Dokument xmlns:wnio="http://crd.gov.pl/wzor/2017/10/24/4566/"><wnio:TrescDokumentu><wnio:Tytul>Odwołanie</wnio:Tytul>` +
	`<wnio:Informacje><wnio:Informacja>Odwołuję się od decyzji</wnio:Informacja></wnio:Informacje></wnio:TrescDokumentu></wnio:Dokument>`

type file struct {
	entry Entry
	body  string
}

// build makes a container.
func build(t testing.TB, kind Kind, message string, evidences []string, files ...file) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b, kind, "AE:PL-00000-00013-AAAAA-06", "m-1")
	must(t, err)
	keys := MessageKeys
	if kind == KindProof {
		keys = SentKeys
	}
	doc, err := MessageDocument([]byte(message), keys...)
	must(t, err)
	must(t, w.Message(doc))
	if evidences != nil {
		list, err := ParseEvidences(raws(evidences))
		must(t, err)
		doc, err := EvidenceDocument(list)
		must(t, err)
		must(t, w.Evidences(doc))
	}
	for _, f := range files {
		must(t, w.Add(f.entry, strings.NewReader(f.body), nil))
	}
	must(t, w.Close())
	return b.Bytes()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func sample(t testing.TB) []byte {
	return build(t, KindMessage, message, []string{evidence},
		file{Entry{Role: RoleAttachment, ID: "a", Name: "wniosek.txt", Type: "text/plain", Hash: HashRight}, "treść wniosku"},
		file{Entry{Role: RoleAttachment, ID: "b", Name: "../zdjęcie.jpg", Type: "application/octet-stream", Declared: 5}, "\xff\xd8\xff\xe0xx"},
		file{Entry{Role: RoleEvidence, ID: "e1", Name: "BPOX.xml", Type: "BPOX"}, "<xml/>"},
		file{Entry{Role: RoleArchive, Name: "archive.zip"}, "PK\x05\x06"})
}

// The format is a contract: these are the octets of version 1. If this test
// fails, the next program would write another container for the same message.
func TestContainerIsTheSameForEver(t *testing.T) {
	const want = "67bd08f807547a5381eedb2693f3167099a7ba51f6c8da90908ff30e8077a239"
	if got := sekretariat.DigestOf(sample(t)); got != want {
		t.Errorf("the container has digest %s, want %s", got, want)
	}
}

// A container is recognised by its content and opens with any ZIP tool.
func TestContainerIsAZIP(t *testing.T) {
	b := sample(t)
	if typ := sniff.Type(b[:min(len(b), sniff.HeadSize)], ""); typ != MediaType {
		t.Errorf("recognised as %s", typ)
	}
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	must(t, err)
	var names []string
	for _, f := range z.File {
		names = append(names, f.Name)
		r, err := f.Open()
		must(t, err)
		_, err = io.Copy(io.Discard, r) // checks the sum
		must(t, err)
		r.Close()
	}
	want := []string{"mimetype", "message.json", "evidences.json", "attachments/0001", "attachments/0002", "evidences/0001", "archive.zip", "index.json"}
	if !slices.Equal(names, want) {
		t.Errorf("entries %q, want %q", names, want)
	}
}

// The values of the message are kept octet for octet, without what belongs to
// the mailbox.
func TestMessageDocument(t *testing.T) {
	doc, err := MessageDocument([]byte(message), MessageKeys...)
	must(t, err)
	for _, kept := range []string{`"subject": "Wniosek  o zasiłek"`, `"Dzień dobry,\r\nw załączeniu wniosek."`, "\n  \"from\""} {
		if !bytes.Contains(doc, []byte(kept)) {
			t.Errorf("%q is not kept", kept)
		}
	}
	if bytes.Contains(doc, []byte("opened")) || bytes.Contains(doc, []byte("unknown")) {
		t.Errorf("more is kept than the message: %s", doc)
	}
	other := strings.Replace(message, `"opened": true`, `"opened": false`, 1)
	again, err := MessageDocument([]byte(other), MessageKeys...)
	must(t, err)
	if !bytes.Equal(doc, again) {
		t.Error("whether somebody opened the message changes the original")
	}
}

// Evidence is the same whether or not it was downloaded before, and each piece
// is there once.
func TestEvidenceDocument(t *testing.T) {
	list, err := ParseEvidences(raws([]string{evidence, evidence, strings.Replace(evidence, `"e1"`, `"e0"`, 1)}))
	must(t, err)
	doc, err := EvidenceDocument(list)
	must(t, err)
	const one = `{"createDate":"2026-11-19T09:15:03Z","eventDate":"2026-11-19T09:15:03Z","evidenceId":"%s","type":"BP.OX"}`
	if want := "[" + fmt.Sprintf(one, "e0") + "," + fmt.Sprintf(one, "e1") + "]"; string(doc) != want {
		t.Errorf("%s, want %s", doc, want)
	}
}

func TestRead(t *testing.T) {
	b := sample(t)
	r, err := Read(t.Context(), bytes.NewReader(b), Options{Source: map[string]string{SourceStatus: "Doręczona"}})
	must(t, err)
	if r.Subject != "Wniosek o zasiłek" || r.Text != "Dzień dobry,\nw załączeniu wniosek." || r.MessageID != "m-1" || r.Reference != "DPŚ.5120.12.2026" ||
		r.Outcome != sekretariat.ReadOK || r.Auto != "" {
		t.Errorf("%+v", r)
	}
	want := sekretariat.Party{
		Name: "Anna Testowa", GivenName: "Anna", FamilyName: "Testowa", IDs: map[string]string{"ADE": "AE:PL-00000-00014-AAAAA-05"}, Basis: "account",
		Address: &sekretariat.Address{Postcode: "00-001", Town: "Testowo", Street: "Prosta", Building: "3", Flat: "7", Country: "Polska"},
	}
	if diff := cmp.Diff(want, r.Sender); diff != "" {
		t.Error(diff)
	}
	if !r.Recipients[0].Organisation || r.Recipients[0].Name != "Ośrodek Pomocy" {
		t.Errorf("recipient %+v", r.Recipients[0])
	}
	if !slices.Equal(r.References, []string{"r-1", "t-1"}) || !slices.Equal(r.CaseNumbers, []string{"DPŚ.5120.12.2026"}) {
		t.Errorf("references %v, cases %v", r.References, r.CaseNumbers)
	}
	if r.Sent == nil || r.Sent.Format("15:04:05") != "09:14:58" || r.Headers["receiptDate"] != "2026-11-19T09:15:03Z" || r.Headers["zalacznik.2.opis"] != "Zdjęcie domu" {
		t.Errorf("sent %v, headers %v", r.Sent, r.Headers)
	}
	for i, want := range []struct {
		path, typ, body string
		attachment      bool
	}{{"1", "text/plain", "treść wniosku", true}, {"2", "image/jpeg", "\xff\xd8\xff\xe0xx", true}, {"dowod.0001", "application/xml", "<xml/>", false}, {"archive", "application/zip", "PK\x05\x06", false}} {
		p := r.Parts[i]
		body, err := io.ReadAll(OpenPart(bytes.NewReader(b), p))
		must(t, err)
		if p.Path != want.path || p.Type != want.typ || p.Attachment != want.attachment || string(body) != want.body || p.SHA256 != sekretariat.DigestOf(body) || p.Fate != "listed" {
			t.Errorf("part %+v with %q", p, body)
		}
		if strings.ContainsAny(p.SafeName, `/\`) {
			t.Errorf("safe name %q", p.SafeName)
		}
	}
	if len(r.Findings) != 1 || r.Findings[0].Code != FindingSize {
		t.Errorf("findings %v", r.Findings)
	}
}

// An attached letter by a form of ePUAP is read.
func TestFormAttached(t *testing.T) {
	b := build(t, KindMessage, message, nil, file{Entry{Role: RoleAttachment, ID: "a", Name: "pismo.xml"}, form}, file{Entry{Role: RoleAttachment, ID: "b", Name: "inny.xml"}, "<a><b>x</b></a>"})
	r, err := Read(t.Context(), bytes.NewReader(b), Options{})
	must(t, err)
	if r.Form != "http://crd.gov.pl/wzor/2017/10/24/4566/" || !strings.Contains(r.Parts[0].Text, "Odwołuję się od decyzji") || r.Parts[0].Fate != "read" {
		t.Errorf("form %q, part %+v", r.Form, r.Parts[0])
	}
	if r.Subject != "Wniosek o zasiłek" || r.Sender.FamilyName != "Testowa" {
		t.Errorf("the attachment speaks for the message: %q", r.Subject)
	}
}

func TestProof(t *testing.T) {
	b := build(t, KindProof, message, []string{evidence}, file{Entry{Role: RoleEvidence, ID: "e1", Name: "BPOX.xml", Type: "BPOX"}, "<xml/>"})
	for class, title := range map[string]string{
		ClassDelivered: "Dowód doręczenia: Decyzja", ClassDeemed: "Dowód: pismo uznane za doręczone (nie odebrano w terminie): Decyzja",
		ClassUndelivered: "Zwrot: pismo niedoręczone: Decyzja", ClassRejected: "Zwrot: pismo odrzucone przez operatora: Decyzja", "": "Dowód z e-Doręczeń: Decyzja",
	} {
		r, err := Read(t.Context(), bytes.NewReader(b), Options{Source: map[string]string{
			SourceClass: class, SourceAbout: "s-1", SourceAboutSubject: "Decyzja", SourceAboutCase: "ZPR.512.7.2026", SourceStatus: "Doręczona",
		}})
		must(t, err)
		if r.Subject != title || r.Auto != AutoReceipt || !slices.Equal(r.CaseNumbers, []string{"DPŚ.5120.12.2026", "ZPR.512.7.2026"}) {
			t.Errorf("%q: %q, automatic %q, cases %v", class, r.Subject, r.Auto, r.CaseNumbers)
		}
		for _, want := range []string{"Pismo: Decyzja", "Znak sprawy: ZPR.512.7.2026", "Doręczono: 19.11.2026 10:15:03", "Dowód BPOX: dowód otrzymania (XML), 19.11.2026 10:15:03"} {
			if !strings.Contains(r.Text, want) {
				t.Errorf("%q is not in %q", want, r.Text)
			}
		}
		if strings.Contains(r.Text, "w załączeniu") || bytes.Contains(b, []byte("w załączeniu")) {
			t.Error("the sent letter's own words are kept")
		}
	}
}

// Hostile or damaged containers are readings that say so.
func TestDamaged(t *testing.T) {
	good := sample(t)
	for name, b := range map[string][]byte{
		"empty": nil, "text": []byte("nic"), "cut": good[:len(good)-30], "half": good[:len(good)/2],
		"other type": rezip(t, good, func(n string, b []byte) (string, []byte) {
			if n == "mimetype" {
				b = []byte("application/zip")
			}
			return n, b
		}),
		"no index": rezip(t, good, func(n string, b []byte) (string, []byte) { return strings.Replace(n, "index.json", "x", 1), b }),
		"other version": rezip(t, good, func(n string, b []byte) (string, []byte) {
			return n, bytes.Replace(b, []byte(`{"version":1`), []byte(`{"version":2`), 1)
		}),
		"twice": rezip(t, good, func(n string, b []byte) (string, []byte) {
			return strings.Replace(n, "attachments/0002", "attachments/0001", 1), b
		}),
	} {
		r, err := Read(t.Context(), bytes.NewReader(b), Options{})
		if err != nil || r.Outcome != sekretariat.ReadUnreadable || len(r.Findings) != 1 || r.Findings[0].Code != FindingContainer {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	// What the index names and is not there is told on its part; the rest is read.
	r, err := Read(t.Context(), bytes.NewReader(rezip(t, good, func(n string, b []byte) (string, []byte) {
		return strings.Replace(n, "attachments/0002", "y", 1), b
	})), Options{})
	must(t, err)
	if r.Outcome != sekretariat.ReadPartial || r.Parts[1].Fate != "unreadable" || r.Parts[0].Fate != "listed" {
		t.Errorf("%+v", r)
	}
	// A message that is no message leaves the files readable.
	r, err = Read(t.Context(), bytes.NewReader(rezip(t, good, func(n string, b []byte) (string, []byte) {
		if n == "message.json" {
			b = []byte(`{"messageMetadata": []}`)
		}
		return n, b
	})), Options{})
	must(t, err)
	if r.Outcome != sekretariat.ReadPartial || len(r.Parts) != 4 {
		t.Errorf("%+v", r)
	}
}

// rezip makes another ZIP, stored, with changed entries.
func rezip(t testing.TB, b []byte, change func(string, []byte) (string, []byte)) []byte {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	must(t, err)
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, f := range z.File {
		r, err := f.Open()
		must(t, err)
		content, err := io.ReadAll(r)
		must(t, err)
		name, content := change(f.Name, content)
		e, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		must(t, err)
		_, err = e.Write(content)
		must(t, err)
	}
	must(t, w.Close())
	return out.Bytes()
}

// Errors of the source and of the writer come back, and a cancelled reading ends.
func TestErrors(t *testing.T) {
	boom := errors.New("boom")
	w, err := NewWriter(io.Discard, KindMessage, "a", "b")
	must(t, err)
	if err := w.Add(Entry{Role: RoleAttachment}, iotest.ErrReader(boom), nil); !errors.Is(err, boom) {
		t.Errorf("error of the body: %v", err)
	}
	if err := w.Add(Entry{Role: RoleAttachment}, strings.NewReader("x"), func(int64) (string, error) { return "", boom }); !errors.Is(err, boom) {
		t.Errorf("error of the judge: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Read(ctx, bytes.NewReader(sample(t)), Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	for _, bad := range []string{"", "[]", "null!"} {
		if _, err := MessageDocument([]byte(bad), "x"); err == nil {
			t.Errorf("%q is no message", bad)
		}
	}
}

func TestParseTime(t *testing.T) {
	for s, want := range map[string]string{
		"2026-11-19T09:15:04.120Z": "2026-11-19T09:15:04.12Z", "2026-11-19T10:15:04+01:00": "2026-11-19T09:15:04Z",
		"2026-11-19T10:15:04": "2026-11-19T09:15:04Z", "2026-07-01T10:00:00.5": "2026-07-01T08:00:00.5Z",
	} {
		if got, ok := ParseTime(s); !ok || got.Format("2006-01-02T15:04:05.999999999Z07:00") != want {
			t.Errorf("%s: %v", s, got)
		}
	}
	if _, ok := ParseTime("wczoraj"); ok {
		t.Error("wczoraj is a time")
	}
}

// Whatever files go in come out octet for octet, at the places that the reading
// names, and writing twice gives the same container.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		bodies := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 5000), 0, 6).Draw(rt, "files")
		var files []file
		for i, b := range bodies {
			files = append(files, file{Entry{Role: RoleAttachment, ID: fmt.Sprint(i), Name: rapid.String().Draw(rt, "name")}, string(b)})
		}
		first := build(t, KindMessage, message, nil, files...)
		if !bytes.Equal(first, build(t, KindMessage, message, nil, files...)) {
			rt.Fatal("two containers of one message differ")
		}
		r, err := Read(context.Background(), bytes.NewReader(first), Options{})
		if err != nil || len(r.Parts) != len(files) {
			rt.Fatalf("%d parts of %d, %v", len(r.Parts), len(files), err)
		}
		for i, p := range r.Parts {
			got, err := io.ReadAll(OpenPart(bytes.NewReader(first), p))
			if err != nil || !bytes.Equal(got, bodies[i]) {
				rt.Fatalf("part %d differs (%v)", i, err)
			}
		}
	})
}

// Other programs read the container too.
func TestOtherProgramsReadIt(t *testing.T) {
	program, err := exec.LookPath("7zz")
	if err != nil {
		t.Skip("7zz is not installed (Debian package 7zip)")
	}
	name := filepath.Join(t.TempDir(), "container")
	writeFile(t, name, sample(t))
	if out, err := exec.Command(program, "t", "-tzip", name).CombinedOutput(); err != nil {
		t.Fatalf("%s", out)
	}
	out, err := exec.Command(program, "e", "-tzip", "-so", name, "attachments/0001").Output()
	if err != nil || string(out) != "treść wniosku" {
		t.Errorf("%q, %v", out, err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(sample(f))
	f.Add(build(f, KindProof, message, []string{evidence}, file{Entry{Role: RoleEvidence, Name: "x"}, form}))
	f.Add(build(f, KindMessage, `{}`, nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Read(context.Background(), bytes.NewReader(b), Options{Source: map[string]string{SourceClass: ClassDeemed}})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range r.Parts {
			if p.Offset < 0 || p.Length < 0 || p.Offset+p.Length > int64(len(b)) {
				t.Fatalf("part %+v lies outside of %d octets", p, len(b))
			}
		}
	})
}

// FuzzMessage: whatever a provider answers, it is read or refused.
func FuzzMessage(f *testing.F) {
	f.Add([]byte(message), []byte(evidence))
	f.Fuzz(func(t *testing.T, m, e []byte) {
		if _, err := ParseMessage(m); err == nil {
			if doc, err := MessageDocument(m, MessageKeys...); err == nil {
				if _, err := ParseMessage(doc); err != nil {
					t.Fatalf("what is kept of a message cannot be read: %s", doc)
				}
			}
		}
		if list, err := ParseEvidences([]rawT{e}); err == nil {
			doc, err := EvidenceDocument(list)
			if err != nil {
				t.Fatal(err)
			}
			_ = doc
		}
	})
}
