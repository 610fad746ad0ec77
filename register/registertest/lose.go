package registertest

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sekretariat/ledger"
)

// Lose removes one event behind the ledger's back, as a damaged disk does.
func Lose(t testing.TB, o *Office, s ledger.StreamName, seq uint64) {
	t.Helper()
	nc, err := nats.Connect(o.Ledger.URL(), nats.UserCredentials(filepath.Join(o.Dir, "nats", "secrets", "service.creds")), nats.CustomInboxPrefix("_INBOX_service"))
	o.must(err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	o.must(err)
	stream, err := js.Stream(t.Context(), "SK-"+strings.ToUpper(string(Centre)+"-"+string(s)))
	o.must(err)
	o.must(stream.DeleteMsg(t.Context(), seq))
}
