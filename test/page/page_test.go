// Package page proves the desk in a real browser and over plain HTTP: the
// clerk's day by keyboard alone, the same without JavaScript, and that nothing
// of a letter runs or leaks.
package page

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"sekretariat/test/world"
)

const password = "dlugie-haslo-próbne"

// office is a running installation with accounts.
type office struct {
	*world.World
	s *world.Service
}

func open(t *testing.T) office {
	t.Helper()
	w := world.New(t, nil)
	s := w.Start(t)
	w.WaitReady(t, s)
	o := office{w, s}
	o.person(t, "sekretarka", "Anna Próbna", "--role", "sekretariat")
	o.person(t, "przemoc", "Ewa Działowa", "--role", "dzial", "--department", "przemoc")
	o.person(t, "bezdomnosc", "Jan Działowy", "--role", "dzial", "--department", "bezdomnosc")
	o.person(t, "admin", "Adam Techniczny", "--role", "administrator")
	return o
}

func (o office) person(t *testing.T, login, name string, args ...string) {
	t.Helper()
	all := append([]string{"user", "add", login, "--config", o.Config, "--name", name}, args...)
	if out, errs, code := o.RunInput(password+"\n", all...); code != 0 {
		t.Fatalf("user add %s: exit %d\n%s%s", login, code, out, errs)
	}
}

// mail delivers a mail and waits until it is in a queue.
func (o office) mail(t *testing.T, id, subject, text string) string {
	t.Helper()
	raw := fmt.Sprintf("Received: from a by b\r\nFrom: =?utf-8?q?J=C3=B3zef_Pr=C3=B3bny?= <jozef@poczta.example>\r\nTo: sekretariat@ops.example\r\nSubject: %s\r\n"+
		"Message-ID: <%s@poczta.example>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n%s\r\n", subject, id, text)
	before := len(o.Export(t))
	if err := o.Dovecot.Deliver(world.Mailbox, "INBOX", []byte(raw), time.Now()); err != nil {
		t.Fatal(err)
	}
	var letter string
	world.WaitUntil(t, time.Minute, "the mail to be in a queue", func() bool {
		lines := o.Export(t)
		if len(lines) <= before || lines[len(lines)-1].Queued == "" {
			return false
		}
		letter = lines[len(lines)-1].Letter
		return true
	})
	return letter
}

// undecided is a text that no rule knows.
const undecided = "Dzień dobry, w załączeniu przesyłam to, o czym mówiliśmy."

