package configs

import (
	"fmt"
	"strings"
	"time"

	"sekretariat"
)

// What a mailbox of e-Doręczenia does with a taken message.
const (
	AfterKeep   = "keep"
	AfterMove   = "move"
	AfterDelete = "delete"
)

// What becomes of proofs and returns of letters that were sent (rule P11).
const (
	ProofsRegister = "register"
	ProofsPark     = "park"
)

func (e *EDelivery) setDefaults() {
	setDefault(&e.Poll, 2*time.Minute)
	setDefault(&e.Window, 48*time.Hour)
	setDefault(&e.Full, "02:30")
	setDefault(&e.After, AfterKeep)
	setDefault(&e.SentDays, 60)
	for _, v := range []**bool{&e.LoginHint, &e.Archive, &e.Sent} {
		if *v == nil {
			yes := true
			*v = &yes
		}
	}
	if e.ClientID == "" && e.Address != "" && e.System != "" {
		e.ClientID = e.Address + ".SYSTEM." + e.System
	}
	if realm, _, ok := strings.Cut(e.TokenURL, "/protocol/"); ok {
		setDefault(&e.Audience, realm)
	}
}

// needEDelivery turns a mailbox off that lacks what it needs, and warns of an
// address that looks mistyped.
func (c *Centre) needEDelivery(e *EDelivery) {
	c.need(&e.Account, "skrzynka e-Doręczeń", missing{
		{"adres do doręczeń elektronicznych (address)", e.Address == ""}, {"nazwa systemu zewnętrznego (system)", e.System == "" && e.ClientID == ""},
		{"adres usługi UA API (url)", e.URL == ""}, {"adres usługi tokenów (token_url)", e.TokenURL == ""},
		{"odbiorca tokenu (audience)", e.Audience == "" && e.TokenURL != ""},
		{"certyfikat systemu (cert)", e.Cert == ""}, {"klucz certyfikatu (key)", e.Key.IsZero()},
	})
	if sekretariat.ValidADE(e.Address) && !sekretariat.CheckedADE(e.Address) {
		c.Warnings = append(c.Warnings, fmt.Sprintf("Skrzynka e-Doręczeń „%s”: cyfry kontrolne adresu %s się nie zgadzają – sprawdź, czy nie ma w nim literówki.", e.ID, e.Address))
	}
}

func (d *document) checkEDelivery(at path, e EDelivery) {
	if e.Address != "" && !sekretariat.ValidADE(e.Address) {
		d.wrong(at.with("address"), "%q is no address of e-Doręczenia: write AE:PL-12345-12345-ABCDE-12", e.Address)
	}
	for key, v := range map[string]string{"url": e.URL, "token_url": e.TokenURL, "callback": e.Callback} {
		if v != "" {
			d.webURL(at.with(key), v)
		}
	}
	d.secret(at.with("key"), e.Key)
	d.secret(at.with("callback_secret"), e.CallbackSecret)
	if e.Callback != "" && e.CallbackSecret.IsZero() {
		d.wrong(at.with("callback"), "a webhook needs \"callback_secret\": the calls carry no signature")
	}
	d.atLeast(at.with("poll"), e.Poll, time.Second)
	d.atLeast(at.with("window"), e.Window, time.Hour)
	if _, err := time.Parse("15:04", e.Full); err != nil {
		d.wrong(at.with("full"), "%q is no time of day: write 02:30", e.Full)
	}
	d.date(at.with("since"), e.Since)
	if e.SentDays < 1 || e.SentDays > 400 {
		d.wrong(at.with("sent_days"), "%d days are not possible: use 1 to 400", e.SentDays)
	}
	d.checkEDeliveryAfter(at, e)
}

// neverDone are folders that cannot hold taken messages.
var neverDone = map[string]bool{"INBOX": true, "OUTBOX": true, "SENT": true, "TRASH": true, "DRAFTS": true}

func (d *document) checkEDeliveryAfter(at path, e EDelivery) {
	d.oneOf(at.with("after"), e.After, AfterKeep, AfterMove, AfterDelete)
	if e.After != AfterMove && e.After != AfterDelete {
		return
	}
	switch {
	case e.After == AfterMove && e.Done == "":
		d.wrong(at.with("after"), "\"move\" needs \"done\": the label of a folder of the mailbox")
	case neverDone[e.Done]:
		d.wrong(at.with("done"), "%s cannot hold taken messages: make a folder of your own in the mailbox", e.Done)
	}
	if !strings.HasPrefix(e.MovePath, "/") {
		d.wrong(at.with("after"), "%q needs \"move_path\": the JSON pointer of a message's folder, beginning with \"/\"; ask the provider of the mailbox", e.After)
	}
}
