package model

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
)

// feature is one feature of a letter: its number and its value.
type feature struct {
	id    uint32
	value float32
}

// vector is a letter as the classifiers see it.
type vector []feature

// vectors holds a letter twice: all features, and those of its running text.
type vectors struct{ all, text vector }

// rarityOf counts in how many letters each feature occurs.
func rarityOf(list []Input) []float32 {
	idf := make([]float32, rows)
	last := make([]int32, rows)
	for i, in := range list {
		in.each(func(_ int, row uint32, _ float32) {
			if last[row] != int32(i+1) {
				last[row] = int32(i + 1)
				idf[row]++
			}
		})
	}
	for i, n := range idf {
		idf[i] = 0
		if n >= leastLetters {
			idf[i] = 1 + float32(math.Log(float64(len(list)+1)/float64(n)))
		}
	}
	return idf
}

// leastLetters is in how many letters a feature must occur to be learned.
const leastLetters = 2

// numbering gives the features that are learned small numbers, the commonest
// first: what is used most lies together in memory.
type numbering struct {
	idf  []float32 // by row
	id   []int32   // row → number, −1 = not learned
	rows []uint32  // number → row
}

func number(idf []float32) numbering {
	n := numbering{idf: idf, id: make([]int32, rows)}
	for row, v := range idf {
		n.id[row] = -1
		if v > 0 {
			n.rows = append(n.rows, uint32(row))
		}
	}
	slices.SortStableFunc(n.rows, func(a, b uint32) int { return cmp.Compare(idf[a], idf[b]) })
	for k, row := range n.rows {
		n.id[row] = int32(k)
	}
	return n
}

// vectors makes the vectors of a letter.
func (n numbering) vectors(in Input) vectors {
	counts := map[uint64]float32{}
	var order []uint64
	in.each(func(family int, row uint32, by float32) {
		if n.id[row] < 0 {
			return
		}
		key := uint64(family)<<32 | uint64(row)
		if counts[key] == 0 {
			order = append(order, key)
		}
		counts[key] += by
	})
	var square [families]float32
	for _, k := range order {
		x := value(int(k>>32), counts[k], n.idf[uint32(k)])
		square[k>>32] += x * x
	}
	var v vectors
	for _, k := range order {
		f := int(k >> 32)
		x := value(f, counts[k], n.idf[uint32(k)]) * familyWeight[f]
		if !counted(f) {
			x /= float32(math.Sqrt(float64(square[f] + typical[f])))
		}
		item := feature{uint32(n.id[uint32(k)]), x}
		v.all = append(v.all, item)
		if f < textFamilies {
			v.text = append(v.text, item)
		}
	}
	return v
}

// FitOptions steer the fitting of one head.
type FitOptions struct {
	Epochs int     // times that each letter is looked at
	Rate   float32 // step of AdaGrad
	L2     float32 // pull towards zero
	Drop   float64 // share of features left out at each step, against learning by heart
	Seed   uint64
}

// defaultFit is chosen by cross-validation.
var defaultFit = FitOptions{Epochs: 15, Rate: 0.05, L2: 1e-5, Drop: 0.5, Seed: 1}

// linear are the weights of some classes, by the numbers of the features.
type linear struct {
	classes int
	w       []float32 // features × classes
	bias    []float32
}

func (l linear) scores(v vector) []float32 {
	p := append([]float32(nil), l.bias...)
	for _, f := range v {
		row := l.w[int(f.id)*l.classes : int(f.id+1)*l.classes]
		for k, w := range row {
			p[k] += f.value * w
		}
	}
	return p
}

// cell is one weight and the sum of its squared steps, side by side in memory.
type cell struct{ w, g float32 }

// fit makes a multinomial logistic regression by AdaGrad over so many features.
// y is the class of each letter, −1 for one that does not take part; weigh says
// how much a class counts, nil = all alike.
func fit(x []vector, y []int, features, classes int, o FitOptions, weigh []float32) linear {
	cells := make([]cell, features*classes)
	bias := make([]cell, classes)
	rng := rand.New(rand.NewPCG(o.Seed, 7))
	order := rng.Perm(len(x))
	used := make(vector, 0, 4096)
	p := make([]float32, classes)
	for range o.Epochs {
		rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, i := range order {
			if y[i] < 0 {
				continue
			}
			used = thin(used[:0], x[i], o.Drop, rng)
			for k := range p {
				p[k] = bias[k].w
			}
			for _, f := range used {
				for k, c := range cells[int(f.id)*classes : int(f.id+1)*classes] {
					p[k] += f.value * c.w
				}
			}
			softmax(p)
			p[y[i]]--
			for k := range p {
				if weigh != nil {
					p[k] *= weigh[y[i]]
				}
				bias[k].g += p[k] * p[k]
				bias[k].w -= o.Rate * p[k] / (1e-4 + sqrt(bias[k].g))
			}
			for _, f := range used {
				row := cells[int(f.id)*classes : int(f.id+1)*classes]
				for k := range row {
					c := &row[k]
					d := p[k]*f.value + o.L2*c.w
					c.g += d * d
					c.w -= o.Rate * d / (1e-3 + sqrt(c.g))
				}
			}
		}
	}
	l := linear{classes, make([]float32, len(cells)), make([]float32, classes)}
	for i, c := range cells {
		l.w[i] = c.w
	}
	for i, c := range bias {
		l.bias[i] = c.w
	}
	return l
}

// thin leaves out a share of the features and makes up for it with the others.
func thin(to, v vector, drop float64, rng *rand.Rand) vector {
	keep, limit := float32(1/(1-drop)), uint32(drop*(1<<16))
	var bits uint64
	for k, f := range v {
		if k%4 == 0 {
			bits = rng.Uint64()
		}
		if uint32(bits&0xffff) >= limit {
			to = append(to, feature{f.id, f.value * keep})
		}
		bits >>= 16
	}
	return to
}

func sqrt(x float32) float32 { return float32(math.Sqrt(float64(x))) }
