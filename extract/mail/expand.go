package mail

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"sekretariat"
	"sekretariat/extract/mapi"
	"sekretariat/extract/msg"
	"sekretariat/extract/sniff"
	"sekretariat/extract/tnef"
)

// TypeOutlook is the media type of an Outlook message (.msg).
const TypeOutlook = "application/vnd.ms-outlook"

// The types of what is unwrapped beside it.
const (
	typeTNEF    = "application/ms-tnef"
	typeMessage = "message/rfc822"
	typeCMS     = "application/pkcs7-mime"
)

// Limits of unwrapping.
const (
	maxUnwraps   = 6         // wrappings around one another
	spoolMemory  = 4 << 20   // an Outlook message up to this size is opened in memory, larger ones in a file
	unwrapAlways = 256 << 20 // octets that unwrapping may decode, and
	unwrapFactor = 4         // times the size of the mail
)

// expander opens the parts that wrap something else once the mail itself is
// read: winmail.dat, Outlook messages, opaque signatures, messages attached as
// files. What it finds is listed like any part, and opened in turn.
type expander struct {
	ctx  context.Context
	r    *reader
	body sekretariat.Body
	left int64 // octets that may still be decoded
}

func newExpander(ctx context.Context, r *reader, body sekretariat.Body) *expander {
	return &expander{ctx: ctx, r: r, body: body, left: unwrapAlways + unwrapFactor*body.Size()}
}

// run opens part after part, those included that it adds. An error means that
// body could not be read or ctx ended.
func (x *expander) run() error {
	before := len(x.r.out.Parts)
	for i := 0; i < len(x.r.out.Parts); i++ {
		if err := x.ctx.Err(); err != nil {
			return fmt.Errorf("unwrap part %d: %w", i, err)
		}
		if err := x.part(i); err != nil {
			return fmt.Errorf("unwrap part %d: %w", i, err)
		}
	}
	if len(x.r.out.Parts) > before {
		slices.SortStableFunc(x.r.out.Parts, func(a, b sekretariat.Part) int { return comparePaths(a.Path, b.Path) })
	}
	return nil
}

// comparePaths orders parts as they stand in the tree.
func comparePaths(a, b string) int {
	for a != "" && b != "" {
		var x, y string
		x, a, _ = strings.Cut(a, ".")
		y, b, _ = strings.Cut(b, ".")
		if x != y {
			if len(x) != len(y) {
				return len(x) - len(y)
			}
			return strings.Compare(x, y)
		}
	}
	return len(a) - len(b)
}

// part opens part i if it wraps something.
func (x *expander) part(i int) error {
	p := x.r.out.Parts[i]
	if p.Fate != "listed" || p.Size == 0 {
		return nil
	}
	var open func(i int) error
	switch {
	case p.Type == typeTNEF:
		open = x.tnef
	case p.Type == TypeOutlook || p.Type == "application/x-ole-storage" && p.Size <= maxSpool:
		open = x.outlook
	case p.Type == typeCMS || p.Declared == typeCMS || p.Declared == "application/x-pkcs7-mime":
		open = x.cms
	case p.Type == typeMessage, p.Declared == "multipart/signed" && strings.Contains(p.Encoding, stepMSG):
		open = x.message
	default:
		return nil
	}
	cost := x.cost(&p)
	large := p.Type == TypeOutlook && p.Size > maxSpool // OpenPart could not open its parts
	if large || strings.Count(p.Encoding, "@") >= maxUnwraps || cost > x.left || x.r.levels[i] >= maxMessages {
		x.r.find(FindingUnwrapLimit, p.Path, "")
		return nil
	}
	x.left -= cost
	return open(i)
}

// cost is about how many octets are decoded to read a part: all that it is
// wrapped in comes before it.
func (x *expander) cost(p *sekretariat.Part) int64 {
	return p.Size + p.Length*int64(1+strings.Count(p.Encoding, "@"))
}

// open returns the octets of part i.
func (x *expander) open(i int) io.Reader {
	return &countReader{r: OpenPart(x.body, x.r.out.Parts[i]), work: &x.r.work}
}

