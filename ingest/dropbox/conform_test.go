package dropbox_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/ingest"
	"sekretariat/ingest/dropbox"
	"sekretariat/ingest/ingesttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// boxSource is a box folder as a source of the conformance suite.
type boxSource struct {
	folder  string
	centre  sekretariat.CentreID
	network bool

	mu   sync.Mutex
	puts int
}

func newBox(t testing.TB, centre sekretariat.CentreID, network bool) *boxSource {
	return &boxSource{folder: t.TempDir(), centre: centre, network: network}
}

// Put writes a scan as a device does: under a temporary name, then renamed.
// Each putting has a name of its own, as device counters make them.
func (b *boxSource) Put(t testing.TB, n int) []byte {
	b.mu.Lock()
	b.puts++
	name := fmt.Sprintf("skan-%d-%d.pdf", n, b.puts)
	b.mu.Unlock()
	body := pdf(fmt.Sprintf("letter %d of %s", n, b.centre))
	drop(t, b.folder, name, body)
	return body
}

func (b *boxSource) Channel(t testing.TB, r ingest.Receiver) ingest.Channel {
	c, err := dropbox.New(b.options(r))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (b *boxSource) options(r ingest.Receiver) dropbox.Options {
	return dropbox.Options{
		Centre: b.centre, Receiver: r, Logger: zerolog.Nop(),
		Box: configs.Box{
			Account: configs.Account{ID: "wejscie", Unit: "dom", Department: "swiadczenia"}, Folder: b.folder,
			Network: b.network, Quiet: 2 * time.Millisecond, Poll: 20 * time.Millisecond,
		},
	}
}

var scanName = regexp.MustCompile(`^skan-(\d+)-\d+\.pdf$`)

// Held names what lies in the folder or in .taken. A file can be on its way
// from the one to the other between two looks, so the looks must agree.
func (b *boxSource) Held(t testing.TB) []int {
	for {
		one, two := b.look(t), b.look(t)
		if fmt.Sprint(one) == fmt.Sprint(two) {
			return one
		}
	}
}

func (b *boxSource) look(t testing.TB) []int {
	held := map[int]bool{}
	files, err := filesBelow(b.folder, "done", "error")
	if err != nil {
		t.Error(err)
	}
	for _, f := range files {
		if m := scanName.FindStringSubmatch(filepath.Base(f)); m != nil {
			n, _ := strconv.Atoi(m[1])
			held[n] = true
		}
	}
	var out []int
	for n := range 1000 {
		if held[n] {
			out = append(out, n)
		}
	}
	return out
}

// filesBelow lists the regular files below a folder, leaving out some of its
// sub-folders. What vanishes meanwhile is left out.
func filesBelow(folder string, without ...string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(folder, func(p string, d fs.DirEntry, err error) error {
		switch {
		case os.IsNotExist(err):
			return nil
		case err != nil:
			return err
		case d.IsDir():
			for _, w := range without {
				if p == filepath.Join(folder, w) {
					return filepath.SkipDir
				}
			}
		case d.Type().IsRegular():
			files = append(files, strings.TrimPrefix(p, folder+"/"))
		}
		return nil
	})
	return files, err
}

// drop writes a file as a device does.
func drop(t testing.TB, folder, name string, body []byte) {
	t.Helper()
	tmp := filepath.Join(folder, name+".tmp")
	if err := os.WriteFile(tmp, body, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(tmp, filepath.Join(folder, name)); err != nil {
		t.Fatal(err)
	}
}

// pdf makes a small, complete PDF that holds the text as a comment.
func pdf(text string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%%PDF-1.4\n%% %s\n", text)
	objects := []string{
		"<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
		"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] >>",
	}
	var offsets []int
	for i, o := range objects {
		offsets = append(offsets, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	xref := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for _, o := range offsets {
		fmt.Fprintf(&b, "%010d 00000 n \n", o)
	}
	fmt.Fprintf(&b, "trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, xref)
	return []byte(b.String())
}

func TestConformance(t *testing.T) {
	ingesttest.Run(t, func(t *testing.T, centre sekretariat.CentreID) ingesttest.Source { return newBox(t, centre, false) })
}

func TestConformancePolling(t *testing.T) {
	ingesttest.Run(t, func(t *testing.T, centre sekretariat.CentreID) ingesttest.Source { return newBox(t, centre, true) })
}
