package dropbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"sync"
	"time"

	"sekretariat"
	"sekretariat/ingest"
)

// Incoming is one file on its way in. It grows in a file without a name: what
// is not committed is gone with the connection, or with the process. Writes may
// come in any order and from several goroutines (SFTP has dozens in flight).
type Incoming struct {
	v    *Visit
	name string

	mu        sync.Mutex
	file      *os.File
	size      int64
	reserved  int64
	have      extents
	err       error // what made it worthless
	unrenamed bool
	ended     bool
	receipt   *sekretariat.Receipt
}

// reserveStep is how the room of a growing file is taken from the spool.
const reserveStep = 1 << 20

// Begin opens a file that the device sends under this name.
func (v *Visit) Begin(name string) (*Incoming, error) {
	f, err := os.CreateTemp(v.g.o.Folder, "incoming-*")
	if err != nil {
		v.log.Warn().Str("error", withoutNames(err)).Msg("no file can be made for what a device sends")
		return nil, ErrLater
	}
	if err := os.Remove(f.Name()); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("%w: %s", ErrLater, withoutNames(err))
	}
	return &Incoming{v: v, name: path.Base("/" + name), file: f}, nil
}

// WriteAt implements io.WriterAt. After an error the file is worthless.
func (in *Incoming) WriteAt(p []byte, off int64) (int, error) {
	if err := in.room(off, int64(len(p))); err != nil {
		return 0, err
	}
	n, err := in.file.WriteAt(p, off)
	in.mu.Lock()
	defer in.mu.Unlock()
	if err != nil {
		in.err = fmt.Errorf("%w: %s", ErrLater, withoutNames(err))
		return n, in.err
	}
	if !in.have.add(off, off+int64(n)) {
		in.err = ErrUnfinished
		return 0, in.err
	}
	return n, nil
}

// Write implements io.Writer, for protocols that send from begin to end.
func (in *Incoming) Write(p []byte) (int, error) {
	in.mu.Lock()
	off := in.size
	in.mu.Unlock()
	return in.WriteAt(p, off)
}

// room takes what a write needs from the spool.
func (in *Incoming) room(off, n int64) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case in.err != nil:
		return in.err
	case in.ended:
		return ErrUnfinished
	case off < 0 || off > in.v.g.o.Limit || off+n > in.v.g.o.Limit:
		in.err = ErrOverLimit
		return in.err
	}
	end := max(in.size, off+n)
	if want := (end + reserveStep - 1) / reserveStep * reserveStep; want > in.reserved {
		if in.v.g.used.Add(want-in.reserved) > in.v.g.o.Spool {
			in.v.g.used.Add(in.reserved - want)
			in.err = ErrSpoolFull
			return in.err
		}
		in.reserved = want
	}
	in.size = end
	return nil
}

// Size is how long the file is by now.
func (in *Incoming) Size() int64 {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.size
}

// Fail notes that the transfer broke: the file cannot be committed any more.
func (in *Incoming) Fail(err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.err == nil {
		in.err = fmt.Errorf("%w: %w", ErrUnfinished, err)
	}
}

// Rename changes the name before the commit.
func (in *Incoming) Rename(name string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.name = path.Base("/" + name)
}

// Unrenamed notes that the device never gave the file its final name; a clerk
// sees that.
func (in *Incoming) Unrenamed() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.unrenamed = true
}

// Drop gives up what was not committed.
func (in *Incoming) Drop(why string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.ended {
		return
	}
	in.v.log.Warn().Int64("size", in.size).Str("why", why).Msg("a file did not come whole; nothing of it is kept")
	in.end()
}

func (in *Incoming) end() {
	in.ended = true
	_ = in.file.Close() // it has no name: closing ends it
	in.v.g.used.Add(-in.reserved)
	in.reserved = 0
}

