package mail

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"sekretariat"
	"sekretariat/extract/tnef/tneftest"
)

// fataler is a test or a rapid check.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// workPerOctet bounds what one octet may cost: it is given to at most nine
// open messages and a body, raw and decoded, once more to the opaque rest, and
// passes scanners of messages in encoded parts.
const (
	workPerOctet = 64
	workAlways   = 64 << 10
)

// mustRead reads a message and checks what must hold for every message.
func mustRead(t fataler, body octets) (sekretariat.Reading, int64) {
	t.Helper()
	r, err := read(context.Background(), body, Options{}.limits())
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	out := r.finish()
	if limit := workPerOctet*body.Size() + workAlways; r.work > limit {
		t.Fatalf("%d octets cost %d, more than %d", body.Size(), r.work, limit)
	}
	checkLimits(t, out)
	checkRanges(t, body, out.Parts)
	for _, p := range out.Parts {
		h := sha256.New()
		n, err := io.Copy(h, OpenPart(body, p))
		if err != nil {
			t.Fatalf("open part %s: %v", p.Path, err)
		}
		if got := hex.EncodeToString(h.Sum(nil)); n != p.Size || got != string(p.SHA256) {
			t.Fatalf("part %s (%s, %d+%d): %d octets %s again, listed %d octets %s", p.Path, p.Encoding, p.Offset, p.Length, n, got, p.Size, p.SHA256)
		}
	}
	return out, r.work
}

func checkLimits(t fataler, r sekretariat.Reading) {
	t.Helper()
	if len(r.Parts) > sekretariat.MaxParts || len(r.Findings) > sekretariat.MaxFindings || len(r.Recipients) > maxRecipients || len(r.References) > maxReferences {
		t.Fatalf("limits: %d parts, %d findings, %d recipients, %d references", len(r.Parts), len(r.Findings), len(r.Recipients), len(r.References))
	}
	all := 0
	for _, s := range append([]string{r.Text, r.Subject, r.Sender.Name, r.Sender.Email, r.MessageID}, partStrings(r.Parts)...) {
		if !utf8.ValidString(s) || len(s) > sekretariat.MaxText {
			t.Fatalf("string of %d octets is too long or no UTF-8: %.100q", len(s), s)
		}
		all += len(s)
	}
	if all > 20*sekretariat.MaxText {
		t.Fatalf("%d octets of text are kept", all)
	}
	for _, f := range r.Findings {
		if f.Code == "" || !utf8.ValidString(f.Detail) || len(f.Detail) > maxDetail {
			t.Fatalf("finding %+v", f)
		}
	}
}

func partStrings(parts []sekretariat.Part) []string {
	var all []string
	for _, p := range parts {
		all = append(all, p.Name, p.SafeName, p.Declared, p.Type, p.Charset, p.ContentID, p.Encoding, p.Text)
	}
	return all
}

// checkRanges: parts lie inside the message, and only a part inside another
// one shares octets with it; the opaque rest may share them with what was
// still open when the limit was reached.
func checkRanges(t fataler, body octets, parts []sekretariat.Part) {
	t.Helper()
	var plain []sekretariat.Part
	paths := map[string]bool{}
	for _, p := range parts {
		if p.Offset < 0 || p.Length < 0 || p.Offset+p.Length > body.Size() {
			t.Fatalf("part %s lies at %d+%d in %d octets", p.Path, p.Offset, p.Length, body.Size())
		}
		if paths[p.Path] || p.Path == "" {
			t.Fatalf("path %q twice or empty", p.Path)
		}
		paths[p.Path] = true
		if p.Fate == "" || p.Type == "" {
			t.Fatalf("part %s: fate %q, type %q", p.Path, p.Fate, p.Type)
		}
		checkSafe(t, p.SafeName)
		if !strings.Contains(p.Encoding, "/") && p.Length > 0 && !(p.Fate == "limit" && p.Declared == "application/octet-stream") {
			plain = append(plain, p)
		}
	}
	sort.SliceStable(plain, func(i, j int) bool { return plain[i].Offset < plain[j].Offset })
	var open []sekretariat.Part
	for _, p := range plain {
		for len(open) > 0 && open[len(open)-1].Offset+open[len(open)-1].Length <= p.Offset {
			open = open[:len(open)-1]
		}
		if len(open) > 0 {
			outer := open[len(open)-1]
			if !strings.HasPrefix(p.Path, outer.Path+".") || p.Offset+p.Length > outer.Offset+outer.Length {
				t.Fatalf("part %s at %d+%d overlaps %s at %d+%d", p.Path, p.Offset, p.Length, outer.Path, outer.Offset, outer.Length)
			}
		}
		open = append(open, p)
	}
}

func checkSafe(t fataler, name string) {
	t.Helper()
	if name == "" || len(name) > maxSafeName || strings.ContainsAny(name, `/\:*?"<>|`) || strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".") ||
		strings.ContainsFunc(name, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }) || oddName(name) {
		t.Fatalf("name %q is not safe", name)
	}
}

