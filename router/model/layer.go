package model

import (
	"cmp"
	"math"
	"slices"
)

// Sketch is a letter as a layer sees it: numbers of features and their values,
// no words. It has only features that the shipped model knows, which was made
// from invented letters, and none of names, long numbers and addresses (rule
// P17): what occurs in real letters alone, like a surname or a street, cannot
// be in it.
type Sketch []feature

// sketched are the families of features that a layer may use. Pieces of words
// are left out: they would tell rare words after all.
var sketched = [families]bool{famStem: true, famPair: true, famSubject: true, famStart: true, famConcept: true, famConcepts: true, famMark: true}

// Sketch makes the sketch of a letter.
func (m *Model) Sketch(in Input) Sketch {
	counts := make(map[uint64]float32, 1024)
	var keys []uint64 // as they come, which is always the same
	add := func(family int, row uint32, by float32) {
		if sketched[family] && m.idf[row] != 0 {
			k := uint64(family)<<32 | uint64(row)
			before := counts[k]
			if before == 0 {
				keys = append(keys, k)
			}
			counts[k] = before + by
		}
	}
	subject, body := withoutPlaces(maskWords(in.Subject)), withoutPlaces(maskWords(in.Text))
	r := newReader(add)
	r.begin(subject, true)
	for i := range subject.words {
		r.word(i)
	}
	r.begin(body, false)
	for i := range body.words {
		r.word(i)
	}
	in.whole(subject, body, add)
	var square [families]float32
	for _, k := range keys {
		x := value(int(k>>32), counts[k], m.rarity[m.idf[uint32(k)]])
		square[k>>32] += x * x
	}
	out := make(Sketch, 0, len(keys))
	for _, k := range keys {
		f := int(k >> 32)
		x := value(f, counts[k], m.rarity[m.idf[uint32(k)]]) * familyWeight[f]
		if counted(f) {
			x *= markShare
		} else {
			x /= float32(math.Sqrt(float64(square[f] + typical[f])))
		}
		out = append(out, feature{uint32(k), x})
	}
	return out
}

// With adds what the model thinks of the letter: a centre that sends a whole
// subject or kind of letter elsewhere is understood after a few decisions.
func (s Sketch) With(opinions ...[]Scored) Sketch {
	out := slices.Clone(s)
	for i, list := range opinions {
		for _, o := range list {
			if o.Chance >= leastOpinion {
				out = append(out, feature{rows + hash('o', string(rune('0'+i)), o.Name), opinionScale * float32(o.Chance)})
			}
		}
	}
	return out
}

// An opinion counts as much as so many words, from this chance on.
const (
	opinionScale = 1
	leastOpinion = 0.1
)

// markShare holds marks (channel, length, rules) down: they are few and in every
// letter, and what is learned of one would reach all others.
const markShare = 0.3

// placeWords stand before the name of a street, a square or an estate.
var placeWords = map[string]bool{
	"ul": true, "ulica": true, "ulicy": true, "ulice": true, "al": true, "aleja": true, "alei": true, "os": true, "osiedle": true, "osiedlu": true,
	"osiedla": true, "pl": true, "plac": true, "placu": true, "zam": true, "zamieszkaly": true, "zamieszkala": true, "zamieszkalego": true, "zamieszkalej": true,
}

// maskedPlace stands for what was taken out of an address.
const maskedPlace = "@miejsce"

// withoutPlaces takes the names of streets out with the numbers behind them,
// and every word that looks like a surname.
func withoutPlaces(t tokens) tokens {
	left := 0 // words of a place that are still to come
	for i, w := range t.words {
		switch {
		case placeWords[w]:
			left = 2 // "Jana Pawła"
		case left > 0, i > 0 && t.words[i-1] == maskedPlace && digits(w) > 0:
			t.words[i], t.stems[i] = maskedPlace, maskedPlace
			left--
		case surname(w):
			t.words[i], t.stems[i] = maskedName, maskedName
		}
	}
	return t
}

