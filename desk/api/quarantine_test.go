package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"sekretariat"
	"sekretariat/desk/api"
	"sekretariat/extract/archive/archivetest"
	"sekretariat/extract/virus/virustest"
	"sekretariat/ledger"
)

// A person calls an alarm false: the same bytes are handed out, the original
// when nothing of it is locked any more; locking again undoes it.
func TestFalseAlarmIsReleased(t *testing.T) {
	d := openDesk(t, virustest.Start(t).Address)
	id := d.mail(scanned, note, archivetest.File{Name: "e.com", Content: virustest.Eicar}, archivetest.File{Name: "z.exe", Content: virustest.Invented})
	d.token, d.plain = d.plain, d.token // a machine with the register alone has no say in it
	d.want("POST", id, "/parts/3/unlocked", `{"reason":"sprawdzone"}`, http.StatusForbidden, "not allowed")
	d.token, d.plain = d.plain, d.token
	d.want("POST", id, "/parts/3/unlocked", `{"reason":" "}`, http.StatusBadRequest, "reason")
	d.want("POST", id, "/parts/2/unlocked", `{"reason":"sprawdzone"}`, http.StatusBadRequest, "nothing was found")
	d.want("GET", id, "/parts/3", "", http.StatusForbidden, "Wykryto wirusa")
	for range 2 { // twice is once
		d.want("POST", id, "/parts/3/unlocked", `{"reason":"Jan Tajny sprawdził"}`, http.StatusNoContent, "")
	}
	d.want("GET", id, "/parts/3", "", http.StatusOK, string(virustest.Eicar))
	d.want("GET", id, "/parts/4", "", http.StatusForbidden, "Wykryto wirusa")
	d.want("GET", id, "/original", "", http.StatusForbidden, "Wykryto wirusa")
	d.want("POST", id, "/parts/4/unlocked", `{"reason":"sprawdzone"}`, http.StatusNoContent, "")
	if status, _, raw := d.call("GET", id, "/original", ""); status != http.StatusOK || !strings.HasPrefix(string(raw), "From: a@poczta.example\r\n") {
		t.Errorf("the original of a released letter: %d %.100q", status, raw)
	}
	var l api.Letter
	if _, _, raw := d.call("GET", id, "", ""); json.Unmarshal(raw, &l) != nil || l.Parts[2].Unlocked == nil || l.Parts[2].Virus == "" || !strings.Contains(l.Parts[2].Notice, "fałszywy") {
		t.Errorf("the release is not shown: %s", raw)
	}
	d.want("POST", id, "/parts/3/locked", `{"reason":"jednak nie"}`, http.StatusNoContent, "")
	d.want("GET", id, "/parts/3", "", http.StatusForbidden, "Wykryto wirusa")
	d.want("GET", id, "/original", "", http.StatusForbidden, "Wykryto wirusa")
	d.trail(id, "unlocked.v1 unlocked.v1 locked.v1")
}

// Where the centre wants a second look, one person is not enough.
func TestFalseAlarmNeedsTwo(t *testing.T) {
	d := openDesk(t, virustest.Start(t).Address)
	d.cfg.SecondLook = true
	id := d.mail(scanned, archivetest.File{Name: "e.com", Content: virustest.Eicar})
	for range 2 {
		d.want("POST", id, "/parts/2/unlocked", `{"reason":"sprawdzone"}`, http.StatusNoContent, "")
		d.want("GET", id, "/parts/2", "", http.StatusForbidden, "Wykryto wirusa")
	}
	d.token, d.other = d.other, d.token
	d.want("POST", id, "/parts/2/unlocked", `{"reason":"też sprawdzone"}`, http.StatusNoContent, "")
	d.want("GET", id, "/parts/2", "", http.StatusOK, string(virustest.Eicar))
	if status, _, _ := d.call("GET", id, "/original", ""); status != http.StatusOK {
		t.Errorf("the original: %d", status)
	}
	d.trail(id, "unlocked.v1 unlocked.v1")
}

// trail compares the events of releases, which hold no word of a reason.
func (d *desk) trail(id sekretariat.LetterID, want string) {
	d.t.Helper()
	log, err := d.house.Log(d.id)
	if err != nil {
		d.t.Fatal(err)
	}
	events, err := log.Subject(d.t.Context(), ledger.Letter, string(id.Submission()))
	if err != nil {
		d.t.Fatal(err)
	}
	var got []string
	for _, e := range events {
		switch e.Event.Type {
		case sekretariat.EventUnlocked, sekretariat.EventLocked:
			got = append(got, string(e.Event.Type))
		}
		if strings.Contains(string(e.Event.Data), "Tajny") || strings.Contains(string(e.Event.Data), "sprawdz") {
			d.t.Errorf("event %s tells a reason: %s", e.Event.Type, e.Event.Data)
		}
	}
	if s := strings.Join(got, " "); s != want {
		d.t.Errorf("events %q, want %q", s, want)
	}
}
