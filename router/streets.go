package router

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/extract/polish"
)

// unitOf is the unit that serves the writer: by the street where he lives, else
// by the account through which the letter came.
func (r *Router) unitOf(l *found) string {
	if len(r.centre.Streets) > 0 {
		day := sekretariat.Day(l.facts.Now)
		for _, a := range addressesOf(l) {
			if u := r.unitOfAddress(a, day); u != "" {
				return u
			}
		}
	}
	return l.facts.Arrived.Unit
}

// livingAt is a street and a house number, folded.
type livingAt struct {
	street string
	number int
}

var houseNumber = regexp.MustCompile(`^(.*?)\s+(\d{1,4})\s*[a-z]?(?:\s|/|,|$)`)

// addressesOf lists where the writer may live: what the document says in its
// fields, then the address in the text.
func addressesOf(l *found) []livingAt {
	var out []livingAt
	if a := l.facts.Reading.Sender.Address; a != nil && a.Street != "" {
		n, _ := strconv.Atoi(strings.TrimFunc(a.Building, func(c rune) bool { return c < '0' || c > '9' })) // 0 = no number
		out = append(out, livingAt{streetName(a.Street), n})
	}
	for _, s := range strings.Split(l.contacts.Address, ", ") {
		if m := houseNumber.FindStringSubmatch(polish.Fold(s)); m != nil {
			n, err := strconv.Atoi(m[2])
			if err == nil {
				out = append(out, livingAt{streetName(m[1]), n})
			}
		}
	}
	return out
}

// streetName folds a street's name and takes "ul.", "al." … off.
func streetName(s string) string {
	words := polish.Words(s)
	for len(words) > 1 && slices.Contains([]string{"ul", "ulica", "ulicy", "al", "aleja", "alei", "aleje", "os", "osiedle", "osiedlu", "pl", "plac", "placu"}, words[0]) {
		words = words[1:]
	}
	for i, w := range words {
		words[i] = polish.Stem(w) // "na Lubartowskiej 7" is Lubartowska 7
	}
	return strings.Join(words, " ")
}

func (r *Router) unitOfAddress(a livingAt, day string) string {
	for _, s := range r.centre.Streets {
		if streetName(s.Street) == a.street && numberFits(s, a.number) && s.Since <= day && (s.Until == "" || day <= s.Until) {
			return s.Unit
		}
	}
	return ""
}

// numberFits tells whether a line of the table covers a house. A line with
// limits needs a number.
func numberFits(s configs.Street, n int) bool {
	if s.From == 0 && s.To == 0 && s.Side == "both" {
		return true
	}
	return n > 0 && n >= s.From && (s.To == 0 || n <= s.To) &&
		(s.Side == "both" || s.Side == "" || s.Side == "odd" && n%2 == 1 || s.Side == "even" && n%2 == 0)
}
