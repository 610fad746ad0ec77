package register_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"sekretariat"
	"sekretariat/register"
	"sekretariat/register/registertest"
	"sekretariat/storage"
)

func TestMachineCard(t *testing.T) {
	sent := time.Date(2026, 6, 14, 22, 30, 0, 0, time.UTC) // 15 June in Poland
	n := sekretariat.Number{Series: "rpw", Year: 2026, N: 123}
	entry := sekretariat.Entry{
		Number: n, Identifier: n.Identifier(), Letter: "l.1", Registered: noon,
		Arrived: sekretariat.Arrival{At: time.Date(2026, 6, 14, 22, 45, 0, 0, time.UTC), Basis: sekretariat.BasisUPP},
	}
	address := &sekretariat.Address{Postcode: "65-001", Town: "Zielona Góra", Country: "Polska"}
	two := 2
	for _, c := range []struct {
		name     string
		manifest sekretariat.Manifest
		reading  sekretariat.Reading
		want     register.Card
		missing  string
	}{
		{
			"ePUAP letter of a person",
			sekretariat.Manifest{Kind: sekretariat.KindEPUAP, Sent: &sent},
			sekretariat.Reading{
				Outcome: sekretariat.ReadOK, Format: "application/xml", Subject: "  Odwołanie\n od decyzji ", Written: "2026-06-14", Reference: "ZP.1",
				Sender: sekretariat.Party{GivenName: "Jan Maria", FamilyName: "Próbny", Email: "jan@example.org", Address: address},
				Parts:  []sekretariat.Part{{Attachment: true}, {}, {Attachment: true}},
			},
			register.Card{
				Senders: []register.Sender{{FamilyName: "Próbny", GivenNames: "Jan Maria", Address: *address, Emails: []string{"jan@example.org"}}},
				Dated:   "2026-06-14", Posted: "2026-06-15", Title: "Odwołanie od decyzji", Attachments: &two, Formats: []string{"application/xml"},
				Delivery: "elektroniczna skrzynka podawcza", Reference: "ZP.1",
			},
			"[]",
		},
		{
			"mail with a display name",
			sekretariat.Manifest{Kind: sekretariat.KindMail, Original: sekretariat.ObjectRef{MediaType: "message/rfc822"}},
			sekretariat.Reading{Outcome: sekretariat.ReadPartial, Subject: "Pytanie", Sender: sekretariat.Party{Name: "Urząd Próbny", Organisation: true, Email: "u@example.org"}},
			register.Card{
				Senders: []register.Sender{{Organisation: "Urząd Próbny", Emails: []string{"u@example.org"}}}, Title: "Pytanie",
				Attachments: new(int), Formats: []string{"message/rfc822"}, Delivery: "poczta elektroniczna",
				Remarks: []string{"Część treści nie dała się odczytać maszynowo; oryginał jest przechowany w całości."},
			},
			"[2b 2g 3]",
		},
		{
			"unreadable scan",
			sekretariat.Manifest{Kind: sekretariat.KindBox},
			sekretariat.Reading{Outcome: sekretariat.ReadUnreadable, Format: "image/tiff"},
			register.Card{
				Formats: []string{"image/tiff"}, Delivery: "skrzynka podawcza",
				Remarks: []string{"Treści nie udało się odczytać maszynowo; oryginał jest przechowany w całości."},
			},
			"[1 2b 2g 3 9]",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.want.Version, c.want.Letter, c.want.Identifier, c.want.Registered = 1, entry.Letter, entry.Identifier, entry.Registered
			c.want.Arrived, c.want.Access, c.want.Type = "2026-06-15", register.AccessClosed, "Text"
			got := register.MachineCard(c.manifest, entry, c.reading, sekretariat.Number{})
			a, b := asJSON(t, got), asJSON(t, c.want)
			if a != b {
				t.Errorf("card\n got %s\nwant %s", a, b)
			}
			if m := fmt.Sprint(got.Missing()); m != c.missing {
				t.Errorf("missing %s, want %s", m, c.missing)
			}
		})
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestMachineCardOfAChild(t *testing.T) {
	parent := sekretariat.Number{Series: "rpw", Year: 2026, N: 12}
	c := register.MachineCard(sekretariat.Manifest{}, sekretariat.Entry{}, sekretariat.Reading{Outcome: sekretariat.ReadOK}, parent)
	if fmt.Sprint(c.Remarks) != "[Wydzielono z RPW-2026-000012.]" {
		t.Errorf("remarks %q", c.Remarks)
	}
}

// A reading may be as large as readings get; a card stays a card.
func TestMachineCardIsBounded(t *testing.T) {
	r := sekretariat.Reading{Outcome: sekretariat.ReadOK, Subject: strings.Repeat("Żółć ", 10000), Senders: make([]sekretariat.Party, 1000)}
	for i := range r.Senders {
		r.Senders[i].Email = fmt.Sprint(i, "@example.org")
	}
	c := register.MachineCard(sekretariat.Manifest{}, sekretariat.Entry{}, r, sekretariat.Number{})
	if n := utf8.RuneCountInString(c.Title); n > 250 || !strings.HasSuffix(c.Title, "Żółć…") {
		t.Errorf("title of %d characters: %q", n, c.Title)
	}
	if len(c.Senders) != 20 {
		t.Errorf("%d senders", len(c.Senders))
	}
}

func validCard(a sekretariat.ArrivedData) register.Card {
	n := sekretariat.Number{Series: "rpw", Year: 2026, N: 1}
	return register.MachineCard(sekretariat.Manifest{Kind: sekretariat.KindMail}, sekretariat.Entry{
		Letter: sekretariat.NewLetterID(a.Submission, 1), Number: n, Identifier: n.Identifier(), Registered: noon, Arrived: a.Arrived,
	}, sekretariat.Reading{}, sekretariat.Number{})
}

func TestCardRevisions(t *testing.T) {
	o := registertest.Open(t, t.TempDir())
	ctx := t.Context()
	a := o.Arrive("a", noon)
	c := validCard(a)
	if _, err := register.LatestCard(ctx, o.Vault, registertest.Centre, c.Letter); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("a card that nobody wrote: %v", err)
	}
	write := func(base int, title string) error {
		c.Title = title
		_, err := register.WriteCard(ctx, o.Vault, registertest.Centre, base, c, "u1", noon)
		return err
	}
	for i := range 5 {
		if err := write(i, fmt.Sprint("title ", i+1)); err != nil {
			t.Fatal(err)
		}
	}
	for _, base := range []int{0, 4, 6, 100} { // written over already, or from nowhere
		if err := write(base, "late"); !errors.Is(err, register.ErrCardChanged) {
			t.Errorf("written over revision %d: %v", base, err)
		}
	}
	latest, err := register.LatestCard(ctx, o.Vault, registertest.Centre, c.Letter)
	if err != nil || latest.Revision != 5 || latest.Title != "title 5" || latest.By != "u1" || !latest.Written.Equal(noon) {
		t.Errorf("latest %+v, %v", latest, err)
	}
	if second, err := register.ReadCard(ctx, o.Vault, registertest.Centre, c.Letter, 2); err != nil || second.Title != "title 2" {
		t.Errorf("second %+v, %v", second, err)
	}
	// What lies in the store is sealed: it names people.
	obj, err := o.Vault.Objects().Get(ctx, storage.CardKey(registertest.Centre, c.Letter, 5))
	if err != nil {
		t.Fatal(err)
	}
	defer obj.Close()
	raw := make([]byte, obj.Size())
	if _, err := obj.ReadAt(raw, 0); err != nil && err.Error() != "EOF" {
		t.Fatal(err)
	}
	if strings.Contains(string(raw), "title") {
		t.Error("the card lies open in the store")
	}
}

