package tnef

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sekretariat/extract/mapi"
	"sekretariat/extract/tnef/tneftest"
)

func sample() []byte {
	b := tneftest.New()
	b.Attribute(1, 0x00018004, []byte("Wniosek o zasi\xb3ek\x00"))
	b.Attribute(1, 0x00069003, tneftest.Props(
		tneftest.Prop(mapi.Body, mapi.TypeString8, []byte("Tre\x9c\xe6 wniosku.\x00")),
		tneftest.Prop(0x8001, mapi.TypeInt32, append(append(make([]byte, 16), append(tneftest.Int(0), tneftest.Int(0x820d)...)...), tneftest.Int(7)...)),
		tneftest.Prop(mapi.SubmitTime, mapi.TypeTime, binary.LittleEndian.AppendUint64(nil, 0x01d6bbf3_00000000)),
	))
	b.Attach("PODANI~1.PDF", "Podanie – żłobek.pdf", []byte("%PDF-1.4 podanie"))
	b.Attach("zdj.jpg", "zdjęcie.jpg", bytes.Repeat([]byte("\xff\xd8x"), 40_000))
	inner := tneftest.New()
	inner.Attach("w.txt", "wewnętrzny.txt", []byte("w środku"))
	b.Attribute(levelAttachment, 0x00069002, make([]byte, 14))
	b.Attribute(levelAttachment, 0x00069005, tneftest.Props(
		tneftest.Prop(mapi.AttachMethod, mapi.TypeInt32, tneftest.Int(mapi.EmbeddedMessage)),
		tneftest.Prop(mapi.AttachData, mapi.TypeObject, append([]byte(embedded), inner.Bytes()...)),
		tneftest.Prop(mapi.DisplayName, mapi.TypeUnicode, tneftest.Wide("Przekazana wiadomość")),
	))
	return b.Bytes()
}

// files reads a stream and what its attachments hold.
func files(t testing.TB, b []byte) (*mapi.Message, map[int][]byte) {
	t.Helper()
	got := map[int]*bytes.Buffer{}
	m, err := Read(bytes.NewReader(b), func(i int) io.Writer {
		got[i] = &bytes.Buffer{}
		return got[i]
	})
	if err != nil {
		t.Fatal(err)
	}
	out := map[int][]byte{}
	for i, buf := range got {
		out[i] = buf.Bytes()
		again, err := io.ReadAll(Open(bytes.NewReader(b), i))
		if err != nil && m.Broken == "" || !bytes.Equal(again, buf.Bytes()) {
			t.Fatalf("attachment %d: %d octets again, %d before (%v)", i, len(again), buf.Len(), err)
		}
		if m.Attachments[i].Size != int64(buf.Len()) {
			t.Fatalf("attachment %d: size %d, %d octets", i, m.Attachments[i].Size, buf.Len())
		}
	}
	return m, out
}

func TestRead(t *testing.T) {
	m, got := files(t, sample())
	if m.Broken != "" || m.Cut || len(m.Attachments) != 3 {
		t.Fatalf("%+v", m)
	}
	if s := m.Props.Text(mapi.Subject); s != "Wniosek o zasiłek" {
		t.Errorf("subject %q", s)
	}
	if s := m.Props.Text(mapi.Body); s != "Treść wniosku." {
		t.Errorf("body %q", s)
	}
	if at := m.Props.Time(mapi.SubmitTime); at.Year() != 2020 {
		t.Errorf("submitted %v", at)
	}
	for i, want := range []string{"Podanie – żłobek.pdf", "zdjęcie.jpg", "Przekazana wiadomość"} {
		if name := m.Attachments[i].Name(); name != want {
			t.Errorf("attachment %d: %q, want %q", i, name, want)
		}
	}
	if string(got[0]) != "%PDF-1.4 podanie" || len(got[1]) != 120_000 || !m.Attachments[2].Message {
		t.Errorf("%.30q, %d octets, %+v", got[0], len(got[1]), m.Attachments[2])
	}
	inner, deeper := files(t, got[2])
	if len(inner.Attachments) != 1 || inner.Attachments[0].Name() != "wewnętrzny.txt" || string(deeper[0]) != "w środku" {
		t.Errorf("inner %+v", inner)
	}
}

