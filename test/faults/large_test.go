// Package faults proves, from outside, that the service bears what goes wrong
// around it: huge deliveries, a full disk, a cut connection, hostile input.
package faults

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"sekretariat/test/world"
)

// endless yields n octets that compress to nothing and never lie in memory.
type endless struct{ left int64 }

func (e *endless) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), e.left))
	for i := range p[:n] {
		p[i] = 'A'
	}
	for i := 63; i < n; i += 64 {
		p[i] = '\n'
	}
	e.left -= int64(n)
	return n, nil
}

// memory returns the peak resident memory of a process in MiB.
func memory(t *testing.T, pid int) int {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0 // gone meanwhile
	}
	for line := range strings.Lines(string(raw)) {
		if v, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, err := strconv.Atoi(strings.Fields(v)[0])
			if err != nil {
				t.Fatal(err)
			}
			return n >> 10
		}
	}
	return 0
}

// children returns the process ids of a process's children.
func children(t *testing.T, pid int) []int {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	var out []int
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		for _, s := range strings.Fields(string(raw)) {
			if n, err := strconv.Atoi(s); err == nil {
				out = append(out, n)
			}
		}
	}
	return out
}

const budget = 256 // MiB of resident memory, all processes of the service together

// A 150 MB mail and a 300 MB upload stay within the budget, and small letters
// are not held up by them.
func TestLargeDeliveriesInBoundedMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("moves half a gigabyte")
	}
	w := world.New(t, nil)
	s := w.Start(t)
	w.WaitReady(t, s)
	token, errs, code := w.Run("token", "create", "--config", w.Config, "--box", "skrzynka-wejscie")
	if code != 0 {
		t.Fatal(errs)
	}
	head := "From: a@poczta.example\r\nSubject: Film\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nw zalaczeniu\r\n--x\r\n" +
		"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=film.bin\r\n\r\n"
	if err := w.Dovecot.DeliverFrom(world.Mailbox, "INBOX", io.MultiReader(strings.NewReader(head), &endless{150 << 20}), time.Now()); err != nil {
		t.Fatal(err)
	}
	uploaded := make(chan error, 1)
	go func() { uploaded <- upload(w, strings.TrimSpace(token), &endless{300 << 20}, 300<<20) }()
	for i := range 20 {
		mail := fmt.Sprintf("From: a@poczta.example\r\nSubject: Maly %d\r\n\r\nszukam noclegowni\r\n", i)
		if err := w.Dovecot.Deliver(world.Mailbox, "INBOX", []byte(mail), time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	peak := 0
	world.WaitUntil(t, 5*time.Minute, "everything to be queued", func() bool {
		sum := memory(t, s.Pid())
		for _, c := range children(t, s.Pid()) {
			sum += memory(t, c)
		}
		peak = max(peak, sum)
		n := 0
		for _, l := range w.Export(t) {
			if l.Queued != "" {
				n++
			}
		}
		return n == 22
	})
	if err := <-uploaded; err != nil {
		t.Error(err)
	}
	t.Logf("peak resident memory of the service and its readers: %d MiB", peak)
	if peak > budget {
		t.Errorf("peak resident memory %d MiB, budget %d", peak, budget)
	}
	if code := s.Stop(t); code != 0 {
		t.Errorf("exit status %d", code)
	}
	w.Verify(t)
}

func upload(w *world.World, token string, body io.Reader, size int64) error {
	req, err := http.NewRequest(http.MethodPut, "http://"+w.Scanners+"/boxes/skrzynka-wejscie/film.bin", body)
	if err != nil {
		return err
	}
	req.ContentLength = size
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusCreated {
		err = fmt.Errorf("upload: HTTP %d %s", resp.StatusCode, bytes.TrimSpace(answer))
	}
	return err
}
