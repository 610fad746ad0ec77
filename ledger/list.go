package ledger

import (
	"context"
	"fmt"
	"time"
)

// StreamSummary describes one stream of the server, for export as JSON.
type StreamSummary struct {
	Name     string    `json:"name"`
	Centre   string    `json:"centre,omitempty"` // "" for what belongs to the installation
	Stream   string    `json:"stream,omitempty"` // a StreamName
	Messages uint64    `json:"messages"`
	Bytes    uint64    `json:"bytes"`
	First    uint64    `json:"first"`
	Last     uint64    `json:"last"`
	Deleted  int       `json:"deleted"`
	LastTime time.Time `json:"lastTime,omitzero"`
}

// Streams lists all streams of the account, in the order of their names.
func (l *Ledger) Streams(ctx context.Context) ([]StreamSummary, error) {
	var all []StreamSummary
	for {
		var page struct {
			Total   int `json:"total"`
			Streams []struct {
				Config struct {
					Name     string            `json:"name"`
					Metadata map[string]string `json:"metadata"`
				} `json:"config"`
				State struct {
					Messages uint64    `json:"messages"`
					Bytes    uint64    `json:"bytes"`
					First    uint64    `json:"first_seq"`
					Last     uint64    `json:"last_seq"`
					Deleted  int       `json:"num_deleted"`
					LastTime time.Time `json:"last_ts"`
				} `json:"state"`
			} `json:"streams"`
		}
		if err := l.c.api(ctx, "STREAM.LIST", map[string]int{"offset": len(all)}, &page); err != nil {
			return nil, fmt.Errorf("listing streams: %w", err)
		}
		for _, s := range page.Streams {
			all = append(all, StreamSummary{
				Name: s.Config.Name, Centre: s.Config.Metadata[metaCentre], Stream: s.Config.Metadata[metaStream],
				Messages: s.State.Messages, Bytes: s.State.Bytes, First: s.State.First, Last: s.State.Last,
				Deleted: s.State.Deleted, LastTime: s.State.LastTime,
			})
		}
		if len(page.Streams) == 0 || len(all) >= page.Total {
			return all, nil
		}
	}
}
