package dropbox_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sekretariat"
	"sekretariat/ingest"
	"sekretariat/ingest/dropbox"
	"sekretariat/ingest/ingesttest"
)

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// The states that a crash between two steps can leave.
func TestCrashStates(t *testing.T) {
	h := ingesttest.NewHouse(t)
	c := h.Centre(t)
	folder := t.TempDir()
	b := openAt(t, h, c, folder, ingest.Limits{}, nil)
	b.write("durable.pdf", pdf("durable"))
	b.done(1)
	b.stop()
	taken := filepath.Join(folder, ".taken")
	must(t,
		// claim made, not yet renamed into
		os.Mkdir(filepath.Join(taken, "empty"), 0o700),
		// claimed, not yet durable
		os.Mkdir(filepath.Join(taken, "claimed"), 0o700),
		os.WriteFile(filepath.Join(taken, "claimed", "a.pdf"), pdf("claimed"), 0o600),
		// durable, not yet put away
		os.Mkdir(filepath.Join(taken, "kept"), 0o700),
		os.Rename(filepath.Join(folder, "done", day(), "durable.pdf"), filepath.Join(taken, "kept", "durable.pdf")),
		// refused: reason written, file not yet moved
		os.Mkdir(filepath.Join(taken, "refused"), 0o700),
		os.WriteFile(filepath.Join(taken, "refused", "pusty.pdf"), nil, 0o600),
		os.MkdirAll(filepath.Join(folder, "error", day(), "refused"), 0o700),
		os.WriteFile(filepath.Join(folder, "error", day(), "refused", "powod.txt"), []byte("stary"), 0o600),
	)
	b = openAt(t, h, c, folder, ingest.Limits{}, func(o *dropbox.Options) { o.Patience = 50 * time.Millisecond })
	b.done(2)
	b.until("refused file in error", func() bool { return b.below("error") == 2 })
	b.until("nothing in .taken", func() bool {
		left, err := os.ReadDir(taken)
		return err == nil && len(left) == 0
	})
	if bodies, notes := b.bodies(); len(bodies) != 2 || len(notes) != 1 {
		t.Errorf("%d submissions, %d notes; want 2 and 1", len(bodies), len(notes))
	}
}

// hooked is a receiver that runs code while a delivery is on its way.
type hooked struct {
	ingest.Receiver
	mid  func() // when half of the body was read
	late func() // when the delivery is durable and the channel does not know it yet
}

func (h *hooked) Take(ctx context.Context, d sekretariat.Delivery, body io.Reader) (ingest.Ticket, error) {
	if h.mid != nil {
		body = io.MultiReader(io.LimitReader(body, 100), &hook{h.mid}, body)
	}
	t, err := h.Receiver.Take(ctx, d, body)
	if err != nil {
		return nil, err
	}
	return &hookedTicket{t, h.late}, nil
}

type hook struct{ f func() }

func (h *hook) Read([]byte) (int, error) { h.f(); return 0, io.EOF }

type hookedTicket struct {
	ingest.Ticket
	late func()
}

func (t *hookedTicket) Wait(ctx context.Context) (sekretariat.Receipt, error) {
	r, err := t.Ticket.Wait(ctx)
	if t.late != nil {
		t.late()
	}
	return r, err
}

// claimedFile finds the one claimed file.
func claimedFile(t testing.TB, folder string) string {
	files, _ := filepath.Glob(filepath.Join(folder, ".taken", "*", "*"))
	if len(files) != 1 {
		t.Errorf("claimed files %v, want one", files)
		return ""
	}
	return files[0]
}

// A file that shrinks or is written to while it is read is not kept; the whole
// one is, later.
func TestChangedWhileRead(t *testing.T) {
	for _, how := range []string{"shrinks", "grows", "is rewritten"} {
		t.Run(how, func(t *testing.T) {
			var once atomic.Bool
			whole := pdf("whole " + strings.Repeat("y", 3000))
			b := open(t, func(o *dropbox.Options) {
				folder := o.Box.Folder
				o.Receiver = &hooked{Receiver: o.Receiver, mid: func() {
					if !once.CompareAndSwap(false, true) {
						return
					}
					name := claimedFile(t, folder)
					switch how {
					case "shrinks":
						if err := os.Truncate(name, 200); err != nil {
							t.Error(err)
						}
					case "grows":
						appendTo(t, name, []byte("more"))
					case "is rewritten":
						if err := os.WriteFile(name, whole, 0o600); err != nil {
							t.Error(err)
						}
					}
				}}
			})
			b.write("skan.pdf", pdf("first "+strings.Repeat("x", 2000)))
			if how == "shrinks" {
				b.until("it is back under watch", func() bool { return once.Load() && b.channel.Health().Waiting == 1 })
				if bodies, _ := b.bodies(); len(bodies) != 0 {
					t.Errorf("a shrunk file was kept: %q", bodies)
				}
				must(t, os.WriteFile(claimedFile(t, b.folder), whole, 0o600))
			}
			b.done(1)
			bodies, _ := b.bodies()
			if len(bodies) != 1 || how != "grows" && bodies[0] != string(whole) || how == "grows" && !strings.HasSuffix(bodies[0], "more") {
				t.Errorf("%d submissions, want one with the last content", len(bodies))
			}
		})
	}
}

