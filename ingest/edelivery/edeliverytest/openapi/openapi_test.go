// Package openapi checks with a library that is not ours (kin-openapi) that
// requests of the client and answers of the simulator are what the contract
// says. It is a module of its own, so that nobody else needs the library.
package openapi

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/ingest"
	"sekretariat/ingest/edelivery"
	"sekretariat/ingest/edelivery/edeliverytest"
)

const ade = "AE:PL-00000-00013-AAAAA-06"

// contractFile is ours, or the official one where there is a copy.
func contractFile() string {
	if name := os.Getenv("SEKRETARIAT_UAAPI"); name != "" {
		return name
	}
	return "../uaapi.yaml"
}

// TestContract lets the channel do everything that it can do and judges what
// passes between it and the simulator.
func TestContract(t *testing.T) {
	loader := openapi3.NewLoader()
	doc, err := loader.LoadFromFile(contractFile())
	if err != nil {
		t.Fatal(err)
	}
	doc.Servers = openapi3.Servers{{URL: "/api/v3"}}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	p, err := edeliverytest.New(edeliverytest.Options{Delay: 1})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	seen := map[string]int{}
	var front *httptest.Server
	front = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/api/") {
			p.ServeHTTP(w, r)
			return
		}
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		route, params, err := router.FindRoute(r)
		if err != nil {
			t.Errorf("%s %s: %v", r.Method, r.URL.Path, err)
			return
		}
		in := &openapi3filter.RequestValidationInput{
			Request: r, PathParams: params, Route: route,
			Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, MultiError: true, IncludeResponseStatus: true, SkipSettingDefaults: true},
		}
		if err := openapi3filter.ValidateRequest(context.Background(), in); err != nil {
			t.Errorf("request %s %s: %v", r.Method, r.URL.Path, err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		rec := httptest.NewRecorder()
		p.ServeHTTP(rec, r)
		if rec.Header().Get("Content-Type") == "application/json" {
			out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: rec.Code, Header: rec.Header(), Options: in.Options}
			out.SetBodyBytes(rec.Body.Bytes())
			if err := openapi3filter.ValidateResponse(context.Background(), out); err != nil {
				t.Errorf("answer to %s %s: %v", r.Method, r.URL.Path, err)
			}
		}
		mu.Lock()
		seen[r.Method+" "+route.Path]++
		mu.Unlock()
		for k, v := range rec.Header() {
			w.Header()[k] = v
		}
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes())
	}))
	defer front.Close()
	p.Base(front.URL)
	scenario(t, p)
	r := &keeping{}
	c := channel(t, p, front.URL, r)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	for r.count() < 4 || len(p.Held(ade, "INBOX", "TRASH")) > 0 || p.Callback(ade) == "" {
		if ctx.Err() != nil {
			t.Fatalf("%d taken, %v left: %+v", r.count(), p.Held(ade, "INBOX", "TRASH"), c.Health())
		}
		time.Sleep(5 * time.Millisecond)
	}
	c.Check(ctx)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, op := range []string{
		"GET /{eDeliveryAddress}/messages", "GET /{eDeliveryAddress}/messages/{messageId}", "DELETE /{eDeliveryAddress}/messages/{messageId}",
		"PATCH /{eDeliveryAddress}/messages/{messageId}/message_control_data", "GET /{eDeliveryAddress}/threads/{threadId}",
		"PUT /{eDeliveryAddress}/message_subscriptions", "GET /{eDeliveryAddress}/directories", "POST /{eDeliveryAddress}/attachments/download",
		"GET /{eDeliveryAddress}/messages/{messageId}/evidences", "GET /{eDeliveryAddress}/evidences/{messageType}/{evidenceId}",
		"GET /{eDeliveryAddress}/evidences/puhepo/{messageId}", "GET /{eDeliveryAddress}/evidences/{messageId}/technical-evidences-file",
		"GET /{eDeliveryAddress}/messages/{messageId}/message-archive-file", "GET /{eDeliveryAddress}/settings",
	} {
		if seen[op] == 0 {
			t.Errorf("%s was never asked for", op)
		}
	}
	if w := p.Wrong(); len(w) > 0 {
		t.Errorf("our own judge: %q", w)
	}
}

