// Package configs is the configuration: its types, strict loading with errors
// that show line and caret, and one profile per centre. An installation file
// names data folder, NATS, object store, listeners and its centres; a centre
// profile names channels, departments, series, rules. A value that the office
// has not given yet ("unknown") turns its channel off and says so; the service
// starts all the same.
package configs

import (
	"time"

	"sekretariat"
)

//go:generate go run ./gendoc -source configs.go,doors.go,outgoing.go,alarms.go -target ../docs/configuration.md

// Installation is one running sekretariat: one machine or one role of many.
type Installation struct {
	Data    string  `yaml:"data"`    // folder of everything local: staging, ledger, index; default data below the working directory
	NATS    NATS    `yaml:"nats"`    // the ledger; without it embedded
	Storage Storage `yaml:"storage"` // the object store; without it files in the data folder
	Listen  Listen  `yaml:"listen"`  // HTTP listeners
	// MailDoor lets a mail server hand mail over by LMTP or SMTP.
	MailDoor MailDoor `yaml:"mail_door"`
	Doors    Doors    `yaml:"doors"`  // doors of scanners: SFTP, WebDAV
	Limits   Limits   `yaml:"limits"` // bounds on what comes from outside
	Log      Log      `yaml:"log"`    // how the service logs
	Trust    Trust    `yaml:"trust"`  // whose signatures on letters count
	// Centres are paths of centre profiles, relative to this file.
	Centres []string `yaml:"centres"`

	// Profiles holds the loaded centres, in order.
	Profiles []*Centre `yaml:"-"`
	// Warnings are what is not known yet and what it turns off, and secret
	// files that others can read; in Polish, for log and page.
	Warnings []string `yaml:"-"`
}

// NATS says where JetStream is. With an empty URL the server is embedded.
type NATS struct {
	URL         string `yaml:"url"`         // tls://host:4222; empty = embedded
	Credentials string `yaml:"credentials"` // file of the service's user credentials
	CA          string `yaml:"ca"`          // file of an extra CA
	Replicas    int    `yaml:"replicas"`    // 1 embedded, else 1, 3 (default) or 5
	Port        int    `yaml:"port"`        // embedded: port on 127.0.0.1 for department systems; 0 = any free one, written to nats.url in the data folder
}

// Storage says where objects are.
type Storage struct {
	S3 *S3 `yaml:"s3"` // an S3-compatible store
}

// S3 is an S3-compatible object store.
type S3 struct {
	Endpoint  string `yaml:"endpoint"`   // host:port
	Region    string `yaml:"region"`     // default us-east-1
	Bucket    string `yaml:"bucket"`     // bucket of the objects
	KeyBucket string `yaml:"key_bucket"` // bucket of the wrapped keys; backed up apart
	PathStyle bool   `yaml:"path_style"` // bucket in the path instead of the host name
	Insecure  bool   `yaml:"insecure"`   // plain HTTP: only on one machine
	CA        string `yaml:"ca"`         // file of an extra CA
	AccessKey Secret `yaml:"access_key"` // access key id
	SecretKey Secret `yaml:"secret_key"` // secret access key
}

// Secret is read from a file or the environment, never written into the
// configuration. Exactly one of File and Env is set.
type Secret struct {
	File string `yaml:"file"` // relative to the configuration file; one line end after the secret is taken off
	Env  string `yaml:"env"`  // name of an environment variable
}

// Listen are the HTTP listeners, host:port. The word "off" turns one off; then
// the field is empty after loading.
type Listen struct {
	Desk     string `yaml:"desk"`     // page and API, default 127.0.0.1:8300
	Scanners string `yaml:"scanners"` // upload door of the boxes, default 127.0.0.1:8301
	// Callbacks takes calls of the platforms (ePUAP PUSH, e-Doręczenia); without
	// it there are none.
	Callbacks string `yaml:"callbacks"`
	// Health answers /healthz and /readyz and nothing else, in every role: for
	// container engines. The desk listener answers them too; without it there
	// is none.
	Health string `yaml:"health"`
}

