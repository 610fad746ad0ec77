// Package view shows a letter as people read it: a page for the screen and the
// printer, and a PDF. Both are made by us from the reading; no stylesheet of a
// form is fetched or run, because a stylesheet from outside is a program. The
// original stays as it came.
package view

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"sekretariat"
	"sekretariat/configs"
)

// Letter is what is shown.
type Letter struct {
	Centre   string // name of the centre
	Printed  string // number, "" without one
	Arrived  time.Time
	Kind     sekretariat.Kind
	Original sekretariat.ObjectRef
	Reading  *sekretariat.Reading
	Effects  []configs.MatterEffect
	// Fate overrides what the reading says of a part (fetched, missing), by path.
	Fate map[string]string
}

// row is a label with its value.
type row struct{ Label, Value string }

// section is a heading with what stands below it.
type section struct {
	Title string
	Rows  []row
	Lines []string
}

// title is the heading of the letter.
func (l Letter) title() string { return cmp.Or(l.Reading.Subject, "Pismo bez tytułu") }

// head are the facts above the text.
func (l Letter) head() []row {
	r := l.Reading
	rows := []row{
		{"Numer", cmp.Or(l.Printed, "bez numeru")},
		{"Data wpływu", l.Arrived.In(sekretariat.Warsaw()).Format("02.01.2006")},
		{"Droga", channels[l.Kind]},
		{"Rodzaj pisma", r.Headers["rodzaj"]},
		{"Data pisma", r.Written}, {"Miejscowość", r.Headers["miejscowosc"]}, {"Znak nadawcy", r.Reference},
		{"Znaki spraw", strings.Join(r.CaseNumbers, ", ")},
	}
	if r.Sent != nil {
		rows = append(rows, row{"Nadano", r.Sent.In(sekretariat.Warsaw()).Format("02.01.2006, 15:04:05")})
	}
	return filled(rows)
}

var channels = map[sekretariat.Kind]string{
	sekretariat.KindMail: "e-mail", sekretariat.KindEPUAP: "ePUAP", sekretariat.KindEDelivery: "e-Doręczenia",
	sekretariat.KindBox: "pojemnik na korespondencję", sekretariat.KindManual: "wpisano ręcznie",
}

// people are sender and recipients; each sender with what it is known from.
func (l Letter) people() section {
	r := l.Reading
	s := section{Title: "Nadawca i adresaci"}
	s.Rows = append(s.Rows, row{"Nadawca", party(r.Sender)})
	for _, p := range r.Senders {
		s.Rows = append(s.Rows, row{bases[p.Basis], party(p)})
	}
	for _, p := range r.Recipients {
		s.Rows = append(s.Rows, row{"Adresat", party(p)})
	}
	s.Rows = filled(s.Rows)
	return s
}

// bases are what a sender is known from.
var bases = map[string]string{
	"signature": "– według podpisu", "account": "– według konta ePUAP", "document": "– według treści pisma", "header": "– według nagłówka",
}

// party writes a person or institution on one line.
func party(p sekretariat.Party) string {
	parts := []string{p.Name, p.Unit}
	if a := p.Address; a != nil {
		street := strings.TrimSpace(a.Street + " " + a.Building)
		if a.Flat != "" {
			street += "/" + a.Flat
		}
		parts = append(parts, street, strings.TrimSpace(a.Postcode+" "+a.Town))
	}
	for _, id := range []string{"PESEL", "NIP", "REGON", "KRS", "ePUAP"} {
		if v := p.IDs[id]; v != "" {
			parts = append(parts, id+" "+v)
		}
	}
	parts = append(append(parts, p.Phone...), p.Email)
	return strings.Join(nonEmpty(parts), ", ")
}

// attachments lists the parts that the writer attached.
func (l Letter) attachments() section {
	s := section{Title: "Załączniki"}
	for _, p := range l.Reading.Parts {
		if !p.Attachment {
			continue
		}
		text := []string{cmp.Or(p.SafeName, p.Name, "załącznik "+p.Path)}
		if p.Remark != "" {
			text = append(text, "opis: "+p.Remark)
		}
		fate := cmp.Or(l.Fate[p.Path], p.Fate)
		if word := fates[fate]; word != "" {
			text = append(text, word)
		} else {
			text = append(text, size(p.Size))
		}
		s.Lines = append(s.Lines, strings.Join(text, " – "))
	}
	return s
}

