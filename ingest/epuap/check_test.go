package epuap

import (
	"context"
	"strings"
	"testing"
	"time"

	"sekretariat/ingest"
	"sekretariat/ingest/epuap/epuaptest"
)

// TestCheck: what an administrator is told, by what is wrong; nothing is taken.
func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		platform epuaptest.Options
		change   func(*house)
		step     string
		verdict  ingest.Verdict
		words    string
	}{
		"good":              {change: func(h *house) { h.options.Account.Pins = []string{h.Pin()} }, step: whatService, verdict: ingest.CheckGood, words: "czeka pism: 1"},
		"good signature":    {change: func(h *house) { h.options.Account.Pins = []string{h.Pin()} }, step: whatSigned, verdict: ingest.CheckGood, words: "z listy pins"},
		"not pinned yet":    {step: whatSigned, verdict: ingest.CheckDoubt, words: "wpisz do pins: "},
		"another signer":    {platform: epuaptest.Options{Signing: epuaptest.OtherSigned}, change: func(h *house) { h.options.Account.Pins = []string{h.Pin()} }, step: whatSigned, verdict: ingest.CheckBad, words: "nie ma na liście pins"},
		"changed answer":    {platform: epuaptest.Options{Signing: epuaptest.WrongSigned}, step: whatSigned, verdict: ingest.CheckBad, words: "nieprawidłowy"},
		"unsigned":          {platform: epuaptest.Options{Signing: epuaptest.Unsigned}, step: whatSigned, verdict: ingest.CheckDoubt, words: "nie jest podpisana"},
		"no such box":       {change: func(h *house) { h.options.Account.Address = "/mopsprzykladowo/inna" }, step: whatService, verdict: ingest.CheckBad, words: "odmówiła dostępu"},
		"wrong key":         {change: func(h *house) { h.options.Key = []byte("x") }, step: whatCertificate, verdict: ingest.CheckBad, words: "Nie można użyć"},
		"nobody there":      {change: func(h *house) { h.server.Close() }, step: whatService, verdict: ingest.CheckBad, words: "Nie ma połączenia"},
		"maintenance":       {change: func(h *house) { h.Inject(epuaptest.Fault{Status: 503}) }, step: whatService, verdict: ingest.CheckBad, words: "niezrozumiale"},
		"clock":             {change: func(h *house) { h.Skew(time.Hour); h.Inject(epuaptest.Fault{}) }, step: whatService, verdict: ingest.CheckBad, words: "zegar"},
		"repository":        {change: func(h *house) { h.options.Account.Repository = h.server.Repo }, step: whatRepository, verdict: ingest.CheckGood, words: "Odpowiada"},
		"no repository":     {change: func(h *house) { h.options.Account.Repository = "http://127.0.0.1:1/x" }, step: whatRepository, verdict: ingest.CheckDoubt, words: "Nie ma połączenia"},
		"certificate's end": {step: whatCertificate, verdict: ingest.CheckGood, words: "Ważny do"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, c.platform)
			h.put(t, epuaptest.Document{Content: []byte("x")})
			if c.change != nil {
				c.change(h)
			}
			for _, k := range h.channel(t).Check(context.Background()) {
				if k.What != c.step {
					continue
				}
				if k.Verdict != c.verdict || !strings.Contains(k.Text, c.words) {
					t.Errorf("%s: %s, want %s with %q", k.Verdict, k.Text, c.verdict, c.words)
				}
				if len(h.Held(address)) != 1 || h.memory.calls != 0 {
					t.Error("a letter was taken")
				}
				return
			}
			t.Errorf("%s was not looked at", c.step)
		})
	}
}
