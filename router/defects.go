package router

import (
	"regexp"
	"strings"

	"sekretariat"
	"sekretariat/extract/polish"
)

// Formal defects, gravest first.
const (
	DefectIllegible  = "illegible_scan"             // identity or content cannot be read
	DefectNoConsent  = "no_consent_of_person"       // filed for another adult without consent or authority
	DefectUnsigned   = "unsigned_email_application" // a private person's application or appeal by plain e-mail (art. 63 KPA)
	DefectSignature  = "missing_signature"          // an empty signature line
	DefectNoSender   = "no_sender_data"             // complaint by e-mail without postal address (§ 8 rozporządzenia RM z 8.01.2002)
	DefectAttachment = "missing_attachment"         // an enclosure announced and not there
)

// defectText is a defect as the clerk reads it.
var defectText = map[string]string{
	DefectIllegible:  "pismo nieczytelne: nie można ustalić treści albo nadawcy",
	DefectNoConsent:  "pismo złożono za inną dorosłą osobę bez jej zgody lub pełnomocnictwa",
	DefectUnsigned:   "podanie przyszło zwykłą pocztą elektroniczną, bez podpisu elektronicznego",
	DefectSignature:  "brak podpisu",
	DefectNoSender:   "skarga bez imienia, nazwiska lub adresu do korespondencji",
	DefectAttachment: "brakuje zapowiedzianego załącznika",
}

// applyShare is from which chance a letter counts as an application, or as a
// complaint: many are written as questions, and a letter without the defect
// costs a clerk one look. Chosen by cross-validation.
const applyShare = 0.35

// defects lists what is formally wrong with a letter. Institutions' mails,
// requests for public information or about one's own data, reports of danger,
// questions and notes of telephone calls have no defect.
func (r *Router) defects(l *found, d sekretariat.Decision) []string {
	how := channel(l.facts.Arrived)
	if l.facts.Reading.Auto != "" || how == "phone" || l.guess == nil {
		return nil
	}
	paper := how == string(sekretariat.KindBox) || how == "post"
	if paper && illegible(l) {
		return []string{DefectIllegible}
	}
	applies := l.chanceOf("wniosek")+l.chanceOf("odwolanie") >= applyShare
	// What goes to the sekretariat itself (public information, one's own data,
	// other bodies' matters) is no application in the sense of art. 63 KPA, and
	// who reports danger is not asked for a signature.
	first := firstLabel(d)
	free := l.institution || l.words["informacja-publiczna"] || l.words["rodo"] || l.words["petycja"] || first == string(sekretariat.Sekretariat) ||
		d.Urgency == sekretariat.Danger || first == violence && d.Urgency != sekretariat.Normal
	var out []string
	add := func(when bool, defect string) {
		if when {
			out = append(out, defect)
		}
	}
	add(applies && !free && forAnother(l), DefectNoConsent)
	add(how == string(sekretariat.KindMail) && applies && !free && len(l.facts.Reading.Signatures) == 0, DefectUnsigned)
	add(paper && emptySignature(l.content.text), DefectSignature)
	add(how == string(sekretariat.KindMail) && l.chanceOf("skarga") >= applyShare && !l.institution && !hasAddress(l), DefectNoSender)
	add(announced(l) && !hasAttachment(l.facts.Reading), DefectAttachment)
	return out
}

var (
	// filler is an empty line of a form, as printed or as text recognition sees
	// it; emptyBox says in words that nobody signed.
	filler   = regexp.MustCompile(`(?:[._…‒–—-]\s?){3,}|…{1,}`)
	emptyBox = regexp.MustCompile(`(?:brak podpisu|bez podpisu|podpis(?:u)? brak|podpis(?:u)? pust|nie podpisan)`)
)

// emptySignature recognises a form's place for the signature with nothing on
// it, in the last lines.
func emptySignature(text string) bool {
	list := lines(text)
	for _, l := range list[max(0, len(list)-4):] {
		f := polish.Fold(l)
		i := strings.LastIndex(f, "podpis")
		switch {
		case emptyBox.MatchString(f):
			return true
		case i < 0:
			continue
		}
		// "Podpis: ....", "(miejsce na podpis) ____", ".... (podpis)"
		after := f[i:]
		if m := filler.FindStringIndex(after); m != nil && words(after[m[1]:]) <= 1 {
			return true
		}
		if m := filler.FindAllStringIndex(f[:i], -1); m != nil && words(f[m[len(m)-1][1]:i]) == 0 && words(after) <= 2 {
			return true
		}
	}
	return false
}

func words(s string) int { return len(polish.Words(s)) }

