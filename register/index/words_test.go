package index

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sekretariat"
	"sekretariat/ledger"
)

// worded puts the words of all letters into the index, as Words does.
func worded(t testing.TB, x *Index, read ReadText) {
	t.Helper()
	db, err := connect(x.path, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for {
		n, failed, err := x.wordSome(t.Context(), db, read)
		if err != nil || failed {
			t.Fatalf("words: %v, failed %t", err, failed)
		}
		if n == 0 {
			return
		}
	}
}

func reads(text string) ReadText {
	return func(context.Context, sekretariat.LetterID, sekretariat.ObjectRef) (*sekretariat.Reading, error) {
		return &sekretariat.Reading{Subject: "Temat", Text: text, Sender: sekretariat.Party{Name: "Jan Kowalski", Phone: []string{"+48 600-123-456"}}}, nil
	}
}

func ids(rows []Row) []string {
	var out []string
	for _, r := range rows {
		out = append(out, string(r.Letter))
	}
	slices.Sort(out)
	return out
}

// A search finds every letter that the person may see in full and that was
// read, and none else, page by page.
func TestSearchIsMaySee(t *testing.T) {
	dir, n := t.TempDir(), 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		x := openAt(t, filepath.Join(dir, fmt.Sprint(n)))
		defer x.Close()
		s := newStory(t)
		drawStory(rt, s)
		apply(t, x, s.events, rapid.IntRange(1, 50).Draw(rt, "transaction"))
		worded(t, x, reads("proszę o zasiłek"))
		p := drawPrincipal(rt)
		var want []string
		for _, l := range truth(rt, s) {
			if l.Reader != "" && sekretariat.MaySee(p, l) == sekretariat.Full {
				want = append(want, string(l.ID))
			}
		}
		slices.Sort(want)
		got := all(rt, rapid.IntRange(1, 5).Draw(rt, "page"), func(page Page) ([]Row, string, error) {
			return x.Search(t.Context(), p, "zasiłku", page)
		})
		same(rt, "search", ids(got), want)
		for _, r := range got {
			if r.Subject != "Temat" || r.Sender != "Jan Kowalski" {
				rt.Fatalf("a row is called %q of %q", r.Subject, r.Sender)
			}
		}
	})
}

// wordPairs are a word as a letter has it and as a clerk looks for it.
var wordPairs = strings.Fields(`
zasiłku/zasiłek zasiłki/zasiłek zasiłkiem/zasiłku rodzinnego/rodzinny rodziny/rodzina rodziną/rodziny rodzinie/rodzina
dziecka/dziecko dzieci/dziecko dzieciom/dzieci matki/matka matką/matki ojca/ojciec ojcu/ojca córki/córka córką/córki syna/syn synem/syna
męża/mąż mężem/męża żony/żona żoną/żony przemocy/przemoc pobity/pobita orzeczenia/orzeczenie orzeczeniem/orzeczenia
niepełnosprawności/niepełnosprawność niepełnosprawnego/niepełnosprawny karty/karta kartę/karty parkingowej/parkingowa
mieszkania/mieszkanie mieszkaniem/mieszkania czynszu/czynsz czynszem/czynszu eksmisji/eksmisja eksmisją/eksmisji
bezdomnego/bezdomny bezdomności/bezdomność schroniska/schronisko schronisku/schronisko noclegowni/noclegownia
opiekunki/opiekunka opiekunką/opiekunki opieki/opieka opieką/opieki usługi/usługa usług/usługa seniora/senior seniorów/senior
decyzji/decyzja decyzję/decyzja wniosku/wniosek wnioski/wniosek wnioskiem/wniosku odwołania/odwołanie skargi/skarga skargę/skargi
sądu/sąd sądem/sądu kuratora/kurator asystenta/asystent asystentem/asystenta pieniędzy/pieniądze leków/leki lekarza/lekarz szpitala/szpital
szpitalu/szpital węgla/węgiel prądu/prąd obiadów/obiady obiady/obiad szkoły/szkoła szkole/szkoła przedszkola/przedszkole
Kowalskiego/Kowalski Kowalskiej/Kowalska Nowaka/Nowak Wiśniewskiej/Wiśniewska Zielińskim/Zieliński
`)

func TestInflectedQueries(t *testing.T) {
	x := openAt(t, filepath.Join(t.TempDir(), "x"))
	s := newStory(t)
	text := map[sekretariat.LetterID]string{}
	want := map[string][]string{}
	for i, pair := range wordPairs {
		has, asked, _ := strings.Cut(pair, "/")
		a := s.whole(i+1, "dps")
		id := sekretariat.NewLetterID(a.Submission, 1)
		text[id] = "Dzień dobry, piszę, bo " + has + " to ważne."
		want[asked] = append(want[asked], string(id))
	}
	apply(t, x, s.events, 100)
	worded(t, x, func(_ context.Context, id sekretariat.LetterID, _ sekretariat.ObjectRef) (*sekretariat.Reading, error) {
		return &sekretariat.Reading{Text: text[id]}, nil
	})
	recall := 0.0
	for asked, letters := range want {
		rows, _, err := x.Search(t.Context(), everything, asked, Page{})
		if err != nil {
			t.Fatal(err)
		}
		got, found := ids(rows), 0
		for _, l := range letters {
			if slices.Contains(got, l) {
				found++
			}
		}
		if found < len(letters) {
			t.Logf("%q finds %d of %d", asked, found, len(letters))
		}
		recall += float64(found) / float64(len(letters))
	}
	recall /= float64(len(want))
	t.Logf("mean recall of %d questions: %.3f", len(want), recall)
	if recall < 0.95 {
		t.Errorf("mean recall of inflected questions is %.3f, want at least 0.95", recall)
	}
}

