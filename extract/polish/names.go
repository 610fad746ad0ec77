package polish

import "strings"

// givenNames are the common given names of people in Poland, so that names can
// be left out of what a model learns from.
const givenNames = `
Adam Adrian Adrianna Agata Agnieszka Albert Aldona Alek Aleks Aleksander Aleksandra Alfred Alicja Alina Amelia Anastazja Andrzej
Aneta Angelika Ania Aniela Anita Anna Antek Antoni Antonina Apolonia Arek Arkadiusz Artur Asia Barbara Bartek Bartosz Bartłomiej
Basia Beata Benedykt Bernadeta Bernard Bogdan Bogumił Bogumiła Bogusław Bogusława Bohdan Bolesław Bożena Bronisław Bronisława
Brunon Cecylia Celina Cezary Czesław Czesława Damian Daniel Danuta Darek Daria Dariusz Dawid Dominik Dominika Donata Dorota Edmund
Edward Edyta Ela Elwira Elżbieta Emil Emilia Ernest Eryk Eugenia Eugeniusz Ewa Ewelina Fabian Felicja Feliks Ferdynand Filip
Franciszek Franciszka Franek Fryderyk Gabriel Gabriela Genowefa Gerard Gertruda Grażyna Grzegorz Grzesiek Gustaw Halina Hania
Hanna Helena Henryk Henryka Hieronim Hubert Ida Iga Ignacy Igor Ilona Irena Ireneusz Iryna Iwona Iza Izabela Izydor Jacek Jadwiga
Jakub Jan Janek Janina Janusz Jarek Jarosław Jasiek Jerzy Joanna Jolanta Judyta Julia Julian Julianna Juliusz Justyna Józef Józefa
Kacper Kamil Kamila Karina Karol Karolina Kasia Katarzyna Kazimiera Kazimierz Kinga Klara Klaudia Klemens Konrad Konstanty Kordian
Kornel Kornelia Krystian Krystyna Krzysiek Krzysztof Ksawery Kuba Laura Lech Leokadia Leon Leonard Leonia Leszek Lidia Liliana
Longina Lucjan Lucyna Ludmiła Ludwik Ludwika Luiza Maciej Maciek Magda Magdalena Maja Maksymilian Marcel Marcelina Marcin Marek
Margareta Maria Marian Marianna Mariola Mariusz Marlena Marta Martyna Maryla Marzena Mateusz Matylda Małgorzata Małgosia Michał
Mieczysław Mieczysława Mikołaj Milena Mirela Miron Mirosław Mirosława Miłosz Monika Nadia Natalia Natasza Nikodem Nikola Nina
Norbert Oksana Oktawia Ola Oleksandr Olena Olga Oliwia Oliwier Oskar Otylia Patrycja Patryk Paulina Paweł Pelagia Piotr Piotrek
Przemek Przemysław Radek Radosław Rafał Rajmund Regina Remigiusz Renata Robert Roch Roksana Roman Romana Romuald Rozalia Ryszard
Sabina Sandra Sebastian Seweryn Stanisław Stanisława Staszek Stefan Stefania Sylwester Sylwia Szczepan Szymon Sławek Sławomir
Tadeusz Tamara Teodor Teresa Tomasz Tomek Tymon Tymoteusz Urszula Wacław Wacława Waldemar Walenty Walentyna Waleria Walerian Wanda
Wawrzyniec Wera Weronika Wiesław Wiesława Wiktor Wiktoria Wilhelm Wincenty Wioletta Witold Wladyslaw Wojciech Wojtek Władysław
Władysława Włodzimierz Zbigniew Zbyszek Zdzisław Zdzisława Zenobia Zenon Zofia Zosia Zuzanna Zuzia Zygfryd Zygmunt Łucja Łukasz
Żaneta
`

// givenStems holds the stem of every given name: its inflected forms share it.
var givenStems = readNames()

func readNames() map[string]bool {
	m := map[string]bool{}
	for n := range strings.FieldsSeq(givenNames) {
		f := Fold(n)
		m[Stem(f)] = true
		if b, ok := strings.CutSuffix(f, "a"); ok { // Anna, Annie; Ewa, Ewie
			m[Stem(b+"ie")] = true
		}
	}
	return m
}

// notNames are words that only look like a form of a given name.
var notNames = map[string]bool{
	"ani": true, "maj": true, "maja": true, "maju": true, "majem": true, "marca": true, "marcu": true, "marcem": true, "marzec": true, "nad": true,
	"kasa": true, "kasy": true, "kase": true, "kasie": true, "kas": true, "radca": true, "radcy": true, "iga": true, "ida": true, "ele": true,
}

// GivenName tells whether a folded word is a form of a common given name.
func GivenName(word string) bool {
	return len(word) > 2 && !notNames[word] && givenStems[Stem(word)]
}
