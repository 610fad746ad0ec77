package world

import (
	"io"
	"path/filepath"
	"testing"

	"sekretariat"
	"sekretariat/extract/mail"
	"sekretariat/pipeline"
	"sekretariat/storage"
	"sekretariat/storage/dir"
)

// Centre is the id of the demo centre.
const Centre sekretariat.CentreID = "demo"

// Vault opens the stored objects of a service that has stopped.
func (w *World) Vault(t testing.TB) *storage.Vault {
	t.Helper()
	keys, err := storage.LoadOfficeKeys(filepath.Join(w.Data, "secrets", "office.key"))
	if err != nil {
		t.Fatal(err)
	}
	var drivers []storage.Store
	for _, name := range []string{"objects", "keys"} {
		d, err := dir.Open(filepath.Join(w.Data, name), dir.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = d.Close() })
		drivers = append(drivers, d)
	}
	return storage.NewVault(storage.NewDirect(drivers[0], drivers[1], t.TempDir()), storage.NewKeyStore(drivers[1], keys))
}

// MailDigest is the digest of the stored original of a mail, apart from the
// trace headers on top and from line ends, which the mail server changes.
func MailDigest(t testing.TB, v *storage.Vault, s sekretariat.SubmissionID) string {
	t.Helper()
	m, err := pipeline.Manifest(t.Context(), v, Centre, s)
	if err != nil {
		t.Fatal(err)
	}
	o, err := v.Open(t.Context(), Centre, s, m.Original.Key)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	h := new(mail.IdentityHasher)
	if _, err := io.Copy(h, io.NewSectionReader(o, 0, o.Size())); err != nil {
		t.Fatal(err)
	}
	return string(h.Digest())
}
