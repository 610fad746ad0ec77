package dropbox

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"sync"
	"time"

	"sekretariat"
)

// memory knows which files of which device were refused as unfinished. It is
// lost with the process; then a file has to come twice again.
type memory struct {
	mu   sync.Mutex
	seen map[string]time.Time
}

const (
	maxRemembered = 1000
	remembered    = 24 * time.Hour
)

// again notes a refusal and tells whether the same file of the same device was
// refused before.
func (m *memory) again(user string, sum sekretariat.Digest, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := user + "/" + string(sum)
	if at, ok := m.seen[key]; ok && now.Sub(at) < remembered {
		return true
	}
	if m.seen == nil || len(m.seen) >= maxRemembered {
		m.seen = map[string]time.Time{}
	}
	m.seen[key] = now
	return false
}

func digest(r io.Reader) (sekretariat.Digest, error) {
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return "", fmt.Errorf("hash the file: %w", err)
	}
	return sekretariat.Digest(hex.EncodeToString(h.Sum(nil))), nil
}
