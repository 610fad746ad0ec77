package mail

import (
	"path"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// maxSafeName bounds a file name that is offered for download, octets.
const maxSafeName = 120

// extensions are those that a type may have; the first one is added when a
// name has none of them.
var extensions = map[string][]string{
	"application/pdf": {".pdf"}, "image/jpeg": {".jpg", ".jpeg", ".jpe", ".jfif"}, "image/png": {".png"}, "image/tiff": {".tif", ".tiff"},
	"image/gif": {".gif"}, "image/heic": {".heic", ".heif"}, "image/webp": {".webp"}, "image/bmp": {".bmp"},
	"application/x-7z-compressed": {".7z"}, "application/vnd.rar": {".rar"},
	"message/rfc822": {".eml", ".mht", ".mhtml"}, "application/rtf": {".rtf", ".doc"}, "application/ms-tnef": {".dat"}, TypeOutlook: {".msg"},
	"application/vnd.openxmlformats-officedocument.wordprocessingml.document":   {".docx"},
	"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet":         {".xlsx"},
	"application/vnd.openxmlformats-officedocument.presentationml.presentation": {".pptx"},
	"application/vnd.oasis.opendocument.text":                                   {".odt"},
	"application/vnd.oasis.opendocument.spreadsheet":                            {".ods"},
}

// bare are types whose name gets an extension only when it has none at all:
// many kinds of files are plain text, XML or ZIP.
var bare = map[string]string{
	"application/zip": ".zip",
	"text/plain":      ".txt", "text/html": ".html", "text/calendar": ".ics", "text/csv": ".csv", "application/xml": ".xml", "text/xml": ".xml",
}

// device are names that Windows takes for devices, whatever the extension.
var device = []string{
	"con", "prn", "aux", "nul", "com1", "com2", "com3", "com4", "com5", "com6", "com7", "com8", "com9",
	"lpt1", "lpt2", "lpt3", "lpt4", "lpt5", "lpt6", "lpt7", "lpt8", "lpt9", "com¹", "com²", "com³", "lpt¹", "lpt²", "lpt³", "conin$", "conout$",
}

// safeName makes a name for display and download out of a declared one: NFC,
// no folders, no control, direction or invisible characters, nothing that
// Windows refuses, at most 120 octets, with the extension of what the content
// is. A part without a name is called after its path.
func safeName(declared, typ, partPath string) string {
	name := strings.ReplaceAll(declared, `\`, "/")
	name = path.Base("/" + strings.TrimRight(name, "/ "))
	name = norm.NFC.String(strings.Map(safeRune, name))
	name = strings.Join(strings.Fields(name), " ")
	name = strings.Trim(name, " .-_")
	if !strings.ContainsFunc(name, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }) {
		name = "zalacznik-" + partPath
		if typ == "message/rfc822" {
			name = "wiadomosc-" + partPath
		}
	}
	stem, ext := splitExtension(name)
	if ext2 := extension(typ, ext); ext2 != ext {
		stem, ext = name, ext2
	}
	if base, _, _ := strings.Cut(strings.ToLower(stem), "."); slices.Contains(device, strings.TrimSpace(base)) {
		stem = "_" + stem
	}
	stem = strings.TrimRight(cutString(stem, maxSafeName-len(ext)), " .")
	return stem + ext
}

// safeRune replaces what has no place in a file name.
func safeRune(r rune) rune {
	switch {
	case r == unicode.ReplacementChar, strings.ContainsRune(`<>:"/|?*%`, r):
		return '_'
	case unicode.IsSpace(r):
		return ' '
	case unicode.Is(unicode.Cc, r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Co, r), unicode.Is(unicode.Cs, r),
		unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r), unicode.Is(unicode.Variation_Selector, r):
		return -1
	}
	return r
}

// splitExtension splits off an extension that looks like one.
func splitExtension(name string) (stem, ext string) {
	i := strings.LastIndexByte(name, '.')
	if i <= 0 || len(name)-i > 12 || strings.ContainsAny(name[i:], " ") {
		return name, ""
	}
	return name[:i], name[i:]
}

// extension returns the extension that a file of a type should have when its
// name has ext.
func extension(typ, ext string) string {
	if list := extensions[typ]; len(list) > 0 && !slices.Contains(list, strings.ToLower(ext)) {
		return list[0]
	}
	if ext == "" {
		return bare[typ]
	}
	return ext
}

// oddName tells whether a declared name could mislead a person or a file
// system.
func oddName(name string) bool {
	for _, r := range name {
		if r == '/' || r == '\\' || unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return true
		}
	}
	lower := strings.ToLower(name)
	base, _, _ := strings.Cut(lower, ".")
	return slices.Contains(device, base) || strings.Contains(lower, "%2f") || strings.Contains(lower, "%5c")
}