// Limits bound whatever comes from outside. Sizes are octets.
type Limits struct {
	Delivery  int64         `yaml:"delivery"`   // hard limit of one delivery, default 2 GiB
	InFlight  int64         `yaml:"in_flight"`  // memory for deliveries on their way, default 64 MiB
	ReadTime  time.Duration `yaml:"read_time"`  // longest reading of one letter, default 60 s
	ReadParts int           `yaml:"read_parts"` // default 1000
}

// Log is how the service logs.
type Log struct {
	Level  string `yaml:"level"`  // debug, info (default), warn, error
	Pretty bool   `yaml:"pretty"` // for people; default JSON lines
}

// Trust says whose signatures on letters count. Without it every signature is
// shown as one that cannot be confirmed.
type Trust struct {
	Signers []TrustedSigner `yaml:"signers"` // certificates of signers and of authorities
	// Lists are trusted lists of EU countries (ETSI TS 119 612, XML): their
	// granted authorities for qualified certificates count. The file is
	// fetched and checked by the administrator.
	Lists []string `yaml:"lists"`
}

// TrustedSigner is one file of trusted certificates.
type TrustedSigner struct {
	File string `yaml:"file"` // PEM; of an authority: it issues such certificates; of anybody else: this very certificate
	// What they are trusted as: profil-zaufany (the signer of podpis zaufany),
	// qualified, personal (podpis osobisty) or platform (ePUAP: UPP, UPD).
	As   string `yaml:"as"`
	From string `yaml:"from"` // trusted from this day
	To   string `yaml:"to"`   // trusted until this day
	Note string `yaml:"note"` // where it comes from, who checked its digest
}

// Centre is the profile of one welfare centre.
type Centre struct {
	ID      sekretariat.CentreID `yaml:"id"`      // names the centre in keys and subjects for ever
	Name    string               `yaml:"name"`    // full name
	Town    string               `yaml:"town"`    // for letters and the page
	Address string               `yaml:"address"` // postal address
	Version int                  `yaml:"version"` // given by config apply

	Series      []Series      `yaml:"series"`       // number series; without any the main series rpw
	Units       []Unit        `yaml:"units"`        // tree of organisational units
	Departments []Department  `yaml:"departments"`  // queues; sekretariat must be among them
	Contacts    []Contact     `yaml:"contacts"`     // telephones and addresses of departments
	Hours       []Hours       `yaml:"hours"`        // working hours
	EmailPolicy []EmailPolicy `yaml:"email_policy"` // what applications by plain e-mail lead to
	Mailboxes   []Mailbox     `yaml:"mailboxes"`    // IMAP accounts
	EPUAP       []EPUAP       `yaml:"epuap"`        // skrytki of ePUAP
	EDelivery   []EDelivery   `yaml:"edelivery"`    // mailboxes of e-Doręczenia
	Boxes       []Box         `yaml:"boxes"`        // drop boxes
	Parking     Parking       `yaml:"parking"`      // mail that is set aside before it gets a number
	Labels      map[string]To `yaml:"labels"`       // router label → where it goes
	Authorities []Authority   `yaml:"authorities"`  // bodies that matters are passed on to
	Rules       []Rule        `yaml:"rules"`        // routing rules of the centre, beside the built-in sets
	RuleSets    []string      `yaml:"rule_sets"`    // built-in sets of rules; default [common], [] = none
	LegalEffect []LegalEffect `yaml:"legal_effect"` // which way of sending counts for what, before the built-in table
	// socket of ClamAV's clamd, unix:/path or host:port; off = parts are handed
	// out unscanned; default unix:/run/clamav/clamd.ctl, as Debian has it
	VirusScan string `yaml:"virus_scan"`
	// a false virus alarm is released by two people, not by one (rule P25)
	SecondLook bool `yaml:"second_look"`
	// the answer "potwierdzenie wpływu" to mail; off unless it has "on: true"
	Acknowledgement Acknowledgement `yaml:"acknowledgement"`

	Unknown []UnknownValue `yaml:"unknown"` // what the office has not given yet
	Proofs  string         `yaml:"proofs"`  // proofs and returns of letters that were sent: register (default; number and queue of the department of the case) or park (the same queue, without a number)
	Notes   string         `yaml:"notes"`   // free text for the people who run it
	Routing Routing        `yaml:"routing"` // what the learned model may do, and how sure it must be
	Alarms  Alarms         `yaml:"alarms"`  // who learns of a danger that nobody takes
	Streets []Street       `yaml:"streets"` // which unit serves which street: the second step of routing

	// Warnings are what is not known yet and what it turns off, in Polish.
	Warnings []string `yaml:"-"`
}