func appendTo(t testing.TB, name string, more []byte) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Error(err)
		return
	}
	if _, err := f.Write(more); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

// A file that grows after it was taken in is not put away: the longer one is
// taken in as well.
func TestGrowsAfterwards(t *testing.T) {
	var once atomic.Bool
	b := open(t, func(o *dropbox.Options) {
		folder := o.Box.Folder
		o.Receiver = &hooked{Receiver: o.Receiver, late: func() {
			if once.CompareAndSwap(false, true) {
				appendTo(t, claimedFile(t, folder), []byte(" and more"))
			}
		}}
	})
	b.write("notatka.txt", []byte("text"))
	b.done(1)
	bodies, _ := b.bodies()
	if len(bodies) != 2 || bodies[0] != "text" || bodies[1] != "text and more" {
		t.Errorf("submissions %q", bodies)
	}
}

// The folder is not there (share not mounted), comes, is exchanged for another
// one: shown, and mended without anybody's doing. The folder is never made.
func TestFolderComesAndGoes(t *testing.T) {
	h := ingesttest.NewHouse(t)
	folder := filepath.Join(t.TempDir(), "share")
	b := openAt(t, h, h.Centre(t), folder, ingest.Limits{}, nil)
	b.until("the fault is shown", func() bool {
		h := b.channel.Health()
		return !h.OK && h.Code == "folder" && h.Waiting == -1 && strings.HasPrefix(h.Message, "Od ") && strings.Contains(h.Message, "folder skrzynki jest niedostępny")
	})
	if _, err := os.Stat(folder); !os.IsNotExist(err) {
		t.Errorf("the missing folder was made: %v", err)
	}
	must(t, os.Mkdir(folder, 0o700))
	b.write("one.pdf", pdf("one"))
	b.done(1)
	b.until("the fault is over", func() bool { return b.channel.Health().OK })
	must(t, os.Rename(folder, folder+".old"), os.Mkdir(folder, 0o700))
	b.write("two.pdf", pdf("two"))
	b.done(1)
	if bodies, _ := b.bodies(); len(bodies) != 2 {
		t.Errorf("%d submissions", len(bodies))
	}
}

// A file where one of our folders should be, or a link, is a fault and is not
// followed.
func TestOurFoldersAreFolders(t *testing.T) {
	h := ingesttest.NewHouse(t)
	folder, elsewhere := t.TempDir(), t.TempDir()
	must(t, os.Symlink(elsewhere, filepath.Join(folder, "done")))
	b := openAt(t, h, h.Centre(t), folder, ingest.Limits{}, nil)
	b.write("one.pdf", pdf("one"))
	b.until("the fault is shown", func() bool { return b.channel.Health().Code == "folder" })
	must(t, os.Remove(filepath.Join(folder, "done")))
	b.done(1)
	if left, _ := os.ReadDir(elsewhere); len(left) != 0 {
		t.Errorf("written through the link: %v", left)
	}
}

// The share turns read-only: files wait, a person is told, and all goes on when
// it is writable again.
func TestReadOnly(t *testing.T) {
	folder := t.TempDir()
	freeze, thaw := readOnly(t, folder)
	h := ingesttest.NewHouse(t)
	b := openAt(t, h, h.Centre(t), folder, ingest.Limits{}, nil)
	b.write("one.pdf", pdf("one"))
	b.done(1)
	b.write("two.tmp", pdf("two"))
	must(t, os.Rename(filepath.Join(folder, "two.tmp"), filepath.Join(folder, "~two")))
	b.stop()
	must(t, os.Rename(filepath.Join(folder, "~two"), filepath.Join(folder, "two.pdf")))
	freeze()
	b = openAt(t, h, b.centre, folder, ingest.Limits{}, nil)
	b.until("the fault is shown", func() bool {
		h := b.channel.Health()
		return !h.OK && h.Code == "file" && strings.Contains(h.Message, "plików, których nie można odczytać lub przenieść: 1")
	})
	thaw()
	b.done(2)
	b.until("the fault is over", func() bool { return b.channel.Health().OK })
	if bodies, _ := b.bodies(); len(bodies) != 2 {
		t.Errorf("%d submissions", len(bodies))
	}
}

