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

// Installation is one running sekretariat: one machine or one role of many.
type Installation struct {
	Data    string  `yaml:"data"`    // folder of everything local
	NATS    NATS    `yaml:"nats"`    // empty: embedded
	Storage Storage `yaml:"storage"` // empty: files in the data folder
	Listen  Listen  `yaml:"listen"`
	Limits  Limits  `yaml:"limits"`
	Log     Log     `yaml:"log"`
	// Centres are paths of centre profiles, relative to this file.
	Centres []string `yaml:"centres"`

	// Profiles holds the loaded centres, in order.
	Profiles []*Centre `yaml:"-"`
	// Warnings are what is not known yet and what it turns off, in Polish.
	Warnings []string `yaml:"-"`
}

// NATS says where JetStream is. With an empty URL the server is embedded.
type NATS struct {
	URL         string `yaml:"url"`
	Credentials string `yaml:"credentials"` // file of the service's user credentials
	CA          string `yaml:"ca"`          // file of an extra CA
	Replicas    int    `yaml:"replicas"`    // 1 embedded, 3 on a cluster
	Port        int    `yaml:"port"`        // embedded: port on 127.0.0.1 for department systems; 0 = none
}

// Storage says where objects are.
type Storage struct {
	S3 *S3 `yaml:"s3"`
}

// S3 is an S3-compatible object store.
type S3 struct {
	Endpoint  string `yaml:"endpoint"` // host:port
	Region    string `yaml:"region"`
	Bucket    string `yaml:"bucket"`
	KeyBucket string `yaml:"key_bucket"` // bucket of the wrapped keys; backed up apart
	PathStyle bool   `yaml:"path_style"`
	Insecure  bool   `yaml:"insecure"` // plain HTTP: only on one machine
	CA        string `yaml:"ca"`
	AccessKey Secret `yaml:"access_key"`
	SecretKey Secret `yaml:"secret_key"`
}

// Secret is read from a file or the environment, never written into the
// configuration. Exactly one of File and Env is set.
type Secret struct {
	File string `yaml:"file"`
	Env  string `yaml:"env"`
}

// Listen are the HTTP listeners, host:port; empty = off.
type Listen struct {
	Desk     string `yaml:"desk"`     // page and API, default 127.0.0.1:8300
	Scanners string `yaml:"scanners"` // upload door of the boxes, default 127.0.0.1:8301
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
	Level  string `yaml:"level"`  // debug, info, warn, error
	Pretty bool   `yaml:"pretty"` // for people; default JSON lines
}

// Centre is the profile of one welfare centre.
type Centre struct {
	ID      sekretariat.CentreID `yaml:"id"`
	Name    string               `yaml:"name"`
	Town    string               `yaml:"town"`
	Address string               `yaml:"address"`
	Version int                  `yaml:"version"` // given by config apply

	Series      []Series       `yaml:"series"`
	Units       []Unit         `yaml:"units"`
	Departments []Department   `yaml:"departments"`
	Contacts    []Contact      `yaml:"contacts"`
	Hours       []Hours        `yaml:"hours"`
	EmailPolicy []EmailPolicy  `yaml:"email_policy"`
	Mailboxes   []Mailbox      `yaml:"mailboxes"`
	EPUAP       []EPUAP        `yaml:"epuap"`
	Boxes       []Box          `yaml:"boxes"`
	Labels      map[string]To  `yaml:"labels"` // router label → where it goes
	Authorities []Authority    `yaml:"authorities"`
	Rules       []Rule         `yaml:"rules"`
	RuleSets    []string       `yaml:"rule_sets"` // built-in sets to use, "common" by default
	Unknown     []UnknownValue `yaml:"unknown"`   // what the office has not given yet
	Notes       string         `yaml:"notes"`
}

// UnknownValue documents a value that nobody knows yet.
type UnknownValue struct {
	Field string `yaml:"field"`
	Why   string `yaml:"why"`
}

// Series is one number series (rule P1).
type Series struct {
	ID     sekretariat.SeriesID `yaml:"id"`
	Title  string               `yaml:"title"`
	Format string               `yaml:"format"` // printed form, "RPW/{n}/{year}"
	First  map[int]int          `yaml:"first"`  // first number by year, default 1
	From   string               `yaml:"from"`   // in force from, RRRR-MM-DD
	Units  []string             `yaml:"units"`  // units that feed it
	// Internal: another system keeps the legal RPW; ours is a working number.
	Internal bool `yaml:"internal"`
}

// Unit is one node of the tree of organisational units.
type Unit struct {
	ID     string `yaml:"id"`
	Name   string `yaml:"name"`
	Parent string `yaml:"parent"`
}

// Department is one queue.
type Department struct {
	ID     sekretariat.DepartmentID `yaml:"id"`
	Name   string                   `yaml:"name"`
	Unit   string                   `yaml:"unit"`
	Symbol []string                 `yaml:"symbol"` // case-number prefixes, "DPŚ"
	Public bool                     `yaml:"public"` // may be named to citizens (rule P6)
	Closed bool                     `yaml:"closed"` // its letters are closed to others

	Suspended []Suspension `yaml:"suspended"`
}

// Suspension closes a department for a while; its letters go to Substitute.
type Suspension struct {
	From       string                   `yaml:"from"` // RRRR-MM-DD, inclusive
	To         string                   `yaml:"to"`   // inclusive, "" = until revoked
	Substitute sekretariat.DepartmentID `yaml:"substitute"`
	Why        string                   `yaml:"why"`
}