// UnknownValue documents a value that nobody knows yet.
type UnknownValue struct {
	Field string `yaml:"field"` // where, "mailboxes[0].address"
	Why   string `yaml:"why"`   // why it is not known, in Polish
}

// Series is one number series (rule P1).
type Series struct {
	ID     sekretariat.SeriesID `yaml:"id"`     // rpw is the main series
	Title  string               `yaml:"title"`  // title in Polish
	Format string               `yaml:"format"` // printed form, {n} and {year}; default RPW/{n}/{year}, in other series RPW/ID/{n}/{year}
	First  map[int]int          `yaml:"first"`  // first number by calendar year; default 1
	From   string               `yaml:"from"`   // in force from; letters before it go to the main series
	Units  []string             `yaml:"units"`  // units that feed it, with those below them
	// Internal: another system keeps the legal RPW; ours is a working number.
	Internal bool `yaml:"internal"`
}

// Unit is one node of the tree of organisational units.
type Unit struct {
	ID     string `yaml:"id"`     // slug
	Name   string `yaml:"name"`   // name in Polish
	Parent string `yaml:"parent"` // id of the unit above
}

// Department is one queue.
type Department struct {
	ID     sekretariat.DepartmentID `yaml:"id"`     // slug; names the queue for ever
	Name   string                   `yaml:"name"`   // name in Polish
	Unit   string                   `yaml:"unit"`   // unit that it belongs to
	Symbol []string                 `yaml:"symbol"` // prefixes of its case numbers, "DPŚ"
	Public bool                     `yaml:"public"` // may be named in acknowledgements to citizens (rule P6)
	Closed bool                     `yaml:"closed"` // its letters are closed to others
	From   string                   `yaml:"from"`   // first day; before it and after To its letters go to the sekretariat
	To     string                   `yaml:"to"`     // last day

	Suspended []Suspension `yaml:"suspended"` // times when a substitute takes its letters
}

// Suspension closes a department for a while; its letters go to Substitute.
type Suspension struct {
	From       string                   `yaml:"from"`       // first day
	To         string                   `yaml:"to"`         // last day; without it until revoked
	Substitute sekretariat.DepartmentID `yaml:"substitute"` // department that takes the letters meanwhile
	Why        string                   `yaml:"why"`        // reason in Polish, for the page
}

// Contact is one phone, address or e-mail of one or more departments: a number
// is not a key.
type Contact struct {
	Phone       string                     `yaml:"phone"`       // digits and blanks
	Email       string                     `yaml:"email"`       // e-mail address
	Departments []sekretariat.DepartmentID `yaml:"departments"` // departments that answer there
	From        string                     `yaml:"from"`        // valid from
	To          string                     `yaml:"to"`          // valid until; an ended contact is not shown
	Note        string                     `yaml:"note"`        // for the clerk
}

// Hours are working periods with validity.
type Hours struct {
	Days    string   `yaml:"days"`    // mon-fri, sat or mon,wed,fri
	Periods []string `yaml:"periods"` // "07:00-13:00", several a day
	From    string   `yaml:"from"`    // valid from
	To      string   `yaml:"to"`      // valid until
	Note    string   `yaml:"note"`    // where it comes from
}

// EmailPolicy is what an application by plain e-mail leads to.
type EmailPolicy struct {
	Policy string `yaml:"policy"` // accept, call_to_sign or inform_and_keep
	From   string `yaml:"from"`   // valid from
	To     string `yaml:"to"`     // valid until
	Basis  string `yaml:"basis"`  // legal basis
}

