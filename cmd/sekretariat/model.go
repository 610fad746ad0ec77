package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/extract"
	"sekretariat/router"
	"sekretariat/router/letters"
	"sekretariat/router/measure"
	"sekretariat/router/model"
	"sekretariat/router/train"
)

// routerFlags choose the centre and the model of commands that only decide.
type routerFlags struct{ config, centre, model string }

// open makes the router: of a centre's profile, or of the demo centre.
func (f *routerFlags) open() (*router.Router, error) {
	centre, err := f.profile()
	if err != nil {
		return nil, err
	}
	switch f.model {
	case "":
		return router.New(centre)
	case "off":
		return router.NewWith(centre, nil)
	}
	raw, err := os.ReadFile(f.model)
	if err != nil {
		return nil, err
	}
	m, err := model.Decode(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.model, err)
	}
	return router.NewWith(centre, m)
}

func (f *routerFlags) profile() (*configs.Centre, error) {
	if f.config == "" {
		return configs.ParseCentre(configs.Demo, "demo.yaml")
	}
	in, err := configs.Load(f.config)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, p := range in.Profiles {
		if string(p.ID) == f.centre || f.centre == "" && len(in.Profiles) == 1 {
			return p, nil
		}
		ids = append(ids, string(p.ID))
	}
	return nil, usagef("name the centre: --centre %s", strings.Join(ids, "|"))
}

// evalCommand measures the router on labelled letters.
func evalCommand(_ context.Context, c *cli) error {
	var rf routerFlags
	f := c.flags("eval")
	f.StringVar(&rf.config, "config", "", "installation file or centre profile; default the demo centre with all ten departments")
	f.StringVar(&rf.centre, "centre", "", "centre of an installation with several")
	f.StringVar(&rf.model, "model", "", "model file, or off; default the model of the program")
	asJSON := f.Bool("json", false, "print the report as JSON, with the decision on every letter")
	wrong := f.Bool("errors", false, "list the letters whose first label is wrong")
	files, err := c.parse(f)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return usagef("name a file of labelled letters: sekretariat eval FILE.jsonl …")
	}
	r, err := rf.open()
	if err != nil {
		return err
	}
	var list []letters.Letter
	for _, name := range files {
		more, err := letters.ReadFile(name)
		if err != nil {
			return err
		}
		list = append(list, more...)
	}
	rep := measure.Measure(r, list, time.Now())
	if *asJSON {
		return json.NewEncoder(c.stdout).Encode(rep)
	}
	if *wrong {
		for _, k := range rep.Cases {
			if k.First != k.Truth {
				fmt.Fprintf(c.stdout, "%s\t%s\t%s %.3f\tsecond %s\n", k.ID, k.Truth, k.First, k.Decision.Confidence, k.Second)
			}
		}
	}
	rep.Cases = nil
	return rep.Print(c.stdout)
}

