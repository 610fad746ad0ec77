package edelivery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/extract/edoreczenia"
	"sekretariat/ingest"
	"sekretariat/ingest/edelivery/edeliverytest"
)

func asError[T error](err error, target *T) bool { return errors.As(err, target) }

// reading reads a container as the service does.
func reading(t testing.TB, k kept) sekretariat.Reading {
	t.Helper()
	r, err := edoreczenia.Read(t.Context(), strings.NewReader(string(k.body)), edoreczenia.Options{Source: k.Source})
	must(t, err)
	return r
}

func hasFinding(r sekretariat.Reading, code string) bool {
	for _, f := range r.Findings {
		if f.Code == code {
			return true
		}
	}
	return false
}

// once makes a fault for the first request of an operation.
func once(operation string, f edeliverytest.Fault) func(string) edeliverytest.Fault {
	return times(operation, 1, f)
}

func times(operation string, n int32, f edeliverytest.Fault) func(string) edeliverytest.Fault {
	var seen atomic.Int32
	return func(op string) edeliverytest.Fault {
		if strings.Contains(op, operation) && seen.Add(1) <= n {
			return f
		}
		return edeliverytest.Fault{}
	}
}

// A message arrives with everything that belongs to it, unchanged, and its day
// of receipt is that of the proof of receipt.
func TestMessage(t *testing.T) {
	f := newOffice(t, edeliverytest.Options{})
	f.options.Account.Technical = true
	at := time.Now().Add(-time.Hour).UTC().Truncate(time.Millisecond)
	id := f.put(t, edeliverytest.Message{
		Subject: "Wniosek o zasiłek celowy", Text: "Dzień dobry,\nw załączeniu wniosek.", CaseID: "DPŚ.5120.12.2026", From: sender,
		Timestamp: at, Receipt: at.Add(-2 * time.Second), Sent: at.Add(-5 * time.Second), Event: at.Add(-4 * time.Second),
		Attachments: []edeliverytest.Attachment{{Name: "wniosek.txt", Type: "text/plain", Content: []byte("treść wniosku"), Description: "Wniosek"}},
		Evidences: []edeliverytest.Evidence{
			{Type: "BPOX", Created: at, Content: []byte("<xml/>")}, {Type: "E.1", Created: at.Add(-time.Second), Content: []byte("<e1/>")},
		},
	})
	round(t, f.channel(t))
	got := f.memory.all()
	if len(got) != 1 {
		t.Fatalf("%d messages taken", len(got))
	}
	k := got[0]
	if k.Arrived != (sekretariat.Arrival{At: at.Add(-2 * time.Second), Basis: sekretariat.BasisReceipt}) || !k.Sent.Equal(at.Add(-5*time.Second)) {
		t.Errorf("arrived %+v, sent %v", k.Arrived, k.Sent)
	}
	if k.Kind != sekretariat.KindEDelivery || k.Door != sekretariat.DoorUAAPI || k.MediaType != edoreczenia.MediaType || k.Unit != "ops" {
		t.Errorf("delivery %+v", k.Delivery)
	}
	for key, want := range map[string]string{
		"messageId": id, "ade": ade, "status": "Doręczona", "from": sender.ADE, "labels": "INBOX",
		"timestamp": at.Format("2006-01-02T15:04:05.000Z"), "receiptDate": at.Add(-2 * time.Second).Format("2006-01-02T15:04:05.000Z"),
	} {
		if k.Source[key] != want {
			t.Errorf("source %s is %q, want %q", key, k.Source[key], want)
		}
	}
	there, _ := f.Message(ade, id)
	r := reading(t, k)
	if r.Subject != there.Subject || r.Text != there.Text || r.Sender.FamilyName != "Testowa" || r.Sender.IDs["ADE"] != sender.ADE ||
		r.MessageID != id || r.Outcome != sekretariat.ReadOK || len(r.CaseNumbers) != 1 {
		t.Errorf("reading %+v", r)
	}
	var paths []string
	for _, p := range r.Parts {
		paths = append(paths, p.Path+" "+p.Name)
	}
	if got := strings.Join(paths, ", "); got != "1 wniosek.txt, dowod.0001 E1.xml, dowod.0002 BPOX.xml, archive archive.zip, technical technical.zip" {
		t.Errorf("parts: %s", got)
	}
	if !f.Opened(ade, id) {
		t.Error("the message was not read in full")
	}
}

