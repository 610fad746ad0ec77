package register

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sekretariat"
	"sekretariat/ledger"
	"sekretariat/storage"
)

// seriesCheck walks the register of one series.
type seriesCheck struct {
	v       *verifier
	ctx     context.Context
	series  sekretariat.SeriesID
	index   int8
	prev    sekretariat.Entry
	missing []sekretariat.Entry // numbers without an entry since the last one that has one
	err     error
}

// series checks numbers, chain and entry objects of one series.
func (v *verifier) series(ctx context.Context, series sekretariat.SeriesID) error {
	c := &seriesCheck{v: v, ctx: ctx, series: series, index: int8(slices.Index(v.o.Series, series))}
	err := v.replay(ctx, ledger.Register(series), func(s ledger.Stored) {
		if c.err == nil {
			c.event(s)
		}
	})
	// The ledger is ahead of the entries for a moment, or since a kill.
	v.report.Waiting.Entry += len(c.missing)
	return errors.Join(err, c.err)
}

func (c *seriesCheck) event(s ledger.Stored) {
	v := c.v
	d, ok := decode[sekretariat.RegisteredData](v, s)
	if !ok {
		return
	}
	e := d.Entry
	if err := CheckNext(c.prev, e); err != nil {
		v.fault("chain", e.Identifier, doRebuild, "%v", err)
	}
	if first := max(v.o.First(c.series, e.Number.Year), 1); e.Number.Year != c.prev.Number.Year && e.Number.N != first {
		v.fault("first-number", e.Identifier, "correct 'first' of the series in the profile of the centre, if that is what is wrong",
			"the year begins with number %d, configured is %d", e.Number.N, first)
	}
	c.count(e)
	c.prev = e
	l := v.letter(s.Stream, s.Seq, e.Letter)
	if l == nil {
		return
	}
	if l.number != 0 {
		v.fault("two-numbers", string(e.Letter), doReport, "has number %s and another one", e.Identifier)
	}
	l.series, l.year, l.number = c.index, int16(e.Number.Year), int32(e.Number.N)
	if k, ok := keyOf(e.Letter.Submission()); ok {
		v.subs[k].manifest, _ = keyOf(sekretariat.SubmissionID(e.Manifest)) // both are 32 octets in hex
	}
	c.compare(e)
}

func (c *seriesCheck) count(e sekretariat.Entry) {
	list := &c.v.report.Series
	if n := len(*list); n == 0 || (*list)[n-1].Series != c.series || (*list)[n-1].Year != e.Number.Year {
		*list = append(*list, SeriesReport{Series: c.series, Year: e.Number.Year, First: e.Number.N})
	}
	last := &(*list)[len(*list)-1]
	last.Last = e.Number.N
	last.Letters++
}

// compare looks at the entry object.
func (c *seriesCheck) compare(e sekretariat.Entry) {
	switch err := sameEntry(c.ctx, c.v.o.Vault.Objects(), e); {
	case err == nil:
		c.overtaken()
	case errors.Is(err, storage.ErrNotFound):
		c.missing = append(c.missing, e)
	case errors.Is(err, ErrOtherEntry), errors.Is(err, storage.ErrDamaged):
		c.v.fault("entry-other", e.Identifier, "compare it with the backup; never change an entry by hand", "%v", err)
	default:
		c.err = err
	}
}

// overtaken looks again at the numbers before one that has its entry: the
// registrar writes entries in order, so beside a service at work they are there
// by now. Those that are not are lost.
func (c *seriesCheck) overtaken() {
	for _, e := range c.missing {
		switch err := sameEntry(c.ctx, c.v.o.Vault.Objects(), e); {
		case errors.Is(err, storage.ErrNotFound):
			c.v.fault("entry-missing", e.Identifier, doRebuild, "the register entry has no object, later ones have")
		case err != nil && c.err == nil:
			c.err = err
		}
	}
	c.missing = nil
}

// unknownEntry looks at an entry object that no register event belonged to
// when the register was read.
func (v *verifier) unknownEntry(ctx context.Context, key string) error {
	raw, err := readSmall(ctx, v.o.Vault.Objects(), key, maxEntry)
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err != nil && !errors.Is(err, storage.ErrTooLarge) {
		return err
	}
	e, err := DecodeEntry(raw)
	if err == nil {
		last, lerr := v.o.Log.Last(ctx, ledger.Register(e.Number.Series), string(e.Letter))
		if lerr == nil {
			if d, derr := sekretariat.DataOf[sekretariat.RegisteredData](last.Event); derr == nil && d.Entry == e && storage.EntryKey(v.o.Centre, e.Number) == key {
				return nil // registered while we were reading
			}
		} else if !errors.Is(lerr, ledger.ErrNotFound) {
			return lerr
		}
	}
	v.fault("entry-ahead", key, doRebuild+"; an entry that it leaves out is not of this register: move that object away", "the register of the ledger does not know this entry: the ledger was rewound, or another register writes here")
	return nil
}

// knownEntry tells whether the register has the number that an entry key
// stands for.
func (v *verifier) knownEntry(rest string) bool {
	for _, s := range v.report.Series {
		prefix := fmt.Sprintf("%s/%04d/", s.Series, s.Year)
		name, ok := strings.CutPrefix(rest, prefix)
		if !ok {
			continue
		}
		var n int
		if _, err := fmt.Sscanf(name, "%d.json", &n); err == nil && n >= s.First && n <= s.Last && name == fmt.Sprintf("%d.json", n) {
			return true
		}
	}
	return false
}
