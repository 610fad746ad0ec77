package edoreczenia

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"strings"

	"sekretariat"
)

// MediaType is the type of the container, in which one message of e-Doręczenia
// is kept. Its format is a contract, see docs/storage.md.
const MediaType = "application/vnd.sekretariat.edelivery+zip"

// containerVersion is the version of the container written by this program.
const containerVersion = 1

// Kind is what a container holds.
type Kind string

// The kinds of containers.
const (
	// KindMessage is a message that was sent to the office.
	KindMessage Kind = "message"
	// KindProof is proof of what became of a message that was sent from the
	// mailbox; of that message itself there is only what identifies it.
	KindProof Kind = "proof"
)

// Role is what an entry is.
type Role string

// The roles of entries.
const (
	RoleAttachment Role = "attachment"
	RoleEvidence   Role = "evidence"
	RoleArchive    Role = "archive"   // the provider's ZIP of the message
	RoleTechnical  Role = "technical" // the provider's ZIP of technical evidence
)

// The outcomes of comparing an attachment with the digest that the message
// declares of it.
const (
	HashRight   = "right"
	HashWrong   = "wrong"   // also after it was fetched several times
	HashNone    = "none"    // the message declares no digest
	HashUnknown = "unknown" // declared in a way that we do not know
)

// Entry describes one foreign file in the container. Its octets are those that
// the provider sent.
type Entry struct {
	Path     string             `json:"path"` // in the container
	Role     Role               `json:"role"`
	ID       string             `json:"id,omitempty"`       // at the provider
	Name     string             `json:"name,omitempty"`     // as declared, never a path
	Type     string             `json:"type,omitempty"`     // media type as declared; of evidence its code, "BPOX"
	Declared int64              `json:"declared,omitempty"` // size as declared, octets
	Hash     string             `json:"hash,omitempty"`
	Size     int64              `json:"size"` // octets
	SHA256   sekretariat.Digest `json:"sha256"`
}

// Missing is something that the provider did not hand over.
type Missing struct {
	Role Role   `json:"role"`
	ID   string `json:"id,omitempty"`
	Why  string `json:"why"` // a code: "http-400"
}

// Index lists what a container holds.
type Index struct {
	Version   int       `json:"version"`
	Kind      Kind      `json:"kind"`
	Address   string    `json:"address"` // ADE of the mailbox
	MessageID string    `json:"messageId"`
	Entries   []Entry   `json:"entries,omitempty"`
	Missing   []Missing `json:"missing,omitempty"`
}

// The names of the entries that are ours.
const (
	nameType      = "mimetype"
	nameMessage   = "message.json"
	nameEvidences = "evidences.json"
	nameIndex     = "index.json"
)

// Writer writes a container in one pass. What goes in decides every octet of
// it: no time, no order of ours. After an error it is of no use any more.
type Writer struct {
	zip   *zip.Writer
	index Index
	count map[Role]int
}

// NewWriter begins a container.
func NewWriter(w io.Writer, kind Kind, address, messageID string) (*Writer, error) {
	out := &Writer{
		zip: zip.NewWriter(w), count: map[Role]int{},
		index: Index{Version: containerVersion, Kind: kind, Address: address, MessageID: messageID},
	}
	return out, out.own(nameType, []byte(MediaType))
}

// header is the same for every entry: stored, no time.
func header(name string) *zip.FileHeader {
	return &zip.FileHeader{Name: name, Method: zip.Store, ModifiedDate: 1<<5 | 1} // 1980-01-01, the first day that ZIP knows
}

// own writes an entry of ours with sizes in front, which the media type at the
// beginning of the file needs to be recognised by.
func (w *Writer) own(name string, content []byte) error {
	h := header(name)
	h.CRC32 = crc32.ChecksumIEEE(content)
	h.CompressedSize64, h.UncompressedSize64 = uint64(len(content)), uint64(len(content))
	out, err := w.zip.CreateRaw(h)
	if err == nil {
		_, err = out.Write(content)
	}
	if err != nil {
		return fmt.Errorf("write %s of a container: %w", name, err)
	}
	return nil
}

// Message writes what the message says, see MessageDocument.
func (w *Writer) Message(document []byte) error { return w.own(nameMessage, document) }

// Evidences writes what is said of its evidence, see EvidenceDocument.
func (w *Writer) Evidences(document []byte) error { return w.own(nameEvidences, document) }

// paths of foreign entries; those that may come more than once are numbered.
var paths = map[Role]string{
	RoleAttachment: "attachments/%04d", RoleEvidence: "evidences/%04d", RoleArchive: "archive.zip", RoleTechnical: "technical.zip",
}

