package edelivery

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/extract/edoreczenia"
	"sekretariat/ingest"
	"sekretariat/ingest/edelivery/edeliverytest"
)

// subjects lists what was taken.
func (f *office) subjects(t testing.TB) (out []string) {
	t.Helper()
	for _, k := range f.memory.all() {
		r := reading(t, k)
		out = append(out, r.Subject)
	}
	slices.Sort(out)
	return out
}

// Everything that the office received is found, wherever it was filed or
// thrown away, and nothing that it sent itself.
func TestFolders(t *testing.T) {
	f := newOffice(t, edeliverytest.Options{})
	f.options.Account.Since = sekretariat.Day(time.Now().Add(-72 * time.Hour))
	own := edeliverytest.Party{ADE: ade, Company: "Ośrodek"}
	for _, m := range []edeliverytest.Message{
		{Subject: "odebrane"}, {Subject: "z sądu", Label: "SADY"}, {Subject: "wyrzucone", Label: "TRASH"},
		{Subject: "wysłane do akt", Label: "SADY", From: own, To: []edeliverytest.Party{sender}},
		{Subject: "do siebie", From: own, To: []edeliverytest.Party{own}},
		{Subject: "stare", Timestamp: time.Now().Add(-100 * time.Hour)},
		{Subject: "wysłane", Label: "SENT", Status: "Wysłana", To: []edeliverytest.Party{sender}},
	} {
		f.put(t, m)
	}
	round(t, f.channel(t))
	want := []string{"do siebie", "odebrane", "wyrzucone", "z sądu"}
	if got := f.subjects(t); !slices.Equal(got, want) {
		t.Errorf("taken %q, want %q", got, want)
	}
}

// A look goes back as far as the window and no further; a full look once a
// night finds the rest.
func TestWindowAndFullLook(t *testing.T) {
	now := time.Date(2026, 11, 20, 10, 0, 0, 0, sekretariat.Warsaw())
	f := newOffice(t, edeliverytest.Options{Clock: func() time.Time { return now }})
	pair, err := edeliverytest.NewPair("ec", now)
	must(t, err)
	f.Register(ade, "SEKRETARIAT", pair.Parsed)
	f.options.Certificate, f.options.Key = pair.Cert, pair.Key
	for i := range 20 {
		f.put(t, edeliverytest.Message{Timestamp: now.Add(-time.Duration(i*12) * time.Hour)})
	}
	c := f.channel(t)
	c.tune.wide, c.tune.sent = time.Hour, 24*time.Hour // so that lists are INBOX only
	round(t, c)
	if n := len(f.memory.all()); n != 20 {
		t.Fatalf("%d taken at the first start, want all 20", n)
	}
	now = now.Add(time.Minute)
	before := f.Count("get /{eDeliveryAddress}/messages")
	round(t, c)
	// 48 h of messages every 12 h are 5, on pages of 3; the next page ends it.
	if n := f.Count("get /{eDeliveryAddress}/messages") - before; n != 3 {
		t.Errorf("%d pages for a window of 48 h, want 3", n)
	}
	f.put(t, edeliverytest.Message{Subject: "wsteczne", Timestamp: now.Add(-10 * 24 * time.Hour)})
	round(t, c)
	if n := len(f.memory.all()); n != 20 {
		t.Fatalf("%d taken: a message beyond the window was seen, so the window is none", n)
	}
	now = time.Date(2026, 11, 21, 2, 29, 0, 0, sekretariat.Warsaw())
	round(t, c)
	if n := len(f.memory.all()); n != 20 {
		t.Errorf("%d taken before the night's full look", n)
	}
	now = now.Add(time.Minute)
	round(t, c)
	if n := len(f.memory.all()); n != 21 {
		t.Errorf("%d taken after the night's full look, want 21", n)
	}
	// A new process goes on where the last one was.
	again := f.channel(t)
	if err := again.load(t.Context()); err != nil || again.fullDue(now.Add(time.Hour)) {
		t.Errorf("a new process looks through everything again (%v)", err)
	}
	must(t, json.Unmarshal(f.drawer.kept[again.cursorName()], &cursor{}))
	f.drawer.kept[again.cursorName()] = []byte("damaged")
	again = f.channel(t)
	if err := again.load(t.Context()); err != nil || !again.fullDue(now) {
		t.Errorf("a damaged cursor is not a full look (%v)", err)
	}
}

