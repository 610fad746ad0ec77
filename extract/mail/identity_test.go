package mail

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sekretariat"
)

func identity(parts ...[]byte) sekretariat.Digest {
	var h IdentityHasher
	for _, p := range parts {
		h.Write(p)
	}
	return h.Digest()
}

func sum(s string) sekretariat.Digest {
	return sekretariat.Digest(fmt.Sprintf("%x", sha256.Sum256([]byte(s))))
}

// TestIdentityContract fixes the contract by examples. None of these may ever
// change: every submission id of every mail depends on them.
func TestIdentityContract(t *testing.T) {
	const rest = "From: jan@poczta.example\r\nReceived: inside\r\n\r\nTreść\r\n"
	for name, c := range map[string]struct{ in, want string }{
		"nothing on top":  {rest, rest},
		"trace on top":    {"Return-Path: <a@b>\r\nReceived: from x\r\n\tby y;\r\n  now\r\nDELIVERED-TO : z\r\n" + rest, rest},
		"line ends":       {"Received: x\n y\r" + strings.ReplaceAll(rest, "\r\n", "\n"), rest},
		"cr only":         {"Received: x\r" + strings.ReplaceAll(rest, "\r\n", "\r"), rest},
		"mbox":            {"From jan@poczta.example Mon Nov 16 09:12:44 2020\nX-Spam-Status: No\n" + rest, rest},
		"mbox not first":  {"Received: x\r\nFrom jan x\r\n" + rest, "From jan x\r\n" + rest},
		"no mbox":         {"From : jan@poczta.example\r\n\r\n", "From : jan@poczta.example\r\n\r\n"},
		"prefixes":        {"ARC-Seal: i=1\r\nX-Rspamd-Queue-Id: 1\r\nx-virus-scanned: y\r\n" + rest, rest},
		"leading fold":    {" folded: x\r\n" + rest, " folded: x\r\n" + rest},
		"fold after mbox": {"From x\r\n y\r\n" + rest, " y\r\n" + rest},
		"blank first":     {"\r\nReceived: x\r\n", "\r\nReceived: x\r\n"},
		"long name":       {"X-Spam-" + strings.Repeat("x", 57) + ": y\r\n" + rest, rest},
		"too long a name": {"X-Spam-" + strings.Repeat("x", 58) + ": y\r\n", "X-Spam-" + strings.Repeat("x", 58) + ": y\r\n"},
		"no colon":        {"Received\r\n", "Received\r\n"},
		"no end":          {"Received: x\r\nReceiv", "Receiv"},
		"only trace":      {"Received: x\n y\nReceived: z", "Received: x\r\n y\r\nReceived: z"},
		"only mbox":       {"From x\n", "From x\r\n"},
		"nothing":         {"", ""},
		"empty line":      {"Received: x\n\n", "\r\n"},
		"cr cr lf":        {"a\r\r\nb", "a\r\n\r\nb"},
		"bom":             {"\ufeffReceived: x\r\n", "\ufeffReceived: x\r\n"},
	} {
		if got := identity([]byte(c.in)); got != sum(c.want) {
			t.Errorf("%s: the identity of %q is not the digest of %q", name, c.in, c.want)
		}
	}
	// One absolute value, so that not even this test can drift.
	const golden = "73017bc7eb83ee48767b440b7291e1506eabe9d1c1dbde1d3b635c7b8bdaf1dd"
	if got := identity([]byte("Received: x\nSubject: Prośba\n\ntreść\n")); got != golden {
		t.Errorf("golden identity: got %s", got)
	}
}

var (
	lineEnds   = rapid.SampledFrom([]string{"\r\n", "\n", "\r"})
	traceNamed = rapid.SampledFrom([]string{
		"Return-Path", "Received", "Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-From", "X-Envelope-To", "Authentication-Results",
		"Received-SPF", "ARC-Seal", "ARC-Authentication-Results", "X-Received", "X-Spam-Score", "X-Rspamd-Server", "X-Virus-Scanned",
	})
	// Lines of a message proper, awkward ones among them.
	otherLine = rapid.OneOf(
		rapid.StringMatching(`[A-Z][a-z-]{0,20}: [a-z0-9 ]{0,30}`), rapid.Just(""), rapid.StringMatching(`[ \t][a-z: ]{0,10}`),
		rapid.StringMatching(`[a-zA-Z:. ]{0,100}`), rapid.Just("Received: inside"), rapid.Just("From x"), rapid.Just("From: x"),
	)
)

// write joins lines with random line ends; it avoids a CR before an empty line
// that ends in LF, which would be one line end instead of two.
func write(t *rapid.T, lines []string, last bool) []byte {
	var b bytes.Buffer
	prev := ""
	for i, l := range lines {
		b.WriteString(l)
		if i == len(lines)-1 && !last {
			break
		}
		end := lineEnds.Draw(t, "line end")
		if prev == "\r" && l == "" && end == "\n" {
			end = "\r\n"
			if i > 0 {
				end = "\r"
			}
		}
		b.WriteString(end)
		prev = end
	}
	return b.Bytes()
}

// counts tells whether a line is surely none that may be left out.
func counts(l string) bool {
	name, _, colon := strings.Cut(l, ":")
	return (!colon || !traceField([]byte(name))) && !strings.HasPrefix(l, "From ")
}

