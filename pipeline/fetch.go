package pipeline

import (
	"context"
	"crypto/sha1" //nolint:gosec // one of the digests by which a letter may name its attachment
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"sekretariat"
	"sekretariat/extract/virus"
	"sekretariat/ledger"
	"sekretariat/storage"
)

// Remote fetches what a letter only refers to from the platform that the
// letter came through.
type Remote interface {
	// Fetch writes the octets of the file with that id to w; account is the
	// one that the letter came through. They count only if the error is nil.
	// Returns ErrRemoteGone, ErrRemoteTooLarge or ErrRemoteOff for what no
	// repetition mends.
	Fetch(ctx context.Context, account, id string, w io.Writer) error
	// Accounts lists the accounts whose platform has files to fetch.
	Accounts() []string
	// Limit bounds one file of an account, octets; 0: nothing can be fetched.
	Limit(account string) int64
}

// What no repetition mends.
var (
	ErrRemoteGone     = errors.New("the platform does not give the file")
	ErrRemoteTooLarge = errors.New("the file is over the limit")
	ErrRemoteOff      = errors.New("fetching is not configured for this account")
)

// fetchers is how many letters are worked on at once; the platform gives one
// file at a time anyway.
const fetchers = 2

// The codes of FetchedData.
const (
	fetchGone     = "gone"
	fetchTooLarge = "too-large"
	fetchOdd      = "digest-differs"
)

// fetchGroup is the work group of an account. Each has one of its own, which
// begins at the first letter: an account whose repository is configured later
// then gets what its letters have referred to until now.
func fetchGroup(account string) string {
	sum := sha256.Sum256([]byte(account))
	return "fetch-" + hex.EncodeToString(sum[:8])
}

