package main

import (
	"context"

	"golang.org/x/sync/errgroup"

	"sekretariat"
	"sekretariat/ingest/lmtp"
)

// openMailDoor lets a mail server hand mail over, if it is configured.
func (s *service) openMailDoor(ctx context.Context, g *errgroup.Group) error {
	if s.cfg.MailDoor.LMTP == "" && s.cfg.MailDoor.SMTP == "" {
		return nil
	}
	var accounts []lmtp.Account
	for _, c := range s.centres {
		for _, m := range c.cfg.Mailboxes {
			if m.Door && !m.Off {
				accounts = append(accounts, lmtp.Account{Centre: c.cfg.ID, Mailbox: m})
			}
		}
	}
	door, err := lmtp.New(lmtp.Options{
		Door: s.cfg.MailDoor, Accounts: accounts, Receiver: s.receiver, Clock: sekretariat.SystemClock,
		Logger: s.log.With().Str("room", "mail door").Logger(), MaxSize: s.cfg.Limits.Delivery,
	})
	if err != nil {
		return err
	}
	g.Go(func() error { return door.Run(ctx) })
	return nil
}
