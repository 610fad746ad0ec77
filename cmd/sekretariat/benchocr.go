package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"sekretariat"
	"sekretariat/extract"
	"sekretariat/extract/ocr"
	"sekretariat/extract/recognise"
)

// ocrBench is what bench ocr was asked for.
type ocrBench struct {
	file, truth string
	repeat      int
	runs        int
	noPeer      bool

	temp  string
	want  []string // text of each page, nil = not known
	style []string // of each page: "typed", "form", "hand"
	pages int      // of the file, repeated
}

// ocrPeers are the ways of OCRmyPDF that are measured beside ours: as it comes,
// with the least work, and as paperless-ngx runs it.
var ocrPeers = []struct {
	name string
	args []string
}{
	{"default", nil},
	{"pdf", []string{"--output-type", "pdf", "--optimize", "0"}},
	{"clean", []string{"--deskew", "--rotate-pages", "--clean"}},
}

// benchOCR measures text recognition of a scan, from the file to text and
// searchable copy, beside OCRmyPDF on the same pages, in turn, and the share of
// wrong letters of both where the true text is given.
func benchOCR(ctx context.Context, c *cli) error {
	f := c.flags("bench ocr")
	var o ocrBench
	f.StringVar(&o.file, "file", "", "PDF of scanned pages")
	f.StringVar(&o.truth, "truth", "", "JSON lines with the text of its pages: {\"file\": …, \"pages\": [{\"n\": 1, \"text\": …, \"style\": …}]}")
	f.IntVar(&o.repeat, "repeat", 1, "how often the pages follow each other in what is measured (qpdf joins them)")
	f.IntVar(&o.runs, "runs", 3, "runs of each")
	f.BoolVar(&o.noPeer, "no-peer", false, "do not run ocrmypdf")
	if err := c.parseOnly(f); err != nil {
		return err
	}
	if o.file == "" {
		return usagef("say: sekretariat bench ocr --file SCAN.pdf")
	}
	if err := ocr.Available(); err != nil {
		return err
	}
	if _, err := exec.LookPath("ocrmypdf"); err != nil && !o.noPeer {
		return usagef("ocrmypdf is not installed; install it or give --no-peer")
	}
	temp, err := os.MkdirTemp("", "sekretariat-bench-")
	if err != nil {
		return fmt.Errorf("folder for the runs: %w", err)
	}
	defer os.RemoveAll(temp)
	o.temp = temp
	if err := errors.Join(o.loadTruth(), o.join(ctx)); err != nil {
		return err
	}
	return o.run(ctx, c)
}

// loadTruth reads what the pages say.
func (o *ocrBench) loadTruth() error {
	if o.truth == "" {
		return nil
	}
	raw, err := os.ReadFile(o.truth)
	if err != nil {
		return fmt.Errorf("true text: %w", err)
	}
	for line := range bytes.Lines(raw) {
		var one struct {
			File  string
			Pages []struct{ Text, Style string }
		}
		if err := json.Unmarshal(line, &one); err != nil {
			return fmt.Errorf("true text: %w", err)
		}
		if one.File != filepath.Base(o.file) {
			continue
		}
		for range max(o.repeat, 1) {
			for _, p := range one.Pages {
				o.want, o.style = append(o.want, p.Text), append(o.style, p.Style)
			}
		}
	}
	return nil
}

// join makes the file that is measured.
func (o *ocrBench) join(ctx context.Context) error {
	if o.repeat <= 1 {
		return nil
	}
	joined := filepath.Join(o.temp, "joined.pdf")
	args := []string{"--empty", "--pages"}
	for range o.repeat {
		args = append(args, o.file, "1-z")
	}
	if out, err := exec.CommandContext(ctx, "qpdf", append(args, "--", joined)...).CombinedOutput(); err != nil {
		return fmt.Errorf("qpdf: %w: %s", err, out)
	}
	o.file = joined
	return nil
}

