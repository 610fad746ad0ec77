// Package desk is the page of the office: what waits for the sekretariat, what
// a department has, one letter with everything known of it, the register, the
// state of the house. It is rendered on the server in plain Polish, works
// without JavaScript, and loads nothing from elsewhere. What a person may see
// is asked of sekretariat.MaySee through the read model and the pipeline; the
// desk decides nothing of it. Content itself comes from desk/api.
package desk

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/desk/api"
	"sekretariat/desk/audit"
	"sekretariat/desk/people"
	"sekretariat/ingest"
	"sekretariat/ledger"
	"sekretariat/pipeline"
	"sekretariat/pipeline/alarm"
	"sekretariat/pipeline/learning"
	"sekretariat/register/index"
	"sekretariat/storage"
)

// Centre is what the desk needs of one centre.
type Centre struct {
	Config   *configs.Centre
	Pipeline *pipeline.Pipeline
	Log      ledger.Log
	Vault    *storage.Vault
	Index    *index.Index
	People   *people.Book
	// Alarms are the dangers that nobody has taken; nil: none are shown.
	Alarms *alarm.Board
	// Teacher knows what people taught the router; nil where letters are routed
	// by another process.
	Teacher *learning.Teacher
	// Explain makes the Polish sentence of a decision.
	Explain func(sekretariat.Decision) string
	// Why says in Polish what became of an acknowledgement, by its code; nil:
	// nothing is said.
	Why func(code string) string
}

// Options make a desk.
type Options struct {
	Centres []Centre
	// Health tells how the channels of a centre are doing, in whatever process
	// they run.
	Health func(context.Context, sekretariat.CentreID) (api.Health, error)
	// Receiver takes in what is typed on the page.
	Receiver ingest.Receiver
	Clock    sekretariat.Clock
	Logger   zerolog.Logger
	// Hold is how long a decision waits for "cofnij" before it takes effect
	// (rule P19); default 10 s.
	Hold time.Duration
}

// Desk is the page.
type Desk struct {
	o       Options
	pages   *pages
	held    *held
	handler http.Handler
	life    context.Context // ends with Close
	end     context.CancelFunc
}

// New makes the desk.
func New(o Options) (*Desk, error) {
	if o.Clock == nil {
		o.Clock = sekretariat.SystemClock
	}
	if o.Hold == 0 {
		o.Hold = 10 * time.Second
	}
	p, err := loadPages()
	if err != nil {
		return nil, err
	}
	d := &Desk{o: o, pages: p}
	d.life, d.end = context.WithCancel(context.Background())
	d.held = newHeld(o.Hold, d.carryOut)
	d.handler = d.routes()
	return d, nil
}

// Close ends live connections and carries out at once what was decided and
// waits for "cofnij".
func (d *Desk) Close() {
	d.end()
	d.held.close()
}

func (d *Desk) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /static/", d.pages.static)
	mux.HandleFunc("GET /logowanie", d.signInPage)
	mux.HandleFunc("POST /logowanie", d.signIn)
	mux.HandleFunc("POST /wyloguj", d.signOut)
	mux.HandleFunc("GET /{$}", d.with("inbox", d.inbox))
	mux.HandleFunc("GET /dzial/{department}", d.with("queue", d.department))
	mux.HandleFunc("GET /pismo/{letter}", d.with("letter", d.letter))
	mux.HandleFunc("POST /pismo/{letter}/przekaz", d.with("reroute", d.reroute))
	mux.HandleFunc("POST /pismo/{letter}/cofnij", d.with("undo", d.undo))
	mux.HandleFunc("POST /pismo/{letter}/przyjmij", d.with("taken", d.take))
	mux.HandleFunc("POST /pismo/{letter}/termin", d.with("deadline-stopped", d.stopClock))
	mux.HandleFunc("POST /pismo/{letter}/alarm", d.with("alarm-taken", d.takeAlarm))
	mux.HandleFunc("POST /pismo/{letter}/odczytaj", d.with("recognise", d.recognise))
	mux.HandleFunc("POST /pismo/{letter}/zalatw", d.with("done", d.done))
	mux.HandleFunc("POST /pismo/{letter}/zwroc", d.with("handed-back", d.handBack))
	mux.HandleFunc("POST /pismo/{letter}/rejestruj", d.with("released", d.release))
	mux.HandleFunc("POST /pismo/{letter}/nie-podlega", d.with("parked", d.park))
	mux.HandleFunc("POST /pismo/{letter}/nie-pismo", d.with("junk-confirmed", d.confirmJunk))
	mux.HandleFunc("POST /pismo/{letter}/odblokuj", d.with("unlock", d.unlock))
	mux.HandleFunc("POST /pismo/{letter}/zablokuj", d.with("lock", d.lock))
	mux.HandleFunc("GET /nowe/{way}", d.with("", d.noteForm))
	mux.HandleFunc("POST /nowe/{way}", d.with("note", d.noteSend))
	mux.HandleFunc("POST /pismo/{letter}/wydziel", d.with("split", d.split))
	mux.HandleFunc("POST /pismo/{letter}/polacz", d.with("joined", d.join))
	mux.HandleFunc("POST /pismo/{letter}/data", d.with("received", d.redate))
	mux.HandleFunc("GET /wsteczne", d.with("backdated-list", d.backdated))
	mux.HandleFunc("GET /rejestr", d.with("register", d.register))
	mux.HandleFunc("GET /rejestr.csv", d.with("export", d.export))
	mux.HandleFunc("GET /szukaj", d.with("search", d.search))
	mux.HandleFunc("GET /stan", d.with("state", d.state))
	mux.HandleFunc("GET /zywe", d.with("", d.live))
	mux.HandleFunc("GET /pomoc", d.with("", d.help))
	return headers(http.NewCrossOriginProtection().Handler(mux))
}

