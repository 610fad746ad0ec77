package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/desk/api"
	"sekretariat/extract"
	"sekretariat/extract/virus"
	"sekretariat/ingest"
	"sekretariat/ingest/dropbox"
	"sekretariat/ledger"
	"sekretariat/pipeline"
	"sekretariat/pipeline/alarm"
	"sekretariat/pipeline/learning"
	"sekretariat/pipeline/outbox"
	"sekretariat/register"
	"sekretariat/register/index"
)

// roles are the parts of the service that one process runs.
type roles struct{ ingest, route, desk bool }

func serveAll(ctx context.Context, c *cli) error {
	return serve(ctx, c, "serve", roles{ingest: true, route: true, desk: true})
}

func serveRole(name string) func(context.Context, *cli) error {
	return func(ctx context.Context, c *cli) error {
		return serve(ctx, c, name, roles{ingest: name == "ingest", route: name == "route", desk: name == "desk"})
	}
}

func serve(ctx context.Context, c *cli, name string, r roles) error {
	f := c.flags(name)
	var in installationFlags
	in.add(f)
	salvage := f.Bool("salvage", false, "after damage to the disk: keep what can be read of the staging log, and go on")
	if err := c.parseOnly(f); err != nil {
		return err
	}
	cfg, err := in.load()
	if err != nil {
		return err
	}
	if r != (roles{true, true, true}) && (cfg.NATS.URL == "" || cfg.Storage.S3 == nil) {
		return usagef("separate roles need nats.url and storage.s3 in the installation file; on one machine use: sekretariat serve")
	}
	log := logger(cfg.Log, c.stderr)
	for _, w := range cfg.Warnings {
		log.Warn().Msg(w)
	}
	h, err := openHouseOver(ctx, cfg, log, *salvage)
	if err != nil {
		return err
	}
	s, err := newService(h, r)
	if err != nil {
		return errors.Join(err, h.close())
	}
	return errors.Join(s.run(ctx), s.close())
}

// close ends a service whose run has returned: receiver before ledger and
// store, which it writes to.
func (s *service) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	err := s.receiver.Close(ctx)
	s.pool.Close()
	s.parts.Close()
	s.sheets.Close()
	s.glance.Close()
	s.scans.Close()
	return errors.Join(err, s.house.close())
}

// service is a running installation: its workers, channels and listeners.
type service struct {
	*house
	roles     roles
	receiver  *ingest.Intake
	pool      *extract.Pool // reads letters
	parts     *extract.Pool // delivers parts to scanner and API, which may take their time
	scans     *extract.Pool // for pages of scans, which must hold up nobody
	sheets    *extract.Pool // looks for separator sheets in piles of scans: minutes for a large one
	glance    *extract.Pool // for sorting, which must not wait behind long readings
	tokens    *api.Tokens
	pipelines map[sekretariat.CentreID]*pipeline.Pipeline
	indexes   map[sekretariat.CentreID]*index.Index
	boards    map[sekretariat.CentreID]*alarm.Board // dangers that nobody has taken
	teachers  map[sekretariat.CentreID]*learning.Teacher
	outboxes  []*outbox.Outbox
	registrar []*register.Registrar
	journals  []journal
	channels  []ingest.Channel
	watch     func(pipeline.Step)
	ready     func() // called once the listeners are up

	idempotencyKey []byte // of the upload door's marks
}

