// Package sniff tells what a file is by its first octets. Names and declared
// types are what the sender says; what decides is the content, for a scanner
// calls every file "scan" and an attacker calls every program "faktura.pdf".
package sniff

import (
	"bytes"
	"net/http"
	"strings"
	"unicode/utf8"
)

// HeadSize is how many octets Type wants to see; fewer are fine for a shorter
// file.
const HeadSize = 4096

// Unknown is the answer for content that is nothing we know.
const Unknown = "application/octet-stream"

// magic is one fixed signature.
type magic struct {
	offset int
	bytes  string
	typ    string
}

var magics = []magic{
	{0, "\x89PNG\r\n\x1a\n", "image/png"},
	{0, "\xff\xd8\xff", "image/jpeg"},
	{0, "GIF87a", "image/gif"},
	{0, "GIF89a", "image/gif"},
	{0, "II*\x00", "image/tiff"},
	{0, "MM\x00*", "image/tiff"},
	{0, "II+\x00", "image/tiff"}, // BigTIFF
	{0, "MM\x00+", "image/tiff"},
	{0, "BM", "image/bmp"},
	{8, "WEBP", "image/webp"},
	{0, "7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"},
	{0, "Rar!\x1a\x07", "application/vnd.rar"},
	{0, "\x1f\x8b", "application/gzip"},
	{0, "BZh", "application/x-bzip2"},
	{257, "ustar", "application/x-tar"},
	{0, "{\\rtf", "application/rtf"},
	{0, "\x78\x9f\x3e\x22", "application/ms-tnef"},
	{0, "\x7fELF", "application/x-executable"},
	{0, "MZ", "application/x-msdownload"},
	{0, "-----BEGIN PGP MESSAGE", "application/pgp-encrypted"},
	{0, "-----BEGIN PGP SIGNATURE", "application/pgp-signature"},
	{0, "%!PS", "application/postscript"},
	{0, "OggS", "application/ogg"},
	{0, "ID3", "audio/mpeg"},
}

// Type returns the media type of a file that begins with head. name only
// decides between types that share a container (ZIP, OLE).
func Type(head []byte, name string) string {
	if len(head) == 0 {
		return "application/x-empty"
	}
	for _, find := range []func([]byte, string) string{zip, ole, der} {
		if t := find(head, name); t != "" {
			return t
		}
	}
	// PDF readers accept the header anywhere in the first 1,024 octets
	// (ISO 32000-1, annex H, implementation note 13); what holds other files
	// may hold a PDF there.
	if i := bytes.Index(head[:min(len(head), 1024)], []byte("%PDF-")); i == 0 || i > 0 && !holder(head) {
		return "application/pdf"
	}
	for _, m := range magics {
		if len(head) >= m.offset+len(m.bytes) && string(head[m.offset:m.offset+len(m.bytes)]) == m.bytes {
			return m.typ
		}
	}
	for _, find := range []func([]byte, string) string{iso, pgp} {
		if t := find(head, name); t != "" {
			return t
		}
	}
	return text(head)
}

// pgp recognises OpenPGP without armour. Two octets prove little, so the name
// must say it too: a packet with a session key, or a signature (RFC 9580 §5).
func pgp(h []byte, name string) string {
	name = strings.ToLower(name)
	if h[0] < 0x80 || !strings.HasSuffix(name, ".gpg") && !strings.HasSuffix(name, ".pgp") && !strings.HasSuffix(name, ".sig") {
		return ""
	}
	tag := h[0] >> 2 & 0x0f // old format, RFC 9580 §4.2.2
	if h[0] >= 0xc0 {
		tag = h[0] & 0x3f
	}
	switch tag {
	case 1, 3:
		return "application/pgp-encrypted"
	case 2:
		return "application/pgp-signature"
	}
	return ""
}

// holders are the signatures of formats that hold other files as they are.
var holders = []magic{
	{0, "\x78\x9f\x3e\x22", ""}, {0, "7z\xbc\xaf\x27\x1c", ""}, {0, "Rar!\x1a\x07", ""}, {257, "ustar", ""}, {0, "From ", ""},
}

// holder tells whether a file may hold another one as it is.
func holder(h []byte) bool {
	for _, m := range holders {
		if len(h) >= m.offset+len(m.bytes) && string(h[m.offset:m.offset+len(m.bytes)]) == m.bytes {
			return true
		}
	}
	return isMail(h)
}

// iso recognises ISO base media files by their brand: HEIC photos, MP4 films.
func iso(h []byte, _ string) string {
	if len(h) < 12 || string(h[4:8]) != "ftyp" {
		return ""
	}
	switch string(h[8:12]) {
	case "heic", "heix", "hevc", "heim", "heis", "mif1", "msf1":
		return "image/heic"
	case "avif":
		return "image/avif"
	}
	return "video/mp4"
}

var zipByName = map[string]string{
	".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
	".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
}

