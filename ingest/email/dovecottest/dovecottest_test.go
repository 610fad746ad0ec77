package dovecottest

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

func TestServesWhatWasDelivered(t *testing.T) {
	s, err := Start(t.Context(), Options{Users: []string{"a", "b"}})
	if errors.Is(err, ErrMissing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(s.CA); !os.IsNotExist(err) {
			t.Error("Stop left the folder behind")
		}
	}()
	at := time.Date(2026, 11, 19, 22, 59, 59, 0, time.UTC)
	for i := range 3 {
		if err := s.Deliver("b", "INBOX", fmt.Appendf(nil, "Subject: %d\r\n\r\nx\r\n", i), at); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Deliver("b", "Sprawy/Nowe", []byte("Subject: y\r\n\r\n"), at); err != nil {
		t.Fatal(err)
	}
	if got := login(t, s, "a", "SELECT INBOX"); !strings.Contains(got, "* 0 EXISTS") {
		t.Fatalf("other user: %s", got)
	}
	if got := login(t, s, "b", "SELECT INBOX"); !strings.Contains(got, "* 3 EXISTS") {
		t.Fatalf("inbox: %s", got)
	}
	if got := login(t, s, "b", "SELECT Sprawy/Nowe"); !strings.Contains(got, "* 1 EXISTS") {
		t.Fatalf("folder: %s", got)
	}
	if err := s.Renumber(t.Context(), "b", "INBOX", 77); err != nil {
		t.Fatal(err)
	}
	if err := s.Kick(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := login(t, s, "b", "SELECT INBOX"); !strings.Contains(got, "[UIDVALIDITY 77]") || !strings.Contains(got, "* 3 EXISTS") {
		t.Fatalf("renumbered: %s", got)
	}
	files, err := s.Files("b", "INBOX")
	if err != nil || len(files) != 3 {
		t.Fatalf("files: %v %v", files, err)
	}
}

func login(t *testing.T, s *Server, user, command string) string {
	t.Helper()
	pem, err := os.ReadFile(s.CA)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	c, err := tls.Dial("tcp", s.TLSAddr, &tls.Config{RootCAs: pool})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "a LOGIN %s %s\r\nb %s\r\nc LOGOUT\r\n", user, Password, command)
	var all strings.Builder
	for sc := bufio.NewScanner(c); sc.Scan(); {
		all.WriteString(sc.Text() + "\n")
	}
	if !strings.Contains(all.String(), "\nb OK") {
		t.Fatalf("%s: %s", command, all.String())
	}
	return all.String()
}