// browser is a tab of a real browser.
func browser(t *testing.T) context.Context {
	t.Helper()
	exe := ""
	for _, name := range []string{"/usr/bin/chromium", "/usr/bin/google-chrome"} {
		if _, err := os.Stat(name); err == nil {
			exe = name
		}
	}
	if exe == "" {
		t.Skip("no browser: install the Debian package chromium")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(exe), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-quic", true),
		chromedp.WindowSize(1280, 900))
	alloc, cancel := chromedp.NewExecAllocator(context.Background(), opts...)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 3*time.Minute)
	t.Cleanup(cancel)
	err := chromedp.Listen(ctx, func(e any) {
		if e, ok := e.(*runtime.EventExceptionThrown); ok {
			t.Errorf("a script of the page failed: %s", e.ExceptionDetails.Text)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return ctx
}

func run(t *testing.T, ctx context.Context, what string, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, actions...); err != nil {
		text, _ := chromedp.Run(ctx, chromedp.Text(chromedp.CSS("body")))
		t.Fatalf("%s: %v\nthe page says:\n%s", what, err, text)
	}
}

// shot keeps a picture of the page where SEKRETARIAT_SCREENSHOTS says.
func shot(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	dir := os.Getenv("SEKRETARIAT_SCREENSHOTS")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (o office) signIn(t *testing.T, ctx context.Context, login string) {
	t.Helper()
	run(t, ctx, "sign in", chromedp.Navigate("http://"+o.Desk+"/logowanie"), chromedp.WaitVisible(chromedp.CSS("#haslo")),
		chromedp.SendKeys(chromedp.CSS("#login"), login), chromedp.SendKeys(chromedp.CSS("#haslo"), password+kb.Enter),
		chromedp.WaitVisible(chromedp.CSS("nav")))
}

// TestClerksDayByKeyboard goes from an arriving letter to its end without the
// mouse: it appears by itself, is opened, sent on, called back, sent again, and
// the department takes and closes it.
func TestClerksDayByKeyboard(t *testing.T) {
	o := open(t)
	clerk := browser(t)
	run(t, clerk, "sign-in page", chromedp.Navigate("http://"+o.Desk+"/"), chromedp.WaitVisible(chromedp.CSS("#haslo")))
	shot(t, clerk, "logowanie")
	o.signIn(t, clerk, "sekretarka")
	run(t, clerk, "empty inbox", chromedp.WaitVisible(`//p[contains(., "Nic nie czeka na decyzję")]`))

	letter := o.mail(t, "dzien-1", "Dokumenty", undecided)
	link := fmt.Sprintf(`#decyzje a[href="/pismo/%s"]`, letter)
	run(t, clerk, "the letter appears by itself", chromedp.WaitVisible(chromedp.CSS(link)))
	shot(t, clerk, "sekretariat")

	run(t, clerk, "open by keys", chromedp.KeyEvent("j"), chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(chromedp.CSS(".dzialy")))
	shot(t, clerk, "pismo")
	choice, err := chromedp.Run(clerk, chromedp.AttributeValue(chromedp.CSS(`button[value="przemoc"]`), "data-klawisz"))
	if err != nil || choice.Value == "" {
		t.Fatalf("no key for a department: %v", err)
	}
	key := choice.Value
	run(t, clerk, "decide by one key", chromedp.KeyEvent(key), chromedp.WaitVisible(chromedp.CSS(".cofnij")))
	shot(t, clerk, "cofnij")
	run(t, clerk, "undo", chromedp.KeyEvent("z"), chromedp.WaitVisible(chromedp.CSS(".dzialy")))
	if got := o.owner(t, letter); got != "sekretariat" {
		t.Fatalf("after undo the letter is with %s", got)
	}
	run(t, clerk, "decide again", chromedp.KeyEvent(key), chromedp.WaitVisible(chromedp.CSS(".cofnij")))
	world.WaitUntil(t, 30*time.Second, "the decision to take effect", func() bool { return o.owner(t, letter) == "przemoc" })
	run(t, clerk, "it is gone from the inbox by itself", chromedp.WaitNotPresent(chromedp.CSS(link)))

	team := browser(t)
	o.signIn(t, team, "przemoc")
	run(t, team, "the department's queue", chromedp.WaitVisible(chromedp.CSS("#kolejka")))
	shot(t, team, "dzial")
	run(t, team, "take by keys", chromedp.KeyEvent("j"), chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(chromedp.CSS(`button[data-klawisz="p"]`)),
		chromedp.KeyEvent("p"), chromedp.WaitVisible(`//td[contains(., "przyjęte")]`))
	run(t, team, "done", chromedp.KeyEvent("j"), chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(chromedp.CSS(`form[action$="/zalatw"] button`)),
		chromedp.Focus(chromedp.CSS(`form[action$="/zalatw"] button`)), chromedp.KeyEvent(kb.Enter),
		chromedp.WaitVisible(`//p[contains(., "Kolejka jest pusta")]`))

	run(t, clerk, "register", chromedp.Navigate("http://"+o.Desk+"/rejestr"), chromedp.WaitVisible(chromedp.CSS(".zastrzezone, td")))
	shot(t, clerk, "rejestr")
	run(t, clerk, "state", chromedp.Navigate("http://"+o.Desk+"/stan"), chromedp.WaitVisible(chromedp.CSS(".dobrze")))
	shot(t, clerk, "stan")
	run(t, clerk, "narrow", chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile), chromedp.Navigate("http://"+o.Desk+"/"), chromedp.WaitVisible(chromedp.CSS("h1")))
	if wide, err := chromedp.Run(clerk, chromedp.Evaluate[bool](`document.documentElement.scrollWidth > innerWidth`)); err != nil || wide {
		t.Errorf("the page is wider than a telephone (%v)", err)
	}
	shot(t, clerk, "telefon")
}

func (o office) owner(t *testing.T, letter string) string {
	t.Helper()
	for _, l := range o.Export(t) {
		if l.Letter == letter {
			return l.Department
		}
	}
	t.Fatalf("letter %s is not in the register", letter)
	return ""
}

// client is a browser without JavaScript.
type client struct {
	*http.Client
	base string
}

func (o office) client(t *testing.T, login string) client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := client{&http.Client{Jar: jar, Timeout: time.Minute}, "http://" + o.Desk}
	if status, body := c.post(t, "/logowanie", url.Values{"login": {login}, "haslo": {password}}); status != http.StatusOK || strings.Contains(body, "Niepoprawny") {
		t.Fatalf("sign in as %s: %d\n%s", login, status, body)
	}
	return c
}

