package epuaptest

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"sekretariat/extract/xmlsec"
)

// RepositoryPath is where the file repository answers.
const RepositoryPath = "/repo-ws-ext/FileRepoService"

// OpDownload is the operation of the file repository.
const OpDownload = "downloadFile"

const spaceRepository = "http://wsdl.epuap.gov.pl/filerepocore/"

// StoredFile is one file of the repository. It is given out once: the real
// service is known to refuse a second download.
type StoredFile struct {
	Entity    string
	Name      string
	MediaType string
	Content   []byte
	// Size, if not 0, makes a file of so many octets that is never in memory;
	// it is sent without a signature.
	Size int64

	given int
}

// AddFile puts a file into the repository.
func (p *Platform) AddFile(id string, f StoredFile) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.files[id] = &f
}

// Given tells how often a file was sent to its end.
func (p *Platform) Given(id string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f := p.files[id]; f != nil {
		return f.given
	}
	return 0
}

// download is a request to the repository.
type download struct {
	names    []string
	id       string
	subject  string
	element  string
	security xmlsec.Security
}

func readDownload(r io.Reader) (*download, error) {
	d := &download{}
	depth := 0
	var err error
	d.security, err = xmlsec.ReadMessage(r, xmlsec.Limits{Octets: maxRequest, Nodes: 1000}, func(t *xmlsec.Token) error {
		switch t.Kind {
		case xmlsec.Element:
			depth++
			switch {
			case depth == 1 && d.element == "" && t.Name.Space == spaceRepository && t.Name.Local == "DownloadFileParam":
				d.element = t.Name.Local
			case depth == 2 && t.Name.Space == "":
				d.names = append(d.names, t.Name.Local)
			default:
				return errRequest
			}
		case xmlsec.EndElement:
			depth--
		case xmlsec.Text:
			switch {
			case depth == 2 && d.names[len(d.names)-1] == "fileId":
				d.id += string(t.Data)
			case depth == 2:
				d.subject += string(t.Data)
			case strings.TrimSpace(string(t.Data)) != "":
				return errRequest
			}
		}
		return nil
	})
	return d, err
}

// repository answers one request to the file repository.
func (p *Platform) repository(w http.ResponseWriter, r *http.Request, now time.Time) {
	d, err := readDownload(io.LimitReader(r.Body, maxRequest))
	p.mu.Lock()
	p.counters.Requests[OpDownload]++
	p.mu.Unlock()
	if err == nil && !slices.Equal(d.names, []string{"fileId", "subject"}) {
		err = errRequest
	}
	if err == nil {
		err = p.secure(&call{security: d.security}, now)
	}
	if err != nil {
		p.refuse(w, err)
		return
	}
	f := p.meet(OpDownload)
	if f.before(w, r) {
		return
	}
	file, err := p.take(d)
	if err != nil {
		p.refuse(w, err)
		return
	}
	p.send(w, file, f, now)
}

// take finds the file, if the caller may have it.
func (p *Platform) take(d *download) (*StoredFile, error) {
	refusal := func(kod int, text string) error {
		return &refusal{"soapenv:Server", "Plik nie istnieje", fmt.Sprintf(`<ns2:WyjatekTyp xmlns:ns2="%s"><kod>%d</kod><komunikat>%s</komunikat></ns2:WyjatekTyp>`, spaceRepository, kod, escape(text))}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.files[d.id]
	switch {
	case !slices.Contains(p.systems[sha256.Sum256(d.security.Certificate.Raw)], d.subject), f == nil, f.Entity != d.subject:
		return nil, refusal(404, "Nie ma takiego pliku")
	case f.given > 0:
		return nil, refusal(404, "Plik został już pobrany")
	}
	return f, nil
}

const (
	boundary    = "uuid:6f1f0a52-7c1e-4b7a-9a5e-symulator"
	placeholder = `<xop:Include xmlns:xop="http://www.w3.org/2004/08/xop/include" href="cid:plik-1@example"/>`
)

// send writes the answer and counts the file as given if it went out whole.
func (p *Platform) send(w http.ResponseWriter, file *StoredFile, f Fault, now time.Time) {
	document := func(content string) string {
		return `<ns2:DataDocument xmlns:ns2="` + spaceRepository + `"><file>` + content + `</file><filename>` + escape(file.Name) + `</filename><mimeType>` + escape(file.MediaType) + `</mimeType></ns2:DataDocument>`
	}
	p.mu.Lock()
	mtom := p.o.MTOM
	p.mu.Unlock()
	const mark = "@@@@"
	content := mark
	msg := plain(document(mark))
	if file.Size == 0 {
		content = base64.StdEncoding.EncodeToString(file.Content)
		if f.BadBase64 {
			content = "!" + content
		}
		var err error
		if msg, err = p.envelope(document(content), now); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	before, after, _ := bytes.Cut(msg, []byte(">"+content+"<"))
	before, after = append(before, '>'), append([]byte("<"), after...)
	out := &cutting{w: w, left: f.CutAfter}
	w.Header().Set("Content-Type", "text/xml; charset=UTF-8")
	if mtom {
		w.Header().Set("Content-Type", `multipart/related; type="application/xop+xml"; boundary="`+boundary+`"; start="<root.message@example>"; start-info="text/xml"`)
	}
	switch {
	case mtom:
		fmt.Fprintf(out, "--%s\r\nContent-Type: application/xop+xml; charset=UTF-8; type=\"text/xml\"\r\nContent-Transfer-Encoding: binary\r\nContent-ID: <root.message@example>\r\n\r\n%s%s%s\r\n", boundary, before, placeholder, after)
		fmt.Fprintf(out, "--%s\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\nContent-ID: <plik-1@example>\r\n\r\n", boundary)
		_, _ = io.Copy(out, file.open())
		fmt.Fprintf(out, "\r\n--%s--\r\n", boundary)
	case file.Size == 0:
		_, _ = out.Write(msg)
	default:
		_, _ = out.Write(before)
		enc := base64.NewEncoder(base64.StdEncoding, out)
		_, _ = io.Copy(enc, file.open())
		_ = enc.Close()
		_, _ = out.Write(after)
	}
	if f.LoseAnswer {
		panic(http.ErrAbortHandler)
	}
	if f.BadBase64 {
		return // the caller may ask again
	}
	p.mu.Lock()
	file.given++
	p.mu.Unlock()
}

func (f *StoredFile) open() io.Reader {
	if f.Size == 0 {
		return bytes.NewReader(f.Content)
	}
	return io.LimitReader(pattern{}, f.Size)
}

// pattern is an endless file.
type pattern struct{}

func (pattern) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(i)
	}
	return len(p), nil
}

// cutting breaks the connection after so many octets; 0 = never.
type cutting struct {
	w    http.ResponseWriter
	left int
}

func (c *cutting) Write(p []byte) (int, error) {
	if c.left == 0 {
		return c.w.Write(p)
	}
	if len(p) < c.left {
		c.left -= len(p)
		return c.w.Write(p)
	}
	_, _ = c.w.Write(p[:c.left])
	if flush, ok := c.w.(http.Flusher); ok {
		flush.Flush()
	}
	panic(http.ErrAbortHandler)
}
