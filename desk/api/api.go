// Package api is the HTTP interface for department systems (/api/v1): what a
// letter is, its original, its parts, its reading, and the commands on it. A
// department's token opens the letters that its department has now and no
// others; foreign and missing letters answer alike. docs/consumers.md shows a
// client.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/desk/audit"
	"sekretariat/ledger"
	"sekretariat/pipeline"
	"sekretariat/pipeline/alarm"
	"sekretariat/register/index"
	"sekretariat/storage"
)

// Centre is what the API needs of one centre.
type Centre struct {
	Pipeline *pipeline.Pipeline
	Log      ledger.Log
	Vault    *storage.Vault
	// Index is the read model: matters, receipts, lists.
	Index *index.Index
	// Explain makes the Polish sentence of a decision.
	Explain func(sekretariat.Decision) string
	// Print writes a number as the centre prints it.
	Print func(sekretariat.Number) string
	// Why makes the Polish words of the code of an acknowledgement.
	Why func(code string) string
	// Alarms are the dangers that nobody has taken; nil: none are told.
	Alarms *alarm.Board
	// Config is the centre's configuration: name, table of legal effect.
	Config *configs.Centre
}

// Options make an API.
type Options struct {
	Centres map[sekretariat.CentreID]Centre
	Tokens  *Tokens
	// Session, if not nil, tells who asks without a token: somebody who is
	// signed in on the page. Such a session may look, not command: commands of
	// people go through the page.
	Session func(*http.Request) (sekretariat.CentreID, sekretariat.Principal, bool)
	// Parts opens what only a child process may open: members of archives.
	Parts Parts
	// Health tells how the channels of a centre are doing; nil: not told.
	Health func(context.Context, sekretariat.CentreID) (Health, error)
	Clock  sekretariat.Clock
	Logger zerolog.Logger
}

type api struct{ Options }

// New returns the handler of everything below /api/v1/.
func New(o Options) http.Handler {
	a := &api{o}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/health", a.health)
	mux.HandleFunc("GET /api/v1/letters/{id}", a.with("letter", a.letter))
	mux.HandleFunc("GET /api/v1/letters/{id}/original", a.with("original", a.original))
	mux.HandleFunc("GET /api/v1/letters/{id}/reading", a.with("reading", a.reading))
	mux.HandleFunc("GET /api/v1/letters/{id}/parts/{path}", a.with("part", a.part))
	mux.HandleFunc("GET /api/v1/letters/{id}/preview", a.with("preview", a.preview))
	mux.HandleFunc("GET /api/v1/letters/{id}/parts/{path}/preview", a.with("preview", a.preview))
	mux.HandleFunc("POST /api/v1/letters/{id}/parts/{path}/open", a.with("open", a.openPart))
	mux.HandleFunc("POST /api/v1/letters/{id}/parts/{path}/unlocked", a.with("unlock", a.unlockPart))
	mux.HandleFunc("POST /api/v1/letters/{id}/parts/{path}/locked", a.with("lock", a.lockPart))
	mux.HandleFunc("POST /api/v1/letters/{id}/unlocked", a.with("unlock", a.unlockPart))
	mux.HandleFunc("POST /api/v1/letters/{id}/locked", a.with("lock", a.lockPart))
	mux.HandleFunc("GET /api/v1/letters/{id}/view", a.with("view", a.viewHTML))
	mux.HandleFunc("GET /api/v1/letters/{id}/view.pdf", a.with("view", a.viewPDF))
	mux.HandleFunc("POST /api/v1/letters/{id}/taken", a.with("taken", a.taken))
	mux.HandleFunc("POST /api/v1/letters/{id}/alarm-taken", a.with("alarm-taken", a.alarmTaken))
	mux.HandleFunc("POST /api/v1/letters/{id}/deadline-stopped", a.with("deadline-stopped", a.stopped))
	mux.HandleFunc("GET /api/v1/alarms", a.list("alarms", a.alarms))
	mux.HandleFunc("POST /api/v1/letters/{id}/recognise", a.with("recognise", a.recognise))
	mux.HandleFunc("GET /api/v1/letters/{id}/page", a.with("preview", a.pagePreview))
	mux.HandleFunc("GET /api/v1/letters/{id}/searchable", a.with("original", a.searchable))
	mux.HandleFunc("POST /api/v1/letters/{id}/done", a.with("done", a.done))
	mux.HandleFunc("POST /api/v1/letters/{id}/handed-back", a.with("handed-back", a.handedBack))
	mux.HandleFunc("POST /api/v1/letters/{id}/reroute", a.with("reroute", a.reroute))
	mux.HandleFunc("POST /api/v1/letters/{id}/split", a.with("split", a.split))
	mux.HandleFunc("POST /api/v1/letters/{id}/joined", a.with("joined", a.join))
	mux.HandleFunc("POST /api/v1/letters/{id}/received", a.with("received", a.redate))
	mux.HandleFunc("POST /api/v1/letters/{id}/released", a.with("released", a.released))
	mux.HandleFunc("POST /api/v1/letters/{id}/parked", a.with("parked", a.park))
	mux.HandleFunc("POST /api/v1/letters/{id}/junk-confirmed", a.with("junk-confirmed", a.junkConfirmed))
	mux.HandleFunc("GET /api/v1/backdated", a.list("backdated-list", a.backdated))
	mux.HandleFunc("GET /api/v1/parked", a.list("parked-list", a.parked))
	mux.HandleFunc("GET /api/v1/outbox", a.list("outbox-list", a.outbox))
	return mux
}

