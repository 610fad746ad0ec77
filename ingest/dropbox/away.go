package dropbox

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"time"

	"sekretariat"
)

// Notes for the clerk: %[1]s is the file name, %[2]d its size. They are bodies
// of submissions, which are sealed, and reason files beside the refused file.
const (
	noteOversize = "Plik „%[1]s” (%[2]d B) z folderu skrzynki jest większy niż dopuszczalny rozmiar przesyłki i nie został przyjęty.\n" +
		"Plik leży w podfolderze „error”. Proszę podzielić dokument na mniejsze części i zeskanować ponownie albo przekazać plik administratorowi.\n"
	noteEmpty = "Plik „%[1]s” (%[2]d B) z folderu skrzynki jest pusty: skanowanie lub zapis nie powiodły się.\n" +
		"Plik leży w podfolderze „error”. Proszę odszukać oryginał i zeskanować go ponownie.\n"
	noteDamaged = "Pliku „%[1]s” (%[2]d B) z folderu skrzynki nie można odczytać: nośnik lub udział sieciowy zgłasza błąd.\n" +
		"Plik leży w podfolderze „error”. Proszę zeskanować dokument ponownie i powiadomić administratora.\n"
)

// reasonFile lies beside a refused file.
const reasonFile = "powod.txt"

// newClaim names the folder in .taken of one file. Each claimed file has a
// folder of its own, so that no two files of one name can meet and the name
// stays as it is.
func newClaim(now time.Time) string {
	return now.UTC().Format("20060102T150405") + "-" + rand.Text()[:10]
}

// claim moves a file out of the scanner's reach, at once and whole: whoever
// writes a new file of the same name from now on writes another one. A file
// that is in .taken already stays there.
func (f *Folder) claim(root *os.Root, s sighting, r *result) error {
	if r.at != s.path || s.claimed() {
		return nil
	}
	dir := path.Join(takenDir, s.claim)
	if err := root.Mkdir(dir, 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make a folder in %s: %w", takenDir, err)
	}
	to := path.Join(dir, s.path)
	if err := root.Rename(s.path, to); err != nil {
		return fmt.Errorf("claim: %w", errors.Join(err, root.Remove(dir)))
	}
	r.at = to
	return nil
}

// removeEmptyClaims tidies up what crashes between two steps left.
func removeEmptyClaims(root *os.Root) error {
	var dirs []string
	err := readDir(root, takenDir, func(e fs.DirEntry) {
		if e.IsDir() {
			dirs = append(dirs, path.Join(takenDir, e.Name()))
		}
	})
	for _, d := range dirs {
		_ = root.Remove(d) // fails for those that still hold a file, as it should
	}
	return err
}

// putAway moves a taken file to done/<day>. Nothing in done/ is ever
// overwritten: a second file of a name gets a folder of its own.
func (f *Folder) putAway(root *os.Root, at string) error {
	day := path.Join(doneDir, sekretariat.Day(f.o.Clock()))
	if err := mkdir(root, day); err != nil {
		return err
	}
	err := renameNew(root, at, path.Join(day, path.Base(at)))
	if errors.Is(err, fs.ErrExist) || errors.Is(err, errors.ErrUnsupported) {
		own := path.Join(day, path.Base(path.Dir(at)))
		if err = mkdir(root, own); err == nil {
			err = root.Rename(at, path.Join(own, path.Base(at)))
		}
	}
	return unclaim(root, at, err)
}

// putAside moves a refused file to error/<day>, with the reason beside it. The
// reason comes first, so that a crash leaves no file without one.
func (f *Folder) putAside(root *os.Root, at, reason string) error {
	day := path.Join(errorDir, sekretariat.Day(f.o.Clock()))
	own := path.Join(day, path.Base(path.Dir(at)))
	if err := errors.Join(mkdir(root, day), mkdir(root, own)); err != nil {
		return err
	}
	name := reasonFile
	if path.Base(at) == name {
		name = "1-" + name
	}
	if err := root.WriteFile(path.Join(own, name), []byte(reason), 0o640); err != nil {
		return fmt.Errorf("write the reason: %w", err)
	}
	return unclaim(root, at, root.Rename(at, path.Join(own, path.Base(at))))
}

// unclaim removes the empty claim after a successful move.
func unclaim(root *os.Root, at string, moved error) error {
	if moved != nil {
		return fmt.Errorf("put away: %w", moved)
	}
	_ = root.Remove(path.Dir(at)) // left to the next start if it fails
	return nil
}

func mkdir(root *os.Root, dir string) error {
	if err := root.Mkdir(dir, 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make a folder in %s: %w", path.Dir(dir), err)
	}
	return nil
}

// purge empties done/ once a day: folders of days that ended longer ago than
// Box.Keep. error/ is left to people. What is not named like a day was not made
// by us and stays.
func (f *Folder) purge(root *os.Root) {
	now := f.o.Clock()
	today := sekretariat.Day(now)
	if f.purged == today {
		return
	}
	var old []string
	err := readDir(root, doneDir, func(e fs.DirEntry) {
		day, err := time.ParseInLocation(time.DateOnly, e.Name(), sekretariat.Warsaw())
		if err == nil && e.IsDir() && day.AddDate(0, 0, 1).Add(f.o.Box.Keep).Before(now) {
			old = append(old, path.Join(doneDir, e.Name()))
		}
	})
	for _, d := range old {
		err = errors.Join(err, root.RemoveAll(d))
	}
	if err != nil {
		f.o.Logger.Warn().Err(err).Msg("done folder cannot be emptied")
		return
	}
	f.purged = today
}