// zip tells the formats that are ZIP files from plain archives: OpenDocument
// and ASiC store their type in a first entry called mimetype (ODF 1.2 part 3
// §3.3, ETSI EN 319 162-1 §4.4), OOXML begins with [Content_Types].xml.
func zip(h []byte, name string) string {
	if !bytes.HasPrefix(h, []byte("PK\x03\x04")) && !bytes.HasPrefix(h, []byte("PK\x05\x06")) {
		return ""
	}
	if len(h) > 38 && string(h[30:38]) == "mimetype" {
		rest := h[38:]
		end := bytes.Index(rest, []byte("PK"))
		if end < 0 {
			end = min(len(rest), 100)
		}
		if t := strings.TrimSpace(string(rest[:end])); strings.HasPrefix(t, "application/") && len(t) < 100 {
			return t
		}
	}
	if bytes.Contains(h, []byte("[Content_Types].xml")) || bytes.Contains(h, []byte("_rels/.rels")) {
		for _, e := range []struct{ dir, ext string }{{"word/", ".docx"}, {"xl/", ".xlsx"}, {"ppt/", ".pptx"}} {
			if bytes.Contains(h, []byte(e.dir)) {
				return zipByName[e.ext]
			}
		}
		for ext, t := range zipByName {
			if strings.HasSuffix(strings.ToLower(name), ext) {
				return t
			}
		}
	}
	return "application/zip"
}

// ole recognises the compound file of old office formats and Outlook .msg.
func ole(h []byte, name string) string {
	if !bytes.HasPrefix(h, []byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")) {
		return ""
	}
	n := strings.ToLower(name)
	switch {
	case strings.HasSuffix(n, ".msg"):
		return "application/vnd.ms-outlook"
	case strings.HasSuffix(n, ".xls"):
		return "application/vnd.ms-excel"
	case strings.HasSuffix(n, ".doc"):
		return "application/msword"
	}
	return "application/x-ole-storage"
}

// der recognises PKCS #7 in DER: a SEQUENCE that begins with the OID
// 1.2.840.113549.1.7 (RFC 5652 §3).
func der(h []byte, _ string) string {
	if h[0] == 0x30 && bytes.Contains(h[:min(len(h), 32)], []byte("\x2a\x86\x48\x86\xf7\x0d\x01\x07")) {
		return "application/pkcs7-mime"
	}
	return ""
}

// text tells XML, HTML, mail and plain text apart, and anything else.
func text(h []byte) string {
	t := bytes.TrimLeft(bytes.TrimPrefix(h, []byte("\xef\xbb\xbf")), " \t\r\n")
	switch {
	case bytes.HasPrefix(t, []byte("<?xml")), utf16XML(h):
		return "application/xml"
	case bytes.HasPrefix(t, []byte("<")) && !isHTML(t):
		return "application/xml"
	case isHTML(t):
		return "text/html"
	case bytes.HasPrefix(t, []byte("-----BEGIN PKCS7")):
		return "application/pkcs7-mime"
	case isMail(t):
		return "message/rfc822"
	case isText(h):
		return "text/plain"
	}
	if s := http.DetectContentType(h); !strings.HasPrefix(s, "text/") && s != Unknown {
		return s
	}
	return Unknown
}

func utf16XML(h []byte) bool {
	return bytes.HasPrefix(h, []byte("\xff\xfe<\x00")) || bytes.HasPrefix(h, []byte("\xfe\xff\x00<"))
}

func isHTML(t []byte) bool {
	l := bytes.ToLower(t[:min(len(t), 256)])
	for _, p := range []string{"<!doctype html", "<html", "<head", "<body", "<table", "<div", "<p>", "<meta"} {
		if bytes.HasPrefix(l, []byte(p)) {
			return true
		}
	}
	return false
}

// mailHeaders are fields that begin a stored message.
var mailHeaders = []string{"return-path:", "received:", "from:", "date:", "message-id:", "mime-version:", "delivered-to:", "subject:", "to:"}

// isMail asks for two known header fields among the first lines: one alone may
// begin any note ("Date: …").
func isMail(t []byte) bool {
	found := 0
	for i, line := range bytes.SplitN(t, []byte("\n"), 40) {
		l := bytes.ToLower(bytes.TrimRight(line, "\r"))
		if len(l) == 0 {
			break
		}
		if i == 0 && bytes.HasPrefix(l, []byte("from ")) {
			continue
		}
		for _, f := range mailHeaders {
			if bytes.HasPrefix(l, []byte(f)) {
				found++
				break
			}
		}
	}
	return found >= 2
}

// isText accepts UTF-8, UTF-16 with a mark, and single-byte text: no NUL, few
// control characters.
func isText(h []byte) bool {
	if bytes.HasPrefix(h, []byte("\xff\xfe")) || bytes.HasPrefix(h, []byte("\xfe\xff")) {
		return true
	}
	controls := 0
	for _, c := range h {
		switch {
		case c == 0:
			return false
		case c < 0x20 && c != '\n' && c != '\r' && c != '\t' && c != '\f' && c != 0x1b:
			controls++
		}
	}
	if utf8.Valid(h) {
		return controls*20 <= len(h)
	}
	return controls*100 <= len(h)
}
