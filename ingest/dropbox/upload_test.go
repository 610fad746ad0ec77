package dropbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/ingest"
	"sekretariat/ingest/dropbox"
	"sekretariat/ingest/ingesttest"
	"sekretariat/storage"
)

// door is a running upload door on a real socket.
type door struct {
	*testing.T
	house   *ingesttest.House
	centre  sekretariat.CentreID
	intake  *ingest.Intake
	server  *httptest.Server
	client  *http.Client
	log     *syncBuffer
	options dropbox.UploadOptions
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// tokens are the tokens of the test: what they say, or that nobody can tell.
type tokens struct{ centre sekretariat.CentreID }

func (k tokens) Authorize(_ context.Context, token string) (dropbox.Grant, error) {
	switch token {
	case "good":
		return dropbox.Grant{Centre: k.centre, Box: "wejscie"}, nil
	case "second":
		return dropbox.Grant{Centre: k.centre, Box: "piwnica"}, nil
	case "closed":
		return dropbox.Grant{Centre: k.centre, Box: "zamknieta"}, nil
	case "unsure":
		return dropbox.Grant{}, errors.New("token store is away")
	}
	return dropbox.Grant{}, fmt.Errorf("token: %w", dropbox.ErrDenied)
}

func openDoor(t *testing.T, limits ingest.Limits, change func(*dropbox.UploadOptions)) *door {
	t.Helper()
	h := ingesttest.NewHouse(t)
	d := &door{T: t, house: h, centre: h.Centre(t), intake: h.Receiver(t, limits), log: &syncBuffer{}}
	d.options = dropbox.UploadOptions{
		Receiver: d.intake, Store: h.Store, Authorizer: tokens{d.centre}, IdempotencyKey: bytes.Repeat([]byte("k"), 32),
		Logger: zerolog.New(d.log),
		Box: func(c sekretariat.CentreID, id string) (configs.Box, bool) {
			return configs.Box{Account: configs.Account{ID: id, Unit: "dom", Department: "swiadczenia"}}, c == d.centre && id != "zamknieta"
		},
	}
	if change != nil {
		change(&d.options)
	}
	handler, err := dropbox.NewUpload(d.options)
	if err != nil {
		t.Fatal(err)
	}
	d.server = httptest.NewServer(handler)
	d.client = d.server.Client()
	t.Cleanup(d.server.Close)
	return d
}

// reply is an answer of the door.
type reply struct {
	status     int
	header     http.Header
	Submission sekretariat.SubmissionID
	Repeat     bool
	SHA256     sekretariat.Digest
	Error      string
}

// send makes a request; header are pairs.
func (d *door) send(method, path string, body io.Reader, header ...string) reply {
	d.Helper()
	req, err := http.NewRequest(method, d.server.URL+path, body)
	if err != nil {
		d.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer good")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := d.client.Do(req)
	if err != nil {
		d.Errorf("%s %s: %v", method, path, err)
		return reply{}
	}
	defer res.Body.Close()
	r := reply{status: res.StatusCode, header: res.Header}
	if err := json.NewDecoder(res.Body).Decode(&r); err != nil {
		d.Errorf("%s %s: status %d, answer is no JSON: %v", method, path, res.StatusCode, err)
	}
	return r
}

// kept is how many submissions there are.
func (d *door) kept() int { return len(d.house.Submissions(d.T, d.centre)) }

// chunked hides the length of a body.
func chunked(b []byte) io.Reader { return io.MultiReader(bytes.NewReader(b)) }

func TestUpload(t *testing.T) {
	d := openDoor(t, ingest.Limits{}, nil)
	body := pdf("by http")
	first := d.send("PUT", "/boxes/wejscie/Jan%20Kowalski.pdf", bytes.NewReader(body))
	if first.status != 201 || first.Repeat || first.SHA256 != sekretariat.DigestOf(body) || first.header.Get("Content-Type") != "application/json" {
		t.Errorf("first: %+v", first)
	}
	again := d.send("POST", "/boxes/wejscie", chunked(body))
	if again.status != 200 || !again.Repeat || again.Submission != first.Submission || again.SHA256 != first.SHA256 {
		t.Errorf("again: %+v", again)
	}
	if other := d.send("POST", "/boxes/piwnica/x.pdf", bytes.NewReader(body), "Authorization", "bearer second"); other.status != 201 || other.Submission == first.Submission {
		t.Errorf("same bytes in another box: %+v", other)
	}
	all := d.house.Submissions(t, d.centre)
	m := all[0].Manifest
	if len(all) != 2 || string(all[0].Original) != string(body) || m.Door != sekretariat.DoorHTTP || m.Box != "wejscie" || m.Department != "swiadczenia" ||
		m.Source["name"] != "Jan Kowalski.pdf" || m.Arrived.Basis != sekretariat.BasisScanned {
		t.Errorf("%d submissions, manifest %+v", len(all), m)
	}
	if log := d.log.String(); strings.Contains(log, "Kowalski") || strings.Contains(log, "good") || !strings.Contains(log, string(first.Submission)) {
		t.Errorf("log: %s", log)
	}
	// The same scan by the folder of the same box is no new letter.
	b := openAt(t, d.house, d.centre, t.TempDir(), ingest.Limits{}, nil)
	b.write("x.pdf", body)
	b.done(1)
	if n := d.kept(); n != 2 {
		t.Errorf("%d submissions after the folder had the same bytes, want 2", n)
	}
}

func TestUploadRefusals(t *testing.T) {
	d := openDoor(t, ingest.Limits{Delivery: 90_000}, func(o *dropbox.UploadOptions) { o.Limit = 100_000 })
	file := func() io.Reader { return bytes.NewReader(pdf("x")) }
	large, medium := make([]byte, 200_000), make([]byte, 95_000)
	for name, c := range map[string]struct {
		status int
		got    reply
	}{
		"no token":          {401, d.send("PUT", "/boxes/wejscie/x", file(), "Authorization", "")},
		"other scheme":      {401, d.send("PUT", "/boxes/wejscie/x", file(), "Authorization", "Basic good")},
		"unknown token":     {401, d.send("PUT", "/boxes/wejscie/x", file(), "Authorization", "Bearer bad")},
		"token store away":  {503, d.send("PUT", "/boxes/wejscie/x", file(), "Authorization", "Bearer unsure")},
		"foreign box":       {404, d.send("PUT", "/boxes/piwnica/x", file())},
		"missing box":       {404, d.send("PUT", "/boxes/nowhere/x", file())},
		"closed box":        {404, d.send("PUT", "/boxes/zamknieta/x", file(), "Authorization", "Bearer closed")},
		"empty":             {400, d.send("PUT", "/boxes/wejscie/x", http.NoBody)},
		"empty, chunked":    {400, d.send("PUT", "/boxes/wejscie/x", chunked(nil))},
		"gzip":              {415, d.send("PUT", "/boxes/wejscie/x", file(), "Content-Encoding", "gzip")},
		"range":             {400, d.send("PUT", "/boxes/wejscie/x", file(), "Content-Range", "bytes 0-5/10")},
		"long key":          {400, d.send("PUT", "/boxes/wejscie/x", file(), "Idempotency-Key", strings.Repeat("k", 256))},
		"long name":         {400, d.send("PUT", "/boxes/wejscie/"+strings.Repeat("n", 256), file())},
		"over the limit":    {413, d.send("PUT", "/boxes/wejscie/x", bytes.NewReader(large))},
		"over, chunked":     {413, d.send("PUT", "/boxes/wejscie/x", chunked(large))},
		"receiver's limit":  {413, d.send("PUT", "/boxes/wejscie/x", bytes.NewReader(medium))},
		"form, no boundary": {400, d.send("POST", "/boxes/wejscie", file(), "Content-Type", "multipart/form-data")},
		"form, rubbish":     {400, d.send("POST", "/boxes/wejscie", file(), "Content-Type", "multipart/form-data; boundary=x")},
	} {
		if c.got.status != c.status || c.got.Error == "" {
			t.Errorf("%s: %d %q, want %d", name, c.got.status, c.got.Error, c.status)
		}
	}
	foreign, missing := d.send("PUT", "/boxes/piwnica/x", file()), d.send("PUT", "/boxes/nowhere/x", file())
	if foreign.Error != missing.Error || len(foreign.header) != len(missing.header) {
		t.Errorf("a foreign box answers %+v, a missing one %+v", foreign, missing)
	}
	if h := d.send("PUT", "/boxes/wejscie/x", file(), "Authorization", "Bearer bad").header.Get("WWW-Authenticate"); h != "Bearer" {
		t.Errorf("WWW-Authenticate %q", h)
	}
	if n := d.kept(); n != 0 {
		t.Errorf("%d submissions of refused uploads", n)
	}
	res, err := d.client.Get(d.server.URL + "/boxes/wejscie")
	if err != nil || res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: %v, %v", res, err)
	}
	res.Body.Close()
}

// form makes a multipart body of (field, file name, content) triples.
func form(t testing.TB, parts ...string) (body []byte, contentType string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for i := 0; i < len(parts); i += 3 {
		h := textproto.MIMEHeader{}
		h.Set("Content-Disposition", fmt.Sprintf("form-data; name=%q", parts[i]))
		if parts[i+1] != "" {
			h.Set("Content-Disposition", fmt.Sprintf("form-data; name=%q; filename=%q", parts[i], parts[i+1]))
		}
		if parts[i] == "base64" {
			h.Set("Content-Transfer-Encoding", "base64")
		}
		p, err := w.CreatePart(h)
		must(t, err)
		_, err = io.WriteString(p, parts[i+2])
		must(t, err)
	}
	must(t, w.Close())
	return b.Bytes(), w.FormDataContentType()
}

func TestUploadForm(t *testing.T) {
	d := openDoor(t, ingest.Limits{}, nil)
	scan := string(pdf("form")) + strings.Repeat("x", 100_000)
	body, kind := form(t, "device", "", "Ricoh", "file", "Skan 1.pdf", scan, "note", "", "koniec")
	if r := d.send("POST", "/boxes/wejscie", bytes.NewReader(body), "Content-Type", kind); r.status != 201 || r.SHA256 != sekretariat.DigestOf([]byte(scan)) {
		t.Errorf("form: %+v", r)
	}
	all := d.house.Submissions(t, d.centre)
	if len(all) != 1 || string(all[0].Original) != scan || all[0].Manifest.Source["name"] != "Skan 1.pdf" {
		t.Fatalf("%d submissions", len(all))
	}
	var fields []string
	for range 20 {
		fields = append(fields, "f", "", "v")
	}
	for name, c := range map[string]struct {
		status int
		parts  []string
	}{
		"two files":    {400, []string{"a", "a.pdf", "first", "b", "b.pdf", "second"}},
		"no file":      {400, []string{"a", "", "field"}},
		"empty file":   {400, []string{"a", "a.pdf", ""}},
		"many fields":  {400, append(fields, "a", "a.pdf", "first")},
		"long field":   {400, []string{"a", "", strings.Repeat("x", 70_000), "b", "b.pdf", "file"}},
		"base64":       {415, []string{"base64", "a.pdf", "QUJD"}},
		"fields after": {400, append([]string{"a", "a.pdf", "third"}, fields...)},
	} {
		body, kind := form(t, c.parts...)
		if r := d.send("POST", "/boxes/wejscie", bytes.NewReader(body), "Content-Type", kind); r.status != c.status {
			t.Errorf("%s: %+v, want %d", name, r, c.status)
		}
	}
	for _, cut := range []int{4, 30, len(body) / 2, len(body) - 150} {
		if r := d.send("POST", "/boxes/wejscie", bytes.NewReader(body[:len(body)-cut]), "Content-Type", kind); r.status != 400 {
			t.Errorf("form that lacks its last %d octets: %+v", cut, r)
		}
	}
	if n := d.kept(); n != 1 {
		t.Errorf("%d submissions, want 1", n)
	}
	// PUT is always the file itself, whatever its type is called.
	if r := d.send("PUT", "/boxes/wejscie/raw", bytes.NewReader(body), "Content-Type", kind); r.status != 201 || r.SHA256 != sekretariat.DigestOf(body) {
		t.Errorf("PUT of a form: %+v", r)
	}
}

// A body that breaks off leaves nothing, whether its length was announced or
// not.
func TestUploadTruncated(t *testing.T) {
	d := openDoor(t, ingest.Limits{}, nil)
	const head = "PUT /boxes/wejscie/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\n"
	for name, request := range map[string]string{
		"length":  head + "Content-Length: 5000\r\n\r\n" + string(pdf("cut")),
		"chunked": head + "Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n",
		"chunk":   head + "Transfer-Encoding: chunked\r\n\r\nff\r\nabcde",
	} {
		before := d.intake.Counters().Failed
		conn, err := net.Dial("tcp", d.server.Listener.Addr().String())
		must(t, err)
		_, err = io.WriteString(conn, request)
		must(t, err, conn.(*net.TCPConn).CloseWrite())
		answer, err := io.ReadAll(conn)
		if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 400 ") {
			t.Errorf("%s: %q, %v", name, answer, err)
		}
		must(t, conn.Close())
		if d.intake.Counters().Failed != before+1 {
			t.Errorf("%s: the receiver did not notice", name)
		}
	}
	if n := d.kept(); n != 0 {
		t.Errorf("%d submissions of truncated bodies", n)
	}
}

