package epuaptest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"sekretariat/extract/xmlsec"
)

const (
	spaceObjects = "http://wsdl.epuap.gov.pl/obiekty/"
	soapAction   = "http://ws.epuap.gov.pl/pull/"
	maxRequest   = 1 << 20
	tolerance    = 5 * time.Minute // age of a Timestamp
)

// requests maps the Body element of a request to its operation.
var requests = map[string]string{
	"ZapytaniePullOczekujace": OpWaiting,
	"ZapytaniePullPobierz":    OpNext,
	"ZapytaniePullPotwierdz":  OpConfirm,
}

// call is one request, taken apart.
type call struct {
	element                      string
	names                        []string
	entity, name, address, skrot string
	security                     xmlsec.Security
}

// refusal is a fault by the rules.
type refusal struct{ code, text, detail string }

func (r *refusal) Error() string { return r.code + ": " + r.text }

// ServeHTTP answers one request of the pull service or of the file repository.
func (p *Platform) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	now := p.now()
	p.mu.Unlock()
	w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
	if r.URL.Path != Path && r.URL.Path != RepositoryPath {
		http.NotFound(w, r)
		return
	}
	if r.Method != http.MethodPost {
		http.Error(w, "POST only", http.StatusMethodNotAllowed)
		return
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "text/xml" {
		http.Error(w, "text/xml only", http.StatusUnsupportedMediaType)
		return
	}
	if r.URL.Path == RepositoryPath {
		p.repository(w, r, now)
		return
	}
	c, err := read(io.LimitReader(r.Body, maxRequest))
	operation := requests[c.element]
	p.mu.Lock()
	p.counters.Requests[operation]++
	p.mu.Unlock()
	if err == nil {
		err = p.check(c, r.Header.Get("SOAPAction"), operation, now)
	}
	if err != nil {
		p.refuse(w, err)
		return
	}
	f := p.meet(operation)
	if f.before(w, r) {
		return
	}
	content := p.do(c, operation, f)
	if f.LoseAnswer {
		panic(http.ErrAbortHandler)
	}
	msg, err := p.envelope(content, now)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	write(w, http.StatusOK, msg, f)
}

// read takes a request apart, as strictly as the schema is.
func read(r io.Reader) (*call, error) {
	c := &call{}
	var depth int
	var err error
	c.security, err = xmlsec.ReadMessage(r, xmlsec.Limits{Octets: maxRequest, Nodes: 1000}, func(t *xmlsec.Token) error {
		switch t.Kind {
		case xmlsec.Element:
			depth++
			return c.start(t, depth)
		case xmlsec.EndElement:
			depth--
		case xmlsec.Text:
			return c.text(string(t.Data), depth)
		}
		return nil
	})
	return c, err
}

var errRequest = errors.New("the request does not fit the schema")

func (c *call) start(t *xmlsec.Token, depth int) error {
	switch {
	case depth == 1 && c.element == "" && t.Name.Space == spaceObjects && len(t.Attrs) == 0 && requests[t.Name.Local] != "":
		c.element = t.Name.Local
	case depth == 2 && t.Name.Space == "" && len(t.Attrs) == 0:
		c.names = append(c.names, t.Name.Local)
	default:
		return errRequest
	}
	return nil
}

func (c *call) text(s string, depth int) error {
	if depth < 2 {
		if strings.TrimSpace(s) != "" {
			return errRequest
		}
		return nil
	}
	switch c.names[len(c.names)-1] {
	case "podmiot":
		c.entity += s
	case "nazwaSkrytki":
		c.name += s
	case "adresSkrytki":
		c.address += s
	case "skrot":
		c.skrot += s
	}
	return nil
}

// check goes through the rules in the order in which the platform is known to.
func (p *Platform) check(c *call, action, operation string, now time.Time) error {
	want := []string{"podmiot", "nazwaSkrytki", "adresSkrytki"}
	if operation == OpConfirm {
		want = append(want, "skrot")
	}
	if !slices.Equal(c.names, want) || len(c.entity) > 100 {
		return errRequest
	}
	if action = strings.Trim(action, `"`); action != "" && action != soapAction+operation {
		return errRequest
	}
	if err := p.secure(c, now); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	entities := p.systems[sha256.Sum256(c.security.Certificate.Raw)]
	b := p.boxes[c.address]
	if !slices.Contains(entities, c.entity) || b == nil || b.Entity != c.entity || b.Name != c.name {
		return &refusal{"soapenv:Server", "Wystąpił błąd", wyjatek(-1, "Brak uprawnień systemu do skrytki")}
	}
	return nil
}

