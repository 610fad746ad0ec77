package dropbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"time"

	"sekretariat"
	"sekretariat/ingest"
)

// errChanged marks a file that is not, or no longer, the one that was found
// complete. Nothing of it is kept; it is watched anew.
var errChanged = errors.New("file changed")

// outcome is what became of one attempt at one file.
type outcome int

const (
	finished   outcome = iota // durable (or parked) and moved to done/ or error/
	gone                      // somebody else took it away
	changed                   // still being written
	unfinished                // looks incomplete, patience is not over
	unreadable                // cannot be opened, read or moved
	refused                   // the receiver could not make it durable
)

// result is what a worker reports.
type result struct {
	outcome outcome
	from    string // path under which the file was known
	at      string // where it lies now, if it was not finished
	err     error
}

// handle works on one quiet file, from the folder or from .taken, to its end.
func (f *Folder) handle(ctx context.Context, root *os.Root, s sighting) result {
	r := result{from: s.path, at: s.path}
	file, info, err := openRegular(root, s.path)
	if err == nil {
		defer file.Close()
		err = f.work(ctx, root, s, file, info, &r)
	}
	r.err = err
	switch {
	case err == nil:
		r.outcome = finished
	case errors.As(err, new(receiverError)):
		r.outcome = refused
	case errors.Is(err, fs.ErrNotExist):
		r.outcome = gone
	case errors.Is(err, errChanged):
		r.outcome = changed
	case errors.Is(err, errIncomplete):
		r.outcome = unfinished
	default:
		r.outcome = unreadable
	}
	return r
}

// receiverError marks errors of the receiver, for which the file is not to
// blame.
type receiverError struct{ error }

func (e receiverError) Unwrap() error { return e.error }

// work checks, claims and takes in an opened file.
func (f *Folder) work(ctx context.Context, root *os.Root, s sighting, file *os.File, info fs.FileInfo, r *result) error {
	if !unchanged(info, s.info) {
		return errChanged
	}
	impatient := time.Since(s.since) >= f.o.Patience
	finding, err := examine(file, info, path.Base(s.path))
	if err != nil && !(errors.Is(err, errIncomplete) && impatient) {
		if !errors.Is(err, errIncomplete) && f.lost(s) {
			return f.refuse(ctx, root, s, info, r, sekretariat.ParkRefused, noteDamaged)
		}
		return err
	}
	if err := f.claim(root, s, r); err != nil {
		return err
	}
	if now, err := root.Lstat(r.at); err != nil || !unchanged(now, info) {
		return fmt.Errorf("exchanged while it was claimed: %w", errors.Join(errChanged, err))
	}
	if info.Size() == 0 {
		return f.refuse(ctx, root, s, info, r, sekretariat.ParkRefused, noteEmpty)
	}
	return f.takeIn(ctx, root, s, file, info, finding, r)
}

// examine looks whether the file seems complete. The finding is what a person
// is told if patience is over.
func examine(file *os.File, info fs.FileInfo, name string) (finding string, err error) {
	if openForWriting(file) {
		return "still-open", fmt.Errorf("a program still has it open for writing: %w", errIncomplete)
	}
	err = checkComplete(file, info.Size(), name)
	if errors.Is(err, errIncomplete) {
		finding = "incomplete"
	}
	return finding, err
}

// lost tells whether a file could not be read for so long that a person must
// be told.
func (f *Folder) lost(s sighting) bool {
	return !s.broke.IsZero() && time.Since(s.broke) >= f.o.Patience
}

