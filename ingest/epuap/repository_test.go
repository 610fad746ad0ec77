package epuap

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"sekretariat/ingest/epuap/epuaptest"
)

func (h *house) repository(t testing.TB) *Repository {
	t.Helper()
	h.options.Account.Repository = h.server.Repo
	r, err := NewRepository(h.options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.http.CloseIdleConnections)
	return r
}

const plik = "To jest duży załącznik.\n"

func TestFetch(t *testing.T) {
	for _, mtom := range []bool{false, true} {
		for _, signing := range []epuaptest.Signing{epuaptest.Signed, epuaptest.Unsigned} {
			h := newHouse(t, epuaptest.Options{MTOM: mtom, Signing: signing})
			if signing == epuaptest.Signed {
				h.options.Account.Pins = []string{h.Pin()} // the signature of a file in parts is checked too
			}
			h.AddFile("77000101", epuaptest.StoredFile{Entity: "mopsprzykladowo", Name: "dokumentacja.pdf", MediaType: "application/pdf", Content: []byte(plik)})
			r := h.repository(t)
			var b bytes.Buffer
			f, err := r.Fetch(context.Background(), "77000101", &b)
			if err != nil || b.String() != plik || f != (File{"dokumentacja.pdf", "application/pdf"}) {
				t.Errorf("mtom %v, signing %d: %q, %+v, %v", mtom, signing, b.String(), f, err)
			}
			if _, err = r.Fetch(context.Background(), "77000101", io.Discard); !errors.Is(err, ErrGone) {
				t.Errorf("second download: %v", err)
			}
			if _, err = r.Fetch(context.Background(), "<&>", io.Discard); !errors.Is(err, ErrGone) {
				t.Errorf("no such file: %v", err)
			}
		}
	}
}

// TestFetchRefuses: nothing that went wrong counts, and what a repetition can
// mend is not called gone.
func TestFetchRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		fault  epuaptest.Fault
		change func(*house)
		last   bool // no repetition mends it
	}{
		"page":            {fault: epuaptest.Fault{Status: 503}},
		"page with 200":   {fault: epuaptest.Fault{Status: 200}},
		"redirect":        {fault: epuaptest.Fault{Status: 302}},
		"no octets":       {fault: epuaptest.Fault{NoContent: true}},
		"other fault":     {fault: epuaptest.Fault{SOAPFault: 500}},
		"request lost":    {fault: epuaptest.Fault{LoseRequest: true}},
		"cut in the head": {fault: epuaptest.Fault{CutAfter: 100}},
		"cut in the file": {fault: epuaptest.Fault{CutAfter: 1_000_000}},
		"bad base64":      {fault: epuaptest.Fault{BadBase64: true}},
		"silence":         {fault: epuaptest.Fault{Delay: time.Hour}},
		"changed":         {change: func(h *house) { h.Change(func(o *epuaptest.Options) { o.Signing = epuaptest.WrongSigned }) }},
		"other signer":    {change: func(h *house) { h.Change(func(o *epuaptest.Options) { o.Signing = epuaptest.OtherSigned }) }},
		"too large":       {change: func(h *house) { h.options.Account.MaxFile = 999_999 }, last: true},
	} {
		for _, mtom := range []bool{false, true} {
			if name == "bad base64" && mtom {
				continue
			}
			t.Run(fmt.Sprint(name, mtom), func(t *testing.T) {
				h := newHouse(t, epuaptest.Options{MTOM: mtom})
				h.options.Account.Pins, h.options.Timeout = []string{h.Pin()}, time.Second
				content := bytes.Repeat([]byte("0123456789"), 100_000)
				h.AddFile("1", epuaptest.StoredFile{Entity: "mopsprzykladowo", Name: "a", MediaType: "b", Content: content})
				if c.change != nil {
					c.change(h)
				}
				r := h.repository(t)
				if c.fault != (epuaptest.Fault{}) {
					h.Inject(c.fault)
				}
				_, err := r.Fetch(context.Background(), "1", io.Discard)
				if err == nil || errors.Is(err, ErrGone) || errors.Is(err, ErrFileTooLarge) != c.last {
					t.Fatalf("%v", err)
				}
				if c.change != nil {
					return
				}
				var b bytes.Buffer
				if _, err := r.Fetch(context.Background(), "1", &b); err != nil || !bytes.Equal(b.Bytes(), content) {
					t.Errorf("after it: %d octets, %v", b.Len(), err)
				}
			})
		}
	}
}

