package extract

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"path"
	"strconv"
	"strings"

	"sekretariat"
	"sekretariat/extract/archive"
	"sekretariat/extract/cms"
	"sekretariat/extract/mail"
	"sekretariat/extract/signed"
	"sekretariat/extract/sniff"
	"sekretariat/extract/xades"
)

// The types of files that are signatures or hold them.
const (
	typeCMS = "application/pkcs7-mime"
	typeXML = "application/xml"
)

// What ties a signature to a file.
const (
	pairDigest  = "digest"
	pairContent = "content"
	pairName    = "name"
)

// Limits of signatures.
const (
	maxSignatures = 100 // of one letter
	maxDetached   = 30  // signatures of other files that are paired
)

// detached is a signature of files that lie beside it.
type detached struct {
	part sekretariat.Part
	obj  *cms.Object        // a CMS file, or
	refs []signed.Reference // a signature in an XML file
	cert *cms.Certificate   // of that
}

// canSign tells whether a part may be a signature, or hold one.
func canSign(typ string) bool { return typ == typeCMS || isXML(typ) }

func isXML(typ string) bool { return typ == typeXML || typ == "text/xml" }

func (t *tree) sign(list ...sekretariat.Signature) {
	for _, s := range list {
		if len(t.r.Signatures) < maxSignatures {
			t.r.Signatures = append(t.r.Signatures, s)
		}
		if s.Verdict == sekretariat.VerdictBroken {
			t.find(mail.FindingSignatureInvalid, s.Part, "")
		}
	}
}

// pades notes the signatures in a PDF file.
func (t *tree) pades(p *sekretariat.Part, body *spooled) error {
	list, err := signed.PDF(body)
	if err != nil {
		return err
	}
	for _, s := range list {
		if s.Object == nil || len(s.Object.Signers) == 0 {
			t.sign(sekretariat.Signature{Part: p.Path, Type: "pades", Verdict: sekretariat.VerdictUnchecked, Of: p.Path, Pairing: pairContent})
			continue
		}
		for _, sig := range s.Object.Signatures("pades", p.Path, s.Digests) {
			sig.Of, sig.Pairing, sig.Covers = p.Path, pairContent, s.Whole
			t.sign(sig)
		}
	}
	return nil
}

// cms opens a CMS file: the file that it holds, or a signature of another one.
func (t *tree) cms(p *sekretariat.Part, body *spooled, depth int) error {
	held, obj, err := t.d.content(body)
	if err != nil {
		return err
	}
	defer held.Close()
	switch {
	case obj.Type.Secret():
		t.find(mail.FindingSMIMEEncrypted, p.Path, "")
		t.incomplete = true
	case len(obj.Signers) == 0:
		if obj.Broken != "" {
			t.find(FindingBroken, p.Path, "")
		}
	case obj.Detached:
		t.later(detached{part: *p, obj: obj})
	default:
		in := below(p.Path, "1")
		for _, s := range obj.Signatures("cades", p.Path, nil) {
			s.Of, s.Pairing = in, pairContent
			t.sign(s)
		}
		return t.held(p, 1, held, depth)
	}
	return nil
}

// content spools what a CMS file holds.
func (d Direct) content(body *spooled) (*spooled, *cms.Object, error) {
	f, err := Anonymous(d.Temp)
	if err != nil {
		return nil, nil, err
	}
	obj, err := cms.Read(io.NewSectionReader(body, 0, body.size), f)
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return &spooled{f, obj.Size}, obj, nil
}

// held lists a file that a signature file holds, and reads it.
func (t *tree) held(p *sekretariat.Part, n int, body *spooled, depth int) error {
	if depth >= maxDepth {
		return t.limit(p, "depth")
	}
	if t.left -= body.size; t.left < 0 || len(t.parts)+t.more >= sekretariat.MaxParts {
		return t.limit(p, "size")
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(body, 0, body.size)); err != nil {
		return err
	}
	head := make([]byte, sniff.HeadSize)
	k, err := body.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return err
	}
	q := sekretariat.Part{
		Path: below(p.Path, strconv.Itoa(n)), Name: signedName(p.Name), In: p.Path, Member: n, Attachment: true, Fate: fateListed,
		Size: body.size, SHA256: sekretariat.Digest(hex.EncodeToString(sum.Sum(nil))),
	}
	q.Type = typeOf(head[:k], q.Name)
	q.SafeName = mail.SafeName(q.Name, q.Type, q.Path)
	p.Fate = fateOpened
	if !worthALook(q.Type) || t.full(&q) {
		t.parts = append(t.parts, q)
		return nil
	}
	return t.add(q, body, depth+1)
}

// signatureEndings are those of files that sign another, or hold it.
var signatureEndings = []string{".p7m", ".p7s", ".sig", ".sign", ".xades", ".xml", ".asice", ".asics", ".sce", ".scs"}

