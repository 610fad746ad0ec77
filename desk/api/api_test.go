package api_test

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"sekretariat"
	"sekretariat/desk/api"
	"sekretariat/ledger"
	"sekretariat/pipeline"
)

// views are all ways to look at a letter.
var views = []string{"", "/original", "/reading", "/parts/1", "/parts/2"}

// A letter is open to its department, to those who have a copy and, unless it
// is closed, to the sekretariat. To all others it does not exist.
func TestWhoSeesWhat(t *testing.T) {
	o := open(t)
	o.run()
	closed, open := o.routed("mąż mnie bije"), o.routed("szukam noclegu")
	missing := sekretariat.NewLetterID(closed.Submission(), 2)
	stranger := sekretariat.NewLetterID(sekretariat.SubmissionID(strings.Repeat("0", 64)), 1)
	_, notFound := o.get(path(stranger, ""), o.department("przemoc"))
	for name, c := range map[string]struct {
		token        string
		closed, open int
	}{
		"the closed department": {o.department("przemoc"), 200, 404},
		"the open department":   {o.department("bezdomnosc"), 404, 200},
		"who has a copy":        {o.department("kasa"), 404, 200},
		"the sekretariat":       {o.token(api.ScopeRegister), 404, 200}, // rule P5
		"a department's name":   {o.department("sekretariat"), 404, 404},
		"a scanner":             {o.token(api.BoxScope("skrzynka")), 404, 404},
		"nobody":                {"", 401, 401},
		"nonsense":              {"sek1." + string(o.cfg.ID) + ".AAAA", 401, 401},
		"another centre":        {"sek1.inne.AAAA", 401, 401},
	} {
		none := http.StatusNotFound
		if c.open == http.StatusUnauthorized {
			none = c.open
		}
		for _, view := range views {
			for id, want := range map[sekretariat.LetterID]int{closed: c.closed, open: c.open, missing: none, stranger: none, "x": none} {
				code, body := o.get(path(id, view), c.token)
				if code != want {
					t.Errorf("%s, %.6s%s: HTTP %d, want %d", name, id, view, code, want)
				}
				if code == 404 && body != notFound {
					t.Errorf("%s, %.6s%s: %q differs from the answer for a missing letter", name, id, view, body)
				}
			}
		}
	}
}