// TestInvariantsOnCorpus reads every file of the open set.
func TestInvariantsOnCorpus(t *testing.T) {
	dir := testdata(t)
	files, most := 0, 0.0
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		_, work := mustRead(t, body)
		if per := float64(work) / float64(len(body)+1000); per > most {
			most = per
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d files, work at most %.1f per octet", files, most)
}

// bomb is a hostile message that can be made in any size.
type bomb struct {
	name string
	make func(n int) []byte
	n    int
}

const bombHeader = "From: a@b.example\r\nSubject: bomba\r\n"

func repeatf(n int, format func(i int) string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(format(i))
	}
	return b.String()
}

var bombs = []bomb{
	{"unclosed levels", func(n int) []byte {
		return []byte(bombHeader + repeatf(n, func(i int) string {
			return fmt.Sprintf("Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
		}))
	}, 5000},
	{"unclosed levels and a body", func(n int) []byte {
		return []byte(bombHeader + repeatf(n, func(i int) string {
			return fmt.Sprintf("Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
		}) +
			"\r\n" + strings.Repeat("-- treść\r\n", 20*n))
	}, 1000},
	{"closed levels", func(n int) []byte {
		return []byte(bombHeader + repeatf(n, func(i int) string {
			return fmt.Sprintf("Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
		}) +
			"\r\ntreść\r\n" + repeatf(n, func(i int) string { return fmt.Sprintf("--b%d--\r\n", n-1-i) }))
	}, 1000},
	{"one boundary at all levels", func(n int) []byte {
		return []byte(bombHeader + strings.Repeat("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n", n) + "\r\ntreść\r\n" + strings.Repeat("--b--\r\n", n))
	}, 1000},
	{"parts", func(n int) []byte {
		return []byte(bombHeader + "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n\r\nx\r\n", n) + "--b--\r\n")
	}, 10000},
	{"empty multiparts", func(n int) []byte {
		return []byte(bombHeader + "Content-Type: multipart/mixed; boundary=b\r\n\r\n" +
			strings.Repeat("--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c--\r\n", n) + "--b--\r\n")
	}, 5000},
	{"messages in messages", func(n int) []byte {
		return []byte(bombHeader + strings.Repeat("Content-Type: message/rfc822\r\n\r\nSubject: x\r\n", n) + "\r\ntreść\r\n")
	}, 300},
	{"messages side by side", func(n int) []byte {
		return []byte(bombHeader + "Content-Type: multipart/digest; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n\r\nSubject: x\r\nFrom: \"\"\"(((<<\r\n\r\ny\r\n", n))
	}, 5000},
	{"fields", func(n int) []byte {
		return []byte(bombHeader + strings.Repeat("Cc:\r\nX: y\r\n", n) + "\r\ntreść")
	}, 20000},
	{"one field", func(n int) []byte { return []byte(bombHeader + "X: " + strings.Repeat("y", n) + "\r\n\r\ntreść") }, 200_000},
	{"folds", func(n int) []byte {
		return []byte(bombHeader + "X: " + strings.Repeat("\r\n y", n) + "\r\n\r\ntreść")
	}, 50_000},
	{"parameter sections", func(n int) []byte {
		return []byte(bombHeader + "Content-Disposition: attachment" + repeatf(n, func(i int) string { return fmt.Sprintf(";\r\n filename*%d*=%%C5%%82", i) }) + "\r\n\r\nx")
	}, 3000},
	{"addresses", func(n int) []byte {
		return []byte(bombHeader + "To: " + repeatf(n, func(i int) string { return fmt.Sprintf("a%d@b.example,\r\n ", i) }) + "\r\n\r\nx")
	}, 5000},
	{"broken addresses", func(n int) []byte {
		return []byte("From: " + strings.Repeat(`"\<(:=?a?Q?`, n) + "\r\nSubject: " + strings.Repeat("=?a?Q?b?", n) + "\r\nDate: " + strings.Repeat("(", n) + "\r\n\r\nx")
	}, 6000},
	{"dashes", func(n int) []byte {
		return []byte(bombHeader + "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n" + strings.Repeat("--\n-\n--c--\n", n))
	}, 20000},
	{"encoded messages", func(n int) []byte {
		inner := []byte("Subject: x\r\n\r\n" + strings.Repeat("--y\r\n", n))
		for range 10 {
			inner = []byte("Subject: x\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n" + b64(inner))
		}
		return inner
	}, 2000},
	{"tiny pieces into an encoded message", func(n int) []byte {
		return []byte(bombHeader + "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n" + strings.Repeat("QQ\r\n--\r\n", n))
	}, 20000},
	{"uuencode", func(n int) []byte {
		return []byte(bombHeader + "\r\n" + strings.Repeat("begin 644 x\n#86)C\n`\nend\n", n))
	}, 3000},
	{"uuencode never begun", func(n int) []byte {
		return []byte(bombHeader + "\r\n" + strings.Repeat("begin 644 x\n", n))
	}, 20000},
	{"html", func(n int) []byte {
		return []byte(bombHeader + "Content-Type: text/html\r\n\r\n" + strings.Repeat("<div style='display:none'><p>", n))
	}, 20000},
	{"cr only", func(n int) []byte { return []byte(bombHeader + "\r\n" + strings.Repeat("\r", n)) }, 100_000},
}

func b64(b []byte) string {
	var out strings.Builder
	for len(b) > 0 {
		n := min(57, len(b))
		out.WriteString(base64Of(b[:n]) + "\r\n")
		b = b[n:]
	}
	return out.String()
}

// TestBombs: the work per octet does not grow with the size.
func TestBombs(t *testing.T) {
	for _, b := range bombs {
		small, large := octets(b.make(b.n/4)), octets(b.make(b.n))
		_, w1 := mustRead(t, small)
		out, w2 := mustRead(t, large)
		before, after := float64(w1)/float64(len(small)), float64(w2)/float64(len(large))
		t.Logf("%-36s %8d octets, %5.2f per octet (%5.2f at a quarter), %d parts, %s", b.name, len(large), after, before, len(out.Parts), out.Outcome)
		if after > 2*before+1 {
			t.Errorf("%s: work per octet grows from %.2f to %.2f", b.name, before, after)
		}
	}
}

// TestBombsMemory: all that a bomb makes the reader allocate, freed or not, is
// less than what a letter may cost, and its finding says what was not read.
func TestBombsMemory(t *testing.T) {
	const most = 64 << 20
	tell := map[string]string{
		"parts": FindingPartsLimit, "closed levels": FindingLevelsLimit, "messages in messages": FindingMessagesLimit, "fields": FindingHeaderCut,
		"one field": FindingHeaderCut, "addresses": FindingRecipientsCut, "parameter sections": FindingParametersCut, "wrapped": FindingUnwrapLimit,
	}
	all := append(slices.Clone(bombs),
		bomb{"deep html", func(n int) []byte {
			return []byte(bombHeader + "Content-Type: text/html\r\n\r\n" + strings.Repeat("<div>", n) + "treść" + strings.Repeat("</div>", n))
		}, 200_000},
		bomb{"wrapped", func(n int) []byte {
			b := tneftest.New()
			for range n {
				b.Attach("w.dat", "w.dat", winmail())
			}
			return attached("x", "Content-Type: application/ms-tnef\n", b.Bytes())
		}, 250},
	)
	for _, b := range all {
		body := octets(b.make(b.n))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		r, err := Read(context.Background(), body, Options{})
		took := time.Since(start)
		runtime.ReadMemStats(&after)
		if err != nil {
			t.Fatal(err)
		}
		used := after.TotalAlloc - before.TotalAlloc
		t.Logf("%-36s %8d octets, %6d kB allocated, %v", b.name, len(body), used>>10, took.Round(time.Millisecond))
		if used > most {
			t.Errorf("%s: %d kB allocated", b.name, used>>10)
		}
		if code := tell[b.name]; code != "" && !has(r, code) {
			t.Errorf("%s: no finding %s in %v", b.name, code, r.Findings)
		}
	}
}

// TestPartsLimit: a thousand parts, the last of which is all the rest.
func TestPartsLimit(t *testing.T) {
	body := octets(bombs[4].make(10_000))
	r, _ := mustRead(t, body)
	last := r.Parts[len(r.Parts)-1]
	if len(r.Parts) != sekretariat.MaxParts || last.Fate != "limit" || last.Offset+last.Length != body.Size() || r.Outcome != sekretariat.ReadPartial {
		t.Fatalf("%d parts, last %+v, outcome %s", len(r.Parts), last, r.Outcome)
	}
	if !has(r, FindingPartsLimit) {
		t.Fatalf("findings %v", r.Findings)
	}
	rest, err := io.ReadAll(OpenPart(body, last))
	if want := sekretariat.MaxParts - 1; err != nil || bytes.Count(rest, []byte("--b\r\n")) != 10_000-want-1 {
		t.Fatalf("the rest holds %d delimiters: %v", bytes.Count(rest, []byte("--b\r\n")), err)
	}
}

func has(r sekretariat.Reading, code string) bool {
	for _, f := range r.Findings {
		if f.Code == code {
			return true
		}
	}
	return false
}

// FuzzRead: no panic, linear work, every octet of every part reachable.
func FuzzRead(f *testing.F) {
	if dir := os.Getenv("SEKRETARIAT_TESTDATA"); dir != "" {
		seeds, _ := filepath.Glob(filepath.Join(dir, "mail", "*", "*.eml"))
		for _, s := range seeds {
			if b, err := os.ReadFile(s); err == nil && len(b) < 20_000 {
				f.Add(b)
			}
		}
	}
	for _, b := range bombs {
		f.Add(b.make(3))
	}
	for _, s := range samples {
		f.Add([]byte(s))
	}
	f.Add([]byte(attached("x", "Content-Type: application/ms-tnef; name=winmail.dat\n", winmail())))
	f.Add([]byte(attached("x", "Content-Type: application/vnd.ms-outlook; name=a.msg\n", outlookMessage())))
	f.Fuzz(func(t *testing.T, b []byte) { mustRead(t, b) })
}
