package email

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"sync"
	"time"

	"sekretariat"
	"sekretariat/ingest"
)

// How long a renumbering stays on the page, from when on a mailbox is all but
// full, and how long a broken connection is none of a clerk's business.
const (
	renumberedNotice = 24 * time.Hour
	fullWarning      = 90 // per cent
	blipTime         = 30 * time.Second
)

// health collects what the workers meet, per folder.
type health struct {
	clock   sekretariat.Clock
	mu      sync.Mutex
	order   []string
	folders map[string]*condition
	chain   []life // certificates of the server
}

// life is how long something is valid.
type life struct {
	what       string
	begin, end time.Time
}

// condition is the state of one folder.
type condition struct {
	code       code
	since      time.Time // of the present trouble
	before     bool      // it was fine before that
	waiting    int       // -1: not known
	parked     int
	junk       bool // the folder for spam: without it, the others go on
	unmoved    bool
	done       string
	renamed    string // the name that a missing folder seems to have now
	renumbered time.Time
	resync     bool
	full       int // per cent of the mailbox's room, 0 if unknown
	fullSince  time.Time
}

func newHealth(clock sekretariat.Clock, folders []string) *health {
	h := &health{clock: clock, order: folders, folders: map[string]*condition{}}
	for _, f := range folders {
		h.folders[f] = &condition{code: codeStarting, waiting: -1}
	}
	return h
}

// add adds the folder for spam.
func (h *health) add(folder string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.order = append(slices.Clone(h.order), folder)
	h.folders[folder] = &condition{code: codeStarting, waiting: -1, junk: true}
}

func (h *health) update(folder string, fn func(*condition)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	fn(h.folders[folder])
}

// failed notes trouble; the time of its beginning stays while it lasts, even
// if its kind changes.
func (h *health) failed(folder string, c code) {
	h.update(folder, func(f *condition) {
		if f.code == codeOK || f.code == codeStarting {
			f.since, f.before = h.clock(), f.code == codeOK
		}
		f.code = c
	})
}

// fine notes a folder that was read to its end.
func (h *health) fine(folder string, waiting, parked int) {
	h.update(folder, func(f *condition) {
		f.code, f.waiting, f.parked, f.resync, f.renamed = codeOK, waiting, parked, false, ""
	})
}

// flowing notes that mail is being taken in, although more may be waiting.
func (h *health) flowing(folder string) {
	h.update(folder, func(f *condition) { f.code = codeOK })
}

// certificates notes what the server showed: its own certificate, and with a CA
// of the configuration the one of that chain that ends first.
func (h *health) certificates(s tls.ConnectionState, ownCA bool) {
	leaf := s.PeerCertificates[0]
	chain := []life{{"certificate", leaf.NotBefore, leaf.NotAfter}}
	if ownCA && len(s.VerifiedChains) > 0 && len(s.VerifiedChains[0]) > 1 {
		above := s.VerifiedChains[0][1:]
		first := slices.MinFunc(above, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) })
		chain = append(chain, life{"ca", first.NotBefore, first.NotAfter})
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.chain = chain
}

// expiries lists what ends when, soonest first.
func (h *health) expiries(tokens []ingest.Expiry, now time.Time) []ingest.Expiry {
	list := slices.Clone(tokens)
	for _, l := range h.chain {
		list = append(list, ingest.NewExpiry(l.what, l.begin, l.end, now))
	}
	slices.SortStableFunc(list, func(a, b ingest.Expiry) int { return a.At.Compare(b.At) })
	return list
}

// report makes one state of all folders: the worst that there is.
func (h *health) report(tokens []ingest.Expiry) ingest.Health {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.clock()
	r := ingest.Health{OK: true, Code: string(codeOK), Expires: h.expiries(tokens, now), Figures: map[string]float64{}}
	for _, e := range r.Expires {
		r.Figures[expiryFigures[e.What]] = float64(e.At.Unix())
	}
	for _, name := range h.order {
		f := h.folders[name]
		if f.waiting < 0 || r.Waiting < 0 {
			r.Waiting = -1
		} else {
			r.Waiting += f.waiting
		}
		if f.full > 0 {
			r.Figures["mailbox_full_percent"] = float64(f.full)
		}
		switch {
		case f.blip(now), f.junk && f.code == codeStarting: // its turn comes after the others
		case f.code != codeOK && f.code != codeStarting:
			if r.OK {
				r.OK, r.Code, r.Message, r.Since = false, string(f.code), f.sentence(now, name), f.since
			}
		case r.OK && r.Message == "":
			r.Code, r.Message, r.OK = h.remark(now, name, f)
			if !r.OK {
				r.Since = f.remarkSince()
			}
		}
	}
	if r.OK && r.Message == "" {
		r.Code, r.Message = expiryRemark(r.Expires, now)
	}
	return r
}

// expiryFigures are the names of the countdowns among the figures.
var expiryFigures = map[string]string{
	"certificate": "server_certificate_expires_seconds", "ca": "ca_expires_seconds",
	"token": "oauth_token_expires_seconds", "client-secret": "oauth_client_secret_expires_seconds",
}

// expiryRemark warns of the first thing that ends soon (rule P10).
func expiryRemark(list []ingest.Expiry, now time.Time) (code_, message string) {
	for _, e := range list {
		if e.Stage == 0 {
			continue
		}
		what, c := expiryWords(e.What)
		day := e.At.In(sekretariat.Warsaw()).Format("02.01.2006")
		if e.Stage < 0 {
			return string(c), what + " stracił ważność " + day + ". Zawiadom administratora."
		}
		return string(c), fmt.Sprintf("%s traci ważność %s (zostało dni: %d). Zawiadom administratora.", what, day, e.Days(now))
	}
	return string(codeOK), ""
}