func (o *ocrBench) run(ctx context.Context, c *cli) error {
	pool, err := readPool(c, extract.PoolOptions{Temp: o.temp})
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := pool.WarmPages(ctx, filepath.Join(o.temp, "engine")); err != nil {
		return err
	}
	var ours []float64
	peers := map[string][]float64{}
	for run := range o.runs {
		texts, seconds, err := o.ours(ctx, pool)
		if err != nil {
			return err
		}
		o.pages = len(texts)
		ours = append(ours, o.rate(seconds))
		fmt.Fprintf(c.stdout, "run %d: sekretariat %.0f pages/min%s\n", run+1, o.rate(seconds), o.errors(texts))
		if o.noPeer {
			continue
		}
		for _, way := range ocrPeers {
			if texts, seconds, err = o.peer(ctx, way.args); err != nil {
				return err
			}
			peers[way.name] = append(peers[way.name], o.rate(seconds))
			fmt.Fprintf(c.stdout, "run %d: ocrmypdf %-8s %.0f pages/min%s\n", run+1, way.name, o.rate(seconds), o.errors(texts))
		}
	}
	fmt.Fprintf(c.stdout, "medians of %d runs, %d pages, %d processors: sekretariat %.0f pages/min", o.runs, o.pages, runtime.NumCPU(), median(ours))
	for _, way := range ocrPeers {
		if m := peers[way.name]; len(m) > 0 {
			fmt.Fprintf(c.stdout, "; ocrmypdf %s %.0f, ratio %.2f", way.name, median(m), median(ours)/median(m))
		}
	}
	fmt.Fprintln(c.stdout)
	return nil
}

func (o *ocrBench) rate(seconds float64) float64 { return float64(o.pages) / seconds * 60 }

// ours runs the way of the service, in a child, with the copy written to disk.
func (o *ocrBench) ours(ctx context.Context, pool *extract.Pool) ([]string, float64, error) {
	f, err := os.Open(o.file)
	if err != nil {
		return nil, 0, fmt.Errorf("scan: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, fmt.Errorf("scan: %w", err)
	}
	start := time.Now()
	s := &benchSink{copy: filepath.Join(o.temp, "ours.pdf")}
	err = pool.Pages(ctx, io.NewSectionReader(f, 0, info.Size()), extract.Pages{
		Parts: extract.Parts{Reading: sekretariat.Reading{Reader: "file-1", Format: "application/pdf"}, Want: []string{""}},
		Text:  true, Parallel: runtime.NumCPU(), Cache: filepath.Join(o.temp, "engine"),
	}, s)
	return s.texts, time.Since(start).Seconds(), err
}

// peer runs OCRmyPDF.
func (o *ocrBench) peer(ctx context.Context, more []string) ([]string, float64, error) {
	sidecar := filepath.Join(o.temp, "peer.txt")
	args := append([]string{"--jobs", strconv.Itoa(runtime.NumCPU()), "-l", ocr.Language, "--sidecar", sidecar, "-q"}, more...)
	start := time.Now()
	if out, err := exec.CommandContext(ctx, "ocrmypdf", append(args, o.file, filepath.Join(o.temp, "peer.pdf"))...).CombinedOutput(); err != nil {
		return nil, 0, fmt.Errorf("ocrmypdf: %w: %s", err, out)
	}
	seconds := time.Since(start).Seconds()
	raw, err := os.ReadFile(sidecar)
	if err != nil {
		return nil, 0, fmt.Errorf("ocrmypdf: %w", err)
	}
	return strings.Split(string(raw), "\f"), seconds, nil
}

// errors says how many letters are wrong, over all pages and by style.
func (o *ocrBench) errors(texts []string) string {
	if len(o.want) == 0 || len(texts) < len(o.want) {
		return ""
	}
	sum, n := map[string]float64{}, map[string]float64{}
	for i, want := range o.want {
		letters := float64(len([]rune(want)))
		wrong := recognise.ErrorRate(want, texts[i]) * letters
		for _, style := range []string{"all", o.style[i]} {
			sum[style], n[style] = sum[style]+wrong, n[style]+letters
		}
	}
	var b strings.Builder
	for _, style := range []string{"all", "typed", "form", "hand"} {
		if n[style] > 0 {
			fmt.Fprintf(&b, ", %s %.2f %%", style, 100*sum[style]/n[style])
		}
	}
	return "," + b.String()[1:] + " of the letters wrong"
}

// benchSink keeps the text and writes the copy.
type benchSink struct {
	texts []string
	copy  string
}

// Count implements extract.PageSink.
func (s *benchSink) Count(int) error { return nil }

// Page implements extract.PageSink.
func (s *benchSink) Page(p sekretariat.RecognisedPage) error {
	s.texts = append(s.texts, p.Text)
	return nil
}

// Preview implements extract.PageSink.
func (s *benchSink) Preview(int, int, []byte) error { return nil }

// Copy implements extract.PageSink.
func (s *benchSink) Copy(pdf io.Reader) error {
	f, err := os.Create(s.copy)
	if err != nil {
		return fmt.Errorf("searchable copy: %w", err)
	}
	_, err = io.Copy(f, pdf)
	return errors.Join(err, f.Close())
}
