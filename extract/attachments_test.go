package extract_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sekretariat"
	"sekretariat/extract"
	"sekretariat/extract/archive"
	"sekretariat/extract/archive/archivetest"
)

// attached makes a mail with attachments.
func attached(files ...archivetest.File) []byte {
	var b bytes.Buffer
	b.WriteString("From: Anna <a@poczta.example>\r\nSubject: Wniosek\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=granica\r\n\r\n" +
		"--granica\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nw załączeniu\r\n")
	for _, f := range files {
		fmt.Fprintf(&b, "--granica\r\nContent-Type: application/octet-stream\r\nContent-Disposition: attachment; filename=\"%s\"\r\nContent-Transfer-Encoding: base64\r\n\r\n", f.Name)
		text := base64.StdEncoding.EncodeToString(f.Content)
		for len(text) > 76 {
			b.WriteString(text[:76] + "\r\n")
			text = text[76:]
		}
		b.WriteString(text + "\r\n")
	}
	b.WriteString("--granica--\r\n")
	return b.Bytes()
}

func readMail(t testing.TB, raw []byte) sekretariat.Reading {
	t.Helper()
	r, err := extract.Direct{Temp: t.TempDir()}.Read(t.Context(), extract.Input{Kind: sekretariat.KindMail, Body: bytes.NewReader(raw)})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func partAt(t testing.TB, r sekretariat.Reading, path string) sekretariat.Part {
	t.Helper()
	for _, p := range r.Parts {
		if p.Path == path {
			return p
		}
	}
	t.Fatalf("no part %s among %d", path, len(r.Parts))
	return sekretariat.Part{}
}

func has(r sekretariat.Reading, code, part, detail string) bool {
	return slices.Contains(r.Findings, sekretariat.Finding{Code: code, Part: part, Detail: detail})
}

// nested is a mail that holds a ZIP that holds a 7z and a mail with a ZIP.
func nested(t testing.TB) (raw []byte, want map[string][]byte) {
	note := archivetest.File{Name: "notatka.txt", Content: []byte("Notatka o pani Kowalskiej.\n")}
	pdf := archivetest.File{Name: "wniosek.pdf", Content: []byte(onePage)}
	seven := archivetest.File{Name: "papiery.7z", Content: archivetest.SevenZip(t, nil, note, pdf)}
	inner := archivetest.File{Name: "dalej.eml", Content: attached(archivetest.File{Name: "skany.zip", Content: archivetest.ZIP(t, pdf)})}
	zip := archivetest.File{Name: "wszystko.zip", Content: archivetest.ZIP(t, seven, archivetest.File{Name: "folder/"}, inner)}
	return attached(zip, note), map[string][]byte{
		"2": zip.Content, "2.1": seven.Content, "2.1.1": note.Content, "2.1.2": pdf.Content, "2.3": inner.Content,
		"2.3.2.1": pdf.Content, "3": note.Content,
	}
}

func TestMembersAreReadLikeAttachments(t *testing.T) {
	raw, want := nested(t)
	r := readMail(t, raw)
	for path, content := range want {
		p := partAt(t, r, path)
		if p.SHA256 != sekretariat.DigestOf(content) || p.Size != int64(len(content)) || p.SafeName == "" || !p.Attachment {
			t.Errorf("part %+v is not the file of %d octets", p, len(content))
		}
	}
	if p := partAt(t, r, "2.1.2"); p.Text == "" || p.Fate != "read" || p.Type != "application/pdf" || p.In != "2.1" || p.SafeName != "wniosek.pdf" {
		t.Errorf("a PDF in a 7z in a ZIP: %+v", p)
	}
	if p := partAt(t, r, "2.3"); p.Fate != "opened" || !strings.Contains(p.Text, "Temat: Wniosek") {
		t.Errorf("a mail in a ZIP: %+v", p)
	}
	if r.Outcome != sekretariat.ReadOK {
		t.Errorf("outcome %s, findings %v", r.Outcome, r.Findings)
	}
	paths := make([]string, len(r.Parts))
	for i, p := range r.Parts {
		paths[i] = p.Path
	}
	if got := strings.Join(paths, " "); got != "1 2 2.1 2.1.1 2.1.2 2.3 2.3.1 2.3.2 2.3.2.1 3" {
		t.Errorf("order of the parts: %s", got)
	}
}

// Every part comes out of a child process with the octets that were listed.
func TestPoolDeliversParts(t *testing.T) {
	p := pool(t, "serve", extract.PoolOptions{})
	raw, want := nested(t)
	r := readMail(t, raw)
	for _, paths := range [][]string{{"2", "2.1", "2.1.1", "2.1.2", "2.3", "2.3.2.1", "3"}, {"2.1.2"}, {"2.3.2.1"}, {"2.3"}, {}} {
		got := map[string][]byte{}
		err := p.Parts(t.Context(), bytes.NewReader(raw), extract.Parts{Reading: r, Want: paths}, func(q sekretariat.Part, body io.Reader) error {
			b, err := io.ReadAll(body)
			got[q.Path] = b
			return err
		})
		if err != nil || len(got) != len(paths) {
			t.Fatalf("%v: %d parts, %v", paths, len(got), err)
		}
		for _, path := range paths {
			if !bytes.Equal(got[path], want[path]) {
				t.Errorf("part %s: %d octets, want %d", path, len(got[path]), len(want[path]))
			}
		}
	}
	mine := errors.New("mine")
	err := p.Parts(t.Context(), bytes.NewReader(raw), extract.Parts{Reading: r, Want: []string{"2.1.2"}}, func(sekretariat.Part, io.Reader) error { return mine })
	if !errors.Is(err, mine) {
		t.Errorf("the caller's error: %v", err)
	}
	if _, err := p.Read(t.Context(), extract.Input{Kind: sekretariat.KindMail, Body: bytes.NewReader(raw)}); err != nil {
		t.Errorf("the pool after that: %v", err)
	}
}

func TestPoolPartsSayWhatIsWrong(t *testing.T) {
	p := pool(t, "serve", extract.PoolOptions{})
	file := archivetest.File{Name: "tajne.txt", Content: []byte("Treść tajna.\n")}
	raw := attached(archivetest.File{Name: "a.zip", Content: archivetest.SevenZip(t, []string{"-tzip", "-ptajne"}, file)})
	r := readMail(t, raw)
	if q := partAt(t, r, "2.1"); q.Fate != "encrypted" || !has(r, extract.FindingEncrypted, "2", "") || r.Outcome != sekretariat.ReadPartial {
		t.Fatalf("an encrypted member: %+v, %v", q, r.Findings)
	}
	for password, want := range map[string]error{"tajne": nil, "": archive.ErrPassword, "inne": archive.ErrPassword} {
		err := p.Parts(t.Context(), bytes.NewReader(raw), extract.Parts{Reading: r, Want: []string{"2.1"}, Password: password}, func(_ sekretariat.Part, body io.Reader) error {
			b, err := io.ReadAll(body)
			if err == nil && !bytes.Equal(b, file.Content) {
				err = fmt.Errorf("other octets: %q", b)
			}
			return err
		})
		if !errors.Is(err, want) {
			t.Errorf("password %q: %v, want %v", password, err, want)
		}
	}
	for _, mode := range []string{"die", "lie"} {
		err := pool(t, mode, extract.PoolOptions{}).Parts(t.Context(), bytes.NewReader(raw), extract.Parts{Reading: r, Want: []string{"2.1"}},
			func(sekretariat.Part, io.Reader) error { return nil })
		if !extract.IsChildFailure(err) {
			t.Errorf("a child that %ss: %v", mode, err)
		}
	}
}

// heapOver returns how far the heap rises while f runs, garbage that is not
// collected yet included.
func heapOver(f func()) uint64 {
	heap := func() uint64 {
		m := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		metrics.Read(m)
		return m[0].Value.Uint64()
	}
	runtime.GC()
	before, most, done := heap(), uint64(0), make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		for tick := time.NewTicker(time.Millisecond); ; {
			select {
			case <-done:
				tick.Stop()
				return
			case <-tick.C:
				most = max(most, heap())
			}
		}
	})
	f()
	close(done)
	watch.Wait()
	return max(most, before) - before
}

