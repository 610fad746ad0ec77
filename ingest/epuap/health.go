package epuap

import (
	"fmt"
	"sync"
	"time"

	"sekretariat"
	"sekretariat/ingest"
)

// The days before the end of our certificate at which the sentence changes
// (rule P10).
const certificateWarning = 60 * 24 * time.Hour

// status collects what Health tells.
type status struct {
	clock sekretariat.Clock

	mu       sync.Mutex
	code     code
	since    time.Time // of the present trouble
	held     int       // letters that wait, -1 = not known
	begins   time.Time // our certificate
	expires  time.Time
	doubtful bool // answers are not signed as they should be, and we go on
	offset   time.Duration
	started  bool
}

// failed notes trouble; the time of its beginning stays while it lasts, even
// if its kind changes.
func (s *status) failed(c code) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.code == "" || s.code == codeOK {
		s.since = s.clock()
	}
	if c != codeConfirm && c != codeDocument {
		s.held = -1
	}
	s.code, s.started = c, true
}

// fine notes a round that came to its end.
func (s *status) fine() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.code, s.started = codeOK, true
}

func (s *status) waiting(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = n
}

func (s *status) certificate(begins, expires time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begins, s.expires = begins, expires
}

func (s *status) doubt(yes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.doubtful = yes
}

func (s *status) skew(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offset = d
}

// report is what clerk and metrics are told.
func (s *status) report() ingest.Health {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock()
	h := ingest.Health{OK: true, Code: string(codeOK), Waiting: s.held}
	if !s.expires.IsZero() {
		h.Figures = map[string]float64{ingest.FigureCertificate: float64(s.expires.Unix())}
		h.Expires = []ingest.Expiry{ingest.NewExpiry("certificate", s.begins, s.expires, now)}
	}
	switch {
	case !s.started:
		h.Code, h.Message, h.Waiting = string(codeStarting), "Program łączy się ze skrzynką ePUAP.", -1
	case s.code != codeOK:
		h.OK, h.Code, h.Message, h.Since = false, string(s.code), s.sentence(now), s.since
	case !s.expires.IsZero() && now.After(s.expires):
		h.OK, h.Code = false, string(codeCertificate)
		h.Message = "Certyfikat systemu do ePUAP stracił ważność " + ingest.PolishDay(s.expires) + ". Pisma są jeszcze pobierane, ale platforma może przestać odpowiadać. Administrator musi wgrać nowy certyfikat na ePUAP i w programie."
	case !s.expires.IsZero() && now.Add(certificateWarning).After(s.expires):
		h.Code = string(codeCertificate)
		h.Message = fmt.Sprintf("Certyfikat systemu do ePUAP straci ważność %s (za %d dni). Administrator musi wcześniej wgrać nowy na ePUAP i w programie.", ingest.PolishDay(s.expires), int(s.expires.Sub(now).Hours()/24))
	case s.doubtful:
		h.Code = string(codeSignature)
		h.Message = "Odpowiedzi platformy ePUAP nie są podpisane znanym certyfikatem. Pisma są pobierane; zawiadom administratora."
	case s.offset.Abs() > lifetime:
		h.Message = fmt.Sprintf("Zegar komputera różni się od zegara platformy ePUAP o %d min. Zawiadom administratora.", int(s.offset.Abs().Minutes()))
	}
	return h
}

// sentence tells a clerk what is wrong, since when and what to do.
func (s *status) sentence(now time.Time) string {
	since := "Od " + ingest.PolishClock(now, s.since) + " "
	not := since + "pisma z ePUAP nie są pobierane, sprawdzaj portal ePUAP: "
	switch s.code {
	case codeCertificate:
		return not + "brak certyfikatu systemu albo jego klucza, lub nie pasują do siebie. Zawiadom administratora."
	case codeLogin:
		return not + "platforma odrzuciła podpis systemu (certyfikat nieznany, nieważny albo zły zegar komputera). Zawiadom administratora."
	case codeRefused:
		return not + "platforma odmówiła dostępu do skrytki. Administrator sprawdza uprawnienia systemu, nazwę i adres skrytki."
	case codeSignature:
		return not + "odpowiedzi platformy nie są podpisane znanym certyfikatem. Zawiadom administratora."
	case codePlatform:
		return not + "platforma odpowiada niezrozumiale (może trwa przerwa techniczna). Program próbuje dalej sam."
	case codeStore:
		return since + "pisma czekają na ePUAP, bo nie można ich zapisać (dysk lub magazyn danych). Zawiadom administratora; nic nie ginie."
	case codeConfirm:
		return since + "platforma nie przyjmuje potwierdzenia odbioru pisma. Pismo jest przyjęte, ale następne czekają za nim. Zawiadom administratora."
	case codeDocument:
		return since + "w skrzynce ePUAP jest pismo, którego nie można pobrać; następne czekają za nim. Zobacz odłożone i otwórz to pismo na portalu ePUAP."
	}
	return not + "nie ma połączenia z platformą. Program próbuje dalej sam."
}
