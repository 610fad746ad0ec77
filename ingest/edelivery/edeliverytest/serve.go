package edeliverytest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxBody bounds a request's body, octets.
const maxBody = 1 << 20

// ServeHTTP answers as the provider's servers do.
func (p *Platform) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Date", p.o.Clock().UTC().Format(http.TimeFormat))
	if r.URL.Path == pathToken {
		if p.misbehave(w, r, p.fault("token")) {
			return
		}
		p.serveToken(w, r)
		return
	}
	path, ok := strings.CutPrefix(r.URL.EscapedPath(), pathAPI+"/")
	if !ok {
		http.NotFound(w, r)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		return
	}
	c, err := p.o.Contract.Request(r.Method, path, r.URL.Query(), r.Header, body)
	if err != nil {
		p.blame("%v", err)
		answer(w, http.StatusBadRequest, []any{map[string]any{"error": "BAD_REQUEST", "error_description": "opis"}})
		return
	}
	f := p.fault(c.op.name)
	if f.Cut > 0 {
		w = &cutter{ResponseWriter: w, left: f.Cut}
	}
	if p.misbehave(w, r, f) {
		return
	}
	if s := p.authorize(r, c.params["eDeliveryAddress"], c.op.scope); s != http.StatusOK {
		w.WriteHeader(s)
		return
	}
	p.serve(w, c, f, body)
	if f.Expire {
		p.ExpireTokens()
	}
}

func (p *Platform) fault(operation string) Fault {
	p.mu.Lock()
	p.counts[operation]++
	chaos := p.o.Chaos
	p.mu.Unlock()
	if chaos == nil {
		return Fault{}
	}
	return chaos(operation)
}

// SetChaos changes the faults from now on.
func (p *Platform) SetChaos(chaos func(string) Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.o.Chaos = chaos
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(encode(v))
}

// reply is what an operation answers: JSON or a file.
type reply struct {
	status int
	json   any
	file   io.Reader
	size   int64 // -1: not told
	media  string
}

// errBad is answered with 400.
var errBad = errors.New("bad request")

// serve carries out an operation and judges its own answer.
func (p *Platform) serve(w http.ResponseWriter, c *call, f Fault, body []byte) {
	out, err := p.operate(c, f, body)
	if err != nil {
		out = reply{status: http.StatusBadRequest, json: []any{map[string]any{"error": "BAD_REQUEST", "error_description": err.Error()}}}
	}
	if out.status == 0 {
		out.status = http.StatusOK
	}
	if out.file != nil {
		w.Header().Set("Content-Type", out.media)
		if out.size >= 0 {
			w.Header().Set("Content-Length", strconv.FormatInt(out.size, 10))
		}
		w.WriteHeader(out.status)
		_, _ = io.Copy(w, out.file)
		return
	}
	raw := encode(out.json)
	if err := p.o.Contract.Answer(c, out.status, raw); err != nil {
		p.blame("the simulator itself: %v", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(raw)))
	w.WriteHeader(out.status)
	_, _ = w.Write(raw)
}

// operate carries out an operation.
func (p *Platform) operate(c *call, f Fault, body []byte) (reply, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.mailboxes[c.params["eDeliveryAddress"]]
	if b == nil {
		return reply{}, errMailbox
	}
	const at = " /{eDeliveryAddress}"
	switch c.op.name {
	case "get" + at + "/messages":
		return p.list(b, c, f)
	case "get" + at + "/messages/{messageId}":
		return p.get(b, c, f)
	case "get" + at + "/threads/{threadId}":
		return b.thread(c.params["threadId"]), nil
	case "get" + at + "/messages/{messageId}/evidences":
		return b.evidences(c.params["messageId"])
	case "get" + at + "/evidences/{messageType}/{evidenceId}":
		return b.evidence(c.params["messageType"], c.params["evidenceId"], f)
	case "get" + at + "/evidences/puhepo/{messageId}":
		return b.epo(c.params["messageId"], f)
	case "get" + at + "/evidences/{messageId}/technical-evidences-file", "get" + at + "/messages/{messageId}/message-archive-file":
		return b.archive(c.params["messageId"], f)
	case "post" + at + "/attachments/download":
		return b.attachment(body, f)
	case "patch" + at + "/messages/{messageId}/message_control_data":
		return b.move(c.params["messageId"], body)
	case "delete" + at + "/messages/{messageId}":
		return b.remove(c.params["messageId"])
	case "get" + at + "/settings":
		return reply{json: map[string]any{"settings": map[string]any{"totalCapacity": strconv.Itoa(p.o.Capacity), "usedCapacity": strconv.Itoa(p.o.Used)}}}, nil
	case "get" + at + "/directories":
		return b.directories(), nil
	case "put" + at + "/message_subscriptions":
		b.callback = map[string]string{}
		return reply{json: map[string]any{"subscriptionId": newID()}}, json.Unmarshal(body, &b.callback)
	}
	return reply{}, errBad
}