// secure checks WS-Security.
func (p *Platform) secure(c *call, now time.Time) error {
	s := c.security
	if errors.Is(s.Err, xmlsec.ErrUnsigned) || s.Certificate == nil {
		return &refusal{"wsse:InvalidSecurity", "An error was discovered processing the wsse:Security header", ""}
	}
	p.mu.Lock()
	_, known := p.systems[sha256.Sum256(s.Certificate.Raw)]
	p.mu.Unlock()
	switch {
	case !known:
		return &refusal{"wsse:FailedAuthentication", "The security token could not be authenticated or authorized", ""}
	case errors.Is(s.Err, xmlsec.ErrDigest), errors.Is(s.Err, xmlsec.ErrSignature):
		return &refusal{"wsse:FailedCheck", "The signature or decryption was invalid", ""}
	case errors.Is(s.Err, xmlsec.ErrUnsupported), s.Err == nil && s.Weak:
		return &refusal{"wsse:UnsupportedAlgorithm", "An unsupported signature or encryption algorithm was used", ""}
	case s.Err != nil || !s.Body || !s.Created.IsZero() && !s.Timestamp:
		return &refusal{"wsse:InvalidSecurity", "An error was discovered processing the wsse:Security header", ""}
	case !s.Created.IsZero() && (now.Sub(s.Created).Abs() > tolerance || !s.Expires.IsZero() && now.After(s.Expires)):
		return &refusal{"wsu:MessageExpired", "The message has expired", ""}
	}
	return nil
}

// refuse answers with a fault.
func (p *Platform) refuse(w http.ResponseWriter, err error) {
	p.mu.Lock()
	p.counters.Faults++
	p.mu.Unlock()
	var r *refusal
	if !errors.As(err, &r) {
		r = &refusal{"soapenv:Client", err.Error(), ""}
	}
	write(w, http.StatusInternalServerError, plain(soapFault(r.code, r.text, r.detail)), Fault{})
}

// do carries the operation out and returns the content of the answer's Body.
func (p *Platform) do(c *call, operation string, f Fault) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.boxes[c.address]
	switch operation {
	case OpWaiting:
		return element("OdpowiedzPullOczekujace", status(1, "OK")+"<oczekujace>"+strconv.Itoa(len(b.queue))+"</oczekujace>")
	case OpConfirm:
		return element("OdpowiedzPullPotwierdz", p.confirm(b, c.skrot, f))
	}
	if len(b.queue) == 0 {
		return p.o.Empty.answer()
	}
	p.counters.Served++
	return element("OdpowiedzPullPobierz", letter(b, b.queue[0], f))
}

// confirm removes the head of the queue if the digest is its.
func (p *Platform) confirm(b *box, skrot string, f Fault) string {
	if f.Refuse || len(b.queue) == 0 || !p.o.Skrot.Fits(b.queue[0].Content, skrot) {
		p.counters.Refused++
		return status(0, "Nie znaleziono dokumentu")
	}
	p.counters.Confirmed++
	if p.o.Confirming != nil {
		p.o.Confirming(b.queue[0])
	}
	if !f.Keep {
		b.confirmed = append(b.confirmed, b.queue[0].ID)
		b.queue = b.queue[1:]
	}
	return status(1, "OK")
}

// write sends an answer, or as much of it as the fault lets through.
func write(w http.ResponseWriter, code int, msg []byte, f Fault) {
	w.Header().Set("Content-Type", "text/xml; charset=UTF-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(msg)))
	w.WriteHeader(code)
	if f.CutAfter > 0 && f.CutAfter < len(msg) {
		_, _ = w.Write(msg[:f.CutAfter])
		if flush, ok := w.(http.Flusher); ok {
			flush.Flush()
		}
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(msg)
}

func wyjatek(kod int, text string) string {
	return fmt.Sprintf(`<p140:Wyjatek xmlns:p140="%s"><kod>%d</kod><komunikat>%s</komunikat></p140:Wyjatek>`, spaceObjects, kod, escape(text))
}
