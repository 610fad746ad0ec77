package sekretariat

import "slices"

// Principal is whoever asks to see something: a signed-in person, a department
// system with its token, or the command line of the administrator.
type Principal struct {
	ID     string   // pseudonymous id for the audit trail, never a name
	Centre CentreID // a principal belongs to one centre

	// Departments whose letters the principal works on.
	Departments []DepartmentID
	// Register is the right to see the whole register and every open letter of
	// the centre: the sekretariat.
	Register bool
	// Looks takes the commands out of Register: an auditor sees and changes
	// nothing.
	Looks bool
	// Closed is the right to see closed letters (wrażliwe, "do rąk własnych")
	// outside the departments above. Nobody has it by default.
	Closed bool
	// Quarantine is the right to release a part that the virus scanner locked by
	// mistake, of a letter that the principal sees.
	Quarantine bool
	// Admin is the right to run the installation. It gives no right to content
	// (rule P5).
	Admin bool
}

// Decides tells whether the principal does the sekretariat's work: decides,
// registers, splits, corrects.
func (p Principal) Decides() bool { return p.Register && !p.Looks }

// View is how much of a letter a principal may see.
type View int

// The views, from nothing to everything.
const (
	// Hidden: answer exactly as if the letter did not exist.
	Hidden View = iota
	// Masked: one row with number and data wpływu only, "korespondencja
	// zastrzeżona", the same for every kind of closed letter (rule P5).
	Masked
	// Full: card and content.
	Full
)

// MaySee decides how much of a letter a principal may see. It is the only
// place where that is decided: page, API, search, counts, notices and NATS all
// ask here.
func MaySee(p Principal, l Letter) View {
	if p.Centre == "" || p.Centre != l.Centre {
		return Hidden
	}
	if l.Department != "" && slices.Contains(p.Departments, l.Department) {
		// A closed letter belongs to its department alone; the sekretariat's
		// own queue holds one only until it is handed over.
		return Full
	}
	for _, c := range l.Copies {
		if slices.Contains(p.Departments, c) && !l.Closed {
			return Full
		}
	}
	switch {
	case p.Register && (!l.Closed || p.Closed):
		return Full
	case (p.Register || p.Admin) && !l.Number.IsZero():
		return Masked
	}
	return Hidden
}
