package router

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/extract/polish"
)

// demo returns a router of the demo centre: ten departments, built-in rules.
func demo(t testing.TB) *Router {
	t.Helper()
	in, err := configs.Load("../configs/demo.yaml")
	if err != nil {
		t.Fatal(err)
	}
	r, err := New(in.Profiles[0])
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// vocabulary returns the terms of the rules, so that drawn letters hit them.
func vocabulary(r *Router) []string {
	out := []string{"nie", "proszę", "DPŚ.5120.12.2026", "ZPR.1.2.2026"}
	for _, p := range r.phrases {
		out = append(out, strings.NewReplacer("*", "a", `"`, "", "...", "").Replace(p))
	}
	return out
}

// private draws a word that is in no rule: what a name, an address or a PESEL
// is to the router.
func private(t *rapid.T, label string) string {
	return "zqx" + rapid.StringMatching(`[a-zżółć0-9]{5,9}`).Draw(t, label)
}

// drawLetter mixes words of the rules with private ones in all fields.
func drawLetter(t *rapid.T, words []string, secrets *[]string) Facts {
	secret := func(label string) string {
		s := private(t, label)
		*secrets = append(*secrets, s)
		return s
	}
	text := func(label string) string {
		parts := rapid.SliceOfN(rapid.SampledFrom(words), 0, 12).Draw(t, label)
		return strings.Join(append(parts, secret(label+" secret")), rapid.SampledFrom([]string{" ", ", ", "\n", "\n> "}).Draw(t, label+" join"))
	}
	return Facts{
		Arrived: sekretariat.ArrivedLite{
			Kind:       rapid.SampledFrom([]sekretariat.Kind{sekretariat.KindMail, sekretariat.KindBox, sekretariat.KindEPUAP, ""}).Draw(t, "kind"),
			Account:    "poczta",
			Unit:       rapid.SampledFrom([]string{"", "ops", "mzon", "nie-ma"}).Draw(t, "unit"),
			Department: sekretariat.DepartmentID(rapid.SampledFrom([]string{"", "przemoc", "nie-ma"}).Draw(t, "department")),
		},
		Reading: sekretariat.Reading{
			Outcome:     rapid.SampledFrom([]sekretariat.Outcome{sekretariat.ReadOK, sekretariat.ReadPartial, sekretariat.ReadUnreadable, ""}).Draw(t, "outcome"),
			Subject:     text("subject"),
			Text:        text("text"),
			Sender:      sekretariat.Party{Name: secret("name"), Email: secret("local") + "@" + secret("host") + ".example"},
			Recipients:  []sekretariat.Party{{Email: secret("to") + "@ops.example"}},
			Parts:       []sekretariat.Part{{Name: secret("file"), Text: text("part")}},
			Findings:    []sekretariat.Finding{{Code: rapid.SampledFrom([]string{"encrypted-zip", "infected"}).Draw(t, "finding"), Detail: secret("detail")}},
			Auto:        rapid.SampledFrom([]string{"", "bounce"}).Draw(t, "auto"),
			CaseNumbers: rapid.SampledFrom([][]string{nil, {"ZPR.1.1.2026"}, {secret("case") + ".1.2.2026"}}).Draw(t, "cases"),
		},
		Now: time.Unix(rapid.Int64Range(0, 2e9).Draw(t, "now"), 0),
	}
}

// Whatever a letter holds: one owner that exists, the same one each time, and
// neither decision nor explanation repeats a word of the letter that is not the
// rules' own.
func TestDecisionsHold(t *testing.T) {
	routers := []*Router{demo(t), newRouter(t, own)}
	for _, name := range []string{"lublin", "czestochowa"} {
		in, err := configs.Load("../configs/" + name + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		r, err := New(in.Profiles[0])
		if err != nil {
			t.Fatal(err)
		}
		routers = append(routers, r)
	}
	words := vocabulary(routers[0])
	rapid.Check(t, func(t *rapid.T) {
		var secrets []string
		r := rapid.SampledFrom(routers).Draw(t, "router")
		f := drawLetter(t, words, &secrets)
		d := r.Decide(f)
		if _, ok := r.centre.DepartmentByID(d.Department); !ok {
			t.Fatalf("the owner %q does not exist", d.Department)
		}
		for _, c := range d.Copies {
			if _, ok := r.centre.DepartmentByID(c); !ok || c == d.Department {
				t.Fatalf("copy for %q, owner %q", c, d.Department)
			}
		}
		if d.Rule == "" || len(d.Evidence) == 0 && d.Rule != ruleAuto || d.Confidence < 0 || d.Confidence > 1 || levels[d.Urgency] == 0 && d.Urgency != sekretariat.Normal {
			t.Fatalf("incomplete decision %+v", d)
		}
		if diff := cmp.Diff(d, r.Decide(f)); diff != "" {
			t.Fatalf("the same letter, another decision: %s", diff)
		}
		event, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		told := polish.Fold(r.Explain(d) + string(event))
		for _, s := range secrets {
			if strings.Contains(told, polish.Fold(s)) {
				t.Fatalf("%q of the letter is told: %s", s, told)
			}
		}
	})
}

// Urgency only rises: words added to a letter never make it less urgent, as
// long as they do not forbid a rule or change what it is about.
func TestUrgencyOnlyRises(t *testing.T) {
	r := newRouter(t, own)
	words := []string{"opał", "alimenty", "wtorek", "zajęcia", "klub seniora"}
	rapid.Check(t, func(t *rapid.T) {
		more := strings.Join(rapid.SliceOfN(rapid.SampledFrom(words), 0, 6).Draw(t, "more"), " ")
		if d := r.Decide(letter(more, "Syn mnie bije. "+more)); d.Urgency != sekretariat.Urgent {
			t.Fatalf("with %q the urgency fell to %s", more, d.Urgency)
		}
	})
}

// A letter of the greatest size is decided in bounded work and cut, not refused.
func TestHugeLetter(t *testing.T) {
	r := demo(t)
	f := letter("zasiłek stały", strings.Repeat("Mąż mnie bije. ", 1<<16))
	for range 50 {
		f.Reading.Parts = append(f.Reading.Parts, sekretariat.Part{Text: strings.Repeat("opał ", 1<<15)})
	}
	total := 0
	for _, b := range contentOf(f.Reading, false).body {
		total += b.Len()
	}
	if total > maxText/2 {
		t.Errorf("%d words are looked at", total)
	}
	if d := r.Decide(f); d.Department != "przemoc" {
		t.Errorf("went to %s", d.Department)
	}
}

func FuzzDecide(f *testing.F) {
	r := demo(f)
	f.Add("Wniosek", "Proszę o zasiłek stały. DPŚ.5120.12.2026", "a@b.example")
	f.Add("", "\xff> \n-- \n", "")
	f.Fuzz(func(t *testing.T, subject, text, from string) {
		facts := letter(subject, text)
		facts.Reading.Sender.Email = from
		d := r.Decide(facts)
		if _, ok := r.centre.DepartmentByID(d.Department); !ok {
			t.Fatalf("the owner %q does not exist", d.Department)
		}
		if !utf8.ValidString(r.Explain(d)) {
			t.Fatal("the explanation is not UTF-8")
		}
	})
}
