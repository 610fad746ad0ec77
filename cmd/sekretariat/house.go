package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/ledger"
	"sekretariat/pipeline/mailkey"
	"sekretariat/router"
	"sekretariat/storage"
	"sekretariat/storage/dir"
	"sekretariat/storage/s3"
)

// The folders of a data folder.
const (
	folderObjects = "objects"
	folderKeys    = "keys"
	folderStaging = "staging"
	folderNATS    = "nats"
	folderSecrets = "secrets"
	folderIndex   = "index"
	folderTemp    = "tmp"
	folderEngine  = "engine" // the compiled PDF engine; may be deleted
	fileLock      = "lock"
	fileNATSURL   = "nats.url" // where the running service listens, for the command line
	fileOfficeKey = "office.key"
	officeKeyID   = "office-1" // of the first key; rotation adds others
)

// house is an opened installation: storage and ledger of all centres.
type house struct {
	cfg     *configs.Installation
	log     zerolog.Logger
	lock    *os.File
	staged  *storage.Staged // nil when attached
	salvage bool            // go past damage in the staging log
	objects storage.Store
	vault   *storage.Vault
	ledger  *ledger.Ledger
	centres []*centreHouse
	secret  []byte // of keyed digests, see mailkey
	closers []func(context.Context) error
}

// centreHouse is one centre of it.
type centreHouse struct {
	cfg     *configs.Centre // in force
	profile *configs.Centre // as in the file
	log     ledger.Log
	router  *router.Router
	keys    *mailkey.Key
}

// errInUse: the data folder belongs to a running process.
var errInUse = errors.New("in use")

// openHouse opens the installation for itself. It returns errInUse, wrapped in
// a sentence that says what to do, when another process has the data folder.
func openHouse(ctx context.Context, cfg *configs.Installation, log zerolog.Logger) (*house, error) {
	return openHouseOver(ctx, cfg, log, false)
}

// openHouseOver is openHouse that, with salvage, goes past what cannot be read
// of a damaged staging log.
func openHouseOver(ctx context.Context, cfg *configs.Installation, log zerolog.Logger, salvage bool) (*house, error) {
	tuneMemory(ctx)
	h := &house{cfg: cfg, log: log, salvage: salvage}
	if err := h.open(ctx); err != nil {
		return nil, errors.Join(err, h.close())
	}
	return h, nil
}

func (h *house) open(ctx context.Context) error {
	if err := h.takeFolder(); err != nil {
		return err
	}
	keys, err := storage.LoadOfficeKeys(h.officeKeyFile())
	if errors.Is(err, fs.ErrNotExist) && h.cfg.Storage.S3 == nil {
		// One machine, first start: the key is made here. A cluster shares one
		// key, which `sekretariat init` writes.
		keys, err = h.firstKey()
	}
	if err != nil {
		return fmt.Errorf("office key %s: %w", h.officeKeyFile(), err)
	}
	if h.secret, err = keys.Derive("mail"); err != nil {
		return err
	}
	objects, wrapped, shared, err := drivers(ctx, h.cfg, false)
	if err != nil {
		return err
	}
	h.staged, err = storage.OpenStaged(ctx, h.folder(folderStaging), objects, storage.StagedOptions{
		Keys: wrapped, Shared: shared, Salvage: h.salvage, Calm: calm, MaxPending: maxPending, Logger: h.log.With().Str("room", "storage").Logger(),
	})
	if err != nil {
		return fmt.Errorf("staging log: %w", err)
	}
	h.closers = append(h.closers, h.staged.Close)
	h.objects = h.staged
	h.vault = storage.NewVault(h.staged, storage.NewKeyStore(h.staged.Keys(), keys))
	err = h.openLedger(ctx, ledger.Options{Dir: h.folder(folderNATS), Port: natsPort(h.cfg), Secrets: h.folder(folderSecrets)})
	if err != nil {
		return err
	}
	// A file of an earlier, killed process is overwritten.
	if err := os.WriteFile(h.folder(fileNATSURL), []byte(h.ledger.URL()+"\n"), 0o600); err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	return nil
}