// Whatever order and doubles a provider shows its pages in, every message
// within the window is found.
func TestOrderOfPages(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 20).Draw(rt, "messages")
		from := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
		var list []edoreczenia.Message
		inside := 0
		for i := range n {
			at := from.Add(time.Duration(rapid.IntRange(-48, 48).Draw(rt, "hour")) * time.Hour)
			if !at.Before(from) {
				inside++
			}
			m := edoreczenia.Message{}
			m.Metadata.MessageID, m.Metadata.Timestamp = fmt.Sprint(i), at.Format(time.RFC3339)
			list = append(list, m)
		}
		if rapid.Bool().Draw(rt, "sorted") {
			slices.SortFunc(list, func(a, b edoreczenia.Message) int { return strings.Compare(b.Metadata.Timestamp, a.Metadata.Timestamp) })
		}
		c := &Channel{o: Options{Account: configs.EDelivery{Address: ade, After: configs.AfterKeep}, Clock: sekretariat.SystemClock}, taken: map[string]bool{}, items: map[string]*trouble{}}
		f := finder{c: c, from: from, seen: map[string]bool{}, ordered: true}
		size := rapid.IntRange(1, 5).Draw(rt, "page")
		for i := 0; i < n && !f.over; i += size {
			if err := f.page(t.Context(), page{Messages: list[i:min(i+size, n)]}); err != nil {
				rt.Fatal(err)
			}
		}
		found := 0
		for _, it := range f.items {
			if at, _ := edoreczenia.ParseTime(it.message.Metadata.Timestamp); !at.Before(from) {
				found++
			}
		}
		// An unsorted list may look sorted until its end; that is what the
		// night's look is for. A sorted one is never cut short.
		sorted := slices.IsSortedFunc(list, func(a, b edoreczenia.Message) int { return strings.Compare(b.Metadata.Timestamp, a.Metadata.Timestamp) })
		if sorted && found != inside {
			rt.Errorf("%d of %d found", found, inside)
		}
	})
}

// More is coming: the channel looks again soon.
func TestElectronicCount(t *testing.T) {
	f := newOffice(t, edeliverytest.Options{})
	f.options.Account.Poll = time.Hour
	f.Coming(ade, 3)
	c := f.channel(t)
	soon, err := c.round(t.Context())
	must(t, err)
	c.status.set(codeOK)
	if !soon || c.delay(0, 0, soon) > comingSoon {
		t.Error("it waits an hour although messages are coming")
	}
	if h := c.Health(); h.Waiting != 3 || h.Figures[FigureComing] != 3 {
		t.Errorf("health %+v", h)
	}
}

// A mailbox that fills up is told of before it is full.
func TestCapacity(t *testing.T) {
	for used, want := range map[int]struct {
		ok   bool
		code string
	}{100: {true, "ok"}, 920: {true, "full"}, 990: {false, "full"}} {
		f := newOffice(t, edeliverytest.Options{Capacity: 1000, Used: used})
		c := f.channel(t)
		round(t, c)
		c.status.set(codeOK)
		if h := c.Health(); h.OK != want.ok || h.Code != want.code || h.Figures[FigureCapacity] != float64(used)/1000 {
			t.Errorf("%d MB of 1000: health %+v", used, h)
		}
	}
}

