package pipeline

import (
	"slices"
	"strings"

	"sekretariat"
)

// narrow is what a letter of a submission shows of what was read of the whole:
// the parts that its range names with all that lies in them, and the message
// itself only where the range says so. The sender stays. "" and ranges of
// another form cover everything.
func narrow(whole *sekretariat.Reading, span string) *sekretariat.Reading {
	paths, text, ok := sekretariat.ParsePartsRange(span)
	if !ok {
		return whole
	}
	r := *whole
	in := inside(whole.Parts, paths)
	r.Parts = nil
	for _, p := range whole.Parts {
		if in(p.Path) || text && !p.Attachment && !held(p) {
			r.Parts = append(r.Parts, p)
		}
	}
	covered := func(part string) bool { return part == "" && text || part != "" && in(part) }
	r.Pages = slices.DeleteFunc(slices.Clone(whole.Pages), func(p sekretariat.Page) bool { return !covered(p.Part) })
	r.Findings = slices.DeleteFunc(slices.Clone(whole.Findings), func(f sekretariat.Finding) bool { return f.Part != "" && !covered(f.Part) })
	r.Signatures = slices.DeleteFunc(slices.Clone(whole.Signatures), func(s sekretariat.Signature) bool { return !covered(s.Part) })
	r.Codes = nil // pages of codes are those of the whole
	if !text {
		r.Text, r.Reference = "", ""
		r.Subject = titleOf(r.Parts)
	}
	r.CaseNumbers = slices.DeleteFunc(slices.Clone(whole.CaseNumbers), func(n string) bool { return !said(&r, n) })
	return &r
}

// inside tells of each path whether it is one of paths or lies within one: a
// member of an archive, a part of a forwarded message.
func inside(parts []sekretariat.Part, paths []string) func(string) bool {
	holder := map[string]string{}
	for _, p := range parts {
		holder[p.Path] = p.In
	}
	return func(path string) bool {
		for range len(parts) + 1 { // a holder is listed before what it holds; never longer than the list
			if slices.ContainsFunc(paths, func(p string) bool { return path == p || strings.HasPrefix(path, p+".") }) {
				return true
			}
			if path = holder[path]; path == "" {
				return false
			}
		}
		return false
	}
}

// held tells whether a part lies in another one that is listed for itself.
func held(p sekretariat.Part) bool { return p.In != "" || p.Member != 0 }

// titleOf names a letter by its first file.
func titleOf(parts []sekretariat.Part) string {
	for _, p := range parts {
		if p.Attachment && p.SafeName != "" {
			return p.SafeName
		}
	}
	return ""
}

// said tells whether a case number stands in what is left.
func said(r *sekretariat.Reading, number string) bool {
	return strings.Contains(r.Text, number) || strings.Contains(r.Subject, number) ||
		slices.ContainsFunc(r.Parts, func(p sekretariat.Part) bool { return strings.Contains(p.Text, number) })
}

// overlay adds to a reading what a later one knows more of the same parts: text
// of scans, files that came afterwards, what is known of pages.
func overlay(r, later *sekretariat.Reading) *sekretariat.Reading {
	out := *r
	out.Parts, out.Pages = slices.Clone(r.Parts), slices.Clone(r.Pages)
	if len(later.Text) > len(out.Text) {
		out.Text = later.Text
	}
	for i := range out.Parts {
		p := &out.Parts[i]
		k := slices.IndexFunc(later.Parts, func(q sekretariat.Part) bool { return q.Path == p.Path })
		if k >= 0 && len(later.Parts[k].Text) > len(p.Text) {
			*p = later.Parts[k]
		}
	}
	for i := range out.Pages {
		p := &out.Pages[i]
		k := slices.IndexFunc(later.Pages, func(q sekretariat.Page) bool { return q.Part == p.Part && q.Number == p.Number })
		if k >= 0 && later.Pages[k].Confidence > p.Confidence {
			*p = later.Pages[k]
		}
	}
	for _, n := range later.CaseNumbers {
		if !slices.Contains(out.CaseNumbers, n) {
			out.CaseNumbers = append(slices.Clone(out.CaseNumbers), n)
		}
	}
	return &out
}