// natsPort is the port of the embedded server for department systems.
func natsPort(cfg *configs.Installation) int {
	if cfg.NATS.Port == 0 {
		return -1
	}
	return cfg.NATS.Port
}

// attach opens the installation of a running service from another process:
// objects directly, the ledger through the service's own NATS server.
func attach(ctx context.Context, cfg *configs.Installation, log zerolog.Logger) (*house, error) {
	h := &house{cfg: cfg, log: log}
	if err := h.attach(ctx); err != nil {
		return nil, errors.Join(err, h.close())
	}
	return h, nil
}

func (h *house) attach(ctx context.Context) error {
	if err := h.makeFolders(); err != nil {
		return err
	}
	keys, err := storage.LoadOfficeKeys(h.officeKeyFile())
	if err != nil {
		return fmt.Errorf("office key: %w", err)
	}
	if h.secret, err = keys.Derive("mail"); err != nil {
		return err
	}
	objects, wrapped, _, err := drivers(ctx, h.cfg, true)
	if err != nil {
		return err
	}
	objects, wrapped = newLagging(objects), newLagging(wrapped)
	h.objects = objects
	h.vault = storage.NewVault(storage.NewDirect(objects, wrapped, h.folder(folderTemp)), storage.NewKeyStore(wrapped, keys))
	o := ledger.Options{URL: h.cfg.NATS.URL, Secrets: h.folder(folderSecrets)}
	if o.URL == "" {
		raw, err := os.ReadFile(h.folder(fileNATSURL))
		if err != nil {
			return fmt.Errorf("the running service does not say where its NATS server listens: %w; restart it", err)
		}
		o.URL = strings.TrimSpace(string(raw))
	}
	return h.openLedger(ctx, o)
}

// openAny opens the installation for itself, or attaches to the service that
// runs on it.
func openAny(ctx context.Context, cfg *configs.Installation, log zerolog.Logger) (*house, error) {
	if cfg.Storage.S3 != nil && cfg.NATS.URL != "" {
		// A command has no time to see its objects settle, and a log that it
		// left would bring back what others deleted since.
		return attach(ctx, cfg, log)
	}
	h, err := openHouse(ctx, cfg, log)
	if errors.Is(err, errInUse) {
		return attach(ctx, cfg, log)
	}
	return h, err
}

func (h *house) openLedger(ctx context.Context, o ledger.Options) error {
	o.Logger = h.log.With().Str("room", "ledger").Logger()
	o.Replicas, o.Objects = h.cfg.NATS.Replicas, h.objects
	if h.cfg.NATS.URL != "" {
		o.Dir, o.URL, o.Credentials, o.CA = "", h.cfg.NATS.URL, h.cfg.NATS.Credentials, h.cfg.NATS.CA
	} else if o.URL != "" {
		o.Dir = ""
	}
	l, err := ledger.Open(ctx, o)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	h.ledger = l
	h.closers = append(h.closers, func(context.Context) error { return l.Close() })
	for _, c := range h.cfg.Profiles {
		ch, err := h.openCentre(ctx, c)
		if err != nil {
			return fmt.Errorf("centre %s: %w", c.ID, err)
		}
		h.centres = append(h.centres, ch)
	}
	return nil
}

func (h *house) openCentre(ctx context.Context, profile *configs.Centre) (*centreHouse, error) {
	c, err := activeConfig(ctx, h, profile)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	var series []sekretariat.SeriesID
	for _, s := range c.Series {
		series = append(series, s.ID)
	}
	log, err := h.ledger.Centre(ctx, c.ID, series)
	if err != nil {
		return nil, err
	}
	r, err := h.routerOf(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("rules: %w", err)
	}
	if err := checkMail(c); err != nil {
		return nil, err
	}
	for _, d := range c.Departments {
		if err := h.ledger.EnsureQueue(ctx, c.ID, d.ID); err != nil {
			return nil, fmt.Errorf("queue of %s: %w", d.ID, err)
		}
	}
	return &centreHouse{cfg: c, profile: profile, log: log, router: r, keys: mailkey.New(h.secret, c.ID)}, nil
}