// Of several people who change the same revision exactly one succeeds.
func TestCardRace(t *testing.T) {
	o := registertest.Open(t, t.TempDir())
	c := validCard(o.Arrive("a", noon))
	results := make([]error, 8)
	var wg sync.WaitGroup
	for i := range results {
		wg.Go(func() {
			c := c
			c.Title = fmt.Sprint("title ", i)
			_, results[i] = register.WriteCard(t.Context(), o.Vault, registertest.Centre, 0, c, "u", noon)
		})
	}
	wg.Wait()
	won := slices.DeleteFunc(slices.Clone(results), func(err error) bool { return errors.Is(err, register.ErrCardChanged) })
	if len(won) != 1 || won[0] != nil {
		t.Errorf("results %v", results)
	}
}

func TestCardCheck(t *testing.T) {
	good := validCard(registertest.Announced("a", noon))
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	minus := -1
	for name, change := range map[string]func(*register.Card){
		"letter":      func(c *register.Card) { c.Letter = "../x" },
		"month 13":    func(c *register.Card) { c.Dated = "2026-13" },
		"day 31 Feb":  func(c *register.Card) { c.Dated = "2026-02-31" },
		"words":       func(c *register.Card) { c.Posted = "wczoraj" },
		"no arrival":  func(c *register.Card) { c.Arrived = "" },
		"tomorrow":    func(c *register.Card) { c.Written, c.Arrived = noon, "2026-06-16" },
		"foreign":     func(c *register.Card) { c.Foreign = strings.Repeat("1", 251) },
		"half a day":  func(c *register.Card) { c.Arrived = "2026-06" },
		"access":      func(c *register.Card) { c.Access = "tajne" },
		"type":        func(c *register.Card) { c.Type = "Novel" },
		"attachments": func(c *register.Card) { c.Attachments = &minus },
		"identifier":  func(c *register.Card) { c.Identifier = "" },
		"title":       func(c *register.Card) { c.Title = strings.Repeat("x", 1001) },
	} {
		c := good
		change(&c)
		if err := c.Check(); !errors.Is(err, register.ErrBadCard) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The day may lie before the registration, by the Polish calendar.
	c := good
	c.Written, c.Arrived, c.Foreign = time.Date(2026, 6, 14, 22, 30, 0, 0, time.UTC), "2026-06-15", "EZD/12345/2026"
	if err := c.Check(); err != nil {
		t.Errorf("half past midnight: %v", err)
	}
	for _, date := range []string{"2026", "2026-06", "2026-06-15", ""} {
		c := good
		c.Dated = date
		if err := c.Check(); err != nil {
			t.Errorf("%s: %v", date, err)
		}
	}
}
