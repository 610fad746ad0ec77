package configs

import (
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong in a configuration file, with its place.
type Problem struct {
	File    string
	Line    int // from 1; 0 = the file as a whole
	Column  int // from 1, in characters
	Message string
	source  string // the line, for Error
	before  string // the line above it
}

// Error returns place and message, the line itself and a caret under the place.
func (p Problem) Error() string {
	if p.Line == 0 {
		return fmt.Sprintf("%s: %s", p.File, p.Message)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: %s\n", p.File, p.Line, p.Column, p.Message)
	if strings.TrimSpace(p.before) != "" {
		fmt.Fprintf(&b, "%6d | %s\n", p.Line-1, p.before)
	}
	fmt.Fprintf(&b, "%6d | %s\n%6s | %s^", p.Line, p.source, "", indent(p.source, p.Column-1))
	return b.String()
}

// indent returns blanks as wide as the first n characters of line; tabs stay
// tabs.
func indent(line string, n int) string {
	var b strings.Builder
	for i, r := range []rune(line) {
		if i >= n {
			break
		}
		if r != '\t' {
			r = ' '
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Problems is the error of Load: everything that is wrong, in the order of the
// file.
type Problems []Problem

// Error lists the problems, one after the other.
func (ps Problems) Error() string {
	list := make([]string, len(ps))
	for i, p := range ps {
		list[i] = p.Error()
	}
	return strings.Join(list, "\n")
}

// sorted returns the problems in the order of the file, each once.
func (ps Problems) sorted() Problems {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		if a.Column != b.Column {
			return a.Column - b.Column
		}
		return strings.Compare(a.Message, b.Message)
	})
	return slices.CompactFunc(ps, func(a, b Problem) bool { return a == b })
}
