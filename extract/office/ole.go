package office

import (
	"slices"

	"sekretariat"
	"sekretariat/extract/cfb"
)

// The names of streams in a compound file that tell what it is (MS-CFB 2.6.1).
var oleStreams = map[string]string{
	"WordDocument": TypeDOC, "Workbook": TypeXLS, "Book": TypeXLS, "PowerPoint Document": TypePPT,
	"__properties_version1.0": "application/vnd.ms-outlook", "EncryptedPackage": TypeEncrypted,
}

// TypeEncrypted is an OOXML document under a password: a compound file around
// an encrypted package (MS-OFFCRYPTO 2.3).
const TypeEncrypted = "application/vnd.ms-office-encrypted"

// OLE returns the type of a compound file by its streams, "" if it is none of
// ours.
func OLE(body sekretariat.Body) string {
	f, err := cfb.Open(body, body.Size())
	if err != nil {
		return ""
	}
	names := f.Root().Names()
	slices.Sort(names) // the same answer every time
	for _, n := range names {
		if typ := oleStreams[n]; typ != "" {
			return typ
		}
	}
	return ""
}
