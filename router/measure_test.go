package router

import (
	"strings"
	"testing"
)

// BenchmarkDecide is one ordinary mail of about 100 words.
func BenchmarkDecide(b *testing.B) {
	r := demo(b)
	f := letter("Prośba o pomoc w zakupie opału", strings.Repeat(
		"Zwracam się z prośbą o przyznanie zasiłku celowego na zakup węgla. Mieszkam sama, mam niską emeryturę i nie stać mnie na opał. ", 5))
	b.ReportAllocs()
	for b.Loop() {
		r.Decide(f)
	}
}
