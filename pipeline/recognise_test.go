package pipeline_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/extract"
	"sekretariat/extract/ocr"
	"sekretariat/extract/page"
	"sekretariat/ledger"
	"sekretariat/pipeline"
)

// childMode makes the test binary a reading process.
const childMode = "SEKRETARIAT_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childMode) != "" {
		if err := extract.Serve(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// papers is a Recogniser that says of every part what it is told to.
type papers struct {
	mu     sync.Mutex
	text   string
	sure   int
	errs   []error // of the next rounds that read text, then none
	rounds int
}

// Pages implements pipeline.Recogniser.
func (s *papers) Pages(_ context.Context, _ sekretariat.Body, ask extract.Pages, sink extract.PageSink) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := sekretariat.RecognisedPage{Number: 1}
	if !ask.Text {
		if err := sink.Count(1); err != nil {
			return err
		}
		if err := sink.Preview(1, extract.PreviewEdges[0], []byte("a picture")); err != nil {
			return err
		}
		return sink.Page(one)
	}
	s.rounds++
	if len(s.errs) > 0 {
		err := s.errs[0]
		s.errs = s.errs[1:]
		return err
	}
	one.Text, one.Confidence = s.text, s.sure
	if err := sink.Page(one); err != nil {
		return err
	}
	return sink.Copy(strings.NewReader("a copy"))
}

// tiny is a TIFF without a size: a picture that may hold text.
var tiny = []byte("II*\x00\x08\x00\x00\x00")

// withScans is an office whose scans say what s says.
func withScans(t *testing.T, s pipeline.Recogniser) *office {
	t.Helper()
	if err := ocr.Available(); err != nil {
		t.Fatal(err)
	}
	o := open(t, nil)
	o.recogniser = s
	o.connect(nil)
	o.run()
	return o
}

func recognised(l *sekretariat.Letter) bool {
	if l.Recognition == nil {
		return false
	}
	s := l.Recognition.State
	return s != sekretariat.RecognitionRunning && s != sekretariat.RecognitionWaiting
}

// A scan has its number and an owner before its text; the text then decides,
// and is kept with previews and copy. Everything once more changes nothing.
func TestScanIsReadBesideTheWay(t *testing.T) {
	s := &papers{text: "szukam noclegu, mam nocleg do jutra", sure: 90}
	s.mu.Lock() // nothing is recognised before we let it
	o := withScans(t, s)
	id := o.box(append(bytes.Clone(tiny), "one"...))
	l := o.await(id, "a decision", routed)
	if l.Department != sekretariat.Sekretariat || l.Number.IsZero() {
		t.Fatalf("with %s, number %v", l.Department, l.Number)
	}
	s.mu.Unlock()
	l = o.await(id, "its text", recognised)
	if r := l.Recognition; r.State != sekretariat.RecognitionDone || r.Pages != 1 || r.Done != 1 || r.Confidence != 90 || r.Result == nil {
		t.Errorf("%+v", r)
	}
	o.await(id, "the second decision", func(l *sekretariat.Letter) bool { return l.Department == "bezdomnosc" })
	reading, err := pipeline.LoadReading(t.Context(), o.house.Vault, o.cfg.ID, id.Submission(), l.Reading)
	if err != nil || reading.Text != s.text || reading.Subject == "" {
		t.Errorf("the reading is %+v, %v", reading, err)
	}
	key := pipeline.PageKey(o.cfg.ID, id.Submission(), "", 1, extract.PreviewEdges[0])
	if raw, err := o.house.Vault.ReadAll(t.Context(), o.cfg.ID, id.Submission(), key, 1<<20); err != nil || string(raw) != "a picture" {
		t.Errorf("preview %q, %v", raw, err)
	}
	before := o.events(id)
	err = o.log.Replay(t.Context(), ledger.Letter, 1, func(st ledger.Stored) error {
		return pipeline.HandleRecognise(o.pipe, t.Context(), st)
	})
	if err != nil {
		t.Fatal(err)
	}
	if after := o.events(id); after != before {
		t.Errorf("%d events became %d", before, after)
	}
	o.verified()
}

