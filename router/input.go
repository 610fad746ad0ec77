package router

import (
	"slices"
	"strings"

	"sekretariat"
	"sekretariat/extract/polish"
	"sekretariat/router/model"
)

// Input is what the model sees of a letter: the writer's own words, how they
// came, and what the rules found. Who wrote takes no part, only whether an
// institution did (rule P17).
func (r *Router) Input(f Facts) model.Input {
	c := contentOf(f.Reading, false)
	if c.pointsBack() {
		c = contentOf(f.Reading, true)
	}
	return r.input(f, c, r.reasons(f, r.find(c)))
}

func (r *Router) input(f Facts, c content, reasons []reason) model.Input {
	in := model.Input{
		Channel: channel(f.Arrived), Institution: institution(f.Reading.Sender),
		Subject: c.subjectText, Text: c.text, Quoted: c.quoted, Points: map[string]float64{},
	}
	for _, re := range reasons {
		if re.place.label != "" {
			in.Points[re.place.label] += re.points
		}
		in.Marks = append(in.Marks, r.markOf(re)...)
	}
	return in
}

// markOf names a reason for the model: rules by their id, evidence that points
// at a department by the labels that lead there.
func (r *Router) markOf(re reason) []string {
	if re.place.department == "" || r.byID[re.rule] != nil {
		return []string{"rule=" + re.rule}
	}
	var out []string
	for l, to := range r.centre.Labels {
		if to.Department == re.place.department {
			out = append(out, re.rule+"="+l)
		}
	}
	slices.Sort(out)
	return out
}

// channel is the kind of channel as the model knows it.
func channel(a sekretariat.ArrivedLite) string {
	switch {
	case a.Kind == sekretariat.KindManual && a.Door == sekretariat.DoorPhone:
		return "phone"
	case a.Kind == sekretariat.KindManual:
		return "post"
	}
	return string(a.Kind)
}

// institutionWords begin words in the names of offices and companies, folded.
var institutionWords = []string{
	"sad", "szkol", "przedszkol", "zlob", "szpital", "przychodn", "poradn", "komorni", "kancelari", "policj", "komenda", "komisariat", "kuratel", "kurator", "prokurat",
	"zaklad", "areszt", "fundacj", "stowarzyszen", "spoldziel", "wspolnot", "administracj", "urzad", "gops", "mops", "mopr", "pcpr", "ops", "gcpr", "cus", "zus", "krus", "nfz", "pup",
	"osrodek", "centrum", "zespol", "dom", "dps", "hospicjum", "oddzial", "biuro", "firma", "sp", "spolka", "zoo", "sa", "redakcj", "radio", "gazeta", "parafi", "caritas", "pck", "bank",
	"uniwersyt", "wydzial", "dzial", "inspek", "izba", "zwiazek", "zarzad", "noclegown", "schronisk", "ogrzewaln", "straz", "wojewod", "wojewodz", "powiat", "gmina", "burmistrz", "wojt",
	"starost", "rzecznik", "instytut", "hurtown", "sklep", "apteka", "pracown", "internat", "bursa", "biblioteka", "klub", "konsulat", "ambasada", "sekretariat", "kadry", "ksiegowosc",
	"pzu", "pge", "tauron", "enea", "energa", "pgnig", "poczta", "mpec", "zgm", "zgn", "tbs", "mzon", "pzon", "sko", "nik", "rio", "pip", "sanepid", "psse", "akademi", "liceum", "technikum",
	"catering", "serwis", "services", "group", "polska", "studio", "agencja", "spzoz", "spzoo", "pogotowi", "sor", "oik", "bps", "dyrektor", "dyrekcja", "pedagog", "prezes", "notariusz",
	"adwokat", "radca", "dzielnicow", "ksiadz", "ks", "proboszcz", "siostra", "lekarz", "lek", "dr", "pielegniark", "polozna", "asystent", "pracownik", "kierownik", "koordynator", "wychowawc",
	"nauczyciel", "adw", "rada", "prezydium", "warsztat", "watchdog", "jugendamt", "komisj", "towarzystw", "kolo", "kolektyw", "konsul", "mediator", "zwiazk", "wtz", "sds", "inspektor", "referent", "sierzant", "asp", "st", "mgr", "redaktor", "dziennikar",
}

// institution tells whether an organisation, or a person by office, writes.
func institution(p sekretariat.Party) bool {
	if p.Organisation {
		return true
	}
	if strings.Contains(polish.Fold(p.Name), "opiekun prawny") {
		return true
	}
	for _, w := range polish.Words(p.Name) {
		for _, i := range institutionWords {
			if w == i || len(i) >= 5 && strings.HasPrefix(w, i) {
				return true
			}
		}
	}
	return false
}
