package xades

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"sekretariat"
	"sekretariat/extract/xmlsec"
)

// Namespaces of XAdES that are in use: 1.3.2 and its predecessors.
var spaces = []string{"http://uri.etsi.org/01903/v1.3.2#", "http://uri.etsi.org/01903/v1.2.2#", "http://uri.etsi.org/01903/v1.1.1#"}

// Namespaces of the claims of Profil Zaufany.
const (
	spacePZ     = "http://crd.gov.pl/xml/schematy/podpis_zaufany/"
	spacePPZP   = "http://crd.gov.pl/xml/schematy/ppzp/"
	spacePerson = "http://crd.gov.pl/xml/schematy/osoba/2009/03/06/"
)

// maxName bounds a name taken from a signature, in octets.
const maxName = 500

// properties is what a signature says of itself in its SignedProperties.
type properties struct {
	node        *xmlsec.Node // SignedProperties, nil without
	err         error        // why they cannot count
	time        time.Time    // SigningTime
	certificate *certificateRef
	claims      string // form of the claimed role
	person      sekretariat.Party
}

// certificateRef is CertDigest of SigningCertificate or SigningCertificateV2.
type certificateRef struct {
	algorithm string
	digest    []byte
}

// is tells whether it names this certificate.
func (r *certificateRef) is(c *x509.Certificate) bool {
	h, err := xmlsec.NewDigest(r.algorithm)
	if err != nil {
		return false
	}
	h.Write(c.Raw)
	return bytes.Equal(h.Sum(nil), r.digest)
}

// propertiesOf finds the one QualifyingProperties of a signature. A second one
// could name somebody else, so it spoils the signature.
func propertiesOf(signature *xmlsec.Node) properties {
	var p properties
	id, _ := signature.Attr("", "Id")
	for _, object := range signature.Elements() {
		if !object.Is(xmlsec.SpaceDSig, "Object") {
			continue
		}
		for _, q := range object.Elements() {
			if q.Name.Local != "QualifyingProperties" || !slices.Contains(spaces, q.Name.Space) {
				continue
			}
			target, has := q.Attr("", "Target")
			if has && target != "#"+id || p.node != nil {
				p.err = &xmlsec.Error{Kind: xmlsec.ErrStructure, Message: "QualifyingProperties"}
				continue
			}
			p.node = q.Child(q.Name.Space, "SignedProperties")
		}
	}
	if p.node != nil {
		p.read(p.node.Name.Space)
	}
	return p
}

func (p *properties) read(space string) {
	s := p.node.Child(space, "SignedSignatureProperties")
	if t, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(s.Child(space, "SigningTime").Content())); err == nil {
		p.time = t.UTC()
	}
	for _, name := range []string{"SigningCertificateV2", "SigningCertificate"} {
		if c := s.Child(space, name).Child(space, "Cert").Child(space, "CertDigest"); c != nil && p.certificate == nil {
			p.certificate = reference(c)
		}
	}
	for _, role := range []string{"SignerRole", "SignerRoleV2"} {
		if r := s.Child(space, role).Child(space, "ClaimedRoles"); r != nil {
			p.role(r.Child(space, "ClaimedRole"))
		}
	}
}

func reference(c *xmlsec.Node) *certificateRef {
	r := &certificateRef{}
	r.algorithm, _ = c.Child(xmlsec.SpaceDSig, "DigestMethod").Attr("", "Algorithm")
	// What is no base64 fits no certificate.
	r.digest, _ = base64.StdEncoding.DecodeString(strings.Join(strings.Fields(c.Child(xmlsec.SpaceDSig, "DigestValue").Content()), ""))
	return r
}

// role reads the claims of Profil Zaufany, in the form since 2024 (EPSignature)
// or the one before and after it (PodpisZP).
func (p *properties) role(n *xmlsec.Node) {
	if e := n.Child(spacePZ, "EPSignature"); e != nil {
		person := e.Child(spacePZ, "NaturalPerson")
		p.claims = "EPSignature"
		p.person = named(value(person.Child(spacePZ, "FirstName")), value(person.Child(spacePZ, "CurrentFamilyName")))
		setID(&p.person, "PESEL", value(person.Child(spacePZ, "PersonalIdentifier")))
		return
	}
	z := n.Child(spacePPZP, "PodpisZP")
	if z == nil {
		return
	}
	person := z.Child(spacePPZP, "DaneZP").Child(spacePPZP, "DaneZPOsobyFizycznej")
	p.claims = "PodpisZP"
	var given, family []string
	for _, e := range person.Elements() {
		switch {
		case e.Is(spacePerson, "Imie"):
			given = append(given, value(e))
		case e.Is(spacePerson, "Nazwisko"):
			family = append(family, value(e))
		}
	}
	p.person = named(strings.Join(given, " "), strings.Join(family, "-"))
	setID(&p.person, "PESEL", value(person.Child(spacePerson, "PESEL")))
	setID(&p.person, "ePUAP", value(person.Child(spacePPZP, "IdKontaUzytkownikaEpuap")))
}

func named(given, family string) sekretariat.Party {
	return sekretariat.Party{GivenName: given, FamilyName: family, Name: strings.TrimSpace(given + " " + family)}
}

func setID(p *sekretariat.Party, name, value string) {
	if value == "" {
		return
	}
	if p.IDs == nil {
		p.IDs = map[string]string{}
	}
	p.IDs[name] = value
}

// value is one line of text, bounded.
func value(n *xmlsec.Node) string { return line(n.Content()) }

func line(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	return strings.ToValidUTF8(s[:min(len(s), maxName)], "")
}
