package davdoor

import (
	"crypto/rand"
	"encoding/xml"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"time"

	"sekretariat/ingest/dropbox"
)

// from is the address of the device. Headers of proxies do not count: a device
// comes straight from the office's network.
func from(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

// The answer to PROPFIND (RFC 4918, 14): the properties that clients ask for
// most, whatever they ask for.
type multistatus struct {
	XMLName   xml.Name   `xml:"DAV: multistatus"`
	Responses []response `xml:"response"`
}

type response struct {
	Href string   `xml:"href"`
	Stat propstat `xml:"propstat"`
}

type propstat struct {
	Prop   prop   `xml:"prop"`
	Status string `xml:"status"`
}

type prop struct {
	DisplayName string        `xml:"displayname,omitempty"`
	Length      string        `xml:"getcontentlength,omitempty"`
	Modified    string        `xml:"getlastmodified,omitempty"`
	Type        *resourceType `xml:"resourcetype,omitempty"`
}

type resourceType struct {
	Collection *struct{} `xml:"collection"`
}

const statusOK = "HTTP/1.1 200 OK"

// maxAsk bounds the body of a PROPFIND, PROPPATCH or LOCK; it is not read.
const maxAsk = 64 << 10

func describe(href string, e dropbox.Entry) response {
	p := prop{DisplayName: e.Name(), Modified: e.ModTime().UTC().Format(http.TimeFormat), Type: &resourceType{}}
	if e.IsDir() {
		p.Type.Collection = &struct{}{}
	} else {
		p.Length = strconv.FormatInt(e.Size(), 10)
	}
	return response{Href: (&url.URL{Path: href}).EscapedPath(), Stat: propstat{p, statusOK}}
}

func propfind(w http.ResponseWriter, r *http.Request, t *dropbox.Tree) {
	skip(r)
	e, err := t.Stat(r.URL.Path)
	if err != nil {
		http.Error(w, dropbox.ErrNoSuch.Error(), http.StatusNotFound)
		return
	}
	m := multistatus{Responses: []response{describe(r.URL.Path, e)}}
	if e.IsDir() && r.Header.Get("Depth") != "0" {
		for _, e := range t.List(r.URL.Path) {
			m.Responses = append(m.Responses, describe(path.Join("/", r.URL.Path, e.Name()), e))
		}
	}
	writeXML(w, http.StatusMultiStatus, m)
}

// proppatch says that all properties were set: Windows sets times, which are no
// business of ours, and fails a copy when that fails.
func proppatch(w http.ResponseWriter, r *http.Request) {
	skip(r)
	writeXML(w, http.StatusMultiStatus, multistatus{Responses: []response{{
		Href: (&url.URL{Path: r.URL.Path}).EscapedPath(), Stat: propstat{prop{DisplayName: name(r.URL.Path)}, statusOK},
	}}})
}

// lock gives a lock that holds nothing: files are seen by their own device
// alone. Windows writes nothing without one (RFC 4918, 9.10).
func lock(w http.ResponseWriter, r *http.Request) {
	skip(r)
	token := "opaquelocktoken:" + rand.Text()
	w.Header().Set("Lock-Token", "<"+token+">")
	type active struct {
		Type struct {
			Write struct{} `xml:"write"`
		} `xml:"locktype"`
		Scope struct {
			Exclusive struct{} `xml:"exclusive"`
		} `xml:"lockscope"`
		Depth   string `xml:"depth"`
		Timeout string `xml:"timeout"`
		Token   string `xml:"locktoken>href"`
	}
	type answer struct {
		XMLName xml.Name `xml:"DAV: prop"`
		Active  active   `xml:"lockdiscovery>activelock"`
	}
	writeXML(w, http.StatusOK, answer{Active: active{Depth: "0", Timeout: "Second-" + strconv.Itoa(int((10 * time.Minute).Seconds())), Token: token}})
}

func skip(r *http.Request) {
	_, _ = io.CopyN(io.Discard, r.Body, maxAsk) // a longer or broken one ends the connection by itself
}

func writeXML(w http.ResponseWriter, status int, v any) {
	raw, err := xml.Marshal(v)
	if err != nil { // our own types
		http.Error(w, "cannot answer", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", `application/xml; charset="utf-8"`)
	w.WriteHeader(status)
	_, _ = w.Write(append([]byte(xml.Header), raw...)) // the client has gone if it fails
}
