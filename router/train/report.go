package train

import (
	"fmt"
	"io"

	"sekretariat/router/letters"
	"sekretariat/router/measure"
	"sekretariat/router/model"
)

// Report prints how well models did on letters that they had not seen. held
// belongs to the labelled letters of list, in their order.
func Report(w io.Writer, list []letters.Letter, held []model.Held, m *model.Model) error {
	var labelled []letters.Letter
	for _, l := range list {
		if l.Label != "" {
			labelled = append(labelled, l)
		}
	}
	fmt.Fprintf(w, "cross-validation in %d parts; sure from %.3f\n", m.Card.Folds, m.SureAt())
	return measure.OfModel(labelled, held, m.SureAt()).Print(w)
}
