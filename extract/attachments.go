package extract

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"sekretariat"
	"sekretariat/extract/archive"
	"sekretariat/extract/edoreczenia"
	"sekretariat/extract/epuapdoc"
	"sekretariat/extract/mail"
	"sekretariat/extract/office"
	"sekretariat/extract/pdf"
	"sekretariat/extract/picture"
	"sekretariat/extract/sniff"
)

// Limits of what is read of one letter beside the letter itself: what lies
// beyond is listed, not read. Originals are never cut.
const (
	maxLooks   = 200       // parts whose content is looked into
	maxLook    = 256 << 20 // octets of one part that are looked into
	maxExpand  = 128 << 20 // octets that archives may hold beyond the size of the original
	maxRatio   = 100       // unpacked to packed, of one archive that holds more than ratioFrom
	ratioFrom  = 16 << 20  // octets
	maxDepth   = 4         // archives and messages within archives
	maxTexts   = 8 * sekretariat.MaxText
	maxPages   = 1000
	ownTime    = 30 * time.Second // for all parts, when nobody sets a time
	timeShare  = 0.6              // of the letter's time
	maxDetail  = 200              // octets of a finding
	carefulest = 2                // see Input.Care
)

// detailCare is the detail of what was left alone because of Input.Care.
const detailCare = "care"

// The fates of parts that are decided here.
const (
	fateListed     = "listed"
	fateRead       = "read"
	fateOpened     = "opened"
	fateUnreadable = "unreadable"
	fateLimit      = "limit"
	fateEncrypted  = "encrypted"
)

// tree reads what hangs on one letter: attachments, members of archives,
// messages inside them, to any depth that the limits allow.
type tree struct {
	ctx        context.Context
	d          Direct
	care       int
	password   string
	r          *sekretariat.Reading
	parts      []sekretariat.Part // in the order of the tree: members follow what holds them
	more       int                // parts of the letter itself that are still to come
	until      time.Time
	left       int64 // octets that archives may still hold
	looks      int
	texts      int
	incomplete bool // something could not be read

	at        time.Time // when the letter was surely there
	detached  []detached
	manifests []detached // of ASiC containers
}

func (d Direct) newTree(ctx context.Context, in Input, r *sekretariat.Reading) *tree {
	t := &tree{ctx: ctx, d: d, care: in.Care, password: in.Password, r: r, at: in.At, left: maxExpand + in.Body.Size(), until: time.Now().Add(ownTime)}
	if end, ok := ctx.Deadline(); ok {
		t.until = time.Now().Add(time.Duration(float64(time.Until(end)) * timeShare))
	}
	return t
}

// attachments reads what hangs on a letter: it routes letters that say only
// "w załączeniu".
func (d Direct) attachments(ctx context.Context, in Input, r sekretariat.Reading) (sekretariat.Reading, error) {
	t := d.newTree(ctx, in, &r)
	if err := t.all(r.Parts, 0, func(p sekretariat.Part) io.Reader { return openTop(r.Reader, in.Body, p) }); err != nil {
		return r, err
	}
	r.Parts = t.parts
	if err := t.pair(in); err != nil {
		return r, err
	}
	if t.incomplete && r.Outcome == sekretariat.ReadOK {
		r.Outcome = sekretariat.ReadPartial
	}
	return r, nil
}

// openTop decodes a part of the letter itself, by the reader that listed it.
func openTop(reader string, body sekretariat.Body, p sekretariat.Part) io.Reader {
	switch {
	case strings.HasPrefix(reader, "epuap-"):
		return epuapdoc.OpenPart(body, p)
	case reader == edoreczenia.Name:
		return edoreczenia.OpenPart(body, p)
	}
	return mail.OpenPart(body, p)
}

