package epuapdoc_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sekretariat"
	"sekretariat/extract/epuapdoc"
	"sekretariat/extract/trust"
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
	r, err := epuapdoc.Read(context.Background(), bytes.NewReader([]byte(doc)), epuapdoc.Options{Source: source})
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

type expectedSignature struct {
	Type, Verdict, Crypto, PESEL string
	First                        string `json:"first_name"`
	Last                         string `json:"last_name"`
	CN                           string `json:"signer_cn"`
	Claims                       string `json:"claims_format"`
	Account                      string `json:"epuap_account"`
	Covers                       *bool  `json:"covers_document"`
}

// trusted is what the office of the samples trusts.
func trusted(t testing.TB) *trust.List {
	t.Helper()
	var entries []trust.Entry
	for name, role := range map[string]trust.Role{
		"pz.pem": trust.ProfilZaufany, "q-ca.pem": trust.Qualified, "os-ca.pem": trust.Personal, "upp.pem": trust.Platform,
	} {
		block, _ := pem.Decode(sample(t, filepath.Join("certs", name)))
		entries = append(entries, trust.Entry{Role: role, DER: block.Bytes})
	}
	l, err := trust.New(entries)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func readTrusting(t testing.TB, doc []byte) sekretariat.Reading {
	t.Helper()
	r, err := epuapdoc.Read(context.Background(), bytes.NewReader(doc), epuapdoc.Options{Trust: trusted(t), At: time.Date(2026, 5, 4, 8, 0, 0, 0, time.UTC)})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// compareSignature compares with the oracle.
func compareSignature(t *testing.T, s sekretariat.Signature, e expectedSignature) {
	t.Helper()
	p := sekretariat.Party{}
	if s.Signer != nil {
		p = *s.Signer
	}
	if s.Kind != e.Type || s.Verdict != e.Verdict || s.Crypto != e.Crypto || s.Claims != e.Claims || e.Covers != nil && s.Covers != *e.Covers {
		t.Errorf("signature %+v, want %+v", s, e)
	}
	if e.First != "" && (p.GivenName != e.First || p.FamilyName != e.Last) || e.Verdict != "untrusted" && p.IDs["PESEL"] != e.PESEL || p.IDs["ePUAP"] != e.Account {
		t.Errorf("signer %+v, want %+v", p, e)
	}
	if e.CN != "" && e.Type != "seal" && p.Name != e.CN {
		t.Errorf("signer %q, want %q", p.Name, e.CN)
	}
	if s.Text == "" || (s.Verdict == "valid") != (strings.Contains(s.Text, ", ważny") || strings.Contains(s.Text, ", ważna")) {
		t.Errorf("text %q for %s", s.Text, s.Verdict)
	}
}

type expected struct {
	Kind, Parse, Subject string
	Encoding             string
	Root                 string
	Space                string `json:"root_namespace"`
	LetterKind           string `json:"letter_kind"`
	Body                 []string
	Senders              []expectedSender
	Signatures           []expectedSignature
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