// countReader counts what is read as work.
type countReader struct {
	r    io.Reader
	work *int64
}

// Read implements io.Reader.
func (c *countReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	*c.work += int64(n)
	return n, err
}

// child returns the place of a part that is found inside part i.
func (x *expander) child(i int, ordinal int, step string) sekretariat.Part {
	p := x.r.out.Parts[i]
	return sekretariat.Part{
		Path: p.Path + "." + strconv.Itoa(ordinal+1), Offset: p.Offset, Length: p.Length,
		Encoding: p.Encoding + "/0/" + step, Fate: "listed", Attachment: true,
	}
}

// add lists a part; ok is false when there is no room.
func (x *expander) add(p sekretariat.Part, level int) (index int, ok bool) {
	if !x.r.room() {
		x.r.find(FindingPartsLimit, "", "")
		return 0, false
	}
	return x.r.addPart(p, level), true
}

// settle fills in what is known of a part once its octets went by.
func (x *expander) settle(i int, f *fileSink) {
	p := &x.r.out.Parts[i]
	p.Size, p.SHA256 = f.size, digest(f.sum)
	e := entity{ctype: p.Declared, name: p.Name}
	if e.ctype == "" {
		e.ctype = sniff.Unknown
	}
	if p.Type == "" {
		p.Type = contentType(f.head, &e)
	}
	p.SafeName = safeName(p.Name, p.Type, p.Path)
	if oddName(p.Name) {
		x.r.find(FindingNameOdd, p.Path, "")
	}
	if p.Declared != "" {
		x.r.notePart(p, f.head, &e)
	}
}

// fileSink looks at octets that go by.
type fileSink struct {
	size int64
	sum  hash.Hash
	head []byte
}

func newFileSink() *fileSink { return &fileSink{sum: sha256.New()} }

// Write implements io.Writer.
func (f *fileSink) Write(p []byte) (int, error) {
	f.size += int64(len(p))
	f.sum.Write(p)
	f.head = fill(f.head, p, sniff.HeadSize)
	return len(p), nil
}

// tnef opens a winmail.dat.
func (x *expander) tnef(i int) error {
	sinks := map[int]*fileSink{}
	m, err := tnef.Read(x.open(i), func(n int) io.Writer {
		sinks[n] = newFileSink()
		return sinks[n]
	})
	if err != nil {
		return err
	}
	x.opened(i, m)
	x.note(i, m, FindingTNEFBroken)
	for n := range m.Attachments {
		a := &m.Attachments[n]
		p := x.child(i, n, stepTNEF+"."+strconv.Itoa(n))
		if !x.list(p, a, sinks[n], x.r.levels[i]) {
			break
		}
	}
	x.tell(i, m)
	return nil
}

// list adds one attachment of an Outlook format.
func (x *expander) list(p sekretariat.Part, a *mapi.Attachment, f *fileSink, level int) bool {
	p.Name = cutString(oneLine(a.Name()), maxName)
	p.Declared = mediaType(strings.ToLower(a.Props.First(mapi.AttachMIME)), false)
	if !a.Props.Has(mapi.AttachMIME) {
		p.Declared = ""
	}
	p.ContentID = messageID([]byte(strings.Trim(a.Props.First(mapi.AttachContentID), "<> ")))
	if a.Message {
		p.Type = typeTNEF
	}
	if f == nil {
		f = newFileSink()
	}
	i, ok := x.add(p, level)
	if ok {
		x.settle(i, f)
	}
	return ok
}

// opened notes that part i is a wrapping, or a message, that was opened.
func (x *expander) opened(i int, m *mapi.Message) {
	p := &x.r.out.Parts[i]
	p.Fate = "opened"
	if p.Type == typeTNEF && strings.Contains(p.Encoding, stepTNEF) { // a message within a message
		x.r.levels[i]++
		x.summary(i, m)
	}
}

// summary says who wrote a message that is a part, and calls it by its
// subject.
func (x *expander) summary(i int, m *mapi.Message) {
	p := &x.r.out.Parts[i]
	h := mapiHeader(m)
	text, subject := summary(&h)
	p.Text = x.r.budget(text, p.Path)
	if p.Name == "" && subject != "" {
		p.SafeName = safeName(subject, p.Type, p.Path)
	}
}

