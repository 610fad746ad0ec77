// Package versity runs a real S3 server, versitygw, for the tests of the s3
// driver. It is a module of its own so that the server's dependencies stay out
// of the program's.
package versity

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// The credentials and region of every Gateway.
const (
	AccessKey = "test-access"
	SecretKey = "test-secret-key"
	Region    = "pl-test-1"
)

// Gateway is a running server.
type Gateway struct {
	Endpoint string // host:port
	CA       string // file of its certificate, "" for plain HTTP
	Folder   string // where it keeps objects, as plain files

	args []string
	cmd  *exec.Cmd
	out  bytes.Buffer
}

var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "versitygw-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "versitygw")
	out, err := exec.Command("go", "build", "-o", path, "github.com/versity/versitygw/cmd/versitygw").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build versitygw: %w: %s", err, out)
	}
	return path, nil
})

// RemoveBinary removes the built server. Call it at the end of TestMain.
func RemoveBinary() {
	if path, err := binary(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
}

// Start runs a server until the test ends.
func Start(t *testing.T, tls bool) *Gateway {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	g := &Gateway{Endpoint: freePort(t), Folder: filepath.Join(root, "objects")}
	if err := os.Mkdir(g.Folder, 0o700); err != nil {
		t.Fatal(err)
	}
	g.args = []string{path, "--access", AccessKey, "--secret", SecretKey, "--region", Region, "--port", g.Endpoint, "--keep-alive", "--quiet"}
	if tls {
		cert, key := certificate(t, root)
		g.CA = cert
		g.args = append(g.args, "--cert", cert, "--key", key)
	}
	g.args = append(g.args, "posix", g.Folder)
	g.Run(t)
	t.Cleanup(g.Kill)
	return g
}

// Run starts the server's process, again after Kill.
func (g *Gateway) Run(t *testing.T) {
	t.Helper()
	g.cmd = exec.Command(g.args[0], g.args[1:]...)
	g.cmd.Dir = g.Folder
	g.cmd.Stdout, g.cmd.Stderr = &g.out, &g.out
	if err := g.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for range 200 {
		c, err := net.DialTimeout("tcp", g.Endpoint, time.Second)
		if err == nil {
			_ = c.Close()
			return
		}
		time.Sleep(50 * time.Millisecond) // polling: the server says nothing when it is up
	}
	g.Kill()
	t.Fatalf("versitygw does not answer: %s", g.out.String())
}

// Kill ends the process at once.
func (g *Gateway) Kill() {
	if g.cmd != nil {
		_ = g.cmd.Process.Kill()
		_ = g.cmd.Wait()
		g.cmd = nil
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func certificate(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "versitygw test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}
