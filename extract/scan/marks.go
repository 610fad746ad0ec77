package scan

// mark is one connected thing on the paper.
type mark struct {
	x0, y0, x1, y1 int // inclusive
	area           int
	depth          int // sum over its pixels
	deepest        uint8
	steep          int // sum of the steepest steps to a neighbour, over its rim
	rim            int
}

func (m mark) w() int { return m.x1 - m.x0 + 1 }
func (m mark) h() int { return m.y1 - m.y0 + 1 }

// marks are the things on a page.
type marks struct {
	p    *paper
	list []mark
}

// marks joins the dark pixels that touch, diagonals too.
func (p *paper) marks() marks {
	label := make([]int32, len(p.depth))
	parent := []int32{0}
	find := func(i int32) int32 {
		for parent[i] != i {
			parent[i] = parent[parent[i]]
			i = parent[i]
		}
		return i
	}
	for y := range p.h {
		for x := range p.w {
			i := y*p.w + x
			if p.depth[i] < p.least {
				continue
			}
			var at int32
			join := func(j int) {
				l := label[j]
				switch {
				case l == 0:
				case at == 0:
					at = find(l)
				default:
					if r := find(l); r != at {
						parent[max(r, at)] = min(r, at)
						at = min(r, at)
					}
				}
			}
			if x > 0 {
				join(i - 1)
			}
			if y > 0 {
				join(i - p.w)
				if x > 0 {
					join(i - p.w - 1)
				}
				if x+1 < p.w {
					join(i - p.w + 1)
				}
			}
			if at == 0 {
				at = int32(len(parent))
				parent = append(parent, at)
			}
			label[i] = at
		}
	}
	return marks{p, p.gather(label, parent, find)}
}

func (p *paper) gather(label, parent []int32, find func(int32) int32) []mark {
	index := make([]int32, len(parent))
	var list []mark
	for y := range p.h {
		for x := range p.w {
			i := y*p.w + x
			if label[i] == 0 {
				continue
			}
			r := find(label[i])
			if index[r] == 0 {
				list = append(list, mark{x0: x, y0: y, x1: x, y1: y})
				index[r] = int32(len(list))
			}
			m := &list[index[r]-1]
			m.x0, m.x1, m.y1 = min(m.x0, x), max(m.x1, x), y
			m.area++
			d := p.depth[i]
			m.depth += int(d)
			m.deepest = max(m.deepest, d)
			if s, rim := p.step(label, i, x, y); rim {
				m.rim++
				m.steep += s
			}
		}
	}
	return list
}

// step is the largest step of depth around a pixel at the rim of a mark, over
// two pixels.
func (p *paper) step(label []int32, i, x, y int) (int, bool) {
	if x == 0 || y == 0 || x == p.w-1 || y == p.h-1 {
		return 0, false
	}
	if label[i-1] != 0 && label[i+1] != 0 && label[i-p.w] != 0 && label[i+p.w] != 0 {
		return 0, false
	}
	across := int(p.depth[i+1]) - int(p.depth[i-1])
	down := int(p.depth[i+p.w]) - int(p.depth[i-p.w])
	return max(across, -across, down, -down), true
}

// What is ink, in tenths of a millimetre, and what is not.
const (
	dust       = 9   // smaller in both directions
	edgeZone   = 40  // from the edge: shadows of the lid begin there
	holeZone   = 260 // from the edge: punch holes lie within
	holeLeast  = 35  // diameter
	holeMost   = 90
	letterMost = 100 // height of a letter
)

// ink tells whether a mark is something written or printed.
func (m *marks) ink(k *mark) bool {
	p := m.p
	w, h := k.w(), k.h()
	if max(w, h) < p.mm(dust) {
		return false
	}
	edge := p.mm(edgeZone)
	touches := k.x0 <= 1 || k.y0 <= 1 || k.x1 >= p.w-2 || k.y1 >= p.h-2
	inMargin := k.x1 < edge || k.y1 < edge || k.x0 >= p.w-edge || k.y0 >= p.h-edge
	long := w > p.w*2/5 && h < p.mm(60) || h > p.h*2/5 && w < p.mm(60)
	switch {
	case touches && (inMargin || long || max(w, h) > p.mm(400)): // shadow of an edge, a fold
		return false
	case inMargin && (long || min(w, h) < p.mm(dust)):
		return false
	case long && k.mean() < 60: // a fold from side to side
		return false
	case m.hole(k):
		return false
	}
	return m.sharp(k)
}

func (m mark) mean() int { return m.depth / max(m.area, 1) }

// hole tells whether a mark is a punch hole: round, near an edge.
func (m *marks) hole(k *mark) bool {
	p := m.p
	w, h := k.w(), k.h()
	zone := p.mm(holeZone)
	near := k.x1 < zone || k.x0 >= p.w-zone || k.y1 < zone || k.y0 >= p.h-zone
	size := min(w, h) >= p.mm(holeLeast) && max(w, h) <= p.mm(holeMost)
	round := 10*max(w, h) <= 14*min(w, h)
	return near && size && round && 20*k.area >= 9*w*h
}

// sharp tells a mark on this side of the paper from one that shines through
// from the other: that one has no rims. Pencil is pale, but has them.
func (m *marks) sharp(k *mark) bool {
	const surely = 70 // so dark is nothing that shines through
	if int(k.deepest) >= surely && k.mean() >= surely/2 {
		return true
	}
	if k.rim == 0 {
		return false
	}
	// A stroke of a pencil falls off within a pixel or two: the step over two
	// pixels is nearly its whole depth.
	return 100*k.steep/k.rim >= sharpShare*max(int(k.deepest), 1)
}

// sharpShare is the mean step at the rim that a sharp mark has, in percent of
// its depth.
const sharpShare = 45

// blank tells whether nothing is written on the page: less than a short word.
func (m *marks) blank() bool {
	const letters, octets = 3, 60 // tenths of a millimetre of extent
	count, extent := 0, 0
	for i := range m.list {
		k := &m.list[i]
		if !m.ink(k) {
			continue
		}
		count++
		extent = max(extent, k.w(), k.h())
		if count >= letters || extent >= m.p.mm(octets) {
			return false
		}
	}
	return true
}

// contrast is how much darker the ink is than the paper, for the most part.
func (m *marks) contrast() int {
	var hist [256]int
	n := 0
	for i := range m.list {
		if k := &m.list[i]; m.ink(k) {
			hist[k.deepest]++
			n++
		}
	}
	return percentile(&hist, n/2)
}

// cut tells whether several letters lie across the left or the right edge.
func (m *marks) cut() bool {
	const several = 4
	p := m.p
	left, right := 0, 0
	for i := range m.list {
		k := &m.list[i]
		if k.h() < p.mm(12) || k.h() > p.mm(letterMost) || k.mean() < paleInk {
			continue
		}
		switch {
		case k.x0 == 0 && k.x1 > p.mm(5) && k.w() < p.mm(400):
			left++
		case k.x1 == p.w-1 && k.x0 < p.w-p.mm(5) && k.w() < p.mm(400):
			right++
		}
	}
	return left >= several || right >= several
}
