package dropbox_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"sekretariat"
	"sekretariat/ingest"
	"sekretariat/ingest/dropbox"
	"sekretariat/ingest/ingesttest"
)

// waiting is a receiver whose tickets wait for a release.
type waiting struct {
	ingest.Receiver
	reached, release chan struct{}
}

func (w *waiting) Take(ctx context.Context, d sekretariat.Delivery, body io.Reader) (ingest.Ticket, error) {
	t, err := w.Receiver.Take(ctx, d, body)
	return &waitingTicket{t, w}, err
}

type waitingTicket struct {
	ingest.Ticket
	w *waiting
}

func (t *waitingTicket) Wait(ctx context.Context) (sekretariat.Receipt, error) {
	t.w.reached <- struct{}{}
	select {
	case <-t.w.release:
		return t.Ticket.Wait(ctx)
	case <-ctx.Done():
		return sekretariat.Receipt{}, ctx.Err()
	}
}

// The answer comes when the delivery is durable, however long that takes, and
// not before. The deadline of the body does not end the wait.
func TestAnswerWaits(t *testing.T) {
	w := &waiting{reached: make(chan struct{}, 1), release: make(chan struct{})}
	const stall = 50 * time.Millisecond
	d := openDoor(t, ingest.Limits{}, func(o *dropbox.UploadOptions) {
		w.Receiver, o.Receiver, o.Stall = o.Receiver, w, stall
	})
	answer := make(chan reply, 1)
	go func() { answer <- d.send("PUT", "/boxes/wejscie/x", bytes.NewReader(pdf("x"))) }()
	<-w.reached
	select {
	case r := <-answer:
		t.Errorf("answered before it was durable: %+v", r)
	case <-time.After(4 * stall): // longer than the body's deadline
	}
	close(w.release)
	if r := <-answer; r.status != 201 {
		t.Errorf("answer %+v", r)
	}
}

// What does not become durable in time is not confirmed, and the client is
// asked to come again.
func TestNotDurableInTime(t *testing.T) {
	w := &waiting{reached: make(chan struct{}, 1), release: make(chan struct{})}
	d := openDoor(t, ingest.Limits{}, func(o *dropbox.UploadOptions) {
		w.Receiver, o.Receiver, o.Durable = o.Receiver, w, 20*time.Millisecond
	})
	if r := d.send("PUT", "/boxes/wejscie/x", bytes.NewReader(pdf("x"))); r.status != 503 || r.header.Get("Retry-After") == "" {
		t.Errorf("answer %+v", r)
	}
	<-w.reached
	close(w.release)
	r := d.send("PUT", "/boxes/wejscie/x", bytes.NewReader(pdf("x")))
	for end := time.Now().Add(time.Minute); r.status == 503 && time.Now().Before(end); { // on a busy machine it is late again
		r = d.send("PUT", "/boxes/wejscie/x", bytes.NewReader(pdf("x")))
	}
	if r.status/100 != 2 {
		t.Errorf("second try %+v", r)
	}
	if n := d.kept(); n != 1 {
		t.Errorf("%d submissions", n)
	}
}

// A client that stands still is sent away and frees its place.
func TestStall(t *testing.T) {
	d := openDoor(t, ingest.Limits{}, func(o *dropbox.UploadOptions) { o.Parallel, o.Stall = 1, 100*time.Millisecond })
	body, feed := io.Pipe()
	defer feed.Close()
	answer := make(chan reply, 1)
	go func() { answer <- d.send("PUT", "/boxes/wejscie/slow", body) }()
	if _, err := feed.Write([]byte("%PDF-1.4 and then nothing")); err != nil {
		t.Fatal(err)
	}
	if r := <-answer; r.status != http.StatusRequestTimeout {
		t.Errorf("answer %+v", r)
	}
	if r := d.send("PUT", "/boxes/wejscie/x", bytes.NewReader(pdf("x"))); r.status != 201 {
		t.Errorf("the next one: %+v", r)
	}
	if n := d.kept(); n != 1 {
		t.Errorf("%d submissions", n)
	}
}

