package router

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sekretariat"
	"sekretariat/configs"
)

// base is a small centre; tests append to it.
const base = `id: x
name: Ośrodek
routing: { model: off }
units: [{ id: filia, name: Filia }]
departments:
  - { id: sekretariat, name: Sekretariat }
  - { id: pomoc, name: Dział Pomocy, symbol: [DPŚ] }
  - { id: przemoc, name: Zespół ds. Przemocy, symbol: [ZPR] }
  - { id: filia, name: Filia nr 1, unit: filia }
  - id: klub
    name: Klub Seniora
    suspended: [{ from: 2020-03-12, to: 2020-03-25, substitute: pomoc }]
authorities:
  - { id: ccs, name: Centrum Świadczeń }
mailboxes:
  - { id: poczta, off: true }
boxes:
  - { id: skrzynka, department: klub, off: true }
labels:
  pomoc-srodowiskowa: { department: pomoc, by_unit: { filia: filia } }
  przemoc: { department: przemoc, copies: [klub, pomoc] }
  swietlica-klub-seniora: { department: klub }
  swiadczenia-rodzinne: { forward: ccs }
  zasilki-stale: { department: pomoc }
  sekretariat: { department: sekretariat }
`

func newRouter(t testing.TB, more string) *Router {
	t.Helper()
	c, err := configs.ParseCentre([]byte(base+more), "x.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c.Version = 3
	r, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func letter(subject, text string) Facts {
	return Facts{
		Arrived: sekretariat.ArrivedLite{Kind: sekretariat.KindMail, Account: "poczta"},
		Reading: sekretariat.Reading{Outcome: sekretariat.ReadOK, Subject: subject, Text: text},
		Now:     time.Date(2026, 5, 4, 8, 0, 0, 0, time.UTC),
	}
}

const own = `rules:
  - { id: opal, label: pomoc-srodowiskowa, weight: 0.8, text: [opał], not: [nie chodzi o opał], because: pismo dotyczy opału }
  - { id: bicie, label: przemoc, weight: 0.9, urgency: urgent, text: [bije], because: mowa o biciu }
  - { id: alimenty, label: swiadczenia-rodzinne, weight: 0.8, text: [alimenty], because: pismo dotyczy alimentów }
  - { id: klub, label: swietlica-klub-seniora, weight: 0.8, text: [klub seniora], because: pismo dotyczy klubu }
  - { id: komisja, label: orzecznictwo, weight: 0.8, text: [komisja], because: pismo dotyczy komisji }
  - { id: temat, department: pomoc, weight: 0.7, subject: [węgiel], because: w temacie jest węgiel }
  - { id: dwa-warunki, department: klub, weight: 0.7, text: [zajęcia], with: [piątek], because: zajęcia w piątek }
  - { id: nadawca, department: przemoc, weight: 0.7, from: ["@policja.example"], because: pisze Policja }
  - { id: adresat, department: klub, weight: 0.7, to: ["klub@ops.example"], because: do klubu }
  - { id: formularz, department: pomoc, weight: 0.7, forms: ["http://crd.gov.pl/wzor/opal"], because: to formularz }
  - { id: sprawa, department: klub, weight: 0.7, cases: ["KS"], because: sprawa klubu }
  - { id: skrzynka, department: pomoc, weight: 0.7, priority: 5, boxes: [skrzynka], text: [tylko pomoc], because: umowa }
  - { id: konto, department: klub, weight: 0.4, accounts: [poczta], kinds: [mail], text: [wtorek], because: konto klubu }
  - { id: mroz, urgency: danger, labels: [pomoc-srodowiskowa], text: [mróz], because: mróz }
rule_sets: []
`

func TestDecide(t *testing.T) {
	r := newRouter(t, own)
	for name, c := range map[string]struct {
		f                Facts
		department, rule string
		label            string
		urgency          sekretariat.Urgency
	}{
		"inflected word":       {f: letter("", "Proszę o tonę opału."), department: "pomoc", rule: "opal", label: "pomoc-srodowiskowa"},
		"without diacritics":   {f: letter("", "PROSZE O TONE OPALU"), department: "pomoc", rule: "opal", label: "pomoc-srodowiskowa"},
		"forbidden phrase":     {f: letter("", "Nie chodzi o opał."), department: "sekretariat", rule: "fallback"},
		"negated word":         {f: letter("", "Mąż nie bije."), department: "sekretariat", rule: "fallback"},
		"urgent":               {f: letter("", "Syn mnie bije."), department: "przemoc", rule: "bicie", label: "przemoc", urgency: sekretariat.Urgent},
		"subject":              {f: letter("Węgiel na zimę", "Dzień dobry"), department: "pomoc", rule: "temat"},
		"subject rule in text": {f: letter("Zima", "węgiel"), department: "sekretariat", rule: "fallback"},
		"both conditions":      {f: letter("", "Zajęcia są w piątek?"), department: "klub", rule: "dwa-warunki"},
		"one of two":           {f: letter("", "Zajęcia są we czwartek?"), department: "sekretariat", rule: "fallback"},
		"account and kind":     {f: letter("", "We wtorek?"), department: "klub", rule: "konto"},
		"label's danger":       {f: letter("", "Opał się skończył, a jest mróz."), department: "pomoc", rule: "opal", label: "pomoc-srodowiskowa", urgency: sekretariat.Danger},
		"danger of no label":   {f: letter("", "Jest mróz."), department: "sekretariat", rule: "fallback"},
		"own case number":      {f: letter("", "Dotyczy ZPR.5120.12.2026. Kto wydaje opał?"), department: "przemoc", rule: "znak-sprawy"},
		"case spoilt by OCR":   {f: letter("", "dot. DPS . 512O . 12 . 2O26"), department: "pomoc", rule: "znak-sprawy"},
		"foreign case number":  {f: letter("", "dot. GOPS.5120.12.2026"), department: "sekretariat", rule: "fallback"},
		"named department":     {f: letter("", "Proszę przekazać do: Zespół ds. Przemocy"), department: "przemoc", rule: "nazwa-dzialu"},
		"nothing":              {f: letter("Dzień dobry", "Do widzenia"), department: "sekretariat", rule: "fallback"},
		"empty":                {f: letter("", ""), department: "sekretariat", rule: "fallback"},
		"unmapped label":       {f: letter("", "Kiedy komisja?"), department: "sekretariat", rule: "fallback", label: "orzecznictwo"},
	} {
		d := r.Decide(c.f)
		if c.urgency == "" {
			c.urgency = sekretariat.Normal
		}
		if string(d.Department) != c.department || d.Rule != c.rule || d.Label != c.label || d.Urgency != c.urgency {
			t.Errorf("%s: %s by %s, label %q, %s; want %s by %s, label %q, %s\n%s",
				name, d.Department, d.Rule, d.Label, d.Urgency, c.department, c.rule, c.label, c.urgency, r.Explain(d))
		}
		if d.Config != 3 {
			t.Errorf("%s: configuration version %d", name, d.Config)
		}
	}
}

func TestDecideByTheWayOfArrival(t *testing.T) {
	r := newRouter(t, own)
	f := letter("", "Dzień dobry")
	f.Arrived = sekretariat.ArrivedLite{Kind: sekretariat.KindBox, Account: "skrzynka", Box: "skrzynka", Department: "klub"}
	if d := r.Decide(f); d.Department != "klub" || d.Rule != "miejsce-wplywu" {
		t.Errorf("an empty letter from the club's box went to %s by %s", d.Department, d.Rule)
	}
	f.Reading.Text = "Syn mnie bije."
	if d := r.Decide(f); d.Department != "przemoc" {
		t.Errorf("the box decided against the content: %s", d.Department)
	}
	f.Reading.Text = "Syn mnie bije. Tylko pomoc."
	if d := r.Decide(f); d.Department != "pomoc" || d.Rule != "skrzynka" {
		t.Errorf("a rule of higher priority lost: %s by %s", d.Department, d.Rule)
	}
	f = letter("", "")
	f.Reading.Sender.Email = "Dyzurny@KP.Policja.example"
	if d := r.Decide(f); d.Department != "przemoc" || d.Rule != "nadawca" {
		t.Errorf("sender: %s by %s", d.Department, d.Rule)
	}
	f.Reading.Sender.Email = "x@niepolicja.example"
	if d := r.Decide(f); d.Department != sekretariat.Sekretariat {
		t.Errorf("another domain with the same ending went to %s", d.Department)
	}
	f = letter("", "")
	f.Reading.Recipients = []sekretariat.Party{{Email: "Klub@ops.example"}}
	if d := r.Decide(f); d.Rule != "adresat" {
		t.Errorf("recipient: %s", d.Rule)
	}
	f = letter("", "")
	f.Reading.Form = "http://crd.gov.pl/wzor/opal/2024/"
	if d := r.Decide(f); d.Rule != "formularz" {
		t.Errorf("form: %s", d.Rule)
	}
	f = letter("", "")
	f.Reading.CaseNumbers = []string{"KS.512.1.2026"}
	if d := r.Decide(f); d.Rule != "sprawa" {
		t.Errorf("case: %s", d.Rule)
	}
}

func TestWhoStandsIn(t *testing.T) {
	r := newRouter(t, own)
	f := letter("", "Kiedy otwarty klub seniora?")
	f.Now = time.Date(2020, 3, 20, 8, 0, 0, 0, time.UTC)
	d := r.Decide(f)
	if d.Department != "pomoc" || d.Instead != "klub" {
		t.Errorf("during the closure: %s instead of %q", d.Department, d.Instead)
	}
	f.Reading.Text = "Syn mnie bije."
	if d := r.Decide(f); !slices.Equal(d.Copies, []sekretariat.DepartmentID{"pomoc"}) {
		t.Errorf("copies %v: the closed club's copy goes to its substitute, once", d.Copies)
	}
	f.Now = time.Date(2020, 3, 26, 8, 0, 0, 0, time.UTC)
	if d := r.Decide(f); !slices.Equal(d.Copies, []sekretariat.DepartmentID{"klub", "pomoc"}) {
		t.Errorf("copies %v", d.Copies)
	}
}

func TestForwardAndUnit(t *testing.T) {
	r := newRouter(t, own)
	d := r.Decide(letter("", "Komornik nie ściąga alimentów."))
	if d.Department != sekretariat.Sekretariat || d.Forward != "ccs" || d.Label != "swiadczenia-rodzinne" || d.Rule == ruleFallback {
		t.Errorf("forward: %+v", d)
	}
	f := letter("", "Proszę o opał.")
	f.Arrived.Unit = "filia"
	if d := r.Decide(f); d.Department != "filia" {
		t.Errorf("through the branch's container: %s", d.Department)
	}
}

func TestFallbackCodes(t *testing.T) {
	r := newRouter(t, own)
	unreadable := letter("", "")
	unreadable.Reading.Outcome = sekretariat.ReadUnreadable
	locked := letter("", "")
	locked.Reading.Findings = []sekretariat.Finding{{Code: "smime-encrypted"}}
	auto := letter("Re: sprawa", "Jestem na urlopie, a opał wyda kolega.")
	auto.Reading.Auto = "auto-reply"
	for want, f := range map[string]Facts{
		"nothing":    letter("Dzień dobry", "Do widzenia"),
		"unreadable": unreadable,
		"encrypted":  locked,
		"equal":      letter("", "opał, alimenty"),
		"unmapped":   letter("", "komisja"),
	} {
		d := r.Decide(f)
		if d.Department != sekretariat.Sekretariat || len(d.Evidence) == 0 || d.Evidence[0] != (sekretariat.Evidence{Field: "fallback", Term: want}) {
			t.Errorf("%s: %s with evidence %v", want, d.Department, d.Evidence)
		}
	}
	if d := r.Decide(auto); d.Department != sekretariat.Sekretariat || d.Rule != ruleAuto {
		t.Errorf("automatic reply: %s by %s", d.Department, d.Rule)
	}
	auto.Reading.Auto = "auto-generated"
	if d := r.Decide(auto); d.Department != "pomoc" {
		t.Errorf("a system's notice about a citizen: %s by %s", d.Department, d.Rule)
	}
}

// A letter that names violence nearly as strongly as something else belongs to
// those who can act on violence (boundary rule R1).
func TestSafetyFirst(t *testing.T) {
	r := newRouter(t, `rules:
  - { id: a, label: pomoc-srodowiskowa, weight: 0.80, text: [opał], because: opał }
  - { id: b, label: przemoc, weight: 0.78, text: [bije], because: bije }
rule_sets: []
`)
	if d := r.Decide(letter("", "Proszę o opał. Mąż mnie bije.")); d.Department != "przemoc" {
		t.Errorf("went to %s", d.Department)
	}
}

func TestOwnWords(t *testing.T) {
	r := newRouter(t, own)
	long := "Piszę jeszcze raz w tej samej sprawie co wczoraj i proszę o odpowiedź na piśmie w tym tygodniu."
	for name, text := range map[string]string{
		"quotation":   long + "\n> proszę o opał\n> bije",
		"thread":      long + "\n-----Wiadomość oryginalna-----\nproszę o opał",
		"attribution": long + "\nW dniu 3 maja 2026 o 10:12 Jan <jan@x.example> napisał(a):\nproszę o opał",
		"signature":   long + "\n-- \nSklep Opał",
		"disclaimer":  long + "\nTa wiadomość jest poufna. Opał.",
	} {
		if d := r.Decide(letter("", text)); d.Rule != ruleFallback {
			t.Errorf("%s counted: %s", name, r.Explain(d))
		}
	}
	if d := r.Decide(letter("", "Patrz niżej.\n> proszę o opał")); d.Rule != "opal" {
		t.Errorf("a mail that only points at the quotation: %s", r.Explain(d))
	}
}

func TestAttachmentsAndPagesCount(t *testing.T) {
	r := newRouter(t, own)
	f := letter("", "W załączeniu pismo.")
	f.Reading.Parts = []sekretariat.Part{{Text: "Proszę o opał."}}
	if d := r.Decide(f); d.Rule != "opal" {
		t.Errorf("attachment: %s", r.Explain(d))
	}
	f = letter("", "")
	f.Reading.Pages = []sekretariat.Page{{Number: 1, Text: "Proszę o"}, {Number: 2, Text: "opał."}}
	if d := r.Decide(f); d.Rule != "opal" {
		t.Errorf("page: %s", r.Explain(d))
	}
}

func TestNewRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		more string
		want error
		say  string
	}{
		"unknown set": {"rule_sets: [nowy]", ErrNoRuleSet, "nowy"},
		"reserved id": {"rules: [{ id: fallback, label: przemoc, text: [a], because: b }]", ErrReservedID, "fallback"},
		"bad phrase":  {`rules: [{ id: zla, label: przemoc, text: ["..."], because: b }]`, nil, `rule "zla"`},
	} {
		profile, err := configs.ParseCentre([]byte(base+c.more), "x.yaml")
		if err != nil {
			t.Fatal(err)
		}
		_, err = New(profile)
		if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestOwnRuleReplacesBuiltInOne(t *testing.T) {
	r := newRouter(t, `rules:
  - { id: przemoc-slowo, label: zasilki-stale, weight: 0.9, text: [przemoc], because: próba }
`)
	if d := r.Decide(letter("", "przemoc")); d.Rule != "przemoc-slowo" || d.Department != "pomoc" {
		t.Errorf("%s by %s", d.Department, d.Rule)
	}
}

func TestEveryProfileMakesARouter(t *testing.T) {
	for _, name := range []string{"czestochowa", "demo", "lublin", "wschowa", "zdunska-wola", "zielona-gora"} {
		in, err := configs.Load("../configs/" + name + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := New(in.Profiles[0]); err != nil {
			t.Error(err)
		}
	}
}

// The built-in rules hold to what check-config asks of a centre's own.
func TestBuiltInRulesAreSound(t *testing.T) {
	rules, err := readSet("common")
	if err != nil {
		t.Fatal(err)
	}
	c, err := configs.ParseCentre([]byte(base), "x.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c.Rules, c.RuleSets = rules, nil
	text, err := configs.Canonical(c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := configs.ParseCentre(text, "built-in"); err != nil {
		t.Error(err)
	}
	labels := map[string]bool{}
	for _, r := range rules {
		labels[r.Label] = true
		b := &builder{index: map[string]int{}}
		compiled, err := b.rule(r)
		if err != nil {
			t.Fatal(err)
		}
		if len(compiled.text) != len(r.Text) || len(compiled.not) != len(r.Not) {
			t.Errorf("rule %s lists a phrase twice in two forms", r.ID)
		}
	}
	for _, l := range configs.Labels() {
		if !labels[l] {
			t.Errorf("no rule for label %s", l)
		}
	}
}

func TestExplain(t *testing.T) {
	r := newRouter(t, own)
	closed := letter("", "klub seniora")
	closed.Now = time.Date(2020, 3, 20, 8, 0, 0, 0, time.UTC)
	box := letter("", "")
	box.Arrived = sekretariat.ArrivedLite{Kind: sekretariat.KindBox, Account: "skrzynka", Box: "skrzynka", Department: "klub"}
	got := []string{
		r.Explain(r.Decide(letter("", "Mąż mnie bije, nie mam opału"))),
		r.Explain(r.Decide(letter("Alimenty", "i opał"))),
		r.Explain(r.Decide(letter("", "alimenty"))),
		r.Explain(r.Decide(closed)),
		r.Explain(r.Decide(box)),
		r.Explain(r.Decide(letter("", "opał, alimenty"))),
		r.Explain(r.Decide(letter("", "dot. ZPR.5120.12.2026"))),
		r.Explain(sekretariat.Decision{Department: "nie-ma", Rule: "nie-ma"}),
	}
	want := []string{
		"Pilne (wystąpiło „bije”). Skierowano do: Zespół ds. Przemocy — reguła „bicie”: mowa o biciu; w treści wystąpiło „bije”. Drugi możliwy dział: Dział Pomocy.",
		"Do przekazania do: Centrum Świadczeń (art. 65 § 1 KPA), zajmie się tym Sekretariat — reguła „alimenty”: pismo dotyczy alimentów; w temacie wystąpiło „alimenty”. Drugi możliwy dział: Dział Pomocy.",
		"Do przekazania do: Centrum Świadczeń (art. 65 § 1 KPA), zajmie się tym Sekretariat — reguła „alimenty”: pismo dotyczy alimentów; w treści wystąpiło „alimenty”.",
		"Skierowano do: Dział Pomocy (zastępuje dział: Klub Seniora, który jest teraz zawieszony) — reguła „klub”: pismo dotyczy klubu; w treści wystąpiło „klub seniora”.",
		"Skierowano do: Klub Seniora — reguła „miejsce-wplywu”: tędy wpływają pisma do tego działu; pojemnik „skrzynka”.",
		"Pozostaje w: Sekretariat — dwa działy pasują tak samo. Do rozważenia: Dział Pomocy, Centrum Świadczeń.",
		"Skierowano do: Zespół ds. Przemocy — reguła „znak-sprawy”: pismo powołuje znak sprawy tego działu; znak sprawy „ZPR”.",
		"Skierowano do: nie-ma — reguła „nie-ma”: decyzja z reguły, której już nie ma.",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// Plain applications, as most of a real inbox is, must not go wrong: the right
// department has them, or is the sekretariat's first suggestion.
func TestPlainLetters(t *testing.T) {
	r := demo(t)
	sure, all := 0, 0
	for text, want := range map[string]string{
		"Wniosek o przyznanie zasiłku okresowego z powodu bezrobocia":                        "pomoc-srodowiskowa",
		"Wniosek o zasiłek celowy na zakup opału":                                            "pomoc-srodowiskowa",
		"Proszę o objęcie syna dożywianiem w szkole, program Posiłek w szkole i w domu":      "pomoc-srodowiskowa",
		"Odwołanie od decyzji w sprawie zasiłku okresowego":                                  "pomoc-srodowiskowa",
		"Proszę o przydzielenie asystenta rodziny":                                           "asysta-rodzinna",
		"W załączeniu przekazuję formularz Niebieska Karta – A":                              "przemoc",
		"Mój mąż mnie bije, proszę o pomoc":                                                  "przemoc",
		"Chciałabym zapisać córkę do świetlicy środowiskowej":                                "swietlica-klub-seniora",
		"Czy są wolne miejsca w klubie seniora?":                                             "swietlica-klub-seniora",
		"Wniosek o przyznanie usług opiekuńczych dla mojej mamy":                             "uslugi-opiekuncze",
		"Wniosek o umieszczenie w domu pomocy społecznej":                                    "uslugi-opiekuncze",
		"Wniosek o przyznanie zasiłku stałego":                                               "zasilki-stale",
		"Proszę o skierowanie do schroniska dla osób bezdomnych":                             "bezdomnosc",
		"Wniosek o zasiłek rodzinny oraz dodatek z tytułu rozpoczęcia roku szkolnego":        "swiadczenia-rodzinne",
		"Wniosek o świadczenia z funduszu alimentacyjnego":                                   "swiadczenia-rodzinne",
		"Wniosek o zasiłek pielęgnacyjny":                                                    "swiadczenia-rodzinne",
		"Wniosek o wydanie karty parkingowej":                                                "orzecznictwo",
		"Wniosek o wydanie orzeczenia o stopniu niepełnosprawności":                          "orzecznictwo",
		"W załączeniu przesyłamy fakturę VAT, termin płatności 14 dni":                       "sekretariat",
		"Wniosek o udostępnienie informacji publicznej":                                      "sekretariat",
		"W odpowiedzi na ogłoszenie przesyłam CV i list motywacyjny na stanowisko referenta": "sekretariat",
	} {
		for _, f := range []Facts{letter("", text), letter(text, "Dzień dobry, w załączeniu. Z poważaniem")} {
			d := r.Decide(f)
			all++
			if d.Rule != ruleFallback {
				sure++
			} else if string(d.Suggestions[0].Department) == want {
				continue
			}
			if string(d.Department) != want {
				t.Errorf("%q went to %s, want %s: %s", text, d.Department, want, r.Explain(d))
			}
		}
	}
	if sure*4 < all*3 {
		t.Errorf("%d of %d plain letters were decided", sure, all)
	}
}
