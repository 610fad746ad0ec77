package epuap

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync"

	"sekretariat/extract/xmlsec"
)

// spaceRepository is the namespace of the file repository (filerepocore.xsd).
const spaceRepository = "http://wsdl.epuap.gov.pl/filerepocore/"

// DefaultMaxFile bounds one file of the repository, octets.
const DefaultMaxFile = 500 << 20

// Errors of Fetch that no repetition mends.
var (
	// ErrGone: the service refuses the file. It gives each large file once, so
	// the octets may be in our own store already.
	ErrGone = errors.New("the file repository does not give this file")
	// ErrFileTooLarge: the file is over the limit.
	ErrFileTooLarge = errors.New("file of the repository is over the limit")
)

// Repository downloads attachments that lie in the platform's file repository
// (FileRepoService, operation downloadFile). It only ever talks to the one
// configured address: of a link in a letter nothing but the id is used.
type Repository struct {
	link
	mu sync.Mutex // one file at a time: the platform is slow enough for two
}

// File is what the repository says of a file.
type File struct {
	Name, MediaType string
}

// NewRepository makes the client of an account with a repository address.
func NewRepository(o Options) (*Repository, error) {
	r := &Repository{link: link{o: o}}
	if err := checkURL(o.Account.Repository); err != nil {
		return nil, r.wrong(fmt.Errorf("repository: %w", err))
	}
	if r.o.Account.MaxFile <= 0 {
		r.o.Account.MaxFile = DefaultMaxFile
	}
	return r, r.prepare()
}

// Fetch downloads a file by its id and writes its octets to w as they come. The
// octets count only if the error is nil: whether the answer is signed as it
// must be shows at its end.
func (r *Repository) Fetch(ctx context.Context, id string, w io.Writer) (File, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	signer, err := r.signer()
	if err != nil {
		return File{}, err
	}
	ctx, alive, stop := watch(ctx, r.o.Timeout)
	defer stop()
	resp, err := r.post(ctx, signer, r.o.Account.Repository, "", downloadFile(id, r.o.Account.Entity))
	if err != nil {
		return File{}, fmt.Errorf("downloadFile: %w", err)
	}
	defer resp.Body.Close()
	alive()
	f, err := r.file(ctx, resp, &living{resp.Body, alive}, w)
	if err != nil {
		return File{}, fmt.Errorf("downloadFile: %w", err)
	}
	return f, nil
}

// downloadFile is the Body of a request.
func downloadFile(id, entity string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `<fc:DownloadFileParam xmlns:fc="%s"><fileId>`, spaceRepository)
	_ = xml.EscapeText(&b, []byte(id)) // a Buffer takes everything
	b.WriteString("</fileId><subject>")
	_ = xml.EscapeText(&b, []byte(entity))
	b.WriteString("</subject></fc:DownloadFileParam>")
	return b.Bytes()
}