func (p *Platform) list(b *mailbox, c *call, f Fault) (reply, error) {
	label := cmp.Or(c.params["label"], "INBOX")
	if label == "DRAFTS" {
		return reply{}, errBad
	}
	var found []*Message
	from, _ := time.Parse(time.RFC3339, c.params["submissionDateFrom"])
	received, _ := time.Parse(time.RFC3339, c.params["receiptDateFrom"])
	for _, id := range b.order {
		m := b.messages[id]
		if m.Label == label && !m.Sent.Before(from) && !m.Receipt.Before(received) {
			found = append(found, m)
		}
	}
	if c.params["sortColumn"] == "timestamp" {
		slices.SortStableFunc(found, func(x, y *Message) int { return x.Timestamp.Compare(y.Timestamp) })
	}
	if c.params["sortDirection"] == "desc" {
		slices.Reverse(found)
	}
	if f.Reorder {
		half := len(found) / 2
		found = append(slices.Clone(found[half:]), found[:half]...)
	}
	total := len(found)
	offset, limit := number(c.params["offset"], 0), number(c.params["limit"], 20)
	found = found[min(offset, total):min(offset+limit, total)]
	messages := []any{}
	for _, m := range found {
		messages = append(messages, m.JSON(cmp.Or(c.params["format"], "minimal")))
		if f.Double {
			messages = append(messages, m.JSON(cmp.Or(c.params["format"], "minimal")))
		}
	}
	out := map[string]any{"messages": messages, "total": total, "electronicCount": b.coming, "resultSize": len(messages)}
	if p.o.Used*100 > p.o.Capacity*90 {
		out["warning"] = "Skrzynka prawie pełna"
	}
	return reply{json: out}, nil
}

func number(s string, otherwise int) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return otherwise
	}
	return n
}

// get shows messages. Reading in full opens them, and asking for one that is
// still being moved answers 202.
func (p *Platform) get(b *mailbox, c *call, f Fault) (reply, error) {
	format := cmp.Or(c.params["format"], "full")
	out := []any{}
	for id := range strings.SplitSeq(c.params["messageId"], ",") {
		m := b.messages[id]
		if m == nil {
			return reply{}, errBad
		}
		if f.Changed {
			m.Subject += " (zmienione)"
		}
		if strings.HasPrefix(format, "full") {
			if m.pending > 0 {
				m.pending--
				return reply{status: http.StatusAccepted, json: map[string]any{"status": "PENDING"}}, nil
			}
			m.opened = true
		}
		out = append(out, m.JSON(format))
	}
	return reply{json: out}, nil
}

func (b *mailbox) thread(id string) reply {
	messages := []any{}
	for _, at := range b.order {
		if m := b.messages[at]; m.ThreadID == id {
			messages = append(messages, m.JSON("metadata"))
		}
	}
	return reply{json: map[string]any{"threadId": id, "messages": map[string]any{"messages": messages, "total": len(messages), "resultSize": len(messages)}}}
}

func (b *mailbox) evidences(id string) (reply, error) {
	m := b.messages[id]
	if m == nil {
		return reply{}, errBad
	}
	out := []any{}
	for _, e := range m.Evidences {
		out = append(out, m.EvidenceJSON(e))
	}
	return reply{json: map[string]any{"evidences": out}}, nil
}