// What became of a letter that was sent elsewhere comes in once, as a proof
// that names the letter and its case; the letter itself is not opened.
func TestProofs(t *testing.T) {
	f := newOffice(t, edeliverytest.Options{})
	at := time.Now().Add(-3 * time.Hour).UTC().Truncate(time.Millisecond)
	sent := func(subject, status string, receipt time.Time, evidences ...edeliverytest.Evidence) string {
		return f.put(t, edeliverytest.Message{Label: "SENT", Subject: subject, Status: status, CaseID: "DPŚ.5120.7.2026", Timestamp: at, Sent: at, Event: at, Receipt: receipt,
			To: []edeliverytest.Party{sender}, Text: "tajna treść decyzji", Evidences: evidences})
	}
	id := sent("Decyzja", "Doręczona", at.Add(time.Hour), edeliverytest.Evidence{Type: "BP.OX", Created: at.Add(time.Hour), Content: []byte("<bpox/>")},
		edeliverytest.Evidence{Type: "BPWX", Created: at, Content: []byte("<bpwx/>")})
	sent("Wezwanie", "Uznana za doręczoną", time.Time{}, edeliverytest.Evidence{Type: "D2", Created: at, Content: []byte("<d2/>")})
	sent("W drodze", "Wysłana", time.Time{})
	c := f.channel(t)
	for range 3 {
		round(t, c)
	}
	got := f.memory.all()
	if len(got) != 2 {
		t.Fatalf("%d proofs, want 2", len(got))
	}
	k := got[slices.IndexFunc(got, func(k kept) bool { return k.Source["messageId"] == id })]
	r := reading(t, k)
	if r.Auto != edoreczenia.AutoReceipt || r.Subject != "Dowód doręczenia: Decyzja" || !slices.Equal(r.CaseNumbers, []string{"DPŚ.5120.7.2026"}) {
		t.Errorf("reading %q, %q, cases %v", r.Auto, r.Subject, r.CaseNumbers)
	}
	if strings.Contains(string(k.body), "tajna") || f.Opened(ade, id) {
		t.Error("the sent letter itself was read")
	}
	if !k.Arrived.At.Equal(at.Add(time.Hour)) || len(r.Parts) != 2 || !strings.Contains(r.Text, "dowód otrzymania (XML)") {
		t.Errorf("arrived %v, %d parts, text %q", k.Arrived, len(r.Parts), r.Text)
	}
	f.options.Account.Sent = new(bool)
	f.memory = &memory{}
	f.options.Receiver, f.options.Known = f.memory, nil
	round(t, f.channel(t))
	if n := len(f.memory.all()); n != 0 {
		t.Errorf("%d proofs although SENT is not to be read", n)
	}
}

// A proof waits a while for its evidence, then comes without.
func TestProofWithoutEvidence(t *testing.T) {
	now := time.Now()
	f := newOffice(t, edeliverytest.Options{Clock: func() time.Time { return now }})
	f.put(t, edeliverytest.Message{Label: "SENT", Status: "Doręczona", Timestamp: now, Sent: now, Receipt: now, To: []edeliverytest.Party{sender}})
	c := f.channel(t)
	round(t, c)
	if len(f.memory.all()) != 0 {
		t.Fatal("it did not wait")
	}
	now = now.Add(2 * time.Hour)
	round(t, c)
	if len(f.memory.all()) != 1 {
		t.Error("it waits for ever")
	}
}

// Answers and evidence messages know the letter of ours that they are about.
func TestRelated(t *testing.T) {
	f := newOffice(t, edeliverytest.Options{})
	at := time.Now().Add(-time.Hour)
	id := f.put(t, edeliverytest.Message{Label: "SENT", Status: "Wysłana", Subject: "Wezwanie ZPR.5.1.2026", Timestamp: at, Sent: at, To: []edeliverytest.Party{sender}})
	f.put(t, edeliverytest.Message{Subject: "odpowiedź", RefTo: id})
	f.put(t, edeliverytest.Message{Subject: "w wątku", ThreadID: id})
	f.put(t, edeliverytest.Message{Subject: "potwierdzenie", Type: "Evidence", RefTo: id, Evidences: []edeliverytest.Evidence{{Type: "BPOX", Created: at, Content: []byte("<x/>")}}})
	f.put(t, edeliverytest.Message{Subject: "cudze", RefTo: "nie-ma-takiej"})
	round(t, f.channel(t))
	rounds(t, f.channel(t), "all are taken", func() bool { return len(f.memory.all()) == 4 })
	for _, k := range f.memory.all() {
		r := reading(t, k)
		about := k.Source[edoreczenia.SourceAbout] == id && k.Source[edoreczenia.SourceAboutSubject] == "Wezwanie ZPR.5.1.2026"
		if about != (k.Source["refToMessageId"] != "nie-ma-takiej") {
			t.Errorf("%q is about %q", r.Subject, k.Source[edoreczenia.SourceAbout])
		}
		if (r.Auto == edoreczenia.AutoReceipt) != strings.HasPrefix(r.Subject, "Dowód") {
			t.Errorf("%q: automatic %q", r.Subject, r.Auto)
		}
	}
}

