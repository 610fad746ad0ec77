package codes

import (
	"image"
	"math"
	"slices"
)

// A patch is four bars that lie along an edge of the sheet (Kodak A-61599):
// narrow 0.08 inch, wide 0.20 inch, 0.08 inch between them, at least two inches
// long. T is narrow-wide-narrow-wide from the edge inwards. Sizes are compared
// with each other, not with the ruler: resolutions of files lie.
const (
	patchStep  = 2.5 // mm between the lines that are looked at
	patchLong  = 36  // mm at least: two inches less what is torn, stamped, cut
	patchLeast = 7.0 // mm over all four bars at least
	patchMost  = 46.0
)

// patch looks for the bars along all four edges.
func (s *sheet) patch() []Found {
	var out []Found
	edges := 0
	var box image.Rectangle
	for _, across := range []bool{false, true} {
		for _, r := range s.patches(across) {
			edges++
			box = box.Union(r)
		}
	}
	if edges > 0 {
		out = append(out, Found{Symbol: PatchT, Value: "T", Box: s.box(box), Seen: edges})
	}
	return out
}

// hit is a patch seen on one line: where it starts and ends along the line.
type hit struct {
	line       int
	start, end float64
	order      bool // narrow first
}

// patches looks along columns (bars that lie) or rows (bars that stand).
func (s *sheet) patches(rows bool) []image.Rectangle {
	length, lines := s.h, s.w
	if rows {
		length, lines = s.w, s.h
	}
	step := max(1, int(patchStep*s.mm))
	half := max(1, int(0.4*s.mm))
	profile := make([]int, length)
	var hits []hit
	for at := step; at < lines-step/2; at += step {
		s.profile(profile, at, half, rows)
		for _, h := range s.bars(profile) {
			h.line = at
			hits = append(hits, h)
		}
	}
	return s.gather(hits, step, rows)
}

// profile is the mean grey of a strip along one line.
func (s *sheet) profile(to []int, at, half int, rows bool) {
	for i := range to {
		if rows {
			to[i] = s.mean(i, at-half, i+1, at+half+1)
		} else {
			to[i] = s.mean(at-half, i, at+half+1, i+1)
		}
	}
}

// bars finds the pattern on one line. The line is cut into dark and light where
// it crosses the middle between the ground and the darkest of the stretch
// around it.
func (s *sheet) bars(line []int) []hit {
	edges := s.edges(line)
	var out []hit
	for i := 0; i+7 < len(edges); i++ {
		if edges[i] < 0 {
			continue // this one ends a bar
		}
		var at [8]float64
		for j := range at {
			at[j] = math.Abs(edges[i+j])
		}
		narrow, ok := s.matches(at)
		if !ok {
			continue
		}
		quiet := (at[7] - at[0]) / 10 * 1.2
		before, after := 0.0, float64(len(line))
		if i > 0 {
			before = math.Abs(edges[i-1])
		}
		if i+8 < len(edges) {
			after = math.Abs(edges[i+8])
		}
		// At the edge of the page the scanner may have cut the quiet zone.
		if at[0]-before < quiet && before > 0 || after-at[7] < quiet && after < float64(len(line)) {
			continue
		}
		out = append(out, hit{start: at[0], end: at[7], order: narrow})
	}
	return out
}

// edges are the places where the line turns dark (positive) or light (negative).
func (s *sheet) edges(line []int) []float64 {
	window := int(22 * s.mm)
	lo, hi := extremes(line, window)
	var out []float64
	dark := false
	for i, v := range line {
		mid := (lo[i] + hi[i]) / 2
		if hi[i]-lo[i] < 40 {
			mid = 0 // nothing but paper, or nothing but ink
			if lo[i] < 70 {
				mid = 256
			}
		}
		if (v < mid) == dark {
			continue
		}
		dark = !dark
		at := float64(i)
		if i > 0 && line[i-1] != v {
			at -= math.Max(0, math.Min(1, float64(mid-v)/float64(line[i-1]-v)))
		}
		at = math.Max(at, 0.001)
		if dark {
			out = append(out, at)
		} else {
			out = append(out, -at)
		}
	}
	return s.withoutDust(out)
}

