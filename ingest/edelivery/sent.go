package edelivery

import (
	"context"
	"fmt"
	"time"

	"sekretariat/extract/edoreczenia"
)

// classes are what can become of a sent message, by its status (schema
// MessageControlData). Others are on their way.
var classes = map[string]string{
	"Doręczona":           edoreczenia.ClassDelivered,
	"Uznana za doręczoną": edoreczenia.ClassDeemed,
	"Niedoręczona":        edoreczenia.ClassUndelivered,
	"Odrzucona":           edoreczenia.ClassRejected,
}

// classOf tells what became of a sent message, "" while nothing did.
func classOf(m edoreczenia.Message) string {
	if class, ok := classes[m.Control.Status]; ok {
		return class
	}
	if _, ok := edoreczenia.ParseTime(m.Metadata.ReceiptDate); ok && m.Control.Status == "" {
		return edoreczenia.ClassDelivered
	}
	return ""
}

// lookSent reads the metadata of SENT (rule P11): a sent message that has come
// to its end gives one proof, whoever sent it and from where.
func (c *Channel) lookSent(ctx context.Context, now time.Time) error {
	if !on(c.o.Account.Sent) || now.Sub(c.last.sent) < c.tune.sent {
		return nil
	}
	from := now.AddDate(0, 0, -c.o.Account.SentDays)
	seen, items := map[string]bool{}, []item{}
	for offset, pages := 0, 0; pages < maxPages && len(items) < maxNew; pages++ {
		p, err := c.list(ctx, folderSent, offset, from)
		if err != nil {
			return err
		}
		for _, m := range p.Messages {
			it := item{id: m.Metadata.MessageID, label: folderSent, class: classOf(m), message: m}
			if it.class == "" || seen[it.key()] || m.Control.Type == typeMass || m.Metadata.ReceiptDate != "" && c.before(m.Metadata.ReceiptDate) {
				continue
			}
			seen[it.key()] = true
			want, err := c.wanted(ctx, it)
			if err != nil {
				return err
			}
			if want {
				items = append(items, it)
			}
		}
		offset += p.distinct()
		if len(p.Messages) == 0 || p.Total != nil && offset >= *p.Total {
			break
		}
	}
	if err := c.work(ctx, items); err != nil {
		return err
	}
	if len(items) < maxNew {
		c.last.sent = now
	}
	return nil
}

// prepareProof asks for the evidence of a sent message. Of the message itself
// only the metadata is read.
func (c *Channel) prepareProof(ctx context.Context, it item) (*letter, error) {
	raw, err := c.get(ctx, it.id, "metadata")
	if err != nil {
		return nil, err
	}
	m, err := edoreczenia.ParseMessage(raw)
	if err != nil {
		return nil, failed(codeMessage, err)
	}
	if m.Metadata.MessageID != it.id {
		return nil, failed(codeMessage, errAnswer)
	}
	l := &letter{kind: edoreczenia.KindProof, id: it.id, class: it.class, message: m, raw: raw, sent: &m.Metadata}
	c.recall(it, l)
	if l.evidences, err = c.evidences(ctx, it.id); err != nil && !(lasting(err) && l.again) {
		return nil, err
	}
	if len(l.evidences) == 0 && c.young(m.Metadata) {
		return nil, failed(codePending, errEvidence)
	}
	return l, nil
}

// errEvidence: the status of a message came before its evidence.
var errEvidence = fmt.Errorf("the evidence is not there yet")

// young tells whether what became of a message became of it a moment ago.
func (c *Channel) young(m edoreczenia.Metadata) bool {
	for _, s := range []string{m.ReceiptDate, m.EventDate, m.SubmissionDate, m.Timestamp} {
		if t, ok := edoreczenia.ParseTime(s); ok {
			return c.o.Clock().Sub(t) < c.tune.proofAge
		}
	}
	return false
}

// related finds the message of ours that a received one answers or proves, so
// that it finds its case although we did not send it.
func (c *Channel) related(ctx context.Context, m edoreczenia.Metadata) (*edoreczenia.Metadata, error) {
	if !on(c.o.Account.Sent) {
		return nil, nil
	}
	if m.RefToMessageID != "" && validID(m.RefToMessageID) {
		about, err := c.metadata(ctx, m.RefToMessageID)
		if err == nil && about.Metadata.From.ADE == c.o.Account.Address {
			return &about.Metadata, nil
		}
		if err != nil && !lasting(err) {
			return nil, err
		}
	}
	if m.ThreadID == "" || m.ThreadID == m.MessageID {
		return nil, nil
	}
	list, err := c.thread(ctx, m.ThreadID)
	if err != nil {
		return nil, err
	}
	var newest *edoreczenia.Metadata
	var at time.Time
	for _, other := range list {
		t, ok := edoreczenia.ParseTime(other.Metadata.Timestamp)
		if other.Metadata.From.ADE == c.o.Account.Address && ok && t.After(at) {
			newest, at = &other.Metadata, t
		}
	}
	return newest, nil
}
