package codes

import (
	"image"
	"math"
	"slices"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/oned"
)

// Linear codes are read line by line, in both directions and along columns too,
// so a sheet may lie as it likes and be askew by ten degrees. The decoding of a
// line is gozxing's; which stretches are tried, where dark begins and how many
// lines must agree is decided here: the library stops at the first code of a
// page and at the first stretch of a line that looks like the start of one.
const (
	lineStep = 0.9 // mm between lines
	quietGap = 2.6 // mm of paper that end a code: more than four modules of most
	largeGap = 8.0 // of those that are printed across the sheet
	leastRun = 12  // mm of a code at least
	leastBar = 20  // edges of a code at least
	// finer is into how many places a pixel is cut, for bars of two pixels.
	finer = 3
)

// lineReader reads one symbology; Code 128 has a checksum, Code 39 has none, so
// more lines must say the same.
type lineReader struct {
	symbol string
	agree  int
	oned.RowDecoder
}

func lineReaders() []lineReader {
	return []lineReader{
		{Code128, 2, oned.NewCode128Reader().(oned.RowDecoder)},
		{Code39, 3, oned.NewCode39Reader().(oned.RowDecoder)},
	}
}

func (s *sheet) linear() []Found {
	readers := lineReaders()
	var out []Found
	for _, rows := range []bool{true, false} {
		for _, half := range []int{max(1, int(0.35*s.mm)), 0} {
			found := s.lines(rows, half, readers)
			out = merge(out, found)
			if len(found) > 0 {
				break
			}
			if half <= 1 {
				break // the second pass would see the same
			}
		}
	}
	return out
}

// lines reads the page along rows or columns; half is how much of the page on
// either side of a line is looked at together, against dirt.
func (s *sheet) lines(rows bool, half int, readers []lineReader) []Found {
	length, lines := s.w, s.h
	if !rows {
		length, lines = s.h, s.w
	}
	line := make([]int, length)
	votes := make([][]Found, len(readers))
	step := max(1, int(lineStep*s.mm))
	for at := step / 2; at < lines; at += step {
		s.profile(line, at, half, rows)
		for _, part := range s.stretches(line) {
			for i, r := range readers {
				text, ok := r.read(part.bits)
				if !ok {
					continue
				}
				box := image.Rect(part.from, at, part.to, at+1)
				if !rows {
					box = image.Rect(at, part.from, at+1, part.to)
				}
				votes[i] = vote(votes[i], Found{Symbol: r.symbol, Value: text, Box: box, Seen: 1})
				break
			}
		}
	}
	var out []Found
	for i, r := range readers {
		for _, f := range votes[i] {
			if f.Seen >= r.agree {
				f.Box = s.box(f.Box)
				out = append(out, f)
			}
		}
	}
	return out
}

func vote(list []Found, f Found) []Found {
	i := slices.IndexFunc(list, func(o Found) bool { return o.Value == f.Value })
	if i < 0 {
		return append(list, f)
	}
	list[i].Seen++
	list[i].Box = list[i].Box.Union(f.Box)
	return list
}

// read decodes a stretch in both directions.
func (r lineReader) read(bits *gozxing.BitArray) (string, bool) {
	for range 2 {
		if got, err := r.DecodeRow(0, bits, nil); err == nil && len(got.GetText()) >= 3 {
			return got.GetText(), true
		}
		bits.Reverse()
	}
	return "", false
}

// stretch is a part of a line between two pieces of blank paper.
type stretch struct {
	from, to int
	bits     *gozxing.BitArray
}

// stretches cuts a line apart where the paper is blank and keeps what has
// enough bars.
func (s *sheet) stretches(line []int) []stretch {
	edges := s.fineEdges(line)
	if len(edges) < leastBar {
		return nil
	}
	out := s.cut(edges, quietGap*s.mm)
	for _, l := range s.cut(edges, largeGap*s.mm) {
		if !slices.ContainsFunc(out, func(o stretch) bool { return o.from == l.from && o.to == l.to }) {
			out = append(out, l)
		}
	}
	return out
}

func (s *sheet) cut(edges []float64, gap float64) []stretch {
	var out []stretch
	for i := 0; i < len(edges); {
		j := i + 1
		for j < len(edges) && (j%2 == 1 || edges[j]-edges[j-1] < gap) {
			j++
		}
		// Edges with even numbers turn dark: i..j-1 is dark at both ends.
		if n := j - i; n >= leastBar && edges[j-1]-edges[i] >= leastRun*s.mm {
			out = append(out, stretch{int(edges[i]), int(edges[j-1]), bitsOf(edges[i:j])})
		}
		i = j
	}
	return out
}

// bitsOf draws a stretch with a margin of blank paper.
func bitsOf(edges []float64) *gozxing.BitArray {
	length := edges[len(edges)-1] - edges[0]
	margin := int(length*finer/4) + 8
	at := func(e float64) int { return margin + int(math.Round((e-edges[0])*finer)) }
	b := gozxing.NewBitArray(at(edges[len(edges)-1]) + margin)
	for i := 0; i+1 < len(edges); i += 2 {
		if from, to := at(edges[i]), at(edges[i+1]); to > from {
			_ = b.SetRange(from, to)
		}
	}
	return b
}

// fineEdges are the places where a line turns dark and light by turns, between
// pixels. Dark is what is darker than the middle of its surroundings.
func (s *sheet) fineEdges(line []int) []float64 {
	lo, hi := extremes(line, int(5*s.mm))
	var out []float64
	dark := false
	for i, v := range line {
		mid := (lo[i] + hi[i]) / 2
		if hi[i]-lo[i] < 36 {
			mid = 0
			if hi[i] < 90 {
				mid = 256
			}
		}
		if (v < mid) == dark {
			continue
		}
		dark = !dark
		at := float64(i)
		if i > 0 && line[i-1] != v {
			// A pixel is the mean of its width: the edge is where the middle
			// is crossed between the middles of two pixels.
			at += 0.5 - math.Max(0, math.Min(1, float64(mid-v)/float64(line[i-1]-v)))
		}
		out = append(out, at)
	}
	if len(out)%2 == 1 {
		out = append(out, float64(len(line)))
	}
	return out
}
