package pipeline_test

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/extract"
	"sekretariat/extract/xades"
	"sekretariat/ledger"
	"sekretariat/pipeline"
)

// told is a reader that says of each original what it was told to say.
type told map[string]sekretariat.Reading

func (r told) Read(_ context.Context, in extract.Input) (sekretariat.Reading, error) {
	raw, err := io.ReadAll(io.NewSectionReader(in.Body, 0, in.Body.Size()))
	return r[string(raw)], err
}

// uppFor makes a UPP about a document of the platform, sealed as said.
func uppFor(about, day string, seal sekretariat.Signature) sekretariat.Reading {
	return sekretariat.Reading{
		Reader: "test-1", Outcome: sekretariat.ReadOK, Auto: "receipt", Subject: "UPP", MessageID: "upp-" + about, References: []string{about},
		Headers: map[string]string{"poswiadczenie": "UPP", "poswiadczenie.data": day}, Signatures: []sekretariat.Signature{seal},
	}
}

// fromEPUAP takes in a document that was sent at a time.
func (o *office) fromEPUAP(content string, sent time.Time) sekretariat.LetterID {
	o.t.Helper()
	ticket, err := o.intake.Take(o.t.Context(), sekretariat.Delivery{
		Centre: o.cfg.ID, Kind: sekretariat.KindEPUAP, Door: sekretariat.DoorEPUAPPull, Account: "esp", MediaType: "application/xml",
		Identity: func(b sekretariat.BodyFacts) []string { return []string{string(b.SHA256)} },
		Arrived:  sekretariat.Arrival{At: sent, Basis: sekretariat.BasisSent},
	}, strings.NewReader(content))
	if err != nil {
		o.t.Fatal(err)
	}
	r, err := ticket.Wait(o.t.Context())
	if err != nil {
		o.t.Fatal(err)
	}
	return sekretariat.NewLetterID(r.Submission, 1)
}

// noted sees to it that others can find every letter by its platform's id.
func (o *office) noted() {
	o.t.Helper()
	err := o.log.Replay(o.t.Context(), ledger.Letter, 1, func(s ledger.Stored) error { return pipeline.HandleUPP(o.pipe, o.t.Context(), s) })
	if err != nil {
		o.t.Fatal(err)
	}
}

