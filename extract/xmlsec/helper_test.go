package xmlsec_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sekretariat/extract/xmlsec"
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

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(samples(t), name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// need skips the test if a Debian tool is missing.
func need(t testing.TB, tool, pkg string) {
	t.Helper()
	if _, err := exec.LookPath(tool); err != nil {
		t.Skipf("%s is missing: apt-get install %s", tool, pkg)
	}
}

// xmllint runs xmllint on a document.
func xmllint(t testing.TB, doc []byte, args ...string) ([]byte, error) {
	t.Helper()
	cmd := exec.Command("xmllint", append(append([]string{"--nonet"}, args...), "-")...)
	cmd.Stdin = bytes.NewReader(doc)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || strings.Contains(stderr.String(), "error") {
		return out, fmt.Errorf("xmllint: %v: %s", err, stderr.String())
	}
	return out, nil
}

// algorithms are our methods and how xmllint is asked for the same.
var algorithms = []struct{ ours, flag string }{
	{xmlsec.C14N10WithComments, "--c14n"},
	{xmlsec.C14N11WithComments, "--c14n11"},
	{xmlsec.ExcC14NComments, "--exc-c14n"},
}

func canonical(t testing.TB, doc []byte, algorithm string) ([]byte, error) {
	t.Helper()
	d, err := xmlsec.Parse(bytes.NewReader(doc), xmlsec.Limits{}, nil)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := d.Canonical(&b, xmlsec.Method{Algorithm: algorithm}, nil); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func mustParse(t testing.TB, doc []byte) *xmlsec.Document {
	t.Helper()
	d, err := xmlsec.Parse(bytes.NewReader(doc), xmlsec.Limits{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
