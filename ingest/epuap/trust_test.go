package epuap

import (
	"context"
	"strings"
	"testing"
	"time"

	"sekretariat/ingest/epuap/epuaptest"
)

func TestResponseSignatures(t *testing.T) {
	for _, c := range []struct {
		signing epuaptest.Signing
		verify  string
		pinned  bool
		taken   bool
		verdict string
		code    string
	}{
		{epuaptest.Signed, "require", true, true, "pinned", "ok"},
		{epuaptest.Signed, "", true, true, "pinned", "ok"},
		{epuaptest.Unsigned, "", true, false, "", "signature"},
		{epuaptest.WrongSigned, "require", true, false, "", "signature"},
		{epuaptest.OtherSigned, "require", true, false, "", "signature"},
		{epuaptest.OtherSigned, "warn", true, true, "unpinned", "signature"},
		{epuaptest.WrongSigned, "warn", true, true, "invalid", "signature"},
		{epuaptest.Unsigned, "warn", true, true, "unsigned", "signature"},
		{epuaptest.Signed, "", false, true, "unpinned", "ok"},
		{epuaptest.Unsigned, "", false, true, "unsigned", "ok"},
		{epuaptest.WrongSigned, "", false, true, "invalid", "signature"},
		{epuaptest.WrongSigned, "off", true, true, "invalid", "ok"},
	} {
		h := newHouse(t, epuaptest.Options{Signing: c.signing})
		h.options.Account.VerifyResponse = c.verify
		if c.pinned {
			h.options.Account.Pins = []string{strings.ToUpper(h.Pin())}
		}
		h.put(t, epuaptest.Document{Content: []byte("x")})
		ch := h.channel(t)
		h.run(t, ch, 2)
		letters, _ := h.memory.letters()
		if taken := len(letters) == 1 && len(h.Confirmed(address)) == 1; taken != c.taken {
			t.Errorf("%+v: taken %v", c, taken)
		} else if taken && h.memory.kept[0].Source["odpowiedz.podpis"] != c.verdict {
			t.Errorf("%+v: verdict %q", c, h.memory.kept[0].Source["odpowiedz.podpis"])
		}
		if got := ch.Health(); got.Code != c.code || got.OK != c.taken {
			t.Errorf("%+v: health %+v", c, got)
		}
	}
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*house, *Options)
		code   string
	}{
		"unknown certificate": {func(h *house, o *Options) {
			other, err := epuaptest.New(epuaptest.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if o.Certificate, o.Key, err = other.NewSystem("mopsprzykladowo"); err != nil {
				t.Fatal(err)
			}
		}, "login"},
		"foreign entity": {func(_ *house, o *Options) { o.Account.Entity = "innypodmiot" }, "refused"},
		"unknown box":    {func(_ *house, o *Options) { o.Account.Address = "/mopsprzykladowo/inna" }, "refused"},
		"wrong name":     {func(_ *house, o *Options) { o.Account.Name = "SkrytkaESP" }, "refused"},
		"wrong path":     {func(_ *house, o *Options) { o.Account.URL += "x" }, "platform"},
		"nobody there":   {func(h *house, _ *Options) { h.server.Close() }, "connect"},
		"key of another certificate": {func(h *house, o *Options) {
			_, key, err := h.NewSystem()
			if err != nil {
				t.Fatal(err)
			}
			o.Key = key
		}, "certificate"},
		"no certificate": {func(_ *house, o *Options) { o.Certificate = nil; o.Account.Cert = "/nicht/da.pem" }, "certificate"},
		"no key":         {func(_ *house, o *Options) { o.Key = nil }, "certificate"},
	} {
		h := newHouse(t, epuaptest.Options{})
		h.put(t, epuaptest.Document{Content: []byte("x")})
		c.change(h, &h.options)
		ch := h.channel(t)
		h.run(t, ch, 2)
		if got := ch.Health(); got.OK || got.Code != c.code || got.Message == "" || got.Waiting != -1 {
			t.Errorf("%s: %+v", name, got)
		}
		if letters, _ := h.memory.letters(); len(letters) != 0 {
			t.Errorf("%s: a letter was taken", name)
		}
		if _, err := ch.Waiting(context.Background()); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestClockSkew: the platform refuses an old Timestamp; the channel learns the
// platform's time from the refusal and goes on.
func TestClockSkew(t *testing.T) {
	for _, skew := range []time.Duration{-3 * time.Hour, 20 * time.Minute} {
		h := newHouse(t, epuaptest.Options{})
		h.Skew(skew)
		h.put(t, epuaptest.Document{Content: []byte("x"), Sent: time.Now()})
		c := h.channel(t)
		if pauses := h.run(t, c, 5); len(pauses) != 2 {
			t.Errorf("skew %v: %d rounds, %+v", skew, len(pauses), c.Health())
		}
		h.complete(t, "x")
		if got := c.Health(); !got.OK || !strings.Contains(got.Message, "Zegar") {
			t.Errorf("skew %v: %+v", skew, got)
		}
	}
}

func TestCertificateExpiry(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	h := newHouse(t, epuaptest.Options{Clock: func() time.Time { return now }})
	c := h.channel(t)
	expires := now.AddDate(2, 0, 0) // what epuaptest gives
	for _, step := range []struct {
		left time.Duration
		ok   bool
		code string
		text string
	}{
		{90 * 24 * time.Hour, true, "ok", ""},
		{59 * 24 * time.Hour, true, "certificate", "za 59 dni"},
		{6*24*time.Hour + time.Minute, true, "certificate", "za 6 dni"},
		{-time.Hour, false, "certificate", "stracił ważność 01.11.2028"},
	} {
		now = expires.Add(-step.left)
		h.run(t, c, 1)
		if got := c.Health(); got.OK != step.ok || got.Code != step.code || !strings.Contains(got.Message, step.text) {
			t.Errorf("%v left: %+v", step.left, got)
		}
	}
}
