package view

import (
	"crypto/sha256"
	_ "embed" // the page and its style
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"strings"
)

//go:embed view.css
var style string

//go:embed view.html
var page string

var pageTemplate = template.Must(template.New("view").Parse(page))

// Policy is the Content-Security-Policy of the page: nothing is loaded, nothing
// runs, and only the style that stands in it applies.
var Policy = func() string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; sandbox; frame-ancestors 'self'"
}()

// HTML writes the page: complete in one file, for screen and printer.
func HTML(w io.Writer, l Letter) error {
	err := pageTemplate.Execute(w, map[string]any{
		"Style": template.CSS(style), "Centre": l.Centre, "Title": l.title(), "Head": l.head(), "People": l.people(), //nolint:gosec // the style is ours
		"Text": strings.TrimSpace(l.Reading.Text), "Sections": l.sections(), "Foot": l.foot(),
	})
	if err != nil {
		return fmt.Errorf("page of a letter: %w", err)
	}
	return nil
}
