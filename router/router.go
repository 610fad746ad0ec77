// Package router decides where a letter goes, as an experienced secretary
// would: a pure function of a reading, of what is known of its arrival and of
// the centre's configuration. Every decision explains itself in one Polish
// sentence. It knows neither where letters come from nor where they go.
package router

import (
	"time"

	"sekretariat"
)

// Facts are the input of a decision.
type Facts struct {
	Arrived sekretariat.ArrivedLite
	Reading sekretariat.Reading
	Now     time.Time // for suspensions and validity
}
