package main

import (
	"strings"
	"time"

	"sekretariat/ingest/edelivery/edeliverytest"
)

// demoADE is the simulated provider of e-Doręczenia of the demo.
type demoADE struct {
	platform *edeliverytest.Platform
	server   *edeliverytest.Server
	keys     edeliverytest.Pair
}

// The mailbox and the external system of the demo, as in configs/demo.yaml.
const (
	demoAddress = "AE:PL-00000-00013-AAAAA-06"
	demoSystem  = "SEKRETARIAT"
	demoSender  = "AE:PL-00000-00014-AAAAA-05"
)

func startADE() (*demoADE, error) {
	d := &demoADE{}
	var err error
	if d.platform, err = edeliverytest.New(edeliverytest.Options{}); err != nil {
		return nil, err
	}
	if d.keys, err = edeliverytest.NewPair("rsa", time.Now()); err != nil {
		return nil, err
	}
	d.platform.AddMailbox(demoAddress, "Ośrodek Pomocy Społecznej w Przykładowie")
	d.platform.Register(demoAddress, demoSystem, d.keys.Parsed)
	d.server, err = d.platform.StartTLS(nil)
	return d, err
}

// send puts a sample into the mailbox, with its text as an attachment too, as
// people do.
func (d *demoADE) send(s sample, at time.Time) error {
	given, family, _ := strings.Cut(s.From.Name, " ")
	_, err := d.platform.Put(demoAddress, edeliverytest.Message{
		Subject: s.Subject, Text: s.Body, From: edeliverytest.Party{ADE: demoSender, FirstName: given, LastName: family},
		Timestamp: at, Receipt: at, Sent: at, Event: at,
		Attachments: []edeliverytest.Attachment{{Name: "pismo.pdf", Type: "application/pdf", Description: "Pismo", Content: s.pdf()}},
	})
	return err
}

// prove says that a letter which somebody sent on the web was delivered.
func (d *demoADE) prove(at time.Time) error {
	_, err := d.platform.Put(demoAddress, edeliverytest.Message{
		Label: "SENT", Subject: "Decyzja DPŚ.5120.3.2026", CaseID: "DPŚ.5120.3.2026", Status: "Doręczona", Text: "Treść decyzji",
		To: []edeliverytest.Party{{ADE: demoSender, FirstName: "Anna", LastName: "Testowa"}}, Timestamp: at, Sent: at, Event: at, Receipt: at,
		Evidences: []edeliverytest.Evidence{{Type: "BPOX", Created: at, Content: edeliverytest.Proof("BPOX", "demo")}},
	})
	return err
}
