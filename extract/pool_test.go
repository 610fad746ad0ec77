package extract_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/extract"
)

// childMode makes the test binary a reading process; its value says how it
// behaves.
const childMode = "SEKRETARIAT_TEST_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(childMode) {
	case "serve":
		if err := extract.Serve(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	case "hang":
		select {}
	case "die":
		os.Exit(7)
	case "lie":
		os.Stdout.Write([]byte{0xff, 0xff, 0xff, 0xff, 'x'})
		select {}
	}
	os.Exit(m.Run())
}

func pool(t *testing.T, mode string, o extract.PoolOptions) *extract.Pool {
	t.Helper()
	t.Setenv(childMode, mode)
	o.Command, o.Temp, o.Logger = []string{os.Args[0]}, t.TempDir(), zerolog.Nop()
	p := extract.NewPool(o)
	t.Cleanup(p.Close)
	return p
}

func mailOf(text string) sekretariat.Body {
	return bytes.NewReader([]byte("From: Anna <a@poczta.example>\r\nSubject: Wniosek\r\n\r\n" + text + "\r\n"))
}

func TestPoolReadsLikeDirect(t *testing.T) {
	p := pool(t, "serve", extract.PoolOptions{})
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			in := extract.Input{Kind: sekretariat.KindMail, Body: mailOf(fmt.Sprintf("list numer %d", i))}
			got, err := p.Read(t.Context(), in)
			if err != nil {
				t.Error(err)
				return
			}
			want, err := extract.Direct{}.Read(t.Context(), in)
			if err != nil || got.Text != want.Text || got.Subject != "Wniosek" || !strings.Contains(got.Text, fmt.Sprint(i)) {
				t.Errorf("letter %d: pool read %q, direct %q (%v)", i, got.Text, want.Text, err)
			}
		})
	}
	wg.Wait()
}

// big is a body that is not in memory: a mail with an endless attachment.
type big struct{ size int64 }

const bigHead = "From: a@b.example\r\nSubject: Duzy\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nw zalaczeniu\r\n--x\r\nContent-Type: application/octet-stream\r\nContent-Disposition: attachment; filename=film.bin\r\n\r\n"

func (b big) Size() int64 { return b.size }

