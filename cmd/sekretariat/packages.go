package main

import (
	"context"
	"fmt"
	"io"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/ingest"
	"sekretariat/ingest/epuap"
	"sekretariat/pipeline"
)

// packages opens emergency downloads of ePUAP that came through a box. It
// fulfils pipeline.Packages.
type packages struct {
	centre   *configs.Centre
	receiver ingest.Receiver
}

// List fulfils pipeline.Packages.
func (packages) List() string { return epuap.Descriptor }

// Letters fulfils pipeline.Packages.
func (p packages) Letters(box configs.Account, list []byte, names []string) ([]pipeline.Packaged, error) {
	letters, err := epuap.Emergency(p.centre, box, sekretariat.SystemClock, list, names)
	if err != nil {
		return nil, err
	}
	var out []pipeline.Packaged
	for _, l := range letters {
		out = append(out, pipeline.Packaged{File: l.Member, Delivery: l.Delivery})
	}
	return out, nil
}

// Take fulfils pipeline.Packages.
func (p packages) Take(ctx context.Context, d sekretariat.Delivery, body io.Reader) error {
	ticket, err := p.receiver.Take(ctx, d, body)
	if err != nil {
		return err
	}
	if _, err := ticket.Wait(ctx); err != nil {
		return fmt.Errorf("make a letter of a package durable: %w", err)
	}
	return nil
}
