// Package signed finds electronic signatures in and beside files: in PDF files
// (PAdES), in XML files (XAdES) with the files that they sign or hold, and says
// of each what it can prove. Signatures in CMS files are read by package cms;
// signatures of an XML document over itself are judged by package xades.
package signed

import (
	"bytes"
	"encoding/hex"
	"io"
	"regexp"
	"strconv"

	"sekretariat"
	"sekretariat/extract/cms"
)

// Limits of PDF signatures.
const (
	maxPDFSignatures = 32
	maxContents      = 1 << 20 // octets of one signature, decoded
	window           = 64 << 10
	// dictionary is how far around a byte range its signature dictionary is
	// looked for; what lies between is bounded by the range itself.
	dictionary = 8 << 10
)

// PDFSignature is one signature dictionary of a PDF file (ISO 32000-1 §12.8.1).
type PDFSignature struct {
	Object  *cms.Object // nil if it holds no CMS object
	Digests cms.Digests // of the octets that it covers
	Whole   bool        // it covers the file to its end
}

// A byte range stands in the open: it is written when everything else of the
// file is, so it cannot lie in a compressed object.
var byteRange = regexp.MustCompile(`/ByteRange\s{0,20}\[\s{0,20}(\d{1,12})\s{1,20}(\d{1,12})\s{1,20}(\d{1,12})\s{1,20}(\d{1,12})\s{0,20}\]`)

var timestamp = []byte("/ETSI.RFC3161")

// PDF finds the signatures of a PDF file, without document timestamps. The
// error is one of body.
func PDF(body sekretariat.Body) ([]PDFSignature, error) {
	var list []PDFSignature
	seen := map[[4]int64]bool{}
	buf := make([]byte, window)
	const overlap = 256
	for off := int64(0); off < body.Size() && len(list) < maxPDFSignatures; off += window - overlap {
		n, err := body.ReadAt(buf, off)
		if err != nil && err != io.EOF {
			return nil, err
		}
		for _, m := range byteRange.FindAllSubmatchIndex(buf[:n], -1) {
			var r [4]int64
			for i := range r {
				r[i], _ = strconv.ParseInt(string(buf[m[2+2*i]:m[3+2*i]]), 10, 64)
			}
			if seen[r] || !sound(r, body.Size()) || len(list) >= maxPDFSignatures {
				continue
			}
			seen[r] = true
			s, ok, err := pdfSignature(body, r, off+int64(m[0]))
			if err != nil {
				return nil, err
			}
			if ok {
				list = append(list, s)
			}
		}
	}
	return list, nil
}

// sound tells whether a byte range is two stretches of the file with a gap that
// holds the signature.
func sound(r [4]int64, size int64) bool {
	return r[0] == 0 && r[1] > 0 && r[2] > r[1] && r[2]-r[1] <= 2*maxContents+2 && r[3] >= 0 && r[2]+r[3] <= size
}

func pdfSignature(body sekretariat.Body, r [4]int64, at int64) (s PDFSignature, ok bool, err error) {
	around := make([]byte, dictionary)
	n, err := body.ReadAt(around, max(0, at-dictionary/2))
	if err != nil && err != io.EOF {
		return s, false, err
	}
	if bytes.Contains(around[:n], timestamp) {
		return s, false, nil
	}
	gap := make([]byte, r[2]-r[1])
	if _, err := body.ReadAt(gap, r[1]); err != nil && err != io.EOF {
		return s, false, err
	}
	s.Whole = r[2]+r[3] == body.Size()
	raw := make([]byte, hex.DecodedLen(len(gap)))
	k, _ := hex.Decode(raw, bytes.Trim(gap, "<> \r\n\t")) // up to the first octet that is none
	if k == 0 {
		return s, true, nil
	}
	if s.Object, err = cms.Read(bytes.NewReader(raw[:k]), nil); err != nil {
		return s, false, err
	}
	s.Digests = s.Object.Digests()
	covered := io.MultiReader(io.NewSectionReader(body, 0, r[1]), io.NewSectionReader(body, r[2], r[3]))
	_, err = io.Copy(s.Digests, covered)
	return s, true, err
}