func (b big) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for ; n < len(p) && off < b.size; n, off = n+1, off+1 {
		switch {
		case off < int64(len(bigHead)):
			p[n] = bigHead[off]
		case off%64 == 0:
			p[n] = '\n'
		default:
			p[n] = 'A'
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func TestLargeOriginalIsReadFromFile(t *testing.T) {
	p := pool(t, "serve", extract.PoolOptions{})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r, err := p.Read(t.Context(), extract.Input{Kind: sekretariat.KindMail, Body: big{100 << 20}})
	if err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if r.Subject != "Duzy" || len(r.Parts) < 2 {
		t.Errorf("reading of a large mail: subject %q, %d parts, findings %v", r.Subject, len(r.Parts), r.Findings)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 32<<20 {
		t.Errorf("the parent allocated %d octets for a 100 MiB mail", got)
	}
}

// A letter that kills, hangs or confuses its reader becomes a reading that says
// so, and the pool goes on.
func TestLetterThatKillsItsReader(t *testing.T) {
	for _, mode := range []string{"die", "lie", "hang"} {
		t.Run(mode, func(t *testing.T) {
			p := pool(t, mode, extract.PoolOptions{Time: 10 * time.Millisecond})
			r, err := p.Read(t.Context(), extract.Input{Kind: sekretariat.KindMail, Body: mailOf("x")})
			if err != nil {
				t.Fatal(err)
			}
			if r.Outcome != sekretariat.ReadUnreadable || len(r.Findings) != 1 || r.Findings[0].Code != extract.FindingKilled {
				t.Errorf("reading %+v, want unreadable with %s", r, extract.FindingKilled)
			}
		})
	}
}

func TestPoolWithoutProgramIsAnError(t *testing.T) {
	p := extract.NewPool(extract.PoolOptions{Command: []string{"/nonexistent"}, Logger: zerolog.Nop()})
	if _, err := p.Read(t.Context(), extract.Input{Body: mailOf("x")}); err == nil {
		t.Error("no error although no process can be started: the letter would never be read")
	}
}

func TestCancelledReadEnds(t *testing.T) {
	p := pool(t, "hang", extract.PoolOptions{Time: time.Hour})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := p.Read(ctx, extract.Input{Body: mailOf("x")})
		done <- err
	}()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled read: %v", err)
	}
}

func TestDirectReadsWhatItIs(t *testing.T) {
	for _, c := range []struct{ name, content, format, text string }{
		{"notatka.txt", "Pani Kowalska prosi o telefon.\nDPŚ.5120.7.2026\n", "text/plain", "Kowalska"},
		{"strona.html", "<html><body><p>Wniosek o zasi&lstrok;ek</p></body></html>", "text/html", "zasiłek"},
		{"stary.txt", "Pro\xb6ba o zasi\xb3ek", "text/plain", "Prośba o zasiłek"},
		{"list.bin", "Subject: Pismo\r\nFrom: a@b.example\r\n\r\nTresc listu\r\n", "message/rfc822", "Tresc"},
		{"pusty.pdf", "", "application/x-empty", ""},
		{"cos.dat", "\x00\x01\x02", "application/octet-stream", ""},
	} {
		r, err := extract.Direct{Temp: t.TempDir()}.Read(t.Context(), extract.Input{Name: c.name, Body: bytes.NewReader([]byte(c.content))})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if r.Format != c.format || !strings.Contains(r.Text, c.text) || r.Reader == "" || r.Outcome == "" {
			t.Errorf("%s: format %s, text %q, reader %s, outcome %s", c.name, r.Format, r.Text, r.Reader, r.Outcome)
		}
	}
	r, err := extract.Direct{}.Read(t.Context(), extract.Input{Body: bytes.NewReader([]byte("w sprawie DPŚ.5120.7.2026\n"))})
	if err != nil || len(r.CaseNumbers) != 1 {
		t.Errorf("case numbers %v, %v", r.CaseNumbers, err)
	}
}

func TestPDFTextLayer(t *testing.T) {
	if _, err := exec.LookPath("pdftotext"); err != nil {
		t.Skip("pdftotext is not installed (Debian package poppler-utils)")
	}
	r, err := extract.Direct{Temp: t.TempDir()}.Read(t.Context(), extract.Input{Name: "a.pdf", Body: bytes.NewReader([]byte(onePage))})
	if err != nil || r.Format != "application/pdf" || !strings.Contains(r.Text, "Wniosek o pomoc") || len(r.Pages) != 1 {
		t.Errorf("reading of a PDF: %+v, %v", r, err)
	}
	r, err = extract.Direct{Temp: t.TempDir()}.Read(t.Context(), extract.Input{Body: bytes.NewReader([]byte("%PDF-1.4\nnothing more"))})
	if err != nil || r.Outcome != sekretariat.ReadUnreadable || len(r.Findings) == 0 {
		t.Errorf("reading of a broken PDF: %+v, %v", r, err)
	}
}

// onePage is a PDF without a cross-reference table, which poppler mends.
const onePage = `%PDF-1.4
1 0 obj << /Type /Catalog /Pages 2 0 R >> endobj
2 0 obj << /Type /Pages /Kids [3 0 R] /Count 1 >> endobj
3 0 obj << /Type /Page /Parent 2 0 R /MediaBox [0 0 300 300] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >> endobj
4 0 obj << /Length 48 >>
stream
BT /F1 12 Tf 20 200 Td (Wniosek o pomoc) Tj ET  
endstream
endobj
5 0 obj << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> endobj
trailer << /Root 1 0 R >>
%%EOF
`
