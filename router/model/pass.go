package model

import "math"

// head is one linear classifier: its column in the table of weights.
type head int

// damping is how many words a letter counts more than it has: single words
// must not shout.
const damping = 2

// typical is the damping of each family: the squared length of so many words'
// features.
var typical = [families]float32{
	famWord: 9 * damping, famStem: 9 * damping, famPrefix: 12 * damping, famPair: 20 * damping, famSkip: 20 * damping, famChar: 60 * damping,
	famSubject: 4 * damping, famStart: 9 * damping, famConcepts: 20 * damping,
}

// logs are 1 + ln n for the counts that texts have.
var logs = func() (t [64]float32) {
	for n := 1; n < len(t); n++ {
		t[n] = 1 + float32(math.Log(float64(n)))
	}
	return t
}()

// value is the value of a feature that occurs n times in a family.
func value(family int, n, idf float32) float32 {
	if counted(family) {
		return n
	}
	if k := int(n); k < len(logs) && float32(k) == n {
		return logs[k] * idf
	}
	return (1 + float32(math.Log(float64(n)))) * idf
}

// squares is what an octet of the table stands for, but for the head's scale:
// its square, with its sign.
var squares = func() (t [256]float32) {
	for q := -127; q <= 127; q++ {
		v := float32(q * q)
		if q < 0 {
			v = -v
		}
		t[uint8(int8(q))] = v
	}
	return t
}()

// slot is one entry of a pass's table of counts.
type slot struct {
	key   uint32 // row and family, shifted so that 0 is free
	count float32
}

// pass adds up what the features of a letter say to each head, word by word, so
// that the scores can be read at any word.
type pass struct {
	m      *Model
	from   head // the heads that are added up: from ≤ head < to
	to     head
	slots  []slot // open addressing, a power of two
	used   int
	square [families]float32
	dot    []float32 // families × heads
}

func newPass(m *Model) *pass {
	return &pass{m: m, slots: make([]slot, 4096), dot: make([]float32, families*m.heads)}
}

// reset makes the pass ready for another letter and a range of heads.
func (p *pass) reset(from, to head) {
	p.from, p.to, p.used = from, to, 0
	clear(p.slots)
	clear(p.dot)
	p.square = [families]float32{}
}

// count adds to the count of a feature and returns what it was before.
func (p *pass) count(family int, row uint32, by float32) (before float32) {
	if p.used*2 > len(p.slots) {
		p.grow()
	}
	s := find(p.slots, row<<4|uint32(family)+1)
	if s.count == 0 {
		p.used++
	}
	before = s.count
	s.count += by
	return before
}

// find returns the slot of a key, or the free one where it belongs.
func find(slots []slot, key uint32) *slot {
	mask := uint32(len(slots) - 1)
	for i := key * 0x9e3779b1 >> 7 & mask; ; i = (i + 1) & mask {
		if s := &slots[i]; s.key == key || s.key == 0 {
			s.key = key
			return s
		}
	}
}

func (p *pass) grow() {
	bigger := make([]slot, 2*len(p.slots))
	for _, s := range p.slots {
		if s.key != 0 {
			*find(bigger, s.key) = s
		}
	}
	p.slots = bigger
}

// add takes one feature.
func (p *pass) add(family int, row uint32, by float32) {
	idf := p.m.idf[row]
	if idf == 0 {
		return // never seen in training
	}
	before := p.count(family, row, by)
	rarity := p.m.rarity[idf]
	x := value(family, before+by, rarity)
	d := x
	if before > 0 {
		old := value(family, before, rarity)
		d -= old
		p.square[family] -= old * old
	}
	p.square[family] += x * x
	base := int(row) * p.m.heads
	w := p.m.weights[base+int(p.from) : base+int(p.to)]
	dot := p.dot[family*p.m.heads+int(p.from):][:len(w)]
	for h, q := range w {
		dot[h] += d * squares[uint8(q)]
	}
}

// scale is what the sums of a family are multiplied by.
func (p *pass) scale(family int) float32 {
	if counted(family) {
		return familyWeight[family]
	}
	if p.square[family] == 0 {
		return 0
	}
	return familyWeight[family] / float32(math.Sqrt(float64(p.square[family]+typical[family])))
}

// scores writes the scores of some heads, the first families counting.
func (p *pass) scores(out []float32, first head, upTo int) {
	clear(out)
	for f := range upTo {
		k := p.scale(f)
		if k == 0 {
			continue
		}
		dot := p.dot[f*p.m.heads+int(first):][:len(out)]
		for i, v := range dot {
			out[i] += k * v
		}
	}
	for i := range out {
		h := int(first) + i
		out[i] = out[i]*p.m.units[h] + p.m.bias[h]
	}
}
