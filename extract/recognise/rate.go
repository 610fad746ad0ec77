package recognise

import "strings"

// ErrorRate is the share of letters of want that got has wrong: the edit
// distance over the length, with white space taken as one blank. 0 is perfect;
// it may exceed 1.
func ErrorRate(want, got string) float64 {
	a, b := []rune(strings.Join(strings.Fields(want), " ")), []rune(strings.Join(strings.Fields(got), " "))
	if len(a) == 0 {
		return float64(min(len(b), 1))
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i, r := range a {
		diagonal := row[0]
		row[0] = i + 1
		for j, s := range b {
			cost := diagonal
			if r != s {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return float64(row[len(b)]) / float64(len(a))
}