// all reads the parts of a letter, or of a message in an archive.
func (t *tree) all(parts []sekretariat.Part, depth int, open func(sekretariat.Part) io.Reader) error {
	t.more += len(parts)
	for _, p := range parts {
		t.more--
		if !p.Attachment || p.Fate != fateListed || !worthALook(p.Type) || t.full(&p) {
			t.parts = append(t.parts, p)
			continue
		}
		body, err := t.d.spool(io.LimitReader(open(p), maxLook))
		if err == nil {
			err = t.add(p, body, depth)
			body.Close()
		}
		var broken partError
		if errors.As(err, &broken) {
			p.Fate, err = fateUnreadable, nil
			t.parts = append(t.parts, p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// add puts a part into the list and looks into it: what it holds is listed
// behind it.
func (t *tree) add(p sekretariat.Part, body *spooled, depth int) error {
	i := len(t.parts)
	t.parts = append(t.parts, p)
	err := t.look(&p, body, depth)
	t.parts[i] = p
	return err
}

// full tells whether no more parts are looked into, and notes it on the part.
func (t *tree) full(p *sekretariat.Part) bool {
	why := ""
	switch {
	case t.care >= carefulest:
		why = detailCare
	case t.looks >= maxLooks:
		why = "count"
	case p.Size > maxLook:
		why = "size"
	case time.Now().After(t.until):
		why = "time"
	default:
		return false
	}
	p.Fate, t.incomplete = fateLimit, true
	t.find(FindingLimit, "", why)
	return true
}

// worthALook tells whether there is anything to read in a type.
func worthALook(typ string) bool {
	switch typ {
	case "application/pdf", "text/plain", "text/html", "text/csv", "message/rfc822", mail.TypeOutlook, typeOLE:
		return true
	}
	return archive.Known(typ) || office.Known(typ) || isPicture(typ) || canSign(typ)
}

// typeOLE is what sniff calls a compound file whose name tells nothing.
const typeOLE = "application/x-ole-storage"

func isPicture(typ string) bool { return strings.HasPrefix(typ, "image/") }

// refine corrects types that the first octets do not tell: an office document
// that begins like any ZIP, a compound file by the streams in it.
func refine(p *sekretariat.Part, body sekretariat.Body) {
	switch p.Type {
	case archive.TypeZIP:
		if t := office.Refine(body); t != "" {
			p.Type = t
		}
	case typeOLE, office.TypeDOC, office.TypeXLS, office.TypePPT:
		if t := office.OLE(body); t != "" {
			p.Type = t
		}
	}
}

// look reads the content of one part: its text, its pages, what it holds.
// Errors are those of our own machine; what is wrong with the part is its fate
// and a finding.
func (t *tree) look(p *sekretariat.Part, body *spooled, depth int) error {
	t.looks++
	if err := t.ctx.Err(); err != nil {
		return err
	}
	refine(p, body)
	if t.password != "" {
		opened, err := t.d.decrypt(t.ctx, p.Type, body, t.password)
		if errors.As(err, new(ownError)) || t.ctx.Err() != nil {
			return err
		}
		if err == nil && opened != nil {
			defer opened.Close()
			body = opened
			refine(p, body)
		}
	}
	switch {
	case archive.Known(p.Type):
		return t.archive(p, body, depth)
	case office.Known(p.Type):
		return t.office(p, body)
	case p.Type == office.TypeEncrypted:
		t.encrypted(p, p.Path)
	case isPicture(p.Type):
		t.picture(p, body)
	case p.Type == typeCMS:
		return t.cms(p, body, depth)
	case isXML(p.Type):
		return t.xml(p, body, depth)
	case p.Type == "application/pdf":
		if err := t.pades(p, body); err != nil {
			return err
		}
		return t.pdf(p, body)
	case isMessage(p.Type):
		return t.message(p, body, depth)
	case p.Type == "text/plain" || p.Type == "text/html" || p.Type == "text/csv":
		text, err := plainText(io.NewSectionReader(body, 0, body.size), p.Type)
		if err != nil {
			return err
		}
		t.text(p, text)
	}
	return nil
}

// text gives a part its text, within what a letter may hold.
func (t *tree) text(p *sekretariat.Part, text string) {
	text = cut(text)
	if left := maxTexts - t.texts; len(text) > left {
		text = strings.ToValidUTF8(text[:max(left, 0)], "")
		t.find(FindingLimit, "", "text")
	}
	t.texts += len(text)
	p.Text, p.Fate = text, fateRead
}

// office reads the text of an office document.
func (t *tree) office(p *sekretariat.Part, body *spooled) error {
	if officeByTool(p.Type) {
		if t.care > 0 {
			return t.limit(p, detailCare)
		}
		if office.OLE(body) == "" { // only called so
			p.Fate, t.incomplete = fateUnreadable, true
			t.find(FindingBroken, p.Path, "")
			return nil
		}
	}
	text, err := office.Text(t.ctx, body, p.Type, t.d.Temp, sekretariat.MaxText)
	switch {
	case err == nil:
		t.text(p, text)
	case t.ctx.Err() != nil:
		return t.ctx.Err()
	case errors.Is(err, office.ErrPassword):
		t.encrypted(p, p.Path)
	case errors.Is(err, office.ErrDamaged), errors.Is(err, office.ErrTool):
		p.Fate, t.incomplete = fateUnreadable, true
		t.find(FindingBroken, p.Path, "")
	default:
		return err
	}
	return nil
}

// officeByTool tells whether LibreOffice is needed to read a type.
func officeByTool(typ string) bool {
	return typ == office.TypeDOC || typ == office.TypeXLS || typ == office.TypePPT
}

// picture lists the pages of a picture.
func (t *tree) picture(p *sekretariat.Part, body *spooled) {
	info := picture.Look(body, p.Type)
	for _, page := range info.Pages {
		page.Part = p.Path
		t.page(page)
	}
	if info.Place {
		t.find(FindingPlace, p.Path, "")
	}
}

// pdf reads the text layer.
func (t *tree) pdf(p *sekretariat.Part, body *spooled) error {
	sub, err := pdf.Read(t.ctx, body.File)
	if err != nil {
		return err
	}
	t.text(p, sub.Text)
	for _, page := range sub.Pages {
		page.Part = p.Path
		t.page(page)
	}
	for _, f := range sub.Findings {
		t.find(f.Code, p.Path, f.Detail)
		if f.Code == pdf.FindingEncrypted {
			p.Fate, t.incomplete = fateEncrypted, true
		}
	}
	if sub.Outcome == sekretariat.ReadUnreadable && p.Fate != fateEncrypted {
		p.Fate, t.incomplete = fateUnreadable, true
	}
	return nil
}

func (t *tree) page(p sekretariat.Page) {
	if len(t.r.Pages) < maxPages {
		t.r.Pages = append(t.r.Pages, p)
	}
}

// message reads a message that lies in an archive: in a mail, messages are
// read by the mail reader itself.
func (t *tree) message(p *sekretariat.Part, body *spooled, depth int) error {
	if depth >= maxDepth {
		return t.limit(p, "depth")
	}
	read := mail.Read
	if p.Type == mail.TypeOutlook {
		read = mail.ReadOutlook
	}
	sub, err := read(t.ctx, body, mail.Options{MaxParts: max(2, sekretariat.MaxParts-len(t.parts)-t.more), Temp: t.d.Temp})
	if err != nil {
		return err
	}
	t.text(p, strings.TrimSpace("Od: "+strings.TrimSpace(sub.Sender.Name+" "+sub.Sender.Email)+"\nTemat: "+sub.Subject+"\n\n"+sub.Text))
	p.Fate = fateOpened
	for i := range sub.Parts {
		q := &sub.Parts[i]
		q.Path = below(p.Path, q.Path)
		if q.In != "" {
			q.In = below(p.Path, q.In)
		} else {
			q.In = p.Path
		}
	}
	for _, s := range sub.Signatures {
		s.Part = below(p.Path, s.Part)
		t.r.Signatures = append(t.r.Signatures, s)
	}
	if len(t.parts)+t.more+len(sub.Parts) > sekretariat.MaxParts {
		return t.limit(p, "count")
	}
	return t.all(sub.Parts, depth+1, func(q sekretariat.Part) io.Reader { return mail.OpenPart(body, q) })
}

// below joins the path of a part and of one inside it.
func below(path, inner string) string {
	switch {
	case path == "":
		return inner
	case inner == "":
		return path
	}
	return path + "." + inner
}

// limit notes that an archive is not read to its end.
func (t *tree) limit(p *sekretariat.Part, why string) error {
	if p.Fate != fateOpened {
		p.Fate = fateLimit
	}
	t.incomplete = true
	t.find(FindingArchive, p.Path, why)
	return nil
}

// find notes a finding once.
func (t *tree) find(code, part, detail string) {
	f := sekretariat.Finding{Code: code, Part: part, Detail: strings.ToValidUTF8(detail[:min(len(detail), maxDetail)], "")}
	if len(t.r.Findings) < sekretariat.MaxFindings && !slices.Contains(t.r.Findings, f) {
		t.r.Findings = append(t.r.Findings, f)
	}
}

// typeOf decides the type of a member by its content.
func typeOf(head []byte, name string) string { return sniff.Type(head, name) }