// Taught is one decision of a person that a layer learns from.
type Taught struct {
	Sketch Sketch
	Before []Scored // the chances without the layer
	Target string   // where the letter belongs
	Weight float32  // how much it counts, 0 = 1
}

// Layer is what the people of one centre taught, on top of a model that stays
// as it is: weights of features for places. It never changes and is safe for
// concurrent use.
type Layer struct {
	// Version names the layer: the same decisions on the same letters give the
	// same version on every machine.
	Version string
	// Letters is how many decisions it was made from.
	Letters int

	targets []string
	column  map[string]int
	weights map[uint32][]float32
}

// How a layer learns; chosen on letters that the base had not seen, see
// TestLearning of package learn.
const (
	layerEpochs = 12
	layerRate   = 0.2
	layerPull   = 2e-3 // towards zero
	// leastBefore is the chance of a place that the model itself never names.
	leastBefore = 2e-3
)

// Teach makes a layer of decisions, in their order. It takes time in proportion
// to their number, some 0.1 ms each.
func Teach(list []Taught, version string) *Layer {
	l := &Layer{Version: version, Letters: len(list), column: map[string]int{}, weights: map[uint32][]float32{}}
	for _, t := range list {
		l.target(t.Target)
		for _, s := range t.Before {
			l.target(s.Name)
		}
	}
	n := len(l.targets)
	number := map[uint32]int{}
	lessons := make([]Sketch, len(list)) // the features numbered, so that each pass runs through memory
	for i, t := range list {
		lessons[i] = make(Sketch, len(t.Sketch))
		for j, f := range t.Sketch {
			k, there := number[f.id]
			if !there {
				k = len(number)
				number[f.id] = k
			}
			lessons[i][j] = feature{uint32(k), f.value}
		}
	}
	cells := make([]cell, len(number)*n)
	p := make([]float32, n)
	for range layerEpochs {
		for i, t := range list {
			l.start(p, t.Before)
			for _, f := range lessons[i] {
				for k, c := range cells[int(f.id)*n : int(f.id+1)*n] {
					p[k] += f.value * c.w
				}
			}
			softmax(p)
			p[l.column[t.Target]]--
			step(cells, n, lessons[i], p, cmp.Or(t.Weight, 1))
		}
	}
	for id, k := range number {
		w := make([]float32, n)
		for j := range w {
			w[j] = cells[k*n+j].w
		}
		l.weights[id] = w
	}
	return l
}

// leastError is the error of a place below which its weights stay.
const leastError = 0.003

// step moves the weights of one letter's features against the error p.
func step(cells []cell, n int, s Sketch, p []float32, weight float32) {
	for k, e := range p {
		if e > -leastError && e < leastError {
			continue
		}
		for _, f := range s {
			c := &cells[int(f.id)*n+k]
			d := weight*e*f.value + layerPull*c.w
			c.g += d * d
			c.w -= layerRate * d / (1e-2 + sqrt(c.g))
		}
	}
}

func (l *Layer) target(name string) {
	if _, there := l.column[name]; !there {
		l.column[name] = len(l.targets)
		l.targets = append(l.targets, name)
	}
}

// start writes the score of each of the layer's places without what was taught.
func (l *Layer) start(out []float32, before []Scored) {
	for i := range out {
		out[i] = float32(math.Log(leastBefore))
	}
	for _, b := range before {
		if k, ok := l.column[b.Name]; ok {
			out[k] = float32(math.Log(max(b.Chance, leastBefore)))
		}
	}
}

// Apply says how likely each place is after all that was taught, likeliest
// first. Places that the layer alone knows are in the answer.
func (l *Layer) Apply(s Sketch, before []Scored) []Scored {
	p := make([]float32, len(l.targets))
	l.start(p, before)
	for _, f := range s {
		for k, w := range l.weights[f.id] {
			p[k] += f.value * w
		}
	}
	names := slices.Clone(l.targets)
	for _, b := range before {
		if _, ok := l.column[b.Name]; !ok {
			names, p = append(names, b.Name), append(p, float32(math.Log(max(b.Chance, leastBefore))))
		}
	}
	return chances(names, p, 1)
}
