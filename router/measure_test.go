package router

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"testing"
	"time"

	"sekretariat"
)

// corpusLetter is one line of testdata/letters, see the README there.
type corpusLetter struct {
	ID      string `json:"id"`
	Channel string `json:"channel"`
	From    struct {
		Name  string `json:"name"`
		Email string `json:"email"`
	} `json:"from"`
	Subject string   `json:"subject"`
	Body    string   `json:"body"`
	Label   string   `json:"label"`
	Urgent  bool     `json:"urgent"`
	Traits  []string `json:"traits"`
}

// second is the second reader's word on one letter.
type second struct {
	ID      string   `json:"id"`
	Also    []string `json:"also_acceptable"`
	Urgent  bool     `json:"urgent2"`
	Verdict string   `json:"verdict"`
}

// right applies the scoring rule of the corpus README.
func (l corpusLetter) right(label string, s second) bool {
	return label == l.Label || s.Verdict == "both" && slices.Contains(s.Also, label)
}

// testdata finds a file of the shared test data, or skips the test.
func testdata(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv("SEKRETARIAT_TESTDATA")
	if dir == "" {
		dir = "../../shared/testdata"
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("test data %s is not there; set SEKRETARIAT_TESTDATA to its folder", path)
	}
	return path
}

func readLines[T any](t testing.TB, path string) []T {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []T
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		var v T
		if err := json.Unmarshal(sc.Bytes(), &v); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		out = append(out, v)
	}
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

func (l corpusLetter) facts() Facts {
	kinds := map[string]sekretariat.Kind{
		"email": sekretariat.KindMail, "epuap": sekretariat.KindEPUAP, "scan": sekretariat.KindBox,
		"post": sekretariat.KindManual, "phone": sekretariat.KindManual,
	}
	return Facts{
		Arrived: sekretariat.ArrivedLite{Kind: kinds[l.Channel], Account: "poczta"},
		Reading: sekretariat.Reading{
			Outcome: sekretariat.ReadOK, Subject: l.Subject, Text: l.Body,
			Sender: sekretariat.Party{Name: l.From.Name, Email: l.From.Email},
		},
		Now: time.Date(2026, 5, 4, 8, 0, 0, 0, time.UTC),
	}
}

// tally counts one slice of the corpus.
type tally struct{ n, top1, top2 int }

func (c *tally) add(top1, top2 bool) {
	c.n++
	if top1 {
		c.top1++
	}
	if top1 || top2 {
		c.top2++
	}
}

// TestMeasure prints how well the built-in rules do on the evaluation letters
// and holds a modest floor. The rules were never tuned to single letters of it.
func TestMeasure(t *testing.T) {
	letters := readLines[corpusLetter](t, testdata(t, "letters/letters.jsonl"))
	seconds := map[string]second{}
	for _, s := range readLines[second](t, testdata(t, "letters/second-reader.jsonl")) {
		seconds[s.ID] = s
	}
	r := demo(t)
	var all, sure, confident tally
	slicesBy := map[string]*tally{}
	urgent, found, alarms, calm, danger := 0, 0, 0, 0, 0
	for _, l := range letters {
		s := seconds[l.ID]
		d := r.Decide(l.facts())
		top1 := l.right(string(d.Department), s)
		top2 := slices.ContainsFunc(d.Suggestions[:min(2, len(d.Suggestions))], func(g sekretariat.Suggestion) bool { return l.right(string(g.Department), s) })
		all.add(top1, top2)
		if d.Rule != ruleFallback {
			sure.add(top1, top2)
		}
		if d.Confidence >= 0.7 {
			confident.add(top1, top2)
		}
		for _, key := range append(l.Traits, "label "+l.Label) {
			if slicesBy[key] == nil {
				slicesBy[key] = &tally{}
			}
			slicesBy[key].add(top1, top2)
		}
		alarm := d.Urgency != sekretariat.Normal
		if d.Urgency == sekretariat.Danger {
			danger++
		}
		switch {
		case l.Urgent != s.Urgent && s.Verdict == "both": // either answer is right
		case l.Urgent:
			urgent++
			if alarm {
				found++
			}
		default:
			calm++
			if alarm {
				alarms++
			}
		}
	}
	t.Logf("top-1 %d/%d (%.1f %%), top-2 %d (%.1f %%)", all.top1, all.n, percent(all.top1, all.n), all.top2, percent(all.top2, all.n))
	t.Logf("decided (not fallback) %d, of these right %.1f %%; confidence ≥ 0.7: %d, right %.1f %%",
		sure.n, percent(sure.top1, sure.n), confident.n, percent(confident.top1, confident.n))
	t.Logf("urgent recall %d/%d (%.1f %%); false alarms %d of %d; zagrożenie %.1f per 100 letters",
		found, urgent, percent(found, urgent), alarms, calm, percent(danger, all.n))
	keys := make([]string, 0, len(slicesBy))
	for k := range slicesBy {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, k := range keys {
		t.Logf("  %-28s %3d/%3d top-1, %3d top-2", k, slicesBy[k].top1, slicesBy[k].n, slicesBy[k].top2)
	}
	if percent(all.top1, all.n) < 68 || percent(all.top2, all.n) < 80 || percent(found, urgent) < 55 {
		t.Error("the rules fell below the floor: top-1 68 %, top-2 80 %, urgent recall 55 %")
	}
}

func percent(part, of int) float64 {
	if of == 0 {
		return 0
	}
	return 100 * float64(part) / float64(of)
}
