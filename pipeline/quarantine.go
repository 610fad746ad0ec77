package pipeline

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"sekretariat"
	"sekretariat/ledger"
)

// Unlock releases a part that the virus scanner has locked by mistake: a person
// says so with a reason in words, which is kept sealed. "" is the original.
// Where the centre wants a second look, another person says the same before it
// has an effect. The bytes stay what they are.
func (p *Pipeline) Unlock(ctx context.Context, who sekretariat.Principal, id sekretariat.LetterID, path, reason string) error {
	if err := checkReason(reason); err != nil {
		return err
	}
	return p.quarantine(ctx, who, id, reason, func(l *sekretariat.Letter, ref *sekretariat.ObjectRef) (sekretariat.EventType, any, error) {
		code, found := infection(l, path)
		if !found {
			return "", nil, fmt.Errorf("%w: nothing was found in this part", ErrInvalid)
		}
		if u, there := l.Unlocked[path]; there && u.Code == code && (u.Open || u.By == who.ID) {
			return "", nil, nil
		}
		return sekretariat.EventUnlocked, sekretariat.UnlockedData{Letter: id, Path: path, Code: code, By: who.ID, Reason: ref, Two: p.o.Centre.SecondLook}, nil
	})
}

// Lock takes a release back.
func (p *Pipeline) Lock(ctx context.Context, who sekretariat.Principal, id sekretariat.LetterID, path, reason string) error {
	if err := checkReason(reason); err != nil {
		return err
	}
	return p.quarantine(ctx, who, id, reason, func(l *sekretariat.Letter, ref *sekretariat.ObjectRef) (sekretariat.EventType, any, error) {
		if _, there := l.Unlocked[path]; !there {
			return "", nil, nil
		}
		return sekretariat.EventLocked, sekretariat.LockedData{Letter: id, Path: path, By: who.ID, Reason: ref}, nil
	})
}

// infection is what was found in a part.
func infection(l *sekretariat.Letter, path string) (code string, found bool) {
	if f, remote := l.Fetched[path]; remote {
		return "fetched", f.Scan == sekretariat.ScanInfected
	}
	if l.Scan == nil {
		return "", false
	}
	i := slices.IndexFunc(l.Scan.Infected, func(q sekretariat.ScannedPart) bool { return q.Path == path })
	if i < 0 {
		return "", false
	}
	return l.Scan.Infected[i].Code, true
}

func checkReason(reason string) error {
	if reason = strings.TrimSpace(reason); reason == "" || len(reason) > maxReason {
		return fmt.Errorf("%w: a reason is needed, of at most %d characters", ErrInvalid, maxReason)
	}
	return nil
}

// quarantine appends what make returns about a letter's locked parts; type ""
// means that there is nothing to do.
func (p *Pipeline) quarantine(ctx context.Context, who sekretariat.Principal, id sekretariat.LetterID, reason string,
	make func(*sekretariat.Letter, *sekretariat.ObjectRef) (sekretariat.EventType, any, error)) error {
	if !who.Quarantine {
		return p.forbidden(ctx, who, id)
	}
	for {
		l, seq, err := p.letter(ctx, who, id)
		if err != nil {
			return err
		}
		if t, _, err := make(l, nil); err != nil || t == "" {
			return err
		}
		ref, err := p.keepReason(ctx, l, strings.TrimSpace(reason))
		if err != nil {
			return err
		}
		t, data, err := make(l, &ref)
		if err != nil {
			return err
		}
		e, err := p.event(t, "clerk", string(id), int(p.o.Clock().UnixMilli()), data)
		if err != nil {
			return err
		}
		_, err = p.o.Log.Append(ctx, ledger.Letter, ledger.Record{Subject: string(id.Submission()), LastSeq: seq, Event: *e})
		if !isConflict(err) {
			return err
		}
	}
}
