package lmtp

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	mrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/ingest"
	"sekretariat/ingest/ingesttest"
)

const childFolder = "LMTP_TEST_FOLDER"

func TestMain(m *testing.M) {
	if folder := os.Getenv(childFolder); folder != "" {
		fmt.Fprintln(os.Stderr, serveChild(folder))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// serveChild is the process that is killed.
func serveChild(folder string) error {
	h, err := ingesttest.OpenHouse(context.Background(), folder)
	if err != nil {
		return err
	}
	r, err := ingest.NewReceiver(ingest.Options{Vault: h.Vault, Log: h.Log, Logger: zerolog.Nop()})
	if err != nil {
		return err
	}
	s, err := New(Options{
		Door: configs.MailDoor{LMTP: "127.0.0.1:0"}, Accounts: []Account{account("centrum", "poczta", "poczta@ops.example"), account("centrum", "mzon", "mzon@ops.example")},
		Receiver: r, Logger: zerolog.Nop(),
	})
	if err != nil {
		return err
	}
	fmt.Println(s.Addrs()[0])
	return s.Run(context.Background())
}

// TestKilledAtAnyMoment kills the process with SIGKILL again and again while a
// mail server hands mail over, and starts it again on what it left. The mail
// server sends every mail until it hears 250, as it must. In the end each is
// there exactly once in each mailbox.
func TestKilledAtAnyMoment(t *testing.T) {
	const mails, kills = 60, 8
	folder := t.TempDir()
	to := []string{"poczta@ops.example", "mzon@ops.example"}
	owed := map[int][]string{}
	for n := range mails {
		owed[n] = to
	}
	bodies := map[int]string{}
	for n := range mails {
		bodies[n] = fmt.Sprintf("Subject: %d\r\n\r\nPismo %d\r\n", n, n)
	}
	for round := 0; len(owed) > 0; round++ {
		if round > 100 {
			t.Fatalf("%d mails are never confirmed", len(owed))
		}
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childFolder+"="+folder)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		if !lines.Scan() {
			t.Fatal("the child says nothing")
		}
		killed := make(chan struct{})
		go func() {
			if round < kills {
				time.Sleep(mrand.N(80 * time.Millisecond)) // somewhere
				_ = cmd.Process.Kill()
			}
			close(killed)
		}()
		handOver(t, lines.Text(), owed, bodies)
		<-killed
		_ = cmd.Process.Kill() // done, or killed already
		_ = cmd.Wait()
	}
	h, err := ingesttest.OpenHouse(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := h.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	seen := map[string]int{}
	for _, s := range h.Submissions(t, sekretariat.CentreID("centrum")) {
		seen[s.Manifest.Account]++
	}
	if seen["poczta"] != mails || seen["mzon"] != mails {
		t.Errorf("submissions %v, want %d each", seen, mails)
	}
}

// handOver sends what is owed until the connection breaks, striking off what
// was confirmed.
func handOver(t *testing.T, addr string, owed map[int][]string, bodies map[int]string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return // killed already
	}
	defer conn.Close()
	c := smtp.NewClientLMTP(conn)
	for n, to := range owed {
		var left []string
		for r, err := range send(c, true, "jan@example.org", to, bodies[n]) {
			switch code(err) {
			case 250:
			case 0:
				return // cut off: nothing of this mail counts as confirmed
			default:
				left = append(left, r)
			}
		}
		if owed[n] = left; len(left) == 0 {
			delete(owed, n)
		}
	}
}

// makePair writes a self-signed certificate and its key.
func makePair(t *testing.T, cert, key string, serial int64) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "drzwi.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"drzwi.example"}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
