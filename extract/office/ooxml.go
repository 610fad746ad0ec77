package office

import (
	"archive/zip"
	"encoding/xml"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The files of a document that hold what people read, in the order in which
// they read it (ECMA-376 part 1, §§11 and 13). Word numbers its headers as they
// come.
var (
	wordFiles  = regexp.MustCompile(`^word/(header\d*|document\d*|footnotes|endnotes|footer\d*)\.xml$`)
	slideFiles = regexp.MustCompile(`^ppt/(slides/slide|notesSlides/notesSlide)\d+\.xml$`)
	sheetFiles = regexp.MustCompile(`^xl/worksheets/sheet\d+\.xml$`)
)

var wordOrder = []string{"header", "document", "footnotes", "endnotes", "footer"}

// ooxml reads docx and pptx: text runs, tabs, breaks, paragraphs.
func ooxml(z *zip.Reader, typ string, out *text) error {
	want := wordFiles
	if typ == TypePPTX {
		want = slideFiles
	}
	names := matching(z, want)
	slices.SortStableFunc(names, func(a, b string) int { return rank(a) - rank(b) })
	if len(names) == 0 {
		return fmt.Errorf("%w: nothing to read inside", ErrDamaged)
	}
	for _, name := range names {
		if err := ooxmlFile(z, name, out); err != nil {
			return err
		}
	}
	return nil
}

// matching lists members by name, those with numbers in their order.
func matching(z *zip.Reader, want *regexp.Regexp) []string {
	var names []string
	for _, f := range z.File {
		if want.MatchString(f.Name) && !slices.Contains(names, f.Name) {
			names = append(names, f.Name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		if n := number(a) - number(b); n != 0 {
			return n
		}
		return strings.Compare(b, a) // slides before their notes
	})
	return names
}

var digits = regexp.MustCompile(`\d+`)

func number(name string) int {
	n, _ := strconv.Atoi(digits.FindString(name[strings.LastIndexByte(name, '/')+1:]))
	return n
}

func rank(name string) int {
	base := strings.TrimPrefix(name, "word/")
	return slices.IndexFunc(wordOrder, func(p string) bool { return strings.HasPrefix(base, p) })
}

func ooxmlFile(z *zip.Reader, name string, out *text) error {
	run, fallback, cells := false, 0, 0
	start := func(e xml.StartElement) error {
		switch e.Name.Local {
		case "Fallback": // says again what the Choice before it said
			fallback++
		case "t":
			run = true
		case "tc":
			cells++
		case "tab":
			if e.Name.Space != "" && fallback == 0 && attribute(e, "pos") == "" {
				return out.add("\t")
			}
		case "br", "cr":
			if fallback == 0 {
				return out.newline()
			}
		}
		return nil
	}
	end := func(e xml.EndElement) error {
		switch e.Name.Local {
		case "Fallback":
			fallback--
		case "t":
			run = false
		case "p":
			return out.paragraph(cells)
		case "tr":
			return out.newline()
		case "tc":
			cells--
			return out.add("\t")
		}
		return nil
	}
	return xmlOf(z, name, start, end, func(s string) error {
		if !run || fallback > 0 {
			return nil
		}
		return out.add(s)
	})
}

// Limits of the shared strings of a workbook.
const (
	maxShared  = 4 << 20 // octets
	maxStrings = 200_000
)

// spreadsheet reads xlsx: the cells of each sheet, row by row (ECMA-376 part 1
// §18.3.1.4).
func spreadsheet(z *zip.Reader, out *text) error {
	sheets := matching(z, sheetFiles)
	if len(sheets) == 0 {
		return fmt.Errorf("%w: no sheets inside", ErrDamaged)
	}
	shared, err := sharedStrings(z)
	if err != nil {
		return err
	}
	for _, name := range sheets {
		if err := sheet(z, name, shared, out); err != nil {
			return err
		}
	}
	return nil
}

// table are the shared strings, one behind the other in one piece of memory.
type table struct {
	all  []byte
	ends []int
}

func (t *table) at(i int) string {
	if i < 0 || i >= len(t.ends) {
		return ""
	}
	from := 0
	if i > 0 {
		from = t.ends[i-1]
	}
	return string(t.all[from:t.ends[i]])
}

func sharedStrings(z *zip.Reader) (*table, error) {
	const file = "xl/sharedStrings.xml"
	list := &table{}
	if !slices.ContainsFunc(z.File, func(f *zip.File) bool { return f.Name == file }) {
		return list, nil
	}
	run, phonetic := false, false
	err := xmlOf(z, file, func(e xml.StartElement) error {
		switch e.Name.Local {
		case "rPh":
			phonetic = true
		case "t":
			run = !phonetic
		}
		return nil
	}, func(e xml.EndElement) error {
		switch e.Name.Local {
		case "t":
			run = false
		case "rPh":
			phonetic = false
		case "si":
			if list.ends = append(list.ends, len(list.all)); len(list.ends) >= maxStrings {
				return errFull
			}
		}
		return nil
	}, func(s string) error {
		if run {
			if list.all = append(list.all, s...); len(list.all) > maxShared {
				return errFull
			}
		}
		return nil
	})
	if errors.Is(err, errFull) {
		err = nil
	}
	return list, err
}

func sheet(z *zip.Reader, name string, shared *table, out *text) error {
	var value strings.Builder
	kind, inValue := "", false
	return xmlOf(z, name, func(e xml.StartElement) error {
		switch e.Name.Local {
		case "c":
			kind = attribute(e, "t")
			value.Reset()
		case "v", "t":
			inValue = true
		}
		return nil
	}, func(e xml.EndElement) error {
		switch e.Name.Local {
		case "v", "t":
			inValue = false
		case "row":
			return out.newline()
		case "c":
			s := value.String()
			if kind == "s" {
				i, err := strconv.Atoi(strings.TrimSpace(s))
				if s = ""; err == nil {
					s = shared.at(i)
				}
			}
			if s != "" {
				return out.add(s + "\t")
			}
		}
		return nil
	}, func(s string) error {
		if inValue && value.Len() < out.limit {
			value.WriteString(s)
		}
		return nil
	})
}
