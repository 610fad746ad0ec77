package model

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// examples are letters about two things that differ in their words alone.
func examples(n int) []Example {
	subjects := map[string][]string{
		"opal":   {"opał", "węgiel", "drewno", "piec", "zimno"},
		"dzieci": {"szkoła", "świetlica", "zajęcia", "półkolonie", "lekcje"},
	}
	var out []Example
	for i := range n {
		for label, words := range subjects {
			urgent := label == "opal" && i%2 == 0
			text := fmt.Sprintf("Proszę o %s i %s dla rodziny.", words[i%5], words[(i/5+i+1)%5])
			if urgent {
				text += " Dzisiaj marzniemy, nie ma czym palić."
			}
			kind := "wniosek"
			if i%3 == 0 {
				kind, text = "zapytanie", text+" Kiedy będzie odpowiedź?"
			}
			out = append(out, Example{Input: Input{Channel: "mail", Text: text}, Label: label, Kind: kind, Urgent: &urgent})
		}
	}
	return out
}

func TestTrainEncodeDecode(t *testing.T) {
	m, held := Train(examples(40), TrainOptions{Folds: 4, Seeds: 1, Digest: "abc"})
	if m.Card.Top1 < 0.95 || m.Card.Recall < 0.9 || len(held) != 80 {
		t.Fatalf("cross-validation: %+v", m.Card)
	}
	var file bytes.Buffer
	version, err := m.Encode(&file)
	if err != nil {
		t.Fatal(err)
	}
	back, err := Decode(file.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if back.Version != version || back.Card != m.Card || back.Sure != m.Sure {
		t.Errorf("version %s and card %+v became %s and %+v", version, m.Card, back.Version, back.Card)
	}
	for _, e := range examples(7) {
		a, b := m.Predict(e.Input), back.Predict(e.Input)
		if a.Labels[0].Name != b.Labels[0].Name || math.Abs(a.Labels[0].Chance-b.Labels[0].Chance)+math.Abs(a.Urgent-b.Urgent) > 1e-4 || a.Labels[0].Name != e.Label {
			t.Errorf("%q: %+v before, %+v after", e.Text, a, b)
		}
	}
}

func TestTrainingIsRepeatable(t *testing.T) {
	list := examples(10)
	file := func() string {
		m, _ := Train(list, TrainOptions{Folds: 2, Seeds: 1})
		var b bytes.Buffer
		if _, err := m.Encode(&b); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	if file() != file() {
		t.Error("the same letters made two models")
	}
}

func TestDecodeRefusesOtherFiles(t *testing.T) {
	m, _ := Train(examples(5), TrainOptions{Folds: 2, Seeds: 1})
	var b bytes.Buffer
	if _, err := m.Encode(&b); err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string][]byte{"nothing": nil, "text": []byte("hello"), "half": b.Bytes()[:b.Len()/2]} {
		if _, err := Decode(file); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The chances are chances, and what is added behind a letter never lowers its
// urgency.
func TestPredictionsHold(t *testing.T) {
	m, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	words := []string{"mąż", "bije", "zasiłek", "stały", "opał", "nie", "mam", "gdzie", "spać", "faktura", "dziękuję", "mróz", ".", "\n", "?", "orzeczenie", "dziecko", "samo"}
	rapid.Check(t, func(t *rapid.T) {
		join := func(name string) (s string) {
			for _, w := range rapid.SliceOfN(rapid.SampledFrom(words), 0, 40).Draw(t, name) {
				s += w + " "
			}
			return s
		}
		in := Input{Channel: "mail", Subject: join("subject"), Text: join("text") + ".\n"}
		p := m.Predict(in)
		sum := 0.0
		for i, l := range p.Labels {
			sum += l.Chance
			if i > 0 && l.Chance > p.Labels[i-1].Chance {
				t.Fatalf("not in order: %+v", p.Labels)
			}
		}
		if math.Abs(sum-1) > 1e-4 || p.Urgent < 0 || p.Urgent > 1 {
			t.Fatalf("labels add up to %f, urgent %f", sum, p.Urgent)
		}
		in.Text += join("more")
		if more := m.Predict(in); more.Urgent < p.Urgent-1e-6 {
			t.Fatalf("urgency fell from %f to %f", p.Urgent, more.Urgent)
		}
	})
}

func TestDefaultModel(t *testing.T) {
	if len(builtin) > 30<<20 {
		t.Errorf("the model has %d octets", len(builtin))
	}
	m, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Labels) != 10 || m.SureAt() <= 0.5 || m.SureAt() >= 1 || m.Card.Letters == 0 {
		t.Errorf("labels %v, sure at %.3f, card %+v", m.Labels, m.SureAt(), m.Card)
	}
}

func BenchmarkDecode(b *testing.B) {
	for b.Loop() {
		if _, err := Decode(builtin); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPredict is one letter of about 100 words.
func BenchmarkPredict(b *testing.B) {
	m, err := Default()
	if err != nil {
		b.Fatal(err)
	}
	in := Input{Channel: "mail", Subject: "Prośba o pomoc w zakupie opału"}
	for range 5 {
		in.Text += "Zwracam się z prośbą o przyznanie zasiłku celowego na zakup węgla. Mieszkam sama, mam niską emeryturę i nie stać mnie na opał. "
	}
	start := time.Now()
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		m.Predict(in)
		n++
	}
	b.ReportMetric(float64(n)/time.Since(start).Seconds(), "letters/s")
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("hello"))
	f.Fuzz(func(t *testing.T, file []byte) {
		if m, err := Decode(file); err == nil && len(m.Labels) < 2 {
			t.Fatal("a model of nothing")
		}
	})
}
