package batch_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sekretariat"
	"sekretariat/extract"
	"sekretariat/pipeline/batch"
)

// pile makes sheets of words: "w" written, "b" blank, else codes joined by "+".
func pile(words string) []extract.Sheet {
	var out []extract.Sheet
	for i, w := range strings.Fields(words) {
		s := extract.Sheet{Number: i + 1, Blank: w == "b"}
		if w != "w" && w != "b" {
			for c := range strings.SplitSeq(w, "+") {
				symbol := "qr"
				if c == "T" {
					symbol = "patch-t"
				}
				s.Codes = append(s.Codes, sekretariat.Code{Page: i + 1, Symbol: symbol, Value: c})
			}
		}
		out = append(out, s)
	}
	return out
}

func told(p batch.Plan) string {
	var out []string
	for _, l := range p.Letters {
		s := fmt.Sprintf("%d-%d", l.From, l.To)
		if l.Department != "" {
			s += "@" + l.Department
		}
		if l.Sticker != "" {
			s += "#" + l.Sticker
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

func TestOf(t *testing.T) {
	for pages, want := range map[string]string{
		"w w w":                                "1-3",
		"SEKR/D/A w SEKR/D/B w w":              "2-2@a 4-5@b",
		"w T w":                                "1-1 3-3",
		"w b T b w b T b w b":                  "1-2 5-6 9-10",
		"T T w T":                              "3-3",
		"SEKR/D/A T w":                         "3-3@a",
		"SEKR/D/A SEKR/D/B w":                  "3-3@b",
		"SEKR/D/A w T w":                       "2-2@a 4-4",
		"SEKR/D/A+T w":                         "2-2@a",
		"T+SEKR/D/A+PATCHT w":                  "2-2@a",
		"SEKR/A/7 w SEKR/A/8":                  "1-2#7 3-3#8",
		"SEKR/D/A SEKR/A/7 w SEKR/A/8":         "2-3@a#7 4-4#8",
		"w SEKR/D/A+SEKR/D/B w":                "1-1 2-3",
		"w https://x/SEKR/S w ASN7 w":          "1-5",
		"b b":                                  "",
		"T b":                                  "",
		"w b w":                                "1-3",
		"SEKR/D/A b w b b SEKR/S b b w SEKR/S": "3-5@a 9-9",
	} {
		if got := told(batch.Of(pile(pages))); got != want {
			t.Errorf("%s: %q, want %q", pages, got, want)
		}
	}
}

// TestEveryPageOnce: whatever lies in a pile, each page is in one place.
func TestEveryPageOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOf(rapid.SampledFrom([]string{"w", "b", "T", "SEKR/S", "SEKR/D/A", "SEKR/D/B", "SEKR/A/1", "SEKR/D/A+SEKR/D/B", "EAN"})).Draw(t, "pages")
		p := batch.Of(pile(strings.Join(words, " ")))
		seen := map[int]int{}
		for _, n := range p.Sheets {
			seen[n]++
		}
		for _, l := range p.Letters {
			for n := l.From; n <= l.To; n++ {
				seen[n]++
			}
		}
		for n := 1; n <= len(words); n++ {
			if seen[n] != 1 {
				t.Fatalf("page %d is in %d places of %+v", n, seen[n], p)
			}
			delete(seen, n)
		}
		if len(seen) > 0 {
			t.Fatalf("pages that do not exist: %v", seen)
		}
	})
}
