package epuap

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/extract/xmlsec"
)

// Descriptor is the name of the list in the ZIP file of an emergency download
// ("awaryjne pobranie" on the portal).
const Descriptor = "Deskryptor.xml"

// MaxDescriptor bounds that list, octets.
const MaxDescriptor = 4 << 20

// maxEmergency bounds the letters of one download.
const maxEmergency = 2000

// ErrDescriptor: the file is no list of an emergency download, or it does not
// fit the files beside it.
var ErrDescriptor = errors.New("not the list of an ePUAP emergency download")

// Packaged is one letter of an emergency download.
type Packaged struct {
	Member   int // place in the list of files
	Delivery sekretariat.Delivery
}

// Emergency tells of each letter of an emergency download what the pull service
// would have told, so that it is the same submission by either way (contract of
// ids). files are the names of the files beside the list. A letter to a skrytka
// that is not configured belongs to the account of the box that it came
// through.
func Emergency(centre *configs.Centre, box configs.Account, clock sekretariat.Clock, descriptor []byte, files []string) ([]Packaged, error) {
	doc, err := xmlsec.Parse(bytes.NewReader(descriptor), xmlsec.Limits{Octets: MaxDescriptor, Depth: 8}, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDescriptor, err)
	}
	list := children(doc.Root, "Dokument")
	if doc.Root.Name.Local != "Dokumenty" || len(list) == 0 || len(list) > maxEmergency {
		return nil, fmt.Errorf("%w: %d letters", ErrDescriptor, len(list))
	}
	var out []Packaged
	used := map[int]bool{}
	for i, n := range list {
		f := described(n)
		at := member(files, value(n, "SciezkaWArchiwum"), used)
		if at < 0 && len(list) == 1 && len(files) == 1 {
			at = 0
		}
		if at < 0 {
			return nil, fmt.Errorf("%w: letter %d has no file", ErrDescriptor, i+1)
		}
		used[at] = true
		l := link{o: Options{Centre: centre.ID, Account: accountOf(centre, box, f["adresSkrytki"]), Clock: clock}}
		r := &reply{answer: &answer{fields: f, content: content{present: true, size: 1}}}
		r.security.Err = xmlsec.ErrUnsigned
		d := l.delivery(r)
		d.Door = sekretariat.DoorEPUAPFile
		out = append(out, Packaged{Member: at, Delivery: d})
	}
	return out, nil
}

// accountOf is the account of a skrytka, also one that is switched off:
// emergencies are when pulling does not work.
func accountOf(centre *configs.Centre, box configs.Account, address string) configs.EPUAP {
	for _, e := range centre.EPUAP {
		if e.Address == address {
			return e
		}
	}
	return configs.EPUAP{Account: box, Address: address}
}

func children(n *xmlsec.Node, local string) []*xmlsec.Node {
	var out []*xmlsec.Node
	for _, c := range n.Elements() {
		if c.Name.Local == local {
			out = append(out, c)
		}
	}
	return out
}

func value(n *xmlsec.Node, local string) string {
	for _, c := range children(n, local) {
		s := strings.TrimSpace(c.Content())
		return s[:min(len(s), maxExtra)]
	}
	return ""
}

// described turns an entry (EmergencyDownload.xsd) into the fields of an answer
// of the pull service.
func described(n *xmlsec.Node) map[string]string {
	f := map[string]string{}
	put := func(path, v string) {
		if fields[path] && v != "" {
			f[path] = v
		}
	}
	for _, c := range n.Elements() {
		name := lowerFirst(c.Name.Local)
		switch name {
		case "nazwaPliku":
			name = "dokument." + name
		case "dataNadania":
			put(name, emergencyTime(strings.TrimSpace(c.Content())))
			continue
		}
		put(name, value(n, c.Name.Local))
		for _, child := range c.Elements() {
			put(name+"."+lowerFirst(child.Name.Local), strings.TrimSpace(child.Content()))
		}
	}
	return f
}

// emergencyTime turns the list's form of a time (Polish time) into xsd:dateTime.
func emergencyTime(s string) string {
	t, err := time.ParseInLocation("02.01.2006T15:04:05.999", s, sekretariat.Warsaw())
	if err != nil {
		return s
	}
	return t.Format("2006-01-02T15:04:05.000-07:00")
}

// member finds the file that an entry names. Names in the archive were written
// in CP852 and may differ in form from those in the list.
func member(files []string, want string, used map[int]bool) int {
	same := []func(a, b string) bool{
		func(a, b string) bool { return a == b },
		func(a, b string) bool { return plainName(a) == plainName(b) },
		func(a, b string) bool { return path.Base(plainName(a)) == path.Base(plainName(b)) },
	}
	for _, is := range same {
		for i, f := range files {
			if !used[i] && want != "" && is(f, want) {
				return i
			}
		}
	}
	return -1
}

func plainName(s string) string {
	return strings.ToLower(norm.NFC.String(strings.Trim(strings.ReplaceAll(s, `\`, "/"), "/ ")))
}
