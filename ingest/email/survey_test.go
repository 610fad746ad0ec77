package email

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sekretariat/ingest"
	"sekretariat/ingest/email/dovecottest"
)

// everything lists all files of a mailbox: names hold flags, and a message that
// was looked at as new would have another name.
func everything(t *testing.T, s *dovecottest.Server) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"new/*", "cur/*", ".*/new/*", ".*/cur/*"} {
		found, err := filepath.Glob(filepath.Join(filepath.Dir(s.CA), "mail/intake", pattern))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	slices.Sort(all)
	return all
}

func TestSurveyTellsEverythingAndChangesNothing(t *testing.T) {
	s := startDovecot(t, dovecottest.Options{Junk: "Spam"})
	o := newOffice(t, s.Addr)
	o.mailbox.Junk, o.mailbox.Since, o.mailbox.Folders = "auto", "2026-10-15", []string{"INBOX", "Nie ma"}
	o.maxSize = 10 << 10
	put := func(folder string, n, size int, at time.Time) {
		t.Helper()
		if err := s.Deliver("intake", folder, append(letter(n), make([]byte, size)...), at); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 1200 { // more than one FETCH
		put("INBOX", n, 0, time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(n)*time.Hour))
	}
	put("INBOX", 5000, 0, time.Date(2026, 10, 14, 21, 59, 59, 0, time.UTC)) // still the 14th in Warsaw
	put("INBOX", 5001, 0, time.Date(2026, 10, 14, 22, 0, 0, 0, time.UTC))
	put("INBOX", 5002, 20<<10, time.Date(2026, 11, 30, 23, 30, 0, 0, time.UTC)) // December in Warsaw
	put("Spam", 5003, 0, noon)
	put("Stare sprawy", 5004, 0, noon)
	before := everything(t, s)
	all, err := o.channel().Survey(t.Context(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if len(all.Folders) != 3 || all.Partial {
		t.Fatalf("%+v", all)
	}
	inbox, missing, junk := all.Folders[0], all.Folders[1], all.Folders[2]
	if inbox.Messages != 1203 || inbox.Young != 2 || inbox.TooLarge != 1 || inbox.Octets < 20<<10 {
		t.Errorf("inbox: %+v", inbox)
	}
	got := map[string]string{}
	for _, m := range inbox.Months {
		got[m.Month] = fmt.Sprint(m.All, "/", m.Young)
	}
	if got["2020-01"] != "743/0" || got["2020-02"] != "457/0" && got["2020-02"] == "" || got["2026-10"] != "2/1" || got["2026-12"] != "1/1" {
		t.Errorf("months: %v", got)
	}
	if missing.Problem == "" {
		t.Errorf("missing folder: %+v", missing)
	}
	if !junk.Junk || junk.Folder != "Spam" || junk.Young != 1 {
		t.Errorf("junk: %+v", junk)
	}
	if len(all.Others) != 1 || all.Others[0] != (OtherFolder{"Stare sprawy", 1}) {
		t.Errorf("others: %+v", all.Others)
	}
	if after := everything(t, s); !slices.Equal(before, after) {
		t.Errorf("the mailbox was changed: %d files before, %d after", len(before), len(after))
	}
	if o.drawer.m != nil || o.shelf.count() != 0 {
		t.Error("the dry run kept something")
	}
	all, err = o.channel().Survey(t.Context(), 0)
	if err != nil || !all.Partial {
		t.Errorf("no time: %+v, %v", all, err)
	}
}

func TestCheckSaysWhatIsWrong(t *testing.T) {
	s := startDovecot(t, dovecottest.Options{Junk: "Spam"})
	o := newOffice(t, s.TLSAddr)
	o.mailbox.TLS, o.mailbox.Junk = "implicit", "auto"
	verdicts := func() string {
		var b strings.Builder
		for _, k := range o.channel().Check(t.Context()) {
			fmt.Fprintf(&b, "%s=%s (%s)\n", k.What, k.Verdict, k.Text)
		}
		return b.String()
	}
	right := fingerprint(t, filepath.Join(filepath.Dir(s.CA), "cert.pem"))
	if got := verdicts(); !strings.Contains(got, "certyfikat serwera="+string(ingest.CheckBad)) || !strings.Contains(got, right) || !strings.Contains(got, "logowanie="+string(ingest.CheckBad)) {
		t.Errorf("unknown certificate: %s", got)
	}
	o.mailbox.CA = s.CA
	deliver(t, s, "INBOX", 1, 3)
	got := verdicts()
	if strings.Contains(got, "=bad") || !strings.Contains(got, "„INBOX”, wiadomości: 3") || !strings.Contains(got, "„Spam”, wiadomości: 0") || !strings.Contains(got, "ważny do") {
		t.Errorf("good: %s", got)
	}
	o.mailbox.Folders = []string{"Skargi"}
	o.mailbox.Junk = "off"
	if got := verdicts(); !strings.Contains(got, "folder „Skargi”=bad") {
		t.Errorf("missing folder: %s", got)
	}
	o.password = "złe"
	if got := verdicts(); !strings.Contains(got, "logowanie=bad (serwer pocztowy odrzucił hasło") {
		t.Errorf("wrong password: %s", got)
	}
	if inFolder(t, s, "INBOX") != 3 || o.shelf.count() != 0 {
		t.Error("the check took something")
	}
}
