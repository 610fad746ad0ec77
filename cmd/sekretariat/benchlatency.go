package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"sekretariat"
	"sekretariat/ingest/email/dovecottest"
	"sekretariat/pipeline"
)

// latencyGap is how long the system is quiet before the next letter.
const latencyGap = 300 * time.Millisecond

// benchLatency measures one letter on a quiet system: from its arrival in the
// mailbox to its department's queue. The mail server tells of it by IDLE.
func benchLatency(ctx context.Context, c *cli, o benchFlags, messages [][]byte) error {
	count := min(o.count, 100)
	o.runs, o.count = 1, 0
	b, err := newBench(ctx, o, messages)
	if err != nil {
		return err
	}
	defer b.close()
	cfg, err := b.configure(filepath.Join(b.dir, "ours"), 0)
	if err != nil {
		return err
	}
	h, err := openHouse(ctx, cfg, logger(warnOnly, os.Stderr))
	if err != nil {
		return err
	}
	s, err := newService(h, roles{ingest: true, route: true, desk: true})
	if err != nil {
		return errors.Join(err, h.close())
	}
	queued := make(chan struct{}, 1)
	s.watch = func(st pipeline.Step) {
		if st.Type == sekretariat.EventQueued || st.Type == sekretariat.EventSorted { // sorted is told of what is set aside
			queued <- struct{}{}
		}
	}
	running, halt := context.WithCancel(ctx)
	result := make(chan error, 1)
	go func() { result <- s.run(running) }()
	took, err := oneByOne(ctx, b.dovecot, count, messages, queued)
	halt()
	if err = errors.Join(err, <-result, s.close()); err != nil {
		return err
	}
	slices.Sort(took)
	at := func(p int) time.Duration { return took[min(len(took)-1, len(took)*p/100)].Round(time.Millisecond) }
	fmt.Fprintf(c.stdout, "%d letters one by one, arrival in the mailbox to department queue: p50 %s, p95 %s, max %s\n", len(took), at(50), at(95), at(100))
	return nil
}

// oneByOne delivers a letter when the one before is in its queue.
func oneByOne(ctx context.Context, server *dovecottest.Server, count int, messages [][]byte, queued <-chan struct{}) ([]time.Duration, error) {
	var took []time.Duration
	for i := range count {
		m := append(fmt.Appendf(nil, "X-Kopia: %d\r\n", i), messages[i%len(messages)]...)
		begin := time.Now()
		if err := server.Deliver("run0", "INBOX", m, begin); err != nil {
			return took, err
		}
		select {
		case <-queued:
			took = append(took, time.Since(begin))
		case <-time.After(time.Minute):
			return took, fmt.Errorf("letter %d is not in its queue after a minute", i)
		case <-ctx.Done():
			return took, ctx.Err()
		}
		time.Sleep(latencyGap)
	}
	return took[min(1, len(took)):], nil // the first one waits for the start of the service
}
