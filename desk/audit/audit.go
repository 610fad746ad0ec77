// Package audit writes down who asked for what: every view, download, change
// and search on page and API is an event on the AUDIT stream, with a
// pseudonymous id, an action and a letter, and nothing of its content.
package audit

import (
	"context"
	"crypto/rand"
	"encoding/binary"

	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/ledger"
)

// Trail writes the audit events of one centre.
type Trail struct {
	Centre sekretariat.CentreID
	Log    ledger.Log
	Clock  sekretariat.Clock
	Logger zerolog.Logger
	Role   string // which part of the program asks: "api", "desk"
}

// Access writes one access down. It never fails a request; what could not be
// written is logged.
func (t Trail) Access(ctx context.Context, d sekretariat.AccessData) {
	var n [4]byte
	rand.Read(n[:]) // two accesses of one letter are two events
	subject := string(d.Letter)
	if subject == "" {
		subject = d.Principal
	}
	e, err := sekretariat.NewEvent(sekretariat.EventAccess, t.Centre, t.Role, subject, int(binary.BigEndian.Uint32(n[:])>>1), t.Clock(), d)
	if err == nil {
		_, err = t.Log.Append(context.WithoutCancel(ctx), ledger.Audit, ledger.Record{Subject: "access", LastSeq: ledger.AnySeq, Event: e})
	}
	if err != nil {
		t.Logger.Error().Err(err).Str("action", d.Action).Msg("an access could not be written to the audit trail")
	}
}