var errFull = errors.New("disk full")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestFetchKeepsErrorsOfTheStore(t *testing.T) {
	h := newHouse(t, epuaptest.Options{})
	h.AddFile("1", epuaptest.StoredFile{Entity: "mopsprzykladowo", Content: []byte(plik)})
	if _, err := h.repository(t).Fetch(context.Background(), "1", full{}); !errors.Is(err, errFull) {
		t.Errorf("%v", err)
	}
}

// TestSampleFiles reads the answers of the sample set.
func TestSampleFiles(t *testing.T) {
	var expected map[string]struct {
		Name   string `json:"filename"`
		SHA256 string `json:"sha256_hex_of_file"`
		Size   int64
	}
	if err := json.Unmarshal(sample(t, "expected.json"), &expected); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"filerepo-download-odpowiedz-base64.xml", "filerepo-download-odpowiedz-mtom.http", "filerepo-download-fault.xml"} {
		raw, media, status := sample(t, name), "text/xml", 200
		if strings.HasSuffix(name, ".http") {
			head, body, _ := bytes.Cut(raw, []byte("\n"))
			media = strings.TrimSpace(strings.TrimPrefix(string(head), "Content-Type:"))
			raw = bytes.TrimLeft(body, "\r\n")
		}
		if strings.Contains(name, "fault") {
			status = 500
		}
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", media)
			w.WriteHeader(status)
			_, _ = w.Write(raw)
		}))
		h := newHouse(t, epuaptest.Options{})
		h.server.Repo = s.URL
		var b bytes.Buffer
		f, err := h.repository(t).Fetch(context.Background(), "77000101", &b)
		s.Close()
		if status == 500 {
			if !errors.Is(err, ErrGone) || !strings.Contains(err.Error(), "404") {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		sum := sha256.Sum256(b.Bytes())
		if e := expected[name]; err != nil || f.Name != e.Name || hex.EncodeToString(sum[:]) != e.SHA256 || int64(b.Len()) != e.Size {
			t.Errorf("%s: %+v, %d octets, %v", name, f, b.Len(), err)
		}
	}
}

// counting measures memory while a file passes.
type counting struct {
	n    int64
	peak uint64
}

func (c *counting) Write(p []byte) (int, error) {
	if c.n/(8<<20) != (c.n+int64(len(p)))/(8<<20) {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		c.peak = max(c.peak, m.HeapInuse)
	}
	c.n += int64(len(p))
	return len(p), nil
}

// TestFetchStreams: a large file costs no memory. SEKRETARIAT_LARGE=1 makes it
// 500 MB.
func TestFetchStreams(t *testing.T) {
	size := int64(48 << 20)
	if os.Getenv("SEKRETARIAT_LARGE") != "" {
		size = 500 << 20
	}
	for _, mtom := range []bool{false, true} {
		h := newHouse(t, epuaptest.Options{MTOM: mtom})
		h.AddFile("1", epuaptest.StoredFile{Entity: "mopsprzykladowo", Name: "film.mp4", Size: size})
		r := h.repository(t)
		runtime.GC()
		var before runtime.MemStats
		runtime.ReadMemStats(&before)
		var c counting
		if _, err := r.Fetch(context.Background(), "1", &c); err != nil || c.n != size {
			t.Errorf("mtom %v: %d octets, %v", mtom, c.n, err)
		}
		if extra := int64(c.peak) - int64(before.HeapInuse); extra > 16<<20 {
			t.Errorf("mtom %v: %d MiB of memory", mtom, extra>>20)
		}
	}
}

func FuzzInline(f *testing.F) {
	f.Add([]byte("--b\r\n\r\n<a><x:Include xmlns:x=\"" + spaceXOP + "\" href=\"cid:1\"/></a>\r\n--b\r\nContent-ID: <1>\r\n\r\nplik\r\n--b--\r\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := inline(bytes.NewReader(body), "b")
		if err != nil {
			return
		}
		out, err := io.ReadAll(r)
		if len(out) > 2*len(body)+1024 {
			t.Fatalf("%d octets became %d, %v", len(body), len(out), err)
		}
	})
}
