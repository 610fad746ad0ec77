package dropbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/ingest"
	"sekretariat/storage"
)

// Grant is what an upload token allows: to put files into one box.
type Grant struct {
	Centre sekretariat.CentreID
	Box    string
}

// ErrDenied is returned by an Authorizer for a token that is unknown, revoked,
// expired or has no scope "box:<id>:upload".
var ErrDenied = errors.New("token gives no right to upload")

// Authorizer checks upload tokens. It returns ErrDenied; any other error means
// that it could not find out, and the client is asked to come again.
type Authorizer interface {
	Authorize(ctx context.Context, token string) (Grant, error)
}

// UploadOptions wire the upload door.
type UploadOptions struct {
	Receiver ingest.Receiver
	Emptied  Emptied // nil: the day of the scan is the day of receipt
	// Store keeps the idempotency marks; give the staged store, so that a mark
	// is durable before the delivery is.
	Store      storage.Store
	Authorizer Authorizer
	// Box returns the active configuration of a box and whether it exists and
	// takes uploads.
	Box func(sekretariat.CentreID, string) (configs.Box, bool)
	// IdempotencyKey is the secret under which marks are named (32 octets or
	// more): clients' keys and digests of content stand nowhere in clear.
	IdempotencyKey []byte
	Limit          int64 // octets of one delivery, for an early 413; 0 = the receiver's limit decides
	Parallel       int   // uploads read at once, default 16; further ones wait
	// Stall is the longest time for 64 KiB to come (default 60 s), and how long
	// an upload waits for a free place.
	Stall time.Duration
	// Durable is how long an upload waits for its delivery to become durable
	// before it is told to come again (default 90 s).
	Durable time.Duration
	Clock   sekretariat.Clock // nil = SystemClock
	Logger  zerolog.Logger
}

// upload is the handler.
type upload struct {
	o     UploadOptions
	slots chan struct{}
}

// NewUpload makes the HTTP door of the boxes:
//
//	PUT|POST /boxes/{box}/{name}   body: the file
//	POST     /boxes/{box}          body: the file, or multipart/form-data with exactly one file
//
// with "Authorization: Bearer <token>". 201 (or 200 for a repeat) is only sent
// when the delivery is durable and announced; the answer is JSON:
// {"submission", "repeat", "sha256"}. With an Idempotency-Key header (at most
// 255 octets), the same key with the same bytes gets the same answer and with
// other bytes 409. Further answers: 400 (empty, truncated or malformed
// request), 401 (token), 404 (no such box, or not this token's), 408 (too
// slow), 413, 415 (Content-Encoding), 503 with Retry-After. Of an upload that is
// not answered by 2xx nothing is kept, except that one whose answer was lost
// may have been taken in; sending it again does no harm.
//
// The handler bounds the body's time itself. The server around it must bound
// the rest: ReadHeaderTimeout 10 s, IdleTimeout 60 s, MaxHeaderBytes 16 KiB, no
// ReadTimeout and no WriteTimeout (a 2 GiB file over a slow line takes hours),
// and a limit of connections (golang.org/x/net/netutil.LimitListener).
func NewUpload(o UploadOptions) (http.Handler, error) {
	switch {
	case o.Receiver == nil, o.Store == nil, o.Authorizer == nil, o.Box == nil:
		return nil, errors.New("upload door: Receiver, Store, Authorizer and Box are needed")
	case len(o.IdempotencyKey) < 32:
		return nil, errors.New("upload door: IdempotencyKey needs 32 octets or more")
	}
	setDefault(&o.Parallel, 16)
	setDefault(&o.Stall, time.Minute)
	setDefault(&o.Durable, 90*time.Second)
	if o.Clock == nil {
		o.Clock = sekretariat.SystemClock
	}
	u := &upload{o: o, slots: make(chan struct{}, o.Parallel)}
	mux := http.NewServeMux()
	for _, route := range []string{"PUT /boxes/{box}/{name}", "POST /boxes/{box}/{name}", "POST /boxes/{box}"} {
		mux.HandleFunc(route, u.serve)
	}
	return mux, nil
}

// httpError is an answer that is not 2xx. Text is English and says what to do;
// devices show it or log it.
type httpError struct {
	status int
	text   string
}

func (e *httpError) Error() string { return e.text }

// Answers that do not depend on the case.
var (
	errNoToken   = &httpError{http.StatusUnauthorized, "send a valid token: Authorization: Bearer <token>"}
	errNoBox     = &httpError{http.StatusNotFound, "no such box for this token"}
	errTooLarge  = &httpError{http.StatusRequestEntityTooLarge, "the file is over the limit of this office"}
	errEmpty     = &httpError{http.StatusBadRequest, "the file is empty"}
	errTruncated = &httpError{http.StatusBadRequest, "the body ended early; send it again"}
	errSlow      = &httpError{http.StatusRequestTimeout, "the body came too slowly; send it again"}
	errConflict  = &httpError{http.StatusConflict, "this Idempotency-Key was used for other bytes; use a new key for a new file"}
	errBusy      = &httpError{http.StatusServiceUnavailable, "cannot take the file in now; send it again later"}
)

