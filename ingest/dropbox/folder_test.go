package dropbox_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sekretariat"
	"sekretariat/ingest"
	"sekretariat/ingest/dropbox"
	"sekretariat/ingest/ingesttest"
)

// bench is a running box folder.
type bench struct {
	*testing.T
	house   *ingesttest.House
	centre  sekretariat.CentreID
	folder  string
	channel *dropbox.Folder
	stop    func()
}

// open starts a channel; change adjusts its options and may wrap its receiver.
func open(t *testing.T, change func(*dropbox.Options)) *bench {
	t.Helper()
	h := ingesttest.NewHouse(t)
	return openAt(t, h, h.Centre(t), t.TempDir(), ingest.Limits{}, change)
}

func openAt(t *testing.T, h *ingesttest.House, c sekretariat.CentreID, folder string, limits ingest.Limits, change func(*dropbox.Options)) *bench {
	t.Helper()
	source := &boxSource{folder: folder, centre: c}
	o := source.options(h.Receiver(t, limits))
	if change != nil {
		change(&o)
	}
	channel, err := dropbox.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var once sync.Once
	ended := make(chan error, 1)
	b := &bench{T: t, house: h, centre: c, folder: folder, channel: channel, stop: func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}}
	go func() { ended <- channel.Run(ctx) }()
	t.Cleanup(b.stop)
	return b
}

func (b *bench) until(what string, ok func() bool) {
	b.Helper()
	deadline := time.After(ingesttest.Patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			files, _ := filesBelow(b.folder)
			b.Fatalf("not reached: %s; files %v, health %+v", what, files, b.channel.Health())
		}
	}
}

// below counts the regular files in a sub-folder.
func (b *bench) below(dir string) int {
	b.Helper()
	files, err := filesBelow(filepath.Join(b.folder, dir))
	if err != nil {
		b.Fatal(err)
	}
	return len(files)
}

// done waits until n files were put away.
func (b *bench) done(n int) {
	b.Helper()
	b.until(fmt.Sprintf("%d files in done", n), func() bool { return b.below("done") == n })
}

// bodies returns what arrived, notes apart.
func (b *bench) bodies() (bodies []string, notes []ingesttest.Submission) {
	b.Helper()
	for _, s := range b.house.Submissions(b.T, b.centre) {
		if s.Manifest.Park != "" {
			notes = append(notes, s)
		} else {
			bodies = append(bodies, string(s.Original))
		}
	}
	return bodies, notes
}

func (b *bench) write(name string, body []byte) {
	b.Helper()
	if err := os.WriteFile(filepath.Join(b.folder, name), body, 0o600); err != nil {
		b.Fatal(err)
	}
}

func day() string { return sekretariat.Day(time.Now()) }

// The kernel reports a finished file at once: it does not wait for the poll.
func TestWatched(t *testing.T) {
	b := open(t, func(o *dropbox.Options) { o.Box.Poll = time.Hour })
	b.until("first look", func() bool { return b.channel.Health().Waiting == 0 })
	b.write("written in place.pdf", pdf("one"))
	b.done(1)
	drop(t, b.folder, "renamed.pdf", pdf("two"))
	b.done(2)
	all := b.house.Submissions(t, b.centre)
	m := all[0].Manifest
	if len(all) != 2 || m.Kind != sekretariat.KindBox || m.Door != sekretariat.DoorFolder || m.Box != "wejscie" || m.Account != "wejscie" ||
		m.Unit != "dom" || m.Department != "swiadczenia" || m.Source["name"] != "written in place.pdf" || m.Source["finding"] != "" || m.Arrived.Basis != sekretariat.BasisScanned {
		t.Errorf("%d submissions, the first %+v", len(all), m)
	}
	if h := b.channel.Health(); !h.OK || h.Code != "ok" {
		t.Errorf("health %+v", h)
	}
}