// A call makes the channel look at once; it must know the secret, and nothing
// that it says is believed.
func TestWebhook(t *testing.T) {
	f := newOffice(t, edeliverytest.Options{})
	f.options.Account.Poll = time.Hour
	f.options.Account.Callback = "https://ops.example"
	f.options.Account.CallbackSecret = configs.Secret{File: filepath.Join(t.TempDir(), "secret")}
	must(t, os.WriteFile(f.options.Account.CallbackSecret.File, []byte("0123456789abcdef01234567"), 0o600))
	c := f.channel(t)
	path, h := c.Callback()
	done := make(chan error, 1)
	ctx, cancel := contextFor(t)
	go func() { done <- c.Run(ctx) }()
	waitFor(t, "the webhook is asked for", func() bool { return f.Callback(ade) != "" })
	if got := f.Callback(ade); got != "https://ops.example"+path+"0123456789abcdef01234567" {
		t.Errorf("the provider was told %q", got)
	}
	call := func(path, method string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(`{"eDeliveryAddress":"x","notificationType":"inbox","notification":[{"id":"../.."}]}`)))
		return w
	}
	f.put(t, edeliverytest.Message{})
	for _, bad := range []*httptest.ResponseRecorder{call(path, http.MethodPost), call(path+"0123456789abcdef01234568", http.MethodPost), call(path+"0123456789abcdef01234567", http.MethodGet)} {
		if bad.Code != http.StatusNotFound {
			t.Errorf("status %d for a call without the secret", bad.Code)
		}
	}
	w := call(path+"0123456789abcdef01234567", http.MethodPost)
	if w.Code != http.StatusOK || w.Body.String() != `{"status":"OK","notification":"on"}` {
		t.Errorf("status %d, %s", w.Code, w.Body)
	}
	waitFor(t, "the message is taken", func() bool { return len(f.memory.all()) == 1 })
	cancel()
	must(t, <-done)
}

// A webhook that is refused is said; the mailbox is polled all the same.
func TestWebhookRefused(t *testing.T) {
	f := newOffice(t, edeliverytest.Options{Scopes: []string{"read_messages", "read_settings"}})
	f.options.Account.Callback = "https://ops.example"
	f.options.Account.CallbackSecret = configs.Secret{Env: "SEKRETARIAT_TEST_SECRET"}
	t.Setenv("SEKRETARIAT_TEST_SECRET", "0123456789abcdef01234567")
	f.put(t, edeliverytest.Message{})
	c := f.channel(t)
	round(t, c)
	c.status.set(codeOK)
	if h := c.Health(); !h.OK || h.Code != "webhook" || len(f.memory.all()) != 1 {
		t.Errorf("health %+v", h)
	}
}