// file reads the answer, in one part or in several.
func (r *Repository) file(ctx context.Context, resp *http.Response, body io.Reader, w io.Writer) (File, error) {
	skewed := r.clocks(resp.Header.Get("Date"))
	switch resp.StatusCode {
	case http.StatusOK, http.StatusInternalServerError:
	default:
		return File{}, trouble(codePlatform, fmt.Errorf("HTTP %d", resp.StatusCode))
	}
	media, params, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if strings.HasSuffix(media, "/html") {
		return File{}, trouble(codePlatform, fmt.Errorf("HTTP %d with a web page instead of an answer", resp.StatusCode))
	}
	if media == "multipart/related" {
		var err error
		if body, err = inline(body, params["boundary"]); err != nil {
			return File{}, trouble(codePlatform, err)
		}
	}
	p := download{limit: r.o.Account.MaxFile, w: w, fields: map[string]string{}}
	// Base64 with a line end after every 64 characters, and room for the rest.
	limits := xmlsec.Limits{Octets: p.limit/48*66 + 2<<20, Depth: maxDepth, Nodes: 1 << 30, Value: 64 << 10}
	sec, err := xmlsec.ReadMessage(body, limits, p.token)
	switch {
	case errors.Is(err, ErrFileTooLarge) || errors.Is(err, xmlsec.ErrLimit):
		return File{}, ErrFileTooLarge
	case p.broken != nil:
		return File{}, fmt.Errorf("keep the file: %w", p.broken)
	case err != nil && errors.Is(context.Cause(ctx), errSilence):
		return File{}, trouble(codeConnect, errSilence)
	case err != nil:
		return File{}, trouble(codePlatform, fmt.Errorf("HTTP %d: the answer cannot be read to its end: %w", resp.StatusCode, err))
	}
	if p.fault != nil {
		return File{}, r.refused(p, skewed)
	}
	if err := r.trusted(sec); err != nil {
		return File{}, err
	}
	if !p.done {
		return File{}, trouble(codePlatform, fmt.Errorf("HTTP %d: %w", resp.StatusCode, errAnswer))
	}
	return File{Name: p.fields["filename"], MediaType: p.fields["mimeType"]}, nil
}

// refused tells a refusal of this file from trouble with the service.
func (r *Repository) refused(p download, skewed bool) error {
	f := p.fault
	f.name(p.fields["faultcode"], p.fields["detail.WyjatekTyp.kod"])
	if !f.security && f.kod != "" {
		return fmt.Errorf("%w: %w", ErrGone, f)
	}
	return faulty(f, skewed)
}

// download takes the tokens of a Body with DataDocument or a fault.
type download struct {
	limit  int64
	w      io.Writer
	fields map[string]string
	fault  *soapFault
	done   bool // the file was there to its end

	path   []string
	text   []byte
	b64    *xmlsec.Base64Writer
	broken error // of w
}

func (p *download) token(t *xmlsec.Token) error {
	switch t.Kind {
	case xmlsec.Element:
		return p.start(t)
	case xmlsec.Text:
		if p.b64 != nil {
			_, err := p.b64.Write(t.Data)
			return err
		}
		p.text = append(p.text, t.Data[:min(len(t.Data), maxField-min(len(p.text), maxField))]...)
	case xmlsec.EndElement:
		return p.end()
	}
	return nil
}

func (p *download) start(t *xmlsec.Token) error {
	if p.b64 != nil {
		return errAnswer // elements inside the file
	}
	if len(p.path) == 0 {
		switch {
		case t.Name.Space == xmlsec.SpaceSOAP && t.Name.Local == "Fault":
			p.fault = &soapFault{}
		case t.Name.Space != spaceRepository || t.Name.Local != "DataDocument":
			return errAnswer
		}
	}
	p.path, p.text = append(p.path, t.Name.Local), p.text[:0]
	if len(p.path) == 2 && p.fault == nil && t.Name.Local == "file" {
		if p.done {
			return errAnswer // two files: whichever we took, somebody else may take the other
		}
		p.b64 = xmlsec.NewBase64Writer(p)
	}
	return nil
}

func (p *download) end() error {
	if len(p.path) == 0 {
		return nil
	}
	if len(p.path) == 2 && p.b64 != nil {
		if err := p.b64.Close(); err != nil {
			return err
		}
		p.b64, p.done = nil, true
	} else if len(p.path) > 1 {
		p.fields[strings.Join(p.path[1:], ".")] = strings.ToValidUTF8(string(bytes.TrimSpace(p.text)), "")
	}
	p.path, p.text = p.path[:len(p.path)-1], p.text[:0]
	return nil
}

// Write takes the decoded octets of the file.
func (p *download) Write(b []byte) (int, error) {
	if p.limit -= int64(len(b)); p.limit < 0 {
		return 0, ErrFileTooLarge
	}
	n, err := p.w.Write(b)
	p.broken = err
	return n, err
}
