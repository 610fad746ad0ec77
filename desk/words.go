package desk

import (
	"fmt"
	"html/template"
	"strings"
	"time"

	"sekretariat"
	"sekretariat/extract"
	"sekretariat/extract/edoreczenia"
	"sekretariat/extract/mail"
	"sekretariat/pipeline"
	"sekretariat/register/index"
)

// words are what templates say in Polish.
var words = template.FuncMap{
	"dzien":         day,
	"godzina":       clockTime,
	"kanal":         channelWord,
	"stan":          statusWord,
	"odlozone":      func(r sekretariat.ParkReason) string { return wordOr(parkWords, string(r), "odłożone") },
	"rozpoznanie":   recognitionWord,
	"odlozenie":     sekretariat.ParkReason.Polish,
	"pilnosc":       urgencyWord,
	"zawiadamiany":  alarmWord,
	"zdarzenie":     stepWord,
	"ustalenie":     findingWord,
	"potwierdzenie": func(s sekretariat.AckState) string { return ackWords[s] },
	"rozmiar":       sizeWord,
	"podglad":       extract.HasPreview,
	"mask":          func(v sekretariat.View) bool { return v == sekretariat.Masked },
	"pilne":         func(u sekretariat.Urgency) bool { return u == sekretariat.Urgent || u == sekretariat.Danger },
	"alarm":         newAlarm,
	"wroci":         releasable,
	"plus":          func(a, b int) int { return a + b },
}

func day(t time.Time) string {
	if t.IsZero() {
		return "—"
	}
	return t.In(sekretariat.Warsaw()).Format("02.01.2006")
}

func clockTime(t time.Time) string {
	if t.IsZero() {
		return "—"
	}
	return t.In(sekretariat.Warsaw()).Format("02.01.2006 15:04")
}

func wordOr(m map[string]string, key, other string) string {
	if w, ok := m[key]; ok {
		return w
	}
	return other
}

var channelWords = map[string]string{
	"mail": "e-mail", "epuap": "ePUAP", "edelivery": "e-Doręczenia", "box": "skrzynka, skan", "manual": "wpisane ręcznie",
}

func channelWord(k sekretariat.Kind) string { return wordOr(channelWords, string(k), string(k)) }

var statusWords = map[string]string{
	"parked": "odłożone", "sorted": "czeka na numer", "registered": "zarejestrowane, czeka na odczytanie", "read": "odczytane, czeka na decyzję",
	"routed": "w kolejce działu", "taken": "przyjęte", "done": "załatwione",
}

func statusWord(s sekretariat.Status) string { return wordOr(statusWords, string(s), string(s)) }

// parkWords say why an item is aside. A reason without a word of its own is
// shown as "odłożone"; the clerk opens it and sees.
var parkWords = map[string]string{
	"test": "wiadomość próbna platformy", "duplicate": "drugi raz to samo pismo", "oversize": "zbyt duże, czeka u źródła",
	"refused": "nie dało się pobrać, czeka u źródła", "auto-reply": "automatyczna odpowiedź", "bounce": "zwrot poczty",
	"list": "lista mailingowa", "spam": "spam", "own-notice": "nasze własne powiadomienie", "receipt": "potwierdzenie doręczenia lub odczytania",
	"robocze": "robocze, bez rejestracji", "wewnetrzne": "wewnętrzne, bez rejestracji", "informacyjne": "informacyjne, bez rejestracji",
	"do-oceny": "do oceny, potem zarejestruje się samo", "package": "paczka z pismami; każde przyjęto osobno", "proof": "dowód doręczenia lub zwrot, bez numeru",
}

var ackWords = map[sekretariat.AckState]string{
	sekretariat.AckPlanned: "zostanie wysłane", sekretariat.AckSuppressed: "nie będzie wysłane", sekretariat.AckSending: "jest wysyłane",
	sekretariat.AckWaiting: "wysyłka będzie ponowiona", sekretariat.AckSent: "wysłane", sekretariat.AckFailed: "nie udało się wysłać", sekretariat.AckBounced: "wróciło jako niedoręczone",
}

func urgencyWord(u sekretariat.Urgency) string {
	switch u {
	case sekretariat.Danger:
		return "zagrożenie"
	case sekretariat.Urgent:
		return "pilne"
	}
	return ""
}

