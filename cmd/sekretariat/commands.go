package main

import (
	"fmt"
	"os"
	"time"

	"sekretariat/extract"
	"sekretariat/pipeline"
)

// commands is a pipeline for what people do by the command line: none of its
// workers run. reader is needed by what reads a letter anew, else nil.
func (h *house) commands(c *centreHouse, reader extract.Reader) *pipeline.Pipeline {
	return pipeline.New(pipeline.Options{
		Centre: c.cfg, Log: c.log, Vault: h.vault, Claims: h.ledger, Router: c.router, Keys: c.keys, Logger: h.log, Reader: reader,
	})
}

// readPool starts reading processes of this program; o.Command is filled in.
func readPool(c *cli, o extract.PoolOptions) (*extract.Pool, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find the program's own file for reading processes: %w", err)
	}
	o.Command, o.Logger = []string{exe, "read-child"}, logger(warnOnly, c.stderr)
	if o.Time == 0 {
		o.Time = time.Minute
	}
	return extract.NewPool(o), nil
}
