package xades

import "sekretariat"

// kinds are the types in Polish.
var kinds = map[Type]string{
	TypeProfilZaufany: "podpis zaufany", TypeQualified: "podpis kwalifikowany", TypePersonal: "podpis osobisty",
	TypeSeal: "pieczęć kwalifikowana", TypePlatformSeal: "pieczęć platformy ePUAP", TypeUnknown: "podpis elektroniczny",
}

// faults are the reasons in Polish; they follow the word of the verdict.
var faults = map[Reason]string{
	ReasonDigest:      "treść zmieniono po podpisaniu albo uszkodzono",
	ReasonValue:       "wartość podpisu nie zgadza się z certyfikatem",
	ReasonStructure:   "podpis jest źle zbudowany",
	ReasonAmbiguous:   "nie wiadomo, czego dotyczy: identyfikator powtarza się w dokumencie",
	ReasonAlgorithm:   "używa niedozwolonego algorytmu lub przekształcenia",
	ReasonCertificate: "brak certyfikatu albo jest inny niż ten, którym podpisano",
	ReasonNoList:      "program nie ma listy zaufanych certyfikatów",
	ReasonUnknown:     "certyfikat nie pochodzi od zaufanego wystawcy",
	ReasonWithdrawn:   "certyfikat był zaufany w innym czasie",
	ReasonExpired:     "certyfikat stracił ważność, a znacznika czasu nie sprawdzono",
	ReasonNotYet:      "certyfikat nie był jeszcze ważny",
	ReasonWeak:        "użyto przestarzałego algorytmu (SHA-1) albo za krótkiego klucza",
	ReasonNobody:      "nie podano, kto podpisał",
	ReasonUncovered:   "nie obejmuje całego dokumentu",
	ReasonUnsigned:    "nie obejmuje własnych danych (osoby, certyfikatu, czasu)",
}

// words are the verdicts in Polish.
var words = map[Verdict]string{
	Invalid: "NIEWAŻNY", Partial: "częściowy", Untrusted: "nie można potwierdzić, kto podpisał", Expired: "po terminie", Weak: "słaby",
}

// text is the sentence for a clerk: "podpis zaufany: Jan Kowalski, ważny". For
// kinds whose certificates can be revoked it says that this was not checked.
func text(r Result) string {
	kind := kinds[r.Type]
	if r.Verdict == Valid {
		s := kind + ": " + who(r.Signer) + ", ważny"
		switch r.Type {
		case TypeSeal, TypePlatformSeal:
			s = kind + ": " + who(r.Signer) + ", ważna"
		}
		if r.Type == TypeQualified || r.Type == TypeSeal || r.Type == TypePersonal {
			s += " (unieważnienia certyfikatu nie sprawdzono)"
		}
		return s
	}
	s := kind + " – " + words[r.Verdict] + ": " + faults[r.Reason]
	if name := r.Signer.Name; name != "" {
		s += "; jako podpisujący podany: " + name
	}
	return s
}

func who(p sekretariat.Party) string {
	if p.Name == "" {
		return "nie podano, kto podpisał"
	}
	return p.Name
}
