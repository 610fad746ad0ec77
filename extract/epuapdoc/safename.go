package epuapdoc

import (
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName bounds a file name: ext4 and NTFS allow 255, and callers add to it.
const maxName = 180

// reserved are device names of Windows, where departments open files.
var reserved = map[string]bool{
	"CON": true, "PRN": true, "AUX": true, "NUL": true, "COM1": true, "COM2": true, "COM3": true, "COM4": true,
	"COM5": true, "COM6": true, "COM7": true, "COM8": true, "COM9": true, "LPT1": true, "LPT2": true, "LPT3": true,
	"LPT4": true, "LPT5": true, "LPT6": true, "LPT7": true, "LPT8": true, "LPT9": true,
}

// safeName makes a declared file name safe to save under: no path, no control
// or direction characters (which hide an extension), nothing that Windows
// refuses. "" becomes "zalacznik".
func safeName(declared string) string {
	name := declared[strings.LastIndexAny(declared, `/\`)+1:]
	name = strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError, strings.ContainsRune(`<>:"|?*`, r):
			return '_'
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, name)
	name = strings.Trim(strings.Join(strings.Fields(name), " "), ". ")
	if len(name) > maxName {
		ext := path.Ext(name)
		if len(ext) > 20 {
			ext = ""
		}
		name = strings.ToValidUTF8(name[:maxName-len(ext)], "") + ext
	}
	if stem, _, _ := strings.Cut(name, "."); reserved[strings.ToUpper(stem)] {
		name = "_" + name
	}
	if name == "" {
		return "zalacznik"
	}
	return name
}