// Before there is a proof of receipt the day is that of storing, marked.
func TestNoReceiptDate(t *testing.T) {
	f := newOffice(t, edeliverytest.Options{})
	at := time.Now().Add(-time.Hour).UTC().Truncate(time.Millisecond)
	f.put(t, edeliverytest.Message{Timestamp: at})
	round(t, f.channel(t))
	k := f.memory.all()[0]
	if k.Arrived != (sekretariat.Arrival{At: at, Basis: sekretariat.BasisMailbox}) || !hasFinding(reading(t, k), edoreczenia.FindingNoReceipt) {
		t.Errorf("arrived %+v", k.Arrived)
	}
}

// A message is not taken without its date of receipt while that may come in a
// moment.
func TestReceiptDateComesLater(t *testing.T) {
	f := newOffice(t, edeliverytest.Options{})
	at := time.Now().UTC().Truncate(time.Millisecond)
	id := f.put(t, edeliverytest.Message{Timestamp: at})
	c := f.channel(t)
	c.tune.receipt = time.Minute
	round(t, c)
	if len(f.memory.all()) != 0 {
		t.Fatal("it did not wait")
	}
	f.Change(ade, id, func(m *edeliverytest.Message) { m.Receipt = at.Add(-time.Second) })
	rounds(t, c, "it is taken", func() bool { return len(f.memory.all()) == 1 })
	if got := f.memory.all()[0].Arrived; got != (sekretariat.Arrival{At: at.Add(-time.Second), Basis: sekretariat.BasisReceipt}) {
		t.Errorf("arrived %+v", got)
	}
}

// Whatever the provider does to one message, it arrives once, and others are
// not held up.
func TestMisbehaviour(t *testing.T) {
	get, download := "messages/{messageId}", "attachments/download"
	for name, chaos := range map[string]func(string) edeliverytest.Fault{
		"still moving":    times(get, 3, edeliverytest.Fault{Status: 202}),
		"fails":           times(get, 3, edeliverytest.Fault{Status: 500}),
		"page":            once(get, edeliverytest.Fault{Page: true}),
		"cut":             times(download, 3, edeliverytest.Fault{Cut: 3}),
		"gone":            times(download, 3, edeliverytest.Fault{Cut: -1}),
		"limit":           once(download, edeliverytest.Fault{Status: 429}),
		"forbidden":       once(download, edeliverytest.Fault{Status: 403}),
		"changed":         times(get, 3, edeliverytest.Fault{Changed: true}),
		"wrong octets":    once(download, edeliverytest.Fault{WrongOctets: true}),
		"archive fails":   times("archive-file", 2, edeliverytest.Fault{Status: 502}),
		"evidence cut":    times("{evidenceId}", 2, edeliverytest.Fault{Cut: 10}),
		"list cut":        times("/messages", 2, edeliverytest.Fault{Cut: 100}),
		"list doubled":    always(edeliverytest.Fault{Double: true}),
		"list reordered":  always(edeliverytest.Fault{Reorder: true}),
		"list is a page":  once("get /{eDeliveryAddress}/messages", edeliverytest.Fault{Page: true}),
		"folders refused": always2("directories", edeliverytest.Fault{Status: 403}),
		"no settings":     always2("settings", edeliverytest.Fault{Status: 403}),
	} {
		t.Run(name, func(t *testing.T) {
			f := newOffice(t, edeliverytest.Options{})
			f.SetChaos(chaos)
			const n = 8
			for i := range n {
				f.put(t, edeliverytest.Message{
					Timestamp: time.Now().Add(-time.Duration(i) * time.Minute), Receipt: time.Now().Add(-time.Hour), Subject: fmt.Sprint("pismo ", i),
					Attachments: []edeliverytest.Attachment{{Name: "a.txt", Content: fmt.Appendf(nil, "treść załącznika %d", i)}},
				})
			}
			c := f.channel(t)
			rounds(t, c, "all are taken", func() bool { return len(f.memory.all()) >= n })
			round(t, c)
			got := f.memory.all()
			if len(got) != n || len(f.memory.told()) != 0 {
				t.Errorf("%d messages taken, notes %v", len(got), f.memory.told())
			}
			for _, k := range got {
				r := reading(t, k)
				if files := attachments(t, k.body); len(files) != 1 || !strings.HasPrefix(string(files[0]), "treść załącznika ") {
					t.Errorf("attachments %q", files)
				}
				if hasFinding(r, edoreczenia.FindingHash) || len(r.Parts) != 3 {
					t.Errorf("findings %v, %d parts", r.Findings, len(r.Parts))
				}
			}
		})
	}
}

