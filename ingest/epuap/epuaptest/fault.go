package epuaptest

import (
	"net/http"
	"time"
)

// The operations, as Fault.Operation names them.
const (
	OpWaiting = "oczekujaceDokumenty"
	OpNext    = "pobierzNastepny"
	OpConfirm = "potwierdzOdebranie"
)

// Fault is something that goes wrong with requests that are in order. Faults
// are used up one after the other: each request meets the first one that it
// fits.
type Fault struct {
	Operation string // "" = any
	Skip      int    // that many requests pass before
	Times     int    // default 1; -1 = for ever

	Delay       time.Duration // before anything else; ends when the caller leaves
	Status      int           // answer with this status and a web page
	SOAPFault   int           // answer with a Wyjatek and this HTTP status
	NoContent   bool          // answer HTTP 200 without any octets
	LoseRequest bool          // break the connection before anything is done
	LoseAnswer  bool          // do what is asked and break the connection
	CutAfter    int           // break the connection after so many octets of the answer
	BadBase64   bool          // damage zawartosc
	Keep        bool          // accept a confirmation and keep the letter
	Refuse      bool          // answer status kod 0 to a confirmation
}

// Inject orders a fault.
func (p *Platform) Inject(f Fault) {
	if f.Times == 0 {
		f.Times = 1
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.script = append(p.script, &f)
}

// Calm takes all orders back.
func (p *Platform) Calm() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.script = nil
}

// meet returns the fault for a request, an empty one if there is none.
func (p *Platform) meet(operation string) Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, f := range p.script {
		if f.Operation != "" && f.Operation != operation {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		if f.Times > 0 {
			if f.Times--; f.Times == 0 {
				p.script = append(p.script[:i:i], p.script[i+1:]...)
			}
		}
		return *f
	}
	return Fault{}
}

// before does what a fault does instead of the operation; done tells that the
// request is over.
func (f Fault) before(w http.ResponseWriter, r *http.Request) (done bool) {
	if f.Delay > 0 {
		t := time.NewTimer(f.Delay)
		defer t.Stop()
		select {
		case <-t.C:
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}
	switch {
	case f.LoseRequest:
		panic(http.ErrAbortHandler)
	case f.Status != 0:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(f.Status)
		_, _ = w.Write([]byte("<!DOCTYPE html><html><head><title>Przerwa techniczna</title></head><body>Zapraszamy później.</body></html>"))
		return true
	case f.SOAPFault != 0:
		write(w, f.SOAPFault, plain(soapFault("soapenv:Server", "Wystąpił błąd", wyjatek(-7, "Błąd na zamówienie"))), f)
		return true
	case f.NoContent:
		w.WriteHeader(http.StatusOK)
		return true
	}
	return false
}
