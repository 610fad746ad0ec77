package epuap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"sekretariat"
	"sekretariat/extract/xmlsec"
	"sekretariat/ingest"
)

// The Body elements of a call of the platform (obiektypk.xsd, global elements
// that no service of the platform uses).
const (
	elementDocument = "Dokument"    // the file as base64
	elementInline   = "DokumentAny" // the XML itself; its first octets are lost
)

// maxCalls bounds the calls that are worked on at once.
const maxCalls = 4

// maxWSDL bounds the file shown at ?wsdl, octets.
const maxWSDL = 4 << 20

// Push is the receiver of one box in PUSH mode: the platform calls it with each
// letter. No description of that call is public, so nothing depends on names
// of operations: what counts is the Body's content and the header elements.
// Only calls signed by a pinned certificate are listened to, and the answer
// says "received" only after the letter is durable, so that the platform may
// repeat everything else. It is off unless the account says so.
type Push struct {
	link
	calls chan struct{}
}

var _ http.Handler = (*Push)(nil)

// NewPush makes the receiver of an account.
func NewPush(o Options) (*Push, error) {
	p := &Push{link: link{o: o}, calls: make(chan struct{}, maxCalls)}
	if o.Receiver == nil {
		return nil, p.wrong(errors.New("no receiver"))
	}
	if strings.TrimSpace(o.Account.Address) == "" {
		return nil, p.wrong(errors.New("\"address\" is missing"))
	}
	if err := p.prepare(); err != nil {
		return nil, err
	}
	if len(p.pins) == 0 {
		return nil, p.wrong(errors.New("push needs pins: the SHA-256 of the certificates by which the platform signs"))
	}
	return p, nil
}

// rejection is why a call is answered by a fault.
type rejection struct{ code, text string }

func (r *rejection) Error() string { return r.code + ": " + r.text }

// ServeHTTP answers one call.
func (p *Push) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodGet && strings.EqualFold(r.URL.RawQuery, "wsdl"):
		p.wsdl(w)
		return
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", "POST")
		http.Error(w, "POST only", http.StatusMethodNotAllowed)
		return
	}
	select {
	case p.calls <- struct{}{}:
		defer func() { <-p.calls }()
	default:
		w.Header().Set("Retry-After", "10")
		http.Error(w, "busy", http.StatusServiceUnavailable)
		return
	}
	err := p.receive(r.Context(), w, r)
	log := p.o.Logger.Info()
	if err != nil {
		log = p.o.Logger.Warn().Err(err)
	}
	log.Str("account", p.o.Account.ID).Msg("call of the ePUAP platform")
	p.reply(w, err)
}

// wsdl shows the description that the administrator got for this service.
func (p *Push) wsdl(w http.ResponseWriter) {
	f, err := os.Open(p.o.Account.PushWSDL)
	if err != nil {
		http.Error(w, "no WSDL is configured (push_wsdl)", http.StatusNotFound)
		return
	}
	defer f.Close()
	w.Header().Set("Content-Type", "text/xml; charset=UTF-8")
	_, _ = io.Copy(w, io.LimitReader(f, maxWSDL))
}

// receive takes the letter in.
func (p *Push) receive(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "text/xml" && media != "application/soap+xml" && media != "application/xml" {
		return &rejection{"soapenv:Client", "text/xml expected"}
	}
	spool := newSpool(p.o.Temp, p.o.MaxAnswer)
	defer spool.close()
	body := &paced{r: r.Body, control: http.NewResponseController(w), stall: time.Minute}
	if _, err := io.Copy(spool, body); errors.Is(err, errTooLong) {
		return &rejection{"soapenv:Client", "the message is too large"}
	} else if err != nil {
		return fmt.Errorf("read the call: %w", err)
	}
	c, err := p.parse(spool)
	if err != nil {
		return err
	}
	defer c.close()
	return p.keep(ctx, c)
}

// paced gives a caller a deadline for each piece, so that it may be slow but
// not stand still.
type paced struct {
	r       io.Reader
	control *http.ResponseController
	stall   time.Duration
	credit  int
}

func (p *paced) Read(b []byte) (int, error) {
	if p.credit <= 0 {
		_ = p.control.SetReadDeadline(time.Now().Add(p.stall)) // a test has no connection
		p.credit = 64 << 10
	}
	n, err := p.r.Read(b)
	p.credit -= n
	return n, err
}