func (c client) get(t *testing.T, path string) (int, string) {
	t.Helper()
	r, err := c.Get(c.base + path)
	return read(t, r, err)
}

func (c client) post(t *testing.T, path string, v url.Values) (int, string) {
	t.Helper()
	r, err := c.PostForm(c.base+path, v)
	return read(t, r, err)
}

func read(t *testing.T, r *http.Response, err error) (int, string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(body)
}

// TestWithoutJavaScript goes the main ways by plain forms, and looks from the
// outside at who sees what.
func TestWithoutJavaScript(t *testing.T) {
	o := open(t)
	clerk, team, other, admin := o.client(t, "sekretarka"), o.client(t, "przemoc"), o.client(t, "bezdomnosc"), o.client(t, "admin")
	hostile := `<script>document.title='zle'</script>"><img src=x onerror=alert(1)>`
	letter := o.mail(t, "bez-js", "Dokumenty "+hostile, undecided+" "+hostile)
	page := "/pismo/" + letter

	status, body := clerk.get(t, page)
	if status != http.StatusOK || strings.Contains(body, "<script>document") || strings.Contains(body, "<img") || !strings.Contains(body, "&lt;script&gt;") {
		t.Errorf("a hostile letter: %d; markup of the letter is in the page:\n%s", status, body)
	}
	for name, c := range map[string]client{"another department": other, "the team before": team, "the administrator": admin} {
		if status, body := c.get(t, page); status != http.StatusNotFound || strings.Contains(body, "Dokumenty") {
			t.Errorf("%s gets %d for a letter of the sekretariat:\n%s", name, status, body)
		}
		if status, _ := c.get(t, "/api/v1/letters/"+letter+"/original"); status != http.StatusNotFound {
			t.Errorf("%s gets %d for the original", name, status)
		}
		if status, _ := c.post(t, page+"/przekaz", url.Values{"rewizja": {"1"}, "dzial": {"bezdomnosc"}, "kiedy": {"teraz"}}); status != http.StatusNotFound {
			t.Errorf("%s gets %d for sending the letter on", name, status)
		}
	}
	_, missing := other.get(t, "/pismo/"+strings.Repeat("0", 64)+".1")
	if _, foreign := other.get(t, page); foreign != missing {
		t.Error("a foreign letter and a missing one answer differently")
	}
	if status, _ := other.get(t, "/dzial/przemoc"); status != http.StatusNotFound {
		t.Errorf("another department's queue: %d", status)
	}

	if status, body := clerk.post(t, page+"/przekaz", url.Values{"rewizja": {"1"}, "dzial": {"przemoc"}, "powod": {"Prośba zespołu"}, "kiedy": {"teraz"}}); status != http.StatusOK {
		t.Fatalf("send on: %d\n%s", status, body)
	}
	if status, _ := clerk.post(t, page+"/przekaz", url.Values{"rewizja": {"1"}, "dzial": {"bezdomnosc"}, "kiedy": {"teraz"}}); status != http.StatusConflict && status != http.StatusNotFound {
		t.Errorf("a second clerk decides on what they saw before: %d", status)
	}
	if status, body := team.get(t, page); status != http.StatusOK || !strings.Contains(body, "Prośba zespołu") || !strings.Contains(body, "Anna Próbna") {
		t.Errorf("the team sees %d, reason and name of the clerk are missing:\n%s", status, body)
	}
	if status, _ := team.get(t, "/api/v1/letters/"+letter+"/original"); status != http.StatusOK {
		t.Errorf("the team gets %d for the original", status)
	}
	if status, body := team.post(t, page+"/zwroc", url.Values{"rewizja": {"2"}, "powod": {""}}); status != http.StatusBadRequest {
		t.Errorf("handing back without a reason: %d\n%s", status, body)
	}
	if status, body := team.post(t, page+"/zwroc", url.Values{"rewizja": {"2"}, "powod": {"Nie nasza sprawa"}}); status != http.StatusOK {
		t.Errorf("hand back: %d\n%s", status, body)
	}
	if status, _ := team.get(t, page); status != http.StatusNotFound {
		t.Errorf("after handing back the team still gets %d", status)
	}
	if status, body := clerk.get(t, "/szukaj?q=1"); status != http.StatusOK || !strings.Contains(body, "Dokumenty") {
		t.Errorf("search by number: %d\n%s", status, body)
	}
	o.parked(t, clerk, other)
	o.noted(t, clerk, admin)
	world.WaitUntil(t, time.Minute, "the letter to be found by its words", func() bool {
		_, body := clerk.get(t, "/szukaj?q="+url.QueryEscape("dokumentami próbnego"))
		return strings.Contains(body, "Dokumenty")
	})
	if _, body := other.get(t, "/szukaj?q=dokumentami"); strings.Contains(body, "/pismo/") {
		t.Errorf("another department finds the letter by its words:\n%s", body)
	}
	o.Verify(t)
}