var stepWords = map[sekretariat.EventType]string{
	sekretariat.EventArrived: "wpłynęło", sekretariat.EventSorted: "rozdzielono", sekretariat.EventReleased: "uznano za pismo",
	sekretariat.EventSplit: "wydzielono pisma", sekretariat.EventCancelled: "anulowano wpis", sekretariat.EventRegistered: "zarejestrowano",
	sekretariat.EventReread: "odczytano z plikami, które przyszły później", sekretariat.EventAdvised: "router wskazuje teraz",
	sekretariat.EventRedated:    "zmieniono datę wpływu",
	sekretariat.EventRecognised: "rozpoznawano tekst skanu",
	sekretariat.EventRead:       "odczytano", sekretariat.EventRouted: "skierowano do", sekretariat.EventTaken: "przyjęto w dziale",
	sekretariat.EventDone: "załatwiono", sekretariat.EventFailed: "krok się nie udał", sekretariat.EventQueued: "w kolejce działu", sekretariat.EventHanded: "bez numeru w kolejce działu",
	sekretariat.EventDeadlineStopped: "zakończono termin", sekretariat.EventAlarmClimbed: "nikt nie przyjął zagrożenia, dalej zawiadomiono", sekretariat.EventAlarmTaken: "przyjęto zagrożenie", sekretariat.EventUnlearned: "wyłączono z uczenia",
	sekretariat.EventParked: "odłożono", sekretariat.EventJunkConfirmed: "potwierdzono, że to nie pismo",
	sekretariat.EventAckPlanned: "przygotowano potwierdzenie wpływu", sekretariat.EventAckSuppressed: "bez potwierdzenia wpływu",
	sekretariat.EventAckSending: "wysyłano potwierdzenie wpływu", sekretariat.EventAckSent: "wysłano potwierdzenie wpływu",
	sekretariat.EventAckFailed: "potwierdzenie wpływu nie wyszło", sekretariat.EventAckBounced: "potwierdzenie wpływu wróciło",
	sekretariat.EventUnlocked: "uznano alarm antywirusowy za fałszywy", sekretariat.EventLocked: "zablokowano plik ponownie",
	sekretariat.EventScanned: "sprawdzono programem antywirusowym", sekretariat.EventWithdrawn: "wycofano z działu", sekretariat.EventAccess: "otwierano",
}

func stepWord(s index.Step) string {
	if s.Type == sekretariat.EventRedated && s.Code == sekretariat.RedatedByUPP {
		return "zmieniono datę wpływu: na dzień z UPP"
	}
	if w, ok := stepWords[s.Type]; ok {
		return w
	}
	return strings.TrimSuffix(string(s.Type), ".v1")
}

