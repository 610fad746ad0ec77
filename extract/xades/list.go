package xades

import "sekretariat"

// Signature returns the result as a Reading lists it; part is the path of the
// part that the signature belongs to, "" for the letter itself.
func (r Result) Signature(part string) sekretariat.Signature {
	s := sekretariat.Signature{
		Part: part, Type: "xades", Verdict: string(r.Verdict), Kind: string(r.Type), Crypto: "invalid", Covers: r.Covers,
		Reason: string(r.Reason), Claims: r.Claims, Certificate: r.Certificate, Text: r.Text,
	}
	if r.Crypto {
		s.Crypto = "valid"
	}
	if r.Signer.Name != "" || len(r.Signer.IDs) > 0 {
		s.Signer = &r.Signer
	}
	if !r.Time.IsZero() {
		s.At = &r.Time
	}
	return s
}