// parked sends an automatic answer, which is set aside, and makes it a letter.
func (o office) parked(t *testing.T, clerk, other client) {
	t.Helper()
	raw := "Received: from a by b\r\nFrom: urlop@poczta.example\r\nTo: sekretariat@ops.example\r\nSubject: Re: nieobecny\r\nAuto-Submitted: auto-replied\r\n" +
		"Message-ID: <auto@poczta.example>\r\n\r\nJestem na urlopie.\r\n"
	if err := o.Dovecot.Deliver(world.Mailbox, "INBOX", []byte(raw), time.Now()); err != nil {
		t.Fatal(err)
	}
	var page string
	world.WaitUntil(t, time.Minute, "the automatic answer to be set aside", func() bool {
		_, body := clerk.get(t, "/")
		_, rest, _ := strings.Cut(body, `id="odlozone"`)
		if !strings.Contains(rest, "automatyczna odpowiedź") {
			return false
		}
		_, rest, _ = strings.Cut(rest, `href="`)
		page, _, _ = strings.Cut(rest, `"`)
		return true
	})
	if status, body := clerk.get(t, page); status != http.StatusOK || !strings.Contains(body, "To jest pismo") || !strings.Contains(body, "Jestem na urlopie.") {
		t.Fatalf("%s: %d\n%s", page, status, body)
	}
	if status, _ := other.post(t, page+"/rejestruj", nil); status != http.StatusNotFound {
		t.Errorf("another department releases what is set aside: %d", status)
	}
	if status, body := clerk.post(t, page+"/nie-pismo", nil); status != http.StatusOK {
		t.Errorf("confirm that it is none: %d\n%s", status, body)
	}
	if _, body := clerk.get(t, page); !strings.Contains(body, "Potwierdzono, że to nie jest pismo") {
		t.Errorf("the confirmation does not show:\n%s", body)
	}
	before := len(o.Export(t))
	if status, body := clerk.post(t, page+"/rejestruj", nil); status != http.StatusOK {
		t.Errorf("to jest pismo: %d\n%s", status, body)
	}
	world.WaitUntil(t, time.Minute, "it to get a number", func() bool { return len(o.Export(t)) == before+1 })
}

