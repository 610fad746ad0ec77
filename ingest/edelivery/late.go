package edelivery

import (
	"context"
	"slices"
	"strings"
	"time"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/extract/edoreczenia"
)

// lateAge is how old a message may be for evidence about it to be asked for:
// the fiction of delivery comes after 14 days (art. 42 of the act on electronic
// delivery), the rest is for slow providers.
const lateAge = 30 * 24 * time.Hour

// sourceEvidences is the key of Manifest.Source with the ids of the evidence
// that a container holds, separated by blanks.
const sourceEvidences = "evidences"

// lookLate is part of the nightly look: evidence that the provider made after a
// message was taken comes in as proof about it.
func (c *Channel) lookLate(ctx context.Context, now time.Time, folders []string) error {
	if c.o.Kept == nil {
		return nil
	}
	if c.o.Account.After == configs.AfterMove {
		folders = append(slices.Clone(folders), c.o.Account.Done)
	}
	var items []item
	seen := map[string]bool{}
	for _, label := range folders {
		for offset, pages := 0, 0; pages < maxPages && len(items) < maxNew; pages++ {
			p, err := c.list(ctx, label, offset, now.Add(-lateAge))
			if err != nil {
				return err
			}
			for _, m := range p.Messages {
				it := item{id: m.Metadata.MessageID, label: label, message: m}
				at, dated := edoreczenia.ParseTime(m.Metadata.Timestamp)
				if seen[it.id] || !dated || at.Before(now.Add(-lateAge)) || !c.received(m) {
					continue
				}
				seen[it.id] = true
				late, err := c.late(ctx, it)
				if err != nil {
					return err
				}
				items = append(items, late...)
			}
			offset += p.distinct()
			if len(p.Messages) == 0 || p.Total != nil && offset >= *p.Total {
				break
			}
		}
	}
	return c.work(ctx, items)
}

// late lists the evidence about one message that is not here yet. Trouble with
// one message leaves it to the next night.
func (c *Channel) late(ctx context.Context, it item) (out []item, err error) {
	if known, err := c.known(ctx, it); err != nil || !known {
		return nil, err // it will be taken with all that there is
	}
	have, ok, err := c.o.Kept(ctx, c.submission(&letter{kind: edoreczenia.KindMessage, id: it.id}))
	if err != nil {
		return nil, failed(codeStore, err)
	}
	if !ok || have[sourceEvidences] == "" {
		return nil, nil // taken before containers told what they hold: it cannot be known what is late
	}
	list, err := c.evidences(ctx, it.id)
	if err != nil {
		if single(err) && ctx.Err() == nil {
			c.o.Logger.Warn().Str("channel", c.Name()).Err(err).Msg("evidence about a message could not be listed; it is asked for again the next night")
			return nil, nil
		}
		return nil, err
	}
	for _, e := range list {
		if e.ID == "" || listed(have[sourceEvidences], e.ID) {
			continue
		}
		piece := item{id: it.id, label: it.label, class: edoreczenia.ClassEvidence, piece: e.ID, message: it.message}
		want, err := c.wanted(ctx, piece)
		if err != nil {
			return nil, err
		}
		if want {
			out = append(out, piece)
		}
	}
	return out, nil
}

// prepareLate asks for one piece of evidence about a message that is ours.
func (c *Channel) prepareLate(ctx context.Context, it item) (*letter, error) {
	raw, err := c.get(ctx, it.id, "metadata")
	if err != nil {
		return nil, err
	}
	m, err := edoreczenia.ParseMessage(raw)
	if err != nil {
		return nil, failed(codeMessage, err)
	}
	l := &letter{kind: edoreczenia.KindProof, id: it.id, class: it.class, piece: it.piece, message: m, raw: raw, sent: &m.Metadata}
	c.recall(it, l)
	list, err := c.evidences(ctx, it.id)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(list, func(e edoreczenia.Evidence) bool { return e.ID == it.piece })
	if i < 0 {
		return nil, failed(codePending, errEvidence)
	}
	l.evidences = list[i : i+1]
	return l, nil
}

// evidenceIDs lists the evidence in a container, for Kept.
func evidenceIDs(list []edoreczenia.Evidence) string {
	ids := make([]string, 0, len(list))
	for _, e := range list {
		if !strings.ContainsAny(e.ID, " \t\r\n") {
			ids = append(ids, e.ID)
		}
	}
	if len(ids) == 0 {
		return noEvidence
	}
	return strings.Join(ids, " ")
}

// noEvidence says that a container holds none.
const noEvidence = "-"

// listed tells whether a list of ids has id. A long list may be cut in its last
// one; then what begins like that is taken for listed.
func listed(list, id string) bool {
	ids := strings.Fields(list)
	return slices.Contains(ids, id) || len(list) >= maxListed && strings.HasPrefix(id, ids[len(ids)-1])
}

// maxListed is the length from which a list may have been cut, see
// ingest.Receiver: a little less than its bound for one value.
const maxListed = 8000

// Kept returns what a manifest says of its source.
type Kept func(context.Context, sekretariat.SubmissionID) (source map[string]string, ok bool, err error)