// zeros are octets that compress a thousandfold.
func zeros(n int) []byte { return bytes.Repeat([]byte("wniosek "), n/8) }

// Bombs: the letter is read, the archive is not unpacked, the clerk is told.
func TestBombs(t *testing.T) {
	flat := archivetest.ZIP(t, archivetest.File{Name: "a.bin", Content: make([]byte, 64<<20)}, archivetest.File{Name: "b.txt", Content: []byte("b")})
	deep := []byte("Dno.\n")
	for range 10 {
		deep = archivetest.ZIP(t, archivetest.File{Name: "dalej.zip", Content: deep})
	}
	var wide []archivetest.File
	eight := archivetest.ZIP(t, archivetest.File{Name: "a", Content: zeros(8 << 20)})
	for i := range 300 {
		wide = append(wide, archivetest.File{Name: fmt.Sprintf("%03d.zip", i), Content: eight})
	}
	many := make([]archivetest.File, 5000)
	for i := range many {
		many[i] = archivetest.File{Name: fmt.Sprint(i), Content: []byte("x")}
	}
	for _, c := range []struct {
		name, part, detail string
		file               []byte
	}{
		{"flat", "2", "ratio", flat}, {"deep", "2.1.1.1.1", "depth", deep}, {"wide", "", "size", archivetest.ZIP(t, wide...)}, {"many", "2", "count", archivetest.ZIP(t, many...)},
	} {
		t.Run(c.name, func(t *testing.T) {
			raw := attached(archivetest.File{Name: "skany.zip", Content: c.file})
			start := time.Now()
			var r sekretariat.Reading
			extra := heapOver(func() { r = readMail(t, raw) })
			t.Logf("%d octets read in %v, %d kB of memory beside them", len(c.file), time.Since(start), extra>>10)
			if extra > 64<<20 {
				t.Errorf("%d kB of memory", extra>>10)
			}
			found := slices.ContainsFunc(r.Findings, func(f sekretariat.Finding) bool {
				return f.Code == extract.FindingArchive && f.Detail == c.detail && (c.part == "" || f.Part == c.part)
			})
			if !found || r.Outcome != sekretariat.ReadPartial || !strings.Contains(r.Text, "w załączeniu") || len(r.Parts) > sekretariat.MaxParts {
				t.Errorf("outcome %s, %d parts, text %q, findings %v", r.Outcome, len(r.Parts), r.Text, r.Findings)
			}
		})
	}
}

