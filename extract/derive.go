package extract

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"sekretariat"
	"sekretariat/extract/archive"
	"sekretariat/extract/office"
	"sekretariat/extract/picture"
)

// What Parts may ask to have made of a part.
const (
	AsIs      = ""
	AsPreview = "preview" // a PDF, or a JPEG of one page of a picture: see Preview
	AsOpened  = "opened"  // a document without its password
	AsPages   = "pages"   // a PDF of the pages Page to To
)

// PreviewName is the reader's name and version of previews, part of their
// object keys. It changes whenever the same part would be shown differently.
const PreviewName = "preview-1"

// ErrNoPreview: there is no preview of such a part, or it cannot be made.
var ErrNoPreview = errors.New("no preview of this part")

// Limits of the tools.
const (
	toolTime     = 40 * time.Second
	previewPages = "100" // of a PDF
)

// derive makes what was asked for out of a part and returns it with its type.
func (d Direct) derive(ctx context.Context, ask Parts, p sekretariat.Part, content io.Reader) (io.ReadCloser, string, error) {
	if ask.As == AsIs {
		return io.NopCloser(content), "", nil
	}
	body, err := d.spool(io.LimitReader(content, maxLook+1))
	if err != nil {
		return nil, "", err
	}
	defer body.Close()
	if body.size > maxLook { // what is cut off is not what was asked for
		return nil, "", archive.ErrLimit
	}
	refine(&p, body)
	if ask.Password != "" {
		opened, err := d.decrypt(ctx, p.Type, body, ask.Password)
		if err != nil {
			return nil, "", err
		}
		if opened != nil {
			defer opened.Close()
			body = opened
			refine(&p, body)
		}
	}
	if ask.As == AsOpened {
		return d.keep(func(w io.Writer) error {
			_, err := io.Copy(w, io.NewSectionReader(body, 0, body.size))
			return err
		}, p.Type)
	}
	if ask.As == AsPages {
		return d.pages(ctx, body, ask.Page, ask.To, ask.Count)
	}
	return d.preview(ctx, p.Type, body, ask.Page)
}

// HasPreview tells whether previews are made of parts of a type.
func HasPreview(typ string) bool {
	return typ == "application/pdf" || office.Known(typ) || isPicture(typ)
}

// preview makes a PDF or a JPEG that is harmless: no scripts, no macros, no
// links that are fetched, no place where a photo was taken.
func (d Direct) preview(ctx context.Context, typ string, body *spooled, page int) (io.ReadCloser, string, error) {
	const pdfType, jpegType = "application/pdf", "image/jpeg"
	switch {
	case typ == pdfType:
		return d.keep(func(w io.Writer) error {
			// Drawn anew: forms, scripts and embedded files stay behind.
			return noPreview(d.tool(ctx, body, nil, w, "pdftocairo", "-q", "-pdf", "-l", previewPages, "/dev/fd/3", "-"))
		}, pdfType)
	case office.Known(typ):
		return d.keep(func(w io.Writer) error {
			return noPreview(office.Convert(ctx, body, typ, "pdf", d.Temp, func(b sekretariat.Body) error {
				_, err := io.Copy(w, io.NewSectionReader(b, 0, b.Size()))
				return err
			}))
		}, pdfType)
	case isPicture(typ):
		return d.keep(func(w io.Writer) error {
			return noPreview(picture.Preview(ctx, body, typ, max(page, 1), d.Temp, w))
		}, jpegType)
	}
	return nil, "", ErrNoPreview
}

func noPreview(err error) error {
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoPreview, err)
	}
	return nil
}

// keep gathers what make writes in an anonymous file, so that an error comes
// before the first octet of an answer.
func (d Direct) keep(make func(io.Writer) error, typ string) (io.ReadCloser, string, error) {
	f, err := Anonymous(d.Temp)
	if err != nil {
		return nil, "", err
	}
	if err := make(f); err != nil {
		f.Close()
		return nil, "", err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		f.Close()
		return nil, "", fmt.Errorf("read a temporary file: %w", err)
	}
	return f, typ, nil
}

// tool runs a program on a part, which it gets as descriptor 3: no name appears
// on a command line.
func (d Direct) tool(ctx context.Context, body *spooled, in io.Reader, out io.Writer, name string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, toolTime)
	defer cancel()
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read a temporary file: %w", err)
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.ExtraFiles, cmd.Stdin, cmd.Stdout = []*os.File{body.File}, in, out
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// exitPassword is what qpdf says of a wrong password, as of every error; it
// warns with another status, and has written the file then.
const (
	exitError   = 2
	exitWarning = 3
)

// warned forgives qpdf its warnings: the file is written then.
func warned(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == exitWarning {
		return nil
	}
	return err
}

// decrypt opens a document with a password. It returns nil for what is not
// under a password of its own: an archive asks for its members' password later.
func (d Direct) decrypt(ctx context.Context, typ string, body *spooled, password string) (*spooled, error) {
	switch typ {
	case "application/pdf":
		return d.filled(func(w io.Writer) error {
			// qpdf reads the password from its standard input: a command line is
			// for all to see.
			err := d.tool(ctx, body, strings.NewReader(password+"\n"), w, "qpdf", "--decrypt", "--password-file=-", "/dev/fd/3", "-")
			var exit *exec.ExitError
			if errors.As(err, &exit) && exit.ExitCode() == exitError {
				return archive.ErrPassword
			}
			return warned(err)
		})
	case office.TypeEncrypted, office.TypeODT, office.TypeODS, office.TypeODP:
		return d.filled(func(w io.Writer) error {
			err := office.Decrypt(body, typ, password, w)
			if errors.Is(err, office.ErrPassword) {
				return archive.ErrPassword
			}
			return err
		})
	}
	return nil, nil
}

func (d Direct) filled(fill func(io.Writer) error) (*spooled, error) {
	f, err := Anonymous(d.Temp)
	if err != nil {
		return nil, err
	}
	if err := fill(f); err != nil {
		f.Close()
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("size of a temporary file: %w", err)
	}
	return &spooled{f, info.Size()}, nil
}

// Look reads one listed part anew, with a password: its text and pages, and
// what it holds. It is what a clerk sees who knows the password; nothing of it
// is stored.
func (d Direct) Look(ctx context.Context, body sekretariat.Body, ask Parts) (sekretariat.Reading, error) {
	r := sekretariat.Reading{Reader: "look-1", Outcome: sekretariat.ReadOK}
	t := d.newTree(ctx, Input{Body: body, Password: ask.Password}, &r)
	found := false
	err := d.Deliver(ctx, body, ask, func(p sekretariat.Part, content io.Reader) error {
		found = true
		held, err := d.spool(io.LimitReader(content, maxLook))
		if err != nil {
			return err
		}
		defer held.Close()
		p.Fate, p.Text = fateListed, ""
		return t.add(p, held, 0)
	})
	if err == nil && !found {
		err = ErrNoPart
	}
	r.Parts = t.parts
	if t.incomplete {
		r.Outcome = sekretariat.ReadPartial
	}
	if err == nil && stillEncrypted(r.Parts) {
		err = archive.ErrPassword
	}
	return r, err
}

// stillEncrypted tells whether a password opened nothing: neither the first
// part nor any member of it.
func stillEncrypted(parts []sekretariat.Part) bool {
	if len(parts) == 0 {
		return false
	}
	sealed, open := 0, 0
	for _, p := range parts[1:] {
		if p.In == parts[0].Path && p.Fate == fateEncrypted {
			sealed++
		} else if p.In == parts[0].Path {
			open++
		}
	}
	return parts[0].Fate == fateEncrypted || sealed > 0 && open == 0
}
