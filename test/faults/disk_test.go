package faults

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"sekretariat/test/world"
)

// The disk of the data folder is full and then free again: everything that
// arrived meanwhile completes without an operator.
func TestDiskFullAndFreed(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to mount a small disk")
	}
	w := world.New(t, nil)
	if err := os.MkdirAll(w.Data, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=160m", "tmpfs", w.Data).CombinedOutput(); err != nil {
		t.Skipf("cannot mount a small disk: %v %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("umount", "-l", w.Data).Run() })
	s := w.Start(t)
	w.WaitReady(t, s)
	ballast := filepath.Join(w.Data, "ballast")
	fill(t, ballast)
	const letters = 60
	for i := range letters {
		mail := fmt.Sprintf("From: a@poczta.example\r\nSubject: Sprawa %d\r\n\r\nszukam noclegowni\r\n", i)
		if err := w.Dovecot.Deliver(world.Mailbox, "INBOX", []byte(mail), time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(5 * time.Second) // let it meet the full disk
	if s.Ended() {
		t.Fatalf("the service ended on a full disk:\n%s", s.Log())
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	world.WaitUntil(t, 3*time.Minute, "everything to complete by itself", func() bool {
		if s.Ended() {
			t.Fatalf("the service ended:\n%s", s.Log())
		}
		out, _, code := w.Run("register", "export", "--format", "jsonl", "--config", w.Config)
		if code != 0 {
			return false // the command line meets the server while it starts again
		}
		n := 0
		for _, l := range world.Lines(t, out) {
			if l.Queued != "" {
				n++
			}
		}
		return n == letters
	})
	if code := s.Stop(t); code != 0 {
		t.Errorf("exit status %d\n%s", code, s.Log())
	}
	w.Verify(t)
}

// fill writes until the disk is full.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	chunk := make([]byte, 64<<10)
	for {
		if _, err := f.Write(chunk); err != nil {
			return
		}
	}
}
