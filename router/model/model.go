package model

import (
	"cmp"
	"math"
	"slices"
	"sync"
)

// Model is one version of the learned part of the router. It never changes and
// is safe for concurrent use.
type Model struct {
	// Version names the model in decisions: the format and the beginning of the
	// digest of its file.
	Version string
	// Labels and Kinds are what it can tell apart.
	Labels, Kinds []string
	// Card says what it was made from and how well it did, see Card.
	Card Card

	heads   int
	idf     []uint8      // row → index into rarity, 0 = not a feature
	rarity  [256]float32 // how much a feature of this rarity counts
	weights []int8       // rows × heads: the roots of weights, see squares
	units   []float32    // head → the weight that a root of one stands for
	bias    []float32

	calibration
	passes sync.Pool
}

// calibration turns scores into chances; fitted on letters that the weights had
// not seen.
type calibration struct {
	Temperature float32   `json:"temperature"` // of the labels
	KindTemp    float32   `json:"kindTemperature"`
	Stack       []float32 `json:"stack"`      // what the chance of each label adds to urgency
	StackBias   float32   `json:"stackBias"`  //
	UrgentAt    float32   `json:"urgentAt"`   // score from which a letter is urgent
	UrgentUnit  float32   `json:"urgentUnit"` // scale of the urgent score
	Sure        float64   `json:"sure"`       // chance from which 98 % were right
}

// SureAt is the chance of the first label from which 98 of 100 letters that the
// model had not seen were right.
func (m *Model) SureAt() float64 { return m.Sure }

// Scored is one of several answers with its chance.
type Scored struct {
	Name   string
	Chance float64 // 0..1, calibrated; all answers add up to one
}

// Prediction is what the model thinks of a letter.
type Prediction struct {
	Labels []Scored // best first
	Kinds  []Scored // best first
	Urgent float64  // chance; Urgency.At tells from where it counts
	Alarm  bool     // Urgent is above the model's own threshold
	Words  []string // the words that spoke most for the first label
}

// The columns of the table: labels by all features, labels by running text
// alone (for urgency), urgency, kinds.
func (m *Model) labelHead() head  { return 0 }
func (m *Model) plainHead() head  { return head(len(m.Labels)) }
func (m *Model) urgentHead() head { return head(2 * len(m.Labels)) }
func (m *Model) kindHead() head   { return head(2*len(m.Labels) + 1) }

// Predict says what a letter is about, of what kind, and how urgent.
func (m *Model) Predict(in Input) Prediction {
	p := m.pass()
	defer m.passes.Put(p)
	subject, body := maskWords(in.Subject), maskWords(in.Text)
	score, _ := m.beginnings(p, subject, body)
	in.whole(subject, body, p.add)
	out := Prediction{}
	labels := make([]float32, len(m.Labels))
	p.scores(labels, m.labelHead(), families)
	out.Labels = chances(m.Labels, labels, m.Temperature)
	kinds := make([]float32, len(m.Kinds))
	p.scores(kinds, m.kindHead(), families)
	out.Kinds = chances(m.Kinds, kinds, m.KindTemp)
	if in.Quoted != "" {
		body = maskWords(in.Text + "\n" + in.Quoted)
		p.reset(m.plainHead(), m.kindHead())
		more, _ := m.beginnings(p, subject, body)
		score = max(score, more)
	}
	out.Urgent = logistic(score * m.UrgentUnit)
	out.Alarm = score >= m.UrgentAt
	out.Words = m.words(subject, body, slices.Index(m.Labels, out.Labels[0].Name))
	return out
}

func (m *Model) pass() *pass {
	p, ok := m.passes.Get().(*pass)
	if !ok {
		p = newPass(m)
	}
	p.reset(0, head(m.heads))
	return p
}

// beginnings reads the letter forward and returns the greatest urgency of any
// beginning that ends with a sentence, and how many words of the body it has;
// the subject alone is the first.
func (m *Model) beginnings(p *pass, subject, body tokens) (most float32, words int) {
	r := newReader(p.add)
	r.begin(subject, true)
	for i := range subject.words {
		r.word(i)
	}
	most = m.urgency(p, len(subject.words))
	r.begin(body, false)
	for i := range body.words {
		r.word(i)
		if body.ends[i] {
			if u := m.urgency(p, len(subject.words)+i+1); u > most {
				most, words = u, i+1
			}
		}
	}
	return most, words
}

// strongest returns how many words the most urgent beginning of a text has.
func (m *Model) strongest(in Input) int {
	p := m.pass()
	defer m.passes.Put(p)
	_, words := m.beginnings(p, maskWords(in.Subject), maskWords(in.Text))
	return words
}

// A piece of less than fewWords words must be so much surer for each word that
// is missing: a greeting alone is no reason for alarm.
const (
	fewWords   = 12
	forMissing = 0.15
)

// urgency is the urgent score of the words that a pass has seen.
func (m *Model) urgency(p *pass, words int) float32 {
	var plain [64]float32
	labels := plain[:len(m.Labels)]
	p.scores(labels, m.plainHead(), textFamilies)
	softmax(labels)
	var u [1]float32
	p.scores(u[:], m.urgentHead(), textFamilies)
	z := u[0] + m.StackBias - forMissing*float32(max(0, fewWords-words))
	for k, c := range labels {
		z += m.Stack[k] * c
	}
	return z
}

// words are the words that speak most for a label, in the order of their
// weight: whole words of the letter, never a name or a number.
func (m *Model) words(subject, body tokens, label int) []string {
	type said struct {
		word string
		by   float32
	}
	var list []said
	seen := map[string]bool{}
	for _, t := range []tokens{subject, body} {
		for i, w := range t.words {
			if seen[w] || w[0] == '@' || len(w) < 4 {
				continue
			}
			seen[w] = true
			by := m.weight(hash('s', t.stems[i]), label) + m.weight(hash('w', w), label)
			if by > 0 {
				list = append(list, said{w, by})
			}
		}
	}
	slices.SortStableFunc(list, func(a, b said) int { return cmp.Compare(b.by, a.by) })
	var out []string
	for _, s := range list[:min(3, len(list))] {
		out = append(out, s.word)
	}
	return out
}

func (m *Model) weight(row uint32, label int) float32 {
	idf := m.idf[row]
	if idf == 0 {
		return 0
	}
	return m.rarity[idf] * m.units[label] * squares[uint8(m.weights[int(row)*m.heads+label])]
}

// chances turns scores into chances, best first.
func chances(names []string, score []float32, temperature float32) []Scored {
	for i := range score {
		score[i] /= temperature
	}
	softmax(score)
	out := make([]Scored, len(names))
	for i, n := range names {
		out[i] = Scored{n, float64(score[i])}
	}
	slices.SortStableFunc(out, func(a, b Scored) int { return cmp.Compare(b.Chance, a.Chance) })
	return out
}

func logistic(z float32) float64 { return 1 / (1 + math.Exp(-float64(z))) }

// softmax turns scores into chances, in place.
func softmax(p []float32) {
	most := slices.Max(p)
	sum := float32(0)
	for i, v := range p {
		p[i] = float32(math.Exp(float64(v - most)))
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
}
