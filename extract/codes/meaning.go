package codes

import "strings"

// Prefix begins the codes of our own sheets and stickers.
const Prefix = "SEKR/"

// The kinds of Meaning.
const (
	Content    = ""           // a code of the letter itself: never splits, never routes
	Department = "department" // SEKR/D/<department>: a sheet that parts letters and says who gets the next one
	Sticker    = "sticker"    // SEKR/A/<number>: on the first page of a letter that has, or is to have, this number
	Plain      = "plain"      // SEKR/S, PATCHT, patch T: a sheet that parts letters
)

// PatchText is the text of sheets that scan programs print beside, or instead
// of, the bars.
const PatchText = "PATCHT"

// Meaning says what a code tells us: its kind, and the department or number.
// The text PATCHT counts in the symbologies in which such sheets are printed.
func Meaning(symbol, value string) (kind, arg string) {
	v := strings.ToUpper(strings.TrimSpace(value))
	if symbol == PatchT || v == PatchText {
		return Plain, ""
	}
	rest, ours := strings.CutPrefix(v, Prefix)
	if !ours {
		return Content, ""
	}
	what, arg, _ := strings.Cut(rest, "/")
	switch {
	case what == "S" && arg == "":
		return Plain, ""
	case what == "D" && word(arg):
		return Department, strings.ToLower(arg)
	case what == "A" && word(strings.ReplaceAll(arg, "/", "-")):
		return Sticker, arg
	}
	return Content, ""
}

// word tells whether s may be part of a code of ours.
func word(s string) bool {
	return s != "" && len(s) <= 40 && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") == ""
}

// Registered returns the number of a registered item of post that a code shows,
// as it is written: 13 characters of UPU S10 (RR123456785PL) or 20 digits of
// GS1 with the application identifier 00, both with their check digits.
func Registered(value string) (string, bool) {
	v := strings.ToUpper(strings.Map(func(r rune) rune {
		if strings.ContainsRune(" ()-", r) {
			return -1
		}
		return r
	}, value))
	switch {
	case len(v) == 13 && letters(v[:2]) && digits(v[2:11]) && letters(v[11:]):
		return v, s10(v[2:11])
	case len(v) == 20 && digits(v) && v[:2] == "00":
		return v, gs1(v[2:])
	}
	return "", false
}

func letters(s string) bool { return strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == "" }
func digits(s string) bool  { return strings.Trim(s, "0123456789") == "" }

// s10 checks nine digits by UPU S10-12, 4.3.
func s10(d string) bool {
	sum := 0
	for i, w := range []int{8, 6, 4, 2, 3, 5, 9, 7} {
		sum += w * int(d[i]-'0')
	}
	check := 11 - sum%11
	switch check {
	case 10:
		check = 0
	case 11:
		check = 5
	}
	return int(d[8]-'0') == check
}

// gs1 checks eighteen digits of an SSCC (GS1 General Specifications, 7.9).
func gs1(d string) bool {
	sum := 0
	for i := range 17 {
		w := 3
		if i%2 == 1 {
			w = 1
		}
		sum += w * int(d[i]-'0')
	}
	return int(d[17]-'0') == (10-sum%10)%10
}
