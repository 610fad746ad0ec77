package outbox

import (
	"maps"
	"net/mail"
	"slices"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"pgregory.net/rapid"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/pipeline"
	"sekretariat/pipeline/mailkey"
	"sekretariat/router"
)

func profile() *configs.Centre {
	return &configs.Centre{
		ID: "test", Name: "Ośrodek Pomocy Społecznej", RuleSets: []string{"common"},
		Labels:    map[string]configs.To{"przemoc": {Department: "zespol"}, "asysta-rodzinna": {Department: "asysta"}, "zasilki-stale": {Department: "zasilki"}},
		Mailboxes: []configs.Mailbox{{Account: configs.Account{ID: "a"}, Address: "ops@ops.example", Aliases: []string{"Kancelaria@ops.example"}}},
		Contacts:  []configs.Contact{{Email: "kadry@ops.example", Departments: []sekretariat.DepartmentID{"sekretariat"}}},
		Departments: []configs.Department{{ID: "sekretariat", Name: "Sekretariat"}, {ID: "zespol", Name: "Zespół"}, {ID: "asysta", Name: "Asysta"},
			{ID: "zasilki", Name: "Dział Zasiłków", Public: true}, {ID: "cicha", Name: "Cicha"}, {ID: "zamknieta", Name: "Zamknięta", Closed: true}},
		Acknowledgement: configs.Acknowledgement{On: true, NotLabels: []string{"bezdomnosc"}, Not: []string{"nie oddzwaniać"}},
	}
}

