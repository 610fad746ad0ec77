package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"sekretariat"
	"sekretariat/ingest"
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
	Files []ingest.Expiry `json:"files,omitempty"`
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
