package storage

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"sekretariat"
)

// The envelope of one sealed object, see docs/storage.md: a header with the
// content key wrapped by the submission's data key, then chunks of 64 KiB
// plain content, each sealed with the content key. The content key is the
// object's own, so content can be sealed before it is known where it belongs.
const (
	envelopeMagic   = "SKEN"
	envelopeVersion = 1
	chunkBits       = 16
	chunkSize       = 1 << chunkBits
	sealedChunk     = chunkSize + tagSize

	// The header: magic 4, version 1, chunk bits 1, zero 2, plain size 8,
	// nonce 12, wrapped content key 48.
	envelopeFixed  = 16
	envelopeHeader = envelopeFixed + nonceSize + keySize + tagSize
)

// SealedSize is the stored size of plain octets in an envelope.
func SealedSize(plain int64) int64 {
	chunks := max(1, (plain+chunkSize-1)/chunkSize)
	return envelopeHeader + plain + chunks*tagSize
}

// sealer seals content chunk by chunk. A chunk is sealed only when the next
// octet arrives, for the last one is marked.
type sealer struct {
	key   []byte
	aead  cipher.AEAD
	chunk *[]byte // plain, not sealed yet; from chunks
	n     uint64  // chunks sealed
	size  int64
}

var chunks = sync.Pool{New: func() any { b := make([]byte, 0, chunkSize); return &b }}

func newSealer() (*sealer, error) {
	key := make([]byte, keySize)
	rand.Read(key)
	aead, err := newAEAD(key)
	return &sealer{key: key, aead: aead, chunk: chunks.Get().(*[]byte)}, err
}

// chunkNonce is the number of the chunk and whether it is the last. The key
// seals one object only, so no nonce comes twice.
func chunkNonce(n uint64, last bool) []byte {
	nonce := make([]byte, nonceSize)
	binary.BigEndian.PutUint64(nonce[3:], n)
	if last {
		nonce[11] = 1
	}
	return nonce
}

// write appends to dst what becomes ready of p.
func (s *sealer) write(dst, p []byte) []byte {
	s.size += int64(len(p))
	for len(p) > 0 {
		if len(*s.chunk) == chunkSize {
			dst = s.aead.Seal(dst, chunkNonce(s.n, false), *s.chunk, nil)
			s.n++
			*s.chunk = (*s.chunk)[:0]
		}
		n := min(len(p), chunkSize-len(*s.chunk))
		*s.chunk = append(*s.chunk, p[:n]...)
		p = p[n:]
	}
	return dst
}

// finish appends the last chunk, which is empty for an empty body.
func (s *sealer) finish(dst []byte) []byte {
	dst = s.aead.Seal(dst, chunkNonce(s.n, true), *s.chunk, nil)
	s.drop()
	return dst
}

// drop gives the chunk's memory back, without a trace of the content.
func (s *sealer) drop() {
	if s.chunk != nil {
		clear(*s.chunk)
		*s.chunk = (*s.chunk)[:0]
		chunks.Put(s.chunk)
		s.chunk = nil
	}
}

// header wraps the content key for one object of one submission.
func (s *sealer) header(d *dataKey, objectKey string) []byte {
	b := append([]byte(envelopeMagic), envelopeVersion, chunkBits, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, uint64(s.size))
	nonce := make([]byte, nonceSize)
	rand.Read(nonce)
	aad := envelopeAAD(b, objectKey)
	b = append(b, nonce...)
	return d.aead.Seal(b, nonce, s.key, aad)
}

// envelopeAAD binds the content key to the header and to the object's key, so
// that objects cannot be exchanged.
func envelopeAAD(fixed []byte, objectKey string) []byte {
	return append(append([]byte("sekretariat/envelope\x00"), fixed[:envelopeFixed]...), objectKey...)
}

// opener reads a sealed object at random. It keeps the chunk it read last.
type opener struct {
	sealed Object
	aead   cipher.AEAD
	size   int64 // plain
	key    string

	mu     sync.Mutex
	plain  []byte // the chunk at, empty if none
	at     int64
	buffer []byte
}