func expiryWords(what string) (string, code) {
	switch what {
	case "token":
		return "Dostęp programu do skrzynki (token OAuth2)", codeToken
	case "client-secret":
		return "Sekret aplikacji, którym program otwiera skrzynkę (OAuth2),", codeToken
	case "ca":
		return "Certyfikat urzędu, który poświadcza serwer pocztowy,", codeCertificate
	}
	return "Certyfikat serwera pocztowego", codeCertificate
}

// blip is trouble that most often is over before anybody could read of it: a
// connection that ended and is being made again.
func (f *condition) blip(now time.Time) bool {
	switch f.code {
	case codeConnect, codeLimit, codeProtocol, codeProvider:
		return f.before && now.Sub(f.since) < blipTime
	}
	return false
}

// sentence tells a clerk what is wrong, since when and what to do.
func (f *condition) sentence(now time.Time, folder string) string {
	since := since(now, f.since)
	not := "Od " + since + " poczta nie jest pobierana, sprawdzaj webmail: "
	switch f.code {
	case codeLogin:
		return not + "serwer pocztowy odrzucił hasło. Administrator ustawia nowe poleceniem „sekretariat secret set”; nie trzeba niczego uruchamiać ponownie."
	case codeToken:
		return not + "dostawca poczty nie uznaje upoważnienia programu (OAuth2). Administrator odnawia je poleceniem „sekretariat mailbox authorize” albo „sekretariat secret set”; nie trzeba niczego uruchamiać ponownie."
	case codeProvider:
		return not + "nie odpowiada usługa, która potwierdza upoważnienie programu (OAuth2). Program próbuje dalej sam."
	case codePassword:
		return not + "nie można odczytać hasła do skrzynki. Zawiadom administratora."
	case codeCertificate:
		return not + "certyfikat serwera pocztowego jest nieważny albo nieznany. Zawiadom administratora."
	case codeLimit:
		return not + "serwer pocztowy nie przyjmuje kolejnych połączeń. Program próbuje dalej sam."
	case codeFolder:
		if f.junk {
			return fmt.Sprintf("Od %s folder na spam „%s” nie jest sprawdzany, bo nie ma go w skrzynce; pozostała poczta jest pobierana. Zawiadom administratora.", since, folder)
		}
		if f.renamed != "" {
			return not + fmt.Sprintf("folder „%s” nazywa się w skrzynce teraz „%s”. Trzeba przywrócić mu nazwę albo wpisać nową w konfiguracji (folders). Zawiadom administratora.", folder, f.renamed)
		}
		return not + fmt.Sprintf("w skrzynce nie ma folderu „%s” (zmieniono mu nazwę?). Zawiadom administratora.", folder)
	case codeProtocol:
		return not + "serwer pocztowy odpowiada niezrozumiale. Program próbuje dalej sam; zawiadom administratora, jeśli to potrwa."
	case codeStore:
		return "Od " + since + " nowe wiadomości czekają w skrzynce, bo nie można ich zapisać (dysk lub magazyn danych). Zawiadom administratora; nic nie ginie."
	}
	return not + "serwer pocztowy nie odpowiada. Program próbuje dalej sam."
}

// remark tells what a clerk should know although mail is taken in.
func (h *health) remark(now time.Time, name string, f *condition) (string, string, bool) {
	switch {
	case f.code == codeStarting:
		return string(codeStarting), "Program łączy się ze skrzynką.", true
	case f.resync:
		return string(codeUIDValidity), "Serwer pocztowy ponumerował wiadomości od nowa. Cała skrzynka jest sprawdzana jeszcze raz według treści; nic nie zostanie zarejestrowane podwójnie.", false
	case f.full >= fullWarning:
		return string(codeQuota), fmt.Sprintf("Skrzynka pocztowa jest zapełniona w %d%%: serwer może odrzucać listy. Zawiadom administratora.", f.full), f.full < 100
	case f.unmoved:
		return string(codeMove), fmt.Sprintf("Przyjętych wiadomości nie można przenieść do folderu „%s” (serwer odmawia, może skrzynka jest pełna). Są zarejestrowane i zostają w folderze „%s”.", f.done, name), true
	case f.parked > 0:
		return string(codeParked), fmt.Sprintf("W skrzynce zostały wiadomości, których nie można pobrać (%d): zobacz odłożone.", f.parked), true
	case !f.renumbered.IsZero() && now.Before(f.renumbered.Add(renumberedNotice)):
		return string(codeUIDValidity), "Serwer pocztowy ponumerował wiadomości od nowa (" + since(now, f.renumbered) + "). Skrzynkę sprawdzono według treści w całości.", true
	}
	return string(codeOK), "", true
}

// remarkSince is when what remark tells as trouble began.
func (f *condition) remarkSince() time.Time {
	if f.resync {
		return f.renumbered
	}
	return f.fullSince
}

// since writes a time as an office does: the hour alone for today.
func since(now, t time.Time) string {
	t = t.In(sekretariat.Warsaw())
	if sekretariat.Day(now) == sekretariat.Day(t) {
		return fmt.Sprintf("%d:%02d", t.Hour(), t.Minute())
	}
	return fmt.Sprintf("%s, %d:%02d", t.Format("02.01.2006"), t.Hour(), t.Minute())
}