func (b *mailbox) evidence(service, id string, f Fault) (reply, error) {
	for _, m := range b.messages {
		for i := range m.Evidences {
			if e := &m.Evidences[i]; e.ID == id && m.Hybrid == (service == "puh") {
				e.downloaded = true
				return file(e.Content, "application/octet-stream", f), nil
			}
		}
	}
	return reply{}, errBad
}

func (b *mailbox) epo(id string, f Fault) (reply, error) {
	if m := b.messages[id]; m != nil && m.Hybrid {
		for _, e := range m.Evidences {
			if e.Type == "HEPO" || e.Type == "H.EPO" {
				return file(e.Content, "application/octet-stream", f), nil
			}
		}
	}
	return reply{}, errBad
}

// archive makes up a ZIP; it does not exist of stubs and of evidence.
func (b *mailbox) archive(id string, f Fault) (reply, error) {
	m := b.messages[id]
	if m == nil || m.Type != "Message" {
		return reply{}, errBad
	}
	return file(Archive(id), "application/zip", f), nil
}

// Archive is an invented archive of a message.
func Archive(id string) []byte { return []byte("PK\x05\x06archive of " + id) }

func (b *mailbox) attachment(body []byte, f Fault) (reply, error) {
	var ask struct{ MessageID, AttachmentID string }
	if err := json.Unmarshal(body, &ask); err != nil {
		return reply{}, errBad
	}
	m := b.messages[ask.MessageID]
	if m == nil {
		return reply{}, errBad
	}
	for _, a := range m.Attachments {
		if a.ID != ask.AttachmentID {
			continue
		}
		if a.Stream != nil {
			return reply{file: a.Stream(), size: a.Size, media: "application/octet-stream"}, nil
		}
		return file(a.Content, "application/octet-stream", f), nil
	}
	return reply{}, errBad
}

func file(content []byte, media string, f Fault) reply {
	if f.WrongOctets && len(content) > 0 {
		content = bytes.Clone(content)
		content[len(content)/2] ^= 0x55
	}
	return reply{file: bytes.NewReader(content), size: int64(len(content)), media: media}
}

// move carries out a JSON Patch of one step at MovePath.
func (b *mailbox) move(ids string, body []byte) (reply, error) {
	var patch []struct {
		Op, Path string
		Value    struct{ Label string }
	}
	if err := json.Unmarshal(body, &patch); err != nil || len(patch) != 1 || patch[0].Op != "replace" || patch[0].Path != MovePath {
		return reply{}, errBad
	}
	to := patch[0].Value.Label
	if to != "INBOX" && to != "TRASH" && !slices.Contains(b.folders, to) {
		return reply{}, errBad
	}
	out := []any{}
	for id := range strings.SplitSeq(ids, ",") {
		m := b.messages[id]
		if m == nil || m.Type == "Stub" {
			return reply{}, errBad
		}
		m.Label = to
		out = append(out, map[string]any{"messageId": id, "labels": []any{map[string]any{"label": to}}})
	}
	return reply{json: out}, nil
}

// remove deletes what lies in the TRASH.
func (b *mailbox) remove(ids string) (reply, error) {
	out := []any{}
	for id := range strings.SplitSeq(ids, ",") {
		if m := b.messages[id]; m == nil || m.Label != "TRASH" {
			return reply{}, errBad
		}
		delete(b.messages, id)
		b.order = slices.DeleteFunc(b.order, func(o string) bool { return o == id })
		out = append(out, map[string]any{"messageId": id})
	}
	return reply{json: out}, nil
}

func (b *mailbox) directories() reply {
	out := []any{}
	for _, l := range []string{"INBOX", "OUTBOX", "SENT", "TRASH", "DRAFTS"} {
		out = append(out, map[string]any{"directoryId": l, "name": l, "label": l, "type": "predefined"})
	}
	for _, l := range b.folders {
		out = append(out, map[string]any{"directoryId": "d-" + l, "name": l, "label": l, "type": "defined"})
	}
	return reply{json: out}
}
