package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/ledger"
	"sekretariat/storage"
)

// A centre's configuration in force is a versioned object, so that each
// decision can name the version it was made by, and so that all machines of an
// installation agree. The profile file seeds it; `config apply` adds a version.

// maxConfig bounds a stored configuration, octets.
const maxConfig = 4 << 20

func configKey(c sekretariat.CentreID, version int) string {
	return storage.ConfigKey(c, fmt.Sprintf("config/%06d.yaml", version))
}

// latestConfig returns the newest stored version, 0 if there is none.
func latestConfig(ctx context.Context, store storage.Store, c sekretariat.CentreID) (int, []byte, error) {
	last := ""
	err := store.List(ctx, storage.ConfigKey(c, "config/"), func(i storage.Info) error {
		last = i.Key
		return nil
	})
	if err != nil || last == "" {
		return 0, nil, err
	}
	_, name, _ := strings.Cut(last, "config/")
	version, err := strconv.Atoi(strings.TrimSuffix(name, ".yaml"))
	if err != nil {
		return 0, nil, fmt.Errorf("configuration object %s: %w", last, storage.ErrDamaged)
	}
	o, err := store.Get(ctx, last)
	if err != nil {
		return 0, nil, err
	}
	defer o.Close()
	raw, err := io.ReadAll(io.NewSectionReader(o, 0, min(o.Size(), maxConfig)))
	return version, raw, err
}

// activeConfig returns the configuration in force. On the first start it is the
// profile; later a profile that was edited takes effect by `config apply`.
func activeConfig(ctx context.Context, h *house, profile *configs.Centre) (*configs.Centre, error) {
	version, raw, err := latestConfig(ctx, h.objects, profile.ID)
	if err != nil {
		return nil, err
	}
	own, err := configs.Canonical(profile)
	if err != nil {
		return nil, err
	}
	if version == 0 {
		version, raw = 1, own
		err := h.objects.PutOnce(ctx, configKey(profile.ID, version), bytes.NewReader(raw))
		if errors.Is(err, storage.ErrExists) { // another process of the installation starts too
			version, raw, err = latestConfig(ctx, h.objects, profile.ID)
		}
		if err != nil {
			return nil, err
		}
	}
	active, err := configs.ParseCentre(raw, fmt.Sprintf("%s, stored version %d", profile.ID, version))
	if err != nil {
		return nil, err
	}
	// The stored text was written by the program of its day; what counts is
	// what it means to this one, which may know more settings.
	now, err := configs.Canonical(active)
	if err != nil {
		return nil, err
	}
	active.Version = version
	if !bytes.Equal(own, now) {
		h.log.Warn().Str("centre", string(profile.ID)).Int("version", version).
			Msg("the profile file differs from the configuration in force, which is used; to activate the file run: sekretariat config apply")
	}
	return active, nil
}

// applyConfig stores the profile as the next version, unless it is in force
// already or removes what letters belong to.
func applyConfig(ctx context.Context, h *house, centre *centreHouse, profile *configs.Centre, by string) (version int, changed bool, err error) {
	version, raw, err := latestConfig(ctx, h.objects, profile.ID)
	if err != nil {
		return 0, false, err
	}
	own, err := configs.Canonical(profile)
	if err != nil {
		return 0, false, err
	}
	if bytes.Equal(own, raw) {
		return version, false, nil
	}
	if version > 0 {
		now, err := configs.ParseCentre(raw, fmt.Sprintf("%s, stored version %d", profile.ID, version))
		if err != nil {
			return 0, false, err
		}
		if err := refuseRemoval(ctx, centre.log, now, profile); err != nil {
			return 0, false, err
		}
	}
	version++
	if err := h.objects.PutOnce(ctx, configKey(profile.ID, version), bytes.NewReader(own)); errors.Is(err, storage.ErrExists) {
		return 0, false, fmt.Errorf("version %d was stored by somebody else just now; look at it and repeat: %w", version, err)
	} else if err != nil {
		return 0, false, err
	}
	return version, true, announceConfig(ctx, centre.log, profile.ID, version, own, by)
}

// announce writes the event that activates the configuration in force. Only a
// service does so, not a command that may be there to bring the events back.
func (h *house) announce(ctx context.Context, c *centreHouse) error {
	version, raw, err := latestConfig(ctx, h.objects, c.cfg.ID)
	if err != nil {
		return err
	}
	return announceConfig(ctx, c.log, c.cfg.ID, version, raw, "")
}

// announceConfig writes the event that activates a version, once: a start that
// died before it is made good by the next one.
func announceConfig(ctx context.Context, log ledger.Log, centre sekretariat.CentreID, version int, raw []byte, by string) error {
	e, err := sekretariat.NewEvent(sekretariat.EventConfigured, centre, "config", "config", version, sekretariat.SystemClock(),
		sekretariat.ConfiguredData{Version: version, Digest: sekretariat.DigestOf(raw), By: by})
	if err != nil {
		return err
	}
	_, err = log.Append(ctx, ledger.Audit, ledger.Record{Subject: fmt.Sprintf("config.%d", version), Event: e})
	if errors.Is(err, ledger.ErrConflict) {
		return nil
	}
	return err
}
