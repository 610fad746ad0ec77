package register

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"

	"sekretariat"
	"sekretariat/ledger"
	"sekretariat/storage"
)

// maxManifest bounds the manifests that are read back, octets.
const maxManifest = 1 << 20

// manifestsAtOnce is how many manifests and originals are checked at a time.
const manifestsAtOnce = 4

// intake checks each announced submission against its objects, and judges its
// letters.
func (v *verifier) intake(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(manifestsAtOnce)
	err := v.replay(ctx, ledger.Intake, func(s ledger.Stored) {
		a, ok := decode[sekretariat.ArrivedData](v, s)
		k, valid := keyOf(a.Submission)
		if !ok || s.Event.Type != sekretariat.EventArrived || !valid {
			v.fault("bad-event", fmt.Sprintf("%s %d", s.Stream, s.Seq), doReport, "no arrival of a submission")
			return
		}
		sub := v.subs[k]
		if sub == nil {
			sub = &verified{}
			v.subs[k] = sub
		}
		if sub.announced {
			v.fault("announced-twice", string(a.Submission), doReport, "the submission was announced a second time at INTAKE %d", s.Seq)
			return
		}
		sub.announced = true
		v.judge(a.Submission, sub, a.Received)
		g.Go(func() error { return v.manifest(ctx, a, sub) })
	})
	if err := errors.Join(err, g.Wait()); err != nil {
		return err
	}
	for k, s := range v.subs {
		if !s.announced {
			id := sekretariat.SubmissionID(hex.EncodeToString(k[:]))
			v.fault("not-announced", string(id), doRebuild, "LETTER, REGISTER or QUEUE know the submission, INTAKE does not")
			v.judge(id, s, v.report.Waiting.Oldest)
			v.report.Arrived--
		}
	}
	return nil
}

// manifest checks one submission's manifest and original.
func (v *verifier) manifest(ctx context.Context, a sekretariat.ArrivedData, sub *verified) error {
	id := string(a.Submission)
	raw, err := v.o.Vault.ReadAll(ctx, v.o.Centre, a.Submission, storage.ManifestKey(v.o.Centre, a.Submission), maxManifest)
	switch {
	case errors.Is(err, storage.ErrShredded):
		v.mu.Lock()
		v.report.Destroyed++
		v.mu.Unlock()
		return nil
	case errors.Is(err, storage.ErrNotFound):
		v.fault("manifest-missing", id, doRestore, "announced, but %v", err)
		return nil
	case errors.Is(err, storage.ErrDamaged), errors.Is(err, storage.ErrTooLarge):
		v.fault("manifest-damaged", id, doRestore, "%v", err)
		return nil
	case err != nil:
		return err
	}
	sum := sekretariat.DigestOf(raw)
	registered, _ := keyOf(sekretariat.SubmissionID(sum))
	var m sekretariat.Manifest
	switch {
	case sum != a.Manifest:
		v.fault("manifest-other", id, doRestore, "the manifest is not the one that was announced")
	case sub.manifest != [32]byte{} && sub.manifest != registered:
		v.fault("manifest-other", id, doReport, "the manifest is not the one that was registered")
	case json.Unmarshal(raw, &m) != nil || m.Submission != a.Submission || m.Centre != v.o.Centre:
		v.fault("manifest-other", id, doReport, "the manifest belongs to something else")
	default:
		return v.original(ctx, a.Submission, m.Original, sub)
	}
	return nil
}

// original checks that the original is there and, in a deep check, what it is.
func (v *verifier) original(ctx context.Context, id sekretariat.SubmissionID, ref sekretariat.ObjectRef, sub *verified) error {
	sub.original = half(ref.SHA256)
	var err error
	facts := sekretariat.BodyFacts{SHA256: ref.SHA256, Size: ref.Size}
	if v.o.Deep {
		facts, err = v.o.Vault.Check(ctx, v.o.Centre, id, ref.Key)
	} else {
		var i storage.Info
		if i, err = v.o.Vault.Objects().Head(ctx, ref.Key); err == nil && i.Size != storage.SealedSize(ref.Size) {
			err = fmt.Errorf("%s has %d octets instead of %d: %w", ref.Key, i.Size, storage.SealedSize(ref.Size), storage.ErrDamaged)
		}
	}
	switch {
	case errors.Is(err, storage.ErrNotFound):
		v.fault("original-missing", string(id), doRestore, "%v", err)
	case errors.Is(err, storage.ErrDamaged):
		v.fault("original-damaged", string(id), doRestore, "%v", err)
	case err != nil:
		return err
	case facts.SHA256 != ref.SHA256 || facts.Size != ref.Size:
		v.fault("original-other", string(id), doRestore, "the original has %d octets of digest %s, the manifest says %d of %s", facts.Size, facts.SHA256, ref.Size, ref.SHA256)
	}
	return nil
}

// half returns the first 64 bits of a digest.
func half(d sekretariat.Digest) uint64 {
	raw, err := hex.DecodeString(string(d))
	if err != nil || len(raw) < 8 {
		return 0
	}
	return binary.BigEndian.Uint64(raw)
}

