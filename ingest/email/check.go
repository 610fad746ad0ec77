package email

import (
	"context"
	"fmt"
	"strings"

	"github.com/emersion/go-imap/v2"

	"sekretariat"
	"sekretariat/ingest"
)

var _ ingest.Checkable = (*Channel)(nil)

// Check logs in and looks at the folders without taking, moving or creating
// anything.
func (c *Channel) Check(ctx context.Context) []ingest.Check {
	s, err := c.connect(ctx)
	list := c.checkCertificate(err)
	if err != nil {
		return append(list, ingest.Check{What: "logowanie", Verdict: ingest.CheckBad, Text: c.whyNot(err)})
	}
	defer s.close()
	list = append(list, ingest.Check{What: "logowanie", Verdict: ingest.CheckGood, Text: "serwer przyjął " + c.opt.Mailbox.User})
	for _, f := range c.surveyed() {
		list = append(list, f.check(s))
	}
	return append(list, c.checkServer(s))
}

// TryLogin logs in once, with the password or token that is in place now.
func (c *Channel) TryLogin(ctx context.Context) error {
	s, err := c.connect(ctx)
	if err != nil {
		return err
	}
	s.close()
	return nil
}

// whyNot says in Polish what a failure to log in comes from.
func (c *Channel) whyNot(err error) string {
	f := condition{code: codeOf(err, codeConnect), since: c.opt.Clock()}
	_, why, _ := strings.Cut(f.sentence(c.opt.Clock(), ""), ": ")
	return fmt.Sprintf("%s (%v)", why, err)
}

func (c *Channel) checkCertificate(err error) []ingest.Check {
	k := ingest.Check{What: "certyfikat serwera", Verdict: ingest.CheckGood}
	now := c.opt.Clock()
	for _, e := range c.Health().Expires {
		what, _ := expiryWords(e.What)
		day := e.At.In(sekretariat.Warsaw()).Format("02.01.2006")
		if e.Stage != 0 {
			k.Verdict = ingest.CheckDoubt
		}
		k.Text += fmt.Sprintf("%s: ważny do %s (dni: %d). ", what, day, e.Days(now))
	}
	switch {
	case c.opt.Mailbox.TLS == "none":
		return nil
	case codeOf(err, codeConnect) == codeCertificate:
		k.Verdict, k.Text = ingest.CheckBad, fmt.Sprintf("nieważny albo nieznany: podaj „ca” albo „pins” (%v)", err)
	case k.Text == "":
		return nil // no connection came about
	}
	return []ingest.Check{k}
}

// check opens one folder read-only.
func (f *folder) check(s *session) ingest.Check {
	k := ingest.Check{What: fmt.Sprintf("folder „%s”", f.name), Verdict: ingest.CheckGood}
	if f.junk {
		k.What = "folder na spam"
		there, err := f.findJunk(s)
		if err != nil || !there {
			k.Verdict, k.Text = ingest.CheckSkipped, "serwer nie wskazuje takiego folderu; jeśli jest, wpisz jego nazwę w „junk”"
			return k
		}
	}
	data, err := s.selectFolder(f.name, true)
	if err != nil {
		k.Verdict, k.Text = ingest.CheckBad, fmt.Sprintf("nie można go otworzyć (%v)", err)
		if f.junk {
			k.Verdict = ingest.CheckDoubt
		}
		return k
	}
	k.Text = fmt.Sprintf("„%s”, wiadomości: %d", f.place(), data.NumMessages)
	return k
}

// checkServer tells what the server cannot do.
func (c *Channel) checkServer(s *session) ingest.Check {
	k := ingest.Check{What: "możliwości serwera", Verdict: ingest.CheckGood, Text: "wszystkie, których program używa"}
	var lacks []string
	for _, w := range []struct {
		cap  imap.Cap
		what string
	}{
		{imap.CapMove, "MOVE (wiadomości są kopiowane i usuwane)"}, {imap.CapIdle, "IDLE (nowa poczta jest widoczna dopiero przy sprawdzeniu co „poll”)"},
		{imap.CapUIDPlus, "UIDPLUS (przyjęte wiadomości zostają w folderze, oznaczone)"},
	} {
		if !s.caps.Has(w.cap) && !s.caps.Has(imap.CapIMAP4rev2) {
			lacks = append(lacks, w.what)
		}
	}
	if len(lacks) > 0 {
		k.Verdict, k.Text = ingest.CheckDoubt, "brakuje: "+strings.Join(lacks, ", ")
	}
	return k
}
