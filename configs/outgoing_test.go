package configs

import (
	"strings"
	"testing"
	"time"
)

func centreWith(t *testing.T, more string) (*Centre, error) {
	t.Helper()
	return ParseCentre([]byte("id: test\nname: Ośrodek\ndepartments:\n  - { id: sekretariat, name: Sekretariat }\n"+more), "test.yaml")
}

func TestParkingAndAcknowledgementAreChecked(t *testing.T) {
	for more, want := range map[string]string{
		"parking: { off: [spam, x] }":                                                                            `"x" is not allowed here`,
		"parking: { keep: [uw.example] }":                                                                        "neither an address nor an @domain",
		"parking: { hold_until: \"25:00\" }":                                                                     "is no hour",
		"parking: { not_registered: [{ id: a, category: inne, subject: [x] }] }":                                 `"inne" is not allowed here`,
		"parking: { not_registered: [{ id: a, category: robocze }] }":                                            "no mail at all would be registered",
		"parking: { not_registered: [{ id: a, category: robocze, subject: [x], hold: true }] }":                  "parking.hold_until",
		"parking: { not_registered: [{ id: a, category: robocze, accounts: [nie-ma] }] }":                        "nie-ma",
		"mailboxes:\n  - { id: a, spam_headers: [{ name: \"X Spam\", contains: YES }] }":                         "no name of a header field",
		"mailboxes:\n  - { id: a, spam_headers: [{ name: X-Spam }] }":                                            "either \"contains\" or \"at_least\"",
		"acknowledgement: { on: true, smtp: { server: relay.example:25, tls: none } }":                           "in the clear",
		"acknowledgement: { on: true, from: nikt, smtp: { server: relay.example:25 } }":                          "no e-mail address",
		"acknowledgement: { per_day: 20000 }":                                                                    "20000 is not possible",
		"acknowledgement: { accounts: [nie-ma] }":                                                                "no mailbox",
		"acknowledgement: { templates: [{ label: przemoc, subject: x }] }":                                       "\"text\" is missing",
		"acknowledgement: { templates: [{ text: a }, { text: b }] }":                                             "another template",
		"acknowledgement: { on: true, from: a@b.example, smtp: { server: relay.example:587, password: geheim} }": "never written into the configuration",
	} {
		_, err := centreWith(t, more)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s:\n%v, want %q", more, err, want)
		}
	}
}

func TestAcknowledgementNeedsARelay(t *testing.T) {
	c, err := centreWith(t, "acknowledgement: { on: true, from: a@b.example }")
	if err != nil {
		t.Fatal(err)
	}
	if c.Acknowledgement.On || !strings.Contains(strings.Join(c.Warnings, " "), "potwierdzenie wpływu. Brakuje: serwer") {
		t.Errorf("on %v, warnings %q", c.Acknowledgement.On, c.Warnings)
	}
	c, err = centreWith(t, "acknowledgement: { on: true, from: a@b.example, smtp: { server: \"relay.example:587\" } }")
	if err != nil || !c.Acknowledgement.On || c.Acknowledgement.SMTP.TLS != "starttls" || c.Acknowledgement.PerSender != 1 {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err = centreWith(t, ""); err != nil || c.Acknowledgement.On {
		t.Errorf("off by default: %v, %v", c.Acknowledgement.On, err)
	}
}

// The hour on the wall counts, also when the clock is changed in the night.
func TestHoldFrom(t *testing.T) {
	p := Parking{HoldUntil: "14:00"}
	for _, c := range []struct{ now, want string }{
		{"2026-06-15T08:00:00+02:00", "2026-06-15T14:00:00+02:00"},
		{"2026-06-15T14:00:00+02:00", "2026-06-16T14:00:00+02:00"},
		{"2026-03-28T15:00:00+01:00", "2026-03-29T14:00:00+02:00"},
		{"2026-10-24T15:00:00+02:00", "2026-10-25T14:00:00+01:00"},
		{"2026-12-31T23:59:59+01:00", "2027-01-01T14:00:00+01:00"},
	} {
		now, _ := time.Parse(time.RFC3339, c.now)
		want, _ := time.Parse(time.RFC3339, c.want)
		if got := p.HoldFrom(now); !got.Equal(want) {
			t.Errorf("held at %s until %s, want %s", c.now, got, want)
		}
	}
}
