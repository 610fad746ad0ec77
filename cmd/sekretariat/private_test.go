package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// privateDemo looks for what the demo's letters tell of people in everything
// that lies open: the streams, the journal, the register, the names and the
// octets of all objects but the configuration (invariant I5).
func privateDemo(t *testing.T, data string) {
	all, err := samples()
	if err != nil {
		t.Fatal(err)
	}
	var secrets []string
	for _, s := range all {
		// A short subject may be a term of a rule, which decisions do name.
		for i, v := range []string{s.From.Name, s.From.Email, s.From.Phone, s.Body[:min(40, len(s.Body))], s.Subject} {
			if len(v) > 8 && (i < 3 || len(v) > 30) {
				secrets = append(secrets, v)
			}
		}
	}
	files, journals := 0, 0
	look := func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "k":
			return fs.SkipDir
		case d.IsDir():
			return nil
		}
		files++
		raw, err := os.ReadFile(path)
		if strings.HasSuffix(path, ".jsonl") && bytes.Contains(raw, []byte(`.v1"`)) {
			journals++
		}
		for _, s := range secrets {
			if bytes.Contains(raw, []byte(s)) || strings.Contains(path, s) {
				t.Errorf("%s holds %q", path, s)
			}
		}
		return err
	}
	for _, folder := range []string{folderObjects, folderKeys, folderStaging, folderNATS} {
		if err := filepath.WalkDir(filepath.Join(data, folder), look); err != nil {
			t.Fatal(err)
		}
	}
	if len(secrets) < 50 || files < 100 || journals < 3 {
		t.Errorf("looked for %d words in %d files, %d of the journal: too few to prove anything", len(secrets), files, journals)
	}
}
