package desk

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/pipeline"
	"sekretariat/register/index"
	"sekretariat/storage"
)

// registerData is the page of the register.
type registerData struct {
	Filter      index.Filter
	Year        string
	List        *list
	Departments []configs.Department
	Series      []configs.Series
	Kinds       []sekretariat.Kind
	Statuses    []sekretariat.Status
	Query       string // the filter as a query, for the next page and the export
}

var filterKinds = []sekretariat.Kind{sekretariat.KindMail, sekretariat.KindEPUAP, sekretariat.KindEDelivery, sekretariat.KindBox, sekretariat.KindManual}

var filterStatuses = []sekretariat.Status{
	sekretariat.StatusRegistered, sekretariat.StatusRead, sekretariat.StatusRouted, sekretariat.StatusTaken, sekretariat.StatusDone,
}

// filterOf reads the filter of a request. Unknown words find nothing, they
// need no message.
func filterOf(r *http.Request) index.Filter {
	q := r.URL.Query()
	f := index.Filter{
		Series: sekretariat.SeriesID(q.Get("seria")), From: q.Get("od-dnia"), To: q.Get("do-dnia"), Kind: sekretariat.Kind(q.Get("kanal")),
		Department: sekretariat.DepartmentID(q.Get("dzial")), Status: sekretariat.Status(q.Get("stan")), Oldest: q.Get("kolejnosc") == "rosnaco",
	}
	f.Year, _ = strconv.Atoi(q.Get("rok"))
	return f
}

// register shows the register book: every number in order, closed letters as
// the same masked row (rule P5).
func (d *Desk) register(ctx context.Context, v visit) error {
	if !v.who.Register && !v.who.Admin {
		return pipeline.ErrForbidden
	}
	f := filterOf(v.r)
	rows, next, err := v.c.Index.Register(ctx, v.who, f, index.Page{Limit: pageRows, After: v.r.URL.Query().Get("od")})
	if err != nil {
		return err
	}
	q := v.r.URL.Query()
	q.Del("od")
	data := registerData{
		Filter: f, Query: q.Encode(), Departments: v.c.Config.Departments, Series: v.c.Config.Series, Kinds: filterKinds, Statuses: filterStatuses,
		List: &list{ID: "rejestr", Heading: "Rejestr przesyłek wpływających", Empty: "Żaden wpis nie pasuje.", Rows: d.rows(v.c, rows), Next: next, Path: "/rejestr", Departments: true},
	}
	if f.Year != 0 {
		data.Year = strconv.Itoa(f.Year)
	}
	return d.show(v, "rejestr", "Rejestr", data)
}

// export writes the register as CSV, filtered as the page is.
func (d *Desk) export(ctx context.Context, v visit) error {
	if !v.who.Register {
		return pipeline.ErrForbidden
	}
	f := filterOf(v.r)
	f.Oldest = true
	h := v.w.Header()
	h.Set("Content-Type", "text/csv; charset=utf-8")
	h.Set("Content-Disposition", `attachment; filename="rejestr.csv"`)
	original := func(ctx context.Context, s sekretariat.SubmissionID) (sekretariat.Digest, error) {
		m, err := pipeline.Manifest(ctx, v.c.Vault, v.c.Config.ID, s)
		if errors.Is(err, storage.ErrShredded) {
			return "", nil
		}
		return m.Original.SHA256, err
	}
	if err := v.c.Index.Export(ctx, v.who, f, v.w, index.CSV, v.c.Config.Print, original); err != nil {
		d.o.Logger.Error().Err(err).Msg("an export of the register broke off")
		panic(http.ErrAbortHandler) // a short file must not look whole
	}
	return nil
}

// searchData is the answer to a search that did not lead to one letter.
type searchData struct {
	Words string
	Rows  *list
}

// identifier is a register identifier, "RPW-2026-000123".
var identifier = regexp.MustCompile(`^RPW-(?:([A-Za-z0-9-]+)-)?(\d{4})-0*(\d{1,9})$`)

