package sftpdoor_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/configs/password"
	"sekretariat/ingest"
	"sekretariat/ingest/dropbox"
	"sekretariat/ingest/dropbox/sftpdoor"
	"sekretariat/ingest/ingesttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pdf is small and whole as far as its structure goes.
func pdf(text string) []byte {
	head := "%PDF-1.4\n% " + text + "\n1 0 obj\n<< /Type /Catalog >>\nendobj\n"
	return fmt.Appendf(nil, "%sxref\n0 1\n0000000000 65535 f \ntrailer\n<< /Size 1 >>\nstartxref\n%d\n%%%%EOF\n", head, len(head))
}

// office is a running door.
type office struct {
	*testing.T
	house  *ingesttest.House
	centre sekretariat.CentreID
	addr   string
	host   ssh.Signer
	device ssh.Signer
	key    string // file of the device's private key
	log    *lines
}

// lines is a log that a test can read while it is written.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func signer(t *testing.T) (ssh.Signer, string) {
	t.Helper()
	_, k, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	s, err := ssh.NewSignerFromKey(k)
	must(t, err)
	block, err := ssh.MarshalPrivateKey(k, "")
	must(t, err)
	file := filepath.Join(t.TempDir(), "key")
	must(t, os.WriteFile(file, pem.EncodeToMemory(block), 0o600))
	return s, file
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

const secret = "dlugie haslo skanera"

func open(t *testing.T, change func(*dropbox.GateOptions)) *office {
	t.Helper()
	h := ingesttest.NewHouse(t)
	o := &office{T: t, house: h, centre: h.Centre(t), log: &lines{}}
	o.host, _ = signer(t)
	o.device, o.key = signer(t)
	box := configs.Box{Account: configs.Account{ID: "wejscie", Unit: "dom", Department: "swiadczenia"}}
	logger := zerolog.New(o.log)
	gate := dropbox.GateOptions{
		Receiver: h.Receiver(t, ingest.Limits{}), Folder: t.TempDir(), Logger: logger,
		Devices: []dropbox.Device{
			{Centre: o.centre, Box: box, Device: configs.Device{User: "kserokopiarka", Password: password.Hash(secret), Keys: []string{string(ssh.MarshalAuthorizedKey(o.device.PublicKey()))}}},
			{Centre: o.centre, Box: box, Device: configs.Device{User: "daleka", Password: password.Hash(secret), Allow: []string{"192.0.2.0/24"}}},
		},
	}
	if change != nil {
		change(&gate)
	}
	g, err := dropbox.NewGate(gate)
	must(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	o.addr = l.Addr().String()
	s, err := sftpdoor.New(sftpdoor.Options{Gate: g, Listener: l, HostKeys: []ssh.Signer{o.host}, Logger: logger})
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		must(t, <-ended)
	})
	return o
}

func (o *office) dial(addr, user string, auth ...ssh.AuthMethod) (*ssh.Client, *sftp.Client, error) {
	conn, err := ssh.Dial("tcp", addr, &ssh.ClientConfig{User: user, Auth: auth, HostKeyCallback: ssh.FixedHostKey(o.host.PublicKey()), Timeout: 10 * time.Second})
	if err != nil {
		return nil, nil, err
	}
	c, err := sftp.NewClient(conn)
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	return conn, c, nil
}

// signedIn is a client of the device; it ends with the test.
func (o *office) signedIn() *sftp.Client {
	o.Helper()
	conn, c, err := o.dial(o.addr, "kserokopiarka", ssh.Password(secret))
	must(o, err)
	o.Cleanup(func() { c.Close(); conn.Close() })
	return c
}

func put(c *sftp.Client, name string, body []byte) error {
	f, err := c.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	_, err = f.ReadFrom(bytes.NewReader(body))
	return errors.Join(err, f.Close())
}

func (o *office) kept() int { return len(o.house.Submissions(o.T, o.centre)) }

