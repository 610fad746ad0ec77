package edelivery

import (
	"crypto/x509"
	"fmt"
	"sync"
	"time"

	"sekretariat"
	"sekretariat/ingest"
)

// The shares of the capacity from which the mailbox is nearly full, and full.
const (
	nearlyFull = 0.90
	full       = 0.98
)

// The figures of this channel beside ingest.FigureCertificate.
const (
	FigureToken    = "token_expires_seconds" // seconds since 1970 UTC
	FigureCapacity = "capacity_used_ratio"   // 0 to 1
	FigureComing   = "electronic_count"      // messages that the provider is still moving into the mailbox
	FigureTroubled = "messages_troubled"     // messages that could not be taken yet
)

// status collects what Health tells.
type status struct {
	clock sekretariat.Clock

	mu       sync.Mutex
	code     code
	since    time.Time // of the present trouble
	started  bool
	begins   time.Time // our certificate
	expires  time.Time
	tokenEnd time.Time
	scopes   []string // of the token, nil if it does not say
	offset   time.Duration
	capacity float64 // share in use, -1 = not known
	warned   bool    // the provider warns of a full mailbox
	coming   int
	hook     bool // the webhook could not be asked for
}

// set notes the outcome of a round; the time of the beginning of trouble stays
// while it lasts, even if its kind changes.
func (s *status) set(c code) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c != codeOK && (s.code == "" || s.code == codeOK) {
		s.since = s.clock()
	}
	s.code, s.started = c, true
}

func (s *status) certificate(c *x509.Certificate) {
	s.change(func() { s.begins, s.expires = c.NotBefore, c.NotAfter })
}

func (s *status) token(end time.Time, scopes []string) {
	s.change(func() { s.tokenEnd, s.scopes = end, scopes })
}

func (s *status) skew(d time.Duration) { s.change(func() { s.offset = d }) }

func (s *status) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *status) offsetNow() (d time.Duration) {
	s.change(func() { d = s.offset })
	return d
}

// report is what clerk and metrics are told. troubled messages could not be
// taken yet; of told ones a note lies before a clerk; unmoved ones are taken
// and cannot be moved or deleted at their source.
func (s *status) report(troubled, told int, unmoved bool) ingest.Health {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := ingest.Health{OK: true, Code: string(codeOK), Waiting: troubled + s.coming, Figures: s.figures(troubled)}
	now := s.clock()
	if !s.expires.IsZero() {
		h.Expires = []ingest.Expiry{ingest.NewExpiry("certificate", s.begins, s.expires, now)}
	}
	switch {
	case !s.started:
		h.Code, h.Message, h.Waiting = string(codeStarting), "Program łączy się ze skrzynką e-Doręczeń.", -1
	case s.code != codeOK:
		h.OK, h.Code, h.Message = false, string(s.code), s.sentence(now)
		h.Waiting, h.Since = -1, s.since
	case told > 0:
		h.OK, h.Code = false, string(codeMessage)
		h.Message = fmt.Sprintf("Wiadomości w skrzynce e-Doręczeń, których nie można pobrać: %d. Pozostałe są pobierane. Zobacz odłożone i otwórz te wiadomości na portalu e-Doręczeń.", told)
	default:
		s.warnings(now, &h, unmoved)
	}
	return h
}

// warnings finds what works today and will not for long.
func (s *status) warnings(now time.Time, h *ingest.Health, unmoved bool) {
	say := func(c code, text string) { h.Code, h.Message = string(c), text }
	switch {
	case !s.expires.IsZero() && now.After(s.expires):
		h.OK = false
		say(codeCertificate, "Certyfikat systemu do e-Doręczeń stracił ważność "+ingest.PolishDay(s.expires)+". Administrator musi dodać nowy w uprawnieniach skrzynki i w programie.")
	case s.scopes != nil && !contains(s.scopes, "read_messages"):
		h.OK = false
		say(codeRefused, "System nie ma w skrzynce e-Doręczeń prawa do odczytu wiadomości (read_messages). Administrator skrzynki musi je nadać.")
	case s.capacity >= full:
		h.OK = false
		say("full", fmt.Sprintf("Skrzynka e-Doręczeń jest pełna (%.0f%%). Nowe wiadomości mogą nie wchodzić. Administrator skrzynki musi usunąć stare wiadomości na portalu.", 100*s.capacity))
	case s.capacity >= nearlyFull || s.warned:
		say("full", "Skrzynka e-Doręczeń jest prawie pełna. Administrator skrzynki powinien usunąć stare wiadomości na portalu.")
	case len(h.Expires) > 0 && h.Expires[0].Stage > 0:
		say(codeCertificate, fmt.Sprintf("Certyfikat systemu do e-Doręczeń straci ważność %s (za %d dni). Administrator musi wcześniej dodać nowy w uprawnieniach skrzynki i w programie.", ingest.PolishDay(s.expires), h.Expires[0].Days(now)))
	case unmoved:
		say(codeConfirm, "Pobranych wiadomości nie można przenieść lub usunąć w skrzynce e-Doręczeń. Są przyjęte; zawiadom administratora (uprawnienie write_messages, ustawienia done i move_path).")
	case s.hook:
		say("webhook", "Operator e-Doręczeń nie przyjął adresu do powiadomień. Program sprawdza skrzynkę sam; zawiadom administratora (uprawnienie write_settings).")
	case s.offset.Abs() > assertionBack:
		say("clock", fmt.Sprintf("Zegar komputera różni się od zegara e-Doręczeń o %d min. Zawiadom administratora.", int(s.offset.Abs().Round(time.Minute).Minutes())))
	}
}

func (s *status) figures(troubled int) map[string]float64 {
	f := map[string]float64{FigureComing: float64(s.coming), FigureTroubled: float64(troubled)}
	if !s.expires.IsZero() {
		f[ingest.FigureCertificate] = float64(s.expires.Unix())
	}
	if !s.tokenEnd.IsZero() {
		f[FigureToken] = float64(s.tokenEnd.Unix())
	}
	if s.capacity >= 0 {
		f[FigureCapacity] = s.capacity
	}
	return f
}

// sentence tells a clerk what is wrong, since when and what to do.
func (s *status) sentence(now time.Time) string {
	since := "Od " + ingest.PolishClock(now, s.since) + " "
	not := since + "wiadomości z e-Doręczeń nie są pobierane, sprawdzaj portal e-Doręczeń: "
	switch s.code {
	case codeCertificate:
		return not + "brak certyfikatu systemu albo jego klucza, lub nie pasują do siebie. Zawiadom administratora."
	case codeLogin:
		return not + "operator odrzucił logowanie systemu (certyfikat nieznany lub nieważny, zła nazwa systemu albo zły zegar komputera). Zawiadom administratora."
	case codeRefused:
		return not + "system nie ma uprawnień do skrzynki. Administrator skrzynki sprawdza role i prawa systemu zewnętrznego."
	case codeLimit:
		return since + "operator e-Doręczeń ogranicza liczbę zapytań. Program odczekuje i próbuje dalej sam."
	case codeMoved:
		return not + "usługa jest pod innym adresem. Administrator musi sprawdzić u operatora aktualne adresy (url, token_url)."
	case codePlatform:
		return not + "operator odpowiada niezrozumiale (może trwa przerwa techniczna). Program próbuje dalej sam."
	case codeStore:
		return since + "wiadomości czekają w e-Doręczeniach, bo nie można ich zapisać (dysk lub magazyn danych). Zawiadom administratora; nic nie ginie."
	}
	return not + "nie ma połączenia z operatorem. Program próbuje dalej sam."
}
