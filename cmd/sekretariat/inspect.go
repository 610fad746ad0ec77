package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/extract"
	"sekretariat/extract/virus"
	"sekretariat/pipeline"
)

// readChild is started by the program itself, see extract.Pool.
func readChild(context.Context, *cli) error { return extract.Serve(os.Stdin, os.Stdout) }

// inspect shows what is read in files, without registering anything.
func inspect(ctx context.Context, c *cli) error {
	f := c.flags("inspect")
	asJSON := f.Bool("json", false, "print the whole reading as JSON")
	limit := f.Duration("time", time.Minute, "longest reading of one file")
	trusted := f.String("trust", "", "file that says whose signatures count (the keys of trust in an installation file), or an installation file")
	password := f.String("password-file", "", "file with the password of what is encrypted, - for the standard input")
	clamd := f.String("virus-scan", "", "socket of clamd, to scan the files as a letter would be: unix:/run/clamav/clamd.ctl or host:port")
	var o letterFlags
	o.add(f)
	files, err := c.parse(f)
	if err != nil {
		return err
	}
	if o.letter != "" {
		return inspectLetter(ctx, c, o)
	}
	if len(files) == 0 {
		return usagef("name a file: sekretariat inspect FILE [--json]")
	}
	temp, err := os.MkdirTemp("", "sekretariat-inspect-*")
	if err != nil {
		return fmt.Errorf("temporary folder: %w", err)
	}
	defer os.RemoveAll(temp)
	list, err := trustOf(*trusted)
	if err != nil {
		return err
	}
	listFile, err := writeTrust(list, temp)
	if err != nil {
		return err
	}
	pool, err := readPool(c, extract.PoolOptions{Time: *limit, Trust: listFile})
	if err != nil {
		return err
	}
	defer pool.Close()
	look := inspection{pool: pool}
	if look.password, err = passwordFrom(*password); err != nil {
		return err
	}
	if *clamd != "" {
		look.scanner = virus.New(*clamd)
	}
	bad := 0
	for _, name := range files {
		r, scan, err := look.file(ctx, name)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil { // the others are shown all the same
			fmt.Fprintf(c.stderr, "sekretariat inspect: %v\n", err)
			bad++
			continue
		}
		if *asJSON {
			enc := json.NewEncoder(c.stdout)
			enc.SetEscapeHTML(false)
			enc.SetIndent("", "  ")
			if err := enc.Encode(inspected{r, scan}); err != nil {
				return err
			}
			continue
		}
		printReading(c.stdout, name, r)
		printScan(c.stdout, scan)
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d files could not be looked at", bad, len(files))
	}
	return nil
}

// inspection is what files are looked at with.
type inspection struct {
	pool     *extract.Pool
	password string
	scanner  *virus.Scanner // nil: nobody looks for viruses
}

// inspected is the JSON of one file.
type inspected struct {
	sekretariat.Reading
	Scan *sekretariat.ScannedData `json:"scan,omitempty"`
}

func (i inspection) file(ctx context.Context, name string) (r sekretariat.Reading, scan *sekretariat.ScannedData, err error) {
	f, err := os.Open(name)
	if err != nil {
		return r, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return r, nil, err
	}
	if !info.Mode().IsRegular() {
		return r, nil, usagef("%s is not a file", name)
	}
	body := io.NewSectionReader(f, 0, info.Size())
	r, err = i.pool.Read(ctx, extract.Input{Kind: kindByName(name), Name: filepath.Base(name), Body: body, Password: i.password})
	if err != nil || i.scanner == nil {
		return r, nil, err
	}
	version, err := i.scanner.Ping(ctx)
	if err != nil {
		return r, nil, fmt.Errorf("%w; start clamav-daemon, or leave --virus-scan out", err)
	}
	data, err := pipeline.ScanBody(ctx, i.scanner, i.pool, &r, "", body)
	data.Scanner, data.Database, data.Signatures = version.Program, version.Database, version.Made
	return r, &data, err
}

// passwordFrom reads a password from a file or the standard input, so that it
// stands on no command line; a line end behind it is taken off.
func passwordFrom(name string) (string, error) {
	var raw []byte
	var err error
	switch name {
	case "":
		return "", nil
	case "-":
		raw, err = io.ReadAll(io.LimitReader(os.Stdin, 4096))
	default:
		raw, err = os.ReadFile(name)
	}
	if err != nil {
		return "", fmt.Errorf("password: %w", err)
	}
	return strings.TrimRight(string(raw), "\r\n"), nil
}

