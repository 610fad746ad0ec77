package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// How much memory the collector may let grow. Under backlog the staging log's
// waiting objects (maxPending) and what NATS keeps are about a hundred MiB;
// less room above them doubles the cost of a letter. What NATS keeps of each
// subject grows with the years, some 250 octets each and four subjects a
// letter: a fixed limit below that would have the collector run without end.
const (
	leastMemory  = 224 << 20              // octets, the limit of a young installation
	roomAbove    = 96 << 20               // above what is in use
	memoryChecks = 200 * time.Millisecond // a start fills the heap within seconds
)

// tuneMemory lets garbage grow while there is little of it: under backlog the
// collector then costs a third, and the limit keeps the process small. The
// limit moves with what is in use, until ctx ends. What the operator sets by
// GOGC and GOMEMLIMIT stands.
func tuneMemory(ctx context.Context) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(leastMemory)
		go keepRoom(ctx)
	}
}

func keepRoom(ctx context.Context) {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	tick := time.NewTicker(memoryChecks)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		metrics.Read(sample)
		if sample[0].Value.Kind() == metrics.KindUint64 {
			debug.SetMemoryLimit(limitFor(int64(sample[0].Value.Uint64())))
		}
	}
}

// limitFor is the limit for live octets of heap: at least a quarter above them.
func limitFor(live int64) int64 { return max(leastMemory, live+max(roomAbove, live/4)) }