func TestWhatIsFound(t *testing.T) {
	x := openAt(t, filepath.Join(t.TempDir(), "x"))
	s := newStory(t)
	s.whole(1, "dps")
	apply(t, x, s.events, 10)
	worded(t, x, reads("Znak DPŚ.4120.17.2026. Proszę dzwonić: 61 234 56 78 albo (22) 555-44-33. Karta parkingowa dla Anny Żółć, PESEL 90010112345."))
	for question, found := range map[string]bool{
		"600123456": true, "600 123 456": true, "+48600123456": true, "612345678": true, "61-234-56-78": true, "600123457": false,
		"4120.17.2026": true, "DPŚ.4120.17": true, "dps 4120": true, "zolc": true, "ŻÓŁĆ": true, "kowalskiego": true, "karta parkingowa": true,
		"karta parkowa": false, "park": true, "parking": true, "Anna Kowalski": true, "Anna Nowak": false, `"anna`: true, "anna OR nowak": false,
		"": false, "   ": false, `*`: false, "NEAR(": false, "title:temat": false, strings.Repeat("anna ", 500): true,
	} {
		rows, _, err := x.Search(t.Context(), everything, question, Page{})
		if err != nil {
			t.Errorf("%.40q: %v", question, err)
		}
		if (len(rows) == 1) != found {
			t.Errorf("%.40q finds %d letters, want one: %t", question, len(rows), found)
		}
	}
}

// A letter that cannot be opened just now comes later, and does not keep others
// back; one that nobody can open stands in lists all the same.
func TestWordsThatComeLater(t *testing.T) {
	x := openAt(t, filepath.Join(t.TempDir(), "x"))
	s := newStory(t)
	away := sekretariat.NewLetterID(s.whole(1, "dps").Submission, 1)
	lost := sekretariat.NewLetterID(s.whole(2, "dps").Submission, 1)
	s.whole(3, "dps")
	apply(t, x, s.events, 100)
	db, err := connect(x.path, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	back := false
	read := func(ctx context.Context, id sekretariat.LetterID, ref sekretariat.ObjectRef) (*sekretariat.Reading, error) {
		switch {
		case id == away && !back:
			return nil, errors.New("the store is away")
		case id == lost:
			return nil, nil
		}
		return reads("zasiłek")(ctx, id, ref)
	}
	find := func(want int) {
		t.Helper()
		rows, _, err := x.Search(t.Context(), everything, "zasiłek", Page{})
		if err != nil || len(rows) != want {
			t.Errorf("%d letters found, want %d (%v)", len(rows), want, err)
		}
	}
	if n, failed, err := x.wordSome(t.Context(), db, read); n != 2 || !failed || err != nil {
		t.Errorf("first batch: %d, failed %t, %v", n, failed, err)
	}
	find(1)
	back = true
	if n, failed, err := x.wordSome(t.Context(), db, read); n != 1 || failed || err != nil {
		t.Errorf("second batch: %d, failed %t, %v", n, failed, err)
	}
	find(2)
	if rows, _, err := x.Queue(t.Context(), everything, "dps", Page{}); err != nil || len(rows) != 3 {
		t.Errorf("the queue has %d letters, want 3 (%v)", len(rows), err)
	}
}

// Words follows what Project applies.
func TestWordsFollow(t *testing.T) {
	x := openAt(t, filepath.Join(t.TempDir(), "x"))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- x.Words(ctx, reads("zasiłek")) }()
	s := newStory(t)
	s.whole(1, "dps")
	apply(t, x, s.events, 100)
	deadline := time.Now().Add(30 * time.Second)
	for {
		rows, _, err := x.Search(t.Context(), everything, "zasiłki", Page{})
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a letter that was read is not found")
		}
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Words: %v", err)
	}
	if x.Applied(ledger.Letter) == 0 {
		t.Error("nothing was applied")
	}
}

func FuzzMatchOf(f *testing.F) {
	for _, s := range []string{"zasiłek", `"a" OR b*`, "600 123 456", "a\x00b", "NEAR(a b)", "{title}:x", "-x", "^a"} {
		f.Add(s)
	}
	x := openAt(f, filepath.Join(f.TempDir(), "x"))
	f.Fuzz(func(t *testing.T, question string) {
		if _, _, err := x.Search(t.Context(), everything, question, Page{}); err != nil {
			t.Fatalf("%q: %v", question, err)
		}
	})
}
