package edoreczenia

import (
	"encoding/json"
	"os"
	"testing"
)

type rawT = json.RawMessage

func raws(list []string) (out []json.RawMessage) {
	for _, s := range list {
		out = append(out, json.RawMessage(s))
	}
	return out
}

func writeFile(t testing.TB, name string, b []byte) {
	t.Helper()
	must(t, os.WriteFile(name, b, 0o600))
}