// withoutDust joins what specks and scratches have cut: runs under 0.35 mm.
func (s *sheet) withoutDust(edges []float64) []float64 {
	least := 0.35 * s.mm
	out := edges[:0:0]
	for _, e := range edges {
		if n := len(out); n > 0 && math.Abs(e)-math.Abs(out[n-1]) < least {
			out = out[:n-1]
			continue
		}
		out = append(out, e)
	}
	return out
}

// matches tells whether eight edges are T, and from which side.
func (s *sheet) matches(at [8]float64) (narrowFirst, ok bool) {
	total := at[7] - at[0]
	if total < patchLeast*s.mm || total > patchMost*s.mm {
		return false, false
	}
	var bars [4]float64
	var spaces [3]float64
	for i := range bars {
		bars[i] = at[2*i+1] - at[2*i]
	}
	for i := range spaces {
		spaces[i] = at[2*i+2] - at[2*i+1]
	}
	unit := total / 10
	// Ink spreads: bars may be thicker and spaces thinner by the same amount.
	spread := ((bars[0]+bars[1]+bars[2]+bars[3])/unit - 7) / 4
	if math.Abs(spread) > 0.45 {
		return false, false
	}
	for _, w := range spaces {
		if math.Abs(w/unit-(1-spread*4/3)) > 0.35 {
			return false, false
		}
	}
	narrowFirst = bars[0] < bars[1]
	for i, w := range bars {
		want := 2.5
		if (i%2 == 0) == narrowFirst {
			want = 1
		}
		if math.Abs(w/unit-(want+spread)) > 0.4 {
			return false, false
		}
	}
	return narrowFirst, true
}

// gather joins hits on neighbouring lines to patches and keeps those that are
// long enough and straight.
func (s *sheet) gather(hits []hit, step int, rows bool) []image.Rectangle {
	var out []image.Rectangle
	used := make([]bool, len(hits))
	for i := range hits {
		if used[i] {
			continue
		}
		chain, missed := []hit{hits[i]}, 0
		used[i] = true
		for line := hits[i].line + step; missed <= 3; line += step {
			j := slices.IndexFunc(hits, func(h hit) bool { return h.line == line && s.continues(chain, h) })
			if j < 0 {
				missed++
				continue
			}
			missed, used[j] = 0, true
			chain = append(chain, hits[j])
		}
		first, last := chain[0], chain[len(chain)-1]
		lines := (last.line-first.line)/step + 1
		if float64(lines*step) < patchLong*s.mm || 10*len(chain) < 6*lines || lines < 6 {
			continue
		}
		a, b := int(min(first.start, last.start)), int(max(first.end, last.end))
		if rows {
			out = append(out, image.Rect(a, first.line, b, last.line))
		} else {
			out = append(out, image.Rect(first.line, a, last.line, b))
		}
	}
	return out
}

// continues tells whether a hit goes on with a chain, as a skewed bar does.
func (s *sheet) continues(chain []hit, h hit) bool {
	last := chain[len(chain)-1]
	allowed := 0.35 * math.Abs(float64(h.line-last.line)) // up to 19 degrees
	size, had := h.end-h.start, last.end-last.start
	return h.order == last.order && math.Abs(h.start-last.start) <= allowed+0.5*s.mm && math.Abs(size-had) < 0.12*had
}

// extremes are the lowest and highest value within a window around each place,
// by blocks, which is near enough.
func extremes(line []int, window int) (lo, hi []int) {
	const blocks = 8
	size := max(1, window/blocks)
	n := (len(line) + size - 1) / size
	bl, bh := make([]int, n), make([]int, n)
	for b := range n {
		part := line[b*size : min(len(line), (b+1)*size)]
		bl[b], bh[b] = slices.Min(part), slices.Max(part)
	}
	lo, hi = make([]int, len(line)), make([]int, len(line))
	for b := range n {
		from, to := max(0, b-blocks/2), min(n, b+blocks/2+1)
		l, h := slices.Min(bl[from:to]), slices.Max(bh[from:to])
		for i := b * size; i < min(len(line), (b+1)*size); i++ {
			lo[i], hi[i] = l, h
		}
	}
	return lo, hi
}
