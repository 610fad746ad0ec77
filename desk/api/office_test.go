package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/desk/api"
	"sekretariat/extract"
	"sekretariat/ingest"
	"sekretariat/ingest/ingesttest"
	"sekretariat/ledger"
	"sekretariat/pipeline"
	"sekretariat/register"
	"sekretariat/router"
	"sekretariat/storage"
)

// office is a centre behind its API: receiver, registrar and pipeline over a
// real ledger and store.
type office struct {
	t      *testing.T
	house  *ingesttest.House
	cfg    *configs.Centre
	log    ledger.Log
	intake *ingest.Intake
	pipe   *pipeline.Pipeline
	tokens *api.Tokens
	server *httptest.Server

	mu   sync.Mutex
	late time.Duration // how far the clock of the tokens is ahead
}

func (o *office) now() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return time.Now().UTC().Truncate(time.Millisecond).Add(o.late)
}

// open makes the office; letters are worked on once run was called.
func open(t *testing.T) *office {
	t.Helper()
	h := ingesttest.NewHouse(t)
	o := &office{t: t, house: h, intake: h.Receiver(t, ingest.Limits{}), cfg: &configs.Centre{
		ID: h.Centre(t), Series: []configs.Series{{ID: "rpw", Format: "KP-{n}-{year}"}}, Labels: map[string]configs.To{"bezdomnosc": {Department: "bezdomnosc", Copies: []sekretariat.DepartmentID{"kasa"}}}, RuleSets: []string{},
		Rules: []configs.Rule{
			{ID: "bicie", Text: []string{"bije"}, Department: "przemoc", Weight: 0.9, Because: "mowa o biciu"},
			{ID: "nocleg", Text: []string{"nocleg"}, Label: "bezdomnosc", Weight: 0.9, Because: "mowa o noclegu"},
		},
	}}
	for _, d := range []sekretariat.DepartmentID{"sekretariat", "przemoc", "bezdomnosc", "kasa"} {
		o.cfg.Departments = append(o.cfg.Departments, configs.Department{ID: d, Name: string(d), Closed: d == "przemoc"})
	}
	var err error
	if o.log, err = h.Log(o.cfg.ID); err != nil {
		t.Fatal(err)
	}
	r, err := router.New(o.cfg)
	if err != nil {
		t.Fatal(err)
	}
	o.pipe = pipeline.New(pipeline.Options{
		Centre: o.cfg, Log: o.log, Vault: h.Vault, Claims: h.Ledger, Reader: extract.Direct{Temp: t.TempDir()}, Router: r, Logger: zerolog.Nop(),
	})
	o.tokens = api.NewTokens(h.Store, o.now)
	o.server = httptest.NewServer(api.New(api.Options{
		Centres: map[sekretariat.CentreID]api.Centre{o.cfg.ID: {Pipeline: o.pipe, Log: o.log, Vault: h.Vault, Explain: r.Explain, Print: o.cfg.Print, Config: o.cfg}},
		Tokens:  o.tokens, Clock: o.now, Logger: zerolog.Nop(),
	}))
	t.Cleanup(o.server.Close)
	return o
}

func (o *office) run() {
	ctx, cancel := context.WithCancel(context.Background())
	reg := register.NewRegistrar(register.Options{Centre: o.cfg.ID, Series: "rpw", Log: o.log, Store: o.house.Store, Logger: zerolog.Nop()})
	var wg sync.WaitGroup
	wg.Go(func() { _ = reg.Run(ctx) })
	wg.Go(func() {
		if err := o.pipe.Run(ctx, pipeline.AllRoles); err != nil {
			o.t.Errorf("pipeline: %v", err)
		}
	})
	o.t.Cleanup(func() { cancel(); wg.Wait() })
}