// Add copies a foreign file into the container. judge, if not nil, is asked
// for the outcome of the digest once all octets went by; its error is returned.
// Errors of body come back wrapped.
func (w *Writer) Add(e Entry, body io.Reader, judge func(size int64) (string, error)) error {
	w.count[e.Role]++
	e.Path = paths[e.Role]
	if strings.Contains(e.Path, "%") {
		e.Path = fmt.Sprintf(e.Path, w.count[e.Role])
	}
	out, err := w.zip.CreateHeader(header(e.Path))
	if err != nil {
		return fmt.Errorf("write %s of a container: %w", e.Path, err)
	}
	sum := sha256.New()
	if e.Size, err = io.Copy(out, io.TeeReader(body, sum)); err != nil {
		return fmt.Errorf("copy %s into a container: %w", e.Path, err)
	}
	e.SHA256 = digest(sum)
	if judge != nil {
		if e.Hash, err = judge(e.Size); err != nil {
			return err
		}
	}
	w.index.Entries = append(w.index.Entries, e)
	return nil
}

func digest(h hash.Hash) sekretariat.Digest {
	return sekretariat.Digest(hex.EncodeToString(h.Sum(nil)))
}

// Missing notes what the provider did not hand over.
func (w *Writer) Missing(m Missing) { w.index.Missing = append(w.index.Missing, m) }

// Close writes the index and ends the container.
func (w *Writer) Close() error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(w.index); err != nil {
		return fmt.Errorf("index of a container: %w", err)
	}
	if err := w.own(nameIndex, b.Bytes()); err != nil {
		return err
	}
	if err := w.zip.Close(); err != nil {
		return fmt.Errorf("end a container: %w", err)
	}
	return nil
}

// Limits of reading.
const (
	maxEntries  = 4000
	maxDocument = 32 << 20 // octets of each of our own entries
)

// errContainer: not a container of ours, or damaged.
var errContainer = errors.New("not a container of e-Doręczenia")

// container is an opened one.
type container struct {
	index     Index
	message   []byte
	evidences []byte // nil if there are none
	files     map[string]*zip.File
	size      int64 // of the whole, octets
}

// open reads the directory and our own entries. The error is errContainer,
// wrapped, for whatever is not a container.
func open(body sekretariat.Body) (*container, error) {
	z, err := zip.NewReader(body, body.Size())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errContainer, err)
	}
	if len(z.File) > maxEntries {
		return nil, fmt.Errorf("%w: %d entries", errContainer, len(z.File))
	}
	c := &container{files: map[string]*zip.File{}, size: body.Size()}
	for _, f := range z.File {
		if f.Method != zip.Store || f.CompressedSize64 != f.UncompressedSize64 || c.files[f.Name] != nil {
			return nil, fmt.Errorf("%w: an entry is packed or there twice", errContainer)
		}
		c.files[f.Name] = f
	}
	if t, err := c.own(nameType); err != nil || string(t) != MediaType {
		return nil, fmt.Errorf("%w: other media type", errContainer)
	}
	raw, err := c.own(nameIndex)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(raw, &c.index); err != nil {
		return nil, fmt.Errorf("%w: index: %w", errContainer, err)
	}
	if c.index.Version != containerVersion {
		return nil, fmt.Errorf("%w: version %d is unknown", errContainer, c.index.Version)
	}
	if c.message, err = c.own(nameMessage); err != nil {
		return nil, err
	}
	if c.files[nameEvidences] != nil {
		c.evidences, err = c.own(nameEvidences)
	}
	return c, err
}

// own reads an entry of ours.
func (c *container) own(name string) ([]byte, error) {
	f := c.files[name]
	if f == nil || f.UncompressedSize64 > maxDocument {
		return nil, fmt.Errorf("%w: %s is missing or too large", errContainer, name)
	}
	r, err := f.Open()
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", errContainer, name, err)
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, maxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", errContainer, name, err)
	}
	return b, nil
}

// span is where the octets of an entry lie in the container.
func (c *container) span(path string) (offset, size int64, err error) {
	f := c.files[path]
	if f == nil {
		return 0, 0, fmt.Errorf("%w: %s is missing", errContainer, path)
	}
	if offset, err = f.DataOffset(); err != nil {
		return 0, 0, fmt.Errorf("%w: %s: %w", errContainer, path, err)
	}
	size = int64(f.UncompressedSize64)
	if offset < 0 || size < 0 || offset > c.size-size {
		return 0, 0, fmt.Errorf("%w: %s lies outside", errContainer, path)
	}
	return offset, size, nil
}
