package epuapdoc_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"sekretariat"
	"sekretariat/extract/epuapdoc"
)

// samples returns the folder of the ePUAP samples, or skips.
func samples(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("SEKRETARIAT_TESTDATA")
	if dir == "" {
		wd, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for wd != "/" {
			if _, err := os.Stat(filepath.Join(wd, "go.mod")); err == nil {
				break
			}
			wd = filepath.Dir(wd)
		}
		dir = filepath.Join(wd, "..", "shared", "testdata")
	}
	dir = filepath.Join(dir, "epuap")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("test data not found in %s: set SEKRETARIAT_TESTDATA", dir)
	}
	return dir
}

func sample(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(samples(t), name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func read(t testing.TB, doc string, source map[string]string) sekretariat.Reading {
	t.Helper()
	r, err := epuapdoc.Read(context.Background(), bytes.NewReader([]byte(doc)), source)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// has tells whether the reading has a finding.
func has(r sekretariat.Reading, code, part string) bool {
	for _, f := range r.Findings {
		if f.Code == code && f.Part == part {
			return true
		}
	}
	return false
}

type expectedSender struct {
	Kind, Name, Email, Phone, PESEL, NIP, REGON, KRS string
	First                                            string `json:"first_name"`
	Last                                             string `json:"last_name"`
}

type expected struct {
	Kind, Parse, Subject string
	Root                 string
	Space                string `json:"root_namespace"`
	LetterKind           string `json:"letter_kind"`
	Body                 []string
	Senders              []expectedSender
	Signatures           []json.RawMessage
	Attachments          []struct {
		Name, Format, Coding, SHA256_hex, URI string
		Description                           string
		Size                                  int64
	}
	UPPID  string `json:"upp_id"`
	UPDID  string `json:"upd_id"`
	CaseID string `json:"case_id"`
	DocID  string `json:"document_id"`
}

func expectations(t *testing.T) map[string]expected {
	t.Helper()
	var e map[string]expected
	if err := json.Unmarshal(sample(t, "expected.json"), &e); err != nil {
		t.Fatal(err)
	}
	return e
}
