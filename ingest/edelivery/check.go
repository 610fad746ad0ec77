package edelivery

import (
	"context"
	"fmt"
	"strings"
	"time"

	"sekretariat/configs"
	"sekretariat/ingest"
)

// What is looked at, in order.
const (
	whatCertificate = "certyfikat systemu"
	whatToken       = "logowanie (usługa tokenów)"
	whatRights      = "uprawnienia systemu"
	whatMailbox     = "skrzynka (UA API)"
	whatCapacity    = "pojemność skrzynki"
	whatFolder      = "folder na pobrane wiadomości"
	whatSent        = "folder wysłanych"
	whatClock       = "zegar"
)

// Check fulfils ingest.Checkable. It logs in, lists one message without
// opening it and looks at the folders; nothing is taken, opened or moved.
// Logging in as such makes the provider move waiting messages into the mailbox
// and issue the proof of receipt, as every login does: that is said too.
func (c *Channel) Check(ctx context.Context) []ingest.Check {
	out := []ingest.Check{c.checkCertificate()}
	if out[0].Verdict == ingest.CheckBad {
		return out
	}
	if _, err := c.tokens.get(ctx); err != nil {
		return append(out, ingest.Check{What: whatToken, Verdict: ingest.CheckBad, Text: c.explainToken(err)})
	}
	out = append(out, ingest.Check{What: whatToken, Verdict: ingest.CheckGood, Text: "Zalogowano jako " + c.o.Account.ClientID + "."}, c.checkRights())
	mailbox, ok := c.checkMailbox(ctx)
	out = append(out, mailbox)
	if ok {
		out = append(out, c.checkFolder(ctx), c.checkSent(ctx), c.checkCapacity(ctx))
	}
	return append(out, c.checkClock())
}

func (c *Channel) checkCertificate() ingest.Check {
	k := ingest.Check{What: whatCertificate, Verdict: ingest.CheckBad}
	pair, err := c.keys()
	if err != nil {
		k.Text = fmt.Sprintf("Nie można użyć certyfikatu systemu albo jego klucza. Sprawdź pliki podane w cert i key (PEM, klucz należący do certyfikatu). Szczegóły: %v", err)
		return k
	}
	end, now := pair.Leaf.NotAfter, c.o.Clock()
	switch {
	case now.After(end):
		k.Text = "Stracił ważność " + ingest.PolishDay(end) + ". Dodaj nowy w uprawnieniach skrzynki (systemy zewnętrzne) i w programie."
	case now.Before(pair.Leaf.NotBefore):
		k.Text = "Będzie ważny dopiero od " + ingest.PolishDay(pair.Leaf.NotBefore) + ". Sprawdź też zegar komputera."
	case ingest.NewExpiry("certificate", pair.Leaf.NotBefore, end, now).Stage > 0:
		k.Verdict, k.Text = ingest.CheckDoubt, "Straci ważność "+ingest.PolishDay(end)+". Przygotuj nowy."
	default:
		k.Verdict, k.Text = ingest.CheckGood, "Ważny do "+ingest.PolishDay(end)+"."
	}
	return k
}

// explainToken says what to look at when the login fails.
func (c *Channel) explainToken(err error) string {
	text := ""
	switch codeOf(err) {
	case codeConnect:
		text = "Nie ma połączenia z " + c.o.Account.TokenURL + ". Sprawdź adres (token_url), zaporę, serwer pośredniczący (HTTPS_PROXY) i certyfikat serwera (ca)."
	case codeMoved:
		text = "Usługa tokenów odsyła pod inny adres. Zapytaj operatora skrzynki o aktualny token_url."
	case codeLogin:
		text = "Operator odrzucił logowanie. Sprawdź nazwę systemu (system), certyfikat dodany w uprawnieniach skrzynki, odbiorcę tokenu (audience) i zegar komputera; niektórzy operatorzy chcą mtls: true albo send_client_id: true."
	case codeCertificate:
		text = "Nie można użyć certyfikatu systemu albo jego klucza."
	default:
		text = "Usługa tokenów odpowiedziała niezrozumiale. Sprawdź adres (token_url); może też trwać przerwa techniczna."
	}
	return fmt.Sprintf("%s Szczegóły: %v", text, err)
}

func (c *Channel) checkRights() ingest.Check {
	var scopes []string
	c.status.change(func() { scopes = c.status.scopes })
	k := ingest.Check{What: whatRights, Verdict: ingest.CheckGood, Text: "Prawa w skrzynce: " + strings.Join(scopes, ", ") + "."}
	switch {
	case scopes == nil:
		k.Verdict, k.Text = ingest.CheckSkipped, "Token nie mówi, jakie prawa ma system."
	case !contains(scopes, "read_messages"):
		k.Verdict, k.Text = ingest.CheckBad, "Brak prawa read_messages. Administrator skrzynki musi je nadać systemowi zewnętrznemu."
	case c.o.Account.After != configs.AfterKeep && !contains(scopes, "write_messages"):
		k.Verdict, k.Text = ingest.CheckDoubt, "Brak prawa write_messages: wiadomości będą pobierane, ale nie przeniesione ani usunięte (after)."
	case c.o.Account.Callback != "" && !contains(scopes, "write_settings"):
		k.Verdict, k.Text = ingest.CheckDoubt, "Brak prawa write_settings: powiadomienia (callback) nie zadziałają; skrzynka będzie sprawdzana co "+c.o.Account.Poll.String()+"."
	}
	return k
}