// takeIn hands the claimed file to the receiver and puts it away once it is
// durable.
func (f *Folder) takeIn(ctx context.Context, root *os.Root, s sighting, file *os.File, info fs.FileInfo, finding string, r *result) error {
	name := path.Base(r.at)
	d := delivery(f.o.Centre, f.o.Box, sekretariat.DoorFolder, name, arrival(info.ModTime(), f.o.Clock()))
	if finding != "" {
		d.Source[SourceFinding] = finding
	}
	f.o.Emptied.assign(ctx, &d, d.Arrived.At)
	body := &steady{file: file, want: info}
	ticket, err := f.o.Receiver.Take(ctx, d, body)
	switch {
	case errors.Is(err, ingest.ErrTooLarge):
		return f.refuse(ctx, root, s, info, r, sekretariat.ParkOversize, noteOversize)
	case body.err != nil && !errors.Is(body.err, errChanged) && f.lost(s):
		return f.refuse(ctx, root, s, info, r, sekretariat.ParkRefused, noteDamaged)
	case body.err != nil:
		return body.err
	case err != nil:
		return receiverError{fmt.Errorf("take in: %w", err)}
	}
	receipt, err := ticket.Wait(ctx)
	if err != nil {
		return receiverError{fmt.Errorf("make durable: %w", err)}
	}
	// Should the file have grown meanwhile, what was taken in stays, and the
	// longer file is another submission.
	if now, err := file.Stat(); err != nil || !unchanged(now, info) {
		return fmt.Errorf("written to after it was taken in: %w", errors.Join(errChanged, err))
	}
	f.o.Logger.Info().Str("submission", string(receipt.Submission)).Bool("repeat", receipt.Repeat).
		Int64("size", info.Size()).Str("finding", finding).Msg("file taken in")
	return f.putAway(root, r.at)
}

// refuse puts a note before a clerk in place of a file that cannot be taken
// in, and the file into error/ with the reason.
func (f *Folder) refuse(ctx context.Context, root *os.Root, s sighting, info fs.FileInfo, r *result, why sekretariat.ParkReason, text string) error {
	if err := f.claim(root, s, r); err != nil {
		return err
	}
	name := path.Base(r.at)
	d := delivery(f.o.Centre, f.o.Box, sekretariat.DoorFolder, name, arrival(info.ModTime(), f.o.Clock()))
	// The note stands for this very file, also after a crash and a new try.
	d.Identity = func(sekretariat.BodyFacts) []string {
		return []string{f.o.Box.ID, string(sekretariat.DigestOf([]byte(name))), fmt.Sprint(info.Size()), fmt.Sprint(info.ModTime().UnixNano())}
	}
	note := fmt.Sprintf(text, name, info.Size())
	receipt, err := f.o.Receiver.Park(ctx, d, why, note)
	if err != nil {
		return receiverError{fmt.Errorf("park a note: %w", err)}
	}
	f.o.Logger.Warn().Str("submission", string(receipt.Submission)).Str("reason", string(why)).
		Int64("size", info.Size()).Msg("file refused, a note is parked")
	return f.putAside(root, r.at, note)
}

// steady reads a claimed file and fails with errChanged unless it gives exactly
// the octets of the file as it was found: a file that shrinks, grows or is
// written to meanwhile is not complete.
type steady struct {
	file *os.File
	want fs.FileInfo
	off  int64
	err  error // what ended reading, if not the regular end
}

func (s *steady) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	left := s.want.Size() - s.off
	if left == 0 {
		return 0, s.end()
	}
	n, err := s.file.ReadAt(p[:min(int64(len(p)), left)], s.off)
	s.off += int64(n)
	switch {
	case n > 0 || err == nil:
		return n, nil // an error with data shows again at the next call
	case err == io.EOF:
		s.err = fmt.Errorf("ended after %d of %d octets: %w", s.off, s.want.Size(), errChanged)
	default:
		s.err = fmt.Errorf("read the file at %d: %w", s.off, err)
	}
	return 0, s.err
}

// end lets the regular end pass only if the file is still as it was found.
func (s *steady) end() error {
	now, err := s.file.Stat()
	switch {
	case err != nil:
		s.err = fmt.Errorf("look at the file again: %w", err)
	case !unchanged(now, s.want):
		s.err = fmt.Errorf("written to while it was read: %w", errChanged)
	default:
		return io.EOF
	}
	return s.err
}