func newService(h *house, r roles) (*service, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find the program's own file for reading processes: %w", err)
	}
	trusted, err := writeTrust(h.cfg.Trust, h.folder(folderTemp))
	if err != nil {
		return nil, err
	}
	s := &service{
		house: h, roles: r, tokens: api.NewTokens(h.objects, sekretariat.SystemClock),
		pipelines: map[sekretariat.CentreID]*pipeline.Pipeline{}, indexes: map[sekretariat.CentreID]*index.Index{}, boards: map[sekretariat.CentreID]*alarm.Board{}, teachers: map[sekretariat.CentreID]*learning.Teacher{},
	}
	children := extract.PoolOptions{Command: []string{exe, "read-child"}, Time: h.cfg.Limits.ReadTime, Temp: h.folder(folderTemp), Trust: trusted, Logger: h.log}
	s.pool, s.parts, s.sheets = extract.NewPool(children), extract.NewPool(children), extract.NewPool(children)
	children.Time = glanceTime
	s.glance = extract.NewPool(children)
	s.scans = extract.NewPool(children) // pages take as long as they take; each has limits of its own
	logs := map[sekretariat.CentreID]ledger.Log{}
	for _, c := range h.centres {
		logs[c.cfg.ID] = c.log
	}
	s.receiver, err = ingest.NewReceiver(ingest.Options{
		Vault: h.vault, Clock: sekretariat.SystemClock, Logger: h.log.With().Str("room", "receiver").Logger(),
		Limits: ingest.Limits{Delivery: h.cfg.Limits.Delivery, InFlight: h.cfg.Limits.InFlight},
		Log: func(id sekretariat.CentreID) (ledger.Log, error) {
			if l, ok := logs[id]; ok {
				return l, nil
			}
			return nil, fmt.Errorf("there is no centre %q here", id)
		},
	})
	if err != nil {
		return nil, err
	}
	if s.idempotencyKey, err = h.ownKey(fileIdempotencyKey); err != nil {
		return nil, err
	}
	for _, c := range h.centres {
		if err := s.addCentre(c); err != nil {
			return nil, fmt.Errorf("centre %s: %w", c.cfg.ID, err)
		}
	}
	return s, nil
}

// glanceTime is when a child that looks at a mail before sorting is killed.
const glanceTime = 5 * time.Second

func (s *service) addCentre(c *centreHouse) error {
	log := s.log.With().Str("centre", string(c.cfg.ID)).Logger()
	remote, err := s.remoteOf(c.cfg, log)
	if err != nil {
		return err
	}
	s.pipelines[c.cfg.ID] = pipeline.New(pipeline.Options{
		Centre: c.cfg, Log: c.log, Vault: s.vault, Claims: s.ledger, Reader: s.pool, Glance: s.glance, Router: c.router,
		Keys: c.keys, Logger: log,
		Recogniser: s.scans, EngineCache: s.folder(folderEngine), Scanner: scannerOf(c.cfg), Parts: s.parts, Remote: remote, Packages: packages{c.cfg, s.receiver},
		Sheets: s.sheets, Batches: packages{c.cfg, s.receiver}, Temp: s.folder(folderTemp),
		Watch: func(st pipeline.Step) {
			if s.watch != nil {
				s.watch(st)
			}
		},
	})
	if s.roles.route {
		s.teachers[c.cfg.ID] = s.teacher(c)
		s.addRegister(c, log)
	}
	if s.roles.desk || s.roles.route {
		s.boards[c.cfg.ID] = alarm.NewBoard(c.cfg.ID, c.log)
		ix, err := s.openIndex(c)
		if err != nil {
			return err
		}
		s.indexes[c.cfg.ID] = ix
	}
	if s.roles.route {
		if err := s.addOutbox(c, log); err != nil {
			return err
		}
	}
	if s.roles.ingest {
		chs, err := s.channelsOf(c, log)
		if err != nil {
			return err
		}
		s.channels = append(s.channels, chs...)
	}
	return nil
}

// scannerOf is the virus scanner of a centre, nil if it does without.
func scannerOf(c *configs.Centre) *virus.Scanner {
	if c.VirusScan == configs.Off {
		return nil
	}
	return virus.New(c.VirusScan)
}

// journal names one stream to be journalled.
type journal struct {
	centre sekretariat.CentreID
	stream ledger.StreamName
}

// run runs everything until ctx ends, or until a part fails that the rest
// cannot do without. The journal ends last, so that after a clean stop it has
// every event.
func (s *service) run(ctx context.Context) error {
	journals, endJournals := context.WithCancel(context.WithoutCancel(ctx))
	var writing sync.WaitGroup
	for _, j := range s.journals {
		writing.Go(func() { s.writeJournal(journals, j) })
	}
	err := s.work(ctx)
	s.awaitJournals(journals)
	endJournals()
	writing.Wait()
	return err
}