// objects walks the whole store of the centre for what nobody knows and, in a
// deep check, opens what belongs to letters beside manifests and originals.
func (v *verifier) objects(ctx context.Context) error {
	root := fmt.Sprintf("c/%s/", v.o.Centre)
	var orphan subKey
	n := 0
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(manifestsAtOnce)
	err := v.o.Vault.Objects().List(ctx, root, func(i storage.Info) error {
		if n++; n%10000 == 0 {
			v.o.Progress("objects", n)
		}
		kind, rest, _ := strings.Cut(strings.TrimPrefix(i.Key, root), "/")
		switch kind {
		case "s":
			if id, name := v.submissionObject(i.Key, rest, &orphan); v.o.Deep && id != "" && beside(name) {
				g.Go(func() error { return v.derived(ctx, id, i.Key, name) })
			}
		case "r":
			if !v.knownEntry(rest) {
				return v.unknownEntry(ctx, i.Key)
			}
		case "j", "k":
		default:
			v.note("unknown-object", i.Key, "", "no part of the house has put it there")
		}
		return nil
	})
	if err := errors.Join(err, g.Wait()); err != nil {
		return fmt.Errorf("list objects: %w", err)
	}
	v.readings()
	return nil
}

// beside tells whether an object of a submission is neither its manifest nor an
// original, which are checked from the announcement on.
func beside(name string) bool { return name != "manifest.json" && !strings.HasPrefix(name, "o.") }

// doShown is said of readings: whoever opens the letter sees its original.
const doShown = "nothing is lost: the original is there, and the letter is shown without what was read in it"

// derived opens a card, a note or a reading.
func (v *verifier) derived(ctx context.Context, id sekretariat.SubmissionID, key, name string) error {
	_, err := v.o.Vault.Check(ctx, v.o.Centre, id, key)
	switch {
	case errors.Is(err, storage.ErrNotFound), errors.Is(err, storage.ErrShredded):
		return nil
	case errors.Is(err, storage.ErrDamaged) && strings.HasSuffix(name, ".reading.json"):
		v.note("reading-damaged", string(id), doShown, "%v", err)
		return nil
	case errors.Is(err, storage.ErrDamaged):
		v.fault("object-damaged", string(id), doRestore, "%v", err)
		return nil
	}
	return err
}

// submissionObject looks at one object below a submission and returns which
// one of which submission it is, "" if nobody knows that. orphan is the last
// submission that was reported as unknown: it is named once.
func (v *verifier) submissionObject(key, rest string, orphan *subKey) (sekretariat.SubmissionID, string) {
	_, name, _ := strings.Cut(rest, "/")
	id, name, _ := strings.Cut(name, ".")
	k, ok := keyOf(sekretariat.SubmissionID(id))
	if !ok {
		v.note("unknown-object", key, "", "no part of the house has put it there")
		return "", ""
	}
	sub := v.subs[k]
	if sub == nil {
		if !bytes.Equal(orphan[:], k[:]) {
			*orphan = k
			v.note("unannounced", id, "nothing: the source still has it, or it is on its way",
				"objects of a submission that INTAKE did not announce before this check began")
		}
		return "", ""
	}
	if d, ok := strings.CutPrefix(name, "o."); ok && sub.original != 0 && half(sekretariat.Digest(d)) != sub.original {
		v.note("second-original", id, "nothing: the first delivery's bytes count", "other bytes of the same delivery are stored as %s", key)
	}
	var part int
	if at := strings.LastIndex(strings.TrimSuffix(name, ".reading.json"), "."); strings.HasPrefix(name, "d.") && strings.HasSuffix(name, ".reading.json") && at >= 0 {
		if _, err := fmt.Sscanf(name[at+1:], "%d.", &part); err != nil {
			part = 0
		}
		for i := range sub.letters {
			if int(sub.letters[i].part) == part {
				sub.letters[i].hasReading = true
			}
		}
	}
	return sekretariat.SubmissionID(id), name
}

// readings names letters that were read and whose reading is gone.
func (v *verifier) readings() {
	for k, s := range v.subs {
		for _, l := range s.letters {
			if l.read && !l.hasReading {
				v.note("reading-missing", fmt.Sprintf("%x.%d", k[:], l.part), doShown, "the letter was read, and its reading is gone")
			}
		}
	}
}

// lagNote is how many events the journal may be behind before that is a fault:
// a killed service leaves the last object unwritten until it runs again.
const lagNote = 5000

// journal compares the journal of each stream with the stream.
func (v *verifier) journal(ctx context.Context) error {
	for i := range v.report.Streams {
		s := &v.report.Streams[i]
		hashes := v.hashes[s.Stream]
		next, err := ledger.ReadJournal(ctx, v.o.Vault.Objects(), v.o.Centre, s.Stream, 1, func(e ledger.Stored) error {
			if e.Seq <= uint64(len(hashes)) {
				if has := hashes[e.Seq-1]; has != 0 && has != hashOf(e) {
					v.fault("journal-other", fmt.Sprintf("%s %d", s.Stream, e.Seq), doRebuild, "ledger and journal hold different events")
				}
			}
			return nil
		})
		switch {
		case errors.Is(err, storage.ErrDamaged):
			v.fault("journal-damaged", string(s.Stream), doMend, "%v", err)
			continue
		case err != nil:
			return err
		}
		s.Journal = next - 1
		if err := v.journalEnd(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// journalEnd compares how far ledger and journal go.
func (v *verifier) journalEnd(ctx context.Context, s *StreamReport) error {
	if s.Journal > s.Events {
		st, err := v.o.Log.State(ctx, s.Stream)
		if err != nil {
			return err
		}
		if st.Last < s.Journal {
			v.fault("journal-ahead", string(s.Stream), doRebuild, "the journal goes on to %d, the stream ends at %d: the ledger was rewound", s.Journal, st.Last)
		}
		return nil
	}
	behind := s.Events - s.Journal
	switch {
	case behind > lagNote:
		v.fault("journal-behind", string(s.Stream), "let the service run with a store that takes writes; it catches up by itself", "the journal lacks the last %d events", behind)
	case behind > 0:
		v.note("journal-behind", string(s.Stream), "", "the journal lacks the last %d events; it is written while the service runs", behind)
	}
	return nil
}
