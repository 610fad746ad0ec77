package epuap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"sekretariat"
	"sekretariat/ingest"
	"sekretariat/ingest/epuap/epuaptest"
)

func TestTakesLetters(t *testing.T) {
	h := newHouse(t, epuaptest.Options{})
	h.options.Account.Pins = []string{h.Pin()}
	sent := time.Date(2026, 4, 14, 8, 22, 30, 871_000_000, time.UTC)
	letter := string(sample(t, "doc-4566-podpis-pz.xml"))
	h.put(t, epuaptest.Document{
		ID: "77000001", Content: []byte(letter), FileName: "Pismo ogólne.xml", Sent: sent, ReplyTo: "/wkowalska/domyslna", User: "wkowalska",
		Sender: epuaptest.Sender{ID: "wkowalska", FirstName: "Wanda", Name: "Kowalska & córka", PESEL: "02041517880"},
	})
	h.put(t, epuaptest.Document{Content: []byte("drugie"), Test: true, Sent: sent})
	c := h.channel(t)
	if c.Name() != "przykladowo/esp" || c.Health().Code != "starting" {
		t.Errorf("%s, %+v", c.Name(), c.Health())
	}
	if n, err := c.Waiting(context.Background()); err != nil || n != 2 {
		t.Errorf("waiting: %d, %v", n, err)
	}
	h.run(t, c, 5)
	h.complete(t, letter, "drugie")
	if got := c.Health(); !got.OK || got.Code != "ok" || got.Waiting != 0 || got.Message != "" {
		t.Errorf("health %+v", got)
	}

	d := h.memory.kept[0]
	want := map[string]string{
		"danePodmiotu.identyfikator": "wkowalska", "danePodmiotu.typOsoby": "F", "danePodmiotu.imieSkrot": "Wanda",
		"danePodmiotu.nazwiskoNazwa": "Kowalska & córka", "danePodmiotu.pesel": "02041517880", "danePodmiotu.zgoda": "true",
		"daneNadawcy.uzytkownik": "wkowalska", "dataNadania": "2026-04-14T10:22:30.871+02:00", "adresOdpowiedzi": "/wkowalska/domyslna",
		"nazwaSkrytki": "Skrytka ESP", "adresSkrytki": address, "czyTestowe": "false", "nazwaPliku": "Pismo ogólne.xml", "typPliku": "application/xml",
		"identyfikatorDokumentu": "77000001", "odpowiedz.podpis": "pinned", "odpowiedz.certyfikat": h.Pin(),
	}
	for k, v := range want {
		if d.Source[k] != v {
			t.Errorf("source %s: %q, want %q", k, d.Source[k], v)
		}
	}
	if d.Source["http.date"] == "" || d.Source["daneDodatkowe"] == "" {
		t.Errorf("source %v", d.Source)
	}
	if d.Kind != sekretariat.KindEPUAP || d.Door != sekretariat.DoorEPUAPPull || d.Account != "esp" || d.Unit != "mops" || d.Department != "sekretariat" || d.MediaType != "application/xml" || d.Test {
		t.Errorf("delivery %+v", d.Delivery)
	}
	if d.Arrived.Basis != sekretariat.BasisSent || !d.Arrived.At.Equal(sent) || !d.Sent.Equal(sent) {
		t.Errorf("arrived %+v, sent %v", d.Arrived, d.Sent)
	}
	// The identity is a contract: design §6.
	id := sekretariat.NewSubmissionID("przykladowo", "epuap", "esp", "", address, "53b40f14fdb7b5655851e3ada82c32550d49697b67a16b4bf1fca6efcc84b63c", "2026-04-14T08:22:30.871Z", "77000001")
	if d.id != id {
		t.Errorf("identity %v", d.Identity(sekretariat.BodyFacts{SHA256: sekretariat.DigestOf([]byte(letter))}))
	}
	if !h.memory.kept[1].Test {
		t.Error("the test letter is not marked")
	}
}

func TestEmptyAnswers(t *testing.T) {
	for _, shape := range []epuaptest.Empty{epuaptest.EmptyStatus, epuaptest.EmptyElements, epuaptest.EmptyBody} {
		h := newHouse(t, epuaptest.Options{Empty: shape})
		c := h.channel(t)
		if pauses := h.run(t, c, 1); len(pauses) != 1 || pauses[0] < 45*time.Second || !c.Health().OK {
			t.Errorf("shape %d: pauses %v, %+v", shape, pauses, c.Health())
		}
		h.complete(t)
		h.put(t, epuaptest.Document{Content: []byte("x")})
		h.run(t, c, 2)
		h.complete(t, "x")
	}
	h := newHouse(t, epuaptest.Options{})
	h.Inject(epuaptest.Fault{NoContent: true})
	c := h.channel(t)
	if h.run(t, c, 1); !c.Health().OK {
		t.Errorf("no octets at all: %+v", c.Health())
	}
}

