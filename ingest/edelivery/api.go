package edelivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"sekretariat/extract/edoreczenia"
)

// Limits of answers.
const (
	maxList     = 64 << 20 // octets of one page
	maxMessage  = 16 << 20 // octets of one message without its files
	maxPieces   = 1000     // attachments, and evidence, of one message
	maxPages    = 10_000   // of one look
	maxFolders  = 500
	maxID       = 200 // octets
	maxEvidence = 64 << 20
)

// The folders that every mailbox has (operation "Pobierz wiadomości").
const (
	folderInbox = "INBOX"
	folderSent  = "SENT"
	folderTrash = "TRASH"
)

var predefined = []string{folderInbox, folderSent, folderTrash, "OUTBOX", "DRAFTS"}

// The types of messages (schema MessageControlData).
const (
	typeStub     = "Stub"
	typeEvidence = "Evidence"
	typeMass     = "massMessageGrouped"
)

// page is schema MessagesWrapper.
type page struct {
	Messages        []edoreczenia.Message `json:"messages"`
	Total           *int                  `json:"total"`
	ElectronicCount int                   `json:"electronicCount"`
	Warning         string                `json:"warning"`
}

// distinct counts the messages of a page. A page that shows some twice is
// shorter than it looks, and the next one begins earlier.
func (p page) distinct() int {
	ids := map[string]bool{}
	for _, m := range p.Messages {
		ids[m.Metadata.MessageID] = true
	}
	return len(ids)
}

// list asks for one page of a folder, newest first.
func (c *Channel) list(ctx context.Context, label string, offset int, from time.Time) (page, error) {
	q := url.Values{
		"label": {label}, "format": {"metadata"}, "offset": {strconv.Itoa(offset)}, "limit": {strconv.Itoa(c.tune.page)},
		"sortColumn": {"timestamp"}, "sortDirection": {"desc"},
	}
	if !from.IsZero() {
		q.Set("submissionDateFrom", from.UTC().Format(time.RFC3339))
	}
	var p page
	if _, err := c.json(ctx, request{name: "list messages", path: "/messages", query: q}, maxList, &p); err != nil {
		return p, err
	}
	if len(p.Messages) > 2000 {
		return p, failed(codePlatform, fmt.Errorf("list messages: %d messages on a page, more than the contract allows", len(p.Messages)))
	}
	return p, nil
}

// errPending: the provider is still moving the message into the mailbox (202).
var errPending = errors.New("the message is still being moved into the mailbox")