// call is one authenticated request about one letter.
type call struct {
	w      http.ResponseWriter
	r      *http.Request
	centre sekretariat.CentreID
	c      Centre
	who    sekretariat.Principal
	id     sekretariat.LetterID
}

// errTooEarly: the reading is not there yet.
var errTooEarly = errors.New("the letter has not been read yet; ask again in a minute")

// with authenticates, runs h and writes the audit trail: who asked what about
// which letter, and whether it was allowed.
func (a *api) with(action string, h func(context.Context, call) error) http.HandlerFunc {
	return a.list(action, func(ctx context.Context, c call) (err error) {
		if c.id == "" {
			return pipeline.ErrNotFound
		}
		return h(ctx, c)
	})
}

// list is with for requests that are not about one letter.
func (a *api) list(action string, h func(context.Context, call) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Cache-Control", "no-store")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Content-Security-Policy", "default-src 'none'; sandbox")
		c, err := a.authenticate(w, r)
		if err != nil {
			a.fail(w, action, err)
			return
		}
		allowed := true // an answer that was cut off was given
		defer func() { a.audit(r.Context(), c, action, allowed) }()
		if err = h(r.Context(), c); err != nil {
			allowed = !errors.Is(err, pipeline.ErrNotFound) && !errors.Is(err, pipeline.ErrForbidden) && !errors.As(err, new(*lockedError))
			a.fail(w, action, err)
		}
	}
}

func (a *api) authenticate(w http.ResponseWriter, r *http.Request) (call, error) {
	centre, who, err := a.who(r)
	if err != nil {
		return call{}, err
	}
	c, ok := a.Centres[centre]
	if !ok {
		return call{}, ErrToken
	}
	// A malformed id is answered like a foreign one.
	id, _ := sekretariat.ParseLetterID(r.PathValue("id"))
	return call{w: w, r: r, centre: centre, c: c, who: who, id: id}, nil
}

// who finds out who asks: the bearer of a token, or a person on the page.
func (a *api) who(r *http.Request) (sekretariat.CentreID, sekretariat.Principal, error) {
	plain, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		if a.Session != nil && (r.Method == http.MethodGet || looking(r)) {
			if centre, who, ok := a.Session(r); ok {
				return centre, who, nil
			}
		}
		return "", sekretariat.Principal{}, ErrToken
	}
	centre, tok, err := a.Tokens.Check(r.Context(), strings.TrimSpace(plain))
	if err != nil {
		return "", sekretariat.Principal{}, err
	}
	return centre, tok.Principal(centre), nil
}

func (a *api) audit(ctx context.Context, c call, action string, allowed bool) {
	audit.Trail{Centre: c.centre, Log: c.c.Log, Clock: a.Clock, Logger: a.Logger, Role: "api"}.Access(ctx,
		sekretariat.AccessData{Principal: c.who.ID, Action: action, Letter: c.id, Allowed: allowed})
}

// fail answers with a JSON error. Nothing of what was asked for is repeated.
func (a *api) fail(w http.ResponseWriter, action string, err error) {
	status, text := http.StatusInternalServerError, "internal error; try again later"
	var lock *lockedError
	switch {
	case errors.As(err, &lock):
		if lock.State == sekretariat.ScanPending {
			w.Header().Set("Retry-After", "60")
		}
		answer(w, lock.status(), map[string]string{"error": lock.Error(), "code": string(lock.State)})
		return
	case errors.Is(err, ErrToken):
		status, text = http.StatusUnauthorized, "a valid token is needed: Authorization: Bearer …; ask the administrator for a new one"
		w.Header().Set("WWW-Authenticate", `Bearer realm="sekretariat"`)
	case errors.Is(err, pipeline.ErrNotFound), errors.Is(err, index.ErrNotFound):
		status, text = http.StatusNotFound, pipeline.ErrNotFound.Error()
	case errors.Is(err, pipeline.ErrForbidden):
		status, text = http.StatusForbidden, err.Error() // says why, and nothing of the letter
	case errors.Is(err, index.ErrBadPage):
		status, text = http.StatusBadRequest, "the page mark is not one that a list gave out"
	case errors.Is(err, pipeline.ErrInvalid):
		status, text = http.StatusBadRequest, err.Error()
	case errors.Is(err, pipeline.ErrChanged):
		status, text = http.StatusConflict, pipeline.ErrChanged.Error()+"; fetch it again"
	case errors.Is(err, errPart):
		status, text = http.StatusUnprocessableEntity, err.Error()
	case errors.Is(err, errTooEarly):
		status, text = http.StatusTooEarly, err.Error()
	case errors.Is(err, storage.ErrShredded):
		status, text = http.StatusGone, "the content was destroyed"
	case errors.Is(err, context.Canceled):
		return
	case lost(err):
		text = "what is stored of this letter is damaged; the administrator must run: sekretariat verify --deep"
		a.Logger.Error().Err(err).Str("action", action).Msg("a stored object is damaged or missing")
	default:
		a.Logger.Error().Err(err).Str("action", action).Msg("API request failed")
	}
	answer(w, status, map[string]string{"error": text})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // the client is gone: nobody to tell
}

