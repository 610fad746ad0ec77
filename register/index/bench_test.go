package index

import (
	"os"
	"path/filepath"
	"testing"

	"sekretariat"
)

// BenchmarkApply applies b.N letters of six events each.
func BenchmarkApply(b *testing.B) {
	for _, c := range []struct {
		name        string
		transaction int
	}{{"backlog", batch}, {"trickle", 5}} {
		b.Run(c.name, func(b *testing.B) {
			x := openAt(b, filepath.Join(b.TempDir(), "i"))
			s := newStory(b)
			for i := range b.N {
				s.whole(i+1, departments[i%len(departments)])
			}
			b.ResetTimer()
			apply(b, x, s.events, c.transaction)
			b.ReportMetric(float64(len(s.events))/b.Elapsed().Seconds(), "events/s")
			if st, err := os.Stat(x.path); err == nil {
				b.ReportMetric(float64(st.Size())/float64(b.N), "octets/letter")
			}
		})
	}
}

// BenchmarkReads asks what the page asks, with 50,000 letters.
func BenchmarkReads(b *testing.B) {
	path := filepath.Join(b.TempDir(), "i")
	x := openAt(b, path)
	s := newStory(b)
	for i := range 50000 {
		s.whole(i+1, departments[i%len(departments)])
		if len(s.events) > 10000 {
			apply(b, x, s.events, batch)
			s.events = nil
		}
	}
	apply(b, x, s.events, batch)
	clerk := sekretariat.Principal{Centre: centre, Register: true}
	dps := sekretariat.Principal{Centre: centre, Departments: []sekretariat.DepartmentID{"dps"}}
	for _, q := range []struct {
		name string
		f    func() error
	}{
		{"open", func() error { return openAt(b, path).Close() }},
		{"counts clerk", func() error { _, err := x.Counts(b.Context(), clerk); return err }},
		{"counts department", func() error { _, err := x.Counts(b.Context(), dps); return err }},
		{"register clerk", func() error {
			_, _, err := x.Register(b.Context(), clerk, Filter{}, Page{Limit: 50})
			return err
		}},
		{"register department", func() error {
			_, _, err := x.Register(b.Context(), dps, Filter{}, Page{Limit: 50})
			return err
		}},
		{"queue", func() error { _, _, err := x.Queue(b.Context(), dps, "dps", Page{Limit: 50}); return err }},
		{"parked", func() error { _, _, err := x.Parked(b.Context(), clerk, Page{Limit: 50}); return err }},
	} {
		b.Run(q.name, func(b *testing.B) {
			for b.Loop() {
				if err := q.f(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
