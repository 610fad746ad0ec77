package ocr

import (
	"fmt"
	"strconv"
	"strings"
)

// The columns of Tesseract's TSV (its manual, "TSV").
const (
	colLevel = iota
	colPage
	colBlock
	colParagraph
	colLine
	colWord
	colLeft
	colTop
	colWidth
	colHeight
	colConfidence
	colText
	columns
)

// levelWord is the level of rows that hold a word.
const levelWord = 5

// maxWords bounds the words of a page.
const maxWords = 20_000

// parse reads the TSV of so many pages.
func parse(out []byte, pages int) ([]Text, error) {
	texts := make([]Text, pages)
	weight := make([]int, pages)
	line, paragraph := 0, 0
	var lastLine, lastParagraph [4]string
	for row := range strings.Lines(string(out)) {
		f := strings.SplitN(strings.TrimRight(row, "\n"), "\t", columns)
		if len(f) < columns || f[colLevel] != strconv.Itoa(levelWord) {
			continue
		}
		n, err := strconv.Atoi(f[colPage])
		if err != nil || n < 1 || n > pages {
			return nil, fmt.Errorf("tesseract: a row of page %q of %d", f[colPage], pages)
		}
		text := strings.TrimSpace(strings.ToValidUTF8(f[colText], ""))
		if text == "" || len(texts[n-1].Words) >= maxWords {
			continue
		}
		at := [4]string{f[colPage], f[colBlock], f[colParagraph], f[colLine]}
		if at != lastLine {
			line, lastLine = line+1, at
		}
		if at[3] = ""; at != lastParagraph {
			paragraph, lastParagraph = paragraph+1, at
		}
		w := Word{Text: text, Line: line, Paragraph: paragraph}
		w.X, w.Y, w.W, w.H = number(f[colLeft]), number(f[colTop]), number(f[colWidth]), number(f[colHeight])
		sure, _ := strconv.ParseFloat(f[colConfidence], 64)
		w.Confidence = min(100, max(0, int(sure+0.5)))
		texts[n-1].Words = append(texts[n-1].Words, w)
		texts[n-1].Confidence += w.Confidence * len(text)
		weight[n-1] += len(text)
	}
	for i := range texts {
		texts[i].Confidence /= max(1, weight[i])
	}
	return texts, nil
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0
	}
	return n
}
