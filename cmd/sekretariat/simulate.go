package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/desk/people"
	"sekretariat/pipeline/simulate"
	"sekretariat/router"
	"sekretariat/router/model"
	"sekretariat/storage"
)

// maxModel bounds a model's file, octets.
const maxModel = 30 << 20

func modelKey(c sekretariat.CentreID, version string) string {
	return storage.ConfigKey(c, "model/"+version+".model")
}

// routerOf makes the router of a centre with the model that its configuration
// names.
func (h *house) routerOf(ctx context.Context, c *configs.Centre) (*router.Router, error) {
	if !configs.ModelVersion.MatchString(c.Routing.Model) {
		return router.New(c)
	}
	if m, err := model.Default(); err == nil && m.Version == c.Routing.Model {
		return router.NewWith(c, m)
	}
	o, err := h.objects.Get(ctx, modelKey(c.ID, c.Routing.Model))
	if err != nil {
		return nil, fmt.Errorf("model %s, which routing.model names (store it with: sekretariat simulate --model FILE --activate): %w", c.Routing.Model, err)
	}
	defer o.Close()
	raw, err := io.ReadAll(io.NewSectionReader(o, 0, min(o.Size(), maxModel)))
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", c.Routing.Model, err)
	}
	m, err := model.Decode(raw)
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", c.Routing.Model, err)
	}
	if m.Version != c.Routing.Model {
		return nil, fmt.Errorf("model %s is stored as %s: %w", m.Version, c.Routing.Model, storage.ErrDamaged)
	}
	return router.NewWith(c, m)
}

// answering is who answers for a command, as events name them: the machine's own
// user, or the id of an account of the page. Anything else might be a name, which
// no event may hold (invariant I5).
func (h *house) answering(ctx context.Context, centre *centreHouse, by string) (string, error) {
	if by == machineUser() {
		return by, nil
	}
	all, err := people.NewBook(centre.cfg.ID, h.vault, sekretariat.SystemClock).List(ctx)
	if err != nil {
		return "", err
	}
	for _, p := range all {
		if by == p.ID || by == p.Login {
			return p.ID, nil
		}
	}
	return "", usagef("--by: there is no account %q; see: sekretariat user list", by)
}

// machineUser names who runs the command without naming a person.
func machineUser() string { return "uid:" + strconv.Itoa(os.Getuid()) }

// trial is a configuration that is tried.
type trial struct {
	profile *configs.Centre
	router  *router.Router
	model   []byte // file of another model, nil = the one that the profile names
}

// simulateCommand tries a configuration or model on the letters that there are,
// and activates it when told to.
func simulateCommand(ctx context.Context, c *cli) error {
	f := c.flags("simulate")
	var in centreFlags
	in.add(f)
	with := f.String("with", "", "centre profile to try; default the one that --config names")
	file := f.String("model", "", "model file to try, or off")
	format := f.String("format", "text", "text, csv or json")
	activate := f.Bool("activate", false, "activate what was tried, after the report")
	by := f.String("by", machineUser(), "who activates it: id of an account of the page")
	if err := c.parseOnly(f); err != nil {
		return err
	}
	h, centre, err := in.open(ctx, c)
	if err != nil {
		return err
	}
	defer h.close()
	t, err := h.trial(ctx, centre, *with, *file)
	if err != nil {
		return err
	}
	rep, err := simulate.Run(ctx, simulate.Options{Centre: centre.cfg.ID, Log: centre.log, Vault: h.vault, Router: t.router, Who: commandLine(centre.cfg.ID)})
	if err != nil {
		return err
	}
	switch *format {
	case "text":
		err = rep.Print(c.stdout)
	case "csv":
		err = rep.CSV(c.stdout)
	case "json":
		err = json.NewEncoder(c.stdout).Encode(rep)
	default:
		err = usagef("--format is text, csv or json")
	}
	if err != nil || !*activate {
		return err
	}
	who, err := h.answering(ctx, centre, *by)
	if err != nil {
		return err
	}
	return h.activate(ctx, c, centre, t, who)
}

// trial makes the router of what is tried.
func (h *house) trial(ctx context.Context, centre *centreHouse, with, file string) (trial, error) {
	t := trial{profile: centre.profile}
	if with != "" {
		loaded, err := configs.Load(with)
		if err != nil {
			return t, err
		}
		if len(loaded.Profiles) != 1 || loaded.Profiles[0].ID != centre.cfg.ID {
			return t, usagef("--with names one profile of centre %s", centre.cfg.ID)
		}
		t.profile = loaded.Profiles[0]
	}
	profile := *t.profile
	t.profile = &profile
	if file == configs.Off {
		profile.Routing.Model = configs.Off
	} else if file != "" {
		raw, err := os.ReadFile(file)
		if err != nil {
			return t, err
		}
		m, err := model.Decode(raw)
		if err != nil {
			return t, fmt.Errorf("%s: %w", file, err)
		}
		profile.Routing.Model, t.model = m.Version, raw
		t.router, err = router.NewWith(t.profile, m)
		return t, err
	}
	var err error
	t.router, err = h.routerOf(ctx, t.profile)
	return t, err
}

// activate stores what was tried as the next version in force, with who did it.
func (h *house) activate(ctx context.Context, c *cli, centre *centreHouse, t trial, by string) error {
	if t.model != nil {
		err := h.objects.PutOnce(ctx, modelKey(centre.cfg.ID, t.profile.Routing.Model), bytes.NewReader(t.model))
		if err != nil && !errors.Is(err, storage.ErrExists) {
			return fmt.Errorf("store the model: %w", err)
		}
	}
	version, changed, err := applyConfig(ctx, h, centre, t.profile, by)
	if err != nil {
		return err
	}
	if !changed {
		fmt.Fprintf(c.stderr, "%s: version %d is active already\n", centre.cfg.ID, version)
		return nil
	}
	fmt.Fprintf(c.stderr, "%s: version %d is active from the next start\n", centre.cfg.ID, version)
	return nil
}
