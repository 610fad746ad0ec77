package letters

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sekretariat"
)

func TestReadFileAppliesTheSecondReader(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("letters.jsonl", `{"id":"1","channel":"phone","body":"a","label":"przemoc","urgent":true,"formal_defect":""}
{"id":"2","body":"b","label":"przemoc","urgent":true,"formal_defect":"missing_signature"}

{"id":"3","body":"c"}
`)
	write("second-reader.jsonl", `{"id":"1","label2":"bezdomnosc","also_acceptable":["bezdomnosc"],"urgent2":false,"formal_defect2":"","verdict":"both"}
{"id":"2","label2":"zasilki-stale","also_acceptable":[],"urgent2":false,"formal_defect2":"","verdict":"change"}`)
	list, err := ReadFile(filepath.Join(dir, "letters.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 3 || !list[0].Right("bezdomnosc") || !list[0].Right("przemoc") || !list[0].UrgentEither {
		t.Errorf("both: %+v", list[0])
	}
	if list[1].Right("przemoc") || !list[1].Right("zasilki-stale") || *list[1].Urgent || *list[1].Defect != "" {
		t.Errorf("change: %+v", list[1])
	}
	if list[2].Urgent != nil || list[2].Defect != nil || list[2].Label != "" {
		t.Errorf("fields that are not there: %+v", list[2])
	}
	if f := list[0].Facts(time.Now()); f.Arrived.Kind != sekretariat.KindManual || f.Arrived.Door != sekretariat.DoorPhone {
		t.Errorf("a telephone note came as %+v", f.Arrived)
	}
}

func TestReadNamesTheLine(t *testing.T) {
	_, err := Read(strings.NewReader("{}\n{\"id\":\n"))
	if err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("error %v", err)
	}
}
