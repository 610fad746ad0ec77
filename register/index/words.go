package index

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"sekretariat"
	"sekretariat/extract/polish"
	"sekretariat/ledger"
)

// ReadText opens the reading of a letter. It returns nil without an error for
// what nobody can open any more (destroyed, damaged).
type ReadText func(ctx context.Context, letter sekretariat.LetterID, reading sekretariat.ObjectRef) (*sekretariat.Reading, error)

// How readings get into the index: some at once, and again after a while what
// could not be opened.
const (
	wordBatch    = 100
	wordReaders  = 2
	wordCalm     = 250 * time.Millisecond
	wordPatience = 10 * time.Second
	wordRetry    = 5 * time.Second
	wordIdle     = time.Minute
	maxWords     = 20_000 // different words of one letter
	maxTitle     = 300    // characters of a subject or name in lists
)

// Words puts the words of letters into the index as they are read, until ctx
// ends; it is to run once per Index, beside Project. Nothing waits for it: a
// letter is registered and queued whether or not it can be searched yet.
func (x *Index) Words(ctx context.Context, read ReadText) error {
	db, err := connect(x.path, 1)
	if err != nil {
		return err
	}
	defer db.Close()
	for {
		x.awaitCalm(ctx)
		seen := x.Applied(ledger.Letter)
		done, failed, err := x.wordSome(ctx, db, read)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("words of letters: %w", err)
		case done > 0 && !failed:
			continue
		}
		pause := wordIdle
		if failed {
			pause, seen = wordRetry, ^uint64(0)-1
		}
		wait, cancel := context.WithTimeout(ctx, pause)
		_ = x.mark(ledger.Letter).wait(wait, seen+1) // whatever ends it, we look again
		cancel()
	}
}

// awaitCalm returns when no letter has moved for a moment, or after a while all
// the same: when a full mailbox is taken in, the processor belongs to bringing
// letters into their queues, and what they are found by can follow.
func (x *Index) awaitCalm(ctx context.Context) {
	patience, stop := context.WithTimeout(ctx, wordPatience)
	defer stop()
	for patience.Err() == nil {
		pause, cancel := context.WithTimeout(patience, wordCalm)
		err := x.mark(ledger.Letter).wait(pause, x.Applied(ledger.Letter)+1)
		cancel()
		if err != nil { // nothing moved
			return
		}
	}
}

// unworded is a letter whose words are not in the index.
type unworded struct {
	row     int64
	letter  sekretariat.Letter
	reading *sekretariat.Reading
	failed  bool
}

// wordSome takes one batch. failed: some could not be opened just now.
func (x *Index) wordSome(ctx context.Context, db *sql.DB, read ReadText) (done int, failed bool, err error) {
	batch, err := x.nextUnworded(ctx)
	if err != nil || len(batch) == 0 {
		return 0, false, err
	}
	var g errgroup.Group
	g.SetLimit(wordReaders)
	for i := range batch {
		g.Go(func() error {
			b := &batch[i]
			r, err := read(ctx, b.letter.ID, b.letter.Reading)
			if err != nil {
				b.failed = true
				if ctx.Err() == nil {
					x.log.Warn().Err(err).Str("letter", string(b.letter.ID)).Msg("a reading could not be opened for the search; trying again")
				}
			}
			b.reading = r
			return nil
		})
	}
	_ = g.Wait()
	opened := slices.DeleteFunc(batch, func(b unworded) bool { return b.failed })
	failed = len(opened) < len(batch)
	return len(opened), failed, x.writeWords(ctx, db, opened)
}

// nextUnworded lists letters that have a reading and no words, the newest
// first: people look for what just came.
func (x *Index) nextUnworded(ctx context.Context) ([]unworded, error) {
	rs, err := x.read.QueryContext(ctx, "SELECT l.id, l.state FROM unworded u JOIN letter l ON l.id = u.letter ORDER BY u.letter DESC LIMIT ?", wordBatch)
	if err != nil {
		return nil, err
	}
	defer rs.Close()
	var out []unworded
	for rs.Next() {
		var u unworded
		var raw []byte
		if err := rs.Scan(&u.row, &raw); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(raw, &u.letter); err != nil {
			return nil, err
		}
		out = append(out, u)
	}
	return out, rs.Err()
}

func (x *Index) writeWords(ctx context.Context, db *sql.DB, batch []unworded) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for _, u := range batch {
		if err := writeWord(ctx, conn, u); err != nil {
			_, _ = conn.ExecContext(forever, "ROLLBACK")
			return err
		}
	}
	_, err = conn.ExecContext(forever, "COMMIT")
	return err
}

// writeWord writes one letter if its row still is that letter: the index may
// have been made again meanwhile.
func writeWord(ctx context.Context, conn *sql.Conn, u unworded) error {
	sub, err := octets(u.letter.ID.Submission())
	if err != nil {
		return err
	}
	var same int
	err = conn.QueryRowContext(ctx, "SELECT 1 FROM unworded u JOIN letter l ON l.id = u.letter WHERE l.id = ? AND l.submission = ? AND l.part = ?",
		u.row, sub, u.letter.ID.Part()).Scan(&same)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	type statement struct {
		text string
		args []any
	}
	statements := []statement{{"DELETE FROM words WHERE rowid = ?", []any{u.row}}, {"DELETE FROM title WHERE letter = ?", []any{u.row}}}
	if r := u.reading; r != nil {
		statements = append(statements,
			statement{"INSERT INTO words(rowid, title, sender, body) VALUES(?,?,?,?)",
				[]any{u.row, wordsOf(r.Subject), wordsOf(senderText(r)), wordsOf(bodyText(r))}},
			statement{"INSERT INTO title(letter, subject, sender) VALUES(?,?,?)", []any{u.row, short(r.Subject), short(r.Sender.Called())}})
	}
	statements = append(statements, statement{"DELETE FROM unworded WHERE letter = ?", []any{u.row}})
	for _, st := range statements {
		if _, err := conn.ExecContext(ctx, st.text, st.args...); err != nil {
			return err
		}
	}
	return nil
}

