package main

import (
	"go/parser"
	"go/token"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var sources = []string{"../configs.go", "../doors.go", "../outgoing.go", "../alarms.go"}

func TestReferenceIsNotStale(t *testing.T) {
	want, err := reference(sources...)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("docs/configuration.md is stale, run: go generate ./configs\n(-code +file)\n%s", diff)
	}
}

func TestEveryKeyIsDescribed(t *testing.T) {
	for _, source := range sources {
		file, err := parser.ParseFile(token.NewFileSet(), source, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for name, typ := range structs(file) {
			if typ.doc == "" {
				t.Errorf("type %s has no doc comment", name)
			}
			for _, f := range typ.fields {
				if f.inline == "" && f.doc == "" {
					t.Errorf("%s.%s has no comment", name, f.key)
				}
			}
		}
	}
}
