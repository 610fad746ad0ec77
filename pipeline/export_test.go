package pipeline

import (
	"context"
	"testing"
	"time"

	"sekretariat/ledger"
)

// Handle works on one event as the work group of its stream would.
func Handle(p *Pipeline, ctx context.Context, s ledger.Stored) error {
	switch s.Stream {
	case ledger.Intake:
		return p.sort(ctx, s)
	case ledger.Letter:
		return p.route(ctx, s)
	}
	return p.read(ctx, s)
}

// FetchName is under what name a file of a platform is stored.
var FetchName = fetchName

// ShortLook shortens the look of sorting for one test.
func ShortLook(t *testing.T, d time.Duration) {
	before := lookTime
	lookTime = d
	t.Cleanup(func() { lookTime = before })
}

// HandleScan works on one event as the work group of the virus scanner would.
func HandleScan(p *Pipeline, ctx context.Context, s ledger.Stored) error { return p.scan(ctx, s) }

// HandleReread works on one event as the work group of further readings would.
func HandleReread(p *Pipeline, ctx context.Context, s ledger.Stored) error { return p.reread(ctx, s) }

// HandleUPP works on one event as the work group of UPPs would.
func HandleUPP(p *Pipeline, ctx context.Context, s ledger.Stored) error { return p.receiptDay(ctx, s) }

// HandleRecover works on one event of AUDIT as its work group would.
func HandleRecover(p *Pipeline, ctx context.Context, s ledger.Stored) error { return p.recover(ctx, s) }

// HandleRecognise works on one event as the work group of text recognition would.
func HandleRecognise(p *Pipeline, ctx context.Context, s ledger.Stored) error {
	return p.recognise(ctx, s)
}

// Again is the decision that follows from a further reading.
var Again = again
