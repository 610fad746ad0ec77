package xades

import (
	"crypto/x509"
	"encoding/asn1"
	"strings"

	"sekretariat"
	"sekretariat/extract/trust"
)

// Attribute types of a certificate's subject that crypto/x509 does not name
// (X.520, ETSI EN 319 412-1).
var (
	oidSurname      = asn1.ObjectIdentifier{2, 5, 4, 4}
	oidSerialNumber = asn1.ObjectIdentifier{2, 5, 4, 5}
	oidGivenName    = asn1.ObjectIdentifier{2, 5, 4, 42}
	oidOrganisation = asn1.ObjectIdentifier{2, 5, 4, 97}

	oidStatements = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 3}
	oidQcType     = asn1.ObjectIdentifier{0, 4, 0, 1862, 1, 6}
	oidQcSeal     = asn1.ObjectIdentifier{0, 4, 0, 1862, 1, 6, 2}
)

// identify fills in who signed and with what kind of signature. Claims count
// only under a certificate of Profil Zaufany, for anybody else could claim any
// name; of an untrusted signature they are shown as what they are.
func (c *check) identify(r *Result) (role trust.Role, standing trust.Standing) {
	standing = trust.Unknown
	var subject sekretariat.Party
	seal := false
	if c.leaf != nil {
		role, standing = c.list.Judge(c.leaf, c.others, c.at)
		subject, seal = subjectOf(c.leaf)
	}
	r.Signer = subject
	switch role {
	case trust.ProfilZaufany:
		r.Type, r.Signer = TypeProfilZaufany, c.props.person
	case trust.Qualified:
		if r.Type = TypeQualified; seal {
			r.Type = TypeSeal
		}
	case trust.Personal:
		r.Type = TypePersonal
	case trust.Platform:
		r.Type = TypePlatformSeal
	default:
		if c.props.claims != "" {
			r.Type, r.Signer = TypeProfilZaufany, c.props.person
		}
	}
	return role, standing
}

// subjectOf reads a certificate's subject: a person, or an organisation with
// its seal.
func subjectOf(c *x509.Certificate) (p sekretariat.Party, seal bool) {
	get := map[string]string{}
	for _, a := range c.Subject.Names {
		s, ok := a.Value.(string)
		if !ok {
			continue
		}
		for name, oid := range map[string]asn1.ObjectIdentifier{
			"SN": oidSurname, "serial": oidSerialNumber, "GN": oidGivenName, "org": oidOrganisation,
		} {
			if a.Type.Equal(oid) && get[name] == "" {
				get[name] = line(s)
			}
		}
	}
	person := get["SN"] != "" || get["GN"] != ""
	seal = sealStatement(c) || !person && get["org"] != ""
	if person && !seal {
		p = named(get["GN"], get["SN"])
	} else {
		p = sekretariat.Party{Name: line(c.Subject.CommonName), Organisation: true}
		if len(c.Subject.Organization) > 0 {
			p.Name = line(c.Subject.Organization[0])
		}
	}
	numbers(&p, get["serial"])
	numbers(&p, get["org"])
	return p, seal
}

// numbers reads a semantic identifier (ETSI EN 319 412-1 §5.1): PNOPL-<PESEL>,
// TINPL-<NIP>, VATPL-<NIP>, NTRPL-<KRS>.
func numbers(p *sekretariat.Party, id string) {
	kind, number, ok := strings.Cut(id, "-")
	if !ok {
		return
	}
	switch kind {
	case "PNOPL":
		setID(p, "PESEL", number)
	case "TINPL", "VATPL":
		setID(p, "NIP", number)
	case "NTRPL":
		setID(p, "KRS", number)
	}
}

// sealStatement tells whether the certificate is one for seals: QcType
// id-etsi-qct-eseal (ETSI EN 319 412-5 §4.2.3).
func sealStatement(c *x509.Certificate) bool {
	for _, e := range c.Extensions {
		if !e.Id.Equal(oidStatements) {
			continue
		}
		var statements []struct {
			ID   asn1.ObjectIdentifier
			Info asn1.RawValue `asn1:"optional"`
		}
		if _, err := asn1.Unmarshal(e.Value, &statements); err != nil {
			return false
		}
		for _, s := range statements {
			if !s.ID.Equal(oidQcType) {
				continue
			}
			var types []asn1.ObjectIdentifier
			if _, err := asn1.Unmarshal(s.Info.FullBytes, &types); err != nil {
				return false
			}
			for _, t := range types {
				if t.Equal(oidQcSeal) {
					return true
				}
			}
		}
	}
	return false
}
