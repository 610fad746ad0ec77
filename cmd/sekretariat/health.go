package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/desk/api"
	"sekretariat/ingest"
	"sekretariat/ledger"
)

// How often the state of a running channel is looked at, how often it is
// written though nothing changed, and after what silence nobody runs it.
const (
	healthLook  = 2 * time.Second
	healthBeat  = time.Minute
	healthStale = 4 * time.Minute
)

// healthCursor names the state of a channel in the ledger, where a desk on
// another machine finds it.
func healthCursor(channel string) string { return "health/" + channel }

// channelNote is a channel's state as it is kept.
type channelNote struct {
	Health ingest.Health `json:"health"`
	At     time.Time     `json:"at"`
}

// watchHealth keeps the state of a running channel where all can read it, and
// tells the administrator's log of each beginning and end of trouble.
func (s *service) watchHealth(ctx context.Context, ch ingest.Channel) {
	tick := time.NewTicker(healthLook)
	defer tick.Stop()
	var last channelNote
	for {
		now := channelNote{Health: ch.Health(), At: sekretariat.SystemClock()}
		if last.At.IsZero() || !reflect.DeepEqual(now.Health, last.Health) || now.At.Sub(last.At) >= healthBeat {
			s.tellTrouble(ch.Name(), last.Health, now.Health, last.At.IsZero())
			raw, err := json.Marshal(now)
			if err == nil {
				err = s.ledger.SetCursor(ctx, healthCursor(ch.Name()), raw)
			}
			if err == nil {
				last = now
			} else if ctx.Err() == nil {
				s.log.Warn().Err(err).Str("channel", ch.Name()).Msg("the state of a channel cannot be written down")
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// tellTrouble writes one line for each fault and one when it ends.
func (s *service) tellTrouble(channel string, before, now ingest.Health, first bool) {
	was := first || before.OK
	switch {
	case was && !now.OK:
		s.log.Error().Str("channel", channel).Str("code", now.Code).Time("since", now.Since).
			Msg("a channel takes nothing in: " + troubleAdvice[now.Code])
	case !was && now.OK:
		s.log.Info().Str("channel", channel).Msg("the channel takes deliveries in again")
	}
	for _, e := range now.Expires {
		i := slices.IndexFunc(before.Expires, func(b ingest.Expiry) bool { return b.What == e.What })
		if e.Stage != 0 && (i < 0 || before.Expires[i].Stage != e.Stage) {
			s.log.Warn().Str("channel", channel).Str("what", e.What).Time("ends", e.At).Int("days", e.Days(sekretariat.SystemClock())).
				Msg("something that the channel lives on ends soon: renew it")
		}
	}
}

// troubleAdvice is what an administrator does, by code.
var troubleAdvice = map[string]string{
	"login": "the server refuses the password; set the new one with: sekretariat secret set", "password": "the password's file or variable cannot be read",
	"token": "the provider refuses the access; run: sekretariat mailbox authorize, or secret set", "certificate": "the server's certificate is not valid or not known; see \"ca\" and \"pins\"",
	"folder": "a folder is not there; restore its name or change \"folders\"", "quota": "the mailbox is full: make room",
	"refused": "the platform refuses our rights; try: sekretariat check-channel", "moved": "the service has another address now; ask the provider for url and token_url",
	"message": "some messages cannot be fetched; see what is parked", "full": "the mailbox is full: make room",
	"store": "our own store does not take deliveries; look at disk and ledger",
}

// channelStates tells how the channels of a centre are doing, whichever
// process runs them.
func (s *service) channelStates(ctx context.Context, id sekretariat.CentreID) (api.Health, error) {
	var h api.Health
	for _, c := range s.centres {
		if c.cfg.ID != id {
			continue
		}
		for _, a := range runningAccounts(c.cfg) {
			state, err := s.channelState(ctx, id, a)
			if err != nil {
				return h, err
			}
			h.Channels = append(h.Channels, state)
		}
		h.Scanner = api.NewScannerState(s.pipelines[id].ScanStatus(), sekretariat.SystemClock())
		h.Files = certificateFiles(s.cfg, c.cfg, sekretariat.SystemClock())
	}
	return h, nil
}

func (s *service) channelState(ctx context.Context, id sekretariat.CentreID, a runningAccount) (api.ChannelState, error) {
	state := api.ChannelState{Account: a.id, Kind: a.kind}
	raw, _, err := s.ledger.Cursor(ctx, healthCursor(string(id)+"/"+a.id))
	switch {
	case errors.Is(err, ledger.ErrNotFound):
		state.Health = ingest.Health{Code: "stopped", Waiting: -1, Message: "Ten kanał jeszcze nigdy nie był obsługiwany. Zawiadom administratora."}
		return state, nil
	case err != nil:
		return state, fmt.Errorf("state of channel %s: %w", a.id, err)
	}
	var note channelNote
	if err := json.Unmarshal(raw, &note); err != nil {
		return state, fmt.Errorf("state of channel %s: %w", a.id, err)
	}
	state.Health, state.At = note.Health, note.At
	if sekretariat.SystemClock().Sub(note.At) > healthStale {
		at := note.At.In(sekretariat.Warsaw())
		state.OK, state.Code, state.Since = false, "stopped", note.At
		state.Message = fmt.Sprintf("Od %s nic nie jest tu pobierane, bo nie działa część programu, która to robi. Zawiadom administratora.", at.Format("02.01.2006, 15:04"))
	}
	return state, nil
}

// runningAccount is an account that some process runs a channel for.
type runningAccount struct {
	id   string
	kind sekretariat.Kind
}

func runningAccounts(c *configs.Centre) []runningAccount {
	var list []runningAccount
	add := func(a configs.Account, kind sekretariat.Kind, runs bool) {
		if runs && !a.Off {
			list = append(list, runningAccount{a.ID, kind})
		}
	}
	for _, m := range c.Mailboxes {
		add(m.Account, sekretariat.KindMail, m.Pulled())
	}
	for _, e := range c.EPUAP {
		add(e.Account, sekretariat.KindEPUAP, e.URL != "")
	}
	for _, e := range c.EDelivery {
		add(e.Account, sekretariat.KindEDelivery, true)
	}
	for _, b := range c.Boxes {
		add(b.Account, sekretariat.KindBox, b.Folder != "")
	}
	return list
}

// channelAlarms are the channels of this process that take nothing in, for
// /readyz: codes alone, for that answer is public on its listener.
func (s *service) channelAlarms() (list []string) {
	for _, ch := range s.channels {
		h := ch.Health()
		if !h.OK {
			list = append(list, fmt.Sprintf("channel %s: %s since %s", ch.Name(), h.Code, h.Since.UTC().Format(time.RFC3339)))
		}
		for _, e := range h.Expires {
			if e.Stage != 0 {
				list = append(list, fmt.Sprintf("channel %s: %s ends in %d days", ch.Name(), e.What, e.Days(sekretariat.SystemClock())))
			}
		}
	}
	return list
}
