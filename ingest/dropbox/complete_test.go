package dropbox

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// testdata finds the shared test data, or skips.
func testdata(t testing.TB) string {
	t.Helper()
	folder := os.Getenv("SEKRETARIAT_TESTDATA")
	if folder == "" {
		up := "."
		for range 6 {
			if _, err := os.Stat(filepath.Join(up, "go.mod")); err == nil {
				break
			}
			up = filepath.Join(up, "..")
		}
		folder = filepath.Join(up, "..", "shared", "testdata")
	}
	if _, err := os.Stat(folder); err != nil {
		t.Skipf("no test data: set SEKRETARIAT_TESTDATA (%v)", err)
	}
	return folder
}

// known are the formats whose truncation checkComplete notices.
var known = map[string]bool{".pdf": true, ".jpg": true, ".tif": true, ".tiff": true, ".zip": true}

// Real scans are complete, and cut off anywhere they are not.
func TestRealScans(t *testing.T) {
	files := 0
	err := filepath.WalkDir(filepath.Join(testdata(t), "scans"), func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !known[filepath.Ext(p)] {
			return err
		}
		if strings.Contains(p, "/malformed/") || strings.Contains(p, "/tiff-bad/") {
			return nil // broken by construction, in ways of their own
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		files++
		if err := checkComplete(bytes.NewReader(b), int64(len(b)), p); err != nil {
			t.Errorf("%s: %v", p, err)
		}
		for _, n := range []int{len(b) / 10, len(b) / 4, len(b) / 2, len(b) * 3 / 4, len(b) * 99 / 100} {
			if err := checkComplete(bytes.NewReader(b[:n]), int64(n), p); !errors.Is(err, errIncomplete) {
				t.Errorf("%s cut to %d of %d octets: %v", p, n, len(b), err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files == 0 {
		t.Fatal("no scans found")
	}
	t.Logf("%d files", files)
}

// makeZIP makes a ZIP with a comment.
func makeZIP(t testing.TB, comment string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.Create("pismo.txt")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("Dzień dobry")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.SetComment(comment), w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// makeTIFF makes a TIFF of pages with one strip each. The directories come
// first, as many scanners write them, so only the strips' places tell that the
// end is missing.
func makeTIFF(order binary.ByteOrder, big bool, pages int) []byte {
	head, entry, word := 8, 12, 4
	if big {
		head, entry, word = 16, 20, 8
	}
	count := 2
	if big {
		count = 8
	}
	dir := count + 2*entry + word
	const strip = 500
	b := make([]byte, head+pages*dir+pages*strip)
	put := func(at int, v uint64) {
		if big {
			order.PutUint64(b[at:], v)
		} else {
			order.PutUint32(b[at:], uint32(v))
		}
	}
	copy(b, "MM")
	if order == binary.LittleEndian {
		copy(b, "II")
	}
	if big {
		order.PutUint16(b[2:], 43)
		order.PutUint16(b[4:], 8)
		put(8, uint64(head))
	} else {
		order.PutUint16(b[2:], 42)
		put(4, uint64(head))
	}
	for p := range pages {
		at := head + p*dir
		if big {
			order.PutUint64(b[at:], 2)
		} else {
			order.PutUint16(b[at:], 2)
		}
		for i, v := range []int{head + pages*dir + p*strip, strip} {
			e := at + count + i*entry
			order.PutUint16(b[e:], []uint16{tagStripOffsets, tagStripByteCounts}[i])
			order.PutUint16(b[e+2:], 4)
			if big {
				order.PutUint64(b[e+4:], 1)
				order.PutUint32(b[e+12:], uint32(v))
			} else {
				order.PutUint32(b[e+4:], 1)
				order.PutUint32(b[e+8:], uint32(v))
			}
		}
		if p+1 < pages {
			put(at+count+2*entry, uint64(at+dir))
		}
	}
	return b
}

func TestComplete(t *testing.T) {
	linear := "%PDF-1.4\n1 0 obj\n<< /Linearized 1 /L 5000 /H [ 1 2 ] >>\nendobj\nxref\n0 1\ntrailer\n<<>>\nstartxref\n56\n%%EOF\n"
	for name, c := range map[string]struct {
		body     []byte
		name     string
		complete bool
	}{
		"empty":                   {nil, "a.txt", false},
		"zeros":                   {make([]byte, 5000), "a.txt", false},
		"plain text":              {[]byte("Dzień dobry"), "a.txt", true},
		"unknown":                 {[]byte{1, 2, 3}, "a.xyz", true},
		"text named pdf":          {[]byte("jeszcze nie"), "A.PDF", false},
		"jpeg named pdf":          {[]byte("\xff\xd8\xff\xe0xxxx\xff\xd9"), "a.pdf", true},
		"jpeg padded":             {[]byte("\xff\xd8\xff\xe0xxxx\xff\xd9\x00\x00\r\n"), "a.jpg", true},
		"jpeg cut":                {[]byte("\xff\xd8\xff\xe0xxxx\xff"), "a.jpg", false},
		"pdf behind junk":         {[]byte("junk\n%PDF-1.4\nxref\n0 0\ntrailer\n<<>>\nstartxref\n9\n%%EOF"), "a.pdf", true},
		"pdf with xref stream":    {[]byte("%PDF-1.5\n7 0 obj\n<< /Type /XRef >>\nstartxref\n9\n%%EOF\n"), "a.pdf", true},
		"pdf, offset a bit off":   {[]byte("%PDF-1.4\n%xxxxxxxxxxxx\nxref\n0 0\nstartxref\n9\n%%EOF\n"), "a.pdf", true},
		"pdf without xref":        {[]byte("%PDF-1.4\nno table here\nstartxref\n9\n%%EOF\n"), "a.pdf", false},
		"pdf with a hole":         {[]byte("%PDF-1.4\n" + strings.Repeat("\x00", 4000) + "\nstartxref\n3000\n%%EOF\n"), "a.pdf", false},
		"pdf pointing far":        {[]byte("%PDF-1.4\nxref\nstartxref\n99999999999999\n%%EOF\n"), "a.pdf", false},
		"pdf without number":      {[]byte("%PDF-1.4\nxref\nstartxref\nabc\n%%EOF\n"), "a.pdf", false},
		"linearized, first part":  {[]byte(linear), "a.pdf", false},
		"zip":                     {makeZIP(t, ""), "a.zip", true},
		"zip with a comment":      {makeZIP(t, strings.Repeat("komentarz ", 500)), "a.zip", true},
		"zip, comment cut":        {makeZIP(t, strings.Repeat("komentarz ", 500))[:500], "a.zip", false},
		"zip cut":                 {makeZIP(t, "")[:60], "a.docx", false},
		"tiff, little":            {makeTIFF(binary.LittleEndian, false, 3), "a.tif", true},
		"tiff, big":               {makeTIFF(binary.BigEndian, false, 3), "a.tif", true},
		"bigtiff":                 {makeTIFF(binary.LittleEndian, true, 3), "a.tif", true},
		"tiff without pages":      {[]byte("II*\x00\x00\x00\x00\x00"), "a.tif", false},
		"tiff, header cut":        {[]byte("II*\x00\x08"), "a.tif", false},
		"tiff pointing to itself": {[]byte("II*\x00\x08\x00\x00\x00\x00\x00\x08\x00\x00\x00"), "a.tif", true},
	} {
		t.Run(name, func(t *testing.T) {
			err := checkComplete(bytes.NewReader(c.body), int64(len(c.body)), c.name)
			if (err == nil) != c.complete || err != nil && !errors.Is(err, errIncomplete) {
				t.Errorf("complete %v, error %v", c.complete, err)
			}
		})
	}
}

// However a file is cut off, no part of it is complete.
func TestEveryCutIsNoticed(t *testing.T) {
	for name, b := range map[string][]byte{
		"tiff": makeTIFF(binary.LittleEndian, false, 4), "bigtiff": makeTIFF(binary.BigEndian, true, 4), "zip": makeZIP(t, "x"),
	} {
		for n := range len(b) {
			if err := checkComplete(bytes.NewReader(b[:n]), int64(n), "a."+name); !errors.Is(err, errIncomplete) && n > 0 {
				if n < 4 && name == "bigtiff" {
					continue // too short to be known as one
				}
				t.Fatalf("%s cut to %d of %d: %v", name, n, len(b), err)
			}
		}
	}
}

// Reading errors are no verdict on the file.
func TestReadError(t *testing.T) {
	broken := errors.New("input/output error")
	err := checkComplete(failingAt{broken}, 5000, "a.pdf")
	if !errors.Is(err, broken) || errors.Is(err, errIncomplete) {
		t.Errorf("error %v", err)
	}
}

type failingAt struct{ err error }

func (f failingAt) ReadAt([]byte, int64) (int, error) { return 0, f.err }

func TestIgnored(t *testing.T) {
	for name, want := range map[string]bool{
		"skan.pdf": false, "Skan 0001.PDF": false, "bez rozszerzenia": false, "a.tmp.pdf": false, "do~ne.pdf": false,
		".DS_Store": true, "._skan.pdf": true, ".hidden": true, "~$list.docx": true, "list.docx~": true, "Thumbs.db": true,
		"desktop.ini": true, "DESKTOP.INI": true, "skan.TMP": true, "skan.pdf.part": true, "x.filepart": true, "@eaDir": true, "y.crdownload": true,
	} {
		if ignored(name) != want {
			t.Errorf("ignored(%q) = %v, want %v", name, !want, want)
		}
	}
}

func TestBackoffIsBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		step := time.Duration(rapid.Int64Range(2, int64(time.Second)).Draw(t, "step"))
		d := backoff(step, rapid.IntRange(0, 1000).Draw(t, "tries"))
		if d <= 0 || d > longestBackoff {
			t.Fatalf("pause of %v", d)
		}
	})
}

func FuzzComplete(f *testing.F) {
	f.Add(makeTIFF(binary.LittleEndian, false, 2), "a.tif")
	f.Add(makeTIFF(binary.BigEndian, true, 2), "a.tif")
	f.Add(makeZIP(f, "x"), "a.zip")
	f.Add([]byte("%PDF-1.4\nxref\n0 0\ntrailer\n<<>>\nstartxref\n9\n%%EOF"), "a.pdf")
	f.Fuzz(func(t *testing.T, b []byte, name string) {
		if err := checkComplete(bytes.NewReader(b), int64(len(b)), name); err != nil && !errors.Is(err, errIncomplete) {
			t.Errorf("a file in memory gave a read error: %v", err)
		}
	})
}
