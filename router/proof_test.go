package router

import (
	"strings"
	"testing"

	"sekretariat"
)

// A proof goes to its case's department, whatever words its letter has; one
// without a case to the sekretariat, which is told so. It hurries nobody.
func TestProofs(t *testing.T) {
	r := newRouter(t, "")
	f := Facts{Arrived: sekretariat.ArrivedLite{Kind: sekretariat.KindEDelivery}, Reading: sekretariat.Reading{
		Auto: "receipt", Reader: "edoreczenia-1", Subject: "Dowód doręczenia: przemoc w rodzinie, mąż bije i grozi nożem",
	}}
	d := r.Decide(f)
	if d.Department != sekretariat.Sekretariat || d.Urgency != sekretariat.Normal || !strings.Contains(r.Explain(d), "dowód bez sprawy") {
		t.Errorf("%+v: %s", d, r.Explain(d))
	}
	f.Reading.CaseNumbers = []string{"XX.1.1.2026", "DPŚ.5120.12.2026"}
	if d := r.Decide(f); d.Department != "pomoc" || d.Rule != ruleCase || d.Urgency != sekretariat.Normal {
		t.Errorf("%+v", d)
	}
	f.Arrived.Kind = sekretariat.KindMail
	if d := r.Decide(f); d.Department == "pomoc" && d.Urgency == sekretariat.Normal {
		t.Errorf("a receipt of e-mail is no proof: %+v", d)
	}
}
