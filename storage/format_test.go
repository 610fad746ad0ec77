package storage_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sekretariat/storage"
	"sekretariat/storage/storetest"
)

// The program in docs/storage.md reads what the vault wrote: the document is
// right, and a second implementation agrees.
func TestDocumentedProgramReadsObjects(t *testing.T) {
	if err := exec.Command("python3", "-c", "import cryptography").Run(); err != nil {
		t.Skip("python3 with the package cryptography is not installed (apt install python3-cryptography)")
	}
	doc, err := os.ReadFile("../docs/storage.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, ok := strings.Cut(string(doc), "```python\n")
	program, _, ok2 := strings.Cut(after, "```")
	if !ok || !ok2 {
		t.Fatal("docs/storage.md has no program")
	}
	root := t.TempDir()
	objects, keys := openDir(t, filepath.Join(root, "objects")), openDir(t, filepath.Join(root, "keys"))
	office := filepath.Join(root, "office.key")
	if err := storage.CreateOfficeKey(office, "first"); err != nil {
		t.Fatal(err)
	}
	loaded, err := storage.LoadOfficeKeys(office)
	if err != nil {
		t.Fatal(err)
	}
	v := storage.NewVault(storage.NewDirect(objects, keys, root), storage.NewKeyStore(keys, loaded))
	id := submissionID("documented")
	for _, n := range []int{0, 5, 65536, 200_000} {
		want := storetest.Content(int64(n), n)
		sp := spool(t, v, want)
		key := storage.OriginalKey(centre, id, sp.Facts().SHA256)
		if err := v.Commit(t.Context(), centre, id, []storage.SealItem{{Key: key, Spool: sp}}); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("python3", "-c", program, office, filepath.Join(root, "keys"), filepath.Join(root, "objects"), string(centre), key)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		got, err := cmd.Output()
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d octets: %d, %v %s", n, len(got), err, stderr.String())
		}
	}
}
