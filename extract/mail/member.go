package mail

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"sekretariat/extract/mapi"
	"sekretariat/extract/msg"
)

// maxSpool bounds an Outlook message that is wrapped in something and must be
// in memory to be opened, octets.
const maxSpool = 64 << 20

// memberReader reads one stream of an Outlook message: an attachment
// ("0.2"), or a body ("0.text").
type memberReader struct {
	r     io.Reader
	which string
	data  io.Reader
}

// Read implements io.Reader.
func (m *memberReader) Read(p []byte) (int, error) {
	if m.data == nil {
		at, size, err := random(m.r)
		if err != nil {
			return 0, err
		}
		f, err := msg.Open(at, size)
		if err != nil {
			return 0, fmt.Errorf("open Outlook message: %w", err)
		}
		m.data = member(f, m.which)
	}
	return m.data.Read(p)
}

// random returns r for reading at random: as it is, or from memory.
func random(r io.Reader) (io.ReaderAt, int64, error) {
	if s, ok := r.(*io.SectionReader); ok {
		return s, s.Size(), nil
	}
	if d, ok := r.(*dropReader); ok && d.drop == 0 {
		return random(d.r)
	}
	b, err := io.ReadAll(io.LimitReader(r, maxSpool+1))
	if err != nil {
		return nil, 0, err
	}
	if len(b) > maxSpool {
		return nil, 0, fmt.Errorf("wrapped Outlook message of more than %d octets", maxSpool)
	}
	return bytes.NewReader(b), int64(len(b)), nil
}

// typeRTF is the compressed form in which Outlook keeps RTF: nothing else
// opens it.
const typeRTF = "application/x-rtf-compressed"

// bodies are the properties that hold the text of a message, by the name of
// their step.
var bodies = map[string]mapi.ID{"text": mapi.Body, "html": mapi.HTML, "rtf": mapi.RTFCompressed}

// member returns a stream by its step, an empty reader if there is none.
func member(f *msg.File, which string) io.Reader {
	var path []int
	for word := range strings.SplitSeq(which, ".") {
		if id, ok := bodies[word]; ok {
			if s := f.Value(id, path...); s != nil {
				return tolerant{io.LimitReader(s, mapi.MaxValue)}
			}
			return bytes.NewReader(nil)
		}
		path = append(path, int(min(atoi(word), 1<<20)))
	}
	if s := f.Attachment(path...); s != nil {
		return tolerant{s}
	}
	return bytes.NewReader(nil)
}

// tolerant takes a stream whose sectors are missing for one that ends there.
type tolerant struct{ r io.Reader }

// Read implements io.Reader.
func (t tolerant) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, err
}
