package index_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sekretariat"
	"sekretariat/ledger"
	"sekretariat/register"
	"sekretariat/register/index"
	"sekretariat/register/registertest"
)

// exportOffice is a small register: an open letter in its queue, a
// closed one, one that nobody has read.
func exportOffice(t *testing.T) (*index.Index, []sekretariat.Entry) {
	t.Helper()
	o := registertest.Open(t, t.TempDir())
	x := open(t, filepath.Join(t.TempDir(), "i"))
	project(t, x, o)
	var entries []sekretariat.Entry
	var prev sekretariat.Entry
	for i := range 3 {
		a := o.Arrive(fmt.Sprint(i), noon)
		l := registertest.Letter(1)
		l.Closed = i == 1
		prev = enter(t, o, a, prev, o.Sort(a, l))
		entries = append(entries, prev)
	}
	o.Deliver(entries[0], noon.Add(time.Minute), "dps")
	o.Deliver(entries[1], noon.Add(time.Minute), "przemoc")
	visible(t, x, o)
	return x, entries
}

func original(_ context.Context, s sekretariat.SubmissionID) (sekretariat.Digest, error) {
	return sekretariat.DigestOf([]byte(s)), nil
}

func TestExport(t *testing.T) {
	x, entries := exportOffice(t)
	clerk := sekretariat.Principal{Centre: registertest.Centre, Register: true}
	var out bytes.Buffer
	if err := x.Export(t.Context(), clerk, index.Filter{}, &out, index.CSV, sekretariat.Number.Printed, original); err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(&out).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	e := entries[0]
	want := [][]string{
		strings.Split("identifier,number,day,restricted,letter,submission,sha256,channel,door,department,status,cancelled,arrived,received,sorted,registered,read,routed,queued,parent", ","),
		{"RPW-2026-000001", "RPW/1/2026", "2026-06-15", "false", string(e.Letter), string(e.Letter.Submission()), string(sekretariat.DigestOf([]byte(e.Letter.Submission()))),
			"mail", "imap", "dps", "routed", "false", "2026-06-15T10:00:00Z", "2026-06-15T10:00:00Z", "2026-06-15T10:00:00Z", "2026-06-15T10:00:00Z",
			"2026-06-15T10:01:00Z", "2026-06-15T10:01:00Z", "2026-06-15T10:01:00Z", ""},
		{"RPW-2026-000002", "RPW/2/2026", "2026-06-15", "true", "", "", "", "", "", "", "", "false", "", "", "", "", "", "", "", ""},
		{"RPW-2026-000003", "RPW/3/2026", "2026-06-15", "false"},
	}
	if len(lines) != len(want) {
		t.Fatalf("%d lines, want %d", len(lines), len(want))
	}
	for i, w := range want {
		if got := lines[i]; len(got) != len(want[0]) || fmt.Sprint(got[:len(w)]) != fmt.Sprint(w) {
			t.Errorf("line %d\n got %q\nwant %q", i, got, w)
		}
	}
	if last := lines[3]; last[9] != "sekretariat" || last[10] != "registered" || last[16] != "" {
		t.Errorf("unread letter: %q", last)
	}
}

func TestExportJSONLines(t *testing.T) {
	x, _ := exportOffice(t)
	przemoc := sekretariat.Principal{Centre: registertest.Centre, Departments: []sekretariat.DepartmentID{"przemoc"}}
	var out bytes.Buffer
	if err := x.Export(t.Context(), przemoc, index.Filter{}, &out, index.JSONLines, sekretariat.Number.Printed, original); err != nil {
		t.Fatal(err)
	}
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil { // exactly one line
		t.Fatalf("%v: %s", err, out.String())
	}
	if line["identifier"] != "RPW-2026-000002" || line["department"] != "przemoc" || line["restricted"] != false {
		t.Errorf("line %v", line)
	}
}

// A letter that was split off says from which one (rule P3).
func TestExportOfChildren(t *testing.T) {
	o := registertest.Open(t, t.TempDir())
	x := open(t, filepath.Join(t.TempDir(), "i"))
	project(t, x, o)
	a := o.Arrive("a batch", noon)
	child := registertest.Letter(2)
	child.Parent = sekretariat.NewLetterID(a.Submission, 1)
	cause := o.Sort(a, registertest.Letter(1), child)
	first := enter(t, o, a, sekretariat.Entry{}, cause)
	second := register.Seal(sekretariat.Entry{
		Version: 1, Centre: registertest.Centre, Number: sekretariat.Number{Series: "rpw", Year: 2026, N: 2}, Identifier: "RPW-2026-000002",
		Letter: sekretariat.NewLetterID(a.Submission, 2), Parent: child.Parent, Manifest: a.Manifest, Arrived: a.Arrived, Received: a.Received, Registered: noon,
	}, first.Digest)
	o.Append(ledger.Register("rpw"), string(second.Letter), 0, sekretariat.EventRegistered, string(second.Letter), 0, noon,
		sekretariat.RegisteredData{Entry: second, Arrived: a, Cause: cause})
	visible(t, x, o)
	var out bytes.Buffer
	clerk := sekretariat.Principal{Centre: registertest.Centre, Register: true}
	if err := x.Export(t.Context(), clerk, index.Filter{}, &out, index.JSONLines, sekretariat.Number.Printed, original); err != nil {
		t.Fatal(err)
	}
	var parents []string
	for _, line := range strings.Split(strings.TrimSpace(out.String()), "\n") {
		var l map[string]any
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		parents = append(parents, fmt.Sprint(l["identifier"], " of ", l["parent"]))
	}
	if fmt.Sprint(parents) != "[RPW-2026-000001 of  RPW-2026-000002 of RPW-2026-000001]" {
		t.Errorf("exported %q", parents)
	}
}

func TestExportFails(t *testing.T) {
	x, _ := exportOffice(t)
	clerk := sekretariat.Principal{Centre: registertest.Centre, Register: true}
	if err := x.Export(t.Context(), clerk, index.Filter{}, &bytes.Buffer{}, "xlsx", sekretariat.Number.Printed, original); !errors.Is(err, index.ErrFormat) {
		t.Errorf("unknown format: %v", err)
	}
	full := errors.New("disk full")
	for _, f := range []index.Format{index.CSV, index.JSONLines} {
		if err := x.Export(t.Context(), clerk, index.Filter{}, fullDisk{full}, f, sekretariat.Number.Printed, original); !errors.Is(err, full) {
			t.Errorf("%s on a full disk: %v", f, err)
		}
	}
	gone := func(context.Context, sekretariat.SubmissionID) (sekretariat.Digest, error) { return "", full }
	if err := x.Export(t.Context(), clerk, index.Filter{}, &bytes.Buffer{}, index.CSV, sekretariat.Number.Printed, gone); !errors.Is(err, full) {
		t.Errorf("unreadable manifest: %v", err)
	}
}

type fullDisk struct{ err error }

func (f fullDisk) Write([]byte) (int, error) { return 0, f.err }