// fetch gets the attachments of one letter of an account that lie at the
// platform. It may be down for hours: the letter has been routed long before.
func (p *Pipeline) fetch(ctx context.Context, account string, s ledger.Stored) error {
	if s.Event.Type != sekretariat.EventRead {
		return nil
	}
	d, err := sekretariat.DataOf[sekretariat.ReadData](s.Event)
	if err != nil {
		return ledger.Permanent(err)
	}
	if d.Arrived.Kind != sekretariat.KindEPUAP || d.Arrived.Account != account || d.Outcome == sekretariat.ReadUnreadable {
		return nil
	}
	r, err := LoadReading(ctx, p.o.Vault, p.id, d.Letter.Submission(), d.Reading)
	if hopeless(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, q := range r.Parts {
		if q.Fate != FateRemote || q.ContentID == "" {
			continue
		}
		if err := p.fetchPart(ctx, d, q); err != nil {
			return fmt.Errorf("fetch part %s of letter %s: %w", q.Path, d.Letter, err)
		}
	}
	return nil
}

// FateRemote is the fate of a part that lies at the platform.
const FateRemote = "remote"

func (p *Pipeline) fetchPart(ctx context.Context, d sekretariat.ReadData, q sekretariat.Part) error {
	state, _, err := State(ctx, p.o.Log, d.Letter.Submission())
	if err != nil {
		return err
	}
	if l := state.Letters[d.Letter.Part()]; l != nil {
		if _, done := l.Fetched[q.Path]; done {
			return nil
		}
	}
	data := sekretariat.FetchedData{Letter: d.Letter, Part: q.Path}
	f := fetching{p: p, ctx: ctx, submission: d.Letter.Submission(), account: d.Arrived.Account, id: q.ContentID}
	ref, err := f.have()
	switch {
	case errors.Is(err, ErrRemoteOff), errors.Is(err, storage.ErrShredded):
		return nil
	case errors.Is(err, ErrRemoteGone):
		data.Code = fetchGone
	case errors.Is(err, ErrRemoteTooLarge):
		data.Code = fetchTooLarge
	case err != nil:
		return err
	default:
		data.Object = &ref
		if data.Code, data.Scan, err = p.examine(ctx, d.Letter.Submission(), ref, q.Remark); err != nil {
			return err
		}
	}
	p.o.Logger.Info().Str("letter", string(d.Letter)).Str("part", q.Path).Str("code", data.Code).Msg("attachment at the platform settled")
	return p.amend(ctx, d.Letter, 0, func(l *sekretariat.Letter) (*sekretariat.Event, error) {
		if _, done := l.Fetched[q.Path]; done {
			return nil, nil
		}
		return p.event(sekretariat.EventFetched, "fetch", string(d.Letter), len(l.Fetched), data)
	})
}

// fetching is one file on its way. The platform gives each file once, whoever
// refers to it, so whatever we have is looked for first: below the letter, then
// below the letter that got it before.
type fetching struct {
	p          *Pipeline
	ctx        context.Context
	submission sekretariat.SubmissionID
	account    string
	id         string
}

// pointer says where a file of the platform lies.
type pointer struct {
	Submission sekretariat.SubmissionID `json:"submission"`
}

// name is a digest of account and id.
func (f *fetching) name() string { return fetchName(f.account, f.id) }

func fetchName(account, id string) string {
	sum := sha256.Sum256([]byte(account + "\x00" + id))
	return hex.EncodeToString(sum[:])
}

// key is where the file lies below a submission.
func (f *fetching) key(s sekretariat.SubmissionID) string {
	return storage.DerivedKey(f.p.id, s, "fetch-1", f.name())
}

func (f *fetching) pointerKey() string {
	return storage.ConfigKey(f.p.id, "fetched/"+f.account+"."+f.name())
}

// have returns the file below this submission, fetching it if need be.
func (f *fetching) have() (sekretariat.ObjectRef, error) {
	ref, err := f.stored(f.submission)
	if !errors.Is(err, storage.ErrNotFound) {
		if err == nil {
			err = f.point() // a crash may have kept it from being told
		}
		return ref, err
	}
	first, err := f.pointed()
	if err != nil {
		return ref, err
	}
	if first != "" && first != f.submission {
		if ref, err = f.copy(first); !hopeless(err) && !errors.Is(err, storage.ErrNotFound) {
			return ref, err
		}
	}
	return f.download()
}

// stored looks for the file below a submission.
func (f *fetching) stored(s sekretariat.SubmissionID) (sekretariat.ObjectRef, error) {
	body, err := f.p.o.Vault.Open(f.ctx, f.p.id, s, f.key(s))
	if err != nil {
		return sekretariat.ObjectRef{}, err
	}
	defer body.Close()
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(body, 0, body.Size())); err != nil {
		return sekretariat.ObjectRef{}, fmt.Errorf("read the fetched file back: %w", err)
	}
	return sekretariat.ObjectRef{Key: f.key(s), SHA256: sekretariat.Digest(hex.EncodeToString(h.Sum(nil))), Size: body.Size()}, nil
}

// download fetches the file and makes it durable before anything else happens.
func (f *fetching) download() (sekretariat.ObjectRef, error) {
	limit := f.p.o.Remote.Limit(f.account)
	if limit == 0 {
		return sekretariat.ObjectRef{}, ErrRemoteOff
	}
	return f.keep(limit, func(w io.Writer) error {
		return f.p.o.Remote.Fetch(f.ctx, f.account, f.id, w)
	})
}

// copy takes the file from the letter that got it before.
func (f *fetching) copy(from sekretariat.SubmissionID) (sekretariat.ObjectRef, error) {
	body, err := f.p.o.Vault.Open(f.ctx, f.p.id, from, f.key(from))
	if err != nil {
		return sekretariat.ObjectRef{}, err
	}
	defer body.Close()
	return f.keep(body.Size(), func(w io.Writer) error {
		_, err := io.Copy(w, io.NewSectionReader(body, 0, body.Size()))
		return err
	})
}

