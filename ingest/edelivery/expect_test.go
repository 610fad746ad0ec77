package edelivery

import (
	"bytes"
	"encoding/json"
	"io"
	"testing"

	"sekretariat"
	"sekretariat/extract/edoreczenia"
	"sekretariat/ingest/edelivery/edeliverytest"
)

// expected is the container of a message, made without the channel.
func expected(t testing.TB, m edeliverytest.Message) []byte {
	t.Helper()
	raw, err := json.Marshal(m.JSON("full"))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w, err := edoreczenia.NewWriter(&b, edoreczenia.KindMessage, ade, m.ID)
	must(t, err)
	doc, err := edoreczenia.MessageDocument(raw, edoreczenia.MessageKeys...)
	must(t, err)
	must(t, w.Message(doc))
	for _, a := range m.Attachments {
		e := edoreczenia.Entry{Role: edoreczenia.RoleAttachment, ID: a.ID, Name: a.Name, Type: a.Type, Declared: int64(len(a.Content))}
		must(t, w.Add(e, bytes.NewReader(a.Content), func(int64) (string, error) { return edoreczenia.HashRight, nil }))
	}
	if len(m.Evidences) > 0 {
		var list []json.RawMessage
		for _, e := range m.Evidences {
			one, err := json.Marshal(m.EvidenceJSON(e))
			must(t, err)
			list = append(list, one)
		}
		parsed, err := edoreczenia.ParseEvidences(list)
		must(t, err)
		doc, err := edoreczenia.EvidenceDocument(parsed)
		must(t, err)
		must(t, w.Evidences(doc))
		for _, e := range m.Evidences {
			must(t, w.Add(edoreczenia.Entry{Role: edoreczenia.RoleEvidence, ID: e.ID, Type: e.Type, Name: e.Type + ".xml"}, bytes.NewReader(e.Content), nil))
		}
	}
	must(t, w.Add(edoreczenia.Entry{Role: edoreczenia.RoleArchive, ID: m.ID, Name: "archive.zip", Type: "application/zip"}, bytes.NewReader(edeliverytest.Archive(m.ID)), nil))
	must(t, w.Close())
	return b.Bytes()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// attachments returns the attachments of a container.
func attachments(t testing.TB, original []byte) (out [][]byte) {
	t.Helper()
	body := bytes.NewReader(original)
	r, err := edoreczenia.Read(t.Context(), body, edoreczenia.Options{})
	must(t, err)
	for _, p := range r.Parts {
		if !p.Attachment {
			continue
		}
		b, err := io.ReadAll(edoreczenia.OpenPart(body, p))
		must(t, err)
		if sekretariat.DigestOf(b) != p.SHA256 {
			t.Errorf("part %s is not what the container says of it", p.Path)
		}
		out = append(out, b)
	}
	return out
}
