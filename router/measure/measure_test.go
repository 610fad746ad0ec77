package measure_test

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sekretariat/configs"
	"sekretariat/router"
	"sekretariat/router/letters"
	"sekretariat/router/measure"
)

// testdata finds a file of the shared test data, or skips the test.
func testdata(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv("SEKRETARIAT_TESTDATA")
	if dir == "" {
		dir = "../../../shared/testdata"
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("test data %s is not there; set SEKRETARIAT_TESTDATA to its folder", path)
	}
	return path
}

// The floor under what the router does on letters that it did not learn from.
// The figures themselves are printed with -v and in docs/pl/model.md.
func TestEvaluationLetters(t *testing.T) {
	list, err := letters.ReadFile(testdata(t, "letters/letters.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	centre, err := configs.ParseCentre(configs.Demo, "demo.yaml")
	if err != nil {
		t.Fatal(err)
	}
	r, err := router.New(centre)
	if err != nil {
		t.Fatal(err)
	}
	rep := measure.Measure(r, list, time.Date(2026, 5, 4, 8, 0, 0, 0, time.UTC))
	var out bytes.Buffer
	if err := rep.Print(&out); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + out.String())
	for _, f := range []struct {
		name  string
		share measure.Share
		least float64
	}{
		{"top-1", rep.Top1, 0.88}, {"top-2", rep.Top2, 0.96}, {"automatic right", rep.Right, 0.97}, {"automatic", rep.Automatic, 0.6},
		{"urgent", rep.Urgent, 0.85}, {"phone", rep.Phone, 0.97}, {"case number", rep.CaseNo, 0.95},
	} {
		if f.share.Value() < f.least {
			t.Errorf("%s: %d of %d, want %.0f %%", f.name, f.share.Part, f.share.Of, 100*f.least)
		}
	}
}

func TestInterval(t *testing.T) {
	for _, c := range []struct {
		s         measure.Share
		low, high float64
	}{
		{measure.Share{Part: 206, Of: 220}, 0.896, 0.962}, {measure.Share{Part: 22, Of: 22}, 0.851, 1}, {measure.Share{}, 0, 1},
	} {
		low, high := c.s.Interval()
		if math.Abs(low-c.low) > 0.001 || math.Abs(high-c.high) > 0.001 {
			t.Errorf("%v: %.3f–%.3f, want %.3f–%.3f", c.s, low, high, c.low, c.high)
		}
	}
}

// Letters with fewer fields are measured on what they have.
func TestFewFields(t *testing.T) {
	list, err := letters.Read(strings.NewReader(`{"id":"a","body":"Wniosek o zasiłek stały","label":"zasilki-stale"}` + "\n" + `{"body":"Proszę o kontakt 601 774 320","reply_phone":"601774320"}`))
	if err != nil {
		t.Fatal(err)
	}
	centre, err := configs.ParseCentre(configs.Demo, "demo.yaml")
	if err != nil {
		t.Fatal(err)
	}
	r, err := router.New(centre)
	if err != nil {
		t.Fatal(err)
	}
	rep := measure.Measure(r, list, time.Now())
	if rep.Top1 != (measure.Share{Part: 1, Of: 1}) || rep.Phone != (measure.Share{Part: 1, Of: 1}) || rep.Urgent.Of+rep.Alarms.Of+rep.Kind.Of != 0 {
		t.Errorf("%+v", rep)
	}
}
