package office

import "sekretariat"

// Word97 reads a .doc file without falling back on LibreOffice.
func Word97(body sekretariat.Body, limit int) (string, error) {
	out := &text{limit: limit}
	err := word97(body, out)
	return out.String(), err
}