func TestIdempotencyKey(t *testing.T) {
	d := openDoor(t, ingest.Limits{}, nil)
	one, two := pdf("one"), pdf("two")
	put := func(body []byte, header ...string) reply {
		return d.send("PUT", "/boxes/wejscie/x", bytes.NewReader(body), header...)
	}
	first := put(one, "Idempotency-Key", "Kowalski-1")
	again := put(one, "Idempotency-Key", "Kowalski-1")
	if first.status != 201 || again.status != 200 || again.Submission != first.Submission || again.SHA256 != first.SHA256 {
		t.Errorf("first %+v, again %+v", first, again)
	}
	if r := put(two, "Idempotency-Key", "Kowalski-1"); r.status != 409 || r.Error == "" {
		t.Errorf("same key, other bytes: %+v", r)
	}
	if n := d.kept(); n != 1 {
		t.Errorf("%d submissions, want 1", n)
	}
	if r := put(two, "Idempotency-Key", "Kowalski-2"); r.status != 201 {
		t.Errorf("other key: %+v", r)
	}
	if r := put(one, "Idempotency-Key", "Kowalski-3"); r.status != 200 {
		t.Errorf("other key, known bytes: %+v", r)
	}
	if r := d.send("PUT", "/boxes/piwnica/x", bytes.NewReader(two), "Idempotency-Key", "Kowalski-1", "Authorization", "Bearer second"); r.status != 201 {
		t.Errorf("the same key in another box: %+v", r)
	}
	marks := 0
	err := d.house.Store.List(context.Background(), storage.ConfigKey(d.centre, "idem/"), func(i storage.Info) error {
		marks++
		o, err := d.house.Store.Get(context.Background(), i.Key)
		if err != nil {
			return err
		}
		defer o.Close()
		value := make([]byte, o.Size())
		_, err = o.ReadAt(value, 0)
		for _, clear := range []string{"Kowalski", string(sekretariat.DigestOf(one)), string(sekretariat.DigestOf(two)), string(sekretariat.DigestOf([]byte("Kowalski-1")))} {
			if strings.Contains(i.Key, clear) || bytes.Contains(value, []byte(clear)) {
				t.Errorf("mark %s = %s tells %s", i.Key, value, clear)
			}
		}
		if err == io.EOF {
			err = nil
		}
		return err
	})
	if err != nil || marks != 4 {
		t.Errorf("%d marks, %v", marks, err)
	}
}

