package epuap

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"sekretariat/extract/xmlsec"
	"sekretariat/ingest"
)

var _ ingest.Checkable = (*Channel)(nil)

// Check fulfils ingest.Checkable: it asks how many letters wait, which proves
// certificate, network, rights and the signature of answers, and takes none.
func (c *Channel) Check(ctx context.Context) []ingest.Check {
	signer, err := c.signer()
	if err != nil {
		return []ingest.Check{{What: whatCertificate, Verdict: ingest.CheckBad, Text: fmt.Sprintf(
			"Nie można użyć certyfikatu systemu albo jego klucza. Sprawdź pliki podane w cert i key (PEM, klucz RSA należący do certyfikatu). Szczegóły: %v", err)}}
	}
	out := []ingest.Check{c.checkCertificate(signer)}
	r, n, err := c.ask(ctx, signer)
	defer r.close()
	out = append(out, c.checkAnswer(n, err))
	if err == nil || codeOf(err) == codeSignature {
		out = append(out, c.checkSigned(r), c.checkClock())
	}
	if c.o.Account.Repository != "" {
		out = append(out, c.checkRepository(ctx))
	}
	return out
}

const (
	whatCertificate = "certyfikat systemu"
	whatService     = "usługa pobierania (pull)"
	whatSigned      = "podpis odpowiedzi platformy"
	whatClock       = "zegar"
	whatRepository  = "repozytorium plików"
)

func (c *Channel) checkCertificate(s *xmlsec.Signer) ingest.Check {
	end := s.Certificate.NotAfter
	check := ingest.Check{What: whatCertificate, Verdict: ingest.CheckGood, Text: "Ważny do " + ingest.PolishDay(end) + "."}
	switch now := c.o.Clock(); {
	case now.After(end):
		check.Verdict, check.Text = ingest.CheckBad, "Stracił ważność "+ingest.PolishDay(end)+". Wgraj nowy na ePUAP (Administrowanie / Zarządzanie kontem / Systemy) i w programie."
	case now.Before(s.Certificate.NotBefore):
		check.Verdict, check.Text = ingest.CheckBad, "Będzie ważny dopiero od "+ingest.PolishDay(s.Certificate.NotBefore)+". Sprawdź też zegar komputera."
	case now.Add(certificateWarning).After(end):
		check.Verdict, check.Text = ingest.CheckDoubt, "Straci ważność "+ingest.PolishDay(end)+". Przygotuj nowy."
	}
	return check
}

// checkAnswer explains the answer of the service.
func (c *Channel) checkAnswer(n int, err error) ingest.Check {
	check := ingest.Check{What: whatService, Verdict: ingest.CheckBad}
	if err == nil {
		return ingest.Check{What: whatService, Verdict: ingest.CheckGood, Text: fmt.Sprintf("Połączenie działa. W skrytce %s czeka pism: %d. Niczego nie pobrano.", c.o.Account.Address, n)}
	}
	switch codeOf(err) {
	case codeConnect:
		check.Text = "Nie ma połączenia z " + c.o.Account.URL + ". Sprawdź adres (url), zaporę, serwer pośredniczący (HTTPS_PROXY) i certyfikat serwera (ca)."
	case codeLogin:
		check.Text = "Platforma odrzuciła podpis systemu. Sprawdź, czy ten certyfikat jest wgrany na ePUAP dla systemu tego podmiotu i czy zegar komputera jest dobry."
	case codeRefused:
		check.Text = "Platforma odmówiła dostępu do skrytki. Sprawdź podmiot (entity), nazwę (name) i adres (address) skrytki, uprawnienia systemu i tryb pracy skrytki (PULL)."
	case codeSignature:
		return ingest.Check{What: whatService, Verdict: ingest.CheckDoubt, Text: "Platforma odpowiedziała, ale jej odpowiedź nie jest podpisana certyfikatem z listy pins."}
	default:
		check.Text = "Platforma odpowiedziała niezrozumiale. Sprawdź adres usługi (url); może też trwać przerwa techniczna."
	}
	check.Text += fmt.Sprintf(" Szczegóły: %v", err)
	return check
}

// checkSigned says how the answer was signed and, before the first pin is set,
// what to set.
func (c *Channel) checkSigned(r *reply) ingest.Check {
	check := ingest.Check{What: whatSigned, Verdict: ingest.CheckDoubt}
	digest := signerDigest(r.security)
	switch c.verdict(r.security) {
	case signedPinned:
		check.Verdict, check.Text = ingest.CheckGood, "Podpisana certyfikatem z listy pins."
	case signedUnpinned:
		check.Text = "Podpisana prawidłowo certyfikatem, którego nie ma na liście pins. Po potwierdzeniu, że to certyfikat ePUAP, wpisz do pins: " + digest
	case signedWeak:
		check.Text = "Podpisana przestarzałym algorytmem SHA-1; certyfikat: " + digest
	case signedNot:
		check.Text = "Odpowiedź nie jest podpisana."
	default:
		check.Verdict, check.Text = ingest.CheckBad, "Podpis odpowiedzi jest nieprawidłowy: ktoś mógł ją zmienić po drodze."
	}
	if check.Verdict == ingest.CheckDoubt && c.o.Account.VerifyResponse == "require" {
		check.Verdict = ingest.CheckBad
	}
	return check
}

func (c *Channel) checkClock() ingest.Check {
	check := ingest.Check{What: whatClock, Verdict: ingest.CheckGood, Text: "Zgodny z zegarem platformy."}
	if d := c.skew; d != 0 {
		check.Verdict = ingest.CheckDoubt
		check.Text = fmt.Sprintf("Różni się od zegara platformy o %s. Program to wyrównuje, ale ustaw zegar komputera.", d.Abs().Round(time.Second))
	}
	return check
}

// checkRepository asks for the description of the file repository: it answers
// without a signature and gives no file away.
func (c *Channel) checkRepository(ctx context.Context) ingest.Check {
	check := ingest.Check{What: whatRepository, Verdict: ingest.CheckGood, Text: "Odpowiada. Czy wyda plik, okaże się przy pierwszym piśmie z dużym załącznikiem."}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.o.Account.Repository+"?wsdl", nil)
	if err == nil {
		var resp *http.Response
		if resp, err = c.http.Do(req); err == nil {
			resp.Body.Close()
		}
	}
	if err != nil {
		check.Verdict = ingest.CheckDoubt
		check.Text = fmt.Sprintf("Nie ma połączenia z %s. Pisma będą przyjmowane, ale duże załączniki zostaną na platformie. Szczegóły: %v", c.o.Account.Repository, err)
	}
	return check
}