// A file is not taken while it is written, however quiet the writer: neither
// an open one nor a closed half.
func TestSlowWriters(t *testing.T) {
	b := open(t, nil)
	whole := pdf("written slowly " + strings.Repeat("x", 5000))
	slow, err := os.Create(filepath.Join(b.folder, "slow.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	if _, err := slow.WriteString("the first half, "); err != nil {
		t.Fatal(err)
	}
	b.write("half.pdf", whole[:3000])
	for i := range 20 { // many looks at the folder, each later than the quiet time
		drop(t, b.folder, fmt.Sprintf("other-%d.pdf", i), pdf(fmt.Sprint("other ", i)))
		b.done(i + 1)
	}
	if bodies, _ := b.bodies(); len(bodies) != 20 {
		t.Fatalf("%d submissions while two files were unfinished, want 20", len(bodies))
	}
	if _, err := slow.WriteString("and the second"); err != nil {
		t.Fatal(err)
	}
	if err := slow.Close(); err != nil {
		t.Fatal(err)
	}
	half, err := os.OpenFile(filepath.Join(b.folder, "half.pdf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := half.Write(whole[3000:]); err != nil {
		t.Fatal(err)
	}
	if err := half.Close(); err != nil {
		t.Fatal(err)
	}
	b.done(22)
	bodies, _ := b.bodies()
	text := strings.Join(bodies[20:], "|")
	if len(bodies) != 22 || !strings.Contains(text, "the first half, and the second") || !strings.Contains(text, string(whole)) {
		t.Errorf("%d submissions", len(bodies))
	}
}

// What stays unfinished is taken in as it is, with a finding; it is never
// dropped.
func TestPatienceEnds(t *testing.T) {
	b := open(t, func(o *dropbox.Options) { o.Patience = 100 * time.Millisecond })
	half := pdf("never finished" + strings.Repeat("x", 5000))[:3000]
	b.write("half.pdf", half)
	stuck, err := os.Create(filepath.Join(b.folder, "open.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer stuck.Close()
	if _, err := stuck.WriteString("still open"); err != nil {
		t.Fatal(err)
	}
	b.done(2)
	findings := map[string]string{}
	for _, s := range b.house.Submissions(t, b.centre) {
		findings[string(s.Original)] = s.Manifest.Source["finding"]
	}
	if findings[string(half)] != "incomplete" || findings["still open"] != "still-open" {
		t.Errorf("findings %v", findings)
	}
}

// An empty file becomes a note for a clerk and goes to error/ with a reason.
func TestEmptyFile(t *testing.T) {
	b := open(t, func(o *dropbox.Options) { o.Patience = 50 * time.Millisecond })
	b.write("pusty.pdf", nil)
	b.until("file and reason in error", func() bool { return b.below("error") == 2 && b.below(".taken") == 0 })
	bodies, notes := b.bodies()
	if len(bodies) != 0 || len(notes) != 1 || notes[0].Manifest.Park != sekretariat.ParkRefused || !strings.Contains(string(notes[0].Original), "„pusty.pdf” (0 B)") {
		t.Errorf("bodies %q, notes %+v", bodies, notes)
	}
	reasons, _ := filepath.Glob(filepath.Join(b.folder, "error", day(), "*", "powod.txt"))
	if len(reasons) != 1 {
		t.Fatalf("reasons %v", reasons)
	}
	text, err := os.ReadFile(reasons[0])
	if err != nil || !strings.Contains(string(text), "jest pusty") {
		t.Errorf("reason %q, %v", text, err)
	}
	// Another empty file is another lost letter.
	b.write("pusty2.pdf", nil)
	b.until("second file in error", func() bool { return b.below("error") == 4 })
	if _, notes := b.bodies(); len(notes) != 2 {
		t.Errorf("%d notes, want 2", len(notes))
	}
}

func TestOversize(t *testing.T) {
	h := ingesttest.NewHouse(t)
	b := openAt(t, h, h.Centre(t), t.TempDir(), ingest.Limits{Delivery: 2000}, nil)
	big := pdf(strings.Repeat("x", 3000))
	b.write("powod.txt", []byte(strings.Repeat("t", 3000))) // named like our reason file
	b.write("big.pdf", big)
	b.write("small.pdf", pdf("small"))
	b.done(1)
	b.until("files and reasons in error", func() bool { return b.below("error") == 4 && b.below(".taken") == 0 })
	if bodies, notes := b.bodies(); len(bodies) != 1 || len(notes) != 2 || notes[0].Manifest.Park != sekretariat.ParkOversize {
		t.Errorf("%d bodies, notes %+v", len(bodies), notes)
	}
	kept, _ := filepath.Glob(filepath.Join(b.folder, "error", day(), "*", "big.pdf"))
	if len(kept) != 1 {
		t.Fatalf("kept %v", kept)
	}
	if body, err := os.ReadFile(kept[0]); err != nil || !bytes.Equal(body, big) {
		t.Errorf("the refused file was changed: %v", err)
	}
}

// Links, pipes, sockets and folders are never read or followed, and do not hold
// up others; a person is told.
func TestSpecialFiles(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "secret.pdf")
	if err := os.WriteFile(outside, pdf("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := open(t, nil)
	b.until("first look", func() bool { return b.channel.Health().Waiting == 0 })
	if err := os.Symlink(outside, filepath.Join(b.folder, "link.pdf")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(b.folder, "pipe.pdf"), 0o600); err != nil {
		t.Fatal(err)
	}
	socket, err := net.Listen("unix", filepath.Join(b.folder, "s.pdf"))
	if err != nil {
		t.Skipf("socket in the test folder: %v", err)
	}
	defer socket.Close()
	if err := os.MkdirAll(filepath.Join(b.folder, "sub", "deep"), 0o700); err != nil {
		t.Fatal(err)
	}
	b.write("sub/inside.pdf", pdf("inside"))
	if err := os.MkdirAll(filepath.Join(b.folder, ".taken", "planted"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(b.folder, ".taken", "planted", "link.pdf")); err != nil {
		t.Fatal(err)
	}
	b.write("real.pdf", pdf("real"))
	b.done(1)
	b.until("leftovers are shown", func() bool { return strings.Contains(b.channel.Health().Message, ": 5 (") })
	if bodies, notes := b.bodies(); len(bodies) != 1 || len(notes) != 0 || bodies[0] != string(pdf("real")) {
		t.Errorf("%d bodies, %d notes", len(bodies), len(notes))
	}
	if _, err := os.Lstat(filepath.Join(b.folder, "link.pdf")); err != nil {
		t.Errorf("the link was touched: %v", err)
	}
}

// Junk and temporary names stay where they are; forgotten temporary files are
// shown.
func TestIgnoredNames(t *testing.T) {
	b := open(t, func(o *dropbox.Options) { o.Patience = 50 * time.Millisecond })
	for _, name := range []string{".DS_Store", "Thumbs.db", "desktop.ini", "a.tmp", "b.part", "~$c.docx"} {
		b.write(name, []byte("junk"))
	}
	b.write("real.pdf", pdf("real"))
	b.done(1)
	b.until("forgotten files are shown", func() bool { return strings.Contains(b.channel.Health().Message, ": 3 (") })
	if bodies, _ := b.bodies(); len(bodies) != 1 {
		t.Errorf("%d bodies", len(bodies))
	}
}

// Two letters under one name are two, both are kept in done/; the same letter
// under two names is one.
func TestNamesAndContent(t *testing.T) {
	b := open(t, nil)
	for i, text := range []string{"one", "two", "three"} {
		drop(t, b.folder, "skan.pdf", pdf(text))
		b.done(i + 1)
	}
	drop(t, b.folder, "inna nazwa.pdf", pdf("two"))
	b.done(4)
	if bodies, _ := b.bodies(); len(bodies) != 3 {
		t.Errorf("%d submissions, want 3", len(bodies))
	}
	files, _ := filesBelow(filepath.Join(b.folder, "done", day()))
	texts := map[string]bool{}
	for _, f := range files {
		body, err := os.ReadFile(filepath.Join(b.folder, "done", day(), f))
		if err != nil {
			t.Fatal(err)
		}
		texts[string(body)] = true
	}
	if len(texts) != 3 {
		t.Errorf("done/ holds %d contents in %v: something was overwritten", len(texts), files)
	}
	if b.below(".taken") != 0 {
		t.Error("something is left in .taken")
	}
}

func TestOddNames(t *testing.T) {
	b := open(t, nil)
	names := []string{strings.Repeat("ł", 125) + ".pdf", "windows-1250 \xb3\xf3d\x9f.pdf", " spacja .pdf", "-rf.pdf", "nowa\nlinia.pdf", "bez"}
	for i, name := range names {
		b.write(name, pdf(fmt.Sprint("odd ", i)))
	}
	b.done(len(names))
	got := map[string]bool{}
	for _, s := range b.house.Submissions(t, b.centre) {
		got[s.Manifest.Source["name"]] = true
	}
	for _, name := range names {
		if !got[strings.ToValidUTF8(name, "\ufffd")] {
			t.Errorf("name %q is not in %v", name, got)
		}
	}
}

// Several devices write a burst at once, some letters twice.
func TestBurst(t *testing.T) {
	b := open(t, nil)
	var wg sync.WaitGroup
	for device := range 5 {
		wg.Go(func() {
			for i := range 100 {
				body := pdf(fmt.Sprintf("burst %d", (device*100+i)%450))
				name := fmt.Sprintf("device-%d-%04d.pdf", device, i)
				if i%2 == 0 {
					drop(t, b.folder, name, body)
				} else if err := os.WriteFile(filepath.Join(b.folder, name), body, 0o600); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	b.done(500)
	bodies, notes := b.bodies()
	unique := map[string]bool{}
	for _, body := range bodies {
		unique[body] = true
	}
	if len(bodies) != 450 || len(unique) != 450 || len(notes) != 0 {
		t.Errorf("%d submissions, %d different, %d notes; want 450", len(bodies), len(unique), len(notes))
	}
}
