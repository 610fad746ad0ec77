// Package davdoor is the WebDAV (RFC 4918) and HTTP PUT door of the drop boxes,
// as far as scanners, NAS hops and the WebDAV client of Windows need it to put
// files in: OPTIONS, PROPFIND, PUT, MKCOL, MOVE, LOCK. Nobody reads a file there,
// and a device is told only of names that it sent a moment ago. 201 means that
// the scan is durable; a body that ends early is nothing.
package davdoor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/ingest/dropbox"
)

// Options make a door.
type Options struct {
	Gate   *dropbox.Gate
	Limit  int64         // octets of one file, for an early 413; 0 = the gate decides
	Idle   time.Duration // longest time for 64 KiB to come (default 2 min)
	Keep   time.Duration // how long names are remembered, and files under temporary names wait (default 15 min)
	Clock  sekretariat.Clock
	Logger zerolog.Logger
}

// Server is the door: an http.Handler. The server around it bounds headers,
// connections and idle ones; bodies may take hours and are watched here.
type Server struct {
	o Options

	mu    sync.Mutex
	trees map[string]*tree // by user
}

// tree is what a device sent lately: HTTP has no connection to keep it in.
type tree struct {
	*dropbox.Tree
	last time.Time
	busy int
}

// New makes the door.
func New(o Options) (*Server, error) {
	if o.Gate == nil {
		return nil, errors.New("WebDAV door: Gate is needed")
	}
	if o.Idle == 0 {
		o.Idle = 2 * time.Minute
	}
	if o.Keep == 0 {
		o.Keep = 15 * time.Minute
	}
	if o.Clock == nil {
		o.Clock = sekretariat.SystemClock
	}
	return &Server{o: o, trees: map[string]*tree{}}, nil
}

// Run gives up what waits too long for its final name, until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	t := time.NewTicker(s.o.Keep / 4)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			s.sweep(context.WithoutCancel(ctx), 0)
			return nil
		case <-t.C:
			s.sweep(ctx, s.o.Keep)
		}
	}
}

func (s *Server) sweep(ctx context.Context, older time.Duration) {
	var ended []*tree
	s.mu.Lock()
	for user, t := range s.trees {
		if t.busy == 0 && s.o.Clock().Sub(t.last) >= older {
			ended = append(ended, t)
			delete(s.trees, user)
		}
	}
	s.mu.Unlock()
	for _, t := range ended { // taking files in takes its time
		t.End(ctx)
	}
}

// enter finds the tree of a device and puts it to use.
func (s *Server) enter(v *dropbox.Visit) (t *tree, leave func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t = s.trees[v.Device.User]; t == nil {
		t = &tree{Tree: v.NewTree()}
		s.trees[v.Device.User] = t
	}
	t.On(v)
	t.busy++
	return t, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		t.busy--
		t.last = s.o.Clock()
	}
}

const allowed = "OPTIONS, PROPFIND, PROPPATCH, HEAD, PUT, POST, MKCOL, MOVE, DELETE, LOCK, UNLOCK"

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// The server reads what is left of a body before it answers: without a
	// deadline a body that never comes would hold its connection for ever.
	// Without a connection (a test) there is none to set.
	deadline := time.Now().Add(s.o.Idle)
	_ = http.NewResponseController(w).SetReadDeadline(deadline)
	w.Header().Set("DAV", "1, 2")
	w.Header().Set("MS-Author-Via", "DAV") // the WebDAV client of Windows asks for it
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	user, pass, ok := r.BasicAuth()
	if !ok && r.Method == http.MethodOptions {
		w.Header().Set("Allow", allowed) // Windows asks before it signs in
		w.WriteHeader(http.StatusOK)
		return
	}
	d, err := s.o.Gate.Check(sekretariat.DoorWebDAV, user, pass, from(r))
	if !ok || err != nil {
		w.Header().Set("WWW-Authenticate", `Basic realm="skrzynka", charset="UTF-8"`)
		http.Error(w, "sign in as a device of a box", http.StatusUnauthorized)
		return
	}
	v, err := s.o.Gate.Enter(d, sekretariat.DoorWebDAV)
	if err != nil {
		s.fail(w, err)
		return
	}
	defer v.Leave()
	t, leave := s.enter(v)
	defer leave()
	s.answer(w, r, t)
}