// keep seals what fill writes and says where it can be found by others.
func (f *fetching) keep(limit int64, fill func(io.Writer) error) (ref sekretariat.ObjectRef, err error) {
	spool, err := f.p.o.Vault.NewSpool(limit)
	if err != nil {
		return ref, err
	}
	defer spool.Discard()
	if err := fill(spool); err != nil {
		return ref, err
	}
	facts := spool.Facts()
	ref = sekretariat.ObjectRef{Key: f.key(f.submission), SHA256: facts.SHA256, Size: facts.Size}
	if err := f.p.o.Vault.Commit(f.ctx, f.p.id, f.submission, []storage.SealItem{{Key: ref.Key, Spool: spool}}); err != nil {
		return ref, fmt.Errorf("keep the fetched file: %w", err)
	}
	return ref, f.point()
}

// point tells under which submission the file lies, unless another one was
// first.
func (f *fetching) point() error {
	raw, err := json.Marshal(pointer{f.submission})
	if err != nil {
		return fmt.Errorf("pointer to a fetched file: %w", err)
	}
	err = f.p.o.Vault.Objects().PutOnce(f.ctx, f.pointerKey(), storage.Bytes(raw))
	if err != nil && !errors.Is(err, storage.ErrExists) {
		return fmt.Errorf("pointer to a fetched file: %w", err)
	}
	return nil
}

// pointed returns the submission under which the file lies, "" if none.
func (f *fetching) pointed() (sekretariat.SubmissionID, error) {
	o, err := f.p.o.Vault.Objects().Get(f.ctx, f.pointerKey())
	if errors.Is(err, storage.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("pointer to a fetched file: %w", err)
	}
	defer o.Close()
	raw, err := io.ReadAll(io.NewSectionReader(o, 0, min(o.Size(), 1<<10)))
	if err != nil {
		return "", fmt.Errorf("pointer to a fetched file: %w", err)
	}
	var at pointer
	if err := json.Unmarshal(raw, &at); err != nil {
		return "", nil // damaged: fetch as if nobody had it
	}
	return at.Submission, nil
}

// examine compares a fetched file with the digest that the letter may give, and
// has it looked at by the virus scanner, as every other part.
func (p *Pipeline) examine(ctx context.Context, s sekretariat.SubmissionID, ref sekretariat.ObjectRef, description string) (code string, state sekretariat.ScanState, err error) {
	read := func(use func(io.Reader) error) error {
		body, err := p.o.Vault.Open(ctx, p.id, s, ref.Key)
		if err != nil {
			return fmt.Errorf("open the fetched file: %w", err)
		}
		defer body.Close()
		return use(io.NewSectionReader(body, 0, body.Size()))
	}
	if digest := digestIn(description); digest != nil {
		one := sha1.New() //nolint:gosec // see above
		if err := read(func(r io.Reader) error { _, err := io.Copy(one, r); return err }); err != nil {
			return "", "", err
		}
		if got := hex.EncodeToString(one.Sum(nil)); hex.EncodeToString(digest) != got && hex.EncodeToString(digest) != string(ref.SHA256) {
			code = fetchOdd
		}
	}
	if p.o.Scanner == nil {
		return code, "", nil
	}
	found := ""
	err = read(func(r io.Reader) (err error) { found, err = p.o.Scanner.Scan(ctx, r); return err })
	switch {
	case errors.Is(err, virus.ErrTooLarge):
		return code, sekretariat.ScanFailed, nil
	case err != nil:
		return "", "", fmt.Errorf("scan the fetched file: %w", err)
	case found != "":
		return code, sekretariat.ScanInfected, nil
	}
	return code, sekretariat.ScanClean, nil
}

// digestIn returns the digest that a description is, in hex or base64, by
// SHA-1 or SHA-256; nil if it is a description. Form 1410 shows that field as
// the hash of an attachment; what others write there is not known.
func digestIn(description string) []byte {
	s := strings.TrimSpace(description)
	for _, decode := range []func(string) ([]byte, error){hex.DecodeString, base64.StdEncoding.DecodeString} {
		if b, err := decode(s); err == nil && (len(b) == sha1.Size || len(b) == sha256.Size) {
			return b
		}
	}
	return nil
}