var fates = map[string]string{
	"remote": "czeka na pobranie z platformy ePUAP", "missing": "platforma ePUAP go nie wydała", "unreadable": "nie da się odczytać",
	"limit": "za duży, nie przeczytano", "encrypted": "zaszyfrowany", "secret": "zaszyfrowany kluczem adresata",
}

func size(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%d KB", n>>10)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/(1<<20))
}

// signatures says what the signatures are worth.
func (l Letter) signatures() section {
	s := section{Title: "Podpisy elektroniczne"}
	for _, sig := range l.Reading.Signatures {
		text := cmp.Or(sig.Text, "podpis niesprawdzony")
		if sig.At != nil {
			text += sig.At.In(sekretariat.Warsaw()).Format(" (czas podany przez podpisującego: 02.01.2006, 15:04)")
		}
		if sig.Part != "" {
			text = "załącznik " + sig.Part + ": " + text
		}
		s.Lines = append(s.Lines, text)
	}
	if len(s.Lines) == 0 && l.Kind == sekretariat.KindEPUAP {
		s.Lines = []string{"Pismo nie jest podpisane elektronicznie."}
	}
	return s
}

// notes are what a clerk should know of the letter.
func (l Letter) notes() section {
	s := section{Title: "Uwagi"}
	if l.Reading.Auto == "receipt" && l.Kind == sekretariat.KindEPUAP {
		s.Lines = append(s.Lines, "To jest urzędowe poświadczenie, nie nowa sprawa: należy do pisma, którego dotyczy.")
	}
	for _, f := range l.Reading.Findings {
		if text := findings[f.Code]; text != "" {
			if f.Detail != "" {
				text += " (" + f.Detail + ")"
			}
			s.Lines = append(s.Lines, text)
		}
	}
	return s
}

// findings are the codes that concern the content of an ePUAP letter.
var findings = map[string]string{
	"sender-conflict": "Podpis, konto i treść pisma wskazują różnych nadawców; trzeba to wyjaśnić", "no-sender": "Nie wiadomo, kto wysłał pismo",
	"xml-dtd": "Dokument zawiera niedozwoloną deklarację DTD i nie został odczytany", "xml-malformed": "Dokument jest uszkodzony i nie został odczytany",
	"xml-encoding": "Dokument ma nieznane lub błędne kodowanie znaków i nie został odczytany", "xml-limit": "Dokument przekracza dopuszczalne rozmiary i nie został odczytany",
	"attachment-link": "Załącznik jest odsyłaczem poza ePUAP; program go nie otwiera", "attachment-base64": "Załącznik jest uszkodzony", "attachment-no-content": "Pismo zapowiada załącznik, którego w nim nie ma: poproś nadawcę", "text-cut": "Tekst jest dłuższy, niż tu pokazano",
	"form-unknown": "Nieznany wzór dokumentu: pokazano wszystkie pola",
}

// effects is what the way of sending counts for.
func (l Letter) effects() section {
	s := section{Title: "Skuteczność wniesienia tą drogą (do weryfikacji)"}
	for _, e := range l.Effects {
		label := e.Matter.Title()
		if e.Sender == configs.SenderPublicBody {
			label = "pismo podmiotu publicznego"
		}
		s.Rows = append(s.Rows, row{label, e.Word() + ". " + e.Text + " [" + e.Basis + "]"})
	}
	return s
}

// sections are everything below the text, without empty ones.
func (l Letter) sections() []section {
	var out []section
	for _, s := range []section{l.notes(), l.attachments(), l.signatures(), l.effects()} {
		if len(s.Rows)+len(s.Lines) > 0 {
			out = append(out, s)
		}
	}
	return out
}

// foot says what this is and what it is not.
func (l Letter) foot() string {
	return "Widok sporządzony przez program z odczytu pisma. Oryginał przechowywany jest bez zmian; SHA-256: " + string(l.Original.SHA256)
}

func filled(rows []row) []row {
	var out []row
	for _, r := range rows {
		if r.Value != "" {
			out = append(out, r)
		}
	}
	return out
}

func nonEmpty(list []string) []string {
	var out []string
	for _, s := range list {
		if strings.TrimSpace(s) != "" {
			out = append(out, s)
		}
	}
	return out
}
