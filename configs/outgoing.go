package configs

import (
	"time"

	"sekretariat"
)

// SpamHeader is a header field of the office's own spam filter. Of a repeated
// field the topmost counts. Exactly one of Contains and AtLeast is given.
type SpamHeader struct {
	Name     string   `yaml:"name"`     // X-Spam-Flag, X-Spam-Status, X-Rspamd-Score, X-Spam-Level
	Contains string   `yaml:"contains"` // the value begins with or has this word: YES
	AtLeast  *float64 `yaml:"at_least"` // the first number in the value, or the count of stars, is at least this
}

// Parking says which mail is set aside before it gets a number (rules P8, P9).
// Whatever is parked is listed for a clerk, who can release it with its first
// arrival; what is urgent, closed or in doubt is never parked.
type Parking struct {
	Off   []string        `yaml:"off"`            // kinds of junk that are registered all the same: auto-reply, bounce, receipt, list, own-notice, spam
	Keep  []string        `yaml:"keep"`           // sender addresses or @domains whose mail is never parked as junk
	Rules []NotRegistered `yaml:"not_registered"` // mail that is not subject to registration
	// HoldUntil is the hour at which mail that a rule holds "do oceny" registers
	// itself, "14:00".
	HoldUntil string `yaml:"hold_until"`
}

// NotRegistered is a rule of the centre for mail that is not subject to
// registration. All given conditions must hold; within one any term is enough.
type NotRegistered struct {
	ID       string   `yaml:"id"`       // slug
	Category string   `yaml:"category"` // robocze, wewnetrzne or informacyjne
	Accounts []string `yaml:"accounts"` // ids of mailboxes
	From     []string `yaml:"from"`     // sender addresses or @domains
	Subject  []string `yaml:"subject"`  // phrases in the subject
	// Department gets such mail into its queue without a number.
	Department sekretariat.DepartmentID `yaml:"department"`
	Hold       bool                     `yaml:"hold"` // only hold it "do oceny" until hold_until; then it registers itself
}

// Acknowledgement is the answer to mail that says what was received when and
// under which number, and how to lodge validly (art. 63 § 1 KPA). It is never
// sent where it could betray a person (rule P6) or answer a machine (RFC 3834).
type Acknowledgement struct {
	On        bool          `yaml:"on"`         // send acknowledgements
	From      string        `yaml:"from"`       // sender; default: address of the mailbox that got the mail
	SMTP      SMTP          `yaml:"smtp"`       // the relay
	Accounts  []string      `yaml:"accounts"`   // ids of mailboxes whose mail is answered; default all
	Delay     time.Duration `yaml:"delay"`      // wait after the decision, so that people can correct it; default 5m
	PerSender int           `yaml:"per_sender"` // at most so many a day to one sender; default 1
	PerDay    int           `yaml:"per_day"`    // at most so many a day; default 300
	Not       []string      `yaml:"not"`        // further phrases in letters that are never answered
	NotLabels []string      `yaml:"not_labels"` // further labels of letters that are never answered, beside przemoc and asysta-rodzinna
	// Unread answers letters with attachments that could not be read, too: what
	// they say is then not known to be harmless.
	Unread    bool          `yaml:"unread_attachments"`
	EDelivery string        `yaml:"edelivery"` // address for e-Doręczenia, for the text; default that of the first mailbox of e-Doręczenia
	Templates []AckTemplate `yaml:"templates"` // texts by label; one without label replaces the shipped one
}

// AckTemplate is the text of an acknowledgement. Subject and Text are Go
// templates with the fields Centre, Address, Phone, Number, Day, Department
// (only of public departments), ADE, EPUAP, Valid (how to lodge validly is to
// be said) and nothing of the letter; HTML is optional, without it the shipped
// layout shows the text.
type AckTemplate struct {
	Label   string `yaml:"label"`   // label of the letters; used only when their department is public
	Subject string `yaml:"subject"` // one line
	Text    string `yaml:"text"`    // plain text
	HTML    string `yaml:"html"`    // the same as HTML
}

// SMTP is the relay that takes outgoing mail.
type SMTP struct {
	Server   string `yaml:"server"`   // host:port
	TLS      string `yaml:"tls"`      // starttls (default), implicit, or none (this machine only)
	CA       string `yaml:"ca"`       // file of an extra CA
	User     string `yaml:"user"`     // login name; without it no login
	Password Secret `yaml:"password"` // read anew at each login
	Hello    string `yaml:"hello"`    // name in EHLO; default the domain of the sender
}