func always2(operation string, f edeliverytest.Fault) func(string) edeliverytest.Fault {
	return times(operation, 1<<30, f)
}

// One message that the provider always stumbles over comes before a clerk,
// once; the others arrive, and it is tried again for ever.
func TestStuckMessage(t *testing.T) {
	f := newOffice(t, edeliverytest.Options{})
	f.put(t, edeliverytest.Message{Subject: "zepsute", Attachments: []edeliverytest.Attachment{{Name: "a.txt", Content: []byte("a")}}})
	f.put(t, edeliverytest.Message{Subject: "dobre"})
	f.SetChaos(always2("download", edeliverytest.Fault{Status: 500}))
	c := f.channel(t)
	rounds(t, c, "a note lies before a clerk", func() bool { return len(f.memory.told()) > 0 })
	for range 20 {
		round(t, c)
	}
	c.status.set(codeOK)
	notes := f.memory.told()
	if len(notes) != 1 || !strings.Contains(notes[0], "zepsute") || !strings.HasPrefix(notes[0], string(sekretariat.ParkRefused)) {
		t.Errorf("notes %q", notes)
	}
	if h := c.Health(); h.OK || h.Code != string(codeMessage) || h.Waiting != 1 {
		t.Errorf("health %+v", h)
	}
	if got := f.memory.all(); len(got) != 1 || got[0].Source["messageId"] == "" {
		t.Errorf("%d messages taken", len(got))
	}
	f.SetChaos(nil)
	rounds(t, c, "the message is taken after all", func() bool { return len(f.memory.all()) == 2 })
	if h := c.Health(); !h.OK {
		t.Errorf("health %+v", h)
	}
}

// A message that somebody removes while it cannot be fetched comes before a
// clerk after the next complete look.
func TestRemovedMeanwhile(t *testing.T) {
	now := time.Now()
	f := newOffice(t, edeliverytest.Options{Clock: func() time.Time { return now }})
	id := f.put(t, edeliverytest.Message{Subject: "znikające"})
	f.SetChaos(always2("messages/{messageId}", edeliverytest.Fault{Status: 500}))
	c := f.channel(t)
	c.tune.patience = 100
	round(t, c)
	f.Remove(ade, id)
	f.SetChaos(nil)
	now = now.Add(24 * time.Hour)
	round(t, c)
	if notes := f.memory.told(); len(notes) != 1 || !strings.Contains(notes[0], "zniknęła") || !strings.Contains(notes[0], "znikające") {
		t.Errorf("notes %q", notes)
	}
	if h := c.Health(); h.Waiting != -1 && h.Waiting != 0 {
		t.Errorf("health %+v", h)
	}
}

// Octets that stay wrong are taken in the end, with the verdict in the letter.
func TestWrongOctetsForGood(t *testing.T) {
	f := newOffice(t, edeliverytest.Options{})
	f.put(t, edeliverytest.Message{Attachments: []edeliverytest.Attachment{{Name: "a.txt", Content: []byte("aaaa")}}})
	f.SetChaos(always2("download", edeliverytest.Fault{WrongOctets: true}))
	c := f.channel(t)
	rounds(t, c, "it is taken", func() bool { return len(f.memory.all()) == 1 })
	if n := f.Count("post /{eDeliveryAddress}/attachments/download"); n != 3 {
		t.Errorf("fetched %d times, want 3", n)
	}
	r := reading(t, f.memory.all()[0])
	if !hasFinding(r, edoreczenia.FindingHash) {
		t.Errorf("findings %v", r.Findings)
	}
}

