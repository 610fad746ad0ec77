package sekretariat

import "time"

// EventRecognised says how far text recognition is with a letter.
const EventRecognised EventType = "recognised.v1" // LETTER, text recognition

// RecognitionState is how far text recognition is with a letter.
type RecognitionState string

// The states of recognition; "" = nothing of the letter is a picture of text.
const (
	RecognitionWaiting RecognitionState = "waiting" // "OCR czeka": there is no Tesseract, or it is not its turn yet
	RecognitionRunning RecognitionState = "running" // "OCR 3/12"
	RecognitionDone    RecognitionState = "done"
	RecognitionPoor    RecognitionState = "poor"   // read, but so unsurely that a person must look: handwriting
	RecognitionFailed  RecognitionState = "failed" // "nie odczytano": given up; a person may ask again
)

// RecognisedData says how far text recognition is with a letter. It never
// holds a letter up: number, delivery and urgency do not wait for it (rule P7).
type RecognisedData struct {
	Letter   LetterID         `json:"letter"`
	Revision int              `json:"revision"` // counts these events of a letter, from 1
	State    RecognitionState `json:"state"`
	Pages    int              `json:"pages"`           // of the letter, all parts
	Done     int              `json:"done"`            // looked at so far
	Blank    int              `json:"blank,omitempty"` // blank ones among them
	// Confidence is the mean over what was recognised, 0 to 100.
	Confidence int `json:"confidence,omitempty"`
	// Result is the sealed Recognition, once there is one.
	Result *ObjectRef `json:"result,omitempty"`
	Code   string     `json:"code,omitempty"` // failed or waiting: why ("no-tool", "killed", "damaged", "asked")
	By     string     `json:"by,omitempty"`   // who asked for it again
}

// RecognitionStatus is the latest RecognisedData of a letter, and when it was.
type RecognitionStatus struct {
	At time.Time
	RecognisedData
}

// Recognition is what text recognition made of a letter. It is stored sealed.
type Recognition struct {
	Engine string           `json:"engine"` // name and version of the way it was made: "ocr-1"
	Parts  []RecognisedPart `json:"parts"`
}

// RecognisedPart is one file of the letter, "" the letter itself.
type RecognisedPart struct {
	Path  string           `json:"path"`
	Pages []RecognisedPage `json:"pages"`
	// Copy is the searchable copy, nil: there is none (the file has text of
	// its own, or is no scan).
	Copy *ObjectRef `json:"copy,omitempty"`
	Code string     `json:"code,omitempty"` // why not all pages are here: "password", "damaged", "killed", "limit"
}

// RecognisedPage is one page of it.
type RecognisedPage struct {
	Number     int      `json:"number"`
	Width      int      `json:"width,omitempty"` // of the picture that stands as the file says, pixels
	Height     int      `json:"height,omitempty"`
	DPI        int      `json:"dpi,omitempty"`
	Blank      bool     `json:"blank,omitempty"`
	Turn       int      `json:"turn,omitempty"`   // degrees clockwise until it stands upright: 0, 90, 180, 270
	Skew       float64  `json:"skew,omitempty"`   // degrees by which the lines rise to the right, after Turn
	Faults     []string `json:"faults,omitempty"` // "page-dark", "page-pale", "page-coarse", "page-cut", "page-skewed": worth another scan
	Own        bool     `json:"own,omitempty"`    // the page has text of its own: nothing was recognised
	Confidence int      `json:"confidence,omitempty"`
	Text       string   `json:"text,omitempty"`
	Words      []Word   `json:"words,omitempty"`
	Code       string   `json:"code,omitempty"` // why it was not read: "damaged", "limit", "time"
}

// Word is one recognised word and its box: pixels of the upright page with
// straight lines, at its resolution for reading (WordDPI).
type Word struct {
	Text       string `json:"t"`
	Confidence int    `json:"c"`
	X          int    `json:"x"`
	Y          int    `json:"y"`
	W          int    `json:"w"`
	H          int    `json:"h"`
}

func (l *Letter) recognised(d RecognisedData, at time.Time) {
	if l.Recognition != nil && d.Revision <= l.Recognition.Revision {
		return
	}
	if d.Result == nil && l.Recognition != nil {
		d.Result = l.Recognition.Result // what was read before stays until there is better
	}
	l.Recognition = &RecognitionStatus{At: at, RecognisedData: d}
}