// What is read unsurely goes to the sekretariat with what was read; what cannot
// be read is given up visibly, and is read when a person asks again.
func TestScansThatNeedAPerson(t *testing.T) {
	s := &papers{text: "szukam noclegu", sure: 40}
	o := withScans(t, s)
	poor := o.box(append(bytes.Clone(tiny), "poor"...))
	l := o.await(poor, "its text", recognised)
	if l.Recognition.State != sekretariat.RecognitionPoor {
		t.Errorf("%+v", l.Recognition)
	}
	l = o.await(poor, "what the router says of it", func(l *sekretariat.Letter) bool { return l.Advised == 1 || l.Revision > 1 })
	if l.Department != sekretariat.Sekretariat || l.Hint != "bezdomnosc" {
		t.Errorf("with %s, hint %q", l.Department, l.Hint)
	}
	s.mu.Lock()
	s.sure, s.errs = 90, []error{page.ErrDamaged}
	s.mu.Unlock()
	lost := o.box(append(bytes.Clone(tiny), "lost"...))
	l = o.await(lost, "the end", recognised)
	if l.Recognition.State != sekretariat.RecognitionFailed || l.Recognition.Code != "damaged" {
		t.Errorf("%+v", l.Recognition)
	}
	if err := o.pipe.Recognise(t.Context(), o.who("przemoc"), lost); err == nil {
		t.Error("a stranger may ask")
	}
	if err := o.pipe.Recognise(t.Context(), o.clerk(), lost); err != nil {
		t.Fatal(err)
	}
	o.await(lost, "its text", func(l *sekretariat.Letter) bool { return l.Recognition.State == sekretariat.RecognitionDone })
	o.verified()
}

// A real scan through real children and Tesseract.
func TestRealScan(t *testing.T) {
	root := os.Getenv("SEKRETARIAT_TESTDATA")
	if root == "" {
		root = filepath.Join("..", "..", "shared", "testdata")
	}
	raw, err := os.ReadFile(filepath.Join(root, "scans", "constructed", "l04-asysta-rodzinna.tif"))
	if err != nil {
		t.Skipf("no test scans: %v; set SEKRETARIAT_TESTDATA", err)
	}
	t.Setenv(childMode, "serve")
	pool := extract.NewPool(extract.PoolOptions{Command: []string{os.Args[0]}, Temp: t.TempDir(), Logger: zerolog.Nop(), Time: time.Minute})
	t.Cleanup(pool.Close)
	o := withScans(t, pool)
	start := time.Now()
	id := o.box(raw)
	key := pipeline.PageKey(o.cfg.ID, id.Submission(), "", 1, 400)
	for end := start.Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, err = o.house.Vault.ReadAll(t.Context(), o.cfg.ID, id.Submission(), key, 1<<20); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	t.Logf("first preview after %v", time.Since(start))
	l := o.await(id, "its text", recognised)
	t.Logf("text after %v", time.Since(start))
	reading, err := pipeline.LoadReading(t.Context(), o.house.Vault, o.cfg.ID, id.Submission(), l.Reading)
	if err != nil || !strings.Contains(reading.Text, "asystenta rodziny") {
		t.Fatalf("%v\n%+v", err, reading)
	}
	if !slices.ContainsFunc(reading.Pages, func(p sekretariat.Page) bool { return p.Confidence > 80 }) {
		t.Errorf("pages %+v", reading.Pages)
	}
	rec, err := pipeline.LoadRecognition(t.Context(), o.house.Vault, o.cfg.ID, id.Submission(), *l.Recognition.Result)
	if err != nil || len(rec.Parts) != 1 || rec.Parts[0].Copy == nil {
		t.Fatalf("%+v, %v", rec, err)
	}
	body, err := o.house.Vault.Open(t.Context(), o.cfg.ID, id.Submission(), rec.Parts[0].Copy.Key)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	head := make([]byte, 8)
	if _, err := io.ReadFull(io.NewSectionReader(body, 0, 8), head); err != nil || string(head) != "%PDF-1.7" {
		t.Errorf("the copy begins with %q, %v", head, err)
	}
}
