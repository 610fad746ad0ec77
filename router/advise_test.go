package router

import (
	"slices"
	"strings"
	"testing"
	"time"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/router/model"
)

// learned returns a router of the test centre with the model that ships.
func learned(t testing.TB, more string) *Router {
	t.Helper()
	text := strings.Replace(base, "routing: { model: off }\n", "", 1) + more
	c, err := configs.ParseCentre([]byte(text), "x.yaml")
	if err != nil {
		t.Fatal(err)
	}
	m, err := model.Default()
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewWith(c, m)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const (
	plainApplication = "Wniosek o przyznanie zasiłku celowego na zakup opału. Jestem osobą samotną, utrzymuję się z emerytury, nie mam czym palić w piecu."
	familyBenefit    = "Wniosek o ustalenie prawa do zasiłku rodzinnego oraz dodatków do zasiłku rodzinnego na troje dzieci."
)

// A new office is shown suggestions; only where it says automat does the model
// put letters into queues itself. Danger goes at once in both (rule P17).
func TestModes(t *testing.T) {
	f := letter("", plainApplication)
	suggest := learned(t, "rule_sets: [common]\n")
	d := suggest.Decide(f)
	if d.Department != sekretariat.Sekretariat || d.Rule != ruleSuggest || d.Suggestions[0].Department != "pomoc" || d.Mode != sekretariat.ModeSuggest || d.Model == "" {
		t.Errorf("podpowiedz: %+v", d)
	}
	auto := learned(t, "routing: { mode: automat }\n")
	if d := auto.Decide(f); d.Department != "pomoc" || d.Rule != ruleModel || d.Confidence < 0.9 || len(d.Evidence) == 0 {
		t.Errorf("automat: %+v", d)
	}
	part := learned(t, "routing: { mode: automat, exceptions: [{ department: pomoc, mode: podpowiedz }] }\n")
	if d := part.Decide(f); d.Rule != ruleSuggest {
		t.Errorf("exception: %+v", d)
	}
	danger := letter("", "Mąż mnie bije, przed chwilą groził nożem, że mnie zabije. Zamknął nas w pokoju, dzieci płaczą.")
	if d := suggest.Decide(danger); d.Department != "przemoc" || d.Urgency != sekretariat.Danger || !d.Silent {
		t.Errorf("danger under podpowiedz: %+v", d)
	}
	if d := learned(t, "routing: { mode: automat, threshold: 1 }\n").Decide(f); d.Rule != ruleFallback || len(d.Suggestions) == 0 {
		t.Errorf("threshold 1: %+v", d)
	}
}

// The centre's own rules go before evidence, evidence before the model.
func TestOrderOfDecision(t *testing.T) {
	r := learned(t, own+"routing: { mode: automat }\n")
	f := letter("", plainApplication+" Tylko pomoc.")
	f.Arrived.Box = "skrzynka"
	if d := r.Decide(f); d.Rule != "skrzynka" || d.Department != "pomoc" {
		t.Errorf("own rule: %+v", d)
	}
	byCase := learned(t, "routing: { mode: automat }\n")
	if d := byCase.Decide(letter("", "Dotyczy ZPR.5120.12.2026. Przesyłam dokumenty.")); d.Rule != ruleCase || d.Department != "przemoc" {
		t.Errorf("case number: %+v", d)
	}
	if d := byCase.Decide(letter("", "Dotyczy GOPS.5120.12.2026.")); d.Rule == ruleCase {
		t.Errorf("another office's case number: %+v", d)
	}
}

// A matter of another authority stays with the sekretariat, with the letter to
// the authority and the notice to the sender ready (art. 65 KPA).
func TestForwarding(t *testing.T) {
	r := learned(t, "routing: { mode: automat }\n")
	a := r.Advise(letter("", familyBenefit))
	if a.Decision.Forward != "ccs" || a.Decision.Department != sekretariat.Sekretariat {
		t.Fatalf("%+v", a.Decision)
	}
	var kinds []string
	for _, d := range a.Drafts {
		kinds = append(kinds, d.Kind)
		if !strings.Contains(d.Text, "Centrum Świadczeń") && strings.HasPrefix(d.Kind, "kpa65") || strings.Contains(d.Text, "unknown") {
			t.Errorf("draft %s: %s", d.Kind, d.Text)
		}
	}
	if !slices.Contains(kinds, "kpa65-przekazanie") || !slices.Contains(kinds, "kpa65-zawiadomienie") {
		t.Errorf("drafts %v", kinds)
	}
	if len(a.Decision.Deadlines) != 1 || a.Decision.Deadlines[0].Code != "kpa65" {
		t.Errorf("deadlines %+v", a.Decision.Deadlines)
	}
}

// An application by plain e-mail leads to what the centre's policy of the day
// says; a writer who wants no answer gets no draft.
func TestEmailPolicy(t *testing.T) {
	policies := `email_policy:
  - { policy: accept, from: 2020-06-01, to: 2020-12-31 }
  - { policy: call_to_sign, from: 2021-01-01, to: 2021-10-04 }
  - { policy: inform_and_keep, from: 2021-10-05 }
`
	r := learned(t, policies+"routing: { mode: automat }\n")
	for day, want := range map[string]string{"2020-07-01": "", "2021-02-01": "kpa64-wezwanie", "2026-05-04": "kpa63-informacja"} {
		f := letter("Wniosek o zasiłek celowy", plainApplication+" Jan Nowak, ul. Długa 3")
		f.Reading.Sender = sekretariat.Party{Name: "Jan Nowak", Email: "jan@poczta.example"}
		at, err := time.Parse(time.DateOnly, day)
		if err != nil {
			t.Fatal(err)
		}
		f.Now, f.Arrived.At = at, at
		a := r.Advise(f)
		got := ""
		for _, d := range a.Drafts {
			got = d.Kind
		}
		if got != want || !slices.Contains(a.Decision.Defects, DefectUnsigned) {
			t.Errorf("%s: draft %q, want %q; defects %v", day, got, want, a.Decision.Defects)
		}
		f.Reading.Text += " Proszę nie dzwonić i nie odpisywać na maila."
		if a := r.Advise(f); len(a.Drafts) != 0 || !a.Decision.Silent || len(a.Warnings) == 0 {
			t.Errorf("%s: a writer who wants no answer: %+v", day, a)
		}
	}
}

// The street where the writer lives says which branch has the matter.
func TestStreets(t *testing.T) {
	more := `streets:
  - { street: Lubartowska, from: 1, to: 20, unit: filia }
  - { street: Lubartowska, from: 21, side: even, unit: filia, until: "2026-01-01" }
routing: { mode: automat }
`
	r := learned(t, more)
	for text, want := range map[string]sekretariat.DepartmentID{
		"Jan Nowak, ul. Lubartowska 7 m. 2":   "filia",
		"mieszkam przy ulicy Lubartowskiej 7": "filia",
		"Jan Nowak, ul. Lubartowska 21":       "pomoc",
		"Jan Nowak, ul. Lubartowska 22":       "pomoc", // that line of the table has ended
		"Jan Nowak, ul. Długa 7":              "pomoc",
	} {
		if d := r.Decide(letter("", plainApplication+"\n"+text)); d.Department != want {
			t.Errorf("%s: %s, want %s (%+v)", text, d.Department, want, d.Suggestions)
		}
	}
}

// Words of mail that must not be opened close a letter (rule P13).
func TestClosedMail(t *testing.T) {
	r := learned(t, "routing: { mode: automat, closed: { department: przemoc } }\n")
	d := r.Decide(letter("Zgłoszenie naruszenia prawa – do rąk własnych", "Faktury za opał są fałszowane."))
	if !d.Closed || d.Department != "przemoc" || d.Rule != ruleClosed || len(d.Copies) != 0 {
		t.Errorf("%+v", d)
	}
	if d := r.Decide(letter("", plainApplication)); d.Closed {
		t.Errorf("an ordinary letter was closed: %+v", d)
	}
}

// What the event carries holds no word of the letter; the sealed advice quotes
// it.
func TestAdviceQuotesAndDecisionDoesNot(t *testing.T) {
	r := learned(t, "routing: { mode: automat, contact_duty: true }\n")
	f := letter("", plainApplication+"\nWandzelina Pszczółkowska, tel. 601 774 320, PESEL 76091507338")
	a := r.Advise(f)
	if !strings.Contains(a.Explanation, "„") || a.Contacts.Phone != "601774320" || a.Contacts.PESEL != "*******7338" || !a.Decision.ContactDuty {
		t.Errorf("%+v", a)
	}
	told := r.Explain(a.Decision)
	for _, secret := range []string{"Wandzelina", "Pszczółkowska", "601774320", "7338"} {
		if strings.Contains(told, secret) {
			t.Errorf("%q is told: %s", secret, told)
		}
	}
}

// Without a model the rules go on.
func TestModelOff(t *testing.T) {
	r := newRouter(t, own)
	if d := r.Decide(letter("", "Proszę o tonę opału.")); d.Department != "pomoc" || d.Model != "" {
		t.Errorf("%+v", d)
	}
}