// printScan prints what the virus scanner said.
func printScan(w io.Writer, d *sekretariat.ScannedData) {
	if d == nil {
		return
	}
	age := "of unknown age"
	if d.Signatures != nil {
		age = "of " + d.Signatures.Format(time.RFC3339)
	}
	fmt.Fprintf(w, "virus scan: %s, signatures %s, %d looked at\n", d.Scanner, age, d.Scanned)
	where := func(path string) string {
		if path == "" {
			return "the whole"
		}
		return "part " + path
	}
	for _, p := range d.Infected {
		fmt.Fprintf(w, "  infected: %s, %s\n", where(p.Path), p.Code)
	}
	for _, p := range d.Unscanned {
		fmt.Fprintf(w, "  not looked into: %s, %s\n", where(p.Path), p.Code)
	}
	fmt.Fprintln(w)
}

// kindByName lets a .eml be read as mail even if it hardly looks like one, as
// the mail channel would. Everything else goes by content.
func kindByName(name string) sekretariat.Kind {
	if strings.EqualFold(filepath.Ext(name), ".eml") {
		return sekretariat.KindMail
	}
	return ""
}

func printReading(w io.Writer, name string, r sekretariat.Reading) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(label, value string) {
		if value != "" {
			fmt.Fprintf(t, "%s\t%s\n", label, oneLine(value, 200))
		}
	}
	fmt.Fprintf(t, "%s\t%s, %s, read by %s\n", name, r.Format, r.Outcome, r.Reader)
	line("subject", r.Subject)
	line("sender", party(r.Sender))
	for _, p := range r.Senders {
		line("sender by "+p.Basis, party(p))
	}
	for _, p := range r.ReplyTo {
		line("reply to", party(p))
	}
	for _, p := range r.Recipients[:min(len(r.Recipients), 20)] {
		line("recipient", party(p))
	}
	line("written", r.Written)
	if r.Sent != nil {
		line("sent", r.Sent.Format(time.RFC3339))
	}
	line("form", r.Form)
	line("automatic", r.Auto)
	line("case numbers", strings.Join(r.CaseNumbers, ", "))
	line("text", r.Text)
	for _, p := range r.Parts {
		fmt.Fprintf(t, "part %s\t%s, %s, %d octets, %s, sha256 %s\n", p.Path, oneLine(p.Name, 80), p.Type, p.Size, p.Fate, p.SHA256)
	}
	if len(r.Pages) > 0 {
		fmt.Fprintf(t, "pages\t%d\n", len(r.Pages))
	}
	for _, p := range r.Pages[:min(len(r.Pages), 20)] {
		if p.Width > 0 {
			fmt.Fprintf(t, "page\t%s %d × %d, %d dpi, orientation %d\n", strings.TrimSpace(p.Part+" "+strconv.Itoa(p.Number)), p.Width, p.Height, p.DPI, p.Orientation)
		}
	}
	for _, c := range r.Codes {
		fmt.Fprintf(t, "code\t%s on page %d: %s\n", c.Symbol, c.Page, oneLine(c.Value, 80))
	}
	for _, s := range r.Signatures {
		text := s.Text
		if text == "" {
			text = s.Verdict
		}
		of := ""
		if s.Of != "" {
			of = " of " + s.Of + " by " + s.Pairing
		}
		fmt.Fprintf(t, "signature\t%s%s, %s: %s\n", strings.TrimSpace(s.Type+" "+s.Part), of, s.Verdict, oneLine(text, 300))
	}
	printEffects(t, r)
	for _, f := range r.Findings {
		fmt.Fprintf(t, "finding\t%s %s %s\n", f.Code, f.Part, oneLine(f.Detail, 80))
	}
	t.Flush()
	fmt.Fprintln(w)
}

func party(p sekretariat.Party) string {
	return strings.TrimSpace(strings.Join([]string{p.Name, p.Email, strings.Join(p.Phone, " ")}, " "))
}

// oneLine makes foreign text safe for a terminal: one line, no control or
// direction characters, bounded.
func oneLine(s string, n int) string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\r', r == '\t':
			return ' '
		case r < 0x20, r >= 0x7f && r < 0xa0, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
			return '·'
		}
		return r
	}, s)
	if rs := []rune(clean); len(rs) > n {
		return string(rs[:n]) + "…"
	}
	return clean
}

// printEffects prints what an ePUAP letter that came today would count for, by
// the table that comes with the program.
func printEffects(w io.Writer, r sekretariat.Reading) {
	if !strings.HasPrefix(r.Reader, "epuap-") || r.Outcome == sekretariat.ReadUnreadable {
		return
	}
	for _, e := range (&configs.Centre{}).LegalEffects(sekretariat.KindEPUAP, sekretariat.SystemClock()) {
		label := e.Matter.Title()
		if e.Sender == configs.SenderPublicBody {
			label = "pismo podmiotu publicznego"
		}
		fmt.Fprintf(w, "legal effect\t%s: %s\n", label, e.Word())
	}
}
