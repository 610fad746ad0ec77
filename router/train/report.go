package train

import (
	"fmt"
	"io"
	"time"

	"sekretariat/router"
	"sekretariat/router/letters"
	"sekretariat/router/measure"
	"sekretariat/router/model"
)

// Report prints how well a router decides letters that its model had not seen:
// r has the model m, and decides each letter by what a model that lacked it
// said. held belongs to the labelled letters of list, in their order.
func Report(w io.Writer, r *router.Router, list []letters.Letter, held []model.Held, m *model.Model) error {
	var labelled []letters.Letter
	for _, l := range list {
		if l.Label != "" {
			labelled = append(labelled, l)
		}
	}
	fmt.Fprintf(w, "cross-validation in %d parts; sure from %.3f\n", m.Card.Folds, m.SureAt())
	return measure.Held(r, labelled, held, time.Now()).Print(w)
}