// TestDigests: whichever digest the platform takes, and whatever is configured.
func TestDigests(t *testing.T) {
	for _, mode := range []epuaptest.Skrot{epuaptest.SHA1, epuaptest.SHA256, epuaptest.Both} {
		for _, configured := range []string{"", "sha1", "sha256"} {
			h := newHouse(t, epuaptest.Options{Skrot: mode})
			h.options.Account.Skrot = configured
			for _, s := range []string{"a", "b", "c"} {
				h.put(t, epuaptest.Document{Content: []byte(s)})
			}
			c := h.channel(t)
			if pauses := h.run(t, c, 3); len(pauses) != 1 {
				t.Errorf("mode %d, configured %q: %d rounds", mode, configured, len(pauses))
			}
			h.complete(t, "a", "b", "c")
			if n := h.Counters().Refused; n > 1 {
				t.Errorf("mode %d, configured %q: %d refusals; the digest that works is not remembered", mode, configured, n)
			}
			if h.memory.calls != 3 || h.memory.seens != 0 {
				t.Errorf("mode %d, configured %q: %d letters taken, %d repeats", mode, configured, h.memory.calls, h.memory.seens)
			}
		}
	}
}

// TestFaults: after every fault everything is there exactly once, without an
// operator, and never by asking again at once.
func TestFaults(t *testing.T) {
	for name, f := range map[string]epuaptest.Fault{
		"silence":                   {Delay: time.Hour},
		"500 page":                  {Status: 500},
		"503 page":                  {Status: 503},
		"401 page":                  {Status: 401},
		"page with 200":             {Status: 200},
		"redirect":                  {Status: 302},
		"fault with 500":            {SOAPFault: 500},
		"fault with 200":            {SOAPFault: 200},
		"several faults":            {Status: 503, Times: 7},
		"request lost":              {LoseRequest: true},
		"answer lost":               {LoseAnswer: true},
		"no octets":                 {NoContent: true},
		"cut in the header":         {CutAfter: 1},
		"cut in the envelope":       {CutAfter: 300},
		"cut in the end":            {CutAfter: 5000},
		"bad base64":                {BadBase64: true},
		"kept though confirmed":     {Keep: true},
		"kept twice":                {Keep: true, Times: 2},
		"confirmation refused":      {Refuse: true},
		"confirmation refused long": {Refuse: true, Times: 9},
	} {
		for _, op := range []string{epuaptest.OpNext, epuaptest.OpConfirm} {
			for skip := range 3 {
				t.Run(fmt.Sprintf("%s, %s %d", name, op, skip+1), func(t *testing.T) {
					h := newHouse(t, epuaptest.Options{Signing: epuaptest.Unsigned})
					h.options.Timeout = 50 * time.Millisecond
					big := strings.Repeat("duże ", 2000)
					for _, s := range []string{"raz", big, "trzy"} {
						h.put(t, epuaptest.Document{Content: []byte(s)})
					}
					f := f
					f.Operation, f.Skip = op, skip
					h.Inject(f)
					c := h.channel(t)
					pauses := h.run(t, c, 12)
					h.complete(t, "raz", big, "trzy")
					for _, p := range pauses {
						if p < firstBackOff*3/4 {
							t.Errorf("a pause of %v", p)
						}
					}
					// What the fault cost is bounded: no asking in a loop.
					if n := h.Counters().Requests[epuaptest.OpNext]; n > 30 {
						t.Errorf("%d requests for three letters", n)
					}
					if !c.Health().OK {
						t.Errorf("health %+v", c.Health())
					}
				})
			}
		}
	}
}

// TestTwinsAndLostAnswer: two letters with the same content have the same
// skrot. A confirmation whose answer was lost must not be repeated blindly: it
// would remove the second letter unseen.
func TestTwinsAndLostAnswer(t *testing.T) {
	for _, f := range []epuaptest.Fault{
		{LoseAnswer: true}, {CutAfter: 10}, {Keep: true}, {Refuse: true}, {SOAPFault: 500}, {Status: 500},
	} {
		h := newHouse(t, epuaptest.Options{Skrot: epuaptest.Both})
		for range 3 {
			h.put(t, epuaptest.Document{Content: []byte("to samo")})
		}
		f.Operation = epuaptest.OpConfirm
		h.Inject(f)
		h.run(t, h.channel(t), 9)
		h.complete(t, "to samo", "to samo", "to samo")
	}
}