func TestUploads(t *testing.T) {
	o := open(t, nil)
	c := o.signedIn()
	body := pdf(strings.Repeat("x", 300_000))
	must(t, put(c, "skan.pdf", body))
	all := o.house.Submissions(t, o.centre)
	if len(all) != 1 || !bytes.Equal(all[0].Original, body) {
		t.Fatalf("%d submissions after a close with success, want 1 with the same bytes", len(all))
	}
	m := all[0].Manifest
	if m.Box != "wejscie" || m.Unit != "dom" || m.Door != sekretariat.DoorSFTP || m.Source[dropbox.SourceName] != "skan.pdf" {
		t.Errorf("manifest %+v", m)
	}
	if i, err := c.Stat("skan.pdf"); err != nil || i.Size() != int64(len(body)) {
		t.Errorf("a device asks how long its file is: %v, %v", i, err)
	}
	// A nervous device sends once more.
	must(t, put(c, "skan.pdf", body))
	if n := o.kept(); n != 1 {
		t.Errorf("%d submissions after the same file again, want 1", n)
	}
	// A temporary name is whole when it is renamed.
	must(t, put(c, "nast.pdf.tmp", pdf("second")))
	if n := o.kept(); n != 1 {
		t.Errorf("%d submissions before the renaming, want 1", n)
	}
	must(t, c.Rename("nast.pdf.tmp", "nast.pdf"))
	must(t, put(c, "trzeci.part", pdf("third")), c.PosixRename("trzeci.part", "trzeci.pdf"))
	if n := o.kept(); n != 3 {
		t.Errorf("%d submissions after two renamings, want 3", n)
	}
}

// Nobody reads, nobody sees what others sent.
func TestUploadOnly(t *testing.T) {
	o := open(t, nil)
	c := o.signedIn()
	must(t, put(c, "skan.pdf", pdf("one")))
	if _, err := c.Open("skan.pdf"); !errors.Is(err, os.ErrPermission) {
		t.Errorf("reading: %v", err)
	}
	other := o.signedIn()
	if l, err := other.ReadDir("/"); err != nil || len(l) != 0 {
		t.Errorf("another connection sees %v, %v", l, err)
	}
	if _, err := other.Stat("skan.pdf"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("another connection is told of a file: %v", err)
	}
	if err := c.Symlink("/etc/passwd", "x"); err == nil {
		t.Error("a link was made")
	}
	if _, err := c.OpenFile("skan.pdf", os.O_WRONLY|os.O_APPEND); err == nil {
		t.Error("a file was opened to be gone on with")
	}
	if n := o.kept(); n != 1 {
		t.Errorf("%d submissions", n)
	}
}

func TestSignIn(t *testing.T) {
	o := open(t, nil)
	try := func(user string, auth ssh.AuthMethod) error {
		conn, _, err := o.dial(o.addr, user, auth)
		if err == nil {
			conn.Close()
		}
		return err
	}
	foreign, _ := signer(t)
	must(t, try("kserokopiarka", ssh.PublicKeys(o.device)))
	for what, err := range map[string]error{
		"other key":     try("kserokopiarka", ssh.PublicKeys(foreign)),
		"nobody":        try("nikt", ssh.Password(secret)),
		"other network": try("daleka", ssh.Password(secret)),
	} {
		if err == nil {
			t.Errorf("%s: signed in", what)
		}
	}
	for range 5 {
		if try("kserokopiarka", ssh.Password("zgadywanie")) == nil {
			t.Fatal("signed in with a wrong password")
		}
	}
	if try("kserokopiarka", ssh.Password(secret)) == nil {
		t.Error("signed in at once after many wrong passwords")
	}
}

// Files that are not whole are refused whatever their end looks like.
func TestNotWhole(t *testing.T) {
	o := open(t, func(g *dropbox.GateOptions) { g.Limit, g.Spool = 4<<20, 6<<20 })
	c := o.signedIn()
	whole := pdf(strings.Repeat("y", 5000))
	for name, body := range map[string][]byte{"half.pdf": whole[:2000], "empty.pdf": nil, "long.pdf": make([]byte, 5<<20)} {
		if put(c, name, body) == nil {
			t.Errorf("%s: success", name)
		}
	}
	// A hole: a client that goes on where it stopped yesterday.
	f, err := c.OpenFile("dalej.pdf", os.O_WRONLY|os.O_CREATE)
	must(t, err)
	if _, err := f.WriteAt(whole[1000:], 1000); err != nil {
		t.Fatal(err)
	}
	if f.Close() == nil {
		t.Error("a file with a hole: success")
	}
	if n := o.kept(); n != 0 {
		t.Fatalf("%d submissions", n)
	}
	// The same bytes once more are what the device has: taken, and marked.
	must(t, put(c, "half.pdf", whole[:2000]))
	all := o.house.Submissions(t, o.centre)
	if len(all) != 1 || all[0].Manifest.Source[dropbox.SourceFinding] != "incomplete" {
		t.Errorf("%d submissions", len(all))
	}
	// The spool has room again after all that.
	must(t, put(c, "last.pdf", pdf(strings.Repeat("z", 3<<20))))
}

