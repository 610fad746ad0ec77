package desk

import (
	"strings"
	"testing"

	"sekretariat"
)

// A proof that lies with nobody says so (rule P11); a further reading that
// points elsewhere is told, and moves nothing.
func TestProofAndHintOnThePage(t *testing.T) {
	l := sekretariat.Letter{
		ID:     sekretariat.NewLetterID(sekretariat.SubmissionID(strings.Repeat("ef", 32)), 1),
		Status: sekretariat.StatusParked, Reason: sekretariat.ParkProof, Department: sekretariat.Sekretariat,
	}
	handed := l
	handed.Department, handed.Revision = "bezdomnosc", 1
	const nobody = "Dowód bez sprawy"
	if page := rendered(t, "pismo", letterData{Letter: &l}); !strings.Contains(page, nobody) {
		t.Error("nothing says that the proof belongs to no case")
	}
	if page := rendered(t, "pismo", letterData{Letter: &handed}); strings.Contains(page, nobody) {
		t.Error("a proof that a department has is said to belong to no case")
	}
	routed := sekretariat.Letter{ID: l.ID, Status: sekretariat.StatusRouted}
	if page := rendered(t, "pismo", letterData{Letter: &routed, Hint: "Dział Świadczeń"}); !strings.Contains(page, "wskazuje inny dział: <b>Dział Świadczeń</b>") {
		t.Error("the hint is not on the page")
	}
}