// Account is what every channel account has. ID is part of every submission id:
// renaming it makes old mail new.
type Account struct {
	ID         string                   `yaml:"id"`         // a slug, unique in the centre
	Off        bool                     `yaml:"off"`        // not in use
	Unit       string                   `yaml:"unit"`       // organisational unit that it belongs to
	Department sekretariat.DepartmentID `yaml:"department"` // default department: evidence for the router, no proof
	Series     sekretariat.SeriesID     `yaml:"series"`     // series that it feeds; default by unit

	// Missing is what the account lacks, in Polish; then Off is set.
	Missing []string `yaml:"-"`
}

// Mailbox is one IMAP account, or one that only the mail door (mail_door) feeds.
type Mailbox struct {
	Account `yaml:",inline"`

	Address string `yaml:"address"` // the public e-mail address
	// Door says that the mail door takes mail for the addresses of this mailbox; without server the door alone does.
	Door     bool     `yaml:"door"`
	Aliases  []string `yaml:"aliases"`  // further addresses that the mail door takes mail for
	Server   string   `yaml:"server"`   // host:port
	TLS      string   `yaml:"tls"`      // implicit (default), starttls, or none (this machine only)
	CA       string   `yaml:"ca"`       // file of an extra CA, or of the server's own self-signed certificate
	Pins     []string `yaml:"pins"`     // SHA-256 of the certificates that the server may show, for one that no CA signed; with ca both must hold
	User     string   `yaml:"user"`     // login name
	Password Secret   `yaml:"password"` // read anew at each login
	OAuth    *OAuth   `yaml:"oauth"`    // instead of a password: Microsoft 365, Google
	Auth     string   `yaml:"auth"`     // plain (default), login, xoauth2 (default with oauth) or oauthbearer
	Folders  []string `yaml:"folders"`  // folders to take mail from; default [INBOX]
	// Junk is the folder for what the mail server takes for spam: auto (default; whichever the server says it is), its name, or off.
	// Its mail is taken in with a mark and left where it is.
	Junk string `yaml:"junk"`
	// What is done with a taken message: move to "done" (default), keyword (set
	// $Sekretariat), or keep.
	After string `yaml:"after"`
	Done  string `yaml:"done"` // folder for taken mail; default Sekretariat/Przyjete
	// DeleteAfterDays deletes taken mail from the mailbox so many days after it was taken, each message only when its stored
	// bytes were read again and found whole; 0 (default) never.
	DeleteAfterDays int           `yaml:"delete_after_days"`
	Poll            time.Duration `yaml:"poll"`  // how often to look beside IDLE; default 60s
	Idle            *bool         `yaml:"idle"`  // use IDLE; default true
	Since           string        `yaml:"since"` // mail that arrived before this day is left alone
	// SpamHeaders are the header fields by which the office's own filter says that a mail is spam; any one is enough.
	// Without any no mail is spam: a field that somebody else wrote proves nothing.
	SpamHeaders []SpamHeader `yaml:"spam_headers"`
}

// OAuth is how a mailbox proves itself to its provider without a password.
type OAuth struct {
	Provider string `yaml:"provider"` // microsoft, google or other
	// Flow is refresh (default; a person authorises once with "sekretariat mailbox authorize") or client (the program has
	// a right of its own: client credentials, at Google a service account).
	Flow           string   `yaml:"flow"`
	Tenant         string   `yaml:"tenant"`          // microsoft: id or domain of the directory
	ClientID       string   `yaml:"client_id"`       // id of the registered application
	ClientSecret   Secret   `yaml:"client_secret"`   // its secret; a public client has none
	SecretExpires  string   `yaml:"secret_expires"`  // last day of that secret, for the countdown
	ServiceAccount Secret   `yaml:"service_account"` // google, flow client: key file of the service account, JSON
	Token          string   `yaml:"token"`           // file of the refresh token; default secrets/oauth-CENTRE-MAILBOX.json in the data folder
	TokenURL       string   `yaml:"token_url"`       // other: where tokens are given
	DeviceURL      string   `yaml:"device_url"`      // other: where authorising by a code begins
	AuthURL        string   `yaml:"auth_url"`        // other: page of authorising, for providers without device_url
	Scopes         []string `yaml:"scopes"`          // default by provider
	CA             string   `yaml:"ca"`              // file of an extra CA for the provider's addresses (an office's proxy)
}

