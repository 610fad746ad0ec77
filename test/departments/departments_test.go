// Package departments proves, from outside, that a department's system gets its
// letters and nobody else's, and that a letter that was sent on is gone for the
// former department at once.
package departments

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"sekretariat"
	"sekretariat/ledger"
	"sekretariat/test/world"
)

// office is a running service with two departments that have letters.
type office struct {
	*world.World
	t       *testing.T
	service *world.Service
	nats    string
}

const violence, shelter = "przemoc", "bezdomnosc"

func open(t *testing.T) *office {
	w := world.New(t, nil)
	o := &office{World: w, t: t, service: w.Start(t)}
	w.WaitReady(t, o.service)
	raw, err := os.ReadFile(filepath.Join(w.Data, "nats.url"))
	if err != nil {
		t.Fatal(err)
	}
	o.nats = strings.TrimSpace(string(raw))
	for _, text := range []string{"Mąż mnie bije i grozi, że mnie zabije.", "Śpię na dworcu, szukam noclegowni dla bezdomnych."} {
		mail := fmt.Sprintf("From: a@poczta.example\r\nSubject: Prosba\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n%s\r\n", text)
		if err := w.Dovecot.Deliver(world.Mailbox, "INBOX", []byte(mail), time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

// token creates a token by the command line, while the service runs.
func (o *office) token(args ...string) string {
	o.t.Helper()
	out, errs, code := o.Run(append([]string{"token", "create", "--config", o.Config}, args...)...)
	if code != 0 {
		o.t.Fatalf("token create %v: %s", args, errs)
	}
	return strings.TrimSpace(out)
}

func (o *office) department(id string) (token string, creds []byte) {
	o.t.Helper()
	file := filepath.Join(o.Dir, id+".creds")
	token = o.token("--department", id, "--creds", file)
	creds, err := os.ReadFile(file)
	if err != nil {
		o.t.Fatal(err)
	}
	return token, creds
}

func (o *office) queue(creds []byte, department string) *ledger.QueueClient {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(o.t.Context(), 20*time.Second)
	defer cancel()
	q, err := ledger.OpenQueue(ctx, ledger.QueueOptions{URL: o.nats, Credentials: creds, Centre: world.Centre, Department: sekretariat.DepartmentID(department)})
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(q.Close)
	return q
}

// next takes the next event of a queue and acknowledges it.
func (o *office) next(q *ledger.QueueClient) sekretariat.Event {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(o.t.Context(), 30*time.Second)
	defer cancel()
	m, err := q.Next(ctx)
	if err != nil {
		o.t.Fatalf("next event: %v\n%s", err, o.service.Log())
	}
	if err := m.Ack(ctx); err != nil {
		o.t.Fatal(err)
	}
	return m.Event
}

func (o *office) letter(q *ledger.QueueClient) sekretariat.QueuedData {
	o.t.Helper()
	d, err := sekretariat.DataOf[sekretariat.QueuedData](o.next(q))
	if err != nil {
		o.t.Fatal(err)
	}
	return d
}

func (o *office) call(method, path, token string, body any) (int, string) {
	o.t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		o.t.Fatal(err)
	}
	req, err := http.NewRequest(method, "http://"+o.Desk+path, bytes.NewReader(raw))
	if err != nil {
		o.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		o.t.Fatal(err)
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		o.t.Fatal(err)
	}
	return resp.StatusCode, string(out)
}

func TestNobodyReadsAnotherDepartmentsLetters(t *testing.T) {
	o := open(t)
	token, creds := o.department(violence)
	foreign, foreignCreds := o.department(shelter)
	own := o.letter(o.queue(creds, violence))
	other := o.letter(o.queue(foreignCreds, shelter))

	missing := "/api/v1/letters/" + strings.Repeat("0", 64) + ".1"
	_, notFound := o.call("GET", missing, token, nil)
	for _, what := range []string{"", "/original", "/reading", "/parts/1"} {
		if code, body := o.call("GET", own.Content+what, token, nil); code != http.StatusOK || body == "" {
			t.Errorf("own letter%s: HTTP %d %s", what, code, body)
		}
		if code, body := o.call("GET", own.Content+what, foreign, nil); code != http.StatusNotFound || body != notFound {
			t.Errorf("foreign letter%s: HTTP %d %q, want the same answer as for a missing one", what, code, body)
		}
		if code, _ := o.call("GET", own.Content+what, "sek1.demo.nonsense", nil); code != http.StatusUnauthorized {
			t.Errorf("no valid token%s: HTTP %d", what, code)
		}
	}
	for _, command := range []string{"taken", "done", "handed-back", "reroute"} {
		body := map[string]any{"revision": 1, "reason": "x", "department": shelter}
		if code, _ := o.call("POST", own.Content+"/"+command, foreign, body); code != http.StatusNotFound {
			t.Errorf("%s on a foreign letter: HTTP %d, want 404", command, code)
		}
	}
	if code, _ := o.call("POST", own.Content+"/taken", token, map[string]any{"revision": 1}); code != http.StatusNoContent {
		t.Errorf("take the own letter: HTTP %d", code)
	}
	o.refused(foreignCreds, violence)
	o.revoke(foreign, foreignCreds, other)
	log := o.service.Log()
	for _, secret := range []string{"bije", "dworcu", "poczta.example", token, foreign} {
		if strings.Contains(log, secret) {
			t.Errorf("the log contains %q", secret)
		}
	}
}

// refused tries what a department must not be able to do on NATS.
func (o *office) refused(creds []byte, victim string) {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(o.t.Context(), 10*time.Second)
	defer cancel()
	q, err := ledger.OpenQueue(ctx, ledger.QueueOptions{URL: o.nats, Credentials: creds, Centre: world.Centre, Department: sekretariat.DepartmentID(victim)})
	if err == nil {
		q.Close()
		o.t.Errorf("the queue of %s opens with another department's credentials", victim)
	}
	user, err := nkeys.ParseDecoratedUserNKey(creds)
	if err != nil {
		o.t.Fatal(err)
	}
	pub, err := user.PublicKey()
	if err != nil {
		o.t.Fatal(err)
	}
	errs := make(chan error, 100)
	nc, err := nats.Connect(o.nats, nats.UserCredentialBytes(creds), nats.CustomInboxPrefix("_INBOX."+pub),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { errs <- err }))
	if err != nil {
		o.t.Fatal(err)
	}
	defer nc.Close()
	stream := ledger.QueueStream(world.Centre)
	for _, subject := range []string{"sk.>", "sk.demo.queue.>", "_INBOX.>", "$JS.EVENT.>"} {
		sub, err := nc.SubscribeSync(subject)
		if err == nil {
			_, err = sub.NextMsg(200 * time.Millisecond)
		}
		if err == nil {
			o.t.Errorf("a department can listen on %s", subject)
		}
	}
	for _, subject := range []string{"$JS.API.STREAM.INFO." + stream, "$JS.API.STREAM.MSG.GET." + stream, "$JS.API.STREAM.NAMES",
		"$JS.API.CONSUMER.MSG.NEXT." + stream + "." + ledger.QueueConsumer(sekretariat.DepartmentID(victim), ledger.Urgent)} {
		if m, err := nc.Request(subject, []byte(`{"last_by_subj":"sk.demo.queue.>"}`), 300*time.Millisecond); err == nil && !strings.Contains(string(m.Data), "error") {
			o.t.Errorf("a department gets an answer from %s: %.100s", subject, m.Data)
		}
	}
}

// revoke ends a department's token and credentials.
func (o *office) revoke(token string, creds []byte, own sekretariat.QueuedData) {
	o.t.Helper()
	if code, _ := o.call("GET", own.Content, token, nil); code != http.StatusOK {
		o.t.Fatalf("before the revocation: HTTP %d", code)
	}
	out, _, _ := o.Run("token", "list", "--config", o.Config)
	id := regexp.MustCompile(`(?m)^([0-9a-f]{12})\s+department:` + shelter).FindStringSubmatch(out)
	if id == nil {
		o.t.Fatalf("token list:\n%s", out)
	}
	if _, errs, code := o.Run("token", "revoke", id[1], "--config", o.Config); code != 0 {
		o.t.Fatalf("token revoke: %s", errs)
	}
	if code, _ := o.call("GET", own.Content, token, nil); code != http.StatusUnauthorized {
		o.t.Errorf("a revoked token: HTTP %d, want 401", code)
	}
	ctx, cancel := context.WithTimeout(o.t.Context(), 10*time.Second)
	defer cancel()
	if q, err := ledger.OpenQueue(ctx, ledger.QueueOptions{URL: o.nats, Credentials: creds, Centre: world.Centre, Department: shelter}); err == nil {
		q.Close()
		o.t.Error("revoked credentials still open the queue")
	}
}

// TestExampleClient runs the client of docs/consumers.md: it copies letters,
// bears repeats, and deletes its copy when a letter is sent on.
func TestExampleClient(t *testing.T) {
	o := open(t)
	bin := buildExample(t)
	folder := filepath.Join(o.Dir, "letters")
	token, _ := o.department(violence)
	tokenFile := filepath.Join(o.Dir, "token")
	if err := os.WriteFile(tokenFile, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	start := func() *exec.Cmd {
		cmd := exec.Command(bin, "-server", o.nats, "-creds", filepath.Join(o.Dir, violence+".creds"), "-token", tokenFile,
			"-api", "http://"+o.Desk, "-stream", ledger.QueueStream(world.Centre), "-department", violence, "-folder", folder)
		cmd.Stderr = &log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		return cmd
	}
	client := start()
	world.WaitUntil(t, 30*time.Second, "the copy", func() bool { return len(originals(t, folder)) == 1 })
	raw, err := os.ReadFile(originals(t, folder)[0])
	if err != nil || !strings.Contains(string(raw), "bije") {
		t.Errorf("the copy is %q, %v", raw, err)
	}
	_ = client.Process.Kill() // it must bear that
	_ = client.Wait()
	id := strings.TrimSuffix(filepath.Base(originals(t, folder)[0]), ".original")
	clerk := o.token("--register")
	if code, body := o.call("POST", "/api/v1/letters/"+id+"/reroute", clerk, map[string]any{"revision": 1, "department": shelter, "reason": "pilny nocleg"}); code != http.StatusNoContent {
		t.Fatalf("re-route: HTTP %d %s", code, body)
	}
	if code, _ := o.call("GET", "/api/v1/letters/"+id, token, nil); code != http.StatusNotFound {
		t.Errorf("after the re-routing the former department gets HTTP %d, want 404 at once", code)
	}
	start()
	world.WaitUntil(t, 30*time.Second, "the copy to be deleted", func() bool { return len(originals(t, folder)) == 0 })
}

// A department's system that refuses a letter does not make it vanish: it comes
// before a clerk.
func TestRefusedLetterComesBeforeAClerk(t *testing.T) {
	o := open(t)
	token, creds := o.department(violence)
	q := o.queue(creds, violence)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	m, err := q.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	d, err := sekretariat.DataOf[sekretariat.QueuedData](m.Event)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Refuse("nie umiem"); err != nil {
		t.Fatal(err)
	}
	world.WaitUntil(t, 30*time.Second, "the failure on the letter", func() bool {
		code, body := o.call("GET", d.Content, token, nil)
		return code == http.StatusOK && strings.Contains(body, `"failures"`) && strings.Contains(body, "refused")
	})
}

func originals(t *testing.T, folder string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(folder, "*.original"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// buildExample builds the Go program in docs/consumers.md as it stands there.
func buildExample(t *testing.T) string {
	t.Helper()
	doc, err := os.ReadFile("../../docs/consumers.md")
	if err != nil {
		t.Fatal(err)
	}
	code := regexp.MustCompile("(?s)```go\n(.*?)```").FindSubmatch(doc)
	if code == nil {
		t.Fatal("docs/consumers.md has no Go program")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.go"), code[1], 0o600); err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(dir, "consumer")
	if out, err := exec.Command("go", "build", "-o", bin, filepath.Join(dir, "main.go")).CombinedOutput(); err != nil {
		t.Fatalf("the program of docs/consumers.md does not build: %v\n%s", err, out)
	}
	return bin
}
