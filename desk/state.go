package desk

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"sekretariat"
	"sekretariat/desk/api"
	"sekretariat/ingest"
	"sekretariat/ledger"
	"sekretariat/register/index"
)

// stateData is the page on the state of the house.
type stateData struct {
	Counts   index.Counts
	Balanced bool
	Queues   []queueCount
	Channels []api.ChannelState
	Ending   []ending // what must be renewed soon
	Scanner  *api.ScannerState
	Register bool
	Rewound  []string
	Model    *modelView
	Rates    []rateView // alarms in a hundred letters, newest month first
}

type queueCount struct {
	Name             string
	ID               sekretariat.DepartmentID
	Open, All, Width int // Width: of the bar, per cent
}

// state shows whether everything that came in is somewhere, how much each
// department has, and how the channels are.
func (d *Desk) state(ctx context.Context, v visit) error {
	counts, err := v.c.Index.Counts(ctx, v.who)
	if err != nil {
		return err
	}
	data := stateData{Counts: counts, Balanced: counts.Balanced(), Register: v.who.Register}
	most := 1
	for id, n := range counts.Open {
		most = max(most, n)
		data.Queues = append(data.Queues, queueCount{Name: departmentName(v.c.Config, id), ID: id, Open: n, All: counts.Queues[id]})
	}
	for id, n := range counts.Queues {
		if _, there := counts.Open[id]; !there {
			data.Queues = append(data.Queues, queueCount{Name: departmentName(v.c.Config, id), ID: id, All: n})
		}
	}
	slices.SortFunc(data.Queues, func(a, b queueCount) int { return strings.Compare(a.Name, b.Name) })
	for i := range data.Queues {
		data.Queues[i].Width = data.Queues[i].Open * 100 / most
	}
	if v.who.Register || v.who.Admin {
		h, err := d.o.Health(ctx, v.c.Config.ID)
		if err != nil {
			return err
		}
		data.Rates, data.Model = rates(v.c), modelOf(v.c)
		data.Channels, data.Ending, data.Scanner = h.Channels, endings(h), &h.Scanner
	}
	if data.Rewound, err = v.c.Index.Rewound(ctx); err != nil {
		return err
	}
	return d.show(v, "stan", "Stan", data)
}

// ending is something that ends soon or has ended, in words.
type ending struct{ What, When string }

var endingWords = map[string]string{"certificate": "certyfikat", "ca": "certyfikat urzędu", "token": "upoważnienie skrzynki", "client-secret": "hasło aplikacji"}

func endings(h api.Health) (out []ending) {
	add := func(of string, list []ingest.Expiry) {
		for _, e := range list {
			if e.Stage == 0 {
				continue
			}
			when := fmt.Sprintf("kończy się %s", day(e.At))
			if e.Stage < 0 {
				when = fmt.Sprintf("skończył się %s", day(e.At))
			}
			out = append(out, ending{What: strings.TrimSpace(wordOr(endingWords, e.What, e.What) + " " + of), When: when})
		}
	}
	for _, c := range h.Channels {
		add(c.Account, c.Expires)
	}
	add("", h.Files)
	return out
}

func (d *Desk) help(_ context.Context, v visit) error { return d.show(v, "pomoc", "Pomoc", nil) }

// Times of the live connection: proxies cut silent ones, and a browser that
// left must not be kept for ever.
const (
	livePing = 25 * time.Second
	liveLife = 30 * time.Minute
	liveStep = time.Second // changes within it are told once
)

// live tells the browser that something changed; what it may see of it, it
// asks for itself. The events carry nothing.
func (d *Desk) live(ctx context.Context, v visit) error {
	ctx, cancel := context.WithTimeout(ctx, liveLife)
	defer cancel()
	defer context.AfterFunc(d.life, cancel)()
	rc := http.NewResponseController(v.w)
	if err := rc.SetReadDeadline(time.Time{}); err != nil { // the listener's limit on requests would end it
		return fmt.Errorf("live connection: %w", err)
	}
	v.w.Header().Set("Content-Type", "text/event-stream")
	for {
		if err := errors.Join(rc.SetWriteDeadline(time.Now().Add(2*livePing)), tellBrowser(v.w, rc)); err != nil {
			return nil // the browser is gone
		}
		wait, stop := context.WithTimeout(ctx, livePing)
		err := v.c.Index.WaitFor(wait, ledger.Letter, v.c.Index.Applied(ledger.Letter)+1)
		stop()
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil: // nothing happened for a while
			if _, err := fmt.Fprint(v.w, ": jestem\n\n"); err != nil || rc.Flush() != nil {
				return nil
			}
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(liveStep):
		}
	}
}

func tellBrowser(w http.ResponseWriter, rc *http.ResponseController) error {
	if _, err := fmt.Fprint(w, "event: zmiana\ndata: -\n\n"); err != nil {
		return err
	}
	return rc.Flush()
}