// scenario lays in what makes the channel use every operation.
func scenario(t *testing.T, p *edeliverytest.Platform) {
	t.Helper()
	p.AddMailbox(ade, "Ośrodek Pomocy Społecznej w Testowie", "SADY")
	at := time.Now().Add(-time.Hour)
	sender := edeliverytest.Party{ADE: "AE:PL-00000-00014-AAAAA-05", FirstName: "Anna", LastName: "Testowa", City: "Testowo", Street: "Prosta", Postcode: "00-001"}
	for _, m := range []edeliverytest.Message{
		{ID: "1", Subject: "Wniosek", Text: "treść", From: sender, Timestamp: at, Receipt: at, Sent: at, Event: at, Attachments: []edeliverytest.Attachment{{Name: "a.txt", Type: "text/plain", Content: []byte("a")}}},
		{ID: "2", Subject: "Odpowiedź", From: sender, ThreadID: "s1", RefTo: "nie-ma", Timestamp: at, Receipt: at},
		{ID: "s1", Label: "SENT", Subject: "Decyzja", Status: "Doręczona", To: []edeliverytest.Party{sender}, Timestamp: at, Sent: at, Receipt: at, Evidences: []edeliverytest.Evidence{{Type: "BPOX", Created: at, Content: []byte("<x/>")}}},
		{ID: "s2", Label: "SENT", Subject: "Hybrydowa", Hybrid: true, Status: "Niedoręczona", To: []edeliverytest.Party{sender}, Timestamp: at, Sent: at,
			Evidences: []edeliverytest.Evidence{{Type: "H.EPO", Created: at, Content: []byte("<epo/>")}, {Type: "HPN", Created: at, Content: []byte("<pn/>")}}},
	} {
		if _, err := p.Put(ade, m); err != nil {
			t.Fatal(err)
		}
	}
}

func channel(t *testing.T, p *edeliverytest.Platform, base string, r ingest.Receiver) *edelivery.Channel {
	t.Helper()
	keys, err := edeliverytest.NewPair("rsa", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	p.Register(ade, "SEKRETARIAT", keys.Parsed)
	t.Setenv("SEKRETARIAT_TEST_SECRET", "0123456789abcdef01234567")
	realm := base + "/auth/realms/EDOR"
	c, err := edelivery.New(edelivery.Options{
		Centre: "testowo", Receiver: r, Cursors: none{}, Certificate: keys.Cert, Key: keys.Key, Logger: zerolog.Nop(),
		Account: configs.EDelivery{
			Account: configs.Account{ID: "ade"}, Address: ade, System: "SEKRETARIAT", ClientID: ade + ".SYSTEM.SEKRETARIAT", URL: base + "/api/v3",
			TokenURL: realm + "/protocol/openid-connect/token", Audience: realm, Poll: 20 * time.Millisecond, Window: 48 * time.Hour, Full: "02:30",
			After: configs.AfterDelete, MovePath: edeliverytest.MovePath, SentDays: 60, Technical: true,
			Callback: "https://ops.example", CallbackSecret: configs.Secret{Env: "SEKRETARIAT_TEST_SECRET"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// none keeps no cursors.
type none struct{}

func (none) Cursor(context.Context, string) ([]byte, uint64, error) { return nil, 0, nil }
func (none) SetCursor(context.Context, string, []byte) error        { return nil }

// keeping is a receiver that counts what it takes.
type keeping struct {
	mu  sync.Mutex
	ids map[sekretariat.SubmissionID]sekretariat.Digest
}

func (k *keeping) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.ids)
}

func (k *keeping) Take(_ context.Context, d sekretariat.Delivery, body io.Reader) (ingest.Ticket, error) {
	raw, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	f := sekretariat.BodyFacts{SHA256: sekretariat.DigestOf(raw), Size: int64(len(raw))}
	return &kept{k, sekretariat.NewSubmissionID(d.Centre, d.Kind, d.Account, d.Identity(f)...), f.SHA256}, nil
}

type kept struct {
	k      *keeping
	id     sekretariat.SubmissionID
	digest sekretariat.Digest
}

func (t *kept) Wait(context.Context) (sekretariat.Receipt, error) {
	t.k.mu.Lock()
	defer t.k.mu.Unlock()
	if t.k.ids == nil {
		t.k.ids = map[sekretariat.SubmissionID]sekretariat.Digest{}
	}
	first, repeat := t.k.ids[t.id]
	if !repeat {
		first = t.digest
		t.k.ids[t.id] = first
	}
	return sekretariat.Receipt{Submission: t.id, Repeat: repeat, Original: first}, nil
}

func (k *keeping) Seen(context.Context, sekretariat.CentreID, sekretariat.SeenData) error { return nil }

func (k *keeping) Park(context.Context, sekretariat.Delivery, sekretariat.ParkReason, string) (sekretariat.Receipt, error) {
	return sekretariat.Receipt{}, nil
}
