package caution

import (
	"testing"

	"sekretariat"
)

func TestUnsafeContact(t *testing.T) {
	l, err := UnsafeContact([]string{"własne słowo"})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"Mąż mnie bije i grozi, że mnie zabije.", "Byłam ofiarą przemocy", "SYN ZNĘCA SIĘ NADE MNĄ", "boje sie wracac do domu", "Dzieci są głodne, bo matka pije: głodne dzieci",
		"sąsiad molestuje dziewczynkę", "Proszę, nie dzwońcie do mnie, mąż o niczym nie wie, mąż nie wie.", "Partner sprawdza mi telefon", "on czyta moją pocztę",
		"Zgłaszam jako sygnalista", "odebrano mi dzieci: odebrali dzieci", "Niebieskiej Karty", "myśli samobójcze", "nikt się nie dowie", "To jest własne słowo ośrodka",
		"Konkubent wyrzucił mnie z domu", "uciekłam z domu", "prosze nie odpisywac na maila",
	} {
		if !l.Match(&sekretariat.Reading{Text: text}) {
			t.Errorf("answered: %q", text)
		}
	}
	for _, text := range []string{
		"Proszę o zasiłek rodzinny na dziecko.", "Chcę złożyć wniosek o dodatek mieszkaniowy.", "Kiedy są czynne kasy?", "Przesyłam fakturę za obiady.",
		"Proszę o usługi opiekuńcze dla mamy.", "Wniosek o orzeczenie o niepełnosprawności", "Dziękuję za pomoc.", "Moja rodzina ma trudną sytuację finansową.",
	} {
		if l.Match(&sekretariat.Reading{Text: text}) {
			t.Errorf("not answered: %q", text)
		}
	}
	for name, r := range map[string]sekretariat.Reading{
		"subject": {Subject: "pobił mnie"}, "attachment": {Parts: []sekretariat.Part{{Text: "pobił mnie"}}}, "page": {Pages: []sekretariat.Page{{Text: "pobił mnie"}}},
	} {
		if !l.Match(&r) {
			t.Errorf("not looked at: %s", name)
		}
	}
}

func TestClosedMatter(t *testing.T) {
	l, err := ClosedMatter()
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		"Do rąk własnych Pani Dyrektor": true, "Oferta przetargowa – nie otwierać": true, "zgłoszenie wewnętrzne sygnalisty": true,
		"Ta wiadomość jest poufna.": false, "Zapraszamy na szkolenie": false,
	} {
		if l.Text(text) != want {
			t.Errorf("%q: closed %v, want %v", text, !want, want)
		}
	}
}

func TestWrongPhraseIsAnError(t *testing.T) {
	if _, err := UnsafeContact([]string{"..."}); err == nil {
		t.Error("a phrase without words is accepted")
	}
}
