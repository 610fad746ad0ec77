// Package roles proves that the roles of the program run apart, against a NATS
// server and an S3 server that are processes of their own, and that every
// delivery is registered exactly once while any of them is killed.
package roles

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"sekretariat/ingest/epuap/epuaptest"
	"sekretariat/storage/s3/versity"
	"sekretariat/test/world"
)

func TestMain(m *testing.M) {
	code := m.Run()
	versity.RemoveBinary()
	os.Exit(code)
}

var natsBinary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "nats-server-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "nats-server")
	out, err := exec.Command("go", "build", "-o", path, "github.com/nats-io/nats-server/v2").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build nats-server: %w\n%s", err, out)
	}
	return path, nil
})

// natsServer is an external NATS server with the configuration that
// `sekretariat init` wrote.
type natsServer struct {
	bin, conf, dir, addr string
	cmd                  *exec.Cmd
	out                  bytes.Buffer
}

func startNATS(t *testing.T, dir, secrets string) *natsServer {
	t.Helper()
	bin, err := natsBinary()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &natsServer{bin: bin, dir: filepath.Join(dir, "nats"), addr: l.Addr().String(), conf: filepath.Join(secrets, "nats-test.conf")}
	l.Close()
	if err := os.MkdirAll(n.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("listen: %q\nserver_name: nats-1\ninclude ./nats-server.conf\n", n.addr)
	if err := os.WriteFile(n.conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	n.run(t)
	t.Cleanup(n.kill)
	return n
}

func (n *natsServer) run(t *testing.T) {
	t.Helper()
	n.cmd = exec.Command(n.bin, "--config", n.conf)
	n.cmd.Dir, n.cmd.Stderr = n.dir, &n.out
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	world.WaitUntil(t, 20*time.Second, "the NATS server", func() bool {
		c, err := net.Dial("tcp", n.addr)
		if err != nil {
			return false
		}
		return c.Close() == nil
	})
}

func (n *natsServer) kill() {
	if n.cmd != nil {
		_ = n.cmd.Process.Kill()
		_ = n.cmd.Wait()
		n.cmd = nil
	}
}

// role is one process of the program that is started again when it was killed.
type role struct {
	name, config string
	s            *world.Service
}

func TestRolesApartThroughKills(t *testing.T) {
	w := world.New(t, nil)
	gateway := versity.Start(t, true)
	nats := startNATS(t, w.Dir, w.Secrets(t))
	servers := world.Servers{NATS: "nats://" + nats.addr, S3: gateway.Endpoint, S3CA: gateway.CA, Region: versity.Region, Access: versity.AccessKey, SecretID: versity.SecretKey}
	signing := []string{"operator.seed", "operator.jwt", "system.seed", "system.jwt", "system.creds", "account.seed", "account.jwt"}
	w.Config = w.Role(t, "cli", servers, signing...)
	roles := []*role{{name: "ingest"}, {name: "route"}, {name: "route"}, {name: "desk"}}
	for i, r := range roles {
		folder := r.name
		if i == 2 {
			folder = "route-2"
		}
		r.config = w.Role(t, folder, servers)
		r.s = w.StartWith(t, r.config, r.name)
	}
	w.WaitReady(t, roles[3].s)

	rnd := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	const mails, letters, files, kills = 60, 10, 10, 8
	sent := 0
	send := func(upTo int) {
		for ; sent < upTo; sent++ {
			put(t, w, sent, mails, letters)
		}
	}
	for k := range kills {
		send((k + 1) * (mails + letters + files) / kills)
		time.Sleep(time.Duration(rnd.IntN(1500)) * time.Millisecond)
		switch v := rnd.IntN(6); v {
		case 4:
			nats.kill()
			away(rnd)
			nats.run(t)
		case 5:
			gateway.Kill()
			away(rnd)
			gateway.Run(t)
		default:
			r := roles[v]
			r.s.Kill()
			r.s = w.StartWith(t, r.config, r.name)
		}
	}
	last := -1
	world.WaitUntil(t, 5*time.Minute, "all letters to be queued", func() bool {
		for _, r := range roles {
			if r.s.Ended() {
				t.Fatalf("%s ended by itself:\n%s", r.name, r.s.Log())
			}
		}
		out, _, code := w.Run("register", "export", "--format", "jsonl", "--config", w.Config)
		if code != 0 {
			return false
		}
		n := 0
		for _, l := range world.Lines(t, out) {
			if l.Queued != "" {
				n++
			}
		}
		if n != last {
			t.Logf("%d queued", n)
			last = n
		}
		return n >= sent
	})
	for _, r := range roles {
		if code := r.s.Stop(t); code != 0 {
			t.Errorf("%s: exit status %d\n%s", r.name, code, r.s.Log())
		}
	}
	t.Log(w.Verify(t))
	digests := map[string]string{}
	lines := w.Export(t)
	if len(lines) != sent {
		t.Errorf("%d register entries, want %d", len(lines), sent)
	}
	for _, l := range lines {
		if before, twice := digests[l.Channel+l.SHA256]; twice {
			t.Errorf("%s and %s are the same delivery", before, l.Identifier)
		}
		digests[l.Channel+l.SHA256] = l.Identifier
	}
}

// away is how long a server stays away: up to two seconds, or ROLES_AWAY.
func away(rnd *rand.Rand) {
	d := time.Duration(rnd.IntN(2000)) * time.Millisecond
	if v, err := time.ParseDuration(os.Getenv("ROLES_AWAY")); err == nil {
		d = v
	}
	time.Sleep(d)
}

// put sends delivery n: mails first, then ePUAP letters, then files.
func put(t *testing.T, w *world.World, n, mails, letters int) {
	t.Helper()
	var err error
	switch {
	case n < mails:
		err = w.Dovecot.Deliver(world.Mailbox, "INBOX", []byte(fmt.Sprintf("From: a@b.example\r\nSubject: Sprawa %d\r\n\r\nszukam noclegowni\r\n", n)), time.Now())
	case n < mails+letters:
		doc := fmt.Sprintf(`<w:Dokument xmlns:w="http://crd.gov.pl/wzor/2017/10/24/4566/"><w:TrescDokumentu><w:Tytul>Wniosek %d</w:Tytul></w:TrescDokumentu></w:Dokument>`, n)
		_, err = w.Platform.Enqueue(world.Skrytka, epuaptest.Document{Content: []byte(doc), Sent: time.Now()})
	default:
		err = os.WriteFile(filepath.Join(w.Box, fmt.Sprintf("skan-%d.txt", n)), []byte(fmt.Sprintf("Skan %d\n", n)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