// noted writes a telephone note, sends the form twice, and sends it once more
// with other words.
func (o office) noted(t *testing.T, clerk, admin client) {
	t.Helper()
	if status, _ := admin.get(t, "/nowe/telefon"); status != http.StatusNotFound {
		t.Errorf("the administrator gets a form: %d", status)
	}
	_, body := clerk.get(t, "/nowe/telefon")
	_, rest, _ := strings.Cut(body, `name="formularz" value="`)
	form, _, _ := strings.Cut(rest, `"`)
	v := url.Values{"formularz": {form}, "kto": {"Zofia Dzwoniąca"}, "telefon": {"600 700 800"}, "temat": {"Pyta o termin"}, "dzien": {time.Now().Add(48 * time.Hour).Format(time.DateOnly)}}
	if status, body := clerk.post(t, "/nowe/telefon", v); status != http.StatusUnprocessableEntity || !strings.Contains(body, "Zofia Dzwoniąca") {
		t.Errorf("a day of receipt in the future: %d, or what was typed is lost:\n%s", status, body)
	}
	before := len(o.Export(t))
	v.Set("dzien", time.Now().Add(-72*time.Hour).Format(time.DateOnly))
	if status, body := clerk.post(t, "/nowe/telefon", v); status != http.StatusUnprocessableEntity || !strings.Contains(body, "podaj powód") {
		t.Errorf("an earlier day of receipt without a reason: %d\n%s", status, body)
	}
	v.Set("powod", "rozmowa z dyżuru w piątek")
	for range 2 {
		if status, body := clerk.post(t, "/nowe/telefon", v); status != http.StatusOK || !strings.Contains(body, "Pyta o termin") && !strings.Contains(body, "Zapisano") {
			t.Errorf("a telephone note: %d\n%s", status, body)
		}
	}
	world.WaitUntil(t, time.Minute, "the note to get a number", func() bool { return len(o.Export(t)) > before })
	if _, body := clerk.get(t, "/wsteczne"); !strings.Contains(body, "rozmowa z dyżuru w piątek") {
		t.Errorf("the list of earlier days does not name the reason:\n%s", body)
	}
	if status, _ := admin.get(t, "/wsteczne"); status == http.StatusOK {
		t.Error("the administrator reads people's reasons")
	}
	v.Set("temat", "Coś innego")
	if status, body := clerk.post(t, "/nowe/telefon", v); status != http.StatusUnprocessableEntity || !strings.Contains(body, "był już wysłany") {
		t.Errorf("the same form with other words: %d\n%s", status, body)
	}
	if got := len(o.Export(t)); got != before+1 {
		t.Errorf("a form that was sent three times made %d letters", got-before)
	}
	world.WaitUntil(t, time.Minute, "the note to be found by its number of telephone", func() bool {
		_, body := clerk.get(t, "/szukaj?q=600700800")
		return strings.Contains(body, "Pyta o termin") && strings.Contains(body, "wpisane ręcznie")
	})
}

// TestSessions proves the edges of signing in.
func TestSessions(t *testing.T) {
	o := open(t)
	c := o.client(t, "sekretarka")
	if status, _ := c.get(t, "/rejestr"); status != http.StatusOK {
		t.Fatalf("register: %d", status)
	}
	// Another site's form brings the cookie or not: the command is refused.
	req, err := http.NewRequest(http.MethodPost, c.base+"/wyloguj", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Origin", "https://zly.example")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	r, err := c.Do(req)
	if status, _ := read(t, r, err); status != http.StatusForbidden {
		t.Errorf("a command from another site: %d", status)
	}
	if _, errs, code := o.Run("user", "disable", "sekretarka", "--config", o.Config); code != 0 {
		t.Fatalf("disable: %s", errs)
	}
	if _, body := c.get(t, "/rejestr"); !strings.Contains(body, `name="haslo"`) {
		t.Error("a closed account still sees the register")
	}
	stranger := client{&http.Client{Timeout: time.Minute}, "http://" + o.Desk}
	wrong := url.Values{"login": {"admin"}, "haslo": {"niepoprawne-haslo"}}
	for i := range 6 {
		status, _ := stranger.post(t, "/logowanie", wrong)
		if want := map[bool]int{true: http.StatusForbidden, false: http.StatusTooManyRequests}[i < 5]; status != want {
			t.Errorf("attempt %d: %d, want %d", i+1, status, want)
		}
	}
	status, _ := stranger.post(t, "/logowanie", url.Values{"login": {"admin"}, "haslo": {password}})
	if status != http.StatusTooManyRequests {
		t.Errorf("the right password while the account waits: %d", status)
	}
	for _, path := range []string{"/", "/rejestr", "/rejestr.csv", "/stan", "/zywe", "/pismo/" + strings.Repeat("0", 64) + ".1", "/dzial/przemoc", "/szukaj?q=1"} {
		if _, body := stranger.get(t, path); !strings.Contains(body, `name="haslo"`) {
			t.Errorf("%s without signing in:\n%s", path, body)
		}
	}
	if status, _ := stranger.get(t, "/api/v1/letters/"+strings.Repeat("0", 64)+".1"); status != http.StatusUnauthorized {
		t.Errorf("API without signing in: %d", status)
	}
}
