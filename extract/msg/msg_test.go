package msg

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sekretariat/extract/cfb/cfbtest"
	"sekretariat/extract/mapi"
	"sekretariat/extract/msg/msgtest"
)

func sample() []byte {
	inner := &msgtest.Message{
		Props:       msgtest.Props{mapi.Subject: "Wewnętrzna", mapi.Body: "W środku."},
		Attachments: []msgtest.Attachment{{Props: msgtest.Props{mapi.AttachLongName: "głęboki.txt"}, Data: []byte("głęboko")}},
	}
	return msgtest.Bytes(&msgtest.Message{
		Props: msgtest.Props{
			mapi.MessageCodepage: 1250, mapi.Subject: msgtest.Narrow("Wniosek o zasi\xb3ek"), mapi.Body: "Treść.",
			mapi.SubmitTime: uint64(132_500_000_000_000_000),
		},
		Recipients: []msgtest.Props{{mapi.DisplayName: "Sekretariat", mapi.SMTPAddress: "sekretariat@mops.example", mapi.RecipientType: 1}},
		Attachments: []msgtest.Attachment{
			{Props: msgtest.Props{mapi.AttachLongName: "skan.pdf", mapi.AttachMIME: "application/pdf"}, Data: bytes.Repeat([]byte("%PDF"), 5000)},
			{Props: msgtest.Props{mapi.DisplayName: "Wewnętrzna", mapi.AttachMethod: mapi.EmbeddedMessage}, Message: inner},
			{Props: msgtest.Props{mapi.AttachFilename: "PUSTY.TXT"}},
		},
	})
}

func TestOpen(t *testing.T) {
	b := sample()
	f, err := Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	m := f.Message()
	if s := m.Props.Text(mapi.Subject); s != "Wniosek o zasiłek" {
		t.Errorf("subject %q", s)
	}
	if at := m.Props.Time(mapi.SubmitTime); at.Year() != 2020 {
		t.Errorf("submitted %v", at)
	}
	if len(m.Recipients) != 1 || m.Recipients[0].Text(mapi.SMTPAddress) != "sekretariat@mops.example" || m.Recipients[0].Int(mapi.RecipientType) != 1 {
		t.Errorf("recipients %+v", m.Recipients)
	}
	if len(m.Attachments) != 3 || m.Attachments[0].Name() != "skan.pdf" || m.Attachments[0].Size != 20_000 || m.Attachments[2].Name() != "PUSTY.TXT" {
		t.Fatalf("attachments %+v", m.Attachments)
	}
	inner := m.Attachments[1].Embedded
	if inner == nil || inner.Props.Text(mapi.Subject) != "Wewnętrzna" || len(inner.Attachments) != 1 {
		t.Fatalf("inner %+v", inner)
	}
	for _, c := range []struct {
		r    io.Reader
		want string
	}{
		{f.Attachment(0), strings.Repeat("%PDF", 5000)},
		{f.Attachment(1, 0), "głęboko"},
		{f.Value(mapi.Body, 1), "W\x00 \x00[\x01r\x00o\x00d\x00k\x00u\x00.\x00"},
	} {
		if got, err := io.ReadAll(c.r); err != nil || string(got) != c.want {
			t.Errorf("%.40q, want %.40q (%v)", got, c.want, err)
		}
	}
	for _, path := range [][]int{{1}, {5}, {1, 7}, {0, 0}, {}} {
		if f.Attachment(path...) != nil {
			t.Errorf("attachment %v is there", path)
		}
	}
}

// TestWrittenElsewhere reads a message that an independent program wrote.
func TestWrittenElsewhere(t *testing.T) {
	file, err := os.Open("testdata/wniosek.msg")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	f, err := Open(file, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	m := f.Message()
	if m.Props.Text(mapi.Subject) != "Wniosek o zasiłek celowy – Śliwińska" || len(m.Recipients) != 2 || len(m.Attachments) != 2 ||
		m.Attachments[0].Name() != "Podanie – żłobek.pdf" || !strings.Contains(m.Props.Text(mapi.Body), "zasiłku celowego") {
		t.Fatalf("%+v", m)
	}
}

func TestNone(t *testing.T) {
	for name, b := range map[string][]byte{
		"text": []byte(strings.Repeat("nie ", 500)), "empty": nil, "compound file of another kind": cfbtest.Bytes(cfbtest.New()),
	} {
		if _, err := Open(bytes.NewReader(b), int64(len(b))); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestLimits: messages within messages end, and much of everything is told.
func TestLimits(t *testing.T) {
	deep := &msgtest.Message{Props: msgtest.Props{mapi.Subject: "dno"}}
	for range maxLevels + 3 {
		deep = &msgtest.Message{Props: msgtest.Props{mapi.Subject: "poziom"}, Attachments: []msgtest.Attachment{{Message: deep}}}
	}
	many := &msgtest.Message{Props: msgtest.Props{}}
	for range maxAttachments + 1 {
		many.Attachments = append(many.Attachments, msgtest.Attachment{Data: []byte("x")})
	}
	for name, m := range map[string]*msgtest.Message{"deep": deep, "many": many} {
		b := msgtest.Bytes(m)
		start := time.Now()
		f, err := Open(bytes.NewReader(b), int64(len(b)))
		if err != nil || !f.Message().Cut || time.Since(start) > 5*time.Second {
			t.Errorf("%s: %v, cut %v, %v", name, err, f.Message().Cut, time.Since(start))
		}
	}
}

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// check reads all of a file, whatever it is.
func check(t fataler, b []byte) {
	t.Helper()
	f, err := Open(bytes.NewReader(b), int64(len(b)))
	if errors.Is(err, ErrFormat) {
		return
	}
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	var all int64
	visit(t, f, f.Message(), nil, &all)
	if limit := int64(maxOverlap*len(b) + 1<<20); all > limit {
		t.Fatalf("%d octets out of %d", all, len(b))
	}
}

func visit(t fataler, f *File, m *mapi.Message, path []int, all *int64) {
	t.Helper()
	for i := range m.Attachments {
		a := &m.Attachments[i]
		_ = a.Name()
		at := append(path[:len(path):len(path)], i)
		if a.Embedded != nil {
			visit(t, f, a.Embedded, at, all)
			continue
		}
		if r := f.Attachment(at...); r != nil && a.Size > 0 {
			n, err := io.Copy(io.Discard, r)
			if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("attachment %v: %v", at, err)
			}
			*all += n
		}
	}
}

func TestDamaged(t *testing.T) {
	whole := sample()
	rapid.Check(t, func(rt *rapid.T) {
		b := bytes.Clone(whole)
		for range rapid.IntRange(1, 8).Draw(rt, "changes") {
			b[rapid.IntRange(0, len(b)-1).Draw(rt, "at")] = rapid.SampledFrom([]byte{0, 1, 2, 5, 9, 0xfe, 0xff}).Draw(rt, "octet")
		}
		check(rt, b[:rapid.IntRange(len(b)/2, len(b)).Draw(rt, "length")])
	})
}

func FuzzOpen(f *testing.F) {
	f.Add(sample())
	if b, err := os.ReadFile("testdata/wniosek.msg"); err == nil {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) { check(t, b) })
}
