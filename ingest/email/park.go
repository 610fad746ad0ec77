package email

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/emersion/go-imap/v2"

	"sekretariat"
	"sekretariat/extract/mail"
)

// maxHeader is how much of the header of a message that is too large is read,
// to recognise it by.
const maxHeader = 64 << 10

// park puts a message that cannot be taken in before a clerk. It stays in the
// mailbox, where a person can read it.
func (f *folder) park(ctx context.Context, s *session, uid imap.UID, d *doubt) error {
	reason := sekretariat.ParkRefused
	if d.oversize {
		reason = sekretariat.ParkOversize
	}
	identity, err := f.parkIdentity(s, uid, d, reason)
	if err != nil {
		return err
	}
	g := d.facts
	g.uid = uid
	delivery := f.delivery(g, nil)
	delivery.Content = nil
	delivery.Identity = func(sekretariat.BodyFacts) []string { return identity }
	if _, err := f.c.opt.Receiver.Park(ctx, delivery, reason, f.note(g, reason)); err != nil {
		return wrap(codeStore, "park a message", err)
	}
	f.parked[uid] = parked{Reason: reason, At: f.c.opt.Clock()}
	f.settle(uid)
	f.advanced = true
	f.c.log.Warn().Uint32("uid", uint32(uid)).Str("reason", string(reason)).Msg("a message was parked and stays in the mailbox")
	return nil
}

// parkIdentity is what a message is recognised by whose content is not read:
// its header, else date and size; only of a message about which the server
// says nothing at all, its UID. A wrong guess repeats a note, no more.
func (f *folder) parkIdentity(s *session, uid imap.UID, d *doubt, reason sekretariat.ParkReason) ([]string, error) {
	g := d.facts
	size := strconv.FormatInt(g.size, 10)
	if reason == sekretariat.ParkOversize && !d.noHeader {
		d.noHeader = true // not asked twice should the server fall over it
		header, err := s.header(uid, maxHeader)
		if err == nil {
			id := &mail.IdentityHasher{}
			_, _ = id.Write(header) // never fails
			return []string{string(reason), string(id.Digest()), size}, nil
		}
		if !refused(err) {
			return nil, err
		}
	}
	if !g.arrived.IsZero() {
		return []string{string(reason), g.arrived.UTC().Format(time.RFC3339), size}, nil
	}
	return []string{string(reason), fmt.Sprint(f.validity), fmt.Sprint(uid)}, nil
}

// note is the parked item's text for the clerk.
func (f *folder) note(g facts, reason sekretariat.ParkReason) string {
	where := fmt.Sprintf("Wiadomość czeka w skrzynce %s, w folderze „%s”", f.c.opt.Mailbox.Address, f.place())
	if !g.arrived.IsZero() {
		where += ", wpłynęła " + g.arrived.In(sekretariat.Warsaw()).Format("02.01.2006 o 15:04:05")
	}
	if reason == sekretariat.ParkOversize {
		return fmt.Sprintf("Wiadomość jest za duża, aby ją pobrać (%d MB). %s. Otwórz ją w programie pocztowym i zarejestruj ręcznie.\n", (g.size+1<<20-1)>>20, where)
	}
	return fmt.Sprintf("Serwer pocztowy nie potrafi wydać wiadomości, mimo kilku prób. %s. Otwórz ją w poczcie przez przeglądarkę (webmail); jeśli da się ją odczytać, zarejestruj ręcznie. Program ponowi próbę sam.\n", where)
}