func (s *service) work(ctx context.Context) error {
	stoppable, stop := context.WithCancel(ctx)
	defer stop()
	g, run := errgroup.WithContext(stoppable)
	if s.roles.route {
		s.runRoute(run, g)
		g.Go(func() error { s.warmEngine(run); return nil })
	} else if s.roles.desk {
		for _, p := range s.pipelines { // shown on the page
			g.Go(func() error { return p.WatchScanner(run) })
		}
	}
	if s.roles.ingest {
		for _, c := range s.centres {
			g.Go(func() error { return s.pipelines[c.cfg.ID].Run(run, pipeline.Roles{Fetch: true}) })
		}
	}
	for _, c := range s.centres {
		if s.indexes[c.cfg.ID] != nil {
			g.Go(func() error { return s.follow(run, c) })
			g.Go(func() error { return s.watchAlarms(run, c) })
			g.Go(func() error { return s.searchable(run, c) })
		}
	}
	g.Go(func() error { return s.sayCertificates(run) })
	for _, ch := range s.channels {
		g.Go(func() error { return s.runChannel(run, ch) })
	}
	if err := s.open(run, g); err != nil {
		stop()
		return errors.Join(err, g.Wait())
	}
	s.log.Info().Str("version", version).Int("centres", len(s.centres)).Int("channels", len(s.channels)).Msg("sekretariat is running")
	if s.ready != nil {
		s.ready()
	}
	err := g.Wait()
	if ctx.Err() != nil && (err == nil || errors.Is(err, context.Canceled)) {
		s.log.Info().Msg("sekretariat is stopping")
		return nil
	}
	return err
}

// open says what the service runs with and opens its doors.
func (s *service) open(ctx context.Context, g *errgroup.Group) error {
	for _, c := range s.centres {
		if err := s.announce(ctx, c); err != nil {
			return fmt.Errorf("centre %s: announce the configuration: %w", c.cfg.ID, err)
		}
	}
	return s.listen(ctx, g)
}

// writeJournal copies one stream into objects until ctx ends.
func (s *service) writeJournal(ctx context.Context, j journal) {
	_ = s.untilDone(ctx, "journal of "+string(j.stream), func(ctx context.Context) error {
		return s.ledger.Journal(ctx, s.objects, j.centre, j.stream, ledger.JournalOptions{})
	})
}

// awaitJournals gives the journals the time that their last events need. What
// they miss, the next start writes.
func (s *service) awaitJournals(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, journalStop)
	defer cancel()
	for _, j := range s.journals {
		for ctx.Err() == nil {
			if lag, err := s.ledger.JournalBehind(ctx, j.centre, j.stream); err != nil || lag == 0 {
				break
			}
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
}

// journalStop is how long a clean stop waits for the journals.
const journalStop = 5 * time.Second

// runRoute runs the workers of the route role. A registrar that stops to
// number because ledger and entries disagree does not stop the rest: letters
// go on being received.
func (s *service) runRoute(ctx context.Context, g *errgroup.Group) {
	for _, c := range s.centres {
		g.Go(func() error { return s.pipelines[c.cfg.ID].Run(ctx, pipeline.AllRoles) })
		g.Go(func() error { return s.sweepOverdue(ctx, c) })
		g.Go(func() error { return s.sweepHeld(ctx, c) })
		g.Go(func() error { return s.untilDone(ctx, "learning", s.teachers[c.cfg.ID].Run) })
		g.Go(func() error { return s.followDead(ctx, c) })
	}
	for _, o := range s.outboxes {
		g.Go(func() error { return o.Run(ctx) })
	}
	g.Go(func() error { return s.followAdvisories(ctx) })
	for _, r := range s.registrar {
		g.Go(func() error {
			// ErrRewound comes back only at the end; it was logged and shown
			// by /readyz all the time.
			if err := r.Run(ctx); err != nil && ctx.Err() == nil {
				return err
			}
			return nil
		})
	}
}

// untilDone repeats a part that must not end while the service runs.
func (s *service) untilDone(ctx context.Context, what string, run func(context.Context) error) error {
	for {
		err := run(ctx)
		if ctx.Err() != nil {
			return nil
		}
		s.log.Error().Err(err).Str("part", what).Msg("a part stopped; starting it again in 5 s")
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(5 * time.Second):
		}
	}
}