// proxy passes on the first octets of a client and then cuts the connection.
func proxy(t *testing.T, to string, octets int64) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var running sync.WaitGroup
	running.Go(func() {
		in, err := l.Accept()
		if err != nil {
			return
		}
		defer in.Close()
		out, err := net.Dial("tcp", to)
		if err != nil {
			return
		}
		running.Go(func() { _, _ = io.Copy(in, out) })
		_, _ = io.CopyN(out, in, octets)
		_ = out.Close()
	})
	t.Cleanup(func() { l.Close(); running.Wait() })
	return l.Addr().String()
}

// A connection cut at any byte leaves no letter, unless the device had said
// that the file is whole, and a line in the log once a file was begun.
func TestCut(t *testing.T) {
	o := open(t, nil)
	body := pdf(strings.Repeat("c", 60_000))
	cut, begun := 0, 0
	for octets := int64(1000); octets < 72_000; octets += 2399 {
		before := o.kept()
		told := func() error {
			conn, c, err := o.dial(proxy(t, o.addr, octets), "kserokopiarka", ssh.PublicKeys(o.device))
			if err != nil {
				return err
			}
			defer conn.Close()
			defer c.Close()
			return put(c, fmt.Sprintf("skan-%d.pdf", octets), append(pdf(fmt.Sprint(octets)), body...))
		}()
		if told == nil {
			if o.kept() != before+1 {
				t.Fatalf("cut after %d octets: success, but no submission", octets)
			}
			continue
		}
		cut++
		if n := o.kept(); n != before {
			t.Fatalf("cut after %d octets: %d submissions, want %d", octets, n, before)
		}
		if octets > 8000 {
			begun++
		}
	}
	deadline := time.Now().Add(10 * time.Second)
	for strings.Count(o.log.String(), "nothing of it is kept") < begun && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	if n := strings.Count(o.log.String(), "nothing of it is kept"); n < begun || cut < 20 {
		t.Errorf("%d connections cut, %d of them in a file, %d lines about it", cut, begun, n)
	}
	if strings.Contains(o.log.String(), "skan-") {
		t.Error("the log names files")
	}
}

// The client that administrators try it with.
func TestOpenSSH(t *testing.T) {
	tool, err := exec.LookPath("sftp")
	if err != nil {
		t.Fatal("no sftp: apt-get install openssh-client")
	}
	o := open(t, nil)
	file := filepath.Join(t.TempDir(), "Skan 1.pdf")
	must(t, os.WriteFile(file, pdf(strings.Repeat("o", 2<<20)), 0o600))
	host, port, err := net.SplitHostPort(o.addr)
	must(t, err)
	cmd := exec.Command(tool, "-q", "-b", "-", "-P", port, "-i", o.key, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "kserokopiarka@"+host)
	cmd.Stdin = strings.NewReader(fmt.Sprintf("mkdir dzis\ncd dzis\nput -p %q\nls -l\nput %q x.tmp\nrename x.tmp x.pdf\n", file, file))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if n := o.kept(); n != 1 {
		t.Errorf("%d submissions, want 1 of two uploads of one file: %s", n, out)
	}
}

// stream gives a large, whole file without holding it.
type stream struct{ left int64 }

func (s *stream) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), s.left)
	for i := range p[:n] {
		p[i] = byte(s.left>>10) + byte(i)
	}
	copy(p, "zwykły") // no format that has an end
	s.left -= n
	return int(n), nil
}

// 300 MB cost no memory to speak of.
func TestLarge(t *testing.T) {
	if testing.Short() {
		t.Skip("300 MB")
	}
	o := open(t, nil)
	c := o.signedIn()
	f, err := c.OpenFile("duzy.bin", os.O_WRONLY|os.O_CREATE)
	must(t, err)
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	var peak atomic.Uint64
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak.Store(max(peak.Load(), m.HeapInuse))
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	}()
	_, err = io.Copy(f, &stream{left: 300 << 20})
	err = errors.Join(err, f.Close())
	close(stop)
	<-done
	must(t, err)
	if extra := int64(peak.Load()) - int64(before.HeapInuse); extra > 64<<20 {
		t.Errorf("%d MiB of memory beyond what there was", extra>>20)
	} else {
		t.Logf("%d MiB extra", extra>>20)
	}
}
