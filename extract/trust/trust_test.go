package trust_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sekretariat/configs"
	"sekretariat/extract/trust"
)

var at = time.Date(2026, 4, 14, 10, 0, 0, 0, time.UTC)

type cert struct {
	*x509.Certificate
	key *ecdsa.PrivateKey
}

func issue(t *testing.T, by *cert, change func(*x509.Certificate)) *cert {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	n, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: n, Subject: pkix.Name{CommonName: n.String()}, BasicConstraintsValid: true,
		NotBefore: at.AddDate(-1, 0, 0), NotAfter: at.AddDate(1, 0, 0), KeyUsage: x509.KeyUsageContentCommitment,
	}
	if change != nil {
		change(tmpl)
	}
	parent, signer := tmpl, key
	if by != nil {
		parent, signer = by.Certificate, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &cert{c, key}
}

func authority(c *x509.Certificate) {
	c.IsCA, c.KeyUsage, c.NotBefore, c.NotAfter = true, x509.KeyUsageCertSign, at.AddDate(-9, 0, 0), at.AddDate(9, 0, 0)
}

func TestJudge(t *testing.T) {
	root := issue(t, nil, authority)
	middle := issue(t, root, authority)
	leaf := issue(t, middle, nil)
	direct := issue(t, root, nil)
	pinned := issue(t, root, nil)
	alone := issue(t, nil, nil)
	wrongUse := issue(t, root, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment })
	statement := issue(t, root, func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 3}, Critical: true, Value: []byte{0x30, 0}}}
	})
	strange := issue(t, root, func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{0x30, 0}}}
	})
	l, err := trust.New([]trust.Entry{
		{Role: trust.Qualified, DER: root.Raw}, {Role: trust.Platform, DER: pinned.Raw},
		{Role: trust.ProfilZaufany, DER: alone.Raw, From: at.AddDate(0, -1, 0), To: at.AddDate(0, 1, 0)},
	})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	travelled, err := trust.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		c        *cert
		others   []*x509.Certificate
		at       time.Time
		role     trust.Role
		standing trust.Standing
	}{
		"direct":               {direct, nil, at, trust.Qualified, trust.Trusted},
		"chain":                {leaf, []*x509.Certificate{middle.Certificate}, at, trust.Qualified, trust.Trusted},
		"chain missing":        {leaf, nil, at, "", trust.Unknown},
		"expired":              {direct, nil, at.AddDate(2, 0, 0), trust.Qualified, trust.Expired},
		"long after the chain": {direct, nil, at.AddDate(20, 0, 0), trust.Qualified, trust.Expired},
		"not yet":              {direct, nil, at.AddDate(-2, 0, 0), trust.Qualified, trust.NotYet},
		"pin before chain":     {pinned, nil, at, trust.Platform, trust.Trusted},
		"pin":                  {alone, nil, at, trust.ProfilZaufany, trust.Trusted},
		"pin before its time":  {alone, nil, at.AddDate(0, -2, 0), trust.ProfilZaufany, trust.Withdrawn},
		"pin after its time":   {alone, nil, at.AddDate(0, 1, 0), trust.ProfilZaufany, trust.Withdrawn},
		"stranger":             {issue(t, nil, nil), nil, at, "", trust.Unknown},
		"the authority itself": {root, nil, at, "", trust.Unknown},
		"for another use":      {wrongUse, nil, at, "", trust.Unknown},
		"critical qcStatement": {statement, nil, at, trust.Qualified, trust.Trusted},
		"critical unknown":     {strange, nil, at, "", trust.Unknown},
	} {
		for _, l := range []*trust.List{l, travelled} {
			if role, standing := l.Judge(c.c.Certificate, c.others, c.at); role != c.role || standing != c.standing {
				t.Errorf("%s: %q %s, want %q %s", name, role, standing, c.role, c.standing)
			}
		}
	}
	var none *trust.List
	if role, standing := none.Judge(direct.Certificate, nil, at); role != "" || standing != trust.Unknown || !none.Empty() || l.Empty() {
		t.Error("the nil list trusts somebody")
	}
}

func TestLoad(t *testing.T) {
	root, old := issue(t, nil, authority), issue(t, nil, authority)
	dir := t.TempDir()
	file := func(name, content string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	service := func(kind, status string, c *cert) string {
		return `<TSPService><ServiceInformation><ServiceTypeIdentifier>http://uri.etsi.org/TrstSvc/Svctype/` + kind + `</ServiceTypeIdentifier><ServiceDigitalIdentity><DigitalId><X509Certificate>` +
			base64.StdEncoding.EncodeToString(c.Raw) + `</X509Certificate></DigitalId></ServiceDigitalIdentity><ServiceStatus>http://uri.etsi.org/TrstSvc/TrustedList/Svcstatus/` + status +
			`</ServiceStatus><StatusStartingTime>2020-01-01T00:00:00Z</StatusStartingTime></ServiceInformation></TSPService>`
	}
	list := func(services string) string {
		return `<TrustServiceStatusList xmlns="http://uri.etsi.org/02231/v2#"><TrustServiceProviderList>` + services + `</TrustServiceProviderList></TrustServiceStatusList>`
	}
	pemFile := file("a.pem", "# note\n"+string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: old.Raw})))
	tsl := file("tsl.xml", list(service("CA/QC", "granted", root)+service("CA/QC", "withdrawn", old)+service("TSA/QTST", "granted", old)))
	l, err := trust.Load(configs.Trust{Signers: []configs.TrustedSigner{{File: pemFile, As: "personal", From: "2026-01-01"}}, Lists: []string{tsl}})
	if err != nil {
		t.Fatal(err)
	}
	if role, s := l.Judge(issue(t, root, nil).Certificate, nil, at); role != trust.Qualified || s != trust.Trusted {
		t.Errorf("granted by the list: %q %s", role, s)
	}
	if role, s := l.Judge(issue(t, old, nil).Certificate, nil, at); role != trust.Personal || s != trust.Trusted {
		t.Errorf("withdrawn on the list, given for another role: %q %s", role, s)
	}
	for name, c := range map[string]configs.Trust{
		"does not exist":  {Lists: []string{filepath.Join(dir, "none")}},
		"no certificate":  {Signers: []configs.TrustedSigner{{File: tsl, As: "platform"}}},
		"no trusted":      {Lists: []string{file("x.xml", "<x/>")}},
		"not well-formed": {Lists: []string{pemFile}},
		"grants no":       {Lists: []string{file("empty.xml", list(""))}},
		"DOCTYPE":         {Lists: []string{file("dtd.xml", "<!DOCTYPE x><x/>")}},
	} {
		if _, err := trust.Load(c); err == nil || name != "does not exist" && !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
