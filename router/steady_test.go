package router_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/extract/polish"
	"sekretariat/router"
	"sekretariat/router/letters"
)

// noon is when the tests decide.
var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func demoRouter(t testing.TB) *router.Router {
	t.Helper()
	in, err := configs.Load("../configs/demo.yaml")
	if err != nil {
		t.Fatal(err)
	}
	r, err := router.New(in.Profiles[0])
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// sample returns some of the training letters: of every part a few.
func sample(t testing.TB, every int) []letters.Letter {
	t.Helper()
	all, err := letters.ReadDir("train/letters")
	if err != nil {
		t.Fatal(err)
	}
	var out []letters.Letter
	for i := 0; i < len(all); i += every {
		out = append(out, all[i])
	}
	return out
}

// footers are what offices and mail programs print below a letter.
var footers = []string{
	"\n--\nUrząd Gminy | Świetlica czynna 6.30–17.00 | Zasiłki stałe pok. 5 | Przemoc: tel. 22 555 11 22",
	"\nWysłano z telefonu Samsung Galaxy",
	"\nNiniejsza wiadomość jest poufna i przeznaczona dla adresata. W sprawach bezdomności prosimy dzwonić do noclegowni, w sprawach usług opiekuńczych do działu usług.",
	"\nKlauzula informacyjna: administratorem danych jest Ośrodek Pomocy Społecznej. Świadczenia rodzinne, fundusz alimentacyjny i orzecznictwo mają osobnych inspektorów.",
	"\nDział Pomocy Środowiskowej tel. 43 823 53 26\nZespół ds. Asysty Rodzinnej tel. 43 823 53 73\nKlub Seniora tel. 724 901 960",
}

// quotes are older mails below a letter.
var quotes = []string{
	"\n\nW dniu 3 maja 2026 Ośrodek Pomocy Społecznej napisał(a):\n> Informujemy, że wniosek o zasiłek stały należy złożyć w pokoju 5.\n> Klub seniora zaprasza na wycieczkę.",
	"\n\n-----Original Message-----\nFrom: biuro@firma.example\nSent: Monday\nSubject: faktura\nW załączeniu faktura za toner, termin płatności 14 dni.",
	"\n\nOd: Anna <anna@poczta.example>\nDo: Jan <jan@poczta.example>\nTemat: alimenty\nKiedy złożysz wniosek do funduszu alimentacyjnego i o orzeczenie o niepełnosprawności?",
}

// A confident decision stands whatever is printed below a letter or quoted in
// it, and however it is typed.
func TestConfidentDecisionsStand(t *testing.T) {
	r, list := demoRouter(t), sample(t, 9)
	rapid.Check(t, func(t *rapid.T) {
		l := rapid.SampledFrom(list).Draw(t, "letter")
		before := r.Decide(l.Facts(noon))
		if before.Rule == "fallback" {
			t.Skip("not sure") // only sure ones promise anything
		}
		changed := l
		how := rapid.SampledFrom([]string{"footer", "quote", "upper", "lower", "diacritics"}).Draw(t, "how")
		switch how {
		case "footer":
			changed.Body += rapid.SampledFrom(footers).Draw(t, "footer")
		case "quote":
			changed.Body += rapid.SampledFrom(quotes).Draw(t, "quote")
		case "upper":
			changed.Subject, changed.Body = strings.ToUpper(l.Subject), strings.ToUpper(l.Body)
		case "lower":
			changed.Subject, changed.Body = strings.ToLower(l.Subject), strings.ToLower(l.Body)
		case "diacritics":
			changed.Subject, changed.Body = plain(l.Subject), plain(l.Body)
		}
		if after := r.Decide(changed.Facts(noon)); after.Department != before.Department {
			t.Fatalf("%s %s: from %s (%.3f by %s) to %s (%.3f by %s)", l.ID, how, before.Department, before.Confidence, before.Rule, after.Department, after.Confidence, after.Rule)
		}
	})
}

// plain drops the diacritics and keeps everything else.
func plain(s string) string {
	return strings.NewReplacer("ą", "a", "ć", "c", "ę", "e", "ł", "l", "ń", "n", "ó", "o", "ś", "s", "ź", "z", "ż", "z",
		"Ą", "A", "Ć", "C", "Ę", "E", "Ł", "L", "Ń", "N", "Ó", "O", "Ś", "S", "Ź", "Z", "Ż", "Z").Replace(s)
}

var level = map[sekretariat.Urgency]int{sekretariat.Normal: 0, sekretariat.Urgent: 1, sekretariat.Danger: 2}

// What is added behind a letter never makes it less urgent; what is added in
// front never takes away what listed evidence says.
func TestUrgencyNeverFalls(t *testing.T) {
	r, list := demoRouter(t), sample(t, 7)
	var urgent []letters.Letter
	for _, l := range list {
		if r.Decide(l.Facts(noon)).Urgency != sekretariat.Normal {
			urgent = append(urgent, l)
		}
	}
	if len(urgent) < 20 {
		t.Fatalf("%d urgent letters to try with", len(urgent))
	}
	rapid.Check(t, func(t *rapid.T) {
		l := rapid.SampledFrom(urgent).Draw(t, "letter")
		before := r.Decide(l.Facts(noon))
		added := rapid.SampledFrom(slices.Concat(footers, quotes, []string{
			"\n" + rapid.SampledFrom(list).Draw(t, "other").Body, "\nDziękuję i pozdrawiam.", "\nWszystko jest w porządku, to nic pilnego.", "\nProszę też o zaświadczenie do szkoły.",
		})).Draw(t, "added")
		learned := slices.Contains(before.Evidence, sekretariat.Evidence{Field: "urgency", Term: "model"})
		if learned || rapid.Bool().Draw(t, "behind") {
			l.Body += added
		} else {
			l.Body = strings.TrimSpace(added) + "\n" + l.Body
		}
		if after := r.Decide(l.Facts(noon)); level[after.Urgency] < level[before.Urgency] {
			t.Fatalf("%s with %q: from %s to %s", l.ID, added, before.Urgency, after.Urgency)
		}
	})
}

// Neither name nor number of a person changes what the model says (rule P17).
func TestNamesDoNotCount(t *testing.T) {
	r := demoRouter(t)
	text := "Proszę o pomoc na zakup opału, mieszkam sama. Z poważaniem %s"
	l := letters.Letter{Channel: "scan", From: letters.Sender{Name: "Anna Kowalska"}, Body: strings.Replace(text, "%s", "Anna Kowalska, PESEL 76091507338", 1)}
	want := r.Decide(l.Facts(noon))
	for _, name := range []string{"Halina Nowakowska, PESEL 58010112345", "Oksana Zielińska, PESEL 90020254321", "Jadwiga Wiśniewska, PESEL 44051401358"} {
		l.From.Name, l.Body = strings.Split(name, ",")[0], strings.Replace(text, "%s", name, 1)
		if got := r.Decide(l.Facts(noon)); got.Department != want.Department || got.Confidence != want.Confidence {
			t.Errorf("with %s: %s %.3f, want %s %.3f", polish.Fold(name), got.Department, got.Confidence, want.Department, want.Confidence)
		}
	}
}