// While all places are taken, others wait; when they waited too long they are
// told to come again.
func TestPlaces(t *testing.T) {
	d := openDoor(t, ingest.Limits{}, func(o *dropbox.UploadOptions) { o.Parallel, o.Stall = 1, 300*time.Millisecond })
	body, feed := io.Pipe()
	first := make(chan reply, 1)
	go func() { first <- d.send("PUT", "/boxes/wejscie/slow", body) }()
	until(t, func() bool { return d.intake.Counters().InFlight == 1 }) // the one place is taken
	// A client that keeps coming, slowly: it may stay as long as it likes.
	stop := make(chan struct{})
	go func() {
		defer feed.Close()
		for {
			select {
			case <-stop:
				return
			default:
				if _, err := feed.Write(make([]byte, 70<<10)); err != nil {
					t.Error(err)
					return
				}
				time.Sleep(20 * time.Millisecond) // the pace of the slow client
			}
		}
	}()
	if r := d.send("PUT", "/boxes/wejscie/x", bytes.NewReader(pdf("x"))); r.status != 503 {
		t.Errorf("second: %+v", r)
	}
	close(stop)
	if r := <-first; r.status != 201 {
		t.Errorf("first: %+v", r)
	}
	if r := d.send("PUT", "/boxes/wejscie/x", bytes.NewReader(pdf("x"))); r.status != 201 {
		t.Errorf("third: %+v", r)
	}
}

func until(t testing.TB, ok func() bool) {
	t.Helper()
	deadline := time.After(ingesttest.Patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("condition not reached")
		}
	}
}

// zeros is a long body that waits in its middle.
type zeros struct {
	left    int
	half    int
	reached chan struct{}
	release chan struct{}
}

func (z *zeros) Read(p []byte) (int, error) {
	if z.left == 0 {
		return 0, io.EOF
	}
	if z.left <= z.half && z.reached != nil {
		close(z.reached)
		z.reached = nil
		<-z.release
	}
	n := min(len(p), z.left)
	clear(p[:n])
	z.left -= n
	return n, nil
}

// Others keep flowing during an upload of 300 MB.
func TestHugeUpload(t *testing.T) {
	d := openDoor(t, ingest.Limits{}, nil)
	const size = 300 << 20
	z := &zeros{left: size, half: size / 2, reached: make(chan struct{}), release: make(chan struct{})}
	reached := z.reached
	huge := make(chan reply, 1)
	go func() { huge <- d.send("PUT", "/boxes/wejscie/huge", z) }()
	<-reached
	for i := range 50 {
		if r := d.send("PUT", "/boxes/wejscie/small", bytes.NewReader(pdf(strings.Repeat("s", i)))); r.status != 201 {
			t.Fatalf("small upload during a huge one: %+v", r)
		}
	}
	close(z.release)
	if r := <-huge; r.status != 201 {
		t.Errorf("huge: %+v", r)
	}
	if n := d.intake.Counters(); n.Taken != 51 || n.Octets < size {
		t.Errorf("counters %+v", n)
	}
}

func TestNewUploadRefuses(t *testing.T) {
	d := openDoor(t, ingest.Limits{}, nil)
	for name, spoil := range map[string]func(*dropbox.UploadOptions){
		"receiver": func(o *dropbox.UploadOptions) { o.Receiver = nil }, "store": func(o *dropbox.UploadOptions) { o.Store = nil },
		"authorizer": func(o *dropbox.UploadOptions) { o.Authorizer = nil }, "boxes": func(o *dropbox.UploadOptions) { o.Box = nil },
		"key": func(o *dropbox.UploadOptions) { o.IdempotencyKey = []byte("short") },
	} {
		o := d.options
		spoil(&o)
		if _, err := dropbox.NewUpload(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
