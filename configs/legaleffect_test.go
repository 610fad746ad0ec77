package configs

import (
	"strings"
	"testing"
	"time"

	"sekretariat"
)

func TestLegalEffect(t *testing.T) {
	c, err := ParseCentre([]byte(`id: x
name: Ośrodek
departments: [{ id: sekretariat, name: Sekretariat }]
legal_effect:
  - { id: wlasna, kinds: [mail], matters: [petycja], effect: assess, text: "U nas inaczej.", from: 2026-05-01 }
`), "x.yaml")
	if err != nil {
		t.Fatal(err)
	}
	day := func(s string) time.Time {
		at, err := time.ParseInLocation("2006-01-02 15:04", s, sekretariat.Warsaw())
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	for _, w := range []struct {
		kind       sekretariat.Kind
		matter     Matter
		sender, at string
		effect, id string
	}{
		{sekretariat.KindEPUAP, MatterApplication, "", "2025-12-31 23:59", EffectYes, "epuap-podanie-do-2025"},
		{sekretariat.KindEPUAP, MatterApplication, "", "2026-01-01 00:00", EffectNo, "epuap-podanie-od-2026"},
		{sekretariat.KindEPUAP, MatterApplication, SenderPublicBody, "2026-03-01 12:00", EffectYes, "epuap-urzedy"},
		{sekretariat.KindEPUAP, MatterApplication, SenderPublicBody, "2029-10-01 12:00", EffectNo, "epuap-podanie-od-2026"},
		{sekretariat.KindEPUAP, MatterCourt, SenderCitizen, "2026-03-01 12:00", EffectYes, "epuap-skarga-do-sadu"},
		{sekretariat.KindEPUAP, MatterPetition, "", "2026-03-01 12:00", EffectYes, "epuap-bez-formy"},
		{sekretariat.KindEPUAP, MatterOther, "", "2026-03-01 12:00", EffectAssess, "brak-w-tabeli"},
		{sekretariat.KindEDelivery, MatterApplication, "", "2026-03-01 12:00", EffectYes, "edor-wszystkie"},
		{sekretariat.KindMail, MatterApplication, "", "2026-03-01 12:00", EffectNo, "mail-podanie"},
		{sekretariat.KindMail, MatterApplication, "", "2021-10-04 12:00", EffectAssess, "mail-podanie-do-2021"},
		{sekretariat.KindMail, MatterPetition, "", "2026-04-30 12:00", EffectYes, "mail-bez-formy"},
		{sekretariat.KindMail, MatterPetition, "", "2026-05-01 12:00", EffectAssess, "wlasna"},
		{sekretariat.KindBox, MatterApplication, "", "2026-05-01 12:00", EffectYes, "papier"},
	} {
		if l := c.LegalEffectOf(w.kind, w.matter, w.sender, day(w.at)); l.ID != w.id || l.Effect != w.effect {
			t.Errorf("%s, %s, %q on %s: %s (%s), want %s (%s)", w.kind, w.matter, w.sender, w.at, l.Effect, l.ID, w.effect, w.id)
		}
	}
}

// TestDefaultLegalEffect checks the built-in table as a centre's own is checked.
func TestDefaultLegalEffect(t *testing.T) {
	_, err := ParseCentre(append([]byte("id: x\nname: Ośrodek\ndepartments: [{ id: sekretariat, name: Sekretariat }]\n"), legalEffectYAML...), "x.yaml")
	if err != nil {
		t.Error(err)
	}
	for _, l := range defaultLegalEffect() {
		if !l.Check || l.Basis == "" || !strings.HasSuffix(l.Text, ".") {
			t.Errorf("%s: every built-in line is to be confirmed, has a basis, and is a sentence", l.ID)
		}
	}
	for _, m := range Matters() {
		if m.Title() == "" {
			t.Errorf("%s has no title", m)
		}
	}
}

func TestBadLegalEffect(t *testing.T) {
	for line, want := range map[string]string{
		`{ id: a, effect: effective, text: x }`:                                                                    `"kinds" is missing`,
		`{ id: a, kinds: [fax], effect: effective, text: x }`:                                                      `"fax" is not allowed`,
		`{ id: a, kinds: [mail], effect: maybe, text: x }`:                                                         `"maybe" is not allowed`,
		`{ id: a, kinds: [mail], matters: [x], effect: assess, text: x }`:                                          `"x" is not allowed`,
		`{ id: a, kinds: [mail], effect: assess }`:                                                                 `"text" is missing`,
		`{ id: a, kinds: [mail], effect: assess, text: x, from: 2026-02-01, to: 2026-01-01 }`:                      `lies before`,
		`{ id: a, kinds: [mail], effect: assess, text: x, senders: [ufo] }`:                                        `"ufo" is not allowed`,
		"{ id: a, kinds: [mail], effect: assess, text: x }\n  - { id: a, kinds: [mail], effect: assess, text: x }": `"a"`,
	} {
		_, err := ParseCentre([]byte("id: x\nname: O\ndepartments: [{ id: sekretariat, name: S }]\nlegal_effect:\n  - "+line+"\n"), "x.yaml")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", line, err, want)
		}
	}
}