func (s *Server) answer(w http.ResponseWriter, r *http.Request, t *tree) {
	switch r.Method {
	case http.MethodOptions:
		w.Header().Set("Allow", allowed)
		w.WriteHeader(http.StatusOK)
	case http.MethodPut, http.MethodPost:
		s.put(w, r, t)
	case "MKCOL":
		s.done(w, http.StatusCreated, t.Mkdir(r.URL.Path))
	case "MOVE":
		s.move(w, r, t)
	case http.MethodDelete:
		s.done(w, http.StatusNoContent, t.Remove(r.URL.Path))
	case "PROPFIND":
		propfind(w, r, t.Tree)
	case "PROPPATCH":
		proppatch(w, r)
	case "LOCK":
		lock(w, r)
	case "UNLOCK":
		w.WriteHeader(http.StatusNoContent)
	case http.MethodHead:
		e, err := t.Stat(r.URL.Path)
		if err == nil {
			w.Header().Set("Content-Length", fmt.Sprint(e.Size()))
		}
		s.done(w, http.StatusOK, err)
	case http.MethodGet:
		s.fail(w, dropbox.ErrNotAllowed)
	default:
		w.Header().Set("Allow", allowed)
		http.Error(w, "not here", http.StatusMethodNotAllowed)
	}
}

// miniRedirector is how the WebDAV client of Windows calls itself. It puts an
// empty file first, locks it, and puts the content then.
const miniRedirector = "Microsoft-WebDAV-MiniRedir"

func (s *Server) put(w http.ResponseWriter, r *http.Request, t *tree) {
	switch {
	case r.Header.Get("Content-Range") != "": // RFC 9110, 14.5
		http.Error(w, "send the whole file, without Content-Range", http.StatusBadRequest)
		return
	case r.Header.Get("Content-Encoding") != "" && !strings.EqualFold(r.Header.Get("Content-Encoding"), "identity"):
		http.Error(w, "send the file without Content-Encoding", http.StatusUnsupportedMediaType)
		return
	case strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/"):
		http.Error(w, "send the file itself, not a form", http.StatusUnsupportedMediaType)
		return
	case s.o.Limit > 0 && r.ContentLength > s.o.Limit:
		s.fail(w, dropbox.ErrOverLimit)
		return
	case r.ContentLength == 0 && strings.HasPrefix(r.UserAgent(), miniRedirector):
		w.WriteHeader(http.StatusCreated)
		return
	}
	f, err := t.Create(r.URL.Path)
	if err != nil {
		s.fail(w, err)
		return
	}
	buf := make([]byte, 64<<10)
	// Only the writer is handed on: nothing may take a shortcut past WriteAt.
	n, err := io.CopyBuffer(struct{ io.Writer }{f}, &paced{r: r.Body, control: http.NewResponseController(w), idle: s.o.Idle}, buf)
	if err == nil && r.ContentLength >= 0 && n != r.ContentLength {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		f.Fail(err)
	}
	_, doneErr := f.Done(r.Context())
	s.done(w, http.StatusCreated, doneErr)
}

// move is a renaming (RFC 4918, 9.9): what a temporary name waited for.
func (s *Server) move(w http.ResponseWriter, r *http.Request, t *tree) {
	to, err := url.Parse(r.Header.Get("Destination"))
	if err != nil || to.Path == "" {
		http.Error(w, "Destination is missing", http.StatusBadRequest)
		return
	}
	s.done(w, http.StatusCreated, t.Rename(r.Context(), r.URL.Path, to.Path))
}

func (s *Server) done(w http.ResponseWriter, status int, err error) {
	if err != nil {
		s.fail(w, err)
		return
	}
	w.WriteHeader(status)
}

// fail translates our answers into those of HTTP.
func (s *Server) fail(w http.ResponseWriter, err error) {
	status, text := http.StatusServiceUnavailable, dropbox.ErrLater
	for known, code := range map[error]int{
		dropbox.ErrNoSuch: http.StatusNotFound, dropbox.ErrNotAllowed: http.StatusForbidden, dropbox.ErrUnfinished: http.StatusBadRequest,
		dropbox.ErrEmptyFile: http.StatusBadRequest, dropbox.ErrOverLimit: http.StatusRequestEntityTooLarge,
		dropbox.ErrSpoolFull: http.StatusInsufficientStorage, dropbox.ErrCrowded: http.StatusServiceUnavailable,
	} {
		if errors.Is(err, known) {
			status, text = code, known
		}
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "30")
	}
	http.Error(w, text.Error(), status)
}

// paced sets the deadline of the connection anew for each 64 KiB that came.
type paced struct {
	r       io.Reader
	control *http.ResponseController
	idle    time.Duration
	credit  int
}

func (p *paced) Read(b []byte) (int, error) {
	if p.credit <= 0 {
		// Without deadlines (a test without a connection) the server's apply.
		_ = p.control.SetReadDeadline(time.Now().Add(p.idle))
		p.credit = 64 << 10
	}
	n, err := p.r.Read(b)
	p.credit -= n
	return n, err
}

// name is the last part of a path, for answers.
func name(p string) string { return path.Base(path.Clean("/" + p)) }
