package extract

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"

	"sekretariat"
	"sekretariat/extract/trust"
)

// The environment of a child.
const (
	childEnv = "SEKRETARIAT_READ_TIME"
	tempEnv  = "SEKRETARIAT_READ_TEMP"
	trustEnv = "SEKRETARIAT_READ_TRUST" // file of trust.List, "" = none
)

// Memory limits of a child: the first makes the collector work harder, the
// second makes the kernel refuse.
const (
	softMemory = 256 << 20
	hardMemory = 1 << 30
)

// Serve is the main loop of a child process: it reads requests from in and
// answers on out until in ends. The child limits itself before it looks at the
// first octet.
func Serve(in io.Reader, out io.Writer) error {
	if err := limitSelf(); err != nil {
		return err
	}
	limit, err := time.ParseDuration(os.Getenv(childEnv))
	if err != nil || limit <= 0 {
		return errors.New("this command is started by sekretariat itself to read one letter safely; use: sekretariat inspect FILE")
	}
	reader := Direct{Temp: os.Getenv(tempEnv)}
	if name := os.Getenv(trustEnv); name != "" {
		raw, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("read what the office trusts: %w", err)
		}
		if reader.Trust, err = trust.Parse(raw); err != nil {
			return err
		}
	}
	r, w := bufio.NewReaderSize(in, 64<<10), bufio.NewWriterSize(out, 64<<10)
	for {
		if err := serveOne(reader, r, w, limit); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}

func serveOne(reader Direct, r *bufio.Reader, w *bufio.Writer, limit time.Duration) error {
	var req request
	if err := readFrame(r, &req); err != nil {
		return err
	}
	// A parser in an endless loop ignores contexts; leaving is the only way.
	watch := time.AfterFunc(limit, func() { os.Exit(exitTime) })
	defer watch.Stop()
	body, err := requestBody(req, r)
	if err != nil {
		return err
	}
	if req.Op == opParts && req.Parts != nil {
		watch.Stop() // the parent watches the time: how long it takes depends on who receives
		if err := serveParts(context.Background(), reader, body, *req.Parts, w); err != nil {
			return err
		}
		return w.Flush()
	}
	if req.Op == opPages && req.Pages != nil {
		watch.Stop() // as above
		if err := servePages(context.Background(), reader, body, *req.Pages, w); err != nil {
			return err
		}
		return w.Flush()
	}
	if req.Op == opSheets {
		watch.Stop() // a batch has hundreds of pages: the parent watches the time
		a := answer{}
		if a.Sheets, err = reader.Sheets(context.Background(), body, req.Cache); err != nil {
			a = answer{Error: err.Error(), Code: codeOf(err)}
		}
		if err := writeFrame(w, a); err != nil {
			return err
		}
		return w.Flush()
	}
	req.Input.Body = body
	// What asks its context ends in time to answer with what it has.
	ctx, cancel := context.WithTimeout(context.Background(), limit*4/5)
	defer cancel()
	a := answer{}
	if req.Op == opLook && req.Parts != nil {
		a.Reading, err = reader.Look(ctx, body, *req.Parts)
	} else {
		a.Reading, err = reader.Read(ctx, req.Input)
	}
	if err != nil {
		a = answer{Error: err.Error(), Code: codeOf(err)}
	}
	if err := writeFrame(w, a); err != nil {
		return err
	}
	return w.Flush()
}

// exitTime is the exit status of a child that ran out of time.
const exitTime = 3

func requestBody(req request, r io.Reader) (sekretariat.Body, error) {
	if req.Inline >= 0 {
		if req.Inline > inlineMax {
			return nil, fmt.Errorf("inline original of %d octets", req.Inline)
		}
		b := make([]byte, req.Inline)
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, err
		}
		return bytes.NewReader(b), nil
	}
	f := os.NewFile(3, "original")
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("inherited original: %w", err)
	}
	return io.NewSectionReader(f, 0, info.Size()), nil
}

func limitSelf() error {
	debug.SetMemoryLimit(softMemory)
	debug.SetGCPercent(800) // what a letter leaves is small; the limit above holds for the large ones
	for _, l := range []struct {
		what int
		max  uint64
	}{{unix.RLIMIT_DATA, hardMemory}, {unix.RLIMIT_CORE, 0}} {
		if err := unix.Setrlimit(l.what, &unix.Rlimit{Cur: l.max, Max: l.max}); err != nil {
			return fmt.Errorf("limit the reading process: %w", err)
		}
	}
	return nil
}