// MailDoor is where a mail server hands mail over and holds it until it is durable here.
type MailDoor struct {
	LMTP  string   `yaml:"lmtp"`  // host:port or unix:/path of the LMTP listener; without it none
	SMTP  string   `yaml:"smtp"`  // host:port of the SMTP listener; without it none
	Name  string   `yaml:"name"`  // host name in the greeting; default the machine's
	Allow []string `yaml:"allow"` // networks that may connect, 192.0.2.0/24; default this machine only
	Cert  string   `yaml:"cert"`  // certificate for STARTTLS, PEM file; read anew when it changes
	Key   Secret   `yaml:"key"`   // its private key, PEM
}

// EPUAP is one skrytka in PULL mode.
type EPUAP struct {
	Account `yaml:",inline"`

	Address        string        `yaml:"address"`         // adresSkrytki, /podmiot/nazwa
	Name           string        `yaml:"name"`            // nazwaSkrytki
	Entity         string        `yaml:"entity"`          // podmiot
	URL            string        `yaml:"url"`             // address of the pull service, https
	CA             string        `yaml:"ca"`              // file of an extra CA
	Cert           string        `yaml:"cert"`            // certificate of the "system", PEM file
	Key            Secret        `yaml:"key"`             // its private key, PEM
	Skrot          string        `yaml:"skrot"`           // digest in the confirmation: sha1 (default) or sha256
	Poll           time.Duration `yaml:"poll"`            // how often to ask; default 60s
	Pins           []string      `yaml:"pins"`            // SHA-256 of the certificates that may sign responses
	VerifyResponse string        `yaml:"verify_response"` // require (default with pins), warn (default without) or off
	// Settle is how long a confirmation that was not answered may still be on
	// its way; the next one waits so long. Default 1m.
	Settle time.Duration `yaml:"settle"`
	// Repository is the address of FileRepoService, for attachments that the
	// letter only refers to; without it they are left on the platform.
	Repository string `yaml:"repository"`
	MaxFile    int64  `yaml:"max_file"` // largest file taken from the repository, octets; default 500 MiB
	// Push lets the platform deliver letters by calling the callbacks listener
	// under /epuap/<centre>/<id>; needs pins. Without url it is the only way.
	Push     bool   `yaml:"push"`
	PushWSDL string `yaml:"push_wsdl"` // file that the receiver shows at ?wsdl
}

// EDelivery is one mailbox of e-Doręczenia, read by the User Agent API of its
// provider. Hosts, audience and the details of the login differ between
// providers and times; ask yours and write down what it says.
type EDelivery struct {
	Account `yaml:",inline"`

	Address string `yaml:"address"` // ADE, AE:PL-DDDDD-DDDDD-LLLLL-CC; part of every submission id
	System  string `yaml:"system"`  // name of the external system as registered in the mailbox
	URL     string `yaml:"url"`     // base address of the UA API, up to the version: https://…/api/v3
	CA      string `yaml:"ca"`      // file of an extra CA
	Cert    string `yaml:"cert"`    // certificate of the external system, PEM file
	Key     Secret `yaml:"key"`     // its private key, PEM

	TokenURL     string `yaml:"token_url"`      // address of the token service
	Audience     string `yaml:"audience"`       // aud of the signed JWT; default: token_url up to /protocol/
	ClientID     string `yaml:"client_id"`      // default ADDRESS.SYSTEM.system
	LoginHint    *bool  `yaml:"login_hint"`     // add ?login_hint=ADE.ADDRESS to token_url; default true
	SendClientID bool   `yaml:"send_client_id"` // send client_id beside the signed JWT
	MTLS         bool   `yaml:"mtls"`           // present the certificate in TLS too
	X5C          bool   `yaml:"x5c"`            // put the certificate into the header of the JWT
	Escape       bool   `yaml:"escape"`         // write the colon of the address as %3A in paths

	Poll   time.Duration `yaml:"poll"`   // how often to ask; default 2m
	Window time.Duration `yaml:"window"` // how far each look reaches back beyond the last one; default 48h
	Full   string        `yaml:"full"`   // when to look through all folders in full, HH:MM; default 02:30
	Since  string        `yaml:"since"`  // what was stored in the mailbox before this day is left alone

	// What is done with a message once it is durable here: keep (default,
	// nothing), move to the folder "done", or delete (through the TRASH; its
	// evidence goes with it).
	After    string `yaml:"after"`
	Done     string `yaml:"done"`      // label of the folder for taken messages
	MovePath string `yaml:"move_path"` // JSON pointer that moves a message to a folder; needed by move and delete, ask the provider

	Archive   *bool `yaml:"archive"`   // keep the provider's archive ZIP of each message too; default true
	Technical bool  `yaml:"technical"` // keep the ZIP of technical evidence too

	Sent     *bool `yaml:"sent"`      // read the metadata of SENT, so that proofs and answers find their case (P11); default true
	SentDays int   `yaml:"sent_days"` // how long proofs of a sent message are waited for; default 60

	Callback       string `yaml:"callback"`        // public https address of our callbacks listener; without it no webhook
	CallbackSecret Secret `yaml:"callback_secret"` // last part of the webhook's path, at least 20 characters
}

