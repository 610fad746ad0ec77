package edelivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"sekretariat/extract/edoreczenia"
)

// letter is one thing to be taken, with all that was asked of the provider
// before its files are fetched.
type letter struct {
	kind      edoreczenia.Kind
	id        string // of the message
	message   edoreczenia.Message
	raw       json.RawMessage
	evidences []edoreczenia.Evidence
	class     string // of a proof
	piece     string // see item
	sent      *edoreczenia.Metadata
	lenient   bool // wrong octets came often enough: take them as they are
	bare      bool // the archive could not be had often enough: go without
	again     bool // not the first try: what is refused now is refused
}

// files streams the container. The goroutine that fetches ends with the
// reader: close it in any case.
func (c *Channel) files(ctx context.Context, l *letter) *files {
	ctx, cancel := context.WithCancel(ctx)
	r, w := io.Pipe()
	f := &files{PipeReader: r, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(f.done)
		w.CloseWithError(c.write(ctx, l, w))
	}()
	return f
}

// files is a container on its way.
type files struct {
	*io.PipeReader
	cancel context.CancelFunc
	done   chan struct{}
}

// Close ends the fetching and waits for its end.
func (f *files) Close() error {
	f.cancel()
	err := f.PipeReader.Close()
	<-f.done
	return err
}

// write fetches piece by piece and writes the container.
func (c *Channel) write(ctx context.Context, l *letter, out io.Writer) error {
	w, err := edoreczenia.NewWriter(out, l.kind, c.o.Account.Address, l.id)
	if err != nil {
		return err
	}
	keys := edoreczenia.MessageKeys
	if l.kind == edoreczenia.KindProof {
		keys = edoreczenia.SentKeys
	}
	doc, err := edoreczenia.MessageDocument(l.raw, keys...)
	if err != nil {
		return failed(codeMessage, err)
	}
	if err := w.Message(doc); err != nil {
		return err
	}
	if err := c.writeAttachments(ctx, l, w); err != nil {
		return err
	}
	if err := c.writeEvidences(ctx, l, w); err != nil {
		return err
	}
	if err := c.writeArchives(ctx, l, w); err != nil {
		return err
	}
	return w.Close()
}

func (c *Channel) writeAttachments(ctx context.Context, l *letter, w *edoreczenia.Writer) error {
	if l.kind != edoreczenia.KindMessage {
		return nil
	}
	for _, a := range l.message.Attachments {
		file := a.File.Metadata
		e := edoreczenia.Entry{Role: edoreczenia.RoleAttachment, ID: a.ID, Name: file.Filename, Type: file.ContentType, Declared: file.Size}
		s := newSum(file)
		judge := func(size int64) (string, error) { return s.judge(size, l.lenient) }
		body, err := c.attachment(ctx, l.id, a.ID)
		if err != nil {
			return err
		}
		if err := add(w, e, body, s.reader(body), judge); err != nil {
			return err
		}
	}
	return nil
}

// add copies one file and closes it. Errors of the connection are those of
// this message.
func add(w *edoreczenia.Writer, e edoreczenia.Entry, body io.Closer, r io.Reader, judge func(int64) (string, error)) error {
	err := w.Add(e, r, judge)
	if closing := body.Close(); err == nil && closing != nil {
		err = failed(codeConnect, closing)
	}
	var f *fault
	if errors.As(err, &f) {
		return about(err)
	}
	return err
}

func (c *Channel) writeEvidences(ctx context.Context, l *letter, w *edoreczenia.Writer) error {
	if len(l.evidences) == 0 {
		return nil
	}
	doc, err := edoreczenia.EvidenceDocument(l.evidences)
	if err != nil {
		return failed(codeMessage, err)
	}
	if err := w.Evidences(doc); err != nil {
		return err
	}
	for _, e := range l.evidences {
		entry := edoreczenia.Entry{Role: edoreczenia.RoleEvidence, ID: e.ID, Type: e.EvidenceType(), Name: evidenceName(e)}
		body, err := c.evidence(ctx, l.message.Metadata, e)
		if err := c.optional(ctx, w, l, entry, body, err); err != nil {
			return err
		}
	}
	return nil
}

// evidenceName names the file of a piece of evidence by its type.
func evidenceName(e edoreczenia.Evidence) string {
	switch t := e.EvidenceType(); t {
	case "BPWP", "BPOP":
		return t + ".pdf"
	default:
		return t + ".xml"
	}
}

// writeArchives adds the provider's own archives, which can only be had of
// messages that have come in full.
func (c *Channel) writeArchives(ctx context.Context, l *letter, w *edoreczenia.Writer) error {
	if l.kind != edoreczenia.KindMessage {
		return nil
	}
	if on(c.o.Account.Archive) {
		body, err := c.archive(ctx, l.id)
		if err := c.optional(ctx, w, l, edoreczenia.Entry{Role: edoreczenia.RoleArchive, ID: l.id, Name: "archive.zip", Type: "application/zip"}, body, err); err != nil {
			return err
		}
	}
	if c.o.Account.Technical {
		body, err := c.technical(ctx, l.id)
		if err := c.optional(ctx, w, l, edoreczenia.Entry{Role: edoreczenia.RoleTechnical, ID: l.id, Name: "technical.zip", Type: "application/zip"}, body, err); err != nil {
			return err
		}
	}
	return nil
}

// optional adds what a letter can do without: what the provider refuses to
// hand over, or fails to often enough, is noted as missing. A file that breaks
// off in the middle is never kept: the whole container is fetched again.
func (c *Channel) optional(ctx context.Context, w *edoreczenia.Writer, l *letter, e edoreczenia.Entry, body io.ReadCloser, err error) error {
	if err != nil && ctx.Err() != nil {
		return ctx.Err() // called off: that is no answer of the provider
	}
	if err != nil {
		refused := lasting(err) && (l.again || e.Role != edoreczenia.RoleEvidence)
		if status := statusOf(err); refused || codeOf(err) == codeMessage && l.bare {
			why := "no-answer"
			if status != 0 {
				why = fmt.Sprintf("http-%d", status)
			}
			w.Missing(edoreczenia.Missing{Role: e.Role, ID: e.ID, Why: why})
			return nil
		}
		return err
	}
	return add(w, e, body, body, nil)
}

// on reads a switch that is on unless it says otherwise.
func on(b *bool) bool { return b == nil || *b }