func newBox(t testing.TB, c *configs.Centre) *Outbox {
	t.Helper()
	r, err := router.New(c)
	if err != nil {
		t.Fatal(err)
	}
	keys := mailkey.New([]byte("test"), c.ID)
	b, err := New(Options{Centre: c, Keys: keys, Clock: sekretariat.SystemClock,
		Pipeline: pipeline.New(pipeline.Options{Centre: c, Router: r, Keys: keys, Logger: zerolog.Nop()})})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// answerable is a letter and its reading that may be acknowledged.
func answerable() (*sekretariat.Letter, *sekretariat.Reading) {
	return &sekretariat.Letter{
			ID: sekretariat.NewLetterID(sekretariat.NewSubmissionID("test", "mail", "a", "1"), 1), Department: "zasilki", Status: sekretariat.StatusRouted, Revision: 1,
			Arrived:  sekretariat.ArrivedData{Kind: sekretariat.KindMail, Account: "a"},
			Decision: sekretariat.Decision{Department: "zasilki", Label: "zasilki-stale", Urgency: sekretariat.Normal, Rule: "r"},
		}, &sekretariat.Reading{
			Outcome: sekretariat.ReadOK, Subject: "Pytanie", Text: "Proszę o informację o zasiłku stałym.", MessageID: "a@poczta.example",
			Sender: sekretariat.Party{Email: "jan@poczta.example"}, Recipients: []sekretariat.Party{{Email: "OPS@ops.example"}},
			Headers: map[string]string{"Return-Path": "<Jan@poczta.example>"},
		}
}

// Who is never answered, by RFC 3834 and rule P6.
func TestWhoIsNeverAnswered(t *testing.T) {
	b := newBox(t, profile())
	if l, r := answerable(); b.forbidden(l, r) != "" {
		t.Fatalf("an ordinary letter is not answered: %q", b.forbidden(l, r))
	}
	own := b.o.Keys.NoticeID(sekretariat.NewLetterID(sekretariat.NewSubmissionID("x", "mail", "a", "2"), 1), "ops.example")
	type change func(*sekretariat.Letter, *sekretariat.Reading)
	head := func(name, value string) change {
		return func(_ *sekretariat.Letter, r *sekretariat.Reading) { r.Headers[name] = value }
	}
	from := func(address string) change {
		return func(_ *sekretariat.Letter, r *sekretariat.Reading) {
			r.Sender.Email, r.Headers["Return-Path"] = address, "<"+address+">"
		}
	}
	text := func(s string) change {
		return func(_ *sekretariat.Letter, r *sekretariat.Reading) { r.Text += " " + s }
	}
	for _, c := range []struct {
		name, want string
		change     change
	}{
		{"auto-replied", SuppressedMachine, head("Auto-Submitted", "auto-replied (vacation)")},
		{"auto-generated", SuppressedMachine, head("Auto-Submitted", "Auto-Generated")},
		{"not automatic", "", head("Auto-Submitted", "no")},
		{"bulk", SuppressedMachine, head("Precedence", "Bulk")},
		{"list precedence", SuppressedMachine, head("Precedence", "list")},
		{"junk", SuppressedMachine, head("Precedence", "junk")},
		{"a list", SuppressedMachine, head("List-Help", "<mailto:x@y.example>")},
		{"a list, by unsubscription", SuppressedMachine, head("List-Unsubscribe", "<mailto:x@y.example>")},
		{"Exchange asks for silence", SuppressedMachine, head("X-Auto-Response-Suppress", "OOF, AutoReply")},
		{"a loop mark", SuppressedMachine, head("X-Loop", "x")},
		{"a reader's fact", SuppressedMachine, func(_ *sekretariat.Letter, r *sekretariat.Reading) { r.Auto = "auto-generated" }},
		{"an answer to our notice", SuppressedOwn, func(_ *sekretariat.Letter, r *sekretariat.Reading) { r.References = []string{own} }},
		{"by its subject only", SuppressedOwn, func(_ *sekretariat.Letter, r *sekretariat.Reading) {
			r.Subject = "ODP: Potwierdzenie wpływu RPW/1/2026"
		}},
		{"our own header, even unsigned", SuppressedOwn, head(mailkey.Header, "1 x")},
		{"null return path", SuppressedNullPath, head("Return-Path", "<>")},
		{"no return path", SuppressedNoPath, head("Return-Path", "")},
		{"another return path", SuppressedOtherPath, head("Return-Path", "<zwroty@firma.example>")},
		{"two authors", SuppressedAddress, func(_ *sekretariat.Letter, r *sekretariat.Reading) { r.Senders = make([]sekretariat.Party, 2) }},
		{"no-reply", SuppressedRole, from("no-reply@firma.example")},
		{"noreply with more", SuppressedRole, from("noreply+123@firma.example")},
		{"nie odpowiadaj", SuppressedRole, from("prosze.nieodpowiadaj@firma.example")},
		{"a daemon", SuppressedRole, from("MAILER-DAEMON@firma.example")},
		{"a list's owner", SuppressedRole, from("owner-lista@firma.example")},
		{"a list's requests", SuppressedRole, from("lista-request@firma.example")},
		{"a person whose name begins like a role", "", from("rootka@firma.example")},
		{"our mailbox", SuppressedOurs, from("OPS@ops.example")},
		{"an alias of our mailbox", SuppressedOurs, from("kancelaria@ops.example")},
		{"our staff's address", SuppressedOurs, from("kadry@ops.example")},
		{"a line break in the address", SuppressedAddress, from("jan@x.example>\r\nRCPT TO:<ola@x.example")},
		{"a quoted address", SuppressedAddress, from(`"jan nowak"@x.example`)},
		{"an address with other letters", SuppressedAddress, from("józef@x.example")},
		{"no domain", SuppressedAddress, from("jan@localhost")},
		{"a very long address", SuppressedAddress, from(strings.Repeat("a", 65) + "@x.example")},
		{"a hidden copy", SuppressedNotTo, func(_ *sekretariat.Letter, r *sekretariat.Reading) {
			r.Recipients = []sekretariat.Party{{Email: "undisclosed@x.example"}}
		}},
		{"a forged sender", SuppressedForged, head("Authentication-Results", "mx.ops.example; spf=pass; dmarc=fail")},
		{"an unread attachment", SuppressedUnread, func(_ *sekretariat.Letter, r *sekretariat.Reading) {
			r.Parts = []sekretariat.Part{{Attachment: true, Size: 9, Fate: "listed"}}
		}},
		{"a read attachment", "", func(_ *sekretariat.Letter, r *sekretariat.Reading) {
			r.Parts = []sekretariat.Part{{Attachment: true, Size: 9, Fate: "read", Text: "wniosek"}}
		}},
		{"violence in an attachment", SuppressedCare, func(_ *sekretariat.Letter, r *sekretariat.Reading) {
			r.Parts = []sekretariat.Part{{Attachment: true, Size: 9, Fate: "read", Text: "mąż ją pobił"}}
		}},
		{"half read", SuppressedUnread, func(_ *sekretariat.Letter, r *sekretariat.Reading) { r.Outcome = sekretariat.ReadPartial }},
		{"danger", SuppressedCare, func(l *sekretariat.Letter, _ *sekretariat.Reading) { l.Decision.Urgency = sekretariat.Danger }},
		{"label violence", SuppressedCare, func(l *sekretariat.Letter, _ *sekretariat.Reading) { l.Decision.Label = "przemoc" }},
		{"label family assistance", SuppressedCare, func(l *sekretariat.Letter, _ *sekretariat.Reading) { l.Decision.Label = "asysta-rodzinna" }},
		{"suggested for violence", SuppressedCare, func(l *sekretariat.Letter, _ *sekretariat.Reading) {
			l.Decision.Suggestions = []sekretariat.Suggestion{{Label: "zasilki-stale"}, {Label: "przemoc", Score: 0.01}}
		}},
		{"the violence team has it", SuppressedCare, func(l *sekretariat.Letter, _ *sekretariat.Reading) { l.Decision.Department = "zespol" }},
		{"the violence team has a copy", SuppressedCare, func(l *sekretariat.Letter, _ *sekretariat.Reading) {
			l.Decision.Copies = []sekretariat.DepartmentID{"zespol"}
		}},
		{"a closed department is suggested", SuppressedCare, func(l *sekretariat.Letter, _ *sekretariat.Reading) {
			l.Decision.Suggestions = []sekretariat.Suggestion{{Department: "zamknieta"}}
		}},
		{"a closed letter", SuppressedClosed, func(l *sekretariat.Letter, _ *sekretariat.Reading) { l.Closed = true }},
		{"a label of the centre's list", SuppressedCare, func(l *sekretariat.Letter, _ *sekretariat.Reading) { l.Decision.Label = "bezdomnosc" }},
		{"a phrase of the centre's list", SuppressedCare, text("Proszę nie oddzwaniać.")},
		{"he beats", SuppressedCare, text("Mąż mnie bije.")},
		{"he threatened", SuppressedCare, text("Groził mi wczoraj.")},
		{"somebody reads the mail", SuppressedCare, text("Mąż czyta moje wiadomości.")},
		{"do not answer", SuppressedCare, text("Proszę nie odpisywać na ten adres.")},
		{"a child alone", SuppressedCare, text("Dziecko samo siedzi w domu.")},
		{"a whistle-blower", SuppressedCare, text("Jestem sygnalistą.")},
		{"a suicide", SuppressedCare, text("Myślę o samobójstwie.")},
		{"benefits for a child are not danger", "", text("Proszę o zasiłek rodzinny na dziecko.")},
	} {
		l, r := answerable()
		c.change(l, r)
		if got := b.forbidden(l, r); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// Every code that a letter can show has words for a clerk.
func TestEveryCodeHasPolishWords(t *testing.T) {
	for _, code := range slices.Collect(maps.Keys(polishCodes)) {
		if Polish(code) == code {
			t.Errorf("%q is shown as it is", code)
		}
	}
	if got := Polish("smtp-550"); !strings.Contains(got, "550") || got == "smtp-550" {
		t.Errorf("a refusal is shown as %q", got)
	}
}

// Whatever stands in a letter and in the profile, the message has the fields
// that it should have, once each, and no others.
func TestNoHeaderIsInjected(t *testing.T) {
	nasty := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"\r\nBcc: zly@x.example", "\n", "\r\n\r\n", "=?utf-8?q?=0D=0ABcc:_x?=", "\u2028", "<", ">", "żółć", "\x00"})), 0, 6).Draw(t, "pieces"), "")
	})
	allowed := []string{"Date", "From", "To", "Subject", "Message-Id", "Mime-Version", "Auto-Submitted", "X-Auto-Response-Suppress", "Precedence",
		"Content-Language", "In-Reply-To", "References", "X-Sekretariat", "Content-Type"}
	rapid.Check(t, func(rt *rapid.T) {
		c := profile()
		c.RuleSets = []string{}
		c.Name, c.Address = nasty.Draw(rt, "name"), nasty.Draw(rt, "address")
		b := newBox(t, c)
		l, r := answerable()
		l.Number = sekretariat.Number{Series: "rpw", Year: 2026, N: 7}
		r.MessageID, r.Subject, r.Text, r.Sender.Name = nasty.Draw(rt, "id"), nasty.Draw(rt, "subject"), nasty.Draw(rt, "text"), nasty.Draw(rt, "sender")
		raw, err := b.message(l, r)
		if err != nil {
			rt.Fatal(err)
		}
		m, err := mail.ReadMessage(strings.NewReader(string(raw)))
		if err != nil {
			rt.Fatalf("%v\n%s", err, raw)
		}
		for name, values := range m.Header {
			if !slices.Contains(allowed, name) || len(values) != 1 {
				rt.Fatalf("field %s: %q", name, values)
			}
		}
		if to := m.Header.Get("To"); to != "<jan@poczta.example>" {
			rt.Fatalf("to %q", to)
		}
		if !strings.Contains(string(raw), "\r\nMessage-ID: <sk1-") {
			rt.Fatalf("the Message-ID is not on one line:\n%s", raw)
		}
		for line := range strings.SplitSeq(string(raw), "\r\n") {
			if strings.ContainsAny(line, "\r\n") || len(line) > 998 {
				rt.Fatalf("a line of %d octets, or with a bare line end: %q", len(line), line)
			}
		}
	})
}