// TestAgainstTool: the independent program of Debian's package tnef finds the
// same files in what the builder of these tests writes.
func TestAgainstTool(t *testing.T) {
	if _, err := exec.LookPath("tnef"); err != nil {
		t.Skip("tnef is not installed: apt-get install tnef")
	}
	dir := t.TempDir()
	b := tneftest.New()
	b.Attach("a.txt", "a.txt", []byte("pierwszy"))
	b.Attach("b.bin", "b.bin", bytes.Repeat([]byte{0, 1, 2}, 5000))
	in := filepath.Join(dir, "winmail.dat")
	if err := os.WriteFile(in, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("tnef", "-f", in, "-C", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	m, got := files(t, b.Bytes())
	for i := range m.Attachments {
		theirs, err := os.ReadFile(filepath.Join(dir, m.Attachments[i].Name()))
		if err != nil || !bytes.Equal(theirs, got[i]) {
			t.Errorf("%s: %d octets, theirs %d (%v)", m.Attachments[i].Name(), len(got[i]), len(theirs), err)
		}
	}
}

// TestCutOff: wherever the stream ends, what came before is there and the
// break is told.
func TestCutOff(t *testing.T) {
	whole := sample()
	for n := 0; n < len(whole); n += 1 + n/50 {
		m, _ := files(t, whole[:n])
		if m.Broken == "" && n > 60 && !boundary(whole, n) {
			t.Errorf("%d of %d octets: not told", n, len(whole))
		}
	}
}

// boundary tells whether an attribute ends at n.
func boundary(b []byte, n int) bool {
	at := 6
	for at < n {
		at += attributeHeader + int(binary.LittleEndian.Uint32(b[at+5:])) + checksumOfLength
	}
	return at == n
}

func TestErrorOfStream(t *testing.T) {
	r := io.MultiReader(bytes.NewReader(sample()[:500]), failing{})
	if _, err := Read(r, nil); !errors.Is(err, errDisk) {
		t.Fatalf("got %v", err)
	}
}

var errDisk = errors.New("disk")

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errDisk }

// TestBombs: counts and lengths that lie cost no memory and no time.
func TestBombs(t *testing.T) {
	head := string(tneftest.New().Bytes())
	attr := func(level byte, id int, n int, data string) string {
		return string(level) + string(tneftest.Int(id)) + string(tneftest.Int(n)) + data
	}
	for name, s := range map[string]string{
		"null values":   head + attr(1, 0x69003, 1<<30, string(tneftest.Int(1))+string(tneftest.Int(0x1001))+string(tneftest.Int(-1))),
		"properties":    head + attr(1, 0x69003, 1<<30, string(tneftest.Int(-1))+strings.Repeat(string(tneftest.Int(0x00030003))+"abcd", 1<<17)),
		"attachments":   head + strings.Repeat(attr(2, 0x69002, 0, "\x00\x00"), 1<<17),
		"recipients":    head + attr(1, 0x69004, 1<<30, string(tneftest.Int(-1))+strings.Repeat(string(tneftest.Int(1))+string(tneftest.Int(0x00030003))+"abcd", 1<<17)),
		"long property": head + attr(1, 0x69003, 1<<30, string(tneftest.Int(1))+string(tneftest.Int(0x1000001f))+string(tneftest.Int(1))+string(tneftest.Int(1<<29))+strings.Repeat("x", 1<<20)),
	} {
		start := time.Now()
		m, err := Read(strings.NewReader(s), nil)
		if err != nil || !m.Cut && m.Broken == "" {
			t.Errorf("%s: %v, broken %q", name, err, m.Broken)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%s took %v", name, took)
		}
	}
}

func TestDamaged(t *testing.T) {
	whole := sample()
	rapid.Check(t, func(rt *rapid.T) {
		b := bytes.Clone(whole)
		for range rapid.IntRange(1, 6).Draw(rt, "changes") {
			b[rapid.IntRange(0, len(b)-1).Draw(rt, "at")] = rapid.Byte().Draw(rt, "octet")
		}
		files(t, b)
	})
}

func FuzzRead(f *testing.F) {
	f.Add(sample())
	f.Add(tneftest.New().Bytes())
	f.Fuzz(func(t *testing.T, b []byte) { files(t, b) })
}
