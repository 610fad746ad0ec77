package mailkey

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sekretariat"
)

func letterID(t *rapid.T) sekretariat.LetterID {
	s := sekretariat.NewSubmissionID("c", "mail", "a", rapid.String().Draw(t, "identity"))
	return sekretariat.NewLetterID(s, rapid.IntRange(1, 2000).Draw(t, "part"))
}

// A Message-ID of ours leads back to its letter through every gentle change
// that servers make, and through no other.
func TestNoticeIDs(t *testing.T) {
	k, other := New([]byte("secret"), "centre"), New([]byte("secret"), "another")
	rapid.Check(t, func(rt *rapid.T) {
		l := letterID(rt)
		id := k.NoticeID(l, "ops.example")
		if len(id) > 120 || strings.ContainsAny(id, " <>\r\n") {
			rt.Fatalf("id %q does not fit a header", id)
		}
		for _, form := range []string{id, "<" + id + ">", strings.ToUpper(id), " <" + id + "> ", strings.Replace(id, "ops.example", "gateway.example", 1)} {
			if got, ok := k.Notice(form); !ok || got != l {
				rt.Fatalf("%q leads to %q, %v; want %q", form, got, ok, l)
			}
		}
		if _, ok := other.Notice(id); ok {
			rt.Fatal("another centre takes it for its own")
		}
		local, domain, _ := strings.Cut(id, "@")
		i := rapid.IntRange(0, len(local)-1).Draw(rt, "where")
		c := rapid.SampledFrom([]byte("0123456789abcdefghijklmnopqrstuv-.x")).Draw(rt, "what")
		forged := local[:i] + string(c) + local[i+1:] + "@" + domain
		if got, ok := k.Notice(forged); ok && got != l {
			rt.Fatalf("forged %q leads to %q", forged, got)
		}
	})
}

// Whatever stands in a Message-ID, looking at it does no harm.
func FuzzNotice(f *testing.F) {
	k := New([]byte("secret"), "centre")
	f.Add(k.NoticeID(sekretariat.NewLetterID(sekretariat.NewSubmissionID("c", "mail", "a", "1"), 1), "ops.example"))
	f.Add("sk1---@")
	f.Add("sk1-0-0-0@x")
	f.Fuzz(func(t *testing.T, id string) {
		if l, ok := k.Notice(id); ok {
			if back, again := k.Notice(k.NoticeID(l, "x")); !again || back != l {
				t.Errorf("%q leads to %q, which leads to %q", id, l, back)
			}
		}
	})
}

func TestDigestsAreKeyedAndSteady(t *testing.T) {
	k, other := New([]byte("secret"), "centre"), New([]byte("other"), "centre")
	if k.Contact("Jan@Poczta.example ") != k.Contact("jan@poczta.example") {
		t.Error("one address has two digests")
	}
	if k.Contact("jan@poczta.example") == other.Contact("jan@poczta.example") || k.Contact("jan@poczta.example") == k.Message("jan@poczta.example") {
		t.Error("digests do not depend on key and purpose")
	}
	if k.Contact("") != "" || k.Message(" <> ") != "" {
		t.Error("nothing has a digest")
	}
	if k.Message("<a@b>") != k.Message("a@b") || k.Words("a  b\r\nc") != k.Words("a b c\n") {
		t.Error("brackets or line ends count")
	}
	// Written down once: changing it would cut all threads.
	if got := New([]byte("secret"), "centre").Contact("jan@poczta.example"); got != "e35c1417c752884b0f339658be36bb33" {
		t.Errorf("digest of a contact is now %s", got)
	}
}

func TestThreadIsBounded(t *testing.T) {
	k := New([]byte("secret"), "centre")
	own := k.NoticeID(sekretariat.NewLetterID(sekretariat.NewSubmissionID("c", "mail", "a", "1"), 1), "x")
	r := &sekretariat.Reading{MessageID: "m", Sender: sekretariat.Party{Email: "a@b"}, References: []string{"first@x"}}
	for range 300 {
		r.References = append(r.References, "more@x")
	}
	r.References = append(r.References, own)
	th := k.Thread(r)
	if n := len(th.References) + len(th.Own); n != sekretariat.MaxThreadReferences || th.References[0] != k.Message("first@x") || len(th.Own) != 1 {
		t.Errorf("%d references, first %s, own %v; want %d with the first and ours", n, th.References[0], th.Own, sekretariat.MaxThreadReferences)
	}
	if k.Thread(&sekretariat.Reading{}) != nil {
		t.Error("nothing hangs together with something")
	}
}