// Letter is the JSON of a letter.
type Letter struct {
	ID         sekretariat.LetterID     `json:"id"`
	Number     sekretariat.Number       `json:"number"`
	Identifier string                   `json:"identifier"`
	Printed    string                   `json:"printed"`
	Kind       sekretariat.Kind         `json:"kind"`
	Door       sekretariat.Door         `json:"door"`
	Status     sekretariat.Status       `json:"status"`
	Department sekretariat.DepartmentID `json:"department"`
	Urgency    sekretariat.Urgency      `json:"urgency"`
	Revision   int                      `json:"revision"`
	Arrived    sekretariat.Arrival      `json:"arrived"`
	Day        string                   `json:"day"` // data wpływu, RRRR-MM-DD
	Received   time.Time                `json:"received"`
	Why        string                   `json:"why"`
	Original   sekretariat.ObjectRef    `json:"original"`
	Subject    string                   `json:"subject,omitempty"`
	Sender     *sekretariat.Party       `json:"sender,omitempty"`
	Parts      []Part                   `json:"parts,omitempty"`
	Scan       Scan                     `json:"scan"`
	// Senders are all that signatures, account and document name, each with its
	// basis; Signatures say what the signatures are worth.
	Senders    []sekretariat.Party     `json:"senders,omitempty"`
	Signatures []sekretariat.Signature `json:"signatures,omitempty"`
	// Effects is what the way of sending counts for, by kind of matter.
	Effects []Effect `json:"effects,omitempty"`
	// Advice is what the router said about the letter: explanation, contacts,
	// warnings, drafts.
	Advice *sekretariat.Advice `json:"advice,omitempty"`
	// Failures are steps of the letter that failed for good.
	Failures []sekretariat.FailedData `json:"failures,omitempty"`

	Parked          *Parked          `json:"parked,omitempty"`
	Receipts        []index.Receipt  `json:"receipts,omitempty"` // when its mail arrived more than once
	Matter          []MatterLetter   `json:"matter,omitempty"`   // other letters of the same matter
	Acknowledgement *Acknowledgement `json:"acknowledgement,omitempty"`
	ContactBad      bool             `json:"contactBad,omitempty"` // mail to the sender came back
	// Clocks are the deadlines and the contact duty that the letter started.
	Clocks []Clock `json:"clocks,omitempty"`
}

func (a *api) letter(ctx context.Context, c call) error {
	l, err := c.c.Pipeline.Letter(ctx, c.who, c.id)
	if err != nil {
		return err
	}
	m, err := pipeline.Manifest(ctx, c.c.Vault, c.centre, c.id.Submission())
	if err != nil {
		return err
	}
	m.Original.Key = "" // where it lies is nobody's business
	out := Letter{
		ID: l.ID, Number: l.Number, Identifier: l.Number.Identifier(), Printed: c.c.Print(l.Number), Kind: l.Arrived.Kind,
		Door: l.Arrived.Door, Status: l.Status, Department: l.Department, Urgency: l.Decision.Urgency, Revision: l.Revision,
		Arrived: l.Arrived.Arrived, Day: sekretariat.Day(l.Arrived.Arrived.At), Received: l.Arrived.Received,
		Why: c.c.Explain(l.Decision), Original: m.Original,
		Failures: l.Failures, Scan: ScanOf(c.c.Pipeline, l), Clocks: clocksOf(l),
	}
	if c.c.Config != nil {
		out.Effects = effects(c.c.Config.LegalEffects(l.Arrived.Kind, l.Arrived.Arrived.At))
	}
	switch _, r, err := a.read(ctx, c); {
	case err == nil:
		out.Subject, out.Sender, out.Parts = r.Subject, &r.Sender, PartsOf(c.c.Pipeline, l, r)
		out.Senders, out.Signatures = r.Senders, r.Signatures
	case lost(err):
		a.Logger.Error().Err(err).Str("action", "letter").Msg("a letter is shown without its reading; run: sekretariat verify --deep")
	case !errors.Is(err, errTooEarly) && !errors.Is(err, pipeline.ErrForbidden):
		return err
	}
	if err := a.around(ctx, c, l, &out); err != nil {
		return err
	}
	if l.Advice != nil {
		advice, err := pipeline.LoadAdvice(ctx, c.c.Vault, c.centre, c.id.Submission(), *l.Advice)
		switch {
		case lost(err):
			a.Logger.Error().Err(err).Str("action", "letter").Msg("a letter is shown without the router's advice; run: sekretariat verify --deep")
		case err != nil:
			return err
		default:
			out.Advice = &advice
		}
	}
	answer(c.w, http.StatusOK, out)
	return nil
}

