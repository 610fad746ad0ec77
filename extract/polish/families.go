package polish

import "strings"

// families are words whose forms no ending rule brings together, folded: the
// stem, then the forms. Only words that people write to welfare centres.
const families = `
bezdomn: bezdomny bezdomna bezdomni
bic: bic bije bija bijesz bil bila bili bily bilem bilam
blad: blad bledu bledem bledy bledow bledzie
brat: brat brata bratu bratem bracie bracia braci braciom bracmi
dzien: dzien dnia dniu dniem dni dniom dniami dniach
dzieck: dziecko dziecka dziecku dzieckiem dzieci dzieciom dziecmi dzieciach dzieciak dzieciaka dzieciaki dzieciakow dzieciakami
lek: lek leki lekow lekami lekach lekiem leku lekom
lokal: lokal lokalu lokalem lokale lokali lokalach lokalom lokalami
lat: lat lata latach latom latami
lato: lato latem lecie
ludz: ludzie ludzi ludziom ludzmi ludziach
maz: maz meza mezowi mezem mezu mezowie
miast: miasto miasta miastu miastem miescie miastach
miejsc: miejsce miejsca miejscu miejscem miejsc miejscach miejscami
mieszkan: mieszkanie mieszkania mieszkaniu mieszkaniem mieszkan mieszkaniach mieszkaniami mieszkaniom
mroz: mroz mrozu mrozie mrozy mrozow mrozem mrozach
noc: noc nocy noca noce nocach nocami
obiad: obiad obiadu obiadem obiedzie obiady obiadow obiadom obiadami obiadach
ojciec: ojciec ojca ojcu ojcem ojcowie ojcow ojcom ojcze
pies: pies psa psu psem psie psy psow psom psami psach
pieniadz: pieniadz pieniadza pieniadze pieniedzy pieniadzom pieniedzmi pieniadzach
powiat: powiat powiatu powiatem powiecie powiaty powiatow powiatowi
reka: reka reke reki rece rak rekom rekami rekach reku
sasiad: sasiad sasiada sasiadowi sasiadem sasiedzie sasiedzi sasiadow sasiadom sasiadami sasiadach
sad: sad sadu sadowi sadem sadzie sady sadow
stopien: stopien stopnia stopniu stopniem stopnie stopni stopniom stopniach stopniami
swiat: swiat swiata swiatu swiatem swiecie
szpital: szpital szpitala szpitalu szpitalowi szpitalem szpitale szpitali szpitalach
tydzien: tydzien tygodnia tygodniu tygodniem tygodnie tygodni tygodniach tygodniami
urzad: urzad urzedu urzedowi urzedem urzedzie urzedy urzedow urzedach
wegiel: wegiel wegla weglem weglu weglowi
wies: wies wsi wsia
zab: zab zeba zeby zebow
zajeci: zajecie zajecia zajeciu zajeciem zajec zajeciach zajeciami zajeciom
zyci: zycie zycia zyciu zyciem
cial: cialo ciala cialu cialem ciele
kwiecien: kwiecien kwietnia kwietniu
opal: opal opalu opalem
prac: praca prace pracy praco
prad: prad pradu pradem pradzie prady
`

// irregular maps each form of families to its stem.
var irregular = readFamilies()

func readFamilies() map[string]string {
	m := map[string]string{}
	for line := range strings.Lines(families) {
		stem, forms, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok {
			continue
		}
		for _, f := range strings.Fields(forms) {
			m[f] = stem
		}
	}
	return m
}
