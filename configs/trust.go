package configs

import "path/filepath"

// Signer kinds of TrustedSigner.As.
const (
	AsProfilZaufany = "profil-zaufany"
	AsQualified     = "qualified"
	AsPersonal      = "personal"
	AsPlatform      = "platform"
)

// LoadTrust reads a file with the keys of Trust alone, for tools that work
// without an installation.
func LoadTrust(name string) (Trust, error) {
	var t Trust
	d, err := open(name)
	if err != nil {
		return t, err
	}
	if err := d.decode(&t); err != nil {
		return t, err
	}
	t.resolve(filepath.Dir(name))
	d.checkTrust(nil, t)
	if len(d.problems) > 0 {
		return t, d.problems.sorted()
	}
	return t, nil
}

func (d *document) checkTrust(at path, t Trust) {
	for i, s := range t.Signers {
		at := at.with("signers", i)
		d.required(at, "file", s.File)
		d.required(at, "as", s.As)
		if s.As != "" {
			d.oneOf(at.with("as"), s.As, AsProfilZaufany, AsQualified, AsPersonal, AsPlatform)
		}
		d.span(at, s.From, s.To)
	}
	for i, l := range t.Lists {
		if l == "" {
			d.wrong(at.with("lists", i), "name the file of a trusted list")
		}
	}
}

// resolve makes the paths absolute.
func (t *Trust) resolve(dir string) {
	for i := range t.Signers {
		absolute(&t.Signers[i].File, dir)
	}
	for i := range t.Lists {
		absolute(&t.Lists[i], dir)
	}
}