// What a letter can do without is noted as missing.
func TestWithoutArchive(t *testing.T) {
	for name, status := range map[string]int{"refused": 400, "failing": 500} {
		t.Run(name, func(t *testing.T) {
			f := newOffice(t, edeliverytest.Options{})
			f.put(t, edeliverytest.Message{Receipt: time.Now()})
			f.SetChaos(always2("archive-file", edeliverytest.Fault{Status: status}))
			c := f.channel(t)
			rounds(t, c, "it is taken", func() bool { return len(f.memory.all()) == 1 })
			r := reading(t, f.memory.all()[0])
			if !hasFinding(r, edoreczenia.FindingMissing) || len(r.Parts) != 1 {
				t.Errorf("findings %v, parts %v", r.Findings, r.Parts)
			}
			if status == 400 && f.Count("get /{eDeliveryAddress}/messages/{messageId}/message-archive-file") != 1 {
				t.Error("a refusal was asked for again")
			}
		})
	}
}

// Too large: nothing is fetched when the message says so itself; a note says
// what lies in the mailbox, once.
func TestTooLarge(t *testing.T) {
	for name, set := range map[string]func(*office){
		"declared":     func(f *office) { f.options.MaxSize = 100 },
		"for receiver": func(f *office) { f.memory.limit = 100 },
	} {
		t.Run(name, func(t *testing.T) {
			f := newOffice(t, edeliverytest.Options{})
			set(f)
			f.put(t, edeliverytest.Message{Subject: "ogromne", Attachments: []edeliverytest.Attachment{{Name: "a.bin", Content: make([]byte, 5000)}}})
			c := f.channel(t)
			for range 4 {
				round(t, c)
			}
			notes := f.memory.told()
			if len(notes) != 1 || !strings.HasPrefix(notes[0], string(sekretariat.ParkOversize)) || !strings.Contains(notes[0], "ogromne") {
				t.Errorf("notes %q", notes)
			}
			want := 0
			if name != "declared" {
				want = 1
			}
			if n := f.Count("post /{eDeliveryAddress}/attachments/download"); n != want {
				t.Errorf("fetched %d times, want %d", n, want)
			}
		})
	}
}

// A notice without content waits; a clerk is told after a while; its content
// is taken when it comes.
func TestStub(t *testing.T) {
	f := newOffice(t, edeliverytest.Options{})
	at := time.Now()
	id := f.put(t, edeliverytest.Message{Subject: "Zawiadomienie", Type: "Stub", Status: "Czeka na doręczenie", Timestamp: at, DaysToReceive: 9})
	c := f.channel(t)
	round(t, c)
	if len(f.memory.told()) != 0 || len(f.memory.all()) != 0 {
		t.Fatal("a notice was taken for a letter, or a clerk was told at once")
	}
	f.Change(ade, id, func(m *edeliverytest.Message) { m.Timestamp = at.Add(-2 * time.Hour) })
	rounds(t, c, "a clerk is told", func() bool { return len(f.memory.told()) == 1 })
	if note := f.memory.told()[0]; !strings.Contains(note, "Dni do uznania za doręczoną: 9") {
		t.Errorf("note %q", note)
	}
	f.Change(ade, id, func(m *edeliverytest.Message) {
		m.Type, m.Status, m.Receipt, m.Text = "Message", "Doręczona", at, "treść"
	})
	rounds(t, c, "the letter is taken", func() bool { return len(f.memory.all()) == 1 })
	if r := reading(t, f.memory.all()[0]); r.Text != "treść" {
		t.Errorf("text %q", r.Text)
	}
}