// lost tells whether the store does not give back what was put there.
func lost(err error) bool {
	return errors.Is(err, storage.ErrNotFound) || errors.Is(err, storage.ErrDamaged)
}

func (a *api) reading(ctx context.Context, c call) error {
	_, r, err := a.read(ctx, c)
	if err != nil {
		return err
	}
	answer(c.w, http.StatusOK, r)
	return nil
}

// read returns a letter and its reading.
func (a *api) read(ctx context.Context, c call) (*sekretariat.Letter, *sekretariat.Reading, error) {
	l, err := c.c.Pipeline.Content(ctx, c.who, c.id)
	if err != nil {
		return nil, nil, err
	}
	if l.Reading.Key == "" {
		return nil, nil, errTooEarly
	}
	r, err := pipeline.LoadReading(ctx, c.c.Vault, c.centre, c.id.Submission(), l.Reading)
	return l, r, err
}

func (a *api) original(ctx context.Context, c call) error {
	l, err := c.c.Pipeline.Open(ctx, c.who, c.id)
	if err != nil {
		return err
	}
	if err := locked(c.c.Pipeline, l, ""); err != nil {
		return err
	}
	m, body, err := a.open(ctx, c)
	if err != nil {
		return err
	}
	defer body.Close()
	h := c.w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", "attachment; filename=original.bin")
	h.Set("ETag", strconv.Quote(string(m.Original.SHA256)))
	http.ServeContent(c.w, c.r, "", time.Time{}, io.NewSectionReader(body, 0, body.Size()))
	return nil
}

func (a *api) open(ctx context.Context, c call) (sekretariat.Manifest, storage.Object, error) {
	m, err := pipeline.Manifest(ctx, c.c.Vault, c.centre, c.id.Submission())
	if err != nil {
		return m, nil, err
	}
	body, err := c.c.Vault.Open(ctx, c.centre, c.id.Submission(), m.Original.Key)
	if err != nil {
		return m, nil, fmt.Errorf("open original of %s: %w", c.id, err)
	}
	return m, body, nil
}

func find(parts []sekretariat.Part, path string) (sekretariat.Part, bool) {
	for _, p := range parts {
		if p.Path == path {
			return p, true
		}
	}
	return sekretariat.Part{}, false
}

// command is the body of a POST.
type command struct {
	Revision   int                      `json:"revision"`
	Department sekretariat.DepartmentID `json:"department"`
	Reason     string                   `json:"reason"`
	Category   sekretariat.ParkReason   `json:"category"`
	Code       string                   `json:"code"`
}

func decode(c call) (command, error) {
	var cmd command
	d := json.NewDecoder(http.MaxBytesReader(c.w, c.r.Body, 1<<16))
	d.DisallowUnknownFields()
	if err := d.Decode(&cmd); err != nil {
		return cmd, fmt.Errorf("%w: the body must be JSON with revision (and department, reason)", pipeline.ErrInvalid)
	}
	return cmd, nil
}

func (a *api) command(c call, run func(command) error) error {
	cmd, err := decode(c)
	if err != nil {
		return err
	}
	if err := run(cmd); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *api) taken(ctx context.Context, c call) error {
	return a.command(c, func(cmd command) error { return c.c.Pipeline.Take(ctx, c.who, c.id, cmd.Revision) })
}

func (a *api) done(ctx context.Context, c call) error {
	return a.command(c, func(cmd command) error { return c.c.Pipeline.Done(ctx, c.who, c.id, cmd.Revision) })
}

func (a *api) handedBack(ctx context.Context, c call) error {
	return a.command(c, func(cmd command) error { return c.c.Pipeline.HandBack(ctx, c.who, c.id, cmd.Revision, cmd.Reason) })
}

func (a *api) reroute(ctx context.Context, c call) error {
	return a.command(c, func(cmd command) error {
		return c.c.Pipeline.Reroute(ctx, c.who, c.id, cmd.Revision, cmd.Department, cmd.Reason)
	})
}
