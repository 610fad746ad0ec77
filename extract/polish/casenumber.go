package polish

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxCaseNumbers bounds what one letter may quote.
const maxCaseNumbers = 50

// caseNumber is a znak sprawy as §5 of the instrukcja kancelaryjna (Dz.U. 2011
// nr 14 poz. 67) makes it: symbol of the unit, JRWA class, number from the case
// list (and one more for a sub-list), year; "DPŚ.5120.12.2026". Text recognition
// puts blanks around the dots and turns them into commas, dashes and slashes.
var caseNumber = regexp.MustCompile(`^(\p{L}[\p{L}\p{N}]{0,9}(?:[.\-/][\p{L}][\p{L}\p{N}]{0,9}){0,3})` + // symbol, with sub-units
	`[ \t]{0,2}[.,][ \t]{0,2}` +
	`([0-9OolI]{3,4})` + // JRWA class
	`[ \t]{0,2}[.,\-/][ \t]{0,2}` +
	`([0-9OolI]{1,5}(?:[ \t]{0,2}[.,\-/][ \t]{0,2}[0-9OolI]{1,5})?)` + // case, sub-case
	`[ \t]{0,2}[.,\-/][ \t]{0,2}` +
	`([12][ \t]?[0-9OolI][ \t]?[0-9OolI][ \t]?[0-9OolI])(?:$|[^\p{N}])`)

// longestCase is more than the longest case number, in octets.
const longestCase = 160

// readDigits puts right the letters that text recognition sees in numbers.
var readDigits = strings.NewReplacer("O", "0", "o", "0", "l", "1", "I", "1", " ", "", "\t", "", ",", ".", "-", ".", "/", ".")

// readSymbol does the reverse for symbols ("MZ0N"), and writes sub-units with
// dots.
var readSymbol = strings.NewReplacer("0", "O", "/", ".")

// CaseNumbers returns the case numbers that text quotes, each once, in order,
// in clean form: upper-case symbol, dots, no blanks. The symbol keeps its
// Polish letters.
func CaseNumbers(text string) []string {
	var out []string
	for i := 0; i < len(text) && len(out) < maxCaseNumbers; i++ {
		if text[i] != '.' && text[i] != ',' || !classFollows(text[i+1:]) {
			continue
		}
		start := symbolStart(text, i)
		if start < 0 {
			continue
		}
		m := caseNumber.FindStringSubmatch(text[start:min(len(text), start+longestCase)])
		if m == nil {
			continue
		}
		n := readSymbol.Replace(strings.ToUpper(m[1])) + "." + readDigits.Replace(m[2]) + "." + readDigits.Replace(m[3]) + "." + readDigits.Replace(m[4])
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

// classFollows tells whether s begins, after blanks, with what can be a JRWA
// class: the cheap look before the expression is tried.
func classFollows(s string) bool {
	s = strings.TrimLeft(s[:min(len(s), 8)], " \t")
	if len(s) < 4 {
		return false
	}
	for i := range 3 {
		if !strings.Contains("0123456789OolI", s[i:i+1]) {
			return false
		}
	}
	return true
}

// symbolStart finds where the symbol begins that ends before the dot at i, -1
// when no symbol does.
func symbolStart(text string, i int) int {
	end := i
	for end > 0 && i-end < 2 && (text[end-1] == ' ' || text[end-1] == '\t') {
		end--
	}
	start := -1
	for range 4 { // the unit and up to three above it
		begin := wordStart(text, end)
		if first, _ := utf8.DecodeRuneInString(text[begin:end]); begin == end || !unicode.IsLetter(first) {
			break
		}
		start = begin
		if begin == 0 || !strings.Contains(".-/", text[begin-1:begin]) {
			break
		}
		end = begin - 1
	}
	return start
}

// wordStart is where the run of letters and digits that ends at end begins.
func wordStart(text string, end int) int {
	for end > 0 {
		r, n := utf8.DecodeLastRuneInString(text[:end])
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			break
		}
		end -= n
	}
	return end
}

// CasePrefix returns the symbol of the unit of a case number, folded:
// "DPŚ.5120.12.2026" gives "dps". It returns "" when there is none.
func CasePrefix(number string) string {
	symbol, _, ok := strings.Cut(number, ".")
	if !ok {
		return ""
	}
	return Fold(symbol)
}