// Of clients that use one key for different bytes at once, one wins.
func TestIdempotencyRace(t *testing.T) {
	d := openDoor(t, ingest.Limits{}, nil)
	var wg sync.WaitGroup
	var mu sync.Mutex
	count := map[int]int{}
	for i := range 12 {
		wg.Go(func() {
			r := d.send("PUT", "/boxes/wejscie/x", bytes.NewReader(pdf(fmt.Sprint(i))), "Idempotency-Key", "k")
			mu.Lock()
			defer mu.Unlock()
			count[r.status]++
		})
	}
	wg.Wait()
	if count[201] != 1 || count[409] != 11 || d.kept() != 1 {
		t.Errorf("answers %v, %d submissions", count, d.kept())
	}
}

// A crash between the mark and durability lets the same bytes in, later, and no
// others.
func TestIdempotencyCrash(t *testing.T) {
	d := openDoor(t, ingest.Limits{}, func(o *dropbox.UploadOptions) {
		o.Receiver = &ingesttest.Faulty{Inner: o.Receiver, Fault: ingesttest.Fault{Step: ingesttest.AfterBody, Nth: 1}}
	})
	put := func(text string) reply {
		return d.send("PUT", "/boxes/wejscie/x", bytes.NewReader(pdf(text)), "Idempotency-Key", "k")
	}
	if r := put("one"); r.status != 503 || r.header.Get("Retry-After") == "" {
		t.Errorf("at the fault: %+v", r)
	}
	if r := put("two"); r.status != 409 {
		t.Errorf("other bytes: %+v", r)
	}
	if r := put("one"); r.status != 201 || r.Repeat {
		t.Errorf("the same bytes: %+v", r)
	}
	if n := d.kept(); n != 1 {
		t.Errorf("%d submissions", n)
	}
}
