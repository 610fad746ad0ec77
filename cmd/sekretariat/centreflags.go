package main

import (
	"context"
	"errors"
	"flag"
)

// centreFlags are the flags of commands that work on one centre of an
// installation.
type centreFlags struct {
	installation installationFlags
	name         string
}

func (o *centreFlags) add(f *flag.FlagSet) {
	o.installation.add(f)
	f.StringVar(&o.name, "centre", "", "centre, when there are several")
}

// open opens the installation, quietly, and the centre. Whoever calls it closes
// the house.
func (o *centreFlags) open(ctx context.Context, c *cli) (*house, *centreHouse, error) {
	h, err := o.installation.openFor(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	centre, err := h.centre(o.name)
	if err != nil {
		return nil, nil, errors.Join(err, h.close())
	}
	return h, centre, nil
}