// A department stands in the text only when it may be named, and a template of
// a label is used only then (rule P6).
func TestTemplatesNameNobodyInSecret(t *testing.T) {
	c := profile()
	c.Departments[3].Public = true
	c.Acknowledgement.Templates = []configs.AckTemplate{{Label: "zasilki-stale", Subject: "Wpłynęło {{.Number}}", Text: "Zasiłki stałe: {{.Department}}, {{.Day}}"}}
	b := newBox(t, c)
	l, _ := answerable()
	for _, x := range []struct {
		department sekretariat.DepartmentID
		label, has string
	}{{"zasilki", "zasilki-stale", "Zasiłki stałe: Dział Zasiłków"}, {"zasilki", "inne", "Komórka, która się nią zajmie: Dział Zasiłków"}, {"cicha", "zasilki-stale", ""}, {"zamknieta", "zasilki-stale", ""}, {"sekretariat", "", ""}} {
		l.Department, l.Decision.Label = x.department, x.label
		got, err := b.template(l).render(b.fields(l))
		if err != nil {
			t.Fatal(err)
		}
		named := strings.Contains(got.text, "Komórka") || strings.Contains(got.text, "Zasiłki stałe") || strings.Contains(got.text, "Cicha") || strings.Contains(got.text, "Zamknięta")
		if x.has == "" && named || x.has != "" && !strings.Contains(got.text, x.has) {
			t.Errorf("%s, label %q:\n%s", x.department, x.label, got.text)
		}
	}
}