// readOnly returns what makes a folder unwritable and writable again.
func readOnly(t *testing.T, folder string) (freeze, thaw func()) {
	if os.Getuid() != 0 {
		return func() { must(t, os.Chmod(folder, 0o500), os.Chmod(filepath.Join(folder, ".taken"), 0o500)) },
			func() { must(t, os.Chmod(folder, 0o700), os.Chmod(filepath.Join(folder, ".taken"), 0o700)) }
	}
	if err := unix.Mount("tmpfs", folder, "tmpfs", 0, "size=16m"); err != nil {
		t.Skipf("root ignores permissions, and a tmpfs cannot be mounted: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(folder, unix.MNT_DETACH) })
	return func() { must(t, unix.Mount("", folder, "", unix.MS_REMOUNT|unix.MS_RDONLY, "")) },
		func() { must(t, unix.Mount("", folder, "", unix.MS_REMOUNT, "")) }
}

// The disk of the box is full: the file is neither lost nor half moved, and is
// taken in once there is room.
func TestBoxDiskFull(t *testing.T) {
	folder := t.TempDir()
	if err := unix.Mount("tmpfs", folder, "tmpfs", 0, "size=1m,nr_inodes=9"); err != nil {
		t.Skipf("needs the right to mount a small tmpfs: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(folder, unix.MNT_DETACH) })
	h := ingesttest.NewHouse(t)
	c := h.Centre(t)
	b := openAt(t, h, c, folder, ingest.Limits{}, nil)
	b.until("our folders are there", func() bool { return b.channel.Health().Waiting == 0 })
	b.write("~1", []byte("x"))
	b.write("~2", []byte("x"))
	b.write("~3", []byte("x"))
	b.write("one.pdf", pdf("one")) // the last inode: no folder can be made for the claim
	b.until("the fault is shown", func() bool { return b.channel.Health().Code == "file" })
	must(t, os.Remove(filepath.Join(folder, "~1")), os.Remove(filepath.Join(folder, "~2")))
	b.done(1)
	if bodies, _ := b.bodies(); len(bodies) != 1 {
		t.Errorf("%d submissions", len(bodies))
	}
}

// The receiver fails for a while: shown, then over.
func TestReceiverFails(t *testing.T) {
	var off atomic.Bool
	off.Store(true)
	b := open(t, func(o *dropbox.Options) { o.Receiver = &switched{Receiver: o.Receiver, off: &off} })
	b.write("one.pdf", pdf("one"))
	b.until("the fault is shown", func() bool {
		h := b.channel.Health()
		return !h.OK && h.Code == "receive" && h.Waiting == 1 && strings.Contains(h.Message, "Zostaną przyjęte same")
	})
	off.Store(false)
	b.done(1)
	b.until("the fault is over", func() bool { return b.channel.Health().OK })
}

type switched struct {
	ingest.Receiver
	off *atomic.Bool
}

func (s *switched) Take(ctx context.Context, d sekretariat.Delivery, body io.Reader) (ingest.Ticket, error) {
	if s.off.Load() {
		return nil, fmt.Errorf("stage body: %w", unix.ENOSPC)
	}
	return s.Receiver.Take(ctx, d, body)
}

// done/ is emptied after its time, error/ never, and nothing else anywhere.
func TestPurge(t *testing.T) {
	h := ingesttest.NewHouse(t)
	folder, elsewhere := t.TempDir(), t.TempDir()
	must(t, os.WriteFile(filepath.Join(elsewhere, "letter.pdf"), pdf("elsewhere"), 0o600))
	now := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	for _, dir := range []string{"done/2026-11-12", "done/2026-11-13", "done/2020-02-29/sub", "done/wazne", "error/2020-02-29"} {
		must(t, os.MkdirAll(filepath.Join(folder, dir), 0o700), os.WriteFile(filepath.Join(folder, dir, "a.pdf"), pdf(dir), 0o600))
	}
	must(t, os.WriteFile(filepath.Join(folder, "done", "2020-01-01"), nil, 0o600), os.Symlink(elsewhere, filepath.Join(folder, "done", "2020-01-02")))
	b := openAt(t, h, h.Centre(t), folder, ingest.Limits{}, func(o *dropbox.Options) { o.Clock = func() time.Time { return now } })
	b.until("old days are gone", func() bool {
		_, err := os.Stat(filepath.Join(folder, "done", "2026-11-12"))
		_, err2 := os.Stat(filepath.Join(folder, "done", "2020-02-29"))
		return os.IsNotExist(err) && os.IsNotExist(err2)
	})
	for _, stays := range []string{"done/2026-11-13/a.pdf", "done/wazne/a.pdf", "done/2020-01-01", "error/2020-02-29/a.pdf"} {
		if _, err := os.Stat(filepath.Join(folder, stays)); err != nil {
			t.Errorf("%s: %v", stays, err)
		}
	}
	if _, err := os.Stat(filepath.Join(elsewhere, "letter.pdf")); err != nil {
		t.Errorf("emptied through a link: %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	good := (&boxSource{folder: "x", centre: "centrum"}).options(&switched{})
	for name, spoil := range map[string]func(*dropbox.Options){
		"centre": func(o *dropbox.Options) { o.Centre = "A B" }, "box": func(o *dropbox.Options) { o.Box.ID = "" },
		"folder": func(o *dropbox.Options) { o.Box.Folder = "" }, "receiver": func(o *dropbox.Options) { o.Receiver = nil },
		"time": func(o *dropbox.Options) { o.Box.Keep = -1 },
	} {
		o := good
		spoil(&o)
		if _, err := dropbox.New(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	c, err := dropbox.New(good)
	if err != nil || c.Name() != "centrum/wejscie" || c.Health().Waiting != -1 {
		t.Errorf("channel %v, %v", c, err)
	}
}
