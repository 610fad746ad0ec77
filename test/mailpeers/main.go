// Command mailpeers reads the same mails with the reader of this project, with
// enmime, go-message and the email package of Python, and counts the right
// answers. It is a module of its own, so that what it compares with is no
// dependency of the project:
//
//	cd test/mailpeers && go run . ../../../shared/testdata
//
// The folder holds mail/ with expected.jsonl, and letters/letters.jsonl for
// mails in undeclared Polish encodings that are made on the spot.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Result is what one reader makes of one mail.
type Result struct {
	OK      bool   `json:"ok"`
	Subject string `json:"subject"`
	From    string `json:"from"`
	Date    string `json:"date"` // RFC 3339, UTC
	Files   []File `json:"files"`
	Text    string `json:"text"`
}

// File is one part that is no text of the letter, or every part: more than is
// asked for does no harm.
type File struct {
	Name string `json:"name"`
	Sum  string `json:"sum"`  // SHA-256 of the octets
	Norm string `json:"norm"` // the same with LF and without line ends at the end
}

// Mail is one question with its answer.
type Mail struct {
	Raw  []byte
	Want Want
}

// Peer reads mails.
type Peer struct {
	Name  string
	Read  func(raw []byte) Result
	Reset func() // after it was too slow, nil if there is nothing to do
}

// limit is the time one mail may take; a reader that needs more has failed.
const limit = 10 * time.Second

// guarded reads with a time limit; the goroutine of a reader that hangs is
// left behind.
func guarded(p Peer, raw []byte) (r Result, hung bool) {
	done := make(chan Result, 1)
	go func() {
		defer func() {
			if recover() != nil {
				done <- Result{}
			}
		}()
		done <- p.Read(raw)
	}()
	select {
	case r := <-done:
		return r, false
	case <-time.After(limit):
		if p.Reset != nil {
			p.Reset()
		}
		return Result{}, true
	}
}

func main() {
	python := flag.String("python", "python3", "interpreter for the comparison with Python's email package; \"\" leaves it out")
	verbose := flag.String("v", "", "name of a reader whose wrong answers are printed")
	flag.Parse()
	dir := flag.Arg(0)
	if dir == "" {
		dir = os.Getenv("SEKRETARIAT_TESTDATA")
	}
	sets, err := load(dir)
	if err != nil {
		log.Fatal(err)
	}
	peers := []Peer{{Name: "sekretariat", Read: ours}, {Name: "enmime", Read: withEnmime}, {Name: "go-message", Read: withMessage}}
	if *python != "" {
		p, err := newPython(*python)
		if err != nil {
			log.Printf("without Python: %v", err)
		} else {
			peers = append(peers, Peer{"python email", p.read, p.restart})
		}
	}
	scores := map[string]*score{}
	for _, p := range peers {
		s := newScore()
		scores[p.Name] = s
		start := time.Now()
		for _, set := range sets {
			for _, m := range set.Mails {
				r, hung := guarded(p, m.Raw)
				s.add(set.Name, m.Want, r, hung)
			}
		}
		s.took = time.Since(start)
		if p.Name == *verbose {
			for _, line := range s.wrong {
				fmt.Println(line)
			}
		}
	}
	print(peers, scores)
}

// print writes the table, fields down, readers across.
func print(peers []Peer, scores map[string]*score) {
	var fields []string
	for _, p := range peers {
		for f := range scores[p.Name].all {
			if !slices.Contains(fields, f) {
				fields = append(fields, f)
			}
		}
	}
	slices.Sort(fields)
	fmt.Printf("%-34s", "")
	for _, p := range peers {
		fmt.Printf("%22s", p.Name)
	}
	fmt.Println()
	for _, f := range fields {
		fmt.Printf("%-34s", f)
		for _, p := range peers {
			s := scores[p.Name]
			fmt.Printf("%22s", fmt.Sprintf("%d/%d %5.1f%%", s.right[f], s.all[f], 100*float64(s.right[f])/float64(max(1, s.all[f]))))
		}
		fmt.Println()
	}
	for _, line := range []struct {
		name string
		of   func(*score) string
	}{
		{"refused or failed", func(s *score) string { return fmt.Sprint(s.failed) }},
		{"longer than " + limit.String(), func(s *score) string { return fmt.Sprint(s.hung) }},
		{"time", func(s *score) string { return s.took.Round(10 * time.Millisecond).String() }},
	} {
		fmt.Printf("%-34s", line.name)
		for _, p := range peers {
			fmt.Printf("%22s", line.of(scores[p.Name]))
		}
		fmt.Println()
	}
}

// Set is a group of mails.
type Set struct {
	Name  string
	Mails []Mail
}

func load(dir string) ([]Set, error) {
	if _, err := os.Stat(filepath.Join(dir, "mail", "expected.jsonl")); err != nil {
		return nil, fmt.Errorf("test data: %w; name its folder", err)
	}
	sets, err := corpus(filepath.Join(dir, "mail"))
	if err != nil {
		return nil, err
	}
	made, err := undeclared(filepath.Join(dir, "letters", "letters.jsonl"))
	if err != nil {
		return nil, err
	}
	return append(sets, made), nil
}
