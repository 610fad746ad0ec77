package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/register/registertest"
)

// removeDemo applies a profile that lacks what the demo's letters belong to, and
// those that close it instead or remove what has none.
func removeDemo(t *testing.T, data string) {
	raw, err := os.ReadFile("../../configs/demo.yaml") // which the demo fills in
	if err != nil {
		t.Fatal(err)
	}
	department := "  - { id: zasilki-stale, name: Dział Zasiłków Stałych, unit: ops, public: true, symbol: [DŚU] }\n"
	series := "  - { id: mzon, title: Rejestr przesyłek wpływających MZON, format: \"RPW/MZON/{n}/{year}\", units: [mzon] }\n"
	apply := func(old ...string) (string, int) {
		t.Helper()
		changed := strings.NewReplacer(old...).Replace(string(raw))
		for i := 0; i < len(old); i += 2 {
			if !strings.Contains(string(raw), old[i]) {
				t.Fatalf("the profile of the demo has no %q", old[i])
			}
		}
		out, errs, code := call(t, "config", "apply", "--data", data, "--config", write(t, data, "changed.yaml", changed))
		return out + errs, code
	}
	if said, code := apply(department, "", "  zasilki-stale: { department: zasilki-stale }\n", ""); code != 1 ||
		!strings.Contains(said, `no longer has the department "zasilki-stale", which has or had`) || !strings.Contains(said, "docs/operations.md") {
		t.Errorf("a profile without a department: status %d\n%s", code, said)
	}
	// No letter of the demo is in this series. The refused profile left nothing.
	if said, code := apply(series, ""); code != 0 || !strings.Contains(said, "version 2 is active") {
		t.Errorf("a profile without a series that nobody used: status %d\n%s", code, said)
	}
	closed := strings.Replace(department, " }", `, to: "2026-01-01", suspended: [{ from: "2025-12-01", substitute: pomoc-srodowiskowa, why: likwidacja }] }`, 1)
	if said, code := apply(department, closed, series, strings.Replace(series, ", units: [mzon]", "", 1)); code != 0 || !strings.Contains(said, "version 3 is active") {
		t.Errorf("a profile that closes both: status %d\n%s", code, said)
	}
}

// Each way in which a letter belongs to a department or a series counts.
func TestRefuseRemoval(t *testing.T) {
	o := registertest.Open(t, t.TempDir(), "rpw", "mzon", "empty", "asked")
	noon := time.Date(2026, 6, 15, 10, 0, 0, 0, time.UTC)
	for _, l := range []sekretariat.SortedLetter{
		{Part: 1, Series: "asked", Action: sekretariat.ActionRegister},
		{Part: 1, Series: "rpw", Action: sekretariat.ActionPark, Reason: sekretariat.ParkTest, Department: "handed"},
		{Part: 1, Series: "rpw", Action: sekretariat.ActionRegister},
	} {
		a := registertest.Announced("letter "+string(l.Series)+string(l.Department), noon)
		o.Sort(a, l)
		if l.Department == "" && l.Series == "rpw" {
			e := sekretariat.Entry{Letter: sekretariat.NewLetterID(a.Submission, 1)}
			o.Route(e, 1, noon, sekretariat.Decision{Department: "routed", Copies: []sekretariat.DepartmentID{"copied"}})
			o.Queue(e, 1, noon, "queued", false)
		}
	}
	now := &configs.Centre{Series: []configs.Series{{ID: "rpw"}, {ID: "empty"}, {ID: "asked"}}}
	for _, id := range []sekretariat.DepartmentID{"sekretariat", "handed", "routed", "copied", "queued", "idle"} {
		now.Departments = append(now.Departments, configs.Department{ID: id})
	}
	for removed, says := range map[string]string{
		"handed": "which has or had 1 letter", "routed": "which has or had 1 letter", "copied": "which has or had 1 letter",
		"queued": "which has or had 1 letter", "idle": "", "empty": "", "asked": "which 1 letter belongs", "rpw": "which 2 letters belong",
	} {
		next := &configs.Centre{}
		for _, d := range now.Departments {
			if string(d.ID) != removed {
				next.Departments = append(next.Departments, d)
			}
		}
		for _, s := range now.Series {
			if string(s.ID) != removed {
				next.Series = append(next.Series, s)
			}
		}
		err := refuseRemoval(t.Context(), o.Log, now, next)
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("without %s: %v, want %q", removed, err, says)
		}
	}
}