// A file that came by itself may be an archive: a scanner's, an e-delivery's.
func TestArchiveByItself(t *testing.T) {
	raw := archivetest.ZIP(t, archivetest.File{Name: "wniosek.pdf", Content: []byte(onePage)}, archivetest.File{Name: "b.txt", Content: []byte("Treść b.")})
	r, err := extract.Direct{Temp: t.TempDir()}.Read(t.Context(), extract.Input{Name: "paczka.zip", Body: bytes.NewReader(raw)})
	if err != nil || r.Format != archive.TypeZIP || len(r.Parts) != 2 || r.Parts[1].Text != "Treść b." || r.Outcome != sekretariat.ReadOK {
		t.Fatalf("%+v, %v", r, err)
	}
	p := pool(t, "serve", extract.PoolOptions{})
	err = p.Parts(t.Context(), bytes.NewReader(raw), extract.Parts{Reading: r, Want: []string{"2"}}, func(q sekretariat.Part, body io.Reader) error {
		if b, err := io.ReadAll(body); err != nil || string(b) != "Treść b." {
			t.Errorf("part %s: %q, %v", q.Path, b, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// deliverAll takes every listed part out of a letter again and compares it with
// its digest.
func deliverAll(t testing.TB, raw []byte, r sekretariat.Reading) {
	t.Helper()
	ask := extract.Parts{Reading: r}
	for _, p := range r.Parts {
		if p.SHA256 != "" {
			ask.Want = append(ask.Want, p.Path)
		}
	}
	got := 0
	err := extract.Direct{Temp: t.TempDir()}.Deliver(t.Context(), bytes.NewReader(raw), ask, func(p sekretariat.Part, body io.Reader) error {
		got++
		b, err := io.ReadAll(body)
		if err != nil || sekretariat.DigestOf(b) != p.SHA256 || int64(len(b)) != p.Size {
			t.Errorf("part %s %q: %d octets, %v, want %d", p.Path, p.Type, len(b), err, p.Size)
		}
		return nil
	})
	if err != nil || got != len(ask.Want) {
		t.Errorf("%d of %d parts came out, %v", got, len(ask.Want), err)
	}
}