// Trying a channel out takes, opens and moves nothing, and says what to do.
func TestCheck(t *testing.T) {
	verdicts := func(list []ingest.Check) (out []string) {
		for _, k := range list {
			out = append(out, k.What+" "+string(k.Verdict))
		}
		return out
	}
	f := newOffice(t, edeliverytest.Options{})
	id := f.put(t, edeliverytest.Message{})
	f.options.Account.Since = "2026-01-01"
	got := f.channel(t).Check(t.Context())
	want := []string{whatCertificate + " good", whatToken + " good", whatRights + " good", whatMailbox + " good", whatFolder + " good", whatSent + " good", whatCapacity + " good", whatClock + " good"}
	if !slices.Equal(verdicts(got), want) {
		t.Errorf("%q", got)
	}
	if f.Opened(ade, id) || len(f.memory.all()) != 0 {
		t.Error("something was opened or taken")
	}
	f.options.Account.After, f.options.Account.Done, f.options.Account.Since = configs.AfterMove, "NIE-MA", ""
	list := f.channel(t).Check(t.Context())
	if got := strings.Join(verdicts(list), ","); !strings.Contains(got, whatFolder+" bad") || !strings.Contains(got, whatMailbox+" doubt") {
		t.Errorf("%q", list)
	}
	bad := lenient(t, edeliverytest.Options{Scopes: []string{}})
	for _, c := range []struct {
		set  func(*Options)
		what string
		says string
	}{
		{func(o *Options) { o.Key = []byte("?") }, whatCertificate, "cert i key"},
		{func(o *Options) { o.Account.ClientID = "ktoś" }, whatToken, "nazwę systemu"},
		{func(o *Options) { o.Account.TokenURL = "http://127.0.0.1:1/token" }, whatToken, "Nie ma połączenia"},
		{func(*Options) {}, whatRights, "read_messages"},
		{func(o *Options) { o.Account.URL = "http://127.0.0.1:1/api" }, whatMailbox, "Nie ma połączenia"},
	} {
		o := bad.options
		c.set(&o)
		ch, err := New(o)
		must(t, err)
		list := ch.Check(t.Context())
		i := slices.IndexFunc(list, func(k ingest.Check) bool { return k.What == c.what && k.Verdict == ingest.CheckBad })
		if i < 0 || !strings.Contains(list[i].Text, c.says) {
			t.Errorf("%s: want %q in %q", c.what, c.says, list)
		}
	}
}

// A configuration that cannot work is refused with the name of the value.
func TestNewRefuses(t *testing.T) {
	f := newOffice(t, edeliverytest.Options{})
	for name, set := range map[string]func(*Options){
		"address": func(o *Options) { o.Account.Address = "AE:PL-1" }, "url": func(o *Options) { o.Account.URL = "http://uaapi.example/api" },
		"token_url": func(o *Options) { o.Account.TokenURL = "" }, "client_id": func(o *Options) { o.Account.ClientID = "" },
		"audience": func(o *Options) { o.Account.Audience = "" }, "after": func(o *Options) { o.Account.After = "burn" },
		"move_path": func(o *Options) { o.Account.After, o.Account.MovePath = configs.AfterDelete, "" },
		"ca":        func(o *Options) { o.Account.CA = "/nie/ma" }, "cursors": func(o *Options) { o.Cursors = nil },
	} {
		o := f.options
		set(&o)
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Digests are understood in the spellings that were seen.
func TestSum(t *testing.T) {
	content := []byte("treść")
	official := edeliverytest.Hash(content)
	for declared, want := range map[string]string{
		official: edoreczenia.HashRight, "": edoreczenia.HashNone, "???": edoreczenia.HashUnknown, "QUJD": edoreczenia.HashUnknown,
		edeliverytest.Hash([]byte("inna")): edoreczenia.HashWrong,
		// SHA3-256 of "treść", in hexadecimal letters: another length is another SHA-3.
		"8d8f6e4b1f2a3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5": edoreczenia.HashWrong,
	} {
		s := newSum(edoreczenia.FileMetadata{Hash: declared, Size: int64(len(content))})
		var got strings.Builder
		_, err := fmt.Fprint(&got, "")
		must(t, err)
		buf := make([]byte, 64)
		n, _ := s.reader(strings.NewReader(string(content))).Read(buf)
		verdict, err := s.judge(int64(n), true)
		if verdict != want || err != nil {
			t.Errorf("%q: %q, want %q (%v)", declared, verdict, want, err)
		}
	}
}
