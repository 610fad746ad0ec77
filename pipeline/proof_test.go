package pipeline_test

import (
	"bytes"
	"testing"
	"time"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/extract/edoreczenia"
)

// proof takes in proof of what became of a letter that was sent.
func (o *office) proof(subject string) sekretariat.LetterID {
	o.t.Helper()
	var b bytes.Buffer
	w, err := edoreczenia.NewWriter(&b, edoreczenia.KindProof, "AE:PL-00000-00013-AAAAA-06", subject)
	if err == nil {
		err = w.Message([]byte(`{"messageMetadata":{"subject":"` + subject + `"}}`))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		o.t.Fatal(err)
	}
	ticket, err := o.intake.Take(o.t.Context(), sekretariat.Delivery{
		Centre: o.cfg.ID, Kind: sekretariat.KindEDelivery, Door: sekretariat.DoorUAAPI, Account: "ade", Proof: true, MediaType: edoreczenia.MediaType,
		Identity: func(sekretariat.BodyFacts) []string {
			return []string{"ade", subject, "proof", edoreczenia.ClassDelivered}
		},
		Arrived: sekretariat.Arrival{At: time.Now().Add(-time.Hour), Basis: sekretariat.BasisMailbox},
		Source:  map[string]string{edoreczenia.SourceClass: edoreczenia.ClassDelivered, edoreczenia.SourceAboutSubject: subject},
	}, &b)
	if err != nil {
		o.t.Fatal(err)
	}
	r, err := ticket.Wait(o.t.Context())
	if err != nil {
		o.t.Fatal(err)
	}
	return sekretariat.NewLetterID(r.Submission, 1)
}

// Proofs go to the department of the case that their letter names, whatever
// its words; those without a case to the sekretariat. A centre may park them.
func TestProofs(t *testing.T) {
	symbols := func(c *configs.Centre) { c.Departments[2].Symbol = []string{"BZD"} }
	o := open(t, nil, symbols)
	known, unknown := o.proof("BZD.5120.1.2026 mąż bije"), o.proof("mąż bije")
	o.run()
	if l := o.await(known, "a decision", routed); l.Department != "bezdomnosc" || l.Decision.Urgency != sekretariat.Normal || l.Number.IsZero() {
		t.Errorf("decided %+v, number %v", l.Decision, l.Number)
	}
	if l := o.await(unknown, "a decision", routed); l.Department != sekretariat.Sekretariat || l.Decision.Urgency != sekretariat.Normal {
		t.Errorf("decided %+v", l.Decision)
	}
	o = open(t, nil, symbols, func(c *configs.Centre) { c.Proofs = configs.ProofsPark })
	id := o.proof("BZD.5120.1.2026")
	o.run()
	l := o.await(id, "an outcome", func(l *sekretariat.Letter) bool { return l.Status == sekretariat.StatusParked || routed(l) })
	if l.Status != sekretariat.StatusParked || l.Reason != sekretariat.ParkProof {
		t.Errorf("%s, %s", l.Status, l.Reason)
	}
}
