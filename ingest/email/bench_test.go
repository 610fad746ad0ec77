package email

import (
	"context"
	"fmt"
	"testing"

	"sekretariat/ingest/email/dovecottest"
)

// BenchmarkFetch takes 5,000 mails of the test data (repeated, each with a
// line that makes it another mail) from Dovecot into a receiver that keeps
// digests only: the channel's own speed, moving included.
func BenchmarkFetch(b *testing.B) {
	const messages = 5000
	mails := corpus(b)
	s := startDovecot(b, dovecottest.Options{})
	for _, after := range []string{"keep", "move"} {
		b.Run(after, func(b *testing.B) {
			for round := range b.N {
				b.StopTimer()
				user := fmt.Sprintf("%s%d", after, round)
				for n := range messages {
					mail := fmt.Appendf(nil, "X-Number: %d\r\n", n)
					mail = append(mail, mails[n%len(mails)]...)
					if err := s.Deliver("intake", user, mail, noon); err != nil {
						b.Fatal(err)
					}
				}
				o := newOffice(b, s.Addr)
				o.tune = defaultTuning
				o.shelf.discard = true
				o.mailbox.After, o.mailbox.Folders = after, []string{user}
				c := o.channel()
				ctx, cancel := context.WithCancel(b.Context())
				ended := make(chan error, 1)
				b.StartTimer()
				go func() { ended <- c.Run(ctx) }()
				o.until("all taken", func() bool { return c.Health().Waiting == 0 })
				b.StopTimer()
				cancel()
				if err := <-ended; err != nil {
					b.Fatal(err)
				}
				if n := o.shelf.count(); n != messages {
					b.Fatalf("%d taken", n)
				}
				if left := inFolder(b, s, user); after == "move" && left != 0 {
					b.Fatalf("%d not moved", left)
				}
				b.StartTimer()
			}
			b.ReportMetric(float64(messages*b.N)/b.Elapsed().Seconds(), "msg/s")
		})
	}
}