// centre finds a centre; with id "" the only one.
func (h *house) centre(id string) (*centreHouse, error) {
	var ids []string
	for _, c := range h.centres {
		if string(c.cfg.ID) == id || id == "" && len(h.centres) == 1 {
			return c, nil
		}
		ids = append(ids, string(c.cfg.ID))
	}
	return nil, usagef("name the centre: --centre %s", strings.Join(ids, "|"))
}

func (h *house) folder(name string) string { return filepath.Join(h.cfg.Data, name) }

func (h *house) officeKeyFile() string { return filepath.Join(h.folder(folderSecrets), fileOfficeKey) }

func (h *house) firstKey() (*storage.OfficeKeys, error) {
	if _, err := os.Stat(h.folder(folderKeys)); err == nil {
		return nil, fmt.Errorf("it is missing, but there are sealed objects: restore the file from your backup: %w", fs.ErrNotExist)
	}
	h.log.Warn().Str("file", h.officeKeyFile()).Msg("made the office key: without this file no letter can ever be opened; keep a copy in the safe")
	if err := storage.CreateOfficeKey(h.officeKeyFile(), officeKeyID); err != nil {
		return nil, err
	}
	return storage.LoadOfficeKeys(h.officeKeyFile())
}

func (h *house) makeFolders() error {
	for _, f := range []string{"", folderSecrets, folderTemp} {
		if err := os.MkdirAll(h.folder(f), 0o700); err != nil {
			return fmt.Errorf("data folder: %w", err)
		}
	}
	return nil
}

// takeFolder makes the data folder ours: two services on one folder would
// write into each other's logs.
func (h *house) takeFolder() error {
	if err := h.makeFolders(); err != nil {
		return err
	}
	f, err := lockFolder(h.cfg.Data)
	h.lock = f
	return err
}

// lockFolder takes the lock of a data folder, which is held until the file is
// closed. It returns errInUse, wrapped in a sentence that says what to do.
func lockFolder(data string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(data, fileLock), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("data folder %s is %w by another sekretariat; stop that one first, or give this one a folder of its own", data, errInUse)
	}
	return f, nil
}

// How the staging log shares the machine with the rest: a burst is first made
// durable and worked on, its files are written when it calms down.
const (
	calm       = 100 * time.Millisecond
	maxPending = 96 << 20 // octets
)

// closeTime bounds how long a clean stop waits for the last objects.
const closeTime = 30 * time.Second

func (h *house) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	var errs []error
	for i := len(h.closers) - 1; i >= 0; i-- {
		errs = append(errs, h.closers[i](ctx))
	}
	if h.lock != nil {
		errs = append(errs, h.lock.Close())
	}
	return errors.Join(errs...)
}

// drivers opens the object store and the key store. durable is for a process
// without a staging log.
func drivers(ctx context.Context, cfg *configs.Installation, durable bool) (objects, keys storage.Store, shared bool, err error) {
	if cfg.Storage.S3 != nil {
		objects, err = openS3(ctx, cfg.Storage.S3, cfg.Storage.S3.Bucket)
		if err != nil {
			return nil, nil, true, err
		}
		keys, err = openS3(ctx, cfg.Storage.S3, cfg.Storage.S3.KeyBucket)
		return objects, keys, true, err
	}
	objects, err = dir.Open(filepath.Join(cfg.Data, folderObjects), dir.Options{Durable: durable})
	if err != nil {
		return nil, nil, false, err
	}
	keys, err = dir.Open(filepath.Join(cfg.Data, folderKeys), dir.Options{Durable: durable})
	return objects, keys, false, err
}

func openS3(ctx context.Context, c *configs.S3, bucket string) (storage.Store, error) {
	access, err := c.AccessKey.Load()
	if err != nil {
		return nil, fmt.Errorf("S3 access key: %w", err)
	}
	secret, err := c.SecretKey.Load()
	if err != nil {
		return nil, fmt.Errorf("S3 secret key: %w", err)
	}
	return s3.Open(ctx, s3.Options{
		Endpoint: c.Endpoint, Region: c.Region, Bucket: bucket, PathStyle: c.PathStyle, Insecure: c.Insecure, CA: c.CA,
		AccessKey: string(access), SecretKey: string(secret),
	})
}
