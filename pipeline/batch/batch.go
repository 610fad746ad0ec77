// Package batch parts the pages of a scanned pile into letters, by what was seen
// on each page: separator sheets, stickers, blank pages. It is a pure function
// of the pages. Every page comes to lie in exactly one letter or in the pile's
// own record; none is left out, none is in two.
package batch

import (
	"sekretariat/extract"
	"sekretariat/extract/codes"
)

// Letter is a run of pages that belong together.
type Letter struct {
	From       int    `json:"from"` // first page, from 1
	To         int    `json:"to"`   // last page
	Department string `json:"department,omitempty"`
	Sticker    string `json:"sticker,omitempty"` // number on a sticker on its first page
}

// Plan says what becomes of the pages of a pile.
type Plan struct {
	Pages   int      `json:"pages"`
	Letters []Letter `json:"letters"`
	// Sheets are the pages that belong to no letter: separator sheets and their
	// backs, and blank pages between them.
	Sheets []int `json:"sheets,omitempty"`
}

// Parted tells whether the pile is anything else than one letter.
func (p Plan) Parted() bool {
	return len(p.Sheets) > 0 || len(p.Letters) != 1 || p.Letters[0].Sticker != ""
}

// Of makes the plan. A sheet ends the letter before it. What follows a sheet
// belongs to the next letter; blank pages right behind a sheet are its backs. A
// letter of nothing but blank pages is none. Two sheets in a row: the last one
// that names a department counts. A sticker begins a letter and its page stays
// in it. Codes that mean different departments on one page are no sheet: such a
// page begins a letter, and only a person can tell whose.
func Of(sheets []extract.Sheet) Plan {
	p := Plan{Pages: len(sheets)}
	department := ""
	var open *Letter
	written := false // the open letter has more than blank pages
	end := func() {
		if open == nil {
			return
		}
		if written {
			p.Letters = append(p.Letters, *open)
		} else {
			for n := open.From; n <= open.To; n++ {
				p.Sheets = append(p.Sheets, n)
			}
		}
		open, written = nil, false
	}
	for _, s := range sheets {
		kind, arg, doubt := meaning(s)
		switch {
		case kind == codes.Department, kind == codes.Plain:
			if open != nil {
				department = ""
			}
			end()
			if arg != "" {
				department = arg
			}
			p.Sheets = append(p.Sheets, s.Number)
			continue
		case kind == codes.Sticker, doubt:
			if open != nil {
				department = ""
			}
			end()
		case open == nil && s.Blank:
			p.Sheets = append(p.Sheets, s.Number)
			continue
		}
		if open == nil {
			open = &Letter{From: s.Number, Department: department}
			if kind == codes.Sticker {
				open.Sticker = arg
			}
			if doubt {
				open.Department = ""
			}
		}
		open.To = s.Number
		written = written || !s.Blank
	}
	end()
	return p
}

// meaning is what the codes of a page say together. A department says more than
// a plain separator on the same sheet.
func meaning(s extract.Sheet) (kind, arg string, doubt bool) {
	for _, c := range s.Codes {
		k, a := codes.Meaning(c.Symbol, c.Value)
		switch {
		case k == codes.Content:
		case k == kind && a != arg:
			return codes.Content, "", true
		case kind == codes.Sticker && k == codes.Department, kind == codes.Department && k == codes.Sticker:
			return codes.Content, "", true
		case kind == codes.Content, kind == codes.Plain:
			kind, arg = k, a
		}
	}
	return kind, arg, false
}
