// Package scan_test runs the whole program with a real clamd: mail comes in,
// files stay locked until they are scanned, and the administrator is told.
package scan_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"sekretariat/configs"
	"sekretariat/extract/virus/virustest"
	"sekretariat/test/world"
)

type office struct {
	*world.World
	t     *testing.T
	token string
}

func (o *office) get(path string) (int, string) {
	o.t.Helper()
	req, err := http.NewRequestWithContext(o.t.Context(), http.MethodGet, "http://"+o.Desk+path, nil)
	if err != nil {
		o.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+o.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		o.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		o.t.Fatal(err)
	}
	return resp.StatusCode, string(raw)
}

func (o *office) deliver(subject string, content []byte) {
	o.t.Helper()
	mail := fmt.Sprintf("From: a@poczta.example\r\nSubject: %s\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=g\r\n\r\n--g\r\n\r\nProsze o pomoc.\r\n"+
		"--g\r\nContent-Disposition: attachment; filename=plik.txt\r\nContent-Transfer-Encoding: base64\r\n\r\n%s\r\n--g--\r\n", subject, base64.StdEncoding.EncodeToString(content))
	if err := o.Dovecot.Deliver(world.Mailbox, "INBOX", []byte(mail), time.Now()); err != nil {
		o.t.Fatal(err)
	}
}

func TestFilesAreLockedUntilScanned(t *testing.T) {
	clamd := virustest.Prepare(t)
	w := world.New(t, func(c *configs.Centre) { c.VirusScan = clamd.Address })
	o := &office{World: w, t: t}
	service := w.Start(t)
	w.WaitReady(t, service)
	out, errs, code := w.Run("token", "create", "--config", w.Config, "--register")
	if code != 0 {
		t.Fatalf("token create: %s", errs)
	}
	o.token = strings.TrimSpace(out)
	o.deliver("czysty", []byte("Wniosek."))
	o.deliver("zarazony", virustest.Eicar)
	letters := map[string]string{} // by subject
	world.WaitUntil(t, 60*time.Second, "both letters in the register, without a scanner", func() bool {
		for _, l := range w.Export(t) {
			for _, subject := range []string{"czysty", "zarazony"} {
				if _, body := o.get("/api/v1/letters/" + l.Letter); strings.Contains(body, subject) && strings.Contains(body, `"status":"routed"`) {
					letters[subject] = "/api/v1/letters/" + l.Letter
				}
			}
		}
		return len(letters) == 2
	})
	if status, body := o.get(letters["czysty"] + "/parts/2"); status != http.StatusTooEarly || !strings.Contains(body, "Niesprawdzone") {
		t.Errorf("before the scan: %d %s", status, body)
	}
	if status, body := o.get(letters["zarazony"] + "/reading"); status != http.StatusOK || !strings.Contains(body, "Prosze o pomoc.") {
		t.Errorf("the text before the scan: %d %s", status, body)
	}
	if _, body := o.get("/api/v1/health"); !strings.Contains(body, `"scanner":{"ok":false`) {
		t.Errorf("health without a scanner: %s", body)
	}
	clamd.Start()
	world.WaitUntil(t, 60*time.Second, "the scan", func() bool {
		clean, _ := o.get(letters["czysty"] + "/parts/2")
		infected, _ := o.get(letters["zarazony"] + "/parts/2")
		return clean == http.StatusOK && infected == http.StatusForbidden
	})
	if status, body := o.get(letters["zarazony"] + "/original"); status != http.StatusForbidden || !strings.Contains(body, virustest.EicarName) {
		t.Errorf("an infected original: %d %s", status, body)
	}
	if _, body := o.get("/readyz"); !strings.HasPrefix(body, "ready\n") || !strings.Contains(body, "warning: demo: the virus scanner does not say how old") {
		t.Errorf("readyz: %s", body)
	}
	w.Verify(t)
	if code := service.Stop(t); code != 0 {
		t.Errorf("the service ended with %d:\n%s", code, service.Log())
	}
}
