package world

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// Servers are the NATS and S3 servers of an installation whose roles run
// apart.
type Servers struct {
	NATS                               string // URL
	S3, S3CA, Region, Access, SecretID string // endpoint, PEM file, region, access key, secret key
}

// Secrets makes the secrets of an installation whose roles run apart.
func (w *World) Secrets(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(w.Dir, "secrets")
	if _, errs, code := w.Run("init", "--dir", dir); code != 0 {
		t.Fatalf("init: %s", errs)
	}
	return dir
}

// Role writes the installation file of one role, with a data folder of its own
// and the secrets that it needs, and returns the file.
func (w *World) Role(t testing.TB, name string, s Servers, secrets ...string) string {
	t.Helper()
	data := filepath.Join(w.Dir, name)
	if err := os.MkdirAll(filepath.Join(data, "secrets"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, f := range append([]string{"office.key", "idempotency.key", "service.creds"}, secrets...) {
		raw, err := os.ReadFile(filepath.Join(w.Dir, "secrets", f))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(data, "secrets", f), raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for f, content := range map[string]string{"s3-access": s.Access, "s3-secret": s.SecretID} {
		if err := os.WriteFile(filepath.Join(data, f), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	desk, scanners := w.Desk, w.Scanners
	if name != "desk" {
		desk = freeAddr(t)
	}
	text := fmt.Sprintf(`data: %s
nats: { url: %q, credentials: %q, replicas: 1 }
storage:
  s3: { endpoint: %q, region: %s, bucket: sekretariat, key_bucket: sekretariat-keys, path_style: true, ca: %q,
        access_key: { file: %q }, secret_key: { file: %q } }
listen: { desk: %q, scanners: %q }
centres: [demo.yaml]
`, data, s.NATS, filepath.Join(data, "secrets", "service.creds"), s.S3, s.Region, s.S3CA, filepath.Join(data, "s3-access"), filepath.Join(data, "s3-secret"), desk, scanners)
	path := filepath.Join(w.Dir, "installation-"+name+".yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
