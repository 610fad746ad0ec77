package desk

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"

	"sekretariat"
	"sekretariat/configs"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed static
var staticFiles embed.FS

// pages are the templates, each inside the frame, and the static files.
type pages struct {
	byName map[string]*template.Template
	static http.Handler
}

func loadPages() (*pages, error) {
	base, err := template.New("").Funcs(words).ParseFS(templateFiles, "templates/rama.html", "templates/lista.html")
	if err != nil {
		return nil, fmt.Errorf("templates of the desk: %w", err)
	}
	p := &pages{byName: map[string]*template.Template{}}
	files, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		return nil, fmt.Errorf("templates of the desk: %w", err)
	}
	for _, f := range files {
		name := strings.TrimSuffix(path.Base(f), ".html")
		t, err := template.Must(base.Clone()).ParseFS(templateFiles, f)
		if err != nil {
			return nil, fmt.Errorf("template %s of the desk: %w", name, err)
		}
		p.byName[name] = t
	}
	p.static = http.FileServerFS(staticFiles)
	return p, nil
}

// render writes a page, or nothing of it: a template that fails half-way must
// not leave half a page.
func (p *pages) render(w http.ResponseWriter, status int, name string, f frame) {
	p.part(w, status, name, "rama", f)
}

// part writes one named part of a page, for htmx.
func (p *pages) part(w http.ResponseWriter, status int, name, block string, data any) {
	var b bytes.Buffer
	if err := p.byName[name].ExecuteTemplate(&b, block, data); err != nil {
		http.Error(w, "Strony nie da się wyświetlić. Powiadom administratora.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = b.WriteTo(w) // the browser is gone: nobody to tell
}

// frame is what every page has around its own data.
type frame struct {
	Title   string
	Problem string // shown above everything, in red
	Centre  *configs.Centre
	Name    string // of the person, "" when nobody is signed in
	Menu    []menuItem
	Held    []heldView // decisions that may still be undone
	Data    any
}

type menuItem struct {
	Path, Name string
	Here       bool
}

func (d *Desk) frame(v *visit, title string, data any) frame {
	f := frame{Title: title, Data: data}
	if v == nil {
		return f
	}
	f.Centre, f.Name = v.c.Config, v.person.Name
	f.Held = d.held.of(v.person.ID, v.c)
	if v.who.Register {
		f.Menu = append(f.Menu, menuItem{Path: "/", Name: "Sekretariat"})
	}
	for _, dep := range v.who.Departments {
		if dep != sekretariat.Sekretariat {
			f.Menu = append(f.Menu, menuItem{Path: "/dzial/" + string(dep), Name: departmentName(v.c.Config, dep)})
		}
	}
	if mayWrite(*v) {
		f.Menu = append(f.Menu, menuItem{Path: "/nowe/telefon", Name: "Wpisz"})
	}
	if v.who.Register || v.who.Admin {
		f.Menu = append(f.Menu, menuItem{Path: "/rejestr", Name: "Rejestr"})
	}
	f.Menu = append(f.Menu, menuItem{Path: "/stan", Name: "Stan"}, menuItem{Path: "/pomoc", Name: "Pomoc"})
	for i := range f.Menu {
		f.Menu[i].Here = f.Menu[i].Path == v.r.URL.Path
	}
	return f
}

// show renders a page of somebody who is signed in.
func (d *Desk) show(v visit, name, title string, data any) error {
	d.pages.render(v.w, http.StatusOK, name, d.frame(&v, title, data))
	return nil
}

func departmentName(c *configs.Centre, id sekretariat.DepartmentID) string {
	for _, dep := range c.Departments {
		if dep.ID == id {
			return dep.Name
		}
	}
	return string(id)
}
