package office

import (
	"archive/zip"
	"encoding/xml"
	"strconv"
	"strings"
)

// odf reads OpenDocument text, sheets and presentations (ODF 1.2 part 1).
// Headers and footers of a text stand in styles.xml.
func odf(z *zip.Reader, typ string, out *text) error {
	sealed, err := odfEncrypted(z)
	if err != nil {
		return err
	}
	if sealed {
		return ErrPassword
	}
	if err := odfFile(z, "content.xml", out); err != nil {
		return err
	}
	for _, f := range z.File {
		if f.Name == "styles.xml" && typ == TypeODT {
			return odfFile(z, f.Name, out)
		}
	}
	return nil
}

// odfEncrypted tells whether the manifest names encryption (ODF 1.2 part 3
// §4.4).
func odfEncrypted(z *zip.Reader) (bool, error) {
	const manifest = "META-INF/manifest.xml"
	sealed := false
	for _, f := range z.File {
		if f.Name == "encrypted-package" {
			return true, nil
		}
		if f.Name != manifest {
			continue
		}
		err := xmlOf(z, manifest, func(e xml.StartElement) error {
			sealed = sealed || e.Name.Local == "encryption-data"
			return nil
		}, func(xml.EndElement) error { return nil }, func(string) error { return nil })
		return sealed, err
	}
	return false, nil
}

func odfFile(z *zip.Reader, name string, out *text) error {
	paragraphs, hidden, cells := 0, 0, 0
	return xmlOf(z, name, func(e xml.StartElement) error {
		if odfHidden(e.Name) {
			hidden++
		}
		if hidden > 0 {
			return nil
		}
		switch {
		case paragraph(e.Name):
			paragraphs++
		case e.Name.Local == "table-cell":
			cells++
		case paragraphs == 0:
		case e.Name.Local == "s" && e.Name.Space == "text":
			n, err := strconv.Atoi(attribute(e, "c"))
			if err != nil || n < 1 {
				n = 1
			}
			return out.add(strings.Repeat(" ", min(n, 100)))
		case e.Name.Local == "tab":
			return out.add("\t")
		case e.Name.Local == "line-break":
			return out.newline()
		}
		return nil
	}, func(e xml.EndElement) error {
		if odfHidden(e.Name) {
			hidden--
			return nil
		}
		if hidden > 0 {
			return nil
		}
		switch {
		case paragraph(e.Name):
			if paragraphs--; paragraphs == 0 {
				return out.paragraph(cells)
			}
		case e.Name.Local == "table-cell":
			cells--
			return out.add("\t")
		case e.Name.Local == "table-row":
			return out.newline()
		}
		return nil
	}, func(s string) error {
		if paragraphs == 0 || hidden > 0 {
			return nil
		}
		return out.add(strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' || r == '\t' }), " "))
	})
}

func paragraph(n xml.Name) bool { return n.Space == "text" && (n.Local == "p" || n.Local == "h") }

// odfHidden are elements whose text nobody reads: what was deleted, and notes
// of the editors.
func odfHidden(n xml.Name) bool { return n.Local == "tracked-changes" || n.Local == "annotation" }