// runChannel runs a channel while this process holds its lease, so that of
// several machines one polls a mailbox.
func (s *service) runChannel(ctx context.Context, ch ingest.Channel) error {
	return s.alone(ctx, "channel "+ch.Name(), "channel/"+ch.Name(), func(held context.Context) error {
		watched, cancel := context.WithCancel(held)
		defer cancel()
		var watching sync.WaitGroup
		watching.Go(func() { s.watchHealth(watched, ch) })
		err := ch.Run(held)
		cancel()
		watching.Wait()
		return err
	})
}

// alone runs a part, again and again, while this process holds its lease.
func (s *service) alone(ctx context.Context, what, name string, run func(context.Context) error) error {
	return s.untilDone(ctx, what, func(ctx context.Context) error {
		lease, err := s.ledger.Lease(ctx, name, leaseTTL)
		if err != nil {
			return err
		}
		held, cancel := context.WithCancel(ctx)
		defer cancel()
		go func() {
			select {
			case <-lease.Lost():
				cancel()
			case <-held.Done():
			}
		}()
		err = run(held)
		release, done := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer done()
		return errors.Join(err, lease.Release(release))
	})
}

// leaseTTL is how long a dead process keeps its channels from others.
const leaseTTL = 15 * time.Second

// listen starts the HTTP listeners.
func (s *service) listen(ctx context.Context, g *errgroup.Group) error {
	if err := s.serveHTTP(ctx, g, "health", s.cfg.Listen.Health, s.healthHandler(), 30*time.Second); err != nil {
		return err
	}
	if s.roles.desk {
		h, err := s.deskHandler(ctx, g)
		if err != nil {
			return err
		}
		if err := s.serveHTTP(ctx, g, "desk", s.cfg.Listen.Desk, h, 30*time.Second); err != nil {
			return err
		}
	}
	if !s.roles.ingest {
		return nil
	}
	if err := s.listenCallbacks(ctx, g); err != nil {
		return err
	}
	if err := s.openMailDoor(ctx, g); err != nil {
		return err
	}
	if err := s.openDoors(ctx, g); err != nil {
		return err
	}
	if !s.hasUploads() {
		return nil
	}
	h, err := dropbox.NewUpload(dropbox.UploadOptions{
		Receiver: s.receiver, Store: s.objects, Authorizer: uploadTokens{s.tokens}, Box: s.uploadBox, Emptied: s.emptied,
		IdempotencyKey: s.idempotencyKey, Limit: s.cfg.Limits.Delivery, Clock: sekretariat.SystemClock, Logger: s.log,
	})
	if err != nil {
		return err
	}
	// A scanner on a slow line may take its time; a stalled one is cut off by
	// the upload handler, which watches progress.
	return s.serveHTTP(ctx, g, "scanners", s.cfg.Listen.Scanners, h, 0)
}

func (s *service) serveHTTP(ctx context.Context, g *errgroup.Group, name, addr string, h http.Handler, read time.Duration) error {
	if addr == "" {
		return nil
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("listener %s: %w; set listen.%s in the installation file", name, err, name)
	}
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: read, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: nil, BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	s.log.Info().Str("listener", name).Str("address", l.Addr().String()).Msg("listening")
	g.Go(func() error {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("listener %s: %w", name, err)
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if err := srv.Shutdown(stop); err != nil {
			return srv.Close()
		}
		return nil
	})
	return nil
}
