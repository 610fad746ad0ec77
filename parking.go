package sekretariat

import "time"

// Reasons for parking mail. Each is recognised before the letter gets a number,
// and each can be undone by a person ("to jest pismo") with the original
// arrival as day of receipt (rule P8).
const (
	ParkAutoReply ParkReason = "auto-reply" // out of office and the like, RFC 3834
	ParkBounce    ParkReason = "bounce"     // a mail of ours could not be delivered, RFC 3464
	ParkReceipt   ParkReason = "receipt"    // delivered, read, delayed: RFC 3464, RFC 8098
	ParkList      ParkReason = "list"       // mailing list and bulk mail, RFC 2919
	ParkOwn       ParkReason = "own-notice" // a notice of ours that came back
	ParkSpam      ParkReason = "spam"       // the office's own filter said so
)

// Reasons of mail that is not subject to registration (rule P9): set by a rule
// of the centre or by a person, never by the machine alone.
const (
	ParkWorking       ParkReason = "robocze"      // working mail
	ParkInternal      ParkReason = "wewnetrzne"   // internal
	ParkInformational ParkReason = "informacyjne" // for information only
	ParkHold          ParkReason = "do-oceny"     // waits for a person until SortedLetter.Until, then registers itself
)

// Unregistrable tells whether a person may set this reason: the categories of
// rule P9.
func (r ParkReason) Unregistrable() bool {
	return r == ParkWorking || r == ParkInternal || r == ParkInformational
}

// Junk tells whether the reason says that nobody wrote a letter: only such
// items are ever destroyed, and only when a person has confirmed it.
func (r ParkReason) Junk() bool {
	switch r {
	case ParkAutoReply, ParkBounce, ParkReceipt, ParkList, ParkOwn, ParkSpam:
		return true
	}
	return false
}

// parkReasons are the sentences that a clerk sees.
var parkReasons = map[ParkReason]string{
	ParkTest:          "Platforma oznaczyła dokument jako próbny.",
	ParkDuplicate:     "To samo pismo jest już zarejestrowane; to jest jego drugi odbiór.",
	ParkOversize:      "Przesyłka jest za duża; oryginał czeka w miejscu, z którego miała być pobrana.",
	ParkRefused:       "Przesyłki nie udało się pobrać; oryginał czeka w miejscu, z którego miała być pobrana.",
	ParkPackage:       "Paczka z pismami; każde z nich przyjęto osobno.",
	ParkBatch:         "Skan wielu pism rozdzielonych kartami; każde z nich przyjęto osobno.",
	ParkProof:         "Dowód doręczenia lub zwrot; ośrodek takich nie numeruje.",
	ParkAutoReply:     "Odpowiedź automatyczna (na przykład o nieobecności).",
	ParkBounce:        "Zawiadomienie, że nasza wiadomość nie została dostarczona.",
	ParkReceipt:       "Potwierdzenie doręczenia lub odczytania albo zawiadomienie o opóźnieniu.",
	ParkList:          "Wiadomość z listy wysyłkowej.",
	ParkOwn:           "Nasze własne zawiadomienie, które do nas wróciło.",
	ParkSpam:          "Filtr poczty urzędu oznaczył wiadomość jako niechcianą.",
	ParkWorking:       "Nie podlega rejestracji: korespondencja robocza.",
	ParkInternal:      "Nie podlega rejestracji: korespondencja wewnętrzna.",
	ParkInformational: "Nie podlega rejestracji: materiał informacyjny.",
	ParkHold:          "Do oceny: bez decyzji zarejestruje się o wyznaczonej godzinie.",
}

// Polish returns the sentence that a clerk sees for the reason.
func (r ParkReason) Polish() string {
	if s, ok := parkReasons[r]; ok {
		return s
	}
	return "Odłożone: " + string(r) + "."
}

// The events of what people do with parked items.
const (
	EventParked        EventType = "parked.v1"         // LETTER, clerk: a parked item gets another reason
	EventJunkConfirmed EventType = "junk-confirmed.v1" // LETTER, clerk: this is no letter
)

// ParkedData gives a parked item another reason.
type ParkedData struct {
	Letter     LetterID     `json:"letter"`
	Reason     ParkReason   `json:"reason"`
	Of         LetterID     `json:"of,omitempty"`         // with ParkDuplicate: the letter it is a twin of
	Department DepartmentID `json:"department,omitempty"` // who gets it without a number; "" = it lies with the sekretariat
	By         string       `json:"by"`                   // "" = the machine

	// Revision counts on when who has it changes, see RoutedData; 0 = it does
	// not. Withdraw had it until now and has it no more.
	Revision int            `json:"revision,omitempty"`
	Withdraw []DepartmentID `json:"withdraw,omitempty"`
	Received time.Time      `json:"received,omitzero"`
}

// HandedData is what a department system receives of an item that has no number
// and is not registered: it stays parked with its reason. When it gets a number
// after all, a queued.v1 with a higher revision follows, or a withdrawn.v1.
type HandedData struct {
	Letter     LetterID     `json:"letter"`
	Department DepartmentID `json:"department"`
	Reason     ParkReason   `json:"reason"`
	Revision   int          `json:"revision"`
	Received   time.Time    `json:"received"`
	Content    string       `json:"content"` // path on the API: /api/v1/letters/<id>
}

// JunkConfirmedData records that a person has looked and found no letter: only
// such items may be destroyed after 30 days (rule P8).
type JunkConfirmedData struct {
	Letter LetterID `json:"letter"`
	By     string   `json:"by"`
}

// Confirmation is who confirmed something, and when.
type Confirmation struct {
	By string    `json:"by"`
	At time.Time `json:"at"`
}

// parked folds a new reason. A letter that has left the parking place stays
// where it is.
func (l *Letter) parked(d ParkedData) {
	if l.Status != StatusParked {
		return
	}
	l.Reason, l.Of, l.Hold, l.Junk = d.Reason, d.Of, time.Time{}, nil
	l.Department = Sekretariat
	if d.Department != "" {
		l.Department = d.Department
	}
	l.Revision = max(l.Revision, d.Revision)
}

// release folds "to jest pismo".
func (l *Letter) release(d ReleasedData) {
	if l.Status != StatusParked {
		return
	}
	l.Revision = max(l.Revision, d.Revision)
	l.Scan, l.Unlocked = nil, nil // its parts are read and scanned anew
	l.Status, l.Reason, l.Hold, l.Junk, l.Department = StatusSorted, "", time.Time{}, nil, Sekretariat
}
