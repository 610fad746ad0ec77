package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/desk/api"
	"sekretariat/ingest"
	"sekretariat/ingest/dropbox"
	"sekretariat/ingest/edelivery"
	"sekretariat/ingest/email"
	"sekretariat/ingest/epuap"
	"sekretariat/ledger"
	"sekretariat/pipeline"
	"sekretariat/storage"
)

// channelsOf makes the channels of a centre that are switched on.
func (s *service) channelsOf(c *centreHouse, log zerolog.Logger) ([]ingest.Channel, error) {
	var out []ingest.Channel
	for _, m := range c.cfg.Mailboxes {
		if m.Off || !m.Pulled() {
			continue
		}
		o, err := mailOptions(s.cfg, c.cfg.ID, m, log)
		if err != nil {
			return nil, fmt.Errorf("mailbox %s: %w", m.ID, err)
		}
		o.Receiver, o.Cursors, o.Keeper = s.receiver, s.ledger, keeper{s, c}
		ch, err := email.New(o)
		if err != nil {
			return nil, fmt.Errorf("mailbox %s: %w", m.ID, err)
		}
		out = append(out, ch)
	}
	for _, e := range c.cfg.EPUAP {
		if e.Off || e.URL == "" { // without url the platform calls us, see callbacks.go
			continue
		}
		ch, err := epuap.New(epuap.Options{
			Centre: c.cfg.ID, Account: e, Receiver: s.receiver, Clock: sekretariat.SystemClock, Logger: log, Temp: s.folder(folderTemp),
		})
		if err != nil {
			return nil, fmt.Errorf("skrytka %s: %w", e.ID, err)
		}
		out = append(out, ch)
	}
	for _, e := range c.cfg.EDelivery {
		if e.Off {
			continue
		}
		ch, err := edelivery.New(edelivery.Options{
			Centre: c.cfg.ID, Account: e, Receiver: s.receiver, Cursors: s.ledger, Known: announced(c.log), Kept: s.kept(c.cfg.ID),
			Clock: sekretariat.SystemClock, Logger: log, MaxSize: s.cfg.Limits.Delivery,
		})
		if err != nil {
			return nil, fmt.Errorf("e-Doręczenia mailbox %s: %w", e.ID, err)
		}
		out = append(out, ch)
	}
	for _, b := range c.cfg.Boxes {
		if b.Off || b.Folder == "" {
			continue
		}
		ch, err := dropbox.New(dropbox.Options{
			Centre: c.cfg.ID, Box: b, Receiver: s.receiver, Clock: sekretariat.SystemClock, Logger: log, Patience: b.Patience, Emptied: s.emptied,
		})
		if err != nil {
			return nil, fmt.Errorf("box %s: %w", b.ID, err)
		}
		out = append(out, ch)
	}
	return out, nil
}

// announced asks the ledger of a centre whether a submission is there.
func announced(log ledger.Log) func(context.Context, sekretariat.SubmissionID) (bool, error) {
	return func(ctx context.Context, id sekretariat.SubmissionID) (bool, error) {
		_, err := log.Last(ctx, ledger.Intake, string(id))
		if errors.Is(err, ledger.ErrNotFound) {
			return false, nil
		}
		return err == nil, err
	}
}

// kept reads what the manifest of a submission says of its source.
func (s *service) kept(centre sekretariat.CentreID) edelivery.Kept {
	return func(ctx context.Context, id sekretariat.SubmissionID) (map[string]string, bool, error) {
		m, err := pipeline.Manifest(ctx, s.vault, centre, id)
		switch {
		case errors.Is(err, storage.ErrNotFound), errors.Is(err, storage.ErrShredded), errors.Is(err, storage.ErrDamaged):
			return nil, false, nil
		case err != nil:
			return nil, false, err
		}
		return m.Source, true, nil
	}
}

// calledBack is a channel whose platform calls it.
type calledBack interface {
	// Callback returns the path below which calls come in, "" for none, and
	// what answers there.
	Callback() (path string, h http.Handler)
}

// secretText loads a secret as text; files end with a line end that nobody
// means.
func secretText(s configs.Secret) (string, error) {
	raw, err := s.Load()
	return strings.TrimRight(string(raw), "\r\n"), err
}

// uploadTokens lets the upload door ask about tokens.
type uploadTokens struct{ tokens *api.Tokens }

func (u uploadTokens) Authorize(ctx context.Context, token string) (dropbox.Grant, error) {
	centre, tok, err := u.tokens.Check(ctx, token)
	switch {
	case errors.Is(err, api.ErrToken):
		return dropbox.Grant{}, dropbox.ErrDenied
	case err != nil:
		return dropbox.Grant{}, err
	case tok.Box() == "":
		return dropbox.Grant{}, dropbox.ErrDenied
	}
	return dropbox.Grant{Centre: centre, Box: tok.Box()}, nil
}

// uploadBox finds a box that takes uploads.
func (s *service) uploadBox(centre sekretariat.CentreID, id string) (configs.Box, bool) {
	for _, c := range s.centres {
		for _, b := range c.cfg.Boxes {
			if c.cfg.ID == centre && b.ID == id && b.Upload && !b.Off {
				return b, true
			}
		}
	}
	return configs.Box{}, false
}

func (s *service) hasUploads() bool {
	for _, c := range s.centres {
		for _, b := range c.cfg.Boxes {
			if b.Upload && !b.Off {
				return true
			}
		}
	}
	return false
}