// search finds a letter by its number, as printed or as identifier, by its id,
// or by words, names, telephone numbers in it. What somebody may not see and
// what is not there answer alike.
func (d *Desk) search(ctx context.Context, v visit) error {
	words := strings.TrimSpace(v.r.URL.Query().Get("q"))
	data := searchData{Words: words, Rows: &list{ID: "wyniki", Heading: "Wyniki", Empty: "Nic nie pasuje – albo nie jest przeznaczone dla Ciebie.", Departments: true}}
	if id, err := sekretariat.ParseLetterID(strings.ToLower(words)); err == nil {
		if _, err := v.c.Pipeline.Letter(ctx, v.who, id); err == nil {
			return d.goTo(v, "/pismo/"+string(id))
		}
	}
	numbers := numbersOf(v.c.Config, words, sekretariat.RegisterYear(d.o.Clock()))
	found, err := d.byNumber(ctx, v, numbers)
	if err != nil {
		return err
	}
	if len(found) == 1 && found[0].View == sekretariat.Full {
		return d.goTo(v, "/pismo/"+string(found[0].Letter))
	}
	if len(found) == 0 {
		if found, data.Rows.Next, err = v.c.Index.Search(ctx, v.who, words, index.Page{Limit: pageRows, After: v.r.URL.Query().Get("od")}); err != nil {
			return err
		}
	}
	data.Rows.Rows = d.rows(v.c, found)
	return d.show(v, "szukaj", "Szukaj", data)
}

// byNumber finds the letters that have one of the numbers.
func (d *Desk) byNumber(ctx context.Context, v visit, numbers []sekretariat.Number) (found []index.Row, err error) {
	for _, n := range numbers {
		r, err := v.c.Index.ByNumber(ctx, v.who, n)
		if errors.Is(err, index.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found = append(found, r)
	}
	return found, nil
}

// bare is a number alone, or with a year: "123", "123/2026".
var bare = regexp.MustCompile(`^0*(\d{1,9})(?:/(\d{4}))?$`)

// numbersOf are the numbers that the words can mean: one per series for a bare
// number.
func numbersOf(c *configs.Centre, words string, thisYear int) []sekretariat.Number {
	words = strings.ToUpper(strings.Join(strings.Fields(words), ""))
	var out []sekretariat.Number
	add := func(s sekretariat.SeriesID, n, year string) {
		number := sekretariat.Number{Series: s, Year: thisYear}
		number.N, _ = strconv.Atoi(n)
		if year != "" {
			number.Year, _ = strconv.Atoi(year)
		}
		if number.N > 0 && !slices.Contains(out, number) {
			out = append(out, number)
		}
	}
	for _, s := range c.Series {
		if m := identifier.FindStringSubmatch(words); m != nil && (strings.EqualFold(m[1], string(s.ID)) || m[1] == "" && s.ID == c.MainSeries().ID) {
			add(s.ID, m[3], m[2])
		}
		if m := bare.FindStringSubmatch(words); m != nil {
			add(s.ID, m[1], m[2])
		}
		if m := printedForm(s.Format).FindStringSubmatch(words); m != nil {
			add(s.ID, m[1], m[2])
		}
	}
	return out
}

// printedForm recognises a number in the printed form of a series; the year may
// be left out.
func printedForm(format string) *regexp.Regexp {
	p := regexp.QuoteMeta(strings.ToUpper(format))
	p = strings.Replace(p, regexp.QuoteMeta("{N}"), `0*(\d{1,9})`, 1)
	p = strings.Replace(p, "/"+regexp.QuoteMeta("{YEAR}"), `(?:/(\d{4}))?`, 1)
	p = strings.Replace(p, regexp.QuoteMeta("{YEAR}"), `(\d{4})`, 1)
	re, err := regexp.Compile("^" + p + "$")
	if err != nil || re.NumSubexp() != 2 {
		return never
	}
	return re
}

var never = regexp.MustCompile(`[^\s\S]()()`)