// parse reads a call, checks who sent it, and gathers what it says of the
// letter. The reply is the form in which the pull service would have said it.
func (p *Push) parse(spool *spool) (*reply, error) {
	limits := xmlsec.Limits{Octets: p.o.MaxAnswer, Depth: 256, Nodes: 500_000, Value: 64 << 10}
	c := callParser{parser: parser{a: &answer{fields: map[string]string{}}, call: true}, temp: p.o.Temp, limit: p.o.MaxAnswer}
	sec, err := xmlsec.ReadMessage(spool.reader(), limits, c.token)
	r := &reply{answer: c.a, spool: spool}
	if c.inline != nil {
		defer func() {
			if err != nil {
				c.inline.close()
			}
		}()
	}
	if err != nil {
		return nil, &rejection{"soapenv:Client", "the message cannot be read: " + err.Error()}
	}
	if err = p.authentic(sec); err != nil {
		return nil, err
	}
	if err = c.finishInline(); err != nil {
		return nil, err
	}
	r.security = sec
	headers(r.fields, sec.Header)
	if at := r.fields["adresSkrytki"]; at != "" && at != p.o.Account.Address {
		err = &rejection{"soapenv:Client", "this is the receiver of another box"}
		return nil, err
	}
	if !r.content.present || r.content.bad != nil || r.content.size == 0 {
		err = &rejection{"soapenv:Client", "the message holds no document"}
		return nil, err
	}
	if c.inline != nil {
		r.spool, r.inline = c.inline, true
	}
	return r, nil
}

// authentic lets only pinned certificates of the platform through. A Timestamp
// must be signed and young; without one a repeated call is a repeat of the same
// letter, which changes nothing.
func (p *Push) authentic(sec xmlsec.Security) error {
	switch p.verdict(sec) {
	case signedPinned:
	case signedNot:
		return &rejection{"wsse:InvalidSecurity", "the message is not signed"}
	case signedWeak:
		return &rejection{"wsse:UnsupportedAlgorithm", "SHA-1 is not accepted"}
	case signedWrong:
		return &rejection{"wsse:FailedCheck", "the signature is wrong"}
	default:
		return &rejection{"wsse:FailedAuthentication", "the certificate is not one of the platform's: " + signerDigest(sec)}
	}
	now := p.o.Clock()
	if !sec.Created.IsZero() && (!sec.Timestamp || now.Sub(sec.Created).Abs() > 2*lifetime || !sec.Expires.IsZero() && now.After(sec.Expires.Add(lifetime))) {
		return &rejection{"wsu:MessageExpired", "the message is too old, or the clocks differ"}
	}
	return nil
}

// headers adds what the SOAP header says of the letter: DanePodmiotu … with or
// without "Any" at the end, under the names that the pull service uses. What
// the Body said stays.
func headers(into map[string]string, header *xmlsec.Node) {
	for _, h := range header.Elements() {
		name := lowerFirst(strings.TrimSuffix(h.Name.Local, "Any"))
		if h.Name.Space != spaceObjects && !strings.HasPrefix(h.Name.Space, spaceObjects) {
			continue
		}
		if name == "nazwaPliku" {
			name = "dokument.nazwaPliku"
		}
		put := func(path, value string) {
			value = strings.TrimSpace(value)
			if limit := maxField; fields[path] && into[path] == "" && (path == pathExtra && len(value) <= maxExtra || len(value) <= limit) {
				into[path] = value
			}
		}
		put(name, h.Content())
		for _, child := range h.Elements() {
			put(name+"."+child.Name.Local, child.Content())
		}
	}
}

// keep makes the letter durable.
func (p *Push) keep(ctx context.Context, r *reply) error {
	body := io.Reader(r.spool.reader())
	if !r.inline {
		var err error
		if body, err = document(r.spool.reader(), p.o.MaxAnswer); err != nil {
			return fmt.Errorf("read the spooled call: %w", err)
		}
	}
	d := p.delivery(r)
	d.Door = sekretariat.DoorEPUAPPush
	ticket, err := p.o.Receiver.Take(ctx, d, body)
	if errors.Is(err, ingest.ErrTooLarge) {
		return &rejection{"soapenv:Client", "the document is too large"}
	}
	if err != nil {
		return fmt.Errorf("take a letter in: %w", err)
	}
	receipt, err := ticket.Wait(ctx)
	if err != nil {
		return fmt.Errorf("take a letter in: %w", err)
	}
	p.o.Logger.Info().Str("account", p.o.Account.ID).Str("submission", string(receipt.Submission)).Bool("repeat", receipt.Repeat).
		Int64("octets", r.content.size).Msg("ePUAP letter taken in")
	return nil
}

// reply answers the platform. It is told nothing of what is wrong here: only
// that it should call again.
func (p *Push) reply(w http.ResponseWriter, err error) {
	content, status := `<ob:OdpowiedzOdbiorcy xmlns:ob="`+spaceObjects+`"><status><kod>1</kod><komunikat>OK</komunikat></status></ob:OdpowiedzOdbiorcy>`, http.StatusOK
	if err != nil {
		var r *rejection
		if !errors.As(err, &r) {
			r = &rejection{"soapenv:Server", "Nie udało się zapisać dokumentu, proszę powtórzyć."}
		}
		content, status = faultBody(r), http.StatusInternalServerError
	}
	msg := []byte(`<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<soapenv:Envelope xmlns:soapenv="` + xmlsec.SpaceSOAP + `"><soapenv:Header/><soapenv:Body>` + content + `</soapenv:Body></soapenv:Envelope>`)
	w.Header().Set("Content-Type", "text/xml; charset=UTF-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(msg)))
	w.WriteHeader(status)
	_, _ = w.Write(msg)
}
