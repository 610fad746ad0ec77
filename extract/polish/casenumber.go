package polish

import (
	"regexp"
	"slices"
	"strings"
)

// maxCaseNumbers bounds what one letter may quote.
const maxCaseNumbers = 50

// caseNumber is a znak sprawy as §5 of the instrukcja kancelaryjna (Dz.U. 2011
// nr 14 poz. 67) makes it: symbol of the unit, JRWA class, number from the case
// list (and one more for a sub-list), year; "DPŚ.5120.12.2026". Text recognition
// puts blanks around the dots and turns them into commas, dashes and slashes.
var caseNumber = regexp.MustCompile(`(?:^|[^\p{L}\p{N}])` +
	`(\p{L}[\p{L}\p{N}]{0,9}(?:[.\-/][\p{L}][\p{L}\p{N}]{0,9}){0,3})` + // symbol, with sub-units
	`[ \t]{0,2}[.,][ \t]{0,2}` +
	`([0-9OolI]{3,4})` + // JRWA class
	`[ \t]{0,2}[.,\-/][ \t]{0,2}` +
	`([0-9OolI]{1,5}(?:[ \t]{0,2}[.,\-/][ \t]{0,2}[0-9OolI]{1,5})?)` + // case, sub-case
	`[ \t]{0,2}[.,\-/][ \t]{0,2}` +
	`([12][ \t]?[0-9OolI][ \t]?[0-9OolI][ \t]?[0-9OolI])(?:$|[^\p{N}])`)

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
	for rest := text; len(out) < maxCaseNumbers; {
		m := caseNumber.FindStringSubmatchIndex(rest)
		if m == nil {
			break
		}
		symbol := readSymbol.Replace(strings.ToUpper(rest[m[2]:m[3]]))
		n := symbol + "." + readDigits.Replace(rest[m[4]:m[5]]) + "." + readDigits.Replace(rest[m[6]:m[7]]) + "." + readDigits.Replace(rest[m[8]:m[9]])
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
		rest = rest[m[9]:]
	}
	return out
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
