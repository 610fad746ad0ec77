package pipeline_test

import (
	"bytes"
	"testing"
	"time"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/extract/edoreczenia"
	"sekretariat/ledger"
	"sekretariat/pipeline"
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
// its words; those without a case to the sekretariat.
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
}

// A centre that does not number proofs has them delivered all the same: without
// a number to the department of the case, once, through a repetition of every
// step; without a case they lie with the sekretariat.
func TestProofsWithoutANumber(t *testing.T) {
	o := open(t, nil, func(c *configs.Centre) { c.Departments[2].Symbol, c.Proofs = []string{"BZD"}, configs.ProofsPark })
	known, unknown := o.proof("BZD.5120.1.2026 mąż bije"), o.proof("mąż bije")
	o.run()
	parked := func(l *sekretariat.Letter) bool { return l.Status == sekretariat.StatusParked || routed(l) }
	l := o.await(known, "an outcome", parked)
	if l.Status != sekretariat.StatusParked || l.Reason != sekretariat.ParkProof || !l.Handed() || l.Department != "bezdomnosc" || l.Reading.Key == "" {
		t.Errorf("%s, %s, with %s, reading %q", l.Status, l.Reason, l.Department, l.Reading.Key)
	}
	want := "handed.v1 " + string(known) + " 1"
	o.awaitQueue("bezdomnosc", want)
	if _, err := o.pipe.Open(t.Context(), o.who("bezdomnosc"), known); err != nil {
		t.Errorf("the department cannot open the proof: %v", err)
	}
	if l := o.await(unknown, "an outcome", parked); l.Status != sekretariat.StatusParked || l.Handed() || l.Department != sekretariat.Sekretariat {
		t.Errorf("%s, %s, with %s", l.Status, l.Reason, l.Department)
	}
	err := o.log.Replay(t.Context(), ledger.Letter, 1, func(s ledger.Stored) error { return pipeline.Handle(o.pipe, t.Context(), s) })
	if err != nil {
		t.Fatal(err)
	}
	o.awaitQueue("bezdomnosc", want)
	if r := o.verified(); r.Handed != 1 || r.Parked != 2 || r.Registered != 0 {
		t.Errorf("verify counts %d handed, %d parked, %d registered", r.Handed, r.Parked, r.Registered)
	}
	// Whoever wants a number for it gets one.
	if err := o.pipe.Release(t.Context(), o.clerk(), known); err != nil {
		t.Fatal(err)
	}
	if l := o.await(known, "a decision", routed); l.Department != "bezdomnosc" || l.Number.IsZero() || l.Decision.Urgency != sekretariat.Normal {
		t.Errorf("released: %+v, number %v", l.Decision, l.Number)
	}
}