// findingWords are the findings that a clerk should know of, in their words.
var findingWords = map[string]string{
	pipeline.FindingDoor + "incomplete": "plik ze skanera wygląda na niepełny; sprawdź, czy są wszystkie strony",
	pipeline.FindingDoor + "still-open": "skaner długo nie kończył tego pliku; sprawdź, czy są wszystkie strony",
	pipeline.FindingDoor + "unrenamed":  "skaner nie nadał plikowi nazwy końcowej; sprawdź, czy są wszystkie strony",
	"attachment-no-content":             "Pismo zapowiada załącznik, którego w nim nie ma. Poproś o niego nadawcę.",
	extract.FindingNoReader:             "tego rodzaju pliku nie odczytujemy; oryginał jest zachowany",
	extract.FindingPicture:              "obraz bez tekstu, czeka na rozpoznanie",
	extract.FindingEmpty:                "pusty plik",
	extract.FindingKilled:               "odczytanie trwało zbyt długo; oryginał jest zachowany",
	extract.FindingEncrypted:            "zaszyfrowane, podaj hasło",
	extract.FindingLimit:                "załączników jest więcej, niż czytamy; wszystkie są w oryginale",
	extract.FindingArchive:              "archiwum jest zbyt duże lub zbyt złożone, nie rozpakowano go w całości",
	extract.FindingBroken:               "plik jest uszkodzony, nie dało się go odczytać w całości",
	extract.FindingPlace:                "zdjęcie zawiera miejsce wykonania (podgląd go nie pokazuje)",
	"pages-no-text":                     "niektóre strony są bez tekstu",
	"text-cut":                          "tekst jest skrócony; całość jest w oryginale",
	"stored-object-damaged":             "zapisany plik jest uszkodzony — powiadom administratora",
	"destroyed":                         "treść została zniszczona",
	"pdf-broken":                        "uszkodzony plik PDF",

	mail.FindingSMIMEEncrypted:   "zaszyfrowane (S/MIME); otworzy tylko adresat, kluczem ze swojego programu pocztowego",
	mail.FindingPGPEncrypted:     "zaszyfrowane (PGP); otworzy tylko adresat, swoim kluczem",
	mail.FindingSignatureInvalid: "podpis S/MIME się nie zgadza: treść zmieniono po podpisaniu albo uszkodzono",
	mail.FindingSMIMEBroken:      "podpisana wiadomość jest uszkodzona lub ucięta",
	mail.FindingTNEFBroken:       "załącznik winmail.dat jest uszkodzony lub ucięty; to, co się dało, jest na liście",
	mail.FindingOutlookBroken:    "wiadomość Outlooka (.msg) jest uszkodzona lub ucięta",
	mail.FindingOutlookCut:       "wiadomość Outlooka ma więcej załączników, niż czytamy; wszystkie są w oryginale",
	mail.FindingUnwrapLimit:      "wiadomości zagnieżdżone zbyt głęboko, nie wszystkie otwarto; są w oryginale",
	mail.FindingPartsLimit:       "wiadomość ma więcej części, niż czytamy; wszystkie są w oryginale",
	mail.FindingLevelsLimit:      "wiadomość jest zagnieżdżona zbyt głęboko; całość jest w oryginale",
	mail.FindingMessagesLimit:    "wiadomości zagnieżdżone zbyt głęboko; całość jest w oryginale",
	mail.FindingHeaderCut:        "nagłówek wiadomości jest zbyt długi, nie przeczytano go w całości",
	mail.FindingRecipientsCut:    "adresatów jest więcej, niż pokazujemy",
	mail.FindingPartialMessage:   "to tylko część podzielonej wiadomości; pozostałe mogą przyjść osobno",
	mail.FindingExternalBody:     "treść leży poza wiadomością i nie jest pobierana",
	mail.FindingBase64Truncated:  "załącznik jest ucięty",
	mail.FindingUUBroken:         "załącznik w treści jest ucięty",
	mail.FindingAlternativesDiff: "wersja zwykła i HTML wiadomości mówią co innego; tekst zawiera obie",
	mail.FindingHTMLHidden:       "wiadomość zawiera ukryty tekst (pominięty)",
	mail.FindingNameOdd:          "nazwa załącznika mogłaby wprowadzić w błąd; pokazujemy bezpieczną",
	mail.FindingTypeDiffers:      "załącznik jest czym innym, niż podano",
	mail.FindingFromMissing:      "brak nadawcy w wiadomości",
	mail.FindingFromRepeated:     "wiadomość podaje kilku nadawców w osobnych polach",
	mail.FindingCharsetLossy:     "niektórych znaków nie dało się odczytać",
	mail.FindingBoundaryUnclosed: "wiadomość może być ucięta",
	mail.FindingNoContent:        "wiadomość bez treści i załączników",

	edoreczenia.FindingHash:      "załącznik ma inną treść, niż podaje wiadomość — porównaj z portalem e-Doręczeń",
	edoreczenia.FindingSize:      "załącznik ma inną wielkość, niż podaje wiadomość",
	edoreczenia.FindingMissing:   "operator e-Doręczeń czegoś nie wydał (archiwum lub dowodu)",
	edoreczenia.FindingNoReceipt: "nie ma jeszcze dowodu otrzymania; data wpływu to chwila zapisania w skrzynce",
	edoreczenia.FindingContainer: "zapisana wiadomość jest uszkodzona — powiadom administratora",
	edoreczenia.FindingMessage:   "danych wiadomości nie dało się odczytać; załączniki są zachowane",
}

// findingWord is empty for findings that mean nothing to a clerk.
func findingWord(f sekretariat.Finding) string { return findingWords[f.Code] }

func sizeWord(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%d kB", (n+512)>>10)
	}
	return strings.Replace(fmt.Sprintf("%.1f MB", float64(n)/(1<<20)), ".", ",", 1)
}