func (c *Channel) checkMailbox(ctx context.Context) (ingest.Check, bool) {
	k := ingest.Check{What: whatMailbox, Verdict: ingest.CheckBad}
	p, err := c.list(ctx, folderInbox, 0, time.Time{})
	if err != nil {
		switch codeOf(err) {
		case codeConnect:
			k.Text = "Nie ma połączenia z " + c.o.Account.URL + ". Sprawdź adres (url), zaporę i serwer pośredniczący."
		case codeLogin, codeRefused:
			k.Text = "Operator odmówił dostępu do skrzynki " + c.o.Account.Address + ". Sprawdź adres skrzynki (address) i role systemu zewnętrznego."
		case codeMoved:
			k.Text = "Usługa odsyła pod inny adres. Zapytaj operatora skrzynki o aktualny adres UA API (url)."
		default:
			k.Text = "Operator odpowiedział niezrozumiale. Sprawdź adres i wersję usługi (url, np. …/api/v3) oraz escape; może też trwać przerwa techniczna."
		}
		k.Text += fmt.Sprintf(" Szczegóły: %v", err)
		return k, false
	}
	n := len(p.Messages)
	if p.Total != nil {
		n = *p.Total
	}
	k.Verdict = ingest.CheckGood
	k.Text = fmt.Sprintf("Połączenie działa. W folderze odebranych jest wiadomości: %d, w drodze do skrzynki: %d. Niczego nie pobrano ani nie otwarto. Każde zalogowanie systemu przenosi oczekujące wiadomości do skrzynki i wystawia dowód ich otrzymania.", n, p.ElectronicCount)
	if c.o.Account.Since == "" && n > 0 {
		k.Verdict = ingest.CheckDoubt
		k.Text += " Po włączeniu kanału wszystkie zostaną zarejestrowane; jeżeli starsze są już w rejestrze, ustaw since."
	}
	return k, true
}

func (c *Channel) checkFolder(ctx context.Context) ingest.Check {
	k := ingest.Check{What: whatFolder, Verdict: ingest.CheckGood, Text: "Wiadomości zostają tam, gdzie są."}
	if c.o.Account.After == configs.AfterDelete {
		k.Verdict, k.Text = ingest.CheckDoubt, "Wiadomości po przyjęciu będą usuwane ze skrzynki razem z dowodami (after: delete)."
	}
	list, err := c.folders(ctx)
	switch {
	case err != nil:
		k.Verdict, k.Text = ingest.CheckDoubt, fmt.Sprintf("Nie można odczytać listy folderów. Szczegóły: %v", err)
	case c.o.Account.After == configs.AfterMove && !contains(list, c.o.Account.Done):
		k.Verdict, k.Text = ingest.CheckBad, "W skrzynce nie ma folderu o etykiecie „"+c.o.Account.Done+"”. Są: "+strings.Join(list, ", ")+"."
	case c.o.Account.After == configs.AfterMove:
		k.Text = "Folder „" + c.o.Account.Done + "” jest w skrzynce."
	}
	return k
}

func (c *Channel) checkSent(ctx context.Context) ingest.Check {
	k := ingest.Check{What: whatSent, Verdict: ingest.CheckGood}
	if !on(c.o.Account.Sent) {
		k.Verdict, k.Text = ingest.CheckSkipped, "Wyłączone (sent: false): dowody do wysłanych pism nie będą łączone ze sprawami."
		return k
	}
	p, err := c.list(ctx, folderSent, 0, c.o.Clock().AddDate(0, 0, -c.o.Account.SentDays))
	if err != nil {
		k.Verdict, k.Text = ingest.CheckDoubt, fmt.Sprintf("Nie można odczytać folderu wysłanych. Szczegóły: %v", err)
		return k
	}
	n := len(p.Messages)
	if p.Total != nil {
		n = *p.Total
	}
	k.Text = fmt.Sprintf("Wysłane w ostatnich %d dniach: %d. Czytane są tylko metadane.", c.o.Account.SentDays, n)
	return k
}

func (c *Channel) checkCapacity(ctx context.Context) ingest.Check {
	k := ingest.Check{What: whatCapacity, Verdict: ingest.CheckSkipped}
	total, used, err := c.settings(ctx)
	switch {
	case err != nil:
		k.Text = fmt.Sprintf("Nie wiadomo (potrzebne prawo read_settings). Szczegóły: %v", err)
	case total <= 0:
		k.Text = "Operator jej nie podaje."
	default:
		k.Verdict, k.Text = ingest.CheckGood, fmt.Sprintf("Zajęte %.0f z %.0f MB.", used, total)
		if used/total >= nearlyFull {
			k.Verdict, k.Text = ingest.CheckDoubt, k.Text+" Skrzynka jest prawie pełna; program niczego w niej nie usuwa."
		}
	}
	return k
}

func (c *Channel) checkClock() ingest.Check {
	k := ingest.Check{What: whatClock, Verdict: ingest.CheckGood, Text: "Zgodny z zegarem operatora."}
	if d := c.skew(); d != 0 {
		k.Verdict = ingest.CheckDoubt
		k.Text = fmt.Sprintf("Różni się od zegara operatora o %s. Program to wyrównuje, ale ustaw zegar komputera.", d.Abs().Round(time.Second))
	}
	return k
}
