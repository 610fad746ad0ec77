package contact

import (
	"slices"
	"strings"
	"testing"

	"sekretariat"
	"sekretariat/extract/polish"
	"sekretariat/router/clean"
)

func TestFind(t *testing.T) {
	for name, c := range map[string]struct {
		text, from, headerPhone               string
		phone, email, address, pesel, caseRef string
		wishes                                []Wish
	}{
		"plain":            {text: "Proszę dzwonić 601 774 320.", phone: "601774320"},
		"OCR":              {text: "tel 6O6 112 94O", phone: "606112940"},
		"country code":     {text: "tel. +48 43-823-53-26", phone: "438235326"},
		"brackets":         {text: "tel. (43) 823 53 26", phone: "438235326"},
		"abroad":           {text: "mój numer +49 151 23456789", phone: "+4915123456789"},
		"old and new":      {text: "Stary numer 601 111 222 nie działa. Nowy numer: 602 333 444.", phone: "602333444"},
		"two, one wanted":  {text: "Sąsiadka: 501 222 333. Proszę dzwonić tylko na 604 118 559 po 18.", phone: "604118559", wishes: []Wish{OnlyHere}},
		"header":           {text: "Proszę o kontakt.", headerPhone: "601 552 880", phone: "601552880"},
		"account":          {text: "Konto 12 1020 5558 1111 1600 7750 0093", phone: ""},
		"case number":      {text: "Do sprawy DPŚ.4401.5.2025 przynoszę", caseRef: "DPŚ.4401.5.2025"},
		"foreign case":     {text: "Nasz znak SKO.4103.277.25", caseRef: ""},
		"PESEL":            {text: "PESEL 76091507338", pesel: "*******7338"},
		"REGON":            {text: "REGON 123456785", phone: ""},
		"address":          {text: "Jan Nowak, ul. Długa 13 m. 4, 98-220 Zduńska Wola", address: "ul. Długa 13 m. 4, 98-220 Zduńska Wola"},
		"mail from header": {text: "Dzień dobry", from: "A@B.example", email: "a@b.example"},
		"mail from text":   {text: "Proszę odpisać na nowy.adres@poczta.example", from: "a@b.example", email: "nowy.adres@poczta.example"},
		"do not call":      {text: "Proszę nie dzwonić, telefon czyta mąż.", headerPhone: "601 552 880", wishes: []Wish{NoCalls}},
		"no post":          {text: "Listów do domu nie wysyłać.", wishes: []Wish{NoPost}},
		"no mail":          {text: "Prosze nie odpisywac na maila bo on czyta. Mozna tylko sms 699 182 407", from: "a@b.example", phone: "699182407", wishes: []Wish{NoMail, OnlyHere}},
	} {
		s := sekretariat.Party{Email: c.from}
		if c.headerPhone != "" {
			s.Phone = []string{c.headerPhone}
		}
		got := Find(Letter{Parts: clean.Split(c.text), Sender: s, Symbols: []string{"DPŚ", "ZPR"}})
		var wishes []string
		for _, w := range c.wishes {
			wishes = append(wishes, string(w))
		}
		if got.Phone != c.phone || got.Email != c.email || got.Address != c.address || got.PESEL != c.pesel || got.Case != c.caseRef || !slices.Equal(got.Wishes, wishes) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestWishPhrasesCompile(t *testing.T) {
	n := 0
	for w, list := range wishPhrases {
		if w.Text() == "" {
			t.Errorf("wish %s has no text", w)
		}
		for _, s := range list {
			n++
			if _, err := polish.ParsePhrase(s); err != nil {
				t.Error(err)
			}
		}
	}
	if n != len(wishFinder.wishes) {
		t.Errorf("%d of %d phrases are used", len(wishFinder.wishes), n)
	}
}

func FuzzFind(f *testing.F) {
	f.Add("tel 601 774 320, ul. Długa 13/4", "a@b.example")
	f.Fuzz(func(t *testing.T, text, mail string) {
		c := Find(Letter{Parts: clean.Split(text), Sender: sekretariat.Party{Email: mail}, Symbols: []string{"DPŚ"}})
		if strings.Trim(c.Phone, "+0123456789") != "" || c.PESEL != "" && !strings.HasPrefix(c.PESEL, "*******") {
			t.Fatalf("%+v", c)
		}
	})
}