// ServeHTTP implements http.Handler.
func (d *Desk) ServeHTTP(w http.ResponseWriter, r *http.Request) { d.handler.ServeHTTP(w, r) }

// headers are sent with every answer: nothing of a letter may run, nothing is
// loaded from elsewhere, nobody may frame the page.
func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "+
			"form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
		if !strings.HasPrefix(r.URL.Path, "/static/") {
			h.Set("Cache-Control", "no-store")
		}
		next.ServeHTTP(w, r)
	})
}

// visit is one request of a person who is signed in.
type visit struct {
	w      http.ResponseWriter
	r      *http.Request
	c      *Centre
	person people.Person
	who    sekretariat.Principal
}

// with lets h answer people who are signed in and writes the audit trail; an
// empty action is not worth a line.
func (d *Desk) with(action string, h func(context.Context, visit) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, p, err := d.session(r)
		if errors.Is(err, people.ErrNoSession) {
			d.toSignIn(w, r)
			return
		}
		if err != nil {
			d.fail(w, r, nil, err)
			return
		}
		v := visit{w: w, r: r, c: c, person: p, who: p.Principal(c.Config.ID)}
		err = h(r.Context(), v)
		if action != "" && r.Context().Err() == nil {
			id, _ := sekretariat.ParseLetterID(r.PathValue("letter"))
			d.trail(c).Access(r.Context(), sekretariat.AccessData{Principal: p.ID, Action: action, Letter: id, Allowed: !refused(err)})
		}
		if err != nil {
			d.fail(w, r, &v, err)
		}
	}
}

func refused(err error) bool {
	return errors.Is(err, pipeline.ErrNotFound) || errors.Is(err, pipeline.ErrForbidden) || errors.Is(err, index.ErrNotFound)
}

func (d *Desk) trail(c *Centre) audit.Trail {
	return audit.Trail{Centre: c.Config.ID, Log: c.Log, Clock: d.o.Clock, Logger: d.o.Logger, Role: "desk"}
}

// fail shows what went wrong in words that help. Foreign and missing letters
// look alike.
func (d *Desk) fail(w http.ResponseWriter, r *http.Request, v *visit, err error) {
	status, text := http.StatusInternalServerError, "Coś się nie udało. Spróbuj za chwilę; jeśli to się powtarza, powiadom administratora."
	switch {
	case errors.Is(err, pipeline.ErrNotFound), errors.Is(err, index.ErrNotFound):
		status, text = http.StatusNotFound, "Nie ma takiego pisma albo nie jest ono przeznaczone dla Ciebie."
	case errors.Is(err, pipeline.ErrForbidden):
		status, text = http.StatusForbidden, "Nie masz uprawnień do tej czynności."
	case errors.Is(err, pipeline.ErrChanged):
		status, text = http.StatusConflict, "W międzyczasie ktoś inny zmienił to pismo. Wróć do niego i zobacz, co się zmieniło."
	case errors.Is(err, pipeline.ErrInvalid):
		status, text = http.StatusBadRequest, "Tego nie da się zrobić z tym pismem, albo czegoś brakuje (działu, powodu). Wróć do pisma i sprawdź."
	case errors.Is(err, index.ErrBadPage), errors.Is(err, index.ErrBadDay):
		status, text = http.StatusBadRequest, "Niezrozumiały zakres: daty podaj w postaci RRRR-MM-DD."
	case errors.Is(err, context.Canceled):
		return
	default:
		d.o.Logger.Error().Err(err).Str("path", pattern(r)).Msg("a page could not be shown")
	}
	d.pages.render(w, status, "blad", d.frame(v, "Nie udało się", text))
}

// pattern is the route of a request: without ids, which logs need not have.
func pattern(r *http.Request) string { return r.Pattern }
