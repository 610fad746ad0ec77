package ingest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sekretariat"
	"sekretariat/ingest"
	"sekretariat/ingest/ingesttest"
	"sekretariat/ledger"
	"sekretariat/storage"
)

func TestMain(m *testing.M) {
	if child() {
		return
	}
	goleak.VerifyTestMain(m)
}

// mail is a delivery whose identity is the digest of its bytes.
func mail(c sekretariat.CentreID) sekretariat.Delivery {
	return sekretariat.Delivery{
		Centre: c, Kind: sekretariat.KindMail, Door: sekretariat.DoorIMAP, Account: "sekretariat",
		Identity:  func(f sekretariat.BodyFacts) []string { return []string{string(f.SHA256)} },
		Arrived:   sekretariat.Arrival{At: time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC), Basis: sekretariat.BasisServerArrival},
		Source:    map[string]string{"from": "jan.kowalski@example.org"},
		MediaType: "message/rfc822",
	}
}

// named is a delivery whose identity does not depend on its bytes.
func named(c sekretariat.CentreID, id string) sekretariat.Delivery {
	d := mail(c)
	d.Identity = func(sekretariat.BodyFacts) []string { return []string{id} }
	return d
}

// take takes one delivery in and waits.
func take(t testing.TB, r ingest.Receiver, d sekretariat.Delivery, body string) sekretariat.Receipt {
	t.Helper()
	ticket, err := r.Take(context.Background(), d, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	receipt, err := ticket.Wait(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return receipt
}

// seen counts the sightings in the audit trail.
func seen(t testing.TB, h *ingesttest.House, c sekretariat.CentreID) (n int) {
	t.Helper()
	log, err := h.Log(c)
	if err != nil {
		t.Fatal(err)
	}
	err = log.Replay(context.Background(), ledger.Audit, 1, func(s ledger.Stored) error {
		if s.Event.Type == sekretariat.EventSeen {
			n++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// objects counts what is stored of a submission.
func objects(t testing.TB, h *ingesttest.House, c sekretariat.CentreID, s sekretariat.SubmissionID) (n int) {
	t.Helper()
	err := h.Store.List(context.Background(), storage.SubmissionPrefix(c, s), func(storage.Info) error { n++; return nil })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestTake(t *testing.T) {
	h := ingesttest.NewHouse(t)
	c := h.Centre(t)
	now := time.Date(2026, 11, 20, 9, 30, 0, 123_000_000, time.UTC)
	r, err := ingest.NewReceiver(ingest.Options{Vault: h.Vault, Log: h.Log, Clock: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close(context.Background())
	d := mail(c)
	d.Unit, d.Department, d.Series, d.Box, d.Test = "dom", "swiadczenia", "rpw", "wejscie", true
	d.Sent = time.Date(2026, 11, 19, 22, 0, 0, 0, sekretariat.Warsaw())
	d.Content = func(f sekretariat.BodyFacts) sekretariat.Digest { return "twin-" + f.SHA256[:8] }
	receipt := take(t, r, d, "Dzień dobry")

	sum := sekretariat.DigestOf([]byte("Dzień dobry"))
	id := sekretariat.NewSubmissionID(c, sekretariat.KindMail, "sekretariat", string(sum))
	if want := (sekretariat.Receipt{Submission: id, Original: sum, Arrived: d.Arrived}); receipt != want {
		t.Errorf("receipt %+v, want %+v", receipt, want)
	}
	all := h.Submissions(t, c)
	if len(all) != 1 || string(all[0].Original) != "Dzień dobry" {
		t.Fatalf("the house holds %+v", all)
	}
	m, a := all[0].Manifest, all[0].Arrived
	if !m.Received.Equal(now) || !m.Sent.Equal(d.Sent) || m.Source["from"] == "" || m.Content != d.Content(sekretariat.BodyFacts{SHA256: sum}) || m.Original.MediaType != "message/rfc822" {
		t.Errorf("manifest %+v", m)
	}
	if a.Content != m.Content || a.Unit != "dom" || a.Department != "swiadczenia" || a.Series != "rpw" || a.Box != "wejscie" || !a.Test || a.Size != m.Original.Size || !a.Received.Equal(now) || a.Park != "" {
		t.Errorf("event %+v", a)
	}
	log, _ := h.Log(c)
	e, err := log.Last(context.Background(), ledger.Intake, string(id))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(e.Event.Data, []byte("kowalski")) {
		t.Errorf("the event holds personal data: %s", e.Event.Data)
	}
	if !e.Event.Time.Equal(now) || e.Event.ID != string(id)+".arrived.v1.0" {
		t.Errorf("event id %s, time %s", e.Event.ID, e.Event.Time)
	}
	if n := r.Counters(); n.Taken != 1 || n.Octets != int64(len("Dzień dobry")) || n.InFlight != 0 || n.Failed != 0 {
		t.Errorf("counters %+v", n)
	}
}

// A second delivery changes nothing, whatever its bytes are, and is counted.
func TestRepeat(t *testing.T) {
	h := ingesttest.NewHouse(t)
	c := h.Centre(t)
	r := h.Receiver(t, ingest.Limits{})
	first := take(t, r, named(c, "one"), "first")
	late := named(c, "one")
	late.Arrived.At = late.Arrived.At.Add(time.Hour)
	second := take(t, r, late, "second, with other trace fields")
	if !second.Repeat || first.Repeat {
		t.Errorf("repeat: first %v, second %v", first.Repeat, second.Repeat)
	}
	second.Repeat = false
	if first != second {
		t.Errorf("receipts differ: %+v and %+v", first, second)
	}
	if n := objects(t, h, c, first.Submission); n != 2 {
		t.Errorf("%d objects of the submission, want original and manifest", n)
	}
	if n := len(h.Submissions(t, c)); n != 1 {
		t.Errorf("%d submissions", n)
	}
	if n := seen(t, h, c); n != 1 {
		t.Errorf("%d sightings, want 1", n)
	}
	for range 3 {
		if err := r.Seen(context.Background(), c, sekretariat.SeenData{Submission: first.Submission, Door: sekretariat.DoorIMAP, Account: "sekretariat"}); err != nil {
			t.Fatal(err)
		}
	}
	if n := seen(t, h, c); n != 4 {
		t.Errorf("%d sightings, want 4", n)
	}
	if err := r.Seen(context.Background(), c, sekretariat.SeenData{Submission: "x.*"}); !errors.Is(err, sekretariat.ErrBadID) {
		t.Errorf("Seen of a malformed id: %v", err)
	}
}

// Many deliveries of few submissions through two receivers at once: one event
// each, one first receipt each.
func TestRace(t *testing.T) {
	h := ingesttest.NewHouse(t)
	c := h.Centre(t)
	receivers := []ingest.Receiver{h.Receiver(t, ingest.Limits{}), h.Receiver(t, ingest.Limits{})}
	const submissions, copies = 20, 6
	var mu sync.Mutex
	got := map[sekretariat.SubmissionID][]sekretariat.Receipt{}
	var wg sync.WaitGroup
	for i := range submissions * copies {
		wg.Go(func() {
			r := take(t, receivers[i%2], named(c, fmt.Sprint(i/copies)), fmt.Sprintf("copy %d", i))
			mu.Lock()
			defer mu.Unlock()
			got[r.Submission] = append(got[r.Submission], r)
		})
	}
	wg.Wait()
	if len(got) != submissions {
		t.Fatalf("%d submissions, want %d", len(got), submissions)
	}
	for id, rs := range got {
		firsts := 0
		for _, r := range rs {
			if !r.Repeat {
				firsts++
			}
			if r.Original != rs[0].Original || r.Arrived != rs[0].Arrived {
				t.Errorf("%s: receipts differ: %+v and %+v", id, r, rs[0])
			}
		}
		if firsts != 1 {
			t.Errorf("%s: %d receipts say that they are the first", id, firsts)
		}
	}
	if n := len(h.Submissions(t, c)); n != submissions {
		t.Errorf("%d events, want %d", n, submissions)
	}
}

// Copies with bytes of their own that come to one receiver at once leave no
// bytes behind that no manifest names.
func TestCopiesAtOnce(t *testing.T) {
	h := ingesttest.NewHouse(t)
	c := h.Centre(t)
	r := h.Receiver(t, ingest.Limits{})
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() { take(t, r, named(c, fmt.Sprint(i/8)), fmt.Sprintf("copy %d", i)) })
	}
	wg.Wait()
	all := h.Submissions(t, c)
	if len(all) != 5 {
		t.Errorf("%d submissions, want 5", len(all))
	}
	for _, s := range all {
		if n := objects(t, h, c, s.Arrived.Submission); n != 2 {
			t.Errorf("%s: %d objects, want original and manifest", s.Arrived.Submission, n)
		}
	}
}

func TestPark(t *testing.T) {
	h := ingesttest.NewHouse(t)
	c := h.Centre(t)
	r := h.Receiver(t, ingest.Limits{})
	note := "Wiadomość jest za duża i czeka w skrzynce.\n"
	for i := range 2 {
		receipt, err := r.Park(context.Background(), named(c, "uid-7"), sekretariat.ParkOversize, note)
		if err != nil {
			t.Fatal(err)
		}
		if receipt.Repeat != (i == 1) {
			t.Errorf("note %d: repeat %v", i, receipt.Repeat)
		}
	}
	// The thing itself comes later: the note does not stand in its way.
	if receipt := take(t, r, named(c, "uid-7"), "the letter itself"); receipt.Repeat {
		t.Error("the letter was taken for a repeat of the note about it")
	}
	all := h.Submissions(t, c)
	if len(all) != 2 {
		t.Fatalf("%d submissions, want note and letter", len(all))
	}
	m := all[0].Manifest
	if string(all[0].Original) != note || all[0].Arrived.Park != sekretariat.ParkOversize || m.Park != sekretariat.ParkOversize ||
		m.Source["parked"] != "oversize" || m.Source["from"] == "" || m.Original.MediaType != "text/plain; charset=utf-8" || m.Kind != sekretariat.KindMail {
		t.Errorf("parked item %+v with %q", m, all[0].Original)
	}
	for _, bad := range []string{"", " \n", "a\xff", strings.Repeat("x", 17<<10)} {
		if _, err := r.Park(context.Background(), named(c, "x"), sekretariat.ParkOversize, bad); !errors.Is(err, ingest.ErrBadDelivery) {
			t.Errorf("note %.10q: %v", bad, err)
		}
	}
	if _, err := r.Park(context.Background(), named(c, "x"), "", note); !errors.Is(err, ingest.ErrBadDelivery) {
		t.Errorf("no reason: %v", err)
	}
}

func TestBadDelivery(t *testing.T) {
	h := ingesttest.NewHouse(t)
	c := h.Centre(t)
	r := h.Receiver(t, ingest.Limits{})
	for name, spoil := range map[string]func(*sekretariat.Delivery){
		"centre":     func(d *sekretariat.Delivery) { d.Centre = "../x" },
		"account":    func(d *sekretariat.Delivery) { d.Account = "" },
		"box":        func(d *sekretariat.Delivery) { d.Box = "a.b" },
		"unit":       func(d *sekretariat.Delivery) { d.Unit = "A" },
		"department": func(d *sekretariat.Delivery) { d.Department = "*" },
		"series":     func(d *sekretariat.Delivery) { d.Series = "x y" },
		"kind":       func(d *sekretariat.Delivery) { d.Kind = "" },
		"door":       func(d *sekretariat.Delivery) { d.Door = "" },
		"identity":   func(d *sekretariat.Delivery) { d.Identity = nil },
		"arrival":    func(d *sekretariat.Delivery) { d.Arrived.At = time.Time{} },
		"basis":      func(d *sekretariat.Delivery) { d.Arrived.Basis = "" },
		"source": func(d *sekretariat.Delivery) {
			d.Source = map[string]string{}
			for i := range 100 {
				d.Source[fmt.Sprint(i)] = ""
			}
		},
	} {
		d := mail(c)
		spoil(&d)
		body := strings.NewReader("unread")
		if _, err := r.Take(context.Background(), d, body); !errors.Is(err, ingest.ErrBadDelivery) {
			t.Errorf("%s: error %v", name, err)
		}
		if body.Len() != len("unread") {
			t.Errorf("%s: the body was read", name)
		}
	}
	if n := r.Counters(); n.InFlight != 0 || n.Failed == 0 {
		t.Errorf("counters %+v", n)
	}
}

// The day of receipt is never in the future, and a source is bounded.
func TestManifestIsBounded(t *testing.T) {
	h := ingesttest.NewHouse(t)
	c := h.Centre(t)
	r := h.Receiver(t, ingest.Limits{})
	d := mail(c)
	d.Arrived.At = time.Now().Add(48 * time.Hour)
	d.Source["subject"] = strings.Repeat("ż", 10_000)
	before := len(d.Source["subject"])
	receipt := take(t, r, d, "x")
	m := h.Submissions(t, c)[0].Manifest
	if receipt.Arrived.At.After(m.Received) {
		t.Errorf("arrived %s, received %s", receipt.Arrived.At, m.Received)
	}
	if s := m.Source["subject"]; len(s) > 8<<10 || s != strings.Repeat("ż", len(s)/2) {
		t.Errorf("source of %d octets", len(s))
	}
	if len(d.Source["subject"]) != before {
		t.Error("the channel's own map was changed")
	}
}

// A submission that was destroyed on purpose stays a repeat, and its bytes are
// not stored again.
func TestShredded(t *testing.T) {
	h := ingesttest.NewHouse(t)
	c := h.Centre(t)
	r := h.Receiver(t, ingest.Limits{})
	first := take(t, r, named(c, "one"), "to be forgotten")
	if err := h.Vault.Shred(context.Background(), c, first.Submission); err != nil {
		t.Fatal(err)
	}
	again := take(t, r, named(c, "one"), "to be forgotten")
	if !again.Repeat || again.Submission != first.Submission || again.Arrived != first.Arrived || again.Original != "" {
		t.Errorf("receipt after shredding: %+v", again)
	}
	if n := objects(t, h, c, first.Submission); n != 2 {
		t.Errorf("%d objects, want the two old ones", n)
	}
}

func TestClose(t *testing.T) {
	h := ingesttest.NewHouse(t)
	c := h.Centre(t)
	r := h.Receiver(t, ingest.Limits{})
	if err := r.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Take(context.Background(), mail(c), strings.NewReader("x")); !errors.Is(err, ingest.ErrClosed) {
		t.Errorf("Take after Close: %v", err)
	}
	if err := r.Seen(context.Background(), c, sekretariat.SeenData{}); !errors.Is(err, ingest.ErrClosed) {
		t.Errorf("Seen after Close: %v", err)
	}
}

func BenchmarkTake(b *testing.B) {
	h := ingesttest.NewHouse(b)
	c := h.Centre(b)
	r := h.Receiver(b, ingest.Limits{})
	body := strings.Repeat("Szanowni Państwo, proszę o pomoc. ", 150)
	b.ResetTimer()
	var wg sync.WaitGroup
	for i := range b.N {
		ticket, err := r.Take(context.Background(), named(c, fmt.Sprint(i)), strings.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		wg.Go(func() {
			if _, err := ticket.Wait(context.Background()); err != nil {
				b.Error(err)
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "deliveries/s")
}
