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
	"time"

	"sekretariat/extract/xmlsec"
)

// operation is one operation of the pull service (pull.wsdl).
type operation struct {
	name     string // of the SOAPAction
	request  string // Body element of the request
	response string // Body element of the answer
}

var (
	opWaiting = operation{"oczekujaceDokumenty", "ZapytaniePullOczekujace", "OdpowiedzPullOczekujace"}
	opNext    = operation{"pobierzNastepny", "ZapytaniePullPobierz", "OdpowiedzPullPobierz"}
	opConfirm = operation{"potwierdzOdebranie", "ZapytaniePullPotwierdz", "OdpowiedzPullPotwierdz"}
)

// soapAction is the prefix of the SOAPAction of each operation.
const soapAction = "http://ws.epuap.gov.pl/pull/"

// lifetime is how long a signed request is good for.
const lifetime = 5 * time.Minute

// minSkew is the difference of clocks that is worth correcting.
const minSkew = 30 * time.Second

// request builds the Body of a request; children in the schema's order,
// without a namespace.
func (c *Channel) request(op operation, more ...string) []byte {
	a := c.o.Account
	var b bytes.Buffer
	fmt.Fprintf(&b, `<ob:%s xmlns:ob="%s">`, op.request, spaceObjects)
	children := append([]string{"podmiot", a.Entity, "nazwaSkrytki", a.Name, "adresSkrytki", a.Address}, more...)
	for i := 0; i < len(children); i += 2 {
		b.WriteString("<" + children[i] + ">")
		_ = xml.EscapeText(&b, []byte(children[i+1])) // a Buffer takes everything
		b.WriteString("</" + children[i] + ">")
	}
	fmt.Fprintf(&b, `</ob:%s>`, op.request)
	return b.Bytes()
}

// reply is one answer with what HTTP said of it.
type reply struct {
	*answer
	spool *spool
	date  string // HTTP Date
	cut   bool   // longer than the limit: only its beginning is there

	inline bool // the spool holds the document itself, see callParser
}

func (r *reply) close() {
	if r != nil {
		r.spool.close()
	}
}

// call sends one request and reads the answer. An answer that is a fault, is
// not signed as it must be, or makes no sense is an error; a reply is returned
// beside the error as far as something could be read of it. Close the reply.
func (c *Channel) call(ctx context.Context, signer *xmlsec.Signer, op operation, more ...string) (*reply, error) {
	ctx, alive, stop := watch(ctx, c.o.Timeout)
	defer stop()
	resp, err := c.post(ctx, signer, c.o.Account.URL, soapAction+op.name, c.request(op, more...))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op.name, err)
	}
	defer resp.Body.Close()
	alive()
	r, err := c.read(ctx, resp, op, alive)
	if err != nil {
		return r, fmt.Errorf("%s: %w", op.name, err)
	}
	return r, nil
}

// post signs the content of a Body and sends it. Close the answer's body.
func (c *link) post(ctx context.Context, signer *xmlsec.Signer, url, action string, body []byte) (*http.Response, error) {
	msg, err := signer.Message(body, c.o.Clock().Add(c.skew), lifetime)
	if err != nil {
		return nil, trouble(codeCertificate, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(msg))
	if err != nil {
		return nil, trouble(codeConnect, err)
	}
	req.Header.Set("Content-Type", "text/xml; charset=UTF-8")
	req.Header.Set("SOAPAction", `"`+action+`"`)
	req.Header.Set("User-Agent", "sekretariat")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, trouble(codeConnect, cause(ctx, err))
	}
	return resp, nil
}

// read reads and judges the answer.
func (c *Channel) read(ctx context.Context, resp *http.Response, op operation, alive func()) (*reply, error) {
	skewed := c.clocks(resp.Header.Get("Date"))
	if err := sensible(resp); err != nil {
		return nil, err
	}
	r := &reply{spool: newSpool(c.o.Temp, c.o.MaxAnswer), date: resp.Header.Get("Date")}
	_, err := io.Copy(r.spool, &living{resp.Body, alive})
	r.cut = errors.Is(err, errTooLong)
	if err != nil && !r.cut {
		r.close()
		return nil, trouble(codeConnect, fmt.Errorf("the answer broke off: %w", cause(ctx, err)))
	}
	if r.spool.size == 0 && resp.StatusCode == http.StatusOK {
		r.answer = &answer{fields: map[string]string{}}
		r.security.Err = xmlsec.ErrUnsigned
		return r, c.trusted(r.security)
	}
	r.answer, err = parse(r.spool.reader(), c.o.MaxAnswer)
	switch {
	case r.cut:
		return r, trouble(codeDocument, errTooLong)
	case err != nil:
		return r, trouble(codePlatform, fmt.Errorf("HTTP %d: %w", resp.StatusCode, err))
	case r.fault != nil:
		return r, faulty(r.fault, skewed)
	case resp.StatusCode != http.StatusOK:
		return r, trouble(codePlatform, fmt.Errorf("HTTP %d", resp.StatusCode))
	case r.element != "" && r.element != op.response:
		return r, trouble(codePlatform, fmt.Errorf("%w: another element than %s", errAnswer, op.response))
	}
	return r, c.trusted(r.security)
}

// faulty turns a fault of the service into our error.
func faulty(f *soapFault, skewed bool) error {
	f.skew = skewed
	if f.security {
		return trouble(codeLogin, f)
	}
	if f.kod != "" {
		return trouble(codeRefused, f)
	}
	return trouble(codePlatform, f)
}

// sensible refuses what cannot be an answer of the service before it is read:
// redirects, proxies that want a login, maintenance pages.
func sensible(resp *http.Response) error {
	switch resp.StatusCode {
	case http.StatusOK, http.StatusInternalServerError:
	case http.StatusUnauthorized, http.StatusForbidden:
		return trouble(codeRefused, fmt.Errorf("HTTP %d", resp.StatusCode))
	default:
		return trouble(codePlatform, fmt.Errorf("HTTP %d", resp.StatusCode))
	}
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case strings.HasSuffix(media, "/html"), strings.HasSuffix(media, "/xhtml+xml"):
		return trouble(codePlatform, fmt.Errorf("HTTP %d with a web page instead of an answer", resp.StatusCode))
	case strings.HasPrefix(media, "multipart/"):
		return trouble(codePlatform, fmt.Errorf("HTTP %d with an answer in several parts (%s)", resp.StatusCode, media))
	}
	return nil
}

// clocks compares ours with the platform's, so that the Timestamp of the next
// request is good there whatever our clock says. It tells whether they differ.
func (c *link) clocks(date string) bool {
	t, err := http.ParseTime(date)
	if err != nil {
		return false
	}
	skew := t.Sub(c.o.Clock())
	if skew.Abs() < minSkew {
		skew = 0
	}
	c.skew = skew
	c.status.skew(skew)
	return skew != 0
}

// watch makes a context that ends when nothing happened for a while; alive says
// that something did.
func watch(ctx context.Context, silence time.Duration) (_ context.Context, alive func(), stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	t := time.AfterFunc(silence, func() { cancel(errSilence) })
	return ctx, func() { t.Reset(silence) }, func() { t.Stop(); cancel(nil) }
}

var errSilence = errors.New("the platform does not answer")

// cause names silence as the reason if it was.
func cause(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errSilence) {
		return errSilence
	}
	return err
}

// living tells of every octet that comes.
type living struct {
	r     io.Reader
	alive func()
}

func (l *living) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if n > 0 {
		l.alive()
	}
	return n, err
}