// signedName is the name of the file that a signature file signs, "" when its
// own name does not tell.
func signedName(name string) string {
	base := path.Base(strings.ReplaceAll(name, `\`, "/"))
	for _, e := range signatureEndings {
		if len(base) > len(e) && strings.EqualFold(base[len(base)-len(e):], e) {
			return base[:len(base)-len(e)]
		}
	}
	return ""
}

// xml looks for signatures in an XML file, and for files that it holds.
func (t *tree) xml(p *sekretariat.Part, body *spooled, depth int) error {
	if strings.Contains(p.Name, "ASiCManifest") {
		t.manifest(p, body)
		return nil
	}
	if ok, err := mentions(t.ctx, body, []byte("Signature")); err != nil || !ok {
		return err
	}
	x, files, err := t.d.objects(body)
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	switch {
	case t.ctx.Err() != nil:
		return t.ctx.Err()
	case errors.As(err, new(ownError)):
		return err
	case err != nil:
		return nil // XML that is not well-formed is nothing but a file
	}
	inside := false
	for _, s := range x.Signatures {
		if len(s.Files) > 0 {
			t.later(detached{part: *p, refs: s.Files, cert: s.Certificate})
		} else {
			inside = true
		}
	}
	if inside {
		t.xades(p, x, body, len(files))
	}
	for i, f := range files {
		if err := t.held(p, i+1, f, depth); err != nil {
			return err
		}
	}
	return nil
}

// objects reads an XML file and spools the files that it holds.
func (d Direct) objects(body *spooled) (x *signed.XML, files []*spooled, err error) {
	const most = 100
	var own error
	x, err = signed.ReadXML(io.NewSectionReader(body, 0, body.size), func(int) io.Writer {
		if own != nil || len(files) >= most {
			return nil
		}
		f, err := Anonymous(d.Temp)
		if own = err; err != nil {
			return nil
		}
		files = append(files, &spooled{File: f})
		return files[len(files)-1]
	})
	if own != nil {
		err = ownError{own}
	}
	return x, files, err
}

// Write counts what is spooled.
func (s *spooled) Write(b []byte) (int, error) {
	n, err := s.File.Write(b)
	s.size += int64(n)
	return n, err
}

// xades judges the signatures of an XML file over what is in it; those of
// other files are judged when these are known.
func (t *tree) xades(p *sekretariat.Part, x *signed.XML, body *spooled, files int) {
	results, err := xades.Verify(x.Doc, func() (io.Reader, error) { return io.NewSectionReader(body, 0, body.size), nil }, signed.Limits, t.d.Trust, t.at)
	if err != nil {
		return // it was well-formed a moment ago; what cannot be checked is no error of ours
	}
	of := []string{p.Path}
	for i := range files {
		of = append(of, below(p.Path, strconv.Itoa(i+1)))
	}
	for i, r := range results {
		if i < len(x.Signatures) && len(x.Signatures[i].Files) == 0 {
			s := r.Signature(p.Path)
			s.Of, s.Pairing = strings.Join(of, " "), pairContent
			t.sign(s)
		}
	}
}

func (t *tree) later(d detached) {
	if len(t.detached) < maxDetached {
		t.detached = append(t.detached, d)
		return
	}
	t.sign(sekretariat.Signature{Part: d.part.Path, Type: d.typ(), Verdict: sekretariat.VerdictUnchecked})
}

func (d detached) typ() string {
	if d.obj != nil {
		return "cades"
	}
	return "xades"
}

// manifest remembers what the manifest of an ASiC container says of the files
// in it: a CAdES signature there signs the manifest.
func (t *tree) manifest(p *sekretariat.Part, body *spooled) {
	if x, err := signed.ReadXML(io.NewSectionReader(body, 0, body.size), nil); err == nil {
		t.manifests = append(t.manifests, detached{part: *p, refs: x.Manifest()})
	}
}

// mentions tells whether a file contains some octets.
func mentions(ctx context.Context, body *spooled, what []byte) (bool, error) {
	buf := make([]byte, 64<<10)
	for off := int64(0); off < body.size; off += int64(len(buf) - len(what)) {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		n, err := body.ReadAt(buf, off)
		if bytes.Contains(buf[:n], what) {
			return true, nil
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return false, err
		}
	}
	return false, nil
}

// known is a digest that was computed before.
type known struct {
	hash.Hash
	sum []byte
}

// Sum implements hash.Hash.
func (k known) Sum(b []byte) []byte { return append(b, k.sum...) }

// digests returns the digests of a listed part by the algorithms asked for.
// SHA-256 is known of every part; for others it is read again.
func (t *tree) digests(in Input, p sekretariat.Part, names ...cms.Hash) (cms.Digests, error) {
	more := cms.NewDigests(names...)
	sum, err := hex.DecodeString(string(p.SHA256))
	if err != nil || len(sum) == 0 {
		return cms.Digests{}, nil
	}
	delete(more, cms.SHA256)
	if len(more) > 0 {
		err := t.d.Deliver(t.ctx, in.Body, Parts{Reading: *t.r, Want: []string{p.Path}, Password: t.password}, func(_ sekretariat.Part, r io.Reader) error {
			_, err := io.Copy(more, r)
			return err
		})
		switch {
		case t.ctx.Err() != nil:
			return nil, t.ctx.Err()
		case err != nil:
			return cms.Digests{}, nil // it cannot be taken out again: nothing is proved
		}
	}
	more[cms.SHA256] = known{sha256.New(), sum}
	return more, nil
}

// pair finds the files of the signatures that lie beside them: the digest
// decides, the name only says where to look first.
func (t *tree) pair(in Input) error {
	for _, d := range t.detached {
		var s []sekretariat.Signature
		var err error
		if d.obj != nil {
			s, err = t.pairCMS(in, d)
		} else {
			s, err = t.pairXML(in, d)
		}
		if err != nil {
			return err
		}
		container := t.typeAt(d.part.In)
		for i := range s {
			switch container {
			case archive.TypeASiCE:
				s[i].Type = "asic-e"
			case archive.TypeASiCS:
				s[i].Type = "asic-s"
			}
		}
		t.sign(s...)
	}
	return nil
}

func (t *tree) typeAt(path string) string {
	if path == "" {
		return t.r.Format
	}
	for _, p := range t.r.Parts {
		if p.Path == path {
			return p.Type
		}
	}
	return ""
}

// beside lists the files that a signature may be of: those that lie where it
// lies, the one with its name first.
func (t *tree) beside(sig sekretariat.Part) (files []sekretariat.Part, named bool) {
	const most = 50
	want := signedName(sig.Name)
	for _, p := range t.r.Parts {
		if p.In != sig.In || p.Path == sig.Path || !p.Attachment || p.SHA256 == "" {
			continue
		}
		if want != "" && strings.EqualFold(path.Base(p.Name), want) {
			files, named = append([]sekretariat.Part{p}, files...), true
		} else if len(files) < most {
			files = append(files, p)
		}
	}
	return files, named
}

func (t *tree) pairCMS(in Input, d detached) ([]sekretariat.Signature, error) {
	var names []cms.Hash
	for _, s := range d.obj.Signers {
		names = append(names, s.Digest)
	}
	files, named := t.beside(d.part)
	for _, p := range files {
		sums, err := t.digests(in, p, names...)
		if err != nil {
			return nil, err
		}
		if list := d.obj.Signatures("cades", d.part.Path, sums); list[0].Verdict == sekretariat.VerdictIntact {
			of := p.Path
			for _, m := range t.manifests {
				if m.part.Path != p.Path {
					continue
				}
				paths, _, err := t.match(in, d.part, m.refs)
				if err != nil {
					return nil, err
				}
				of = strings.Join(append([]string{of}, paths...), " ")
			}
			return tied(list, of, pairDigest), nil
		}
	}
	if named { // the name says so, the digest says no
		sums, err := t.digests(in, files[0], names...)
		if err != nil {
			return nil, err
		}
		return tied(d.obj.Signatures("cades", d.part.Path, sums), files[0].Path, pairName), nil
	}
	return tied(d.obj.Signatures("cades", d.part.Path, nil), "", ""), nil
}

func tied(list []sekretariat.Signature, of, pairing string) []sekretariat.Signature {
	for i := range list {
		list[i].Of, list[i].Pairing = of, pairing
	}
	return list
}

// match finds the files that references name, by digest. named are those that
// have the name and another digest.
func (t *tree) match(in Input, sig sekretariat.Part, refs []signed.Reference) (paths, named []string, err error) {
	files, _ := t.beside(sig)
	for _, ref := range refs {
		found := ""
		for _, p := range files {
			sums, err := t.digests(in, p, ref.Digest)
			if err != nil {
				return nil, nil, err
			}
			if h := sums[ref.Digest]; h != nil && bytes.Equal(h.Sum(nil), ref.Value) {
				found = p.Path
				break
			}
		}
		switch i := indexName(files, ref.Name); {
		case found != "":
			paths = append(paths, found)
		case i >= 0:
			named = append(named, files[i].Path)
		}
	}
	return paths, named, nil
}

func indexName(files []sekretariat.Part, name string) int {
	for i, p := range files {
		if name != "" && strings.EqualFold(path.Base(p.Name), name) {
			return i
		}
	}
	return -1
}

// pairXML ties a signature in an XML file to the files that it names. The
// digests are compared; the signature value itself is not checked.
func (t *tree) pairXML(in Input, d detached) ([]sekretariat.Signature, error) {
	s := sekretariat.Signature{Part: d.part.Path, Type: "xades", Verdict: sekretariat.VerdictUnchecked}
	if d.cert != nil {
		p := d.cert.Party()
		p.Basis = "claim" // nobody checked that this key signed
		s.Signer, s.Issuer, s.Qualified = &p, d.cert.Issuer.String(), d.cert.Qualified
	}
	paths, named, err := t.match(in, d.part, d.refs)
	if err != nil {
		return nil, err
	}
	switch {
	case len(paths) > 0:
		s.Of, s.Pairing = strings.Join(paths, " "), pairDigest
	case len(named) > 0:
		s.Of, s.Pairing = strings.Join(named, " "), pairName
	}
	if len(named) > 0 { // signed, and changed since
		s.Verdict = sekretariat.VerdictBroken
	}
	return []sekretariat.Signature{s}, nil
}
