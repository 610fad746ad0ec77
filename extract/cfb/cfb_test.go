package cfb

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sekretariat/extract/cfb/cfbtest"
)

func open(t testing.TB, b []byte) *File {
	t.Helper()
	f, err := Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestTree(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		root := cfbtest.New()
		want := map[string][]byte{}
		for i := range rapid.IntRange(0, 12).Draw(rt, "streams") {
			dir, path := root, ""
			for range rapid.IntRange(0, 3).Draw(rt, "depth") {
				name := rapid.SampledFrom([]string{"a", "zażółć", "c"}).Draw(rt, "storage")
				dir, path = dir.Sub(name), path+name+"/"
			}
			size := rapid.SampledFrom([]int{0, 1, 63, 64, 65, 4095, 4096, 4097, 70_000}).Draw(rt, "size")
			data := bytes.Repeat([]byte{byte(i + 1), 0, 7}, size/3+1)[:size]
			name := fmt.Sprintf("s%d", i)
			dir.Streams[name], want[path+name] = data, data
		}
		b := cfbtest.Bytes(root)
		f, err := Open(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			rt.Fatal(err)
		}
		got := map[string][]byte{}
		walk(rt, f.Root(), "", got, 0)
		if len(got) != len(want) {
			rt.Fatalf("%d streams, want %d", len(got), len(want))
		}
		for path, data := range want {
			if !bytes.Equal(got[path], data) {
				rt.Fatalf("%s: %d octets, want %d", path, len(got[path]), len(data))
			}
		}
	})
}

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// walk reads everything below a storage; broken files may be endless.
func walk(t fataler, s *Storage, path string, got map[string][]byte, depth int) {
	t.Helper()
	for _, name := range s.Names() {
		if len(got) > 2000 || depth > 20 {
			return
		}
		if sub := s.Storage(name); sub != nil && name[len(name)-1] == '/' {
			walk(t, sub, path+name, got, depth+1)
			continue
		}
		r := s.Stream(name)
		if r == nil {
			t.Fatalf("%s%s is listed and not there", path, name)
		}
		b, err := io.ReadAll(r)
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("%s%s: %v", path, name, err)
		}
		got[path+name] = b
	}
}

func sample() []byte {
	root := cfbtest.New()
	root.Streams["mały"] = []byte("abc")
	root.Sub("x").Streams["duży"] = bytes.Repeat([]byte("0123456789"), 1000)
	return cfbtest.Bytes(root)
}

// TestDamaged: whatever is wrong, the walk ends and the answer is ErrFormat or
// what could be read.
func TestDamaged(t *testing.T) {
	whole := sample()
	rapid.Check(t, func(rt *rapid.T) {
		b := bytes.Clone(whole)
		for range rapid.IntRange(1, 8).Draw(rt, "changes") {
			b[rapid.IntRange(0, len(b)-1).Draw(rt, "at")] = rapid.SampledFrom([]byte{0, 1, 2, 5, 0xfe, 0xff}).Draw(rt, "octet")
		}
		damaged(rt, b[:rapid.IntRange(0, len(b)).Draw(rt, "length")])
	})
}

func damaged(t fataler, b []byte) {
	t.Helper()
	f, err := Open(bytes.NewReader(b), int64(len(b)))
	if errors.Is(err, ErrFormat) {
		return
	}
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	walk(t, f.Root(), "", map[string][]byte{}, 0)
}

// TestCircle: a chain that runs in a circle is as long as the file, no longer.
func TestCircle(t *testing.T) {
	b := sample()
	f := open(t, b)
	e := f.entries[3]
	if e.size != 10_000 {
		e = f.entries[2]
	}
	f.fat[e.start+1] = e.start
	e.size = 1 << 30
	start := time.Now()
	n, err := io.Copy(io.Discard, f.stream(e))
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) || n > int64(len(b)) || time.Since(start) > time.Second {
		t.Fatalf("%d octets of %d, %v", n, len(b), err)
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(sample())
	f.Add(cfbtest.Bytes(cfbtest.New()))
	f.Fuzz(func(t *testing.T, b []byte) { damaged(t, b) })
}