// Contact is one phone, address or e-mail of one or more departments: a number
// is not a key.
type Contact struct {
	Phone       string                     `yaml:"phone"`
	Email       string                     `yaml:"email"`
	Departments []sekretariat.DepartmentID `yaml:"departments"`
	From        string                     `yaml:"from"`
	To          string                     `yaml:"to"`
	Note        string                     `yaml:"note"`
}

// Hours are working periods with validity.
type Hours struct {
	Days    string   `yaml:"days"`    // "mon-fri"
	Periods []string `yaml:"periods"` // "07:00-13:00"
	From    string   `yaml:"from"`
	To      string   `yaml:"to"`
	Note    string   `yaml:"note"`
}

// EmailPolicy is what an application by plain e-mail leads to.
type EmailPolicy struct {
	Policy string `yaml:"policy"` // accept | call_to_sign | inform_and_keep
	From   string `yaml:"from"`
	To     string `yaml:"to"`
	Basis  string `yaml:"basis"`
}

// Account is what every channel account has. ID is part of every submission id:
// renaming it makes old mail new.
type Account struct {
	ID         string                   `yaml:"id"`
	Off        bool                     `yaml:"off"`
	Unit       string                   `yaml:"unit"`
	Department sekretariat.DepartmentID `yaml:"department"` // default department
	Series     sekretariat.SeriesID     `yaml:"series"`
}

// Mailbox is one IMAP account.
type Mailbox struct {
	Account  `yaml:",inline"`
	Address  string   `yaml:"address"` // the public e-mail address
	Server   string   `yaml:"server"`  // host:port
	TLS      string   `yaml:"tls"`     // implicit (default) | starttls | none (loopback only)
	CA       string   `yaml:"ca"`
	User     string   `yaml:"user"`
	Password Secret   `yaml:"password"`
	Auth     string   `yaml:"auth"`    // plain (default) | login | xoauth2
	Folders  []string `yaml:"folders"` // default INBOX
	// After says what is done with a taken message: "move" to Done (default),
	// "keyword" (set $Sekretariat), or "keep".
	After string        `yaml:"after"`
	Done  string        `yaml:"done"`  // folder, default "Sekretariat/Przyjete"
	Poll  time.Duration `yaml:"poll"`  // default 60 s, beside IDLE
	Idle  *bool         `yaml:"idle"`  // default true
	Since string        `yaml:"since"` // mail that arrived before this day is left alone
}

// EPUAP is one skrytka in PULL mode.
type EPUAP struct {
	Account `yaml:",inline"`
	Address string        `yaml:"address"` // adresSkrytki, "/podmiot/nazwa"
	Name    string        `yaml:"name"`    // nazwaSkrytki
	Entity  string        `yaml:"entity"`  // podmiot
	URL     string        `yaml:"url"`     // pull endpoint
	CA      string        `yaml:"ca"`
	Cert    string        `yaml:"cert"`  // certificate of the "system", PEM file
	Key     Secret        `yaml:"key"`   // its private key, PEM
	Skrot   string        `yaml:"skrot"` // sha1 (default) | sha256
	Poll    time.Duration `yaml:"poll"`  // default 60 s
	// Pins are SHA-256 digests of certificates that may sign responses;
	// VerifyResponse is require | warn | off (default warn without pins).
	Pins           []string `yaml:"pins"`
	VerifyResponse string   `yaml:"verify_response"`
}

// Box is one drop box: a watched folder and/or an upload token.
type Box struct {
	Account `yaml:",inline"`
	Place   string        `yaml:"place"`
	Folder  string        `yaml:"folder"`  // watched folder, "" = none
	Network bool          `yaml:"network"` // folder on another machine: poll instead of inotify
	Quiet   time.Duration `yaml:"quiet"`   // a file is complete after this long without change, default 5 s
	Poll    time.Duration `yaml:"poll"`    // default 15 s
	Upload  bool          `yaml:"upload"`  // accept HTTP uploads with a token of scope box:<id>:upload
	Keep    time.Duration `yaml:"keep"`    // how long done/ is kept, default 7 days (rule P14)
}

// To is where a label goes in this centre: a department, or another authority.
type To struct {
	Department sekretariat.DepartmentID   `yaml:"department"`
	Copies     []sekretariat.DepartmentID `yaml:"copies"`
	Forward    string                     `yaml:"forward"` // authority id: KPA art. 65
}

// Authority is another body that matters are passed on to.
type Authority struct {
	ID      string `yaml:"id"`
	Name    string `yaml:"name"`
	Address string `yaml:"address"`
	Phone   string `yaml:"phone"`
	Basis   string `yaml:"basis"`
}

// Rule is one routing rule. All given conditions must hold; within one
// condition any term is enough. Terms are compared folded (no case, no
// diacritics) and stemmed.
type Rule struct {
	ID       string   `yaml:"id"`
	Priority int      `yaml:"priority"` // higher first; equal: more specific first
	Weight   float64  `yaml:"weight"`   // confidence of the rule, 0..1
	Kinds    []string `yaml:"kinds"`
	Boxes    []string `yaml:"boxes"`
	Accounts []string `yaml:"accounts"`
	To       []string `yaml:"to"`      // recipient addresses
	From     []string `yaml:"from"`    // sender addresses or @domains
	Cases    []string `yaml:"cases"`   // case-number prefixes
	Forms    []string `yaml:"forms"`   // form namespaces, prefix match
	Subject  []string `yaml:"subject"` // phrases
	Text     []string `yaml:"text"`    // phrases in subject, text, attachments' text
	Not      []string `yaml:"not"`     // phrases that forbid the rule

	Label      string                   `yaml:"label"`
	Department sekretariat.DepartmentID `yaml:"department"` // instead of Label
	Urgency    sekretariat.Urgency      `yaml:"urgency"`
	Because    string                   `yaml:"because"` // plain Polish: why, for the clerk
}