func (u *upload) serve(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	box, centre, err := u.admit(r)
	var receipt sekretariat.Receipt
	if err == nil {
		receipt, err = u.receive(w, r, centre, box)
	}
	if err != nil {
		u.refuse(w, box.ID, err)
		return
	}
	status := http.StatusCreated
	if receipt.Repeat {
		status = http.StatusOK
	}
	u.o.Logger.Info().Str("centre", string(centre)).Str("box", box.ID).Str("submission", string(receipt.Submission)).
		Bool("repeat", receipt.Repeat).Dur("took", time.Since(began)).Msg("upload taken in")
	answer(w, status, struct {
		Submission sekretariat.SubmissionID `json:"submission"`
		Repeat     bool                     `json:"repeat"`
		SHA256     sekretariat.Digest       `json:"sha256"`
	}{receipt.Submission, receipt.Repeat, receipt.Original})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client has gone if it fails, and will repeat
}

// refuse answers an error. What the client is not to blame for is 503.
func (u *upload) refuse(w http.ResponseWriter, box string, err error) {
	var h *httpError
	if !errors.As(err, &h) {
		h = errBusy
		u.o.Logger.Warn().Str("box", box).Str("error", withoutNames(err)).Msg("upload could not be taken in")
	} else {
		u.o.Logger.Info().Str("box", box).Int("status", h.status).Msg("upload refused")
	}
	switch h.status {
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "30")
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	answer(w, h.status, map[string]string{"error": h.text})
}

// admit checks everything that can be known before the body is read. A foreign
// and a missing box answer alike.
func (u *upload) admit(r *http.Request) (configs.Box, sekretariat.CentreID, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return configs.Box{}, "", errNoToken
	}
	grant, err := u.o.Authorizer.Authorize(r.Context(), token)
	if errors.Is(err, ErrDenied) {
		return configs.Box{}, "", errNoToken
	}
	if err != nil {
		return configs.Box{}, "", fmt.Errorf("check the token: %w", err)
	}
	if r.PathValue("box") != grant.Box {
		return configs.Box{}, "", errNoBox
	}
	box, ok := u.o.Box(grant.Centre, grant.Box)
	if !ok {
		return configs.Box{}, "", errNoBox
	}
	return box, grant.Centre, u.checkHeaders(r)
}

// checkHeaders refuses bodies that are not the file itself, whole.
func (u *upload) checkHeaders(r *http.Request) error {
	switch enc := r.Header.Get("Content-Encoding"); {
	case enc != "" && !strings.EqualFold(enc, "identity"):
		return &httpError{http.StatusUnsupportedMediaType, "send the file without Content-Encoding"}
	case r.Header.Get("Content-Range") != "": // RFC 9110 section 14.5
		return &httpError{http.StatusBadRequest, "send the whole file, without Content-Range"}
	case len(r.Header.Get("Idempotency-Key")) > 255:
		return &httpError{http.StatusBadRequest, "Idempotency-Key is longer than 255 octets"}
	case u.o.Limit > 0 && r.ContentLength > u.o.Limit+formOverhead:
		return errTooLarge
	case r.ContentLength == 0:
		return errEmpty
	}
	return nil
}

// receive reads the body and returns when it is durable.
func (u *upload) receive(w http.ResponseWriter, r *http.Request, centre sekretariat.CentreID, box configs.Box) (sekretariat.Receipt, error) {
	leave, err := u.enter(r.Context())
	if err != nil {
		return sekretariat.Receipt{}, err
	}
	ticket, err := u.take(w, r, centre, box)
	leave()
	if err != nil {
		return sekretariat.Receipt{}, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), u.o.Durable)
	defer cancel()
	receipt, err := ticket.Wait(ctx)
	if err != nil {
		return sekretariat.Receipt{}, fmt.Errorf("make durable: %w", err)
	}
	return receipt, nil
}

// enter waits for a place among the uploads that are read at once, which keeps
// slow clients from taking all memory that the receiver has for deliveries.
func (u *upload) enter(ctx context.Context) (leave func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, u.o.Stall)
	defer cancel()
	select {
	case u.slots <- struct{}{}:
		return func() { <-u.slots }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("all %d places are taken: %w", u.o.Parallel, ctx.Err())
	}
}

// take reads the body into the receiver.
func (u *upload) take(w http.ResponseWriter, r *http.Request, centre sekretariat.CentreID, box configs.Box) (ingest.Ticket, error) {
	var body io.Reader = &paced{r: r.Body, control: http.NewResponseController(w), stall: u.o.Stall}
	name := path.Base("/" + r.PathValue("name"))
	if form, ok, err := openForm(r, body); err != nil {
		return nil, err
	} else if ok {
		body, name = form, form.name
	}
	if len(name) > 255 {
		return nil, &httpError{http.StatusBadRequest, "the file name is longer than 255 octets"}
	}
	if name == "/" {
		name = ""
	}
	ctx := r.Context()
	checked := &checkedBody{r: body, limit: u.o.Limit, end: func(d sekretariat.Digest, size int64) error {
		if size == 0 {
			return errEmpty
		}
		return u.mark(ctx, centre, box.ID, r.Header.Get("Idempotency-Key"), d)
	}}
	now := u.o.Clock()
	d := delivery(centre, box, sekretariat.DoorHTTP, name, sekretariat.Arrival{At: now, Basis: sekretariat.BasisScanned})
	u.o.Emptied.assign(ctx, &d, now)
	ticket, err := u.o.Receiver.Take(ctx, d, checked)
	switch {
	case err == nil:
		return ticket, nil
	case checked.err != nil:
		return nil, checked.err // the body's own error tells more than the receiver's
	case errors.Is(err, ingest.ErrTooLarge):
		return nil, errTooLarge
	}
	return nil, fmt.Errorf("take in: %w", err)
}