// parseEnvelope checks the header's fixed part against the stored size and
// returns the plain size.
func parseEnvelope(head []byte, stored int64) (int64, error) {
	if len(head) < envelopeHeader || string(head[:4]) != envelopeMagic {
		return 0, fmt.Errorf("no envelope: %w", ErrDamaged)
	}
	if head[4] != envelopeVersion || head[5] != chunkBits || head[6] != 0 || head[7] != 0 {
		return 0, fmt.Errorf("envelope of version %d, chunk bits %d: %w", head[4], head[5], ErrDamaged)
	}
	size := binary.LittleEndian.Uint64(head[8:])
	if size > uint64(stored) || SealedSize(int64(size)) != stored {
		return 0, fmt.Errorf("%d octets stored of an envelope for %d: %w", stored, size, ErrDamaged)
	}
	return int64(size), nil
}

// openEnvelope opens a sealed object. It takes over sealed, also on an error.
func openEnvelope(d *dataKey, objectKey string, sealed Object) (*opener, error) {
	o, err := newOpener(d, objectKey, sealed)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", objectKey, err), sealed.Close())
	}
	return o, nil
}

func newOpener(d *dataKey, objectKey string, sealed Object) (*opener, error) {
	head := make([]byte, min(envelopeHeader, sealed.Size()))
	if err := readFull(head, sealed); err != nil {
		return nil, err
	}
	size, err := parseEnvelope(head, sealed.Size())
	if err != nil {
		return nil, err
	}
	nonce := head[envelopeFixed : envelopeFixed+nonceSize]
	key, err := d.aead.Open(nil, nonce, head[envelopeFixed+nonceSize:], envelopeAAD(head, objectKey))
	if err != nil {
		return nil, fmt.Errorf("its content key is not sealed by this submission's key for this object: %w", ErrDamaged)
	}
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	return &opener{sealed: sealed, aead: aead, size: size, key: objectKey, at: -1}, nil
}

// Size implements Object: the plain size.
func (o *opener) Size() int64 { return o.size }

// Close implements Object.
func (o *opener) Close() error { return o.sealed.Close() }

// ReadAt implements Object. It returns ErrDamaged where the content was
// changed, and never a single octet of a changed chunk.
func (o *opener) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read %s at %d: negative offset", o.key, off)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for n < len(p) && off < o.size {
		if err := o.load(off / chunkSize); err != nil {
			return n, err
		}
		c := copy(p[n:], o.plain[off%chunkSize:])
		n += c
		off += int64(c)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// load decrypts one chunk.
func (o *opener) load(chunk int64) error {
	if o.at == chunk {
		return nil
	}
	o.at = -1
	chunks := max(1, (o.size+chunkSize-1)/chunkSize)
	n := min(chunkSize, o.size-chunk*chunkSize) + tagSize
	if int64(cap(o.buffer)) < n {
		o.buffer = make([]byte, n)
	}
	b := o.buffer[:n]
	got, err := o.sealed.ReadAt(b, envelopeHeader+chunk*sealedChunk)
	if int64(got) < n {
		if err == nil || errors.Is(err, io.EOF) {
			err = ErrDamaged // shorter than when it was opened
		}
		return fmt.Errorf("read %s: %w", o.key, err)
	}
	plain, err := o.aead.Open(o.plain[:0], chunkNonce(uint64(chunk), chunk == chunks-1), b, nil)
	if err != nil {
		return fmt.Errorf("read %s: chunk %d was changed: %w", o.key, chunk, ErrDamaged)
	}
	o.plain, o.at = plain, chunk
	return nil
}

// checkEmpty reads the one chunk of an empty object, which no ReadAt would touch.
func (o *opener) checkEmpty() error {
	if o.size > 0 {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.load(0)
}

var _ sekretariat.Body = (*opener)(nil)
