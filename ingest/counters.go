package ingest

import "sync/atomic"

// Counters are the figures of a receiver since its start, for the metrics.
type Counters struct {
	Taken    int64 // new submissions
	Octets   int64 // of their bodies
	Repeats  int64 // deliveries that were there already
	Seen     int64 // sightings written to AUDIT
	Parked   int64 // notes put before a clerk
	Failed   int64 // deliveries that were given up or whose body failed
	Retries  int64 // steps that were repeated because store or ledger failed
	InFlight int64 // deliveries being read or made durable now
}

type counters struct {
	taken, octets, repeats, seen, parked, failed, retries, inFlight atomic.Int64
}

// Counters returns the figures of now.
func (r *Intake) Counters() Counters {
	c := &r.counts
	return Counters{
		Taken: c.taken.Load(), Octets: c.octets.Load(), Repeats: c.repeats.Load(), Seen: c.seen.Load(),
		Parked: c.parked.Load(), Failed: c.failed.Load(), Retries: c.retries.Load(), InFlight: c.inFlight.Load(),
	}
}