// TestStuckConfirmation: a letter that the platform never lets go of is taken
// once; the pauses grow to 15 minutes; the clerk is told.
func TestStuckConfirmation(t *testing.T) {
	for name, f := range map[string]epuaptest.Fault{"refused": {Refuse: true}, "kept": {Keep: true}} {
		h := newHouse(t, epuaptest.Options{})
		f.Operation, f.Times = epuaptest.OpConfirm, -1
		h.Inject(f)
		h.put(t, epuaptest.Document{Content: []byte("uparte")})
		h.put(t, epuaptest.Document{Content: []byte("za nim")})
		c := h.channel(t)
		pauses := h.run(t, c, 12)
		if last := pauses[len(pauses)-1]; last < maxBackOff*3/4 || last > maxBackOff {
			t.Errorf("%s: last pause %v", name, last)
		}
		if got, _ := h.memory.letters(); !slices.Equal(got, []string{"uparte"}) || h.memory.calls != 1 {
			t.Errorf("%s: letters %q, %d times taken", name, got, h.memory.calls)
		}
		if n := h.Counters().Requests[epuaptest.OpConfirm]; n > 12*maxAgain {
			t.Errorf("%s: %d confirmations in 12 rounds", name, n)
		}
		if got := c.Health(); got.OK || got.Code != "confirm" || got.Waiting != 2 || !strings.Contains(got.Message, "potwierdzenia") {
			t.Errorf("%s: health %+v", name, got)
		}
		h.Calm()
		h.run(t, c, 3)
		h.complete(t, "uparte", "za nim")
	}
}

// TestDamagedLetter: a letter that is no base64 stays on the platform, a clerk
// gets one note, and nobody asks in a loop. Mended, it is taken.
func TestDamagedLetter(t *testing.T) {
	h := newHouse(t, epuaptest.Options{})
	sent := time.Now()
	h.put(t, epuaptest.Document{ID: "1", Content: []byte("dobre"), Base64: "to nie jest base64!", Sent: sent, Sender: epuaptest.Sender{FirstName: "Jan", Name: "Ćwik"}})
	c := h.channel(t)
	h.run(t, c, 5)
	letters, notes := h.memory.letters()
	if len(letters) != 0 || len(notes) != 1 || !strings.Contains(notes[0], "uszkodzone") || !strings.Contains(notes[0], "Identyfikator ePUAP: 1") || !strings.Contains(notes[0], "Jan Ćwik") {
		t.Errorf("letters %q, notes %q", letters, notes)
	}
	if len(h.Held(address)) != 1 || h.Counters().Requests[epuaptest.OpConfirm] != 0 {
		t.Error("the damaged letter was confirmed")
	}
	if got := c.Health(); got.OK || got.Code != "document" || got.Waiting != 1 {
		t.Errorf("health %+v", got)
	}
	// A new process says it again, and it is the same note.
	h.run(t, h.channel(t), 5)
	if _, notes := h.memory.letters(); len(notes) != 1 {
		t.Errorf("%d notes after a restart", len(notes))
	}
}

func TestTooLarge(t *testing.T) {
	for name, limit := range map[string]func(*house){
		"receiver": func(h *house) { h.memory.limit = 1000 },
		"answer":   func(h *house) { h.options.MaxAnswer = 6000 },
	} {
		h := newHouse(t, epuaptest.Options{Signing: epuaptest.Unsigned})
		h.put(t, epuaptest.Document{Content: []byte("małe")})
		h.put(t, epuaptest.Document{ID: "9", Content: []byte(strings.Repeat("duże", 3000))})
		limit(h)
		c := h.channel(t)
		h.run(t, c, 6)
		letters, notes := h.memory.letters()
		if !slices.Equal(letters, []string{"małe"}) || len(notes) != 1 || !strings.Contains(notes[0], "rozmiar") || !strings.Contains(notes[0], "ePUAP: 9") {
			t.Errorf("%s: letters %q, notes %q", name, letters, notes)
		}
		if len(h.Held(address)) != 1 || c.Health().Code != "document" {
			t.Errorf("%s: held %v, %+v", name, h.Held(address), c.Health())
		}
		if h.memory.calls > 2 {
			t.Errorf("%s: the large letter was read %d times", name, h.memory.calls-1)
		}
	}
}

// TestLetterWithoutContent: there is nothing to keep but the fact.
func TestLetterWithoutContent(t *testing.T) {
	h := newHouse(t, epuaptest.Options{})
	h.put(t, epuaptest.Document{ID: "5"})
	h.put(t, epuaptest.Document{Content: []byte("następne")})
	h.run(t, h.channel(t), 3)
	h.complete(t, "następne")
	if _, notes := h.memory.letters(); len(notes) != 1 || !strings.Contains(notes[0], "bez żadnej treści") {
		t.Errorf("notes %q", notes)
	}
}

