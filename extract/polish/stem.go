package polish

import "strings"

// minStem is the least number of octets that an ending must leave.
const minStem = 3

// endings are the inflectional endings of nouns, adjectives and the personal
// forms of the past tense, folded, longest first. Where the last consonant
// changes with the ending (skarga – skardze), the second field is what the
// ending is replaced with.
var endings = buildEndings([][2]string{
	// personal past tense, down to the third person
	{"lismy", "l"}, {"lysmy", "l"}, {"liscie", "l"}, {"lyscie", "l"}, {"lam", "l"}, {"las", "l"}, {"les", "l"},
	// adjectives
	{"iego", ""}, {"iemu", ""}, {"ymi", ""}, {"imi", ""}, {"ego", ""}, {"emu", ""}, {"iej", ""},
	{"ych", ""}, {"ich", ""}, {"ej", ""}, {"ym", ""}, {"im", ""},
	// nouns
	{"iami", ""}, {"iach", ""}, {"iowi", ""}, {"owie", ""}, {"ium", ""}, {"iom", ""}, {"iem", ""}, {"iow", ""}, {"ami", ""},
	{"ach", ""}, {"owi", ""}, {"om", ""}, {"em", ""}, {"ow", ""}, {"ie", ""}, {"ia", ""}, {"iu", ""},
	{"io", ""}, {"ii", ""}, {"a", ""}, {"e", ""}, {"i", ""}, {"o", ""}, {"u", ""}, {"y", ""},
	// with a changed consonant
	{"dzie", "d"}, {"dze", "g"}, {"ncie", "nt"}, {"nci", "nt"}, {"cie", "t"}, {"stki", "stk"}, {"jecie", "jec"}, {"jscie", "jsc"},
})

type ending struct{ from, to string }

// buildEndings sorts the endings by their last letter, longest first.
func buildEndings(list [][2]string) map[byte][]ending {
	by := map[byte][]ending{}
	for n := 6; n > 0; n-- {
		for _, e := range list {
			if len(e[0]) == n {
				last := e[0][n-1]
				by[last] = append(by[last], ending{e[0], e[1]})
			}
		}
	}
	return by
}

// Stem returns the stem of one folded word (see Fold): the same short string
// for the inflected forms of a noun or adjective, and for the persons of the
// past tense. It is light on purpose: different words must not fall together,
// for "opieka", "opiekun" and "opiekuńczy" mean different departments. Irregular
// families of our field are listed in families.go.
func Stem(word string) string {
	if s, ok := irregular[word]; ok {
		return s
	}
	if len(word) <= minStem || digitsOnly(word) {
		return word
	}
	return settle(strip(word))
}

// strip takes the longest fitting ending off. stripped is false when the word
// stands as it was.
func strip(w string) (stem string, stripped bool) {
	for _, e := range endings[w[len(w)-1]] {
		if !strings.HasSuffix(w, e.from) {
			continue
		}
		base := w[:len(w)-len(e.from)]
		if len(base)+len(e.to) < minStem {
			continue
		}
		if e.to == "" {
			return base, true
		}
		return base + e.to, true
	}
	return w, false
}

// settle evens out what inflection does to the end of a stem: the mobile e of
// "wniosek – wniosku", k and c ("opieka – opiece", "pracownik – pracownicy"),
// r and rz ("siostra – siostrze").
func settle(s string, stripped bool) string {
	n := len(s)
	switch {
	case n >= 5 && !stripped && strings.HasSuffix(s, "ek") && !vowel(s[n-3]):
		return s[:n-2] + "k"
	case n >= 6 && !stripped && strings.HasSuffix(s, "iec"):
		return s[:n-3] + "k"
	case strings.HasSuffix(s, "rz"):
		return s[:n-1]
	case n > minStem && s[n-1] == 'c':
		return s[:n-1] + "k"
	}
	return s
}

func digitsOnly(w string) bool {
	for i := 0; i < len(w); i++ {
		if w[i] < '0' || w[i] > '9' {
			return false
		}
	}
	return true
}
