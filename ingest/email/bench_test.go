package email

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"syscall"
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

// BenchmarkOldMailbox is the steady check of a mailbox with 60,000 old
// messages, by a new process and by a running one.
func BenchmarkOldMailbox(b *testing.B) {
	s := startDovecot(b, dovecottest.Options{})
	for n := range 60_000 {
		if err := s.Deliver("intake", "INBOX", fmt.Appendf(nil, "Subject: %d\r\n\r\n", n), noon); err != nil {
			b.Fatal(err)
		}
	}
	for _, since := range []string{"2026-11-19", ""} {
		b.Run("since="+since, func(b *testing.B) {
			p := newProxy(b, s.Addr, unspoiled)
			o := newOffice(b, p.addr)
			o.tune, o.shelf.discard = defaultTuning, true
			if o.mailbox.Since = since; since == "" {
				o.mailbox.After = "keep"
			}
			look := func() {
				c, stop := o.run()
				o.until("looked at all", func() bool { return c.Health().Waiting == 0 })
				stop()
			}
			look() // the first contact
			before := p.bytes.Load()
			b.ResetTimer()
			for range b.N {
				look()
			}
			b.ReportMetric(float64(p.bytes.Load()-before)/float64(b.N), "octets/check")
		})
	}
}

// BenchmarkLargeMail streams a mail of 150 MB through the channel. The peak is
// that of the whole process.
func BenchmarkLargeMail(b *testing.B) {
	const size = 150 << 20
	s := startDovecot(b, dovecottest.Options{})
	line := bytes.Repeat([]byte("0123456789abcdef0123456789\r\n"), 1000)
	b.SetBytes(size)
	for n := range b.N {
		b.StopTimer()
		mail := io.MultiReader(strings.NewReader(fmt.Sprintf("Subject: %d\r\n\r\n", n)), io.LimitReader(&repeater{b: line}, size))
		if err := s.DeliverFrom("intake", "INBOX", mail, noon); err != nil {
			b.Fatal(err)
		}
		o := newOffice(b, s.Addr)
		o.shelf.discard = true
		b.StartTimer()
		_, stop := o.run()
		o.until("moved", func() bool { return inFolder(b, s, "INBOX") == 0 })
		stop()
	}
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(u.Maxrss)/1024, "MiB-peak")
}