// TestCrashes stops the process at each step and starts a new one.
func TestCrashes(t *testing.T) {
	steps := map[string]func(*memory) *func() error{
		"before take": func(m *memory) *func() error { return &m.beforeTake },
		"after take":  func(m *memory) *func() error { return &m.afterTake },
		"before wait": func(m *memory) *func() error { return &m.beforeWait },
		"after wait":  func(m *memory) *func() error { return &m.afterWait },
	}
	for name, step := range steps {
		for nth := 1; nth <= 3; nth++ {
			h := newHouse(t, epuaptest.Options{})
			for _, s := range []string{"raz", "dwa", "trzy"} {
				h.put(t, epuaptest.Document{Content: []byte(s)})
			}
			ctx, crash := context.WithCancel(context.Background())
			n := 0
			*step(h.memory) = func() error {
				if n++; n == nth {
					crash()
					return errStore
				}
				return nil
			}
			c := h.channel(t)
			c.pause = func(ctx context.Context, _ time.Duration) bool { return ctx.Err() == nil }
			if err := c.Run(ctx); err != nil {
				t.Errorf("%s %d: Run: %v", name, nth, err)
			}
			letters, _ := h.memory.letters()
			if confirmed := len(h.Confirmed(address)); confirmed > len(letters) || confirmed != nth-1 {
				t.Errorf("%s %d: %d confirmed, %d durable", name, nth, confirmed, len(letters))
			}
			*step(h.memory) = nil
			h.run(t, h.channel(t), 3)
			h.complete(t, "raz", "dwa", "trzy")
		}
	}
}

// TestStoreAway: the receiver fails and comes back.
func TestStoreAway(t *testing.T) {
	h := newHouse(t, epuaptest.Options{})
	h.put(t, epuaptest.Document{Content: []byte("x")})
	n := 0
	h.memory.beforeWait = func() error {
		if n++; n <= 4 {
			return errStore
		}
		return nil
	}
	c := h.channel(t)
	if pauses := h.run(t, c, 4); len(pauses) != 4 || pauses[3] <= pauses[0] {
		t.Errorf("pauses %v", pauses)
	}
	if got := c.Health(); got.OK || got.Code != "store" || len(h.Confirmed(address)) != 0 {
		t.Errorf("health %+v", got)
	}
	h.run(t, c, 3)
	h.complete(t, "x")
}

// lying keeps other octets than it was given.
type lying struct{ *memory }

func (l lying) Take(ctx context.Context, d sekretariat.Delivery, _ io.Reader) (ingest.Ticket, error) {
	return l.memory.Take(ctx, d, strings.NewReader("coś innego"))
}

func TestReceiverKeepsOtherOctets(t *testing.T) {
	h := newHouse(t, epuaptest.Options{})
	h.put(t, epuaptest.Document{Content: []byte("x")})
	h.options.Receiver = lying{h.memory}
	h.run(t, h.channel(t), 2)
	if len(h.Confirmed(address)) != 0 {
		t.Error("a letter was confirmed that is not kept as it came")
	}
}

func TestNewRefuses(t *testing.T) {
	good := newHouse(t, epuaptest.Options{}).options
	for name, change := range map[string]func(*Options){
		"receiver":   func(o *Options) { o.Receiver = nil },
		"id":         func(o *Options) { o.Account.ID = "Ze spacją" },
		"address":    func(o *Options) { o.Account.Address = " " },
		"entity":     func(o *Options) { o.Account.Entity = "" },
		"name":       func(o *Options) { o.Account.Name = "" },
		"plain http": func(o *Options) { o.Account.URL = "http://ws.epuap.gov.pl/pull" },
		"no url":     func(o *Options) { o.Account.URL = "" },
		"password":   func(o *Options) { o.Account.URL = "https://a:b@ws.epuap.gov.pl/pull" },
		"pin":        func(o *Options) { o.Account.Pins = []string{"abc"} },
		"no pins":    func(o *Options) { o.Account.VerifyResponse = "require" },
		"verify":     func(o *Options) { o.Account.VerifyResponse = "maybe" },
		"skrot":      func(o *Options) { o.Account.Skrot = "md5" },
		"ca":         func(o *Options) { o.Account.CA = "/nicht/da.pem" },
	} {
		o := good
		change(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := New(good); err != nil {
		t.Error(err)
	}
}

// TestStopsWhenTold: Run ends when its context does, also while the platform is
// silent.
func TestStopsWhenTold(t *testing.T) {
	h := newHouse(t, epuaptest.Options{})
	h.Inject(epuaptest.Fault{Delay: time.Hour, Times: -1})
	c := h.channel(t)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- c.Run(ctx) }()
	for h.Counters().Requests[epuaptest.OpNext] == 0 {
		select {
		case err := <-ended:
			t.Fatalf("ended by itself: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestCodeOf(t *testing.T) {
	if codeOf(errors.New("x")) != codePlatform || codeOf(fmt.Errorf("a: %w", trouble(codeLogin, errStore))) != codeLogin {
		t.Error("codes")
	}
}