// Box is one drop box and the ways by which its scans come: a watched folder,
// uploads with a token, devices that sign in at the doors.
type Box struct {
	Account `yaml:",inline"`

	Place   string        `yaml:"place"`   // where it stands
	Folder  string        `yaml:"folder"`  // watched folder, "" = none
	Network bool          `yaml:"network"` // folder on another machine: poll instead of inotify
	Quiet   time.Duration `yaml:"quiet"`   // a file is complete after this long without change, default 5 s
	Poll    time.Duration `yaml:"poll"`    // how often to look; default 15s
	// Patience is how long a file may look unfinished (no end mark, broken
	// structure) before it is taken in as it is; default 10 min.
	Patience time.Duration `yaml:"patience"`
	Upload   bool          `yaml:"upload"` // accept HTTP uploads with a token of scope box:<id>:upload
	Keep     time.Duration `yaml:"keep"`   // how long done/ is kept, default 7 days (rule P14)
	// Devices may put files into the box through the doors of the installation.
	Devices []Device `yaml:"devices"`
	// TwoPersons: an emptying of the box needs the names of two people.
	TwoPersons bool `yaml:"two_persons"`
	// Batches: a file is a pile of letters that is parted at separator sheets
	// before its letters are registered, which takes a second for a few pages.
	Batches bool `yaml:"batches"`
}

// To is where a label goes in this centre: a department, or another authority.
type To struct {
	Department sekretariat.DepartmentID   `yaml:"department"` // the owner
	Copies     []sekretariat.DepartmentID `yaml:"copies"`     // departments that get a copy for information
	Forward    string                     `yaml:"forward"`    // authority that it is passed on to (art. 65 KPA); the sekretariat owns it until then
	// ByUnit sends the label elsewhere when the writer lives in a street that
	// the unit serves (streets), or the letter came through an account of that
	// unit: the container of a branch is meant for that branch.
	ByUnit map[string]sekretariat.DepartmentID `yaml:"by_unit"`
}

// Routing says what the learned model may do in the centre (rule P17).
type Routing struct {
	Model     string  `yaml:"model"`     // on (default): the model of the program; off: rules alone decide; or the version of a model that "simulate --activate" stored
	Learning  string  `yaml:"learning"`  // on (default) or off: whether people's decisions teach the centre's own layer over the model
	Mode      string  `yaml:"mode"`      // podpowiedz (default): the sekretariat sees suggestions; automat: sure letters go to their department
	Threshold float64 `yaml:"threshold"` // how sure the model must be to decide, 0 to 1; default: where 98 % were right in cross-validation
	// Exceptions set another mode for a department, a kind of letter, or both;
	// the first that fits counts.
	Exceptions  []ModeException `yaml:"exceptions"`
	ContactDuty bool            `yaml:"contact_duty"` // somebody must contact every natural person who applies (rule P15)
	Closed      ClosedMail      `yaml:"closed"`       // mail that must not be opened (rule P13)
}

