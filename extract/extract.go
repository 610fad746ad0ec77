// Package extract turns bytes into text, parts, pages, codes and signatures,
// without judging them. Each format is a sub-package; this one finds out what
// a file is by its content and calls the right reader. Because whatever comes
// in may be hostile, reading happens in killable child processes (Pool).
package extract

import (
	"context"
	"time"

	"sekretariat"
)

// Input is one original to be read.
type Input struct {
	Kind      sekretariat.Kind  `json:"kind"`      // KindMail is read as mail whatever it looks like; "" = by content
	Name      string            `json:"name"`      // file name, a hint only
	MediaType string            `json:"mediaType"` // as declared, a hint only
	Source    map[string]string `json:"source"`    // the manifest's Source: what the channel knows
	At        time.Time         `json:"at"`        // when it was surely there; zero = now
	Body      sekretariat.Body  `json:"-"`

	// Password opens what is encrypted. A clerk gives it for one reading; it
	// is never stored.
	Password string `json:"password,omitempty"`
	// Care tells how little of foreign content is touched: 0 reads all, 1
	// leaves archives whose readers may need much memory alone, 2 reads the
	// letter itself and lists its attachments. Pool raises it when a letter
	// kills its reader.
	Care    int      `json:"care,omitempty"`
	Glance  bool     `json:"glance,omitempty"`  // of a mail: the message alone, no attachment is opened
	Headers []string `json:"headers,omitempty"` // of a mail: further header fields to show in Reading.Headers
}

// Reader reads originals. It returns an error only when reading itself could
// not be done (child killed, disk full); a broken file is a Reading that says
// so.
type Reader interface {
	Read(ctx context.Context, in Input) (sekretariat.Reading, error)
}