// mail takes in one mail with a text and an attachment.
func (o *office) mail(text string) sekretariat.LetterID {
	o.t.Helper()
	raw := "From: Jan <a@poczta.example>\r\nSubject: Sprawa\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" +
		"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" + text + "\r\n" +
		"--b\r\nContent-Type: text/html\r\nContent-Disposition: attachment; filename=\"../../zły plik.html\"\r\n\r\n<script>alert(1)</script>\r\n--b--\r\n"
	ticket, err := o.intake.Take(o.t.Context(), sekretariat.Delivery{
		Centre: o.cfg.ID, Kind: sekretariat.KindMail, Door: sekretariat.DoorIMAP, Account: "poczta",
		Identity:  func(b sekretariat.BodyFacts) []string { return []string{string(b.SHA256)} },
		Arrived:   sekretariat.Arrival{At: time.Date(2026, 3, 1, 23, 30, 0, 0, time.UTC), Basis: sekretariat.BasisServerArrival},
		MediaType: "message/rfc822",
	}, strings.NewReader(raw))
	if err != nil {
		o.t.Fatal(err)
	}
	r, err := ticket.Wait(o.t.Context())
	if err != nil {
		o.t.Fatal(err)
	}
	return sekretariat.NewLetterID(r.Submission, 1)
}

// routed takes in a mail and waits until it is with its department.
func (o *office) routed(text string) sekretariat.LetterID {
	o.t.Helper()
	id := o.mail(text)
	o.await(id, func(l *sekretariat.Letter) bool { return l.Revision > 0 })
	return id
}

func (o *office) await(id sekretariat.LetterID, ok func(*sekretariat.Letter) bool) {
	o.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		s, _, err := pipeline.State(o.t.Context(), o.log, id.Submission())
		if err == nil && s.Letters[id.Part()] != nil && ok(s.Letters[id.Part()]) {
			return
		}
		if time.Now().After(deadline) {
			o.t.Fatalf("waited in vain for letter %s: %v", id, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (o *office) token(scopes ...string) string {
	o.t.Helper()
	plain, _, err := o.tokens.Create(o.t.Context(), o.cfg.ID, scopes, time.Hour, "")
	if err != nil {
		o.t.Fatal(err)
	}
	return plain
}

func (o *office) department(d sekretariat.DepartmentID) string {
	o.t.Helper()
	return o.token(api.DepartmentScope(d))
}

// request asks the API; header is "Name: value" lines.
func (o *office) request(method, path, token, body string, header ...string) (*http.Response, string) {
	o.t.Helper()
	req, err := http.NewRequest(method, o.server.URL+path, strings.NewReader(body))
	if err != nil {
		o.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for _, h := range header {
		k, v, _ := strings.Cut(h, ": ")
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		o.t.Fatal(err)
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		o.t.Fatal(err)
	}
	return resp, string(out)
}

func (o *office) get(path, token string) (int, string) {
	o.t.Helper()
	resp, body := o.request("GET", path, token, "")
	return resp.StatusCode, body
}

func (o *office) letter(id sekretariat.LetterID, token string) (l api.Letter) {
	o.t.Helper()
	code, body := o.get(path(id, ""), token)
	if code != http.StatusOK {
		o.t.Fatalf("letter: HTTP %d %s", code, body)
	}
	d := json.NewDecoder(strings.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil {
		o.t.Fatal(err)
	}
	return l
}

func path(id sekretariat.LetterID, what string) string { return "/api/v1/letters/" + string(id) + what }

// audit lists the audit trail as "principal action letter allowed".
func (o *office) audit() []string {
	o.t.Helper()
	var out []string
	err := o.log.Replay(o.t.Context(), ledger.Audit, 1, func(s ledger.Stored) error {
		d, err := sekretariat.DataOf[sekretariat.AccessData](s.Event)
		if s.Event.Type == sekretariat.EventAccess {
			out = append(out, fmt.Sprintf("%s %s %s %v", d.Principal, d.Action, d.Letter, d.Allowed))
		}
		return err
	})
	if err != nil {
		o.t.Fatal(err)
	}
	return out
}

// everything returns all stored objects, to look for what must not be there.
func (o *office) everything() []byte {
	o.t.Helper()
	var all bytes.Buffer
	err := o.house.Store.List(o.t.Context(), "c/", func(i storage.Info) error {
		obj, err := o.house.Store.Get(o.t.Context(), i.Key)
		if err != nil {
			return err
		}
		defer obj.Close()
		all.WriteString(i.Key + "\n")
		_, err = io.Copy(&all, io.NewSectionReader(obj, 0, obj.Size()))
		return err
	})
	if err != nil {
		o.t.Fatal(err)
	}
	return all.Bytes()
}
