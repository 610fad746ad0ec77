package sekretariat

// Thread says how a mail hangs together with others, without saying who wrote
// or what: digests are keyed (HMAC), so nobody without the office's key can try
// addresses against them (invariant I5). The read model joins letters by it:
// an answer belongs to an earlier letter only if it refers to it and comes from
// the same sender; a number in a subject never joins anything.
type Thread struct {
	Sender     Digest     `json:"sender,omitempty"`     // of the address in From
	Message    Digest     `json:"message,omitempty"`    // of the Message-ID
	References []Digest   `json:"references,omitempty"` // of In-Reply-To and References
	Own        []LetterID `json:"own,omitempty"`        // letters whose acknowledgement is referred to, by our own signed Message-IDs
}

// MaxThreadReferences bounds Thread.References: the first, which names the
// begin of the thread, and the latest.
const MaxThreadReferences = 20

// IsZero tells whether nothing is known.
func (t Thread) IsZero() bool {
	return t.Sender == "" && t.Message == "" && len(t.References) == 0 && len(t.Own) == 0
}
