package sekretariat_test

import (
	"testing"

	"sekretariat"
)

// The addresses with a right checksum are those of the published examples of
// the UA API and of its integration manual.
func TestADE(t *testing.T) {
	for address, want := range map[string]struct{ form, sum bool }{
		"AE:PL-43563-82585-JHWCF-30":  {true, true},
		"AE:PL-28080-40239-TUSBF-26":  {true, true},
		"AE:PL-13447-72418-ECVIU-30":  {true, true},
		"AE:PL-97075-47631-STVJH-19":  {true, true},
		"AE:PL-00000-00013-AAAAA-06":  {true, true},
		"AE:PL-00000-00014-AAAAA-05":  {true, true},
		"AE:PL-00000-00014-AAAAA-06":  {true, false},
		"AE:PL-12345-67890-ABCDE-12":  {true, false},
		"AE:PL-43563-82585-JHWCF-31":  {true, false},
		"AE:PL-82585-43563-JHWCF-30":  {true, true}, // groups exchanged: not caught
		"ae:pl-43563-82585-jhwcf-30":  {false, false},
		"AE:PL-43563-82585-JHWCF-3":   {false, false},
		"AE:PL-43563-82585-JHWCF-30 ": {false, false},
		"":                            {false, false},
	} {
		if got := sekretariat.ValidADE(address); got != want.form {
			t.Errorf("ValidADE(%q) = %v", address, got)
		}
		if got := sekretariat.CheckedADE(address); got != want.sum {
			t.Errorf("CheckedADE(%q) = %v", address, got)
		}
	}
}
