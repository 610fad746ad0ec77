package trust

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/extract/xmlsec"
)

// maxFile bounds a file of certificates or a trusted list, in octets. The
// Polish list has half a megabyte, the largest one six.
const maxFile = 32 << 20

// Load reads what the configuration names. Errors say which file is wrong.
func Load(c configs.Trust) (*List, error) {
	var entries []Entry
	for _, s := range c.Signers {
		more, err := signers(s)
		if err != nil {
			return nil, fmt.Errorf("trust: signers: %s: %w", s.File, err)
		}
		entries = append(entries, more...)
	}
	for _, name := range c.Lists {
		more, err := listed(name)
		if err != nil {
			return nil, fmt.Errorf("trust: lists: %s: %w", name, err)
		}
		entries = append(entries, more...)
	}
	return New(entries)
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(raw) > maxFile {
		err = fmt.Errorf("larger than %d octets", maxFile)
	}
	return raw, err
}

// signers reads one PEM file.
func signers(s configs.TrustedSigner) ([]Entry, error) {
	raw, err := readFile(s.File)
	if err != nil {
		return nil, err
	}
	from, to := midnight(s.From, 0), midnight(s.To, 1)
	var out []Entry
	for {
		var block *pem.Block
		if block, raw = pem.Decode(raw); block == nil {
			break
		}
		if block.Type == "CERTIFICATE" {
			out = append(out, Entry{Role: Role(s.As), DER: block.Bytes, From: from, To: to})
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no certificate in PEM form")
	}
	return out, nil
}

// midnight is the beginning of a Polish day, days later; zero for "".
func midnight(day string, days int) time.Time {
	t, err := time.ParseInLocation(time.DateOnly, day, sekretariat.Warsaw())
	if err != nil { // "", for the configuration was checked
		return time.Time{}
	}
	return t.AddDate(0, 0, days)
}

// Identifiers of a trusted list (ETSI TS 119 612 §5.5.1, §5.5.4).
const (
	spaceTSL = "http://uri.etsi.org/02231/v2#"
	typeQC   = "http://uri.etsi.org/TrstSvc/Svctype/CA/QC"
	granted  = "http://uri.etsi.org/TrstSvc/TrustedList/Svcstatus/granted"
)

// listed reads the authorities for qualified certificates that a trusted list
// grants, and since when. The list's own signature is the administrator's to
// check when he fetches it (docs/pl/epuap.md).
func listed(name string) ([]Entry, error) {
	raw, err := readFile(name)
	if err != nil {
		return nil, err
	}
	doc, err := xmlsec.Parse(bytes.NewReader(raw), xmlsec.Limits{Octets: maxFile}, nil)
	if err != nil {
		return nil, err
	}
	if !doc.Root.Is(spaceTSL, "TrustServiceStatusList") {
		return nil, fmt.Errorf("no trusted list (ETSI TS 119 612)")
	}
	var out []Entry
	doc.Root.Walk(func(n *xmlsec.Node) bool {
		if n.Is(spaceTSL, "ServiceInformation") {
			out = append(out, service(n)...)
			return false
		}
		return true
	})
	if len(out) == 0 {
		return nil, fmt.Errorf("the list grants no authority for qualified certificates")
	}
	return out, nil
}

// service reads one service of a trusted list.
func service(n *xmlsec.Node) []Entry {
	text := func(local string) string { return strings.TrimSpace(n.Child(spaceTSL, local).Content()) }
	if text("ServiceTypeIdentifier") != typeQC || text("ServiceStatus") != granted {
		return nil
	}
	since, err := time.Parse(time.RFC3339, text("StatusStartingTime"))
	if err != nil {
		since = time.Time{}
	}
	// Before eIDAS the same authorities were granted under another name; the
	// history of the list is not evaluated, so only the present grant counts.
	var out []Entry
	for _, id := range n.Child(spaceTSL, "ServiceDigitalIdentity").Elements() {
		der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(id.Child(spaceTSL, "X509Certificate").Content()), ""))
		if err != nil || len(der) == 0 {
			continue
		}
		if c, err := x509.ParseCertificate(der); err == nil && c.IsCA {
			out = append(out, Entry{Role: Qualified, DER: der, From: since})
		}
	}
	return out
}
