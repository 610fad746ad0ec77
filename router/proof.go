package router

import (
	"slices"

	"sekretariat"
)

// becauseProof: proof of what became of a letter that was sent, and nothing
// says which case it belongs to.
const becauseProof = "proof"

// RuleAbout is the rule id of a proof that belongs to a letter in the register:
// it goes where that letter is. Only the pipeline knows letters by their
// platform's ids, so it decides so, over a decision for which OpenProof is true.
const RuleAbout = "about"

// OpenProof tells whether a decision is about a proof that names no case.
func OpenProof(d sekretariat.Decision) bool {
	return d.Rule == ruleFallback && slices.ContainsFunc(d.Evidence, func(e sekretariat.Evidence) bool { return e.Term == becauseProof })
}

// autoReceipt is Reading.Auto of such a proof (extract/edoreczenia,
// extract/epuapdoc).
const autoReceipt = "receipt"

// isProof tells whether a letter is proof of what became of a letter that the
// office sent by one of the official ways. A receipt of e-mail proves nothing.
func isProof(f Facts) bool {
	return f.Reading.Auto == autoReceipt && (f.Arrived.Kind == sekretariat.KindEDelivery || f.Arrived.Kind == sekretariat.KindEPUAP)
}

// proof gives a proof to the department of its case; without one to the
// sekretariat. What the letter was about is no matter of today: its words open
// nothing and hurry nobody (rule P11).
func (r *Router) proof(f Facts) sekretariat.Decision {
	d := sekretariat.Decision{Urgency: sekretariat.Normal, Config: r.centre.Version}
	for _, c := range casePrefixes(f.Reading) {
		i := slices.IndexFunc(r.symbols, func(s symbol) bool { return prefixOf(s.folded, c) })
		if i < 0 {
			continue
		}
		s := r.symbols[i]
		d.Department, d.Instead = r.centre.Substitute(s.department, f.Now)
		d.Rule, d.Confidence = ruleCase, 1
		d.Evidence = []sekretariat.Evidence{{Field: "case", Term: s.term}}
		return d
	}
	d.Department, d.Rule = sekretariat.Sekretariat, ruleFallback
	d.Evidence = []sekretariat.Evidence{{Field: "fallback", Term: becauseProof}}
	return d
}