// A letter through ePUAP arrived on the day of its UPP (rule P2), whichever of
// the two comes first and whether or not the UPP gets a number; its deadlines
// are counted from that day. What only looks like a UPP changes nothing.
func TestDayOfTheUPP(t *testing.T) {
	sealed := sekretariat.Signature{Verdict: sekretariat.VerdictValid, Kind: string(xades.TypePlatformSeal), Covers: true}
	forged := sealed
	forged.Verdict = sekretariat.VerdictUntrusted
	person := sealed
	person.Kind = string(xades.TypeProfilZaufany)
	sent := time.Date(2026, 4, 10, 10, 0, 0, 0, time.UTC)
	upd := uppFor("3", "2026-04-14T00:22:31.005+02:00", sealed)
	upd.Headers["poswiadczenie"] = "UPD" // proves what we sent
	const day = "2026-04-14T00:22:31.005+02:00"
	arrived := time.Date(2026, 4, 13, 22, 22, 31, 5_000_000, time.UTC)
	letter := func(id string) sekretariat.Reading {
		return sekretariat.Reading{Reader: "test-1", Outcome: sekretariat.ReadOK, MessageID: id, Subject: "Odwołanie", Text: "Składam odwołanie od decyzji o zasiłku. Proszę o uchylenie decyzji."}
	}
	for _, proofs := range []string{configs.ProofsRegister, configs.ProofsPark} {
		t.Run(proofs, func(t *testing.T) {
			r := told{
				"pierwsze": letter("1"), "upp pierwszego": uppFor("1", day, sealed),
				"drugie": letter("2"), "upp drugiego": uppFor("2", day, sealed),
				"trzecie": letter("3"), "podrobione": uppFor("3", day, forged), "osoby": uppFor("3", day, person),
				"z przyszłości": uppFor("3", "2999-01-01T00:00:00Z", sealed), "bez daty": uppFor("3", "wczoraj", sealed), "upd": upd,
			}
			r["nocleg"] = sekretariat.Reading{Reader: "test-1", Outcome: sekretariat.ReadOK, MessageID: "4", Subject: "nocleg"}
			r["upp noclegu"] = uppFor("4", "bez", forged)
			o := open(t, r, withEPUAP, func(c *configs.Centre) { c.Proofs = proofs })
			o.run()
			first := o.fromEPUAP("pierwsze", sent)
			before := o.await(first, "a decision", routed)
			upp := o.fromEPUAP("upp pierwszego", sent)
			redated := func(l *sekretariat.Letter) bool { return l.Redated == 1 }
			l := o.await(first, "the day of its UPP", redated)
			if !l.Arrived.Arrived.At.Equal(arrived) || l.Arrived.Arrived.Basis != sekretariat.BasisUPP || l.Revision != before.Revision {
				t.Errorf("arrived %+v, revision %d", l.Arrived.Arrived, l.Revision)
			}
			if len(before.Decision.Deadlines) == 0 || before.Decision.Deadlines[0].Start != "2026-04-10" || len(l.Decision.Deadlines) == 0 || l.Decision.Deadlines[0].Start != "2026-04-14" {
				t.Errorf("deadlines %+v became %+v", before.Decision.Deadlines, l.Decision.Deadlines)
			}
			nocleg := o.await(o.fromEPUAP("nocleg", sent), "a decision", routed)
			o.noted()
			if l := o.settled(o.fromEPUAP("upp noclegu", sent)); l.Department != "bezdomnosc" || l.Decided() != (proofs == configs.ProofsRegister) || l.Decided() && l.Decision.Rule != "about" {
				t.Errorf("the proof about a letter of %s is with %s: %+v", nocleg.Department, l.Department, l.Decision)
			}
			o.fromEPUAP("upp drugiego", sent)
			second := o.await(o.fromEPUAP("drugie", sent), "the day of its UPP", redated)
			if !second.Arrived.Arrived.At.Equal(arrived) {
				t.Errorf("arrived %+v", second.Arrived.Arrived)
			}
			third := o.fromEPUAP("trzecie", sent)
			for _, s := range []string{"podrobione", "osoby", "z przyszłości", "bez daty", "upd"} {
				o.settled(o.fromEPUAP(s, sent))
			}
			// All again, as after a crash: each day is changed once.
			err := o.log.Replay(t.Context(), ledger.Letter, 1, func(s ledger.Stored) error { return pipeline.HandleUPP(o.pipe, t.Context(), s) })
			if err != nil {
				t.Fatal(err)
			}
			if l := o.await(third, "a decision", routed); l.Redated != 0 || !l.Arrived.Arrived.At.Equal(sent) {
				t.Errorf("a false UPP changed the day: %+v", l.Arrived.Arrived)
			}
			if l := o.await(first, "a decision", routed); l.Redated != 1 {
				t.Errorf("changed %d times", l.Redated)
			}
			if l := o.settled(upp); l.Redated != 0 || (l.Status == sekretariat.StatusParked) != (proofs == configs.ProofsPark) {
				t.Errorf("the UPP itself: %+v", l)
			}
			o.verified()
			if events, err := o.log.Subject(t.Context(), ledger.Letter, string(first.Submission())); err != nil || !slices.ContainsFunc(events, func(s ledger.Stored) bool {
				d, err := sekretariat.DataOf[sekretariat.RedatedData](s.Event)
				return err == nil && s.Event.Type == sekretariat.EventRedated && d.Before.At.Equal(sent) && d.Code == sekretariat.RedatedByUPP && d.Proof == upp
			}) {
				t.Errorf("the history does not say why: %v", err)
			}
		})
	}
}