// ModeException is the mode of the model for one department or kind.
type ModeException struct {
	Department sekretariat.DepartmentID `yaml:"department"` // without it all
	Kind       string                   `yaml:"kind"`       // kind of letter: wniosek, odwolanie, skarga, zapytanie, uzupelnienie, zawiadomienie, informacja, inne; without it all
	Mode       string                   `yaml:"mode"`       // podpowiedz or automat
}

// ClosedMail is what becomes of ordinary mail with words of mail that must not
// be opened: it is closed to all but the owning queue.
type ClosedMail struct {
	Department sekretariat.DepartmentID `yaml:"department"` // queue that takes it; default the sekretariat
	Words      []string                 `yaml:"words"`      // phrases in subject or first lines; default a built-in list, [] = none
}

// Street says which unit serves a street or a part of it.
type Street struct {
	Street string `yaml:"street"` // name without ul. or al., as on the signs: "Lubartowska"
	From   int    `yaml:"from"`   // lowest house number; default all
	To     int    `yaml:"to"`     // highest house number; default all
	Side   string `yaml:"side"`   // odd, even or both (default)
	Unit   string `yaml:"unit"`   // unit that serves it; labels with by_unit go to its department
	Since  string `yaml:"since"`  // valid from
	Until  string `yaml:"until"`  // valid until
}

// Authority is another body that matters are passed on to.
type Authority struct {
	ID      string `yaml:"id"`      // slug
	Name    string `yaml:"name"`    // name in Polish
	Address string `yaml:"address"` // postal address
	Phone   string `yaml:"phone"`   // telephone
	Basis   string `yaml:"basis"`   // legal basis of forwarding
}

// Rule is one routing rule. All given conditions must hold; within one
// condition any term is enough. Terms are compared folded (no case, no
// diacritics) and stemmed.
type Rule struct {
	ID       string   `yaml:"id"`       // slug; it stands in decisions
	Priority int      `yaml:"priority"` // rules with a higher priority decide first; default 0
	Weight   float64  `yaml:"weight"`   // confidence of the rule, 0 to 1; default 0.6
	Kinds    []string `yaml:"kinds"`    // mail, epuap, edelivery, box, manual
	Boxes    []string `yaml:"boxes"`    // ids of drop boxes
	Accounts []string `yaml:"accounts"` // ids of accounts
	To       []string `yaml:"to"`       // recipient addresses or parts of them, "@mzon"
	From     []string `yaml:"from"`     // sender addresses or @domains
	Cases    []string `yaml:"cases"`    // prefixes of quoted case numbers, "DPŚ"
	Forms    []string `yaml:"forms"`    // form namespaces, prefix match
	Subject  []string `yaml:"subject"`  // phrases in the subject
	Text     []string `yaml:"text"`     // phrases in subject, text, attachments' text
	With     []string `yaml:"with"`     // phrases in subject or text, one of which must occur too
	Not      []string `yaml:"not"`      // phrases that forbid the rule
	Labels   []string `yaml:"labels"`   // counts only when the rules without this condition point at one of these labels

	Label      string                   `yaml:"label"`      // subject matter that the letter is about
	Department sekretariat.DepartmentID `yaml:"department"` // instead of Label
	Urgency    sekretariat.Urgency      `yaml:"urgency"`    // urgent or danger; raises, never lowers
	Because    string                   `yaml:"because"`    // why, in plain Polish, for the clerk; required
}

// LegalEffect is one line of the table of which way of sending counts for which
// kind of matter, and since when. The first line that fits decides.
type LegalEffect struct {
	ID      string             `yaml:"id"`      // slug; it stands in decisions
	Kinds   []sekretariat.Kind `yaml:"kinds"`   // mail, epuap, edelivery, box, manual
	Matters []Matter           `yaml:"matters"` // kinds of matters; without any: all
	Senders []string           `yaml:"senders"` // citizen, public-body; without any: both
	From    string             `yaml:"from"`    // first day of receipt that it is about
	To      string             `yaml:"to"`      // last day
	Effect  string             `yaml:"effect"`  // effective, ineffective or assess
	Text    string             `yaml:"text"`    // in plain Polish, for the clerk
	Basis   string             `yaml:"basis"`   // legal basis
	Check   bool               `yaml:"check"`   // "do weryfikacji": to be confirmed by the office's lawyer
}
