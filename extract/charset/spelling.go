package charset

import (
	"strings"
	"unicode"
)

// spelledPolish tells whether text in which only Polish letters stand beyond
// ASCII is Polish rather than western text whose octets pass for it: ê is the
// octet of ę, ñ that of ń, œ that of ś. Spelling decides: ć, ń, ś and ź stand
// before no vowel (one writes ci, ni, si, zi), where ñ and œ always do, no word
// begins with ą or ę, and none has q, v or x. Of the small words there must not
// be more western than Polish ones.
func spelledPolish(text string) bool {
	balance := 0
	for _, word := range strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) }) {
		switch {
		case oneOf(smallPolish, word):
			balance++
		case oneOf(smallWestern, word):
			balance--
		}
		if strings.ContainsAny(word, "ąćęłńśźż") && !spelled(word) {
			return false
		}
	}
	return balance >= 0
}

func oneOf(list, word string) bool { return strings.Contains(list, " "+word+" ") }

// Small words of Polish, and of the languages that are written in windows-1252;
// none that is in both.
const (
	smallPolish  = " nie się jest że w z i od po za dla jak ale czy mi mnie mam mój moja oraz przez pod co tak proszę pan pani państwo ul nr dzień dobry "
	smallWestern = " the and of for you is de la le les des et est vous que el los las una con por para der die das und ist nicht mit ein eine og det ikke er och att che " +
		"di della non het een van "
)

func spelled(word string) bool {
	const vowels = "aąeęioóuy"
	if strings.ContainsAny(word, "qvx") {
		return false
	}
	letters := []rune(word)
	for i, r := range letters {
		before := i+1 < len(letters) && strings.ContainsRune(vowels, letters[i+1])
		switch r {
		case 'ą', 'ę':
			if i == 0 || before {
				return false
			}
		case 'ć', 'ń', 'ś', 'ź':
			if before {
				return false
			}
		}
	}
	return true
}