// gaps are what text recognition and clerks put where nothing can be read.
var gaps = regexp.MustCompile(`\.\.+|…|▒+|�|\[[^\]]{0,30}\]|\(plama[^)]*\)|\(\s*\.*\s*\)|nieczyteln|\?/\?|\|\|+`)

// illegible tells whether a scan can hardly be read: gaps, and pieces of words.
func illegible(l *found) bool {
	text := l.content.text
	if l.facts.Reading.Outcome == sekretariat.ReadUnreadable {
		return true
	}
	list := polish.Words(text)
	if len(list) == 0 {
		return true
	}
	if len(list) > 70 {
		return false
	}
	short := 0
	for _, w := range list {
		if len(w) <= 2 {
			short++
		}
	}
	n := len(gaps.FindAllString(polish.Fold(text), -1))
	return n*6 >= len(list) || n >= 2 && n*14 >= len(list) && short*3 >= len(list) || n > 0 && short*2 >= len(list)
}

var anotherPhrases = mustPhrases(map[string][]string{"c": {
	"nie wie że piszę", "nie wie o tym piśmie", "bez jej wiedzy", "bez jego wiedzy", "nie prosiła mnie", "nie prosił mnie", "nic nie wie", "za jej plecami", "nie zgadza się", "nie chce się zgodzić",
	"ona nie wie", "on nie wie", "nie pytałam jej", "nie pytałem go", "nie pytałem jej", "nie pytałam go", "bez pytania", "nie wyraziła zgody", "nie wyraził zgody", "sama by nie", "sam by nie", "nie wie że to piszę",
	"w jej imieniu bez", "nie podpisze", "wstydzi się prosić", "wstydzi się poprosić", "jeszcze nie wie", "jeszcze nic nie wie", "jeszcze mu nie mówi*", "jeszcze jej nie mówi*",
	"pełnomocnictwa ... nie podpis*", "upoważnienia nie podpis*", "upoważnienie doślemy", "upoważnienie doślę", "pełnomocnictwo doślę", "mogę złożyć za", "zgody nie mam", "nie mam upoważnienia", "nie mam pełnomocnictwa",
}})

// forAnother tells whether the writer applies for another adult who has not
// agreed.
func forAnother(l *found) bool { return anotherPhrases.find(l.content.body...)["c"] }

var announcedPhrases = mustPhrases(map[string][]string{"a": {
	"doślę", "dośle", "doślemy", "dosyłam później", "doniosę", "doniose", "doniesie", "dowiozę", "dostarczę później", "dostarczę w", "dostarczę jak", "dołączę później", "dołączę jak", "uzupełnię później", "załącznik później",
	"zapomniałam załączyć", "zapomniałem załączyć", "zapomniałam dołączyć", "zapomniałem dołączyć", "nie mogę załączyć", "nie udało się załączyć", "brak załącznika", "brakuje załącznika", "dokument doślę",
	"wyślę jutro", "wyślę jak", "wyślę później", "wyślę w poniedziałek", "jeszcze nie mam", "resztę doślę", "prześlę później", "prześlę w", "przyślę później", "przyślę w", "przyniosę później", "przyniosę jak", "przedłożę", "przedłożymy", "złożę później", "w późniejszym terminie",
}})

func announced(l *found) bool {
	return (l.kind == "wniosek" || l.kind == "odwolanie" || l.kind == "uzupelnienie" || l.kind == "informacja") && announcedPhrases.find(l.content.body...)["a"]
}

func hasAttachment(r sekretariat.Reading) bool {
	for _, p := range r.Parts {
		if p.Attachment {
			return true
		}
	}
	return false
}

// villageAddress is a place with a house number, as villages have it: "Jagodne
// 21, 26-300 Opoczno" or "1 Maja 12" at the head or foot of a letter.
var villageAddress = regexp.MustCompile(`(?:^|\n|, ?|zam\.? )(?:\d{1,2} )?\p{Lu}\p{Ll}{2,20}(?: \p{Lu}\p{Ll}{2,20})? \d{1,3}[a-z]?(?:/\d{1,3})?(?:$|[,.\n])`)

// hasAddress tells whether a letter names where its writer lives.
func hasAddress(l *found) bool {
	return l.contacts.Address != "" || l.facts.Reading.Sender.Address != nil || villageAddress.MatchString(l.content.text)
}

// chanceOf is how likely a letter is of a kind.
func (l *found) chanceOf(kind string) float64 {
	for _, k := range l.guess.Kinds {
		if k.Name == kind {
			return k.Chance
		}
	}
	return 0
}

// firstLabel is what the letter is most likely about, decided or not.
func firstLabel(d sekretariat.Decision) string {
	if d.Label != "" || len(d.Suggestions) == 0 {
		return d.Label
	}
	return d.Suggestions[0].Label
}
