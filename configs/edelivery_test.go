package configs

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// A mailbox of e-Doręczenia gets its defaults, says what it lacks, and comes
// back from its stored form as it was.
func TestEDelivery(t *testing.T) {
	c := parseGood(t, `
edelivery:
  - id: ade
    address: AE:PL-00000-00013-AAAAA-06
    system: SEKRETARIAT
    url: https://uaapi.example/api/v3
    token_url: https://iam.example/auth/realms/EDOR/protocol/openid-connect/token
    cert: cert.pem
    key: { file: key.pem }
  - { id: brak, address: AE:PL-00000-00013-AAAAA-07, system: unknown, url: unknown, token_url: "https://iam.example/token", cert: unknown, key: unknown }
`)
	e := c.EDelivery[0]
	if e.Off || e.ClientID != "AE:PL-00000-00013-AAAAA-06.SYSTEM.SEKRETARIAT" || e.Audience != "https://iam.example/auth/realms/EDOR" ||
		e.After != AfterKeep || !*e.Archive || !*e.Sent || !*e.LoginHint {
		t.Errorf("defaults of %+v", e)
	}
	if !c.EDelivery[1].Off {
		t.Error("a mailbox without keys is on")
	}
	said := strings.Join(c.Warnings, "\n")
	for _, want := range []string{"skrzynka e-Doręczeń „brak”", "UA API (url)", "odbiorca tokenu (audience)", "cyfry kontrolne adresu AE:PL-00000-00013-AAAAA-07"} {
		if !strings.Contains(said, want) {
			t.Errorf("the warnings do not say %q:\n%s", want, said)
		}
	}
	stored, err := Canonical(c)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseCentre(stored, "stored.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c, again, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
}