// note tells what is broken in an Outlook format.
func (x *expander) note(i int, m *mapi.Message, code string) {
	path := x.r.out.Parts[i].Path
	if m.Broken != "" {
		x.r.find(code, path, m.Broken)
	}
	if m.Cut {
		x.r.find(FindingOutlookCut, path, "")
	}
}

// tell takes the text of a winmail.dat: the letter's when it says nothing
// else, for the mail around it usually repeats it.
func (x *expander) tell(i int, m *mapi.Message) {
	texts := x.r.mapiTexts(m)
	pieces := x.r.combine("alternative", x.r.out.Parts[i].Path, mapiPieces(texts))
	text := joined(pieces)
	switch p := &x.r.out.Parts[i]; {
	case strings.TrimSpace(text) == "":
	case x.r.levels[i] > 0:
		p.Text = x.r.budget(strings.TrimPrefix(p.Text+"\n\n"+text, "\n\n"), p.Path)
	case strings.TrimSpace(x.r.out.Text) == "":
		x.r.say(pieces)
	}
}

// message opens a message that is attached as a file.
func (x *expander) message(i int) error {
	s := x.scanner(i, "")
	if _, err := io.Copy(writer{s}, x.open(i)); err != nil {
		return err
	}
	s.close()
	p := &x.r.out.Parts[i]
	if p.Fate == "listed" {
		p.Fate = "opened"
	}
	if p.Declared == "multipart/signed" {
		p.Attachment = false // it is the mail itself
	}
	return nil
}

// writer pushes into a scanner.
type writer struct{ s *scanner }

// Write implements io.Writer.
func (w writer) Write(p []byte) (int, error) {
	w.s.write(p)
	return len(p), nil
}

// scanner returns one for what is in part i, behind a further step if there is
// one.
func (x *expander) scanner(i int, step string) *scanner {
	p := &x.r.out.Parts[i]
	s := newScanner(x.r)
	s.top = frame{path: p.Path, level: x.r.levels[i], part: -1}
	s.at = &place{offset: p.Offset, length: p.Length, chain: p.Encoding}
	switch {
	case step != "":
		s.at.chain += "/0/" + step
		s.top.wrapped = true
	case p.Declared == "multipart/signed":
		s.top.wrapped = true
	default:
		s.top.level++
		s.top.part = i
	}
	return s
}

// outlook opens an Outlook message.
func (x *expander) outlook(i int) error {
	at, size, free, err := x.spool(i)
	if err != nil {
		return err
	}
	defer free()
	f, err := msg.Open(at, size)
	switch {
	case errors.Is(err, msg.ErrFormat):
		if x.r.out.Parts[i].Type == TypeOutlook {
			x.r.find(FindingOutlookBroken, x.r.out.Parts[i].Path, err.Error())
		}
		return nil
	case err != nil:
		return err
	}
	x.r.levels[i]++
	p := &x.r.out.Parts[i]
	p.Type = TypeOutlook
	p.SafeName = safeName(p.Name, p.Type, p.Path)
	return x.members(&outlookFile{File: f, wrap: x.r.out.Parts[i]}, f.Message(), i, nil)
}

// spool makes part i readable at random.
func (x *expander) spool(i int) (io.ReaderAt, int64, func(), error) {
	p := &x.r.out.Parts[i]
	none := func() {}
	if p.Size <= spoolMemory {
		at, size, err := random(x.open(i))
		return at, size, none, err
	}
	f, err := os.CreateTemp(x.r.opts.Temp, "read-*")
	if err != nil {
		return nil, 0, none, fmt.Errorf("open a temporary file: %w", err)
	}
	free := func() { _ = f.Close() }
	if err := os.Remove(f.Name()); err != nil {
		free()
		return nil, 0, none, fmt.Errorf("unlink a temporary file: %w", err)
	}
	n, err := io.Copy(f, x.open(i))
	if err != nil {
		free()
		return nil, 0, none, fmt.Errorf("copy an Outlook message: %w", err)
	}
	return f, n, free, nil
}
