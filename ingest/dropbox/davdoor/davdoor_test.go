package davdoor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/configs/password"
	"sekretariat/ingest"
	"sekretariat/ingest/dropbox"
	"sekretariat/ingest/dropbox/davdoor"
	"sekretariat/ingest/ingesttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func pdf(text string) []byte {
	head := "%PDF-1.4\n% " + text + "\n1 0 obj\n<< /Type /Catalog >>\nendobj\n"
	return fmt.Appendf(nil, "%sxref\n0 1\n0000000000 65535 f \ntrailer\n<< /Size 1 >>\nstartxref\n%d\n%%%%EOF\n", head, len(head))
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

const secret = "dlugie haslo skanera"

type office struct {
	door *davdoor.Server
	*testing.T
	house  *ingesttest.House
	centre sekretariat.CentreID
	server *httptest.Server
}

func open(t *testing.T) *office {
	t.Helper()
	h := ingesttest.NewHouse(t)
	o := &office{T: t, house: h, centre: h.Centre(t)}
	box := configs.Box{Account: configs.Account{ID: "wejscie"}}
	g, err := dropbox.NewGate(dropbox.GateOptions{
		Receiver: h.Receiver(t, ingest.Limits{}), Folder: t.TempDir(), Logger: zerolog.Nop(), Limit: 4 << 20,
		Devices: []dropbox.Device{
			{Centre: o.centre, Box: box, Device: configs.Device{User: "ksero", Password: password.Hash(secret)}},
			{Centre: o.centre, Box: box, Device: configs.Device{User: "tylko-sftp", Password: password.Hash(secret), Doors: []string{configs.DoorSFTP}}},
		},
	})
	must(t, err)
	s, err := davdoor.New(davdoor.Options{Gate: g, Limit: 4 << 20, Logger: zerolog.Nop()})
	must(t, err)
	o.door = s
	o.server = httptest.NewServer(s)
	t.Cleanup(o.server.Close)
	return o
}

