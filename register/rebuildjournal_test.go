package register_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sekretariat"
	"sekretariat/ledger"
	"sekretariat/register"
	"sekretariat/register/registertest"
	"sekretariat/storage"
)

// An object lost in the middle of the journal comes back from the ledger, and
// after that the ledger can be lost and comes back from the journal.
func TestRebuildLostJournalObject(t *testing.T) {
	d := openDesk(t)
	o := d.Office
	for i := range 5 { // five objects
		journalled(t, o)
		o.Append(ledger.Audit, fmt.Sprint("seen.", i), 0, sekretariat.EventSeen, "x", i, noon, sekretariat.SeenData{})
	}
	journalled(t, o)
	before := tell(t, o)
	damage := func(o *registertest.Office) {
		var keys []string
		prefix := storage.JournalPrefix(registertest.Centre, string(ledger.Audit))
		err := o.Vault.Objects().List(t.Context(), prefix, func(i storage.Info) error {
			keys = append(keys, i.Key)
			return nil
		})
		if err != nil || len(keys) < 5 {
			t.Fatalf("%d journal objects: %v", len(keys), err)
		}
		middle := filepath.Join(o.Dir, "objects", keys[len(keys)/2])
		if err := errors.Join(os.Remove(middle), os.Truncate(filepath.Join(o.Dir, "objects", keys[0]), 100)); err != nil {
			t.Fatal(err)
		}
	}
	o = reopen(t, o, func(string) error { return nil }) // so that all objects are files
	damage(o)
	if r := verify(t, o, false); strings.Join(codes(r.Faults), " ") != "journal-damaged" || !strings.Contains(r.Text(), "sekretariat rebuild") {
		t.Fatal(r.Text())
	}
	report, err := register.Rebuild(t.Context(), register.RebuildOptions{
		Centre: registertest.Centre, Series: []sekretariat.SeriesID{"rpw"}, Log: o.Log, Vault: o.Vault, Logger: o.Logger, Ledger: o.Ledger,
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(codes(report.Mended), " "); !strings.HasPrefix(got, "journal-mended") || strings.Count(report.Text(), "octet by octet") != 2 {
		t.Errorf("the report does not say that two were mended:\n%s", report.Text())
	}
	if r := verify(t, o, true); !r.OK() {
		t.Error(r.Text())
	}
	o = reopen(t, o, os.RemoveAll)
	rebuild(t, o)
	after := tell(t, o)
	for _, s := range streams {
		if strings.Join(after[s], "\n") != strings.Join(before[s], "\n") {
			t.Errorf("%s differs after ledger and journal were lost in turn", s)
		}
	}
}