// A failing receiver stops the round and loses nothing.
func TestStoreAway(t *testing.T) {
	f := newOffice(t, edeliverytest.Options{})
	f.put(t, edeliverytest.Message{})
	away := true
	f.memory.fail = func() error {
		if away {
			return errors.New("disk full")
		}
		return nil
	}
	c := f.channel(t)
	if _, err := c.round(t.Context()); codeOf(err) != codeStore {
		t.Errorf("code %q", codeOf(err))
	}
	away = false
	round(t, c)
	if len(f.memory.all()) != 1 {
		t.Error("not taken")
	}
}

// Deleting: only what is kept here as it lies there, through the TRASH.
func TestDelete(t *testing.T) {
	f := newOffice(t, edeliverytest.Options{})
	f.options.Account.After = configs.AfterDelete
	id := f.put(t, edeliverytest.Message{Subject: "pierwsze"})
	c := f.channel(t)
	round(t, c)
	if _, there := f.Message(ade, id); there || len(f.memory.all()) != 1 {
		t.Fatal("not taken and deleted")
	}
	// The same id with other content: what is there is not what we keep.
	f.put(t, edeliverytest.Message{ID: id, Subject: "podmienione"})
	for range 3 {
		round(t, c)
	}
	if m, there := f.Message(ade, id); !there || m.Label != "INBOX" {
		t.Error("a message that differs from ours was deleted")
	}
	if len(f.memory.all()) != 1 {
		t.Error("it became a second submission")
	}
	c.status.set(codeOK)
	if h := c.Health(); h.Code != string(codeConfirm) {
		t.Errorf("health %+v", h)
	}
}

// Moving without the right to: letters come in all the same, and somebody is told.
func TestMoveRefused(t *testing.T) {
	f := newOffice(t, edeliverytest.Options{Scopes: []string{"read_messages", "read_settings"}})
	f.options.Account.After = configs.AfterMove
	f.put(t, edeliverytest.Message{})
	f.put(t, edeliverytest.Message{})
	c := f.channel(t)
	rounds(t, c, "both are taken", func() bool { return len(f.memory.all()) == 2 })
	if h := c.Health(); !h.OK || h.Code != string(codeConfirm) || h.Waiting != 0 {
		t.Errorf("health %+v", h)
	}
}

// Nothing in the mailbox is changed by default, and known messages are not
// fetched again, also by a new process.
func TestKeep(t *testing.T) {
	f := newOffice(t, edeliverytest.Options{})
	for range 7 {
		f.put(t, edeliverytest.Message{})
	}
	c := f.channel(t)
	round(t, c)
	again := f.channel(t)
	round(t, again)
	round(t, again)
	if f.memory.takes != 7 || len(f.Held(ade, "INBOX")) != 7 {
		t.Errorf("%d takes, %d left in INBOX", f.memory.takes, len(f.Held(ade, "INBOX")))
	}
	for _, op := range []string{"patch /{eDeliveryAddress}/messages/{messageId}/message_control_data", "delete /{eDeliveryAddress}/messages/{messageId}"} {
		if n := f.Count(op); n != 0 {
			t.Errorf("%s: %d times", op, n)
		}
	}
}

// A large attachment is streamed.
func TestLargeAttachmentIsStreamed(t *testing.T) {
	f := newOffice(t, edeliverytest.Options{})
	const size = 24 << 20
	f.put(t, edeliverytest.Message{Attachments: []edeliverytest.Attachment{{
		Name: "film.mp4", Size: size, Stream: func() io.Reader { return io.LimitReader(zeros{}, size) },
	}}})
	house := &discarding{}
	f.options.Receiver = house
	round(t, f.channel(t))
	if house.size < size || house.largest > 1<<20 {
		t.Errorf("%d octets came, at most %d at once", house.size, house.largest)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// discarding is a receiver that keeps nothing.
type discarding struct {
	memory
	size, largest int
}

func (d *discarding) Take(_ context.Context, v sekretariat.Delivery, body io.Reader) (ingest.Ticket, error) {
	buf := make([]byte, 4<<20)
	for {
		n, err := body.Read(buf)
		d.size += n
		d.largest = max(d.largest, n)
		if err == io.EOF {
			return &ticket{&d.memory, v, nil}, nil
		}
		if err != nil {
			return nil, err
		}
	}
}