// ask sends a request as the device; header are pairs.
func (o *office) ask(method, path string, body io.Reader, header ...string) (int, string) {
	o.Helper()
	r, err := http.NewRequest(method, o.server.URL+path, body)
	must(o, err)
	r.SetBasicAuth("ksero", secret)
	for i := 0; i < len(header); i += 2 {
		if header[i] == "user" {
			r.SetBasicAuth(header[i+1], secret)
			continue
		}
		r.Header.Set(header[i], header[i+1])
	}
	res, err := o.server.Client().Do(r)
	must(o, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	must(o, err)
	return res.StatusCode, string(text)
}

func (o *office) kept() int { return len(o.house.Submissions(o.T, o.centre)) }

func TestPut(t *testing.T) {
	o := open(t)
	body := pdf(strings.Repeat("x", 200_000))
	if s, text := o.ask("PUT", "/skany/Skan%201.pdf", bytes.NewReader(body)); s != 201 {
		t.Fatalf("PUT: %d %s", s, text)
	}
	all := o.house.Submissions(t, o.centre)
	if len(all) != 1 || !bytes.Equal(all[0].Original, body) || all[0].Manifest.Source[dropbox.SourceName] != "Skan 1.pdf" || all[0].Manifest.Door != sekretariat.DoorWebDAV {
		t.Fatalf("%d submissions", len(all))
	}
	for what, c := range map[string][2]int{
		"nobody":       {401, first(o.ask("PUT", "/a.pdf", bytes.NewReader(pdf("a")), "user", "nikt"))},
		"other door":   {401, first(o.ask("PUT", "/a.pdf", bytes.NewReader(pdf("a")), "user", "tylko-sftp"))},
		"reading":      {403, first(o.ask("GET", "/skany/Skan%201.pdf", nil))},
		"empty":        {400, first(o.ask("PUT", "/a.pdf", http.NoBody))},
		"part":         {400, first(o.ask("PUT", "/a.pdf", bytes.NewReader(pdf("a")), "Content-Range", "bytes 0-5/10"))},
		"packed":       {415, first(o.ask("PUT", "/a.pdf", bytes.NewReader(pdf("a")), "Content-Encoding", "gzip"))},
		"too large":    {413, first(o.ask("PUT", "/a.pdf", bytes.NewReader(make([]byte, 5<<20))))},
		"half":         {400, first(o.ask("PUT", "/a.pdf", bytes.NewReader(body[:100_000])))},
		"other method": {405, first(o.ask("COPY", "/a.pdf", nil))},
		"foreign name": {404, first(o.ask("HEAD", "/kogos.pdf", nil))},
	} {
		if c[0] != c[1] {
			t.Errorf("%s: %d, want %d", what, c[1], c[0])
		}
	}
	if n := o.kept(); n != 1 {
		t.Errorf("%d submissions, want 1", n)
	}
}

func first(status int, _ string) int { return status }

// TestWindows does what the WebDAV client of Windows does to copy one file.
func TestWindows(t *testing.T) {
	o := open(t)
	const agent = "Microsoft-WebDAV-MiniRedir/10.0.19045"
	body := pdf("windows")
	for _, step := range []struct {
		method string
		status int
		body   []byte
	}{
		{"OPTIONS", 200, nil}, {"PROPFIND", 207, nil}, {"PUT", 201, nil}, {"LOCK", 200, []byte("<lockinfo/>")},
		{"PUT", 201, body}, {"PROPPATCH", 207, []byte("<propertyupdate/>")}, {"HEAD", 200, nil}, {"UNLOCK", 204, nil}, {"PROPFIND", 207, nil},
	} {
		path := "/skan.pdf"
		if step.method == "OPTIONS" || step.method == "PROPFIND" {
			path = "/"
		}
		status, text := o.ask(step.method, path, bytes.NewReader(step.body), "User-Agent", agent, "Depth", "1")
		if status != step.status {
			t.Fatalf("%s: %d, want %d: %s", step.method, status, step.status, text)
		}
	}
	if _, text := o.ask("PROPFIND", "/", nil, "Depth", "1"); !strings.Contains(text, "<getcontentlength>"+fmt.Sprint(len(body))) {
		t.Errorf("the listing does not tell the device of its file: %s", text)
	}
	if n := o.kept(); n != 1 {
		t.Errorf("%d submissions, want 1", n)
	}
}

func TestRename(t *testing.T) {
	o := open(t)
	if s, _ := o.ask("PUT", "/x.part", bytes.NewReader(pdf("x"))); s != 201 || o.kept() != 0 {
		t.Fatalf("a temporary name: %d, %d submissions", s, o.kept())
	}
	if s, _ := o.ask("MOVE", "/x.part", nil, "Destination", o.server.URL+"/x.pdf"); s != 201 || o.kept() != 1 {
		t.Errorf("its final name: %d, %d submissions", s, o.kept())
	}
}

// A body that ends early leaves nothing, wherever it ends.
func TestCut(t *testing.T) {
	o := open(t)
	body := pdf(strings.Repeat("c", 20_000))
	for cut := 0; cut < len(body); cut += 997 {
		conn, err := net.Dial("tcp", o.server.Listener.Addr().String())
		must(t, err)
		r, err := http.NewRequest("PUT", o.server.URL+"/skan.pdf", nil)
		must(t, err)
		r.SetBasicAuth("ksero", secret)
		_, err = fmt.Fprintf(conn, "PUT /skan.pdf HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nContent-Length: %d\r\n\r\n%s", r.Header.Get("Authorization"), len(body), body[:cut])
		must(t, err, conn.(*net.TCPConn).CloseWrite())
		answer, err := io.ReadAll(conn)
		if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 400 ") {
			t.Fatalf("cut after %d octets: %.60q, %v", cut, answer, err)
		}
		must(t, conn.Close())
	}
	if n := o.kept(); n != 0 {
		t.Errorf("%d submissions", n)
	}
}

// The client that administrators try it with.
func TestCurl(t *testing.T) {
	tool, err := exec.LookPath("curl")
	if err != nil {
		t.Fatal("no curl: apt-get install curl")
	}
	o := open(t)
	file := filepath.Join(t.TempDir(), "skan.pdf")
	must(t, os.WriteFile(file, pdf("curl"), 0o600))
	out, err := exec.Command(tool, "-sSf", "-u", "ksero:"+secret, "-T", file, o.server.URL+"/").CombinedOutput()
	if err != nil || o.kept() != 1 {
		t.Errorf("%v: %s, %d submissions", err, out, o.kept())
	}
}

// A device that was told that its file arrived and never renames it loses
// nothing: the file is taken in as it is.
func TestNeverRenamed(t *testing.T) {
	o := open(t)
	if s, _ := o.ask("PUT", "/~skan.pdf", bytes.NewReader(pdf("x"))); s != 201 || o.kept() != 0 {
		t.Fatalf("a temporary name: %d, %d submissions", s, o.kept())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	must(t, o.door.Run(ctx)) // the door closes
	if n := o.kept(); n != 1 {
		t.Errorf("%d submissions, want 1", n)
	}
}

// A form is not a scan.
func TestForm(t *testing.T) {
	o := open(t)
	if s, _ := o.ask("POST", "/skan.pdf", strings.NewReader("--b\r\n"), "Content-Type", "multipart/form-data; boundary=b"); s != 415 || o.kept() != 0 {
		t.Errorf("a form: %d, %d submissions", s, o.kept())
	}
}
