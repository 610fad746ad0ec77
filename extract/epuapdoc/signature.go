package epuapdoc

import (
	"io"
	"slices"

	"sekretariat"
	"sekretariat/extract/xades"
)

// signatures checks the signatures of a letter and lists them.
func (d *document) signatures(l *letter) error {
	results, err := xades.Verify(l.doc, func() (io.Reader, error) {
		body := io.Reader(io.NewSectionReader(d.body, 0, d.body.Size()))
		if l.path != "" {
			body = OpenPart(d.body, sekretariat.Part{Path: l.path})
		}
		return &cancelled{d.ctx, body}, nil
	}, limits, d.o.Trust, d.o.At)
	if err != nil {
		return err
	}
	for _, r := range results {
		if len(d.r.Signatures) < maxParties {
			d.r.Signatures = append(d.r.Signatures, r.Signature(l.path))
		}
	}
	return nil
}

// signers are those who signed the letter, as far as that is proven. The seal
// of the platform says nothing of a sender, nor does a signature in a letter
// that is only attached.
func (d *document) signers() []sekretariat.Party {
	var out []sekretariat.Party
	for _, s := range d.r.Signatures {
		if s.Verdict != string(xades.Valid) || s.Signer == nil || s.Kind == string(xades.TypePlatformSeal) || !slices.Contains(d.spoke, s.Part) {
			continue
		}
		if !slices.ContainsFunc(out, func(p sekretariat.Party) bool { return same(p, *s.Signer) }) {
			out = append(out, *s.Signer)
		}
	}
	return out
}