// Commit makes the file durable as a scan of the device's box and returns when
// it is. Only then may the device be told. A second call gives the same
// receipt.
func (in *Incoming) Commit(ctx context.Context) (sekretariat.Receipt, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case in.receipt != nil:
		return *in.receipt, nil
	case in.ended:
		return sekretariat.Receipt{}, ErrUnfinished
	}
	began := time.Now()
	finding, err := in.whole()
	if finding == "" && in.unrenamed {
		finding = "unrenamed"
	}
	var r sekretariat.Receipt
	if err == nil {
		r, err = in.take(ctx, finding)
	}
	size := in.size
	in.end()
	if err != nil {
		in.v.log.Warn().Int64("size", size).Str("error", withoutNames(err)).Msg("a file of a device was refused; nothing of it is kept")
		return r, err
	}
	in.v.log.Info().Str("submission", string(r.Submission)).Bool("repeat", r.Repeat).Int64("size", size).Str("finding", finding).
		Dur("took", time.Since(began)).Msg("file of a device taken in")
	in.receipt = &r
	return r, nil
}

// whole tells whether all of the file is there. One that looks unfinished is
// refused; the same bytes sent once more are what the device really has, and
// are taken with a finding that a clerk sees.
func (in *Incoming) whole() (finding string, err error) {
	switch {
	case in.err != nil:
		return "", in.err
	case in.size == 0:
		return "", ErrEmptyFile
	case !in.have.all(in.size):
		return "", fmt.Errorf("%w: parts of it never came", ErrUnfinished)
	}
	err = checkComplete(in.file, in.size, in.name)
	if err == nil || !errors.Is(err, errIncomplete) {
		return "", err
	}
	sum, sumErr := digest(io.NewSectionReader(in.file, 0, in.size))
	if sumErr != nil {
		return "", sumErr
	}
	if !in.v.g.refused.again(in.v.Device.User, sum, in.v.g.o.Clock()) {
		return "", fmt.Errorf("%w: %w", ErrUnfinished, err)
	}
	return "incomplete", nil
}

func (in *Incoming) take(ctx context.Context, finding string) (sekretariat.Receipt, error) {
	g := in.v.g
	now := g.o.Clock()
	d := delivery(in.v.Device.Centre, in.v.Device.Box, in.v.door, in.name, sekretariat.Arrival{At: now, Basis: sekretariat.BasisScanned})
	d.Source[SourceDevice] = in.v.Device.User
	if finding != "" {
		d.Source[SourceFinding] = finding
	}
	ctx, cancel := context.WithTimeout(ctx, g.o.Durable)
	defer cancel()
	g.o.Emptied.assign(ctx, &d, now)
	ticket, err := g.o.Receiver.Take(ctx, d, io.NewSectionReader(in.file, 0, in.size))
	if errors.Is(err, ingest.ErrTooLarge) {
		return sekretariat.Receipt{}, ErrOverLimit
	}
	if err != nil {
		return sekretariat.Receipt{}, fmt.Errorf("%w: take in: %w", ErrLater, err)
	}
	r, err := ticket.Wait(ctx)
	if err != nil {
		return r, fmt.Errorf("%w: make durable: %w", ErrLater, err)
	}
	return r, nil
}

// assign gives a delivery to the emptying that it belongs to; scanned is when
// it was scanned.
func (e Emptied) assign(ctx context.Context, d *sekretariat.Delivery, scanned time.Time) {
	if e == nil {
		return
	}
	if a, id, ok := e(ctx, d.Centre, d.Box, scanned); ok {
		d.Arrived, d.Emptying = a, id
	}
}

// extents are the parts of a file that came, sorted and joined.
type extents []extent

type extent struct{ from, to int64 }

// maxExtents bounds the holes of a file that is coming: clients have some 64
// writes in flight.
const maxExtents = 4096

func (e *extents) add(from, to int64) bool {
	if from == to {
		return true
	}
	l := *e
	i, _ := slices.BinarySearchFunc(l, from, func(x extent, at int64) int {
		switch {
		case x.to < at:
			return -1
		case x.to > at:
			return 1
		}
		return 0
	})
	j := i
	for ; j < len(l) && l[j].from <= to; j++ {
		from, to = min(from, l[j].from), max(to, l[j].to)
	}
	*e = slices.Replace(l, i, j, extent{from, to})
	return len(*e) <= maxExtents
}

func (e extents) all(size int64) bool { return len(e) == 1 && e[0] == extent{0, size} }
