// Package letters reads labelled letters in JSON lines: what the router is
// measured on and what its model learns from. A line may leave out every field
// but the body; what is not there is not measured.
package letters

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sekretariat"
	"sekretariat/extract/polish"
	"sekretariat/router"
)

// maxLine bounds one letter, in octets.
const maxLine = 4 << 20

// Sender is who a letter says it is from.
type Sender struct {
	Name  string `json:"name"`
	Email string `json:"email"` // of the header
	Phone string `json:"phone"`
}

// Letter is one labelled letter. Pointers are nil when the line does not have
// the field.
type Letter struct {
	ID        string   `json:"id"`
	Channel   string   `json:"channel"` // email, epuap, edelivery, scan, post, phone
	From      Sender   `json:"from"`
	Subject   string   `json:"subject"`
	Body      string   `json:"body"`
	Label     string   `json:"label"` // "" = not labelled
	Secondary []string `json:"secondary"`
	Urgent    *bool    `json:"urgent"`
	Kind      string   `json:"kind"`
	Defect    *string  `json:"formal_defect"`
	Phone     *string  `json:"reply_phone"`
	Email     *string  `json:"reply_email"`
	Case      *string  `json:"case_ref"`
	Traits    []string `json:"traits"`

	// Also are further labels that a second reader accepts, UrgentEither and
	// DefectEither that either answer is right.
	Also         []string `json:"-"`
	UrgentEither bool     `json:"-"`
	DefectAlso   *string  `json:"-"`
}

// Right tells whether a label is right for the letter.
func (l Letter) Right(label string) bool {
	return label == l.Label || slices.Contains(l.Also, label)
}

// kinds says by which kind of channel a letter of the format came.
var kinds = map[string]sekretariat.Kind{
	"email": sekretariat.KindMail, "epuap": sekretariat.KindEPUAP, "edelivery": sekretariat.KindEDelivery,
	"scan": sekretariat.KindBox, "post": sekretariat.KindManual, "phone": sekretariat.KindManual,
}

// Facts is what the router would know of the letter, at a time.
func (l Letter) Facts(now time.Time) router.Facts {
	r := sekretariat.Reading{
		Outcome: sekretariat.ReadOK, Subject: l.Subject, Text: l.Body,
		Sender: sekretariat.Party{Name: l.From.Name, Email: l.From.Email},
	}
	if l.From.Phone != "" {
		r.Sender.Phone = []string{l.From.Phone}
	}
	r.CaseNumbers = polish.CaseNumbers(l.Subject + "\n" + l.Body)
	a := sekretariat.ArrivedLite{Kind: kinds[l.Channel], At: now, Received: now}
	if l.Channel == "phone" {
		a.Door = sekretariat.DoorPhone
	}
	return router.Facts{Arrived: a, Reading: r, Now: now}
}

// Read reads letters, one JSON object a line. The error names the line.
func Read(r io.Reader) ([]Letter, error) {
	var out []Letter
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, maxLine)
	for n := 1; sc.Scan(); n++ {
		if strings.TrimSpace(sc.Text()) == "" {
			continue
		}
		var l Letter
		if err := json.Unmarshal(sc.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		out = append(out, l)
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("after letter %d: %w", len(out), err)
	}
	return out, nil
}

// ReadFile reads a file of letters. A file second-reader.jsonl beside it is
// applied: where the second reader's verdict is "change" his value counts, where
// it is "both" either does.
func ReadFile(path string) ([]Letter, error) {
	list, err := readFile(path, Read)
	if err != nil {
		return nil, err
	}
	second, err := readFile(filepath.Join(filepath.Dir(path), "second-reader.jsonl"), readSecond)
	if errors.Is(err, os.ErrNotExist) {
		return list, nil
	}
	if err != nil {
		return nil, err
	}
	for i := range list {
		if s, ok := second[list[i].ID]; ok {
			s.apply(&list[i])
		}
	}
	return list, nil
}

// ReadDir reads all *.jsonl of a folder in the order of their names.
func ReadDir(dir string) ([]Letter, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no *.jsonl in %s: %w", dir, os.ErrNotExist)
	}
	slices.Sort(files)
	var out []Letter
	for _, f := range files {
		list, err := readFile(f, Read)
		if err != nil {
			return nil, err
		}
		out = append(out, list...)
	}
	return out, nil
}

func readFile[T any](path string, read func(io.Reader) (T, error)) (T, error) {
	var none T
	f, err := os.Open(path)
	if err != nil {
		return none, err
	}
	defer f.Close()
	v, err := read(f)
	if err != nil {
		return none, fmt.Errorf("letters %s: %w", path, err)
	}
	return v, nil
}

// second is what another reader said of a letter.
type second struct {
	ID      string   `json:"id"`
	Label   string   `json:"label2"`
	Also    []string `json:"also_acceptable"`
	Urgent  bool     `json:"urgent2"`
	Defect  string   `json:"formal_defect2"`
	Verdict string   `json:"verdict"`
}

func readSecond(r io.Reader) (map[string]second, error) {
	out := map[string]second{}
	dec := json.NewDecoder(r)
	for {
		var s second
		if err := dec.Decode(&s); errors.Is(err, io.EOF) {
			return out, nil
		} else if err != nil {
			return nil, err
		}
		out[s.ID] = s
	}
}

func (s second) apply(l *Letter) {
	switch s.Verdict {
	case "both":
		l.Also = s.Also
		l.UrgentEither = l.Urgent != nil && *l.Urgent != s.Urgent
		if l.Defect != nil && *l.Defect != s.Defect {
			l.DefectAlso = &s.Defect
		}
	case "change":
		l.Label, l.Urgent, l.Defect = s.Label, &s.Urgent, &s.Defect
	}
}
