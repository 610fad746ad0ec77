package charset

import "strings"

// macCE is the encoding of Polish text on a Macintosh before Unicode. x/text
// does not have it.
const macCE = "x-mac-ce"

// macCETable are its characters from 0x80 on (Apple, CENTEURO.TXT).
var macCETable = []rune("" +
	"ÄĀāÉĄÖÜáąČäčĆćéŹźĎíďĒēĖóėôöõúĚěü" +
	"†°Ę£§•¶ß®©™ę¨≠ģĮįĪ≤≥īĶ∂∑łĻļĽľĹĺŅ" +
	"ņŃ¬√ńŇ∆«»…\u00a0ňŐÕőŌ–—“”‘’÷◊ōŔŕŘ‹›řŖ" +
	"ŗŠ‚„šŚśÁŤťÍŽžŪÓÔūŮÚůŰűŲųÝýķŻŁżĢˇ")

func decodeMacCE(b []byte) string {
	var out strings.Builder
	for _, c := range b {
		if c < 0x80 {
			out.WriteByte(c)
		} else {
			out.WriteRune(macCETable[c-0x80])
		}
	}
	return out.String()
}
