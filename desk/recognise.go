package desk

import (
	"context"
	"fmt"

	"sekretariat"
)

// recognise asks for text recognition of a letter once more.
func (d *Desk) recognise(ctx context.Context, v visit) error {
	l, err := d.load(ctx, v)
	if err != nil {
		return err
	}
	if err := v.c.Pipeline.Recognise(ctx, v.who, l.ID); err != nil {
		return err
	}
	return d.goTo(v, "/pismo/"+string(l.ID))
}

// recognitionWord says how far text recognition is with a letter, "" when
// there is nothing to say.
func recognitionWord(r *sekretariat.RecognitionStatus) string {
	if r == nil {
		return ""
	}
	switch r.State {
	case sekretariat.RecognitionWaiting:
		return "OCR czeka"
	case sekretariat.RecognitionRunning:
		return fmt.Sprintf("OCR %d/%d", r.Done, r.Pages)
	case sekretariat.RecognitionPoor:
		return "Tekst skanu odczytano niepewnie (pismo odręczne?): proszę spojrzeć na strony."
	case sekretariat.RecognitionFailed:
		return "Skanu nie odczytano."
	}
	if r.Code != "" {
		return "Niektórych stron nie odczytano."
	}
	return ""
}
