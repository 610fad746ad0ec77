package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Want is one line of expected.jsonl; the README beside it explains the
// fields.
type Want struct {
	File, Basis string
	Subject     *string
	From        *string
	Date        string
	Attachments []WantFile
	Text        []string   `json:"text_contains"`
	TextIdeal   []string   `json:"text_contains_ideal"`
	UU          []WantFile `json:"uuencoded"`
	Disputed    map[string]any
}

// WantFile is one expected attachment.
type WantFile struct {
	Name, SHA256 string
	Norm         string `json:"sha256_norm"`
}

// score counts right answers per field.
type score struct {
	right, all map[string]int
	wrong      []string
	failed     int
	hung       int
	took       time.Duration
}

func newScore() *score { return &score{right: map[string]int{}, all: map[string]int{}} }

func (s *score) count(set, field, file string, ok bool, got, want string) {
	for _, key := range []string{field, set + ": " + field} {
		s.all[key]++
		if ok {
			s.right[key]++
		}
	}
	if !ok {
		s.wrong = append(s.wrong, fmt.Sprintf("%s %s: %.200q, want %.200q", file, field, got, want))
	}
}

// add compares one result with what is expected.
func (s *score) add(set string, w Want, r Result, hung bool) {
	if hung {
		s.hung++
	}
	if !r.OK {
		s.failed++
	}
	if w.Subject != nil {
		s.count(set, "subject", w.File, squeeze(r.Subject) == squeeze(*w.Subject), r.Subject, *w.Subject)
	}
	if w.From != nil {
		s.count(set, "sender", w.File, strings.EqualFold(r.From, *w.From), r.From, *w.From)
	}
	if w.Date != "" {
		s.count(set, "date", w.File, r.Date == w.Date, r.Date, w.Date)
	}
	names, sums := map[string]int{}, map[string]bool{}
	for _, f := range r.Files {
		names[f.Name]++
		sums[f.Sum], sums[f.Norm] = true, true
	}
	for _, a := range append(w.Attachments, w.UU...) {
		if a.Name != "" {
			s.count(set, "attachment names", w.File, names[a.Name] > 0, fmt.Sprint(names), a.Name)
			names[a.Name]--
		}
		if a.SHA256 != "" {
			s.count(set, "attachment octets", w.File, sums[a.SHA256] || a.Norm != "" && sums[a.Norm], "", a.Name+" "+a.SHA256)
		}
	}
	text := squeeze(r.Text)
	for _, want := range w.Text {
		s.count(set, "text", w.File, strings.Contains(text, squeeze(want)), text, want)
	}
	for _, want := range w.TextIdeal {
		s.count(set, "text in a wrong or no charset", w.File, strings.Contains(text, squeeze(want)), text, want)
	}
}

func squeeze(s string) string { return strings.Join(strings.Fields(s), " ") }

// file makes a File of decoded octets.
func file(name string, b []byte) File {
	return File{Name: name, Sum: fmt.Sprintf("%x", sha256.Sum256(b)), Norm: fmt.Sprintf("%x", sha256.Sum256(norm(b)))}
}

func norm(b []byte) []byte {
	return bytes.TrimRight(bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")), "\r\n")
}

// corpus reads the mails that have expectations, by the basis of these.
func corpus(dir string) ([]Set, error) {
	f, err := os.Open(filepath.Join(dir, "expected.jsonl"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	sets := []Set{{Name: "constructed"}, {Name: "declared"}, {Name: "reference"}}
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		var w Want
		if err := json.Unmarshal(sc.Bytes(), &w); err != nil {
			return nil, err
		}
		raw, err := os.ReadFile(filepath.Join(dir, w.File))
		if err != nil {
			return nil, err
		}
		basis, _, _ := strings.Cut(w.Basis, ":")
		for i := range sets {
			if sets[i].Name == basis {
				sets[i].Mails = append(sets[i].Mails, Mail{Raw: raw, Want: w})
			}
		}
	}
	return sets, sc.Err()
}
