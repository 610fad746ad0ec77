package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"sekretariat"
	"sekretariat/ingest"
	"sekretariat/pipeline"
)

// ChannelState is how one channel of a centre is doing, whichever process runs
// it.
type ChannelState struct {
	Account string           `json:"account"` // configured id
	Kind    sekretariat.Kind `json:"kind"`
	ingest.Health
	At time.Time `json:"at,omitzero"` // when the running channel said so; zero: never
}

// Health is the answer of GET /api/v1/health: what the page shows in its bar
// when mail is not being taken in (rule P10), and what ends soon.
type Health struct {
	Channels []ChannelState `json:"channels"`
	// Files are certificates in files of the installation.
	Files   []ingest.Expiry `json:"files,omitempty"`
	Scanner ScannerState    `json:"scanner"`
}

// ScannerState is how the virus scanner of a centre is doing.
type ScannerState struct {
	OK         bool       `json:"ok"`
	Off        bool       `json:"off,omitempty"`        // the centre scans nothing
	Program    string     `json:"program,omitempty"`    // "ClamAV 1.4.6"
	Database   int        `json:"database,omitempty"`   // version of the signatures
	Signatures *time.Time `json:"signatures,omitempty"` // when they were made
	Since      time.Time  `json:"since"`                // since when it answers, or does not
	Message    string     `json:"message,omitempty"`    // in Polish, when something is to be done
}

// oldSignatures is the age from which signatures are an alarm (rule P7).
const oldSignatures = 72 * time.Hour

// NewScannerState puts the state of the scanner into words.
func NewScannerState(s pipeline.ScanStatus, now time.Time) ScannerState {
	out := ScannerState{OK: !s.Down, Off: s.Off, Program: s.Version.Program, Database: s.Version.Database, Signatures: s.Version.Made, Since: s.Since}
	when := func(t time.Time) string { return t.In(sekretariat.Warsaw()).Format("02.01.2006, 15:04") }
	switch {
	case s.Off:
		out.Message = "Sprawdzanie antywirusowe jest wyłączone: pliki są wydawane niesprawdzone."
	case !s.Known:
		out.OK = false
	case s.Down && len(s.Alarms(now)) > 0:
		out.Message = fmt.Sprintf("Program antywirusowy nie działa od %s. Pisma są przyjmowane i kierowane, ich treść jest dostępna, ale plików z nowych pism nie można pobrać. Zawiadom administratora.", when(s.Since))
	case s.Down:
	case s.Version.Made == nil:
		out.Message = "Program antywirusowy nie podaje, z kiedy są jego sygnatury wirusów. Zawiadom administratora."
	case now.Sub(*s.Version.Made) > oldSignatures:
		out.Message = fmt.Sprintf("Sygnatury wirusów są z %s, starsze niż trzy dni. Zawiadom administratora.", when(*s.Version.Made))
	}
	return out
}

// health answers anybody with a token of the centre: no department has letters
// to wait for while the mailbox is shut.
func (a *api) health(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	h, err := a.healthOf(r.Context(), r.Header.Get("Authorization"))
	if err != nil {
		a.fail(w, "health", err)
		return
	}
	answer(w, http.StatusOK, h)
}

func (a *api) healthOf(ctx context.Context, authorization string) (Health, error) {
	plain, ok := strings.CutPrefix(authorization, "Bearer ")
	if !ok {
		return Health{}, ErrToken
	}
	centre, tok, err := a.Tokens.Check(ctx, strings.TrimSpace(plain))
	if err != nil {
		return Health{}, err
	}
	if _, known := a.Centres[centre]; !known || tok.Box() != "" || a.Health == nil { // a scanner is nobody
		return Health{}, ErrToken
	}
	return a.Health(ctx, centre)
}