// senderText is what a sender can be found by.
func senderText(r *sekretariat.Reading) string {
	var b strings.Builder
	for _, p := range append([]sekretariat.Party{r.Sender}, append(r.Senders, r.ReplyTo...)...) {
		b.WriteString(strings.Join(append([]string{p.Name, p.GivenName, p.FamilyName, p.Email}, p.Phone...), "\n"))
		if a := p.Address; a != nil {
			b.WriteString("\n" + strings.Join([]string{a.Street, a.Building, a.Town, a.Postcode}, " "))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func bodyText(r *sekretariat.Reading) string {
	var b strings.Builder
	for _, s := range append([]string{r.Text, r.Reference}, r.CaseNumbers...) {
		b.WriteString(s + "\n")
	}
	for _, p := range r.Parts {
		b.WriteString(p.Name + "\n" + p.Text + "\n")
	}
	return b.String()
}

func short(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > maxTitle {
		return strings.TrimSpace(string(r[:maxTitle])) + "…"
	}
	return s
}

// wordsOf are the different stems of a text and its telephone numbers as their
// last nine digits, once each: the search asks only whether a letter has a word.
func wordsOf(text string) string {
	seen := map[string]bool{}
	var out []string
	phones, _ := cutPhones(text)
	for _, w := range append(phones, stems(text)...) { // a case number may look like a telephone number: it is both
		if !seen[w] && len(out) < maxWords {
			seen[w] = true
			out = append(out, w)
		}
	}
	return strings.Join(out, " ")
}

// stems are the stems of the words of a text.
func stems(text string) []string {
	words := polish.Words(text)
	out := make([]string, 0, len(words))
	for _, w := range words {
		if s := polish.Stem(w); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// Digits of a telephone number: nine in Poland, eleven with the country; the
// old ones of towns are seven.
const (
	phoneDigits = 9
	phoneMost   = 13
)

// cutPhones takes runs of digits out that may be telephone numbers: nine digits
// or more with single blanks, hyphens, dots or brackets between.
func cutPhones(text string) (phones []string, rest string) {
	var b strings.Builder
	for i := 0; i < len(text); {
		end, digits := phoneAt(text, i)
		if n := len(digits); n >= phoneDigits && n <= phoneMost {
			phones = append(phones, digits[n-phoneDigits:])
			b.WriteByte(' ')
			i = end
			continue
		}
		if end > i { // digits, but no telephone number
			b.WriteString(text[i:end])
			i = end
			continue
		}
		b.WriteByte(text[i])
		i++
	}
	return phones, b.String()
}

// phoneAt returns the run of digits and single separators that begins at i, and
// its digits. end is i if no digit stands there.
func phoneAt(text string, i int) (end int, digits string) {
	var d []byte
	end = i
	for j, gap := i, 0; j < len(text); j++ {
		switch c := text[j]; {
		case '0' <= c && c <= '9':
			d = append(d, c)
			end, gap = j+1, 0
		case len(d) > 0 && gap < 2 && (c == ' ' || c == '-' || c == '.' || c == '(' || c == ')'):
			gap++
		default:
			return end, string(d)
		}
	}
	return end, string(d)
}

// maxTerms bounds the words of one question.
const maxTerms = 12

// Search lists the letters that have all words of the question, in whatever
// form they are inflected, the newest first. The last word may be the beginning
// of one. Only letters that the principal may see in full are found: a closed
// one must not be guessed by its words (rule P5).
func (x *Index) Search(ctx context.Context, p sekretariat.Principal, question string, page Page) ([]Row, string, error) {
	match := matchOf(question)
	if match == "" {
		return nil, "", nil
	}
	s := x.see(p)
	q := query{order: "l.id DESC"}
	q.and("l.id IN (SELECT rowid FROM words WHERE words MATCH ?)", match)
	q.and(s.full, s.args...)
	if page.After != "" {
		m, err := parseMark(page.After, 1)
		if err != nil {
			return nil, "", err
		}
		q.and("l.id < ?", m.int(0))
	}
	rows, last, err := x.scan(ctx, s, q, page.limit())
	if err != nil || len(rows) < page.limit() {
		return rows, "", err
	}
	return rows, newMarkString(fmt.Sprint(last.id)), nil
}

// matchOf is the question in FTS5's words. Terms hold letters and digits alone,
// so that nothing in them means anything to FTS5.
func matchOf(question string) string {
	phones, rest := cutPhones(question)
	terms := append(phones, stems(rest)...)
	if len(terms) > maxTerms {
		terms = terms[:maxTerms]
	}
	for i, t := range terms {
		terms[i] = `"` + strings.ReplaceAll(t, `"`, "") + `"`
	}
	if len(terms) == 0 {
		return ""
	}
	return strings.Join(terms, " AND ") + "*"
}
