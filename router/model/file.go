package model

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sync"
)

// ErrFormat is returned by Decode for what is not a model of this program.
var ErrFormat = errors.New("not a model file of this version")

// magic begins a model file; the digit counts its formats. It also changes when
// the meaning of a feature changes.
const magic = "sekretariat-model-2\n"

// Bounds of a model file.
const (
	maxHeader = 1 << 20
	maxHeads  = 128
	maxFile   = 30 << 20
)

// header is the readable part of a model file.
type header struct {
	Labels      []string     `json:"labels"`
	Kinds       []string     `json:"kinds"`
	Card        Card         `json:"card"`
	Rarity      [256]float32 `json:"rarity"`
	Greatest    []float32    `json:"greatest"` // greatest weight of each head
	Bias        []float32    `json:"bias"`
	Calibration calibration  `json:"calibration"`
	Rows        int          `json:"rows"` // how many rows follow
}

// assemble makes a model of fitted weights: labels, labels by running text,
// urgency, kinds.
func assemble(labels, kinds []string, n numbering, label, plain, urgent, kind linear) *Model {
	m := &Model{Labels: labels, Kinds: kinds, heads: 2*len(labels) + 1 + len(kinds)}
	m.Temperature, m.KindTemp, m.UrgentUnit = 1, 1, 1
	m.idf, m.rarity = quantiseRarity(n.idf)
	m.weights = make([]int8, rows*m.heads)
	put := func(to head, from linear, class int, minus int) {
		w := func(id int) float32 {
			v := from.w[id*from.classes+class]
			if minus >= 0 {
				v -= from.w[id*from.classes+minus]
			}
			return v
		}
		most := float32(0)
		for id := range n.rows {
			most = max(most, float32(math.Abs(float64(w(id)))))
		}
		m.units = append(m.units, unit(most))
		for id, row := range n.rows {
			m.weights[int(row)*m.heads+int(to)] = quantise(w(id), most)
		}
		b := from.bias[class]
		if minus >= 0 {
			b -= from.bias[minus]
		}
		m.bias = append(m.bias, b)
	}
	h := head(0)
	for c := range labels {
		put(h, label, c, -1)
		h++
	}
	for c := range labels {
		put(h, plain, c, -1)
		h++
	}
	put(h, urgent, 1, 0)
	h++
	for c := range kinds {
		put(h, kind, c, -1)
		h++
	}
	return m
}

// A weight is kept in one octet, by the square root of its size: most weights
// are small, and small ones must not become nothing.
func quantise(w, most float32) int8 {
	if most == 0 {
		return 0
	}
	q := math.Round(127 * math.Sqrt(math.Abs(float64(w/most))))
	if w < 0 {
		q = -q
	}
	return int8(q)
}

// unit is the weight that a root of one stands for.
func unit(most float32) float32 { return most / (127 * 127) }

// quantiseRarity keeps 255 degrees of rarity.
func quantiseRarity(idf []float32) ([]uint8, [256]float32) {
	most := slices.Max(idf)
	var table [256]float32
	for i := range table {
		table[i] = most * float32(i) / 255
	}
	out := make([]uint8, len(idf))
	for i, v := range idf {
		if v > 0 {
			out[i] = uint8(max(1, math.Round(float64(v/most*255))))
		}
	}
	return out, table
}

// Encode writes the model's file and returns its version.
func (m *Model) Encode(w io.Writer) (version string, err error) {
	var buf bytes.Buffer
	zip, err := gzip.NewWriterLevel(&buf, gzip.BestCompression)
	if err != nil {
		return "", err
	}
	h := header{Labels: m.Labels, Kinds: m.Kinds, Card: m.Card, Rarity: m.rarity, Bias: m.bias, Calibration: m.calibration}
	for _, u := range m.units {
		h.Greatest = append(h.Greatest, u*127*127)
	}
	for _, q := range m.idf {
		if q != 0 {
			h.Rows++
		}
	}
	head, err := json.Marshal(h)
	if err != nil {
		return "", err
	}
	var size [4]byte
	binary.LittleEndian.PutUint32(size[:], uint32(len(head)))
	for _, b := range [][]byte{[]byte(magic), size[:], head, m.idf} {
		if _, err := zip.Write(b); err != nil {
			return "", err
		}
	}
	// Column by column: one head's weights compress better side by side.
	column := make([]byte, 0, h.Rows)
	for c := range m.heads {
		column = column[:0]
		for row, q := range m.idf {
			if q != 0 {
				column = append(column, byte(m.weights[row*m.heads+c]))
			}
		}
		if _, err := zip.Write(column); err != nil {
			return "", err
		}
	}
	if err := zip.Close(); err != nil {
		return "", err
	}
	if _, err := w.Write(buf.Bytes()); err != nil {
		return "", fmt.Errorf("write model: %w", err)
	}
	return versionOf(buf.Bytes()), nil
}