// TestIdentityInvariant: trace fields on top, line ends and the way the octets
// come do not matter.
func TestIdentityInvariant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOfN(otherLine, 1, 12).Draw(t, "lines")
		lines[0] = rapid.OneOf(otherLine).Filter(func(l string) bool { return l != "" && l[0] != ' ' && l[0] != '\t' && counts(l) }).Draw(t, "first")
		last := rapid.Bool().Draw(t, "last line has an end")
		want := sum(strings.Join(lines, "\r\n") + map[bool]string{true: "\r\n", false: ""}[last])

		var top []string
		if rapid.Bool().Draw(t, "mbox") {
			top = append(top, "From jan@poczta.example Mon Nov 16 09:12:44 2020")
		}
		for range rapid.IntRange(0, 4).Draw(t, "trace fields") {
			top = append(top, traceNamed.Draw(t, "name")+rapid.SampledFrom([]string{":", " :", ": "}).Draw(t, "colon")+
				rapid.StringMatching(`[a-z:;<>@ ]{0,80}`).Draw(t, "value"))
			for range rapid.IntRange(0, 2).Draw(t, "folds") {
				top = append(top, rapid.StringMatching(`[ \t][a-z: ]{0,80}`).Draw(t, "fold"))
			}
		}
		raw := write(t, append(top, lines...), last)
		var h IdentityHasher
		for rest := raw; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "piece")
			h.Write(rest[:n])
			rest = rest[n:]
		}
		if h.Digest() != want {
			t.Fatalf("identity of %q is not that of %q", raw, lines)
		}
	})
}

// TestIdentityModel compares with a plain reading of the contract, on strings
// made to be nasty. Two messages that the model tells apart must differ.
func TestIdentityModel(t *testing.T) {
	piece := rapid.SampledFrom([]string{
		"Received", "From ", "From: ", "x", ":", " ", "\t", "\r", "\n", "\r\n", "ARC-", "X-Spam-", "Return-Path: ", strings.Repeat("y", 63), "ż", "\x00",
	})
	rapid.Check(t, func(t *rapid.T) {
		raw := strings.Join(rapid.SliceOfN(piece, 0, 20).Draw(t, "pieces"), "")
		if got, want := identity([]byte(raw)), sum(model(raw)); got != want {
			t.Fatalf("identity of %q is not the digest of %q", raw, model(raw))
		}
		other := strings.Join(rapid.SliceOfN(piece, 0, 20).Draw(t, "other pieces"), "")
		if same := identity([]byte(raw)) == identity([]byte(other)); same != (model(raw) == model(other)) {
			t.Fatalf("%q and %q: same identity %v", raw, other, same)
		}
	})
}

// model returns what is hashed of a message, by the words of the contract.
func model(raw string) string {
	s := strings.ReplaceAll(raw, "\r\n", "\n")
	s = strings.ReplaceAll(s, "\r", "\n")
	lines := strings.SplitAfter(s, "\n") // the last one may be empty: no line
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	i := 0
	if len(lines) > 0 && len(lines[0]) > 5 && strings.HasPrefix(lines[0], "From ") && !strings.ContainsAny(lines[0][5:6], " \t:\n") {
		i = 1
	}
	for i < len(lines) {
		name, _, colon := strings.Cut(lines[i], ":")
		if !colon || !traceField([]byte(name)) {
			break
		}
		for i++; i < len(lines) && (lines[i][0] == ' ' || lines[i][0] == '\t'); i++ {
		}
	}
	if i == len(lines) {
		i = 0
	}
	return strings.ReplaceAll(strings.Join(lines[i:], ""), "\n", "\r\n")
}

func TestIdentityReader(t *testing.T) {
	var h IdentityHasher
	body := "Received: x\nSubject: y\n\n" + strings.Repeat("treść\n", 100_000)
	got, err := io.ReadAll(h.Reader(strings.NewReader(body)))
	if err != nil || string(got) != body {
		t.Fatal("the reader changes what it reads", err)
	}
	if h.Digest() != identity([]byte(body)) || h.Digest() != sum(model(body)) {
		t.Fatal("reader and writer disagree")
	}
}

// TestIdentityMemory: a message that never ends costs no memory, wherever it
// does not end.
func TestIdentityMemory(t *testing.T) {
	for name, chunk := range map[string]string{
		"one name": "x", "one trace value": "Received: x", "trace fields": "Received: x\n", "lines": "abc\n", "cr": "\r",
	} {
		var h IdentityHasher
		block := []byte(strings.Repeat(chunk, 1<<12))
		if name == "one trace value" {
			h.Write([]byte(chunk))
			block = bytes.Repeat([]byte("y"), 1<<16)
		}
		for range 4 {
			h.Write(block)
		}
		if allocs := testing.AllocsPerRun(50, func() { h.Write(block) }); allocs > 1 {
			t.Errorf("%s: %v allocations per write", name, allocs)
		}
	}
}

func BenchmarkIdentity(b *testing.B) {
	body := []byte("Received: x\r\nSubject: y\r\n\r\n" + strings.Repeat(strings.Repeat("x", 76)+"\r\n", 100_000))
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		identity(body)
	}
}