// trainCommand makes a model from labelled letters.
func trainCommand(_ context.Context, c *cli) error {
	f := c.flags("train")
	dir := f.String("letters", "", "folder of labelled letters, *.jsonl")
	out := f.String("out", "", "file to write the model to; without it only the cross-validation is printed")
	folds := f.Int("folds", 5, "parts of the cross-validation")
	if _, err := c.parse(f); err != nil {
		return err
	}
	if *dir == "" {
		return usagef("name the folder of the letters: sekretariat train --letters DIR --out FILE")
	}
	list, err := letters.ReadDir(*dir)
	if err != nil {
		return err
	}
	digest, err := train.Digest(*dir)
	if err != nil {
		return err
	}
	rf := routerFlags{model: "off"}
	r, err := rf.open()
	if err != nil {
		return err
	}
	m, held := model.Train(train.Examples(r, list), model.TrainOptions{Folds: *folds, Digest: digest})
	centre, err := rf.profile()
	if err != nil {
		return err
	}
	if r, err = router.NewWith(centre, m); err != nil {
		return err
	}
	if err := train.Report(c.stdout, r, list, held, m); err != nil {
		return err
	}
	if *out == "" {
		return nil
	}
	tmp, err := os.CreateTemp(filepath.Dir(*out), ".model-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // nothing is left of it after the rename
	version, err := m.Encode(tmp)
	if err != nil {
		return err
	}
	if err := tmp.Chmod(0o644); err != nil { // a model is no secret
		return err
	}
	if err := tmp.Close(); err != nil {
		return fmt.Errorf("write model: %w", err)
	}
	if err := os.Rename(tmp.Name(), *out); err != nil {
		return err
	}
	fmt.Fprintf(c.stdout, "model %s written to %s\n", version, *out)
	return nil
}

// routeFile decides on single letters without registering them. Without
// --explain the word route is the role of a running service.
func routeFile(ctx context.Context, c *cli) error {
	if !hasFlag(c.args, "explain") {
		return serveRole("route")(ctx, c)
	}
	var rf routerFlags
	f := c.flags("route")
	f.Bool("explain", true, "decide on the files and say why, without registering anything")
	f.StringVar(&rf.config, "config", "", "installation file or centre profile; default the demo centre")
	f.StringVar(&rf.centre, "centre", "", "centre of an installation with several")
	f.StringVar(&rf.model, "model", "", "model file, or off; default the model of the program")
	asJSON := f.Bool("json", false, "print the whole advice as JSON")
	files, err := c.parse(f)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return usagef("name a file: sekretariat route --explain FILE …")
	}
	r, err := rf.open()
	if err != nil {
		return err
	}
	pool, err := readPool(c, extract.PoolOptions{})
	if err != nil {
		return err
	}
	defer pool.Close()
	for _, name := range files {
		reading, _, err := inspection{pool: pool}.file(ctx, name)
		if err != nil {
			return err
		}
		now := time.Now()
		a := r.Advise(router.Facts{Arrived: sekretariat.ArrivedLite{Kind: arrivedAs(name, reading), At: now, Received: now}, Reading: reading, Now: now})
		if *asJSON {
			if err := json.NewEncoder(c.stdout).Encode(a); err != nil {
				return err
			}
			continue
		}
		printAdvice(c, name, a)
	}
	return nil
}

// arrivedAs guesses by which channel a file would have come.
func arrivedAs(name string, r sekretariat.Reading) sekretariat.Kind {
	switch {
	case kindByName(name) != "" || r.MessageID != "":
		return sekretariat.KindMail
	case r.Form != "":
		return sekretariat.KindEPUAP
	}
	return sekretariat.KindBox
}

func printAdvice(c *cli, name string, a sekretariat.Advice) {
	d := a.Decision
	fmt.Fprintf(c.stdout, "%s: %s, %s\n  %s\n", name, d.Department, d.Urgency, oneLine(a.Explanation, 1000))
	line := func(s string) {
		if s != "" {
			fmt.Fprintf(c.stdout, "  %s\n", oneLine(s, 600))
		}
	}
	line(a.Urgency)
	for _, s := range d.Suggestions {
		line(fmt.Sprintf("%.0f %% %s", 100*s.Score, s.Department))
	}
	k := a.Contacts
	line("kind: " + d.Kind)
	line("contact: " + strings.Join([]string{k.Phone, k.Email, k.Address, k.PESEL, k.Case}, " | "))
	for _, w := range a.Warnings {
		line(w)
	}
	for _, draft := range a.Drafts {
		fmt.Fprintf(c.stdout, "  draft %s for %s\n", draft.Kind, oneLine(draft.To, 200))
	}
}

// hasFlag tells whether a flag is among the arguments.
func hasFlag(args []string, name string) bool {
	for _, a := range args {
		if a = strings.TrimLeft(a, "-"); a == name || strings.HasPrefix(a, name+"=") {
			return true
		}
	}
	return false
}