func versionOf(file []byte) string {
	d := sha256.Sum256(file)
	return "1-" + hex.EncodeToString(d[:6])
}

// Decode reads a model's file. It returns ErrFormat for anything else.
func Decode(file []byte) (*Model, error) {
	if len(file) > maxFile {
		return nil, fmt.Errorf("model of %d octets: %w", len(file), ErrFormat)
	}
	zip, err := gzip.NewReader(bytes.NewReader(file))
	if err != nil {
		return nil, fmt.Errorf("model: %w: %w", ErrFormat, err)
	}
	start := make([]byte, len(magic)+4)
	if _, err := io.ReadFull(zip, start); err != nil || string(start[:len(magic)]) != magic {
		return nil, fmt.Errorf("model: %w", ErrFormat)
	}
	size := binary.LittleEndian.Uint32(start[len(magic):])
	if size > maxHeader {
		return nil, fmt.Errorf("model header of %d octets: %w", size, ErrFormat)
	}
	head := make([]byte, size)
	if _, err := io.ReadFull(zip, head); err != nil {
		return nil, fmt.Errorf("model header: %w: %w", ErrFormat, err)
	}
	var h header
	if err := json.Unmarshal(head, &h); err != nil {
		return nil, fmt.Errorf("model header: %w: %w", ErrFormat, err)
	}
	m := &Model{
		Version: versionOf(file), Labels: h.Labels, Kinds: h.Kinds, Card: h.Card, heads: 2*len(h.Labels) + 1 + len(h.Kinds),
		rarity: h.Rarity, bias: h.Bias, calibration: h.Calibration, idf: make([]uint8, rows),
	}
	if m.heads > maxHeads || len(h.Labels) < 2 || len(h.Labels) > 64 || len(h.Kinds) < 2 || len(h.Greatest) != m.heads || len(h.Bias) != m.heads || len(m.Stack) != len(h.Labels) {
		return nil, fmt.Errorf("model header does not fit itself: %w", ErrFormat)
	}
	if _, err := io.ReadFull(zip, m.idf); err != nil {
		return nil, fmt.Errorf("model: %w: %w", ErrFormat, err)
	}
	for _, g := range h.Greatest {
		m.units = append(m.units, unit(g))
	}
	return m, m.readWeights(zip, h.Rows)
}

// readWeights reads the columns of the table.
func (m *Model) readWeights(r io.Reader, used int) error {
	n := 0
	for _, q := range m.idf {
		if q != 0 {
			n++
		}
	}
	if n != used {
		return fmt.Errorf("model has %d rows and names %d: %w", n, used, ErrFormat)
	}
	m.weights = make([]int8, rows*m.heads)
	column := make([]byte, n)
	for c := range m.heads {
		if _, err := io.ReadFull(r, column); err != nil {
			return fmt.Errorf("model weights: %w: %w", ErrFormat, err)
		}
		k := 0
		for row, q := range m.idf {
			if q != 0 {
				m.weights[row*m.heads+c] = int8(column[k])
				k++
			}
		}
	}
	return nil
}

//go:embed default.model
var builtin []byte

// Default is the model that ships with the program. It is read once.
var Default = sync.OnceValues(func() (*Model, error) {
	if len(builtin) == 0 {
		return nil, fmt.Errorf("this program was built without a model: %w", ErrFormat)
	}
	return Decode(builtin)
})
