package extract

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sekretariat"
)

// A glance at a mail without attachments is its whole reading: that is what
// sorting relies on when it hands its glance on.
func TestGlanceAtPlainMailIsItsReading(t *testing.T) {
	root := os.Getenv("SEKRETARIAT_TESTDATA")
	if root == "" {
		root = filepath.Join("..", "..", "shared", "testdata")
	}
	if _, err := os.Stat(root); err != nil {
		t.Skip("the test data is not here; set SEKRETARIAT_TESTDATA to its folder")
	}
	d, n := Direct{Temp: t.TempDir()}, 0
	err := filepath.WalkDir(filepath.Join(root, "mail"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || filepath.Ext(path) != ".eml" {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil || len(raw) > 256<<10 {
			return err
		}
		in := Input{Kind: sekretariat.KindMail, Glance: true, Headers: []string{"X-Loop"}, Body: bytes.NewReader(raw)}
		glance, err := d.Read(t.Context(), in)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(glance.Parts, func(p sekretariat.Part) bool { return p.Attachment || p.Fate != "text" }) {
			return nil
		}
		n++
		in.Glance, in.Body = false, bytes.NewReader(raw)
		whole, err := d.Read(t.Context(), in)
		if err != nil {
			return err
		}
		if diff := cmp.Diff(whole, glance); diff != "" {
			t.Errorf("%s: (-whole +glance)\n%s", filepath.Base(path), diff)
		}
		return nil
	})
	if err != nil || n < 100 {
		t.Errorf("%d plain mails compared, %v", n, err)
	}
}
