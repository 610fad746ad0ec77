package desk

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/desk/api"
	"sekretariat/register/index"
)

func rendered(t *testing.T, name string, data any) string {
	t.Helper()
	p, err := loadPages()
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	p.render(w, 200, name, frame{Title: "t", Data: data})
	if w.Code != 200 {
		t.Fatalf("%s: %d %s", name, w.Code, w.Body)
	}
	return w.Body.String()
}

func TestVirusAlarmOnThePage(t *testing.T) {
	id := sekretariat.NewLetterID(sekretariat.SubmissionID(strings.Repeat("ab", 32)), 1)
	part := func(scan sekretariat.ScanState, u *sekretariat.Unlock) api.Part {
		return api.Part{Part: sekretariat.Part{Path: "2", SafeName: "a.exe", Attachment: true}, Scan: scan, Unlocked: u}
	}
	page := func(judge bool, alarm *api.Part, parts ...api.Part) string {
		return rendered(t, "pismo", letterData{Letter: &sekretariat.Letter{ID: id}, Judge: judge, Alarm: alarm, Parts: parts})
	}
	const unlock, lock, second = "/odblokuj", "/zablokuj", "jako druga osoba"
	infected := part(sekretariat.ScanInfected, nil)
	for _, c := range []struct {
		name, html string
		want       map[string]bool
	}{
		{"locked", page(true, nil, infected), map[string]bool{unlock: true, lock: false, second: false}},
		{"nobody to judge", page(false, nil, infected), map[string]bool{unlock: false, lock: false}},
		{"waits for a second", page(true, nil, part(sekretariat.ScanInfected, &sekretariat.Unlock{By: "a"})), map[string]bool{unlock: true, lock: true, second: true}},
		{"released", page(true, nil, part(sekretariat.ScanClean, &sekretariat.Unlock{By: "a", Open: true})), map[string]bool{unlock: false, lock: true}},
		{"the original alone", page(true, &infected), map[string]bool{unlock: true}},
	} {
		for what, want := range c.want {
			if got := strings.Contains(c.html, what); got != want {
				t.Errorf("%s: %q on the page: %t", c.name, what, got)
			}
		}
	}
}

// What was set aside is released from the list by one key (rule P8), and goes to
// a department without a number from its page (rule P9).
func TestParkedOnThePages(t *testing.T) {
	id := sekretariat.NewLetterID(sekretariat.SubmissionID(strings.Repeat("cd", 32)), 1)
	rows := func(r sekretariat.ParkReason) *list {
		return &list{ID: "nowe-odlozone", Release: true, Rows: []row{{Row: index.Row{Letter: id, View: sekretariat.Full, Status: sekretariat.StatusParked, Reason: r, Received: time.Now()}}}}
	}
	release := `action="/pismo/` + string(id) + `/rejestruj"><button data-klawisz="p">`
	for reason, want := range map[sekretariat.ParkReason]bool{sekretariat.ParkSpam: true, sekretariat.ParkProof: true, sekretariat.ParkDuplicate: false, sekretariat.ParkOversize: false} {
		html := rendered(t, "skrzynka", inboxData{Waiting: &list{}, Recent: rows(reason), Parked: &list{}})
		if got := strings.Contains(html, release); got != want {
			t.Errorf("%s: the list releases it: %t", reason, got)
		}
	}
	c := &configs.Centre{Departments: []configs.Department{{ID: sekretariat.Sekretariat}, {ID: "przemoc", Name: "Zespół"}}}
	l := &sekretariat.Letter{ID: id, Status: sekretariat.StatusParked, Reason: sekretariat.ParkWorking, Department: "przemoc", Revision: 1}
	html := rendered(t, "pismo", letterData{Letter: l, Parked: parkedOf(visit{c: &Centre{Config: c}, who: sekretariat.Principal{Register: true}}, l)})
	if !strings.Contains(html, `<option value="przemoc" selected>Zespół</option>`) || strings.Contains(html, "/przekaz") {
		t.Error("the page does not say which department has it without a number, or offers to re-route it")
	}
}