// get asks for one message. What it returns is the element of the answer, octet
// for octet.
func (c *Channel) get(ctx context.Context, id, format string) (json.RawMessage, error) {
	path, err := messagePath(id)
	if err != nil {
		return nil, err
	}
	var raw json.RawMessage
	r := request{name: "get message", path: path, query: url.Values{"format": {format}}, accept: []int{http.StatusAccepted}}
	status, err := c.json(ctx, r, maxMessage, &raw)
	if err != nil {
		return nil, about(err)
	}
	if status == http.StatusAccepted {
		return nil, failed(codePending, errPending)
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil || len(list) != 1 {
		return nil, failed(codeMessage, errors.New("get message: the answer is not a list of one message"))
	}
	return list[0], nil
}

// metadata asks for what identifies a message; it does not count as reading it.
func (c *Channel) metadata(ctx context.Context, id string) (edoreczenia.Message, error) {
	raw, err := c.get(ctx, id, "metadata")
	if err != nil {
		return edoreczenia.Message{}, err
	}
	return edoreczenia.ParseMessage(raw)
}

// thread asks for the messages of a thread.
func (c *Channel) thread(ctx context.Context, id string) ([]edoreczenia.Message, error) {
	if !validID(id) {
		return nil, nil
	}
	var t struct {
		Messages page `json:"messages"`
	}
	_, err := c.json(ctx, request{name: "get thread", path: "/threads/" + url.PathEscape(id)}, maxList, &t)
	return t.Messages.Messages, about(err)
}

// evidences lists the evidence of a message.
func (c *Channel) evidences(ctx context.Context, id string) ([]edoreczenia.Evidence, error) {
	path, err := messagePath(id)
	if err != nil {
		return nil, err
	}
	var w struct {
		Evidences []json.RawMessage `json:"evidences"`
	}
	if _, err := c.json(ctx, request{name: "list evidence", path: path + "/evidences"}, maxMessage, &w); err != nil {
		return nil, about(err)
	}
	list, err := edoreczenia.ParseEvidences(w.Evidences)
	if err != nil || len(list) > maxPieces {
		return nil, failed(codeMessage, fmt.Errorf("list evidence: %d pieces: %w", len(w.Evidences), errors.Join(err, errAnswer)))
	}
	return list, nil
}

// errAnswer: an answer that the contract does not know.
var errAnswer = errors.New("the answer is not that of the contract")

var binary = []string{"application/octet-stream"}

// attachment opens the octets of an attachment. The operation with a body is
// the one for any size.
func (c *Channel) attachment(ctx context.Context, id, attachment string) (io.ReadCloser, error) {
	body := map[string]string{"messageId": id, "attachmentId": attachment}
	return c.file(ctx, request{name: "download attachment", method: http.MethodPost, path: "/attachments/download", body: body, types: binary})
}

// evidence opens the octets of a piece of evidence.
func (c *Channel) evidence(ctx context.Context, m edoreczenia.Metadata, e edoreczenia.Evidence) (io.ReadCloser, error) {
	service := "purde"
	if m.Shipping == "hybrid" {
		service = "puh"
	}
	path := "/evidences/" + service + "/" + url.PathEscape(e.ID)
	if e.EvidenceType() == "HEPO" {
		path = "/evidences/puhepo/" + url.PathEscape(m.MessageID)
	}
	if !validID(e.ID) {
		return nil, failed(codeMessage, errors.New("download evidence: the id is not one"))
	}
	return c.file(ctx, request{name: "download evidence", path: path, types: binary})
}

// archive opens the provider's ZIP of a message, technical that of its
// technical evidence.
func (c *Channel) archive(ctx context.Context, id string) (io.ReadCloser, error) {
	return c.file(ctx, request{name: "download archive", path: "/messages/" + url.PathEscape(id) + "/message-archive-file", types: []string{"application/zip"}})
}

func (c *Channel) technical(ctx context.Context, id string) (io.ReadCloser, error) {
	return c.file(ctx, request{name: "download technical evidence", path: "/evidences/" + url.PathEscape(id) + "/technical-evidences-file", types: []string{"application/zip"}})
}

// file opens an answer that is a file. An answer cut short is an error of its
// reader.
func (c *Channel) file(ctx context.Context, r request) (io.ReadCloser, error) {
	resp, err := c.call(ctx, r)
	if err != nil {
		return nil, about(err)
	}
	return resp.Body, nil
}

// settings returns how many MB the mailbox has and uses.
func (c *Channel) settings(ctx context.Context) (total, used float64, err error) {
	var s struct {
		Settings map[string]any `json:"settings"`
	}
	if _, err := c.json(ctx, request{name: "get settings", path: "/settings"}, maxMessage, &s); err != nil {
		return 0, 0, err
	}
	return number(s.Settings["totalCapacity"]), number(s.Settings["usedCapacity"]), nil
}

func number(v any) float64 {
	n, err := strconv.ParseFloat(strings.ReplaceAll(strings.TrimSpace(fmt.Sprint(v)), ",", "."), 64)
	if err != nil || n < 0 || n > 1e12 {
		return 0
	}
	return n
}

// folders lists the labels of the folders that the office made in its mailbox.
func (c *Channel) folders(ctx context.Context) ([]string, error) {
	var list []struct {
		Label string `json:"label"`
		Type  string `json:"type"`
	}
	if _, err := c.json(ctx, request{name: "list folders", path: "/directories"}, maxMessage, &list); err != nil {
		return nil, err
	}
	var out []string
	for _, d := range list[:min(len(list), maxFolders)] {
		if d.Label != "" && d.Type != "predefined" && !slices.Contains(predefined, d.Label) && !slices.Contains(out, d.Label) {
			out = append(out, d.Label)
		}
	}
	return out, nil
}

// move moves a message to a folder. The contract names the operation and its
// form (JSON Patch of one step with a Label), but not the path: that is
// configuration.
func (c *Channel) move(ctx context.Context, id, folder string) error {
	path, err := messagePath(id)
	if err != nil {
		return err
	}
	patch := []map[string]any{{"op": "replace", "path": c.o.Account.MovePath, "value": map[string]string{"label": folder, "messageLocation": folder}}}
	_, err = c.json(ctx, request{name: "move message", method: http.MethodPatch, path: path + "/message_control_data", body: patch}, maxMessage, nil)
	return confirming(err)
}

// remove deletes a message that lies in the TRASH.
func (c *Channel) remove(ctx context.Context, id string) error {
	path, err := messagePath(id)
	if err != nil {
		return err
	}
	_, err = c.json(ctx, request{name: "delete message", method: http.MethodDelete, path: path}, maxMessage, nil)
	return confirming(err)
}

// confirming makes a refusal to move or delete one that stops nothing else.
func confirming(err error) error {
	if err = about(err); codeOf(err) == codeMessage {
		return &fault{code: codeConfirm, after: afterOf(err), err: err}
	}
	return err
}

// subscribe asks the provider to call us when something arrives.
func (c *Channel) subscribe(ctx context.Context, callback string) error {
	body := map[string]string{"messageCallbackUrl": callback, "evidenceCallbackUrl": callback, "inboxCallbackUrl": callback}
	_, err := c.json(ctx, request{name: "subscribe", method: http.MethodPut, path: "/message_subscriptions", body: body}, maxMessage, nil)
	return err
}

// messagePath is the path of a message. Ids are the provider's, and they
// become part of a path: "..", for one, is none.
func messagePath(id string) (string, error) {
	if !validID(id) {
		return "", failed(codeMessage, errors.New("the id of a message is not one"))
	}
	return "/messages/" + url.PathEscape(id), nil
}

func validID(id string) bool {
	return id != "" && id != "." && id != ".." && len(id) <= maxID && !strings.ContainsFunc(id, func(r rune) bool { return r < 0x21 || r == 0x7f })
}
