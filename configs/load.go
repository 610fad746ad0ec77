package configs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/goccy/go-yaml"

	"sekretariat"
)

// LoadOptions are what the caller knows better than the file.
type LoadOptions struct {
	// Data is the data folder, instead of the file's.
	Data string
	// Adjust, if not nil, is called for every centre after decoding and before
	// defaults and checks. The demo fills in the ports of its servers here.
	Adjust func(*Centre)
}

// Load reads a configuration file: an installation (it has the key "centres")
// or a single centre profile (it has the key "id"), which then runs with
// defaults and the data folder data/<centre id> below the working directory.
// Unknown keys, values of a wrong kind and contradictions are returned together
// as Problems, each with its place. What the office has not given yet is no
// error: it turns its channel off and is named in Warnings.
//
// Relative paths in a file are relative to the folder of that file.
func Load(path string, options ...LoadOptions) (*Installation, error) {
	var opt LoadOptions
	if len(options) > 0 {
		opt = options[0]
	}
	d, err := open(path)
	if err != nil {
		return nil, err
	}
	switch {
	case lookup(d.root, "centres") != nil:
		return loadInstallation(d, opt)
	case lookup(d.root, "id") != nil:
		return loadSingle(d, opt)
	}
	d.at(firstToken(d.root), "neither an installation (key \"centres\") nor a centre profile (key \"id\")")
	return nil, d.problems
}

// open reads and parses one file.
func open(path string) (*document, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w: name an existing file with --config", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read configuration %s: %w", path, err)
	}
	return parse(data, path)
}

func loadSingle(d *document, opt LoadOptions) (*Installation, error) {
	c, err := d.centre(opt.Adjust)
	if err != nil {
		return nil, err
	}
	in := &Installation{Data: opt.Data, Profiles: []*Centre{c}, Centres: []string{d.name}}
	if in.Data == "" {
		in.Data = filepath.Join("data", string(c.ID))
	}
	in.setDefaults()
	if err := in.checkUsers(); err != nil {
		return nil, err
	}
	in.collectWarnings()
	return in, nil
}

func loadInstallation(d *document, opt LoadOptions) (*Installation, error) {
	in := &Installation{}
	if err := d.decode(in); err != nil {
		return nil, err
	}
	in.resolve(filepath.Dir(d.name))
	if opt.Data != "" {
		in.Data = opt.Data
	}
	in.setDefaults()
	d.checkInstallation(in)
	problems := d.problems
	seen := map[sekretariat.CentreID]string{}
	for i, name := range in.Centres {
		c, err := loadProfile(name, opt)
		var more Problems
		switch {
		case errors.As(err, &more):
			problems = append(problems.sorted(), more...)
			continue
		case err != nil:
			d.problems = nil
			d.wrong(path{"centres", i}, "%v", err)
			problems = append(problems, d.problems...)
			continue
		}
		if other, twice := seen[c.ID]; twice {
			d.problems = nil
			d.wrong(path{"centres", i}, "centre %q is already in %s: every centre has an id of its own", c.ID, other)
			problems = append(problems, d.problems...)
		}
		seen[c.ID] = name
		in.Profiles = append(in.Profiles, c)
	}
	if len(problems) > 0 {
		return nil, problems
	}
	if err := in.checkUsers(); err != nil {
		return nil, err
	}
	in.collectWarnings()
	return in, nil
}

func loadProfile(name string, opt LoadOptions) (*Centre, error) {
	d, err := open(name)
	if err != nil {
		return nil, err
	}
	return d.centre(opt.Adjust)
}

// ParseCentre reads one centre profile, for instance a stored version of it.
// name stands for it in error messages; relative paths are relative to its
// folder.
func ParseCentre(data []byte, name string) (*Centre, error) {
	d, err := parse(data, name)
	if err != nil {
		return nil, err
	}
	return d.centre(nil)
}

// Canonical returns the profile as YAML in a fixed order, the form in which
// versions of it are stored: equal profiles give equal bytes, and ParseCentre
// of them gives an equal profile.
func Canonical(c *Centre) ([]byte, error) {
	plain := *c
	plain.Mailboxes, plain.EPUAP, plain.Boxes = slices.Clone(c.Mailboxes), slices.Clone(c.EPUAP), slices.Clone(c.Boxes)
	plain.EDelivery = slices.Clone(c.EDelivery)
	for _, a := range plain.accounts() {
		a.Off = a.Off && len(a.Missing) == 0 // found out again on reading
	}
	b, err := yaml.MarshalWithOptions(&plain, yaml.OmitEmpty(), yaml.IndentSequence(true))
	if err != nil {
		return nil, fmt.Errorf("write profile of %s: %w", c.ID, err)
	}
	return b, nil
}

// centre decodes and checks a centre profile.
func (d *document) centre(adjust func(*Centre)) (*Centre, error) {
	c := &Centre{}
	if err := d.decode(c); err != nil {
		return nil, err
	}
	for _, p := range d.unknown {
		c.addUnknown(p.String())
	}
	if adjust != nil {
		adjust(c)
	}
	c.resolve(filepath.Dir(d.name))
	c.setDefaults()
	c.turnOff()
	d.checkCentre(c)
	if len(d.problems) > 0 {
		return nil, d.problems.sorted()
	}
	return c, nil
}

// decode checks the shape and, when it fits, fills v.
func (d *document) decode(v any) error {
	d.checkShape(d.root, reflect.TypeOf(v), nil)
	if len(d.problems) > 0 {
		return d.problems.sorted()
	}
	if err := yaml.NodeToValue(d.root, v, yaml.Strict()); err != nil {
		return d.syntaxError(err)
	}
	return nil
}
