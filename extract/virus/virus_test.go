package virus_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sekretariat/extract/archive/archivetest"
	"sekretariat/extract/virus"
	"sekretariat/extract/virus/virustest"
)

func TestRealDaemon(t *testing.T) {
	d := virustest.Start(t)
	s := virus.New(d.Address)
	v, err := s.Ping(t.Context())
	if err != nil || !strings.HasPrefix(v.Program, "ClamAV 1.") || v.Made != nil {
		t.Errorf("version %+v, %v", v, err)
	}
	clean := bytes.Repeat([]byte("Wniosek o zasiłek. "), 10_000)
	for _, c := range []struct {
		name    string
		content []byte
		want    string
	}{
		{"nothing", nil, ""},
		{"clean", clean, ""},
		{"EICAR", virustest.Eicar, virustest.EicarName},
		{"invented, in the middle", append(append(clean, virustest.Invented...), clean...), virustest.InventedName},
		{"in a ZIP", archivetest.ZIP(t, archivetest.File{Name: "a.com", Content: virustest.Eicar}), virustest.EicarName},
	} {
		if got, err := s.Scan(t.Context(), bytes.NewReader(c.content)); err != nil || got != c.want {
			t.Errorf("%s: found %q, %v, want %q", c.name, got, err, c.want)
		}
	}
	if _, err := s.Scan(t.Context(), io.LimitReader(zero{}, virustest.MaxStream+1)); !errors.Is(err, virus.ErrTooLarge) {
		t.Errorf("a large stream: %v", err)
	}
	broken := errors.New("broken")
	if _, err := s.Scan(t.Context(), io.MultiReader(bytes.NewReader(clean), failing{broken})); !errors.Is(err, broken) || errors.Is(err, virus.ErrDown) {
		t.Errorf("content that breaks off: %v", err)
	}
	d.Stop()
	if _, err := s.Scan(t.Context(), bytes.NewReader(clean)); !errors.Is(err, virus.ErrDown) {
		t.Errorf("without a daemon: %v", err)
	}
	d.Start()
	if got, err := s.Scan(t.Context(), bytes.NewReader(virustest.Eicar)); err != nil || got != virustest.EicarName {
		t.Errorf("after its return: %q, %v", got, err)
	}
}

type zero struct{}

func (zero) Read(p []byte) (int, error) { clear(p); return len(p), nil }

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// daemon answers every connection with the same words, after reading the
// command and, for INSTREAM, the stream to its end.
func daemon(t *testing.T, answer string) *virus.Scanner {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				b := make([]byte, 1<<16)
				for n := 0; ; {
					k, err := c.Read(b[n:])
					n += k
					if err != nil || bytes.HasPrefix(b[:n], []byte("zVERSION\x00")) || bytes.HasSuffix(b[:n], []byte{0, 0, 0, 0}) {
						break
					}
				}
				io.WriteString(c, answer)
			}()
		}
	}()
	return virus.New(path)
}

func TestSignaturesHaveAnAge(t *testing.T) {
	v, err := daemon(t, "ClamAV 1.4.6/27500/Mon Nov  2 08:25:01 2026\x00").Ping(t.Context())
	want := time.Date(2026, 11, 2, 8, 25, 1, 0, time.Local)
	if err != nil || v.Program != "ClamAV 1.4.6" || v.Database != 27500 || v.Made == nil || !v.Made.Equal(want) {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	for _, text := range []string{"", "stream: Can't allocate memory ERROR\x00", "COMMAND READ TIMED OUT\x00", "stream: OK or not\x00", "\x00"} {
		if found, err := daemon(t, text).Scan(t.Context(), strings.NewReader("x")); !errors.Is(err, virus.ErrDown) || found != "" {
			t.Errorf("%q: %q, %v: must never pass for clean", text, found, err)
		}
	}
	if found, err := daemon(t, "stream: Zły\x01\nwirus FOUND\x00").Scan(t.Context(), strings.NewReader("x")); err != nil || found != "Zywirus" {
		t.Errorf("a strange name: %q, %v", found, err)
	}
}

func TestCancelledScanEnds(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := virus.New(l.Addr().String()).Scan(ctx, strings.NewReader("x")); err == nil {
		t.Error("a scan that nobody answers ended without an error")
	}
}