func TestLetterTellsWhatADepartmentNeeds(t *testing.T) {
	o := open(t)
	o.run()
	id := o.routed("szukam noclegu")
	token := o.department("bezdomnosc")
	l := o.letter(id, token)
	if l.ID != id || l.Identifier != l.Number.Identifier() || l.Printed != fmt.Sprintf("KP-1-%d", l.Number.Year) || l.Department != "bezdomnosc" ||
		l.Day != "2026-03-02" || l.Subject != "Sprawa" || l.Sender == nil || l.Sender.Email != "a@poczta.example" || l.Original.Key != "" ||
		!strings.Contains(l.Why, "mowa o noclegu") || l.Status != sekretariat.StatusRouted {
		t.Errorf("letter %+v", l)
	}
	resp, whole := o.request("GET", path(id, "/original"), token, "")
	if int64(len(whole)) != l.Original.Size || resp.Header.Get("ETag") != fmt.Sprintf("%q", l.Original.SHA256) || sekretariat.DigestOf([]byte(whole)) != l.Original.SHA256 {
		t.Errorf("original has %d octets, ETag %s", len(whole), resp.Header.Get("ETag"))
	}
	if resp, part := o.request("GET", path(id, "/original"), token, "", "Range: bytes=6-8"); resp.StatusCode != http.StatusPartialContent || part != whole[6:9] {
		t.Errorf("a range: HTTP %d %q", resp.StatusCode, part)
	}
	html := slices.IndexFunc(l.Parts, func(p api.Part) bool { return strings.Contains(p.Name, "html") })
	if html < 0 {
		t.Fatalf("parts %+v", l.Parts)
	}
	resp, body := o.request("GET", path(id, "/parts/"+l.Parts[html].Path), token, "")
	_, params, err := mime.ParseMediaType(resp.Header.Get("Content-Disposition"))
	if err != nil || strings.ContainsAny(params["filename"], `/\`) || !strings.Contains(body, "alert(1)") {
		t.Errorf("part %q as %q, %v", body, resp.Header.Get("Content-Disposition"), err)
	}
	for name, want := range map[string]string{"Content-Type": "application/octet-stream", "X-Content-Type-Options": "nosniff",
		"Cache-Control": "no-store", "Content-Security-Policy": "default-src 'none'; sandbox"} {
		if got := resp.Header.Get(name); got != want { // nothing of a letter runs in a browser
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if code, _ := o.get(path(id, "/parts/7.7"), token); code != http.StatusNotFound {
		t.Errorf("a part that is not there: HTTP %d", code)
	}
}

// A re-routing ends the former department's access at once, and who had opened
// the letter stays on record (rule P4).
func TestRecall(t *testing.T) {
	o := open(t)
	o.run()
	id := o.routed("szukam noclegu")
	former, next, clerk := o.department("bezdomnosc"), o.department("przemoc"), o.token(api.ScopeRegister)
	if code, _ := o.get(path(id, "/original"), former); code != 200 {
		t.Fatalf("HTTP %d", code)
	}
	resp, body := o.request("POST", path(id, "/reroute"), clerk, `{"revision":1,"department":"przemoc","reason":"to jednak przemoc"}`)
	if resp.StatusCode != http.StatusNoContent {
		t.Fatalf("re-route: HTTP %d %s", resp.StatusCode, body)
	}
	for _, view := range views {
		for name, token := range map[string]string{"the former department": former, "who had a copy": o.department("kasa"), "the sekretariat": clerk} {
			if code, _ := o.get(path(id, view), token); code != http.StatusNotFound {
				t.Errorf("%s gets HTTP %d for %q", name, code, view)
			}
		}
	}
	if code, _ := o.get(path(id, "/original"), next); code != 200 {
		t.Errorf("the new department: HTTP %d", code)
	}
	trail := o.audit()
	list, err := o.tokens.List(t.Context(), o.cfg.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, tok := range list {
		who := "token:" + tok.ID
		switch tok.Scopes[0] {
		case api.DepartmentScope("bezdomnosc"):
			for _, want := range []string{"original " + string(id) + " true", "original " + string(id) + " false"} {
				if !slices.Contains(trail, who+" "+want) {
					t.Errorf("the trail lacks %q: %q", want, trail)
				}
			}
		case api.ScopeRegister:
			if !slices.Contains(trail, who+" reroute "+string(id)+" true") {
				t.Errorf("the trail lacks the re-routing: %q", trail)
			}
		}
	}
	if bytes.Contains(o.everything(), []byte("to jednak przemoc")) {
		t.Error("the words of a person lie unsealed in the store")
	}
}

func TestCommands(t *testing.T) {
	o := open(t)
	o.run()
	id := o.routed("szukam noclegu")
	owner, copied, clerk := o.department("bezdomnosc"), o.department("kasa"), o.token(api.ScopeRegister)
	for _, c := range []struct {
		name, what, token, body string
		want                    int
	}{
		{"no body", "taken", owner, ``, 400},
		{"no JSON", "taken", owner, `revision=1`, 400},
		{"an unknown field", "taken", owner, `{"revision":1,"force":true}`, 400},
		{"too long", "handed-back", owner, `{"revision":1,"reason":"` + strings.Repeat("x", 1<<17) + `"}`, 400},
		{"an old revision", "taken", owner, `{"revision":2}`, 409},
		{"a copy is for information", "taken", copied, `{"revision":1}`, 403},
		{"a copy is not sent on", "handed-back", copied, `{"revision":1,"reason":"x"}`, 403},
		{"a department sends on", "reroute", owner, `{"revision":1,"department":"przemoc","reason":"x"}`, 403},
		{"no reason", "reroute", clerk, `{"revision":1,"department":"przemoc"}`, 400},
		{"no such department", "reroute", clerk, `{"revision":1,"department":"nie-ma","reason":"x"}`, 400},
		{"nobody", "taken", "", `{"revision":1}`, 401},
		{"a scanner", "taken", o.token(api.BoxScope("skrzynka")), `{"revision":1}`, 404},
		{"taken", "taken", owner, `{"revision":1}`, 204},
		{"taken twice", "taken", owner, `{"revision":1}`, 204},
		{"handed back", "handed-back", owner, `{"revision":1,"reason":"nie nasze"}`, 204},
		{"done, when it is gone", "done", owner, `{"revision":1}`, 404},
	} {
		resp, body := o.request("POST", path(id, "/"+c.what), c.token, c.body)
		if resp.StatusCode != c.want {
			t.Errorf("%s: HTTP %d %s, want %d", c.name, resp.StatusCode, body, c.want)
		}
	}
	if l := o.letter(id, clerk); l.Department != sekretariat.Sekretariat || l.Revision != 2 || l.Status != sekretariat.StatusRouted {
		t.Errorf("letter %+v", l)
	}
	if resp, _ := o.request("DELETE", path(id, ""), clerk, ""); resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("DELETE: HTTP %d", resp.StatusCode)
	}
}

// What is not read yet says so; what the store has lost is told apart from what
// never was, and the rest of the letter is shown.
func TestUnreadAndLost(t *testing.T) {
	o := open(t)
	id := o.mail("szukam noclegu")
	clerk := o.token(api.ScopeRegister)
	err := o.log.Replay(t.Context(), ledger.Intake, 1, func(s ledger.Stored) error {
		a, err := sekretariat.DataOf[sekretariat.ArrivedData](s.Event)
		if err != nil {
			return err
		}
		letters := []sekretariat.SortedLetter{{Part: 1, Series: "rpw", Action: sekretariat.ActionRegister}}
		e, err := sekretariat.NewEvent(sekretariat.EventSorted, o.cfg.ID, "test", s.Subject, 0, time.Now(), sekretariat.SortedData{Arrived: a, Letters: letters})
		if err == nil {
			_, err = o.log.Append(t.Context(), ledger.Letter, ledger.Record{Subject: s.Subject, Event: e})
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if code, _ := o.get(path(id, "/reading"), clerk); code != http.StatusTooEarly {
		t.Errorf("reading before it was read: HTTP %d", code)
	}
	if l := o.letter(id, clerk); l.Subject != "" || l.Status != sekretariat.StatusSorted {
		t.Errorf("unread letter %+v", l)
	}
	if code, body := o.get(path(id, "/original"), clerk); code != 200 || !strings.Contains(body, "noclegu") {
		t.Errorf("original of an unread letter: HTTP %d", code)
	}

	o.run()
	o.await(id, func(l *sekretariat.Letter) bool { return l.Revision > 0 })
	state, _, err := pipeline.State(t.Context(), o.log, id.Submission())
	if err != nil {
		t.Fatal(err)
	}
	if err := o.house.Store.Delete(t.Context(), state.Letters[1].Reading.Key); err != nil {
		t.Fatal(err)
	}
	if l := o.letter(id, clerk); l.Department != "bezdomnosc" || l.Subject != "" {
		t.Errorf("letter with a lost reading %+v", l)
	}
	if code, body := o.get(path(id, "/reading"), clerk); code != 500 || !strings.Contains(body, "verify --deep") {
		t.Errorf("lost reading: HTTP %d %s", code, body)
	}
	if code, _ := o.get(path(id, "/original"), clerk); code != 200 {
		t.Errorf("original beside a lost reading: HTTP %d", code)
	}
	if err := o.house.Vault.Shred(t.Context(), o.cfg.ID, id.Submission()); err != nil {
		t.Fatal(err)
	}
	if code, _ := o.get(path(id, "/original"), clerk); code != http.StatusGone {
		t.Errorf("destroyed letter: HTTP %d", code)
	}
}

// Several letters of one consignment may belong to several departments: none of
// them gets the bytes of all (rule P3).
func TestConsignmentOfSeveralLetters(t *testing.T) {
	o := open(t)
	o.run()
	id := o.routed("szukam noclegu")
	token, clerk := o.department("bezdomnosc"), o.token(api.ScopeRegister)
	_, seq, err := stateOf(o, id)
	if err != nil {
		t.Fatal(err)
	}
	child := sekretariat.NewLetterID(id.Submission(), 2)
	split, err := sekretariat.NewEvent(sekretariat.EventSplit, o.cfg.ID, "test", string(id), 0, time.Now(), sekretariat.SplitData{
		From: id, Letters: []sekretariat.SortedLetter{{Part: 2, Series: "rpw", Action: sekretariat.ActionRegister, Range: "pages:2-3"}}, By: "test"})
	if err == nil {
		_, err = o.log.Append(t.Context(), ledger.Letter, ledger.Record{Subject: string(id.Submission()), LastSeq: seq, Event: split})
	}
	if err != nil {
		t.Fatal(err)
	}
	o.await(child, func(l *sekretariat.Letter) bool { return l.Revision > 0 })
	resp, body := o.request("POST", path(child, "/reroute"), clerk, `{"revision":1,"department":"przemoc","reason":"o przemocy"}`)
	if resp.StatusCode != http.StatusNoContent {
		t.Fatalf("re-route: HTTP %d %s", resp.StatusCode, body)
	}
	for letter, who := range map[sekretariat.LetterID]string{id: token, child: o.department("przemoc")} {
		if l := o.letter(letter, who); l.ID != letter || l.Subject != "" || len(l.Parts) > 0 {
			t.Errorf("letter %+v", l)
		}
		for _, view := range views[1:] {
			if code, body := o.get(path(letter, view), who); code != http.StatusForbidden || !strings.Contains(body, "letters of others") {
				t.Errorf("%s: HTTP %d %s", view, code, body)
			}
		}
	}
}

func stateOf(o *office, id sekretariat.LetterID) (sekretariat.State, uint64, error) {
	return pipeline.State(o.t.Context(), o.log, id.Submission())
}

func TestTokens(t *testing.T) {
	o := open(t)
	ctx := t.Context()
	plain, tok, err := o.tokens.Create(ctx, o.cfg.ID, []string{api.BoxScope("skrzynka")}, time.Hour, "UNATS")
	if err != nil {
		t.Fatal(err)
	}
	centre, got, err := o.tokens.Check(ctx, plain)
	if err != nil || centre != o.cfg.ID || got.ID != tok.ID || got.Box() != "skrzynka" || got.NATSUser != "UNATS" {
		t.Errorf("check: %s %+v, %v", centre, got, err)
	}
	if p := got.Principal(centre); p.Register || p.Closed || p.Admin || len(p.Departments) > 0 {
		t.Errorf("a scanner may see %+v", p)
	}
	if all := o.everything(); bytes.Contains(all, []byte(plain)) || bytes.Contains(all, []byte(plain[strings.LastIndex(plain, ".")+1:])) {
		t.Error("the token itself is stored")
	}
	for _, bad := range []string{"", "x", plain + "x", plain[:len(plain)-1], strings.Replace(plain, "sek1", "sek2", 1),
		strings.Replace(plain, string(o.cfg.ID), "inne", 1), "sek1.." + plain, "sek1.../../../x." + plain, strings.Repeat("a", 1<<16)} {
		if _, _, err := o.tokens.Check(ctx, bad); !errors.Is(err, api.ErrToken) {
			t.Errorf("token %.40q: %v", bad, err)
		}
	}
	o.mu.Lock()
	o.late = time.Hour + time.Second
	o.mu.Unlock()
	if _, _, err := o.tokens.Check(ctx, plain); !errors.Is(err, api.ErrToken) {
		t.Errorf("an expired token: %v", err)
	}
	o.mu.Lock()
	o.late = 0
	o.mu.Unlock()
	if err := o.tokens.Revoke(ctx, o.cfg.ID, tok.ID); err != nil {
		t.Fatal(err)
	}
	if _, _, err := o.tokens.Check(ctx, plain); !errors.Is(err, api.ErrToken) {
		t.Errorf("a revoked token: %v", err)
	}
	if err := o.tokens.Revoke(ctx, o.cfg.ID, tok.ID); !errors.Is(err, api.ErrToken) {
		t.Errorf("revoke again: %v", err)
	}
}
