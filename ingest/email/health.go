package email

import (
	"fmt"
	"sync"
	"time"

	"sekretariat"
	"sekretariat/ingest"
)

// How long before its end a certificate of the mail server is worth a warning
// (most are renewed by themselves 30 days ahead), how long a renumbering stays
// on the page, from when on a mailbox is all but full, and how long a broken
// connection is none of a clerk's business.
const (
	certificateWarning = 7 * 24 * time.Hour
	renumberedNotice   = 24 * time.Hour
	fullWarning        = 90 // per cent
	blipTime           = 30 * time.Second
)

// health collects what the workers meet, per folder.
type health struct {
	clock   sekretariat.Clock
	mu      sync.Mutex
	order   []string
	folders map[string]*condition
	expires time.Time // certificate
}

// condition is the state of one folder.
type condition struct {
	code       code
	since      time.Time // of the present trouble
	before     bool      // it was fine before that
	waiting    int       // -1: not known
	parked     int
	unmoved    bool
	done       string
	renumbered time.Time
	resync     bool
	full       int // per cent of the mailbox's room, 0 if unknown
}

func newHealth(clock sekretariat.Clock, folders []string) *health {
	h := &health{clock: clock, order: folders, folders: map[string]*condition{}}
	for _, f := range folders {
		h.folders[f] = &condition{code: codeStarting, waiting: -1}
	}
	return h
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
		f.code, f.waiting, f.parked, f.resync = codeOK, waiting, parked, false
	})
}

// flowing notes that mail is being taken in, although more may be waiting.
func (h *health) flowing(folder string) {
	h.update(folder, func(f *condition) { f.code = codeOK })
}

func (h *health) certificate(expires time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.expires = expires
}

// report makes one state of all folders: the worst that there is.
func (h *health) report() ingest.Health {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.clock()
	r := ingest.Health{OK: true, Code: string(codeOK)}
	for _, name := range h.order {
		f := h.folders[name]
		if f.waiting < 0 || r.Waiting < 0 {
			r.Waiting = -1
		} else {
			r.Waiting += f.waiting
		}
		switch {
		case f.blip(now):
		case f.code != codeOK && f.code != codeStarting:
			if r.OK {
				r.OK, r.Code, r.Message = false, string(f.code), f.sentence(now, name)
			}
		case r.OK && r.Message == "":
			r.Code, r.Message, r.OK = h.remark(now, name, f)
		}
	}
	return r
}

// blip is trouble that most often is over before anybody could read of it: a
// connection that ended and is being made again.
func (f *condition) blip(now time.Time) bool {
	switch f.code {
	case codeConnect, codeLimit, codeProtocol:
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
	case codePassword:
		return not + "nie można odczytać hasła do skrzynki. Zawiadom administratora."
	case codeCertificate:
		return not + "certyfikat serwera pocztowego jest nieważny albo nieznany. Zawiadom administratora."
	case codeLimit:
		return not + "serwer pocztowy nie przyjmuje kolejnych połączeń. Program próbuje dalej sam."
	case codeFolder:
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
	case !h.expires.IsZero() && h.expires.Before(now.Add(certificateWarning)):
		return string(codeCertificate), "Certyfikat serwera pocztowego traci ważność " + h.expires.In(sekretariat.Warsaw()).Format("02.01.2006") + ". Zawiadom administratora.", true
	case !f.renumbered.IsZero() && now.Before(f.renumbered.Add(renumberedNotice)):
		return string(codeUIDValidity), "Serwer pocztowy ponumerował wiadomości od nowa (" + since(now, f.renumbered) + "). Skrzynkę sprawdzono według treści w całości.", true
	}
	return string(codeOK), "", true
}

// since writes a time as an office does: the hour alone for today.
func since(now, t time.Time) string {
	t = t.In(sekretariat.Warsaw())
	if sekretariat.Day(now) == sekretariat.Day(t) {
		return fmt.Sprintf("%d:%02d", t.Hour(), t.Minute())
	}
	return fmt.Sprintf("%s, %d:%02d", t.Format("02.01.2006"), t.Hour(), t.Minute())
}