func TestBadTemplatesAreRefused(t *testing.T) {
	for name, tpl := range map[string]configs.AckTemplate{
		"a field of the letter": {Text: "{{.Sender}}"},
		"a broken template":     {Text: "{{if}}"},
		"an empty subject":      {Subject: "  ", Text: "x"},
		"a flood":               {Text: strings.Repeat("x", maxRendered+1)},
	} {
		c := profile()
		c.Acknowledgement.Templates = []configs.AckTemplate{tpl}
		if err := Check(c); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	c := profile()
	c.Acknowledgement.Not = []string{`"open`}
	if err := Check(c); err == nil {
		t.Error("a phrase with an open quotation mark is accepted")
	}
}

// The shipped text alarms nobody when it comes back in a bounce: neither the
// router's words nor the careful ones stand in it.
func TestShippedTextIsCalm(t *testing.T) {
	b := newBox(t, profile())
	l, _ := answerable()
	got, err := b.template(l).render(b.fields(l))
	if err != nil {
		t.Fatal(err)
	}
	r := sekretariat.Reading{Outcome: sekretariat.ReadOK, Subject: got.subject, Text: got.text}
	if b.unsafe.Match(&r) {
		t.Errorf("a careful word stands in:\n%s", got.text)
	}
	router, err := router.New(profile())
	if err != nil {
		t.Fatal(err)
	}
	if d := router.Decide(routerFacts(r)); d.Urgency != sekretariat.Normal || b.o.Pipeline.Sensitive(d) {
		t.Errorf("the router finds %s %+v in it", d.Urgency, d.Evidence)
	}
	for _, want := range []string{`<html lang="pl">`, "<h1", "<ul>", "<li>Data wpływu", "<title>Potwierdzenie wpływu"} {
		if !strings.Contains(got.html, want) {
			t.Errorf("the HTML lacks %s:\n%s", want, got.html)
		}
	}
}

func routerFacts(r sekretariat.Reading) router.Facts { return router.Facts{Reading: r} }
