package sekretariat

import (
	"fmt"
	"regexp"
	"strconv"
)

// adeForm is an address of e-Doręczenia (ADE): AE:PL-DDDDD-DDDDD-LLLLL-CC.
var adeForm = regexp.MustCompile(`^AE:[A-Z]{2}-(\d{5})-(\d{5})-([A-Z]{5})-(\d{2})$`)

// ValidADE tells whether s has the form of an address of e-Doręczenia.
func ValidADE(s string) bool { return adeForm.MatchString(s) }

// CheckedADE tells whether the last two digits of an address are its checksum:
// the digit sum of the difference between the letters' codes and the two
// numbers. The rule is not published and one address in use does not follow it;
// exchanged groups pass it. So use it to warn of a typing error, never to refuse.
func CheckedADE(s string) bool {
	m := adeForm.FindStringSubmatch(s)
	if m == nil {
		return false
	}
	sum := 0
	for _, letter := range m[3] {
		sum += int(letter)
	}
	for _, group := range m[1:3] {
		n, _ := strconv.Atoi(group) // five digits
		sum -= n
	}
	digits := 0
	for rest := max(sum, -sum); rest > 0; rest /= 10 {
		digits += rest % 10
	}
	return fmt.Sprintf("%02d", digits) == m[4]
}
