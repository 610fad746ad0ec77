package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"reflect"
	"strconv"
	"strings"
)

// intro stands above the generated part.
const intro = `# Configuration reference

Generated from the doc comments of ` + "`configs/configs.go`" + ` by ` + "`go generate ./configs`" + `; do not edit.

` + "`--config`" + ` names an installation file (it has the key ` + "`centres`" + `) or one centre profile (it has the key
` + "`id`" + `), which runs with defaults and the data folder ` + "`data/<id>`" + `. ` + "`configs/installation.yaml`" + ` shows every
option of an installation, the other files in ` + "`configs/`" + ` are profiles.

- Files are read strictly: an unknown key or a value of a wrong kind is an error with line and caret.
- A value that the office has not given yet is written ` + "`unknown`" + `. A channel that lacks a value it needs is turned
  off with a warning, and the service starts.
- Secrets are never written into the configuration: ` + "`{ file: … }`" + ` or ` + "`{ env: … }`" + ` says where they are.
- Relative paths are relative to the folder of the file that they stand in.
- Times are written ` + "`5s`, `15m`, `24h`" + `; days ` + "`2026-03-31`" + `; sizes are octets.
- An id is a slug: lower-case letters, digits and hyphens, at most 40. Ids of centres, series and accounts must never
  change once letters have arrived.

## Phrases

The phrases of a rule (` + "`subject`, `text`, `with`, `not`" + `) are compared without case, diacritics and inflection: ` + "`zasiłek stały`" + `
finds "zasiłku stałego". ` + "`bij*`" + ` finds every word that begins so, ` + "`\"\\\"golf\\\"\"`" + ` in quotation marks only this very form, and
` + "`nie ma ... opału`" + ` lets up to three words stand in the gap.

## How rules decide

Every rule whose conditions all hold gives points to its label or department: −ln(1 − weight) for one term, half as much
again for each further term (up to four), 1.4 times as much when a term stands in the subject. Quoted mails and footers do
not count, nor does a term directly after "nie", "bez" or "ani". The points of everything that leads to one department are
added up; the centre's own case number, the department's name in the letter and the default department of the account
count as well. The department with most points gets the letter. The sekretariat keeps it when nothing holds, when too
little holds, or when two departments have the same right; violence that is nearly first goes first. Rules with a higher
` + "`priority`" + ` decide alone, whatever the others say. A rule of the centre with the id of a built-in one replaces it; the
built-in set is ` + "`router/rules/common-*.yaml`" + `. ` + "`labels`" + ` makes a rule count only when the letter seems to be about one of
them: that is how the urgency of a matter is said.
`

// reference returns the Markdown reference of the types in some Go files.
func reference(sources ...string) (string, error) {
	types := map[string]structType{}
	for _, source := range sources {
		file, err := parser.ParseFile(token.NewFileSet(), source, nil, parser.ParseComments)
		if err != nil {
			return "", fmt.Errorf("read %s: %w", source, err)
		}
		maps.Copy(types, structs(file))
	}
	var b strings.Builder
	b.WriteString(intro)
	for _, root := range []string{"Installation", "Centre"} {
		fmt.Fprintf(&b, "\n## %s file\n", root)
		for _, name := range reachable(types, root) {
			writeType(&b, name, types)
		}
	}
	return b.String(), nil
}

// structType is one documented struct.
type structType struct {
	doc    string
	fields []field
}

// field is one key. inline is the type whose keys stand at the same level.
type field struct {
	key, typ, doc, inline string
}

func structs(file *ast.File) map[string]structType {
	out := map[string]structType{}
	for _, decl := range file.Decls {
		g, ok := decl.(*ast.GenDecl)
		if !ok || g.Tok != token.TYPE {
			continue
		}
		for _, spec := range g.Specs {
			t := spec.(*ast.TypeSpec)
			st, ok := t.Type.(*ast.StructType)
			if !ok {
				continue
			}
			out[t.Name.Name] = structType{doc: oneLine(g.Doc), fields: fields(st)}
		}
	}
	return out
}

func fields(st *ast.StructType) []field {
	var out []field
	for _, f := range st.Fields.List {
		if f.Tag == nil {
			continue
		}
		tag, err := strconv.Unquote(f.Tag.Value)
		if err != nil {
			continue
		}
		key, opts, _ := strings.Cut(reflect.StructTag(tag).Get("yaml"), ",")
		switch {
		case opts == "inline":
			out = append(out, field{inline: typeName(f.Type)})
		case key != "" && key != "-":
			out = append(out, field{key: key, typ: typeName(f.Type), doc: strings.TrimSpace(oneLine(f.Doc) + " " + oneLine(f.Comment))})
		}
	}
	return out
}

func oneLine(c *ast.CommentGroup) string {
	if c == nil {
		return ""
	}
	return strings.Join(strings.Fields(c.Text()), " ")
}

// typeName writes a type as the reader of YAML sees it.
func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		switch e.Name {
		case "string":
			return "text"
		case "int", "int64":
			return "whole number"
		case "float64":
			return "number"
		case "bool":
			return "true or false"
		}
		return e.Name
	case *ast.StarExpr:
		return typeName(e.X)
	case *ast.ArrayType:
		return "list of " + typeName(e.Elt)
	case *ast.MapType:
		return typeName(e.Key) + " → " + typeName(e.Value)
	case *ast.SelectorExpr:
		if e.Sel.Name == "Duration" {
			return "time"
		}
		if strings.HasSuffix(e.Sel.Name, "ID") {
			return "id"
		}
		return strings.ToLower(e.Sel.Name)
	}
	return "?"
}

// reachable returns root and the struct types that it uses, in order of use.
func reachable(types map[string]structType, root string) []string {
	order, seen := []string{}, map[string]bool{}
	var visit func(string)
	visit = func(name string) {
		t, ok := types[name]
		if !ok || seen[name] {
			return
		}
		seen[name] = true
		order = append(order, name)
		for _, f := range t.fields {
			visit(element(f.typ))
		}
	}
	visit(root)
	return order
}

// element is the type inside lists and maps.
func element(typ string) string {
	if _, v, ok := strings.Cut(typ, " → "); ok {
		typ = v
	}
	return strings.TrimPrefix(typ, "list of ")
}

func writeType(b *strings.Builder, name string, types map[string]structType) {
	fmt.Fprintf(b, "\n### %s\n\n%s\n\n| key | value | meaning |\n| --- | --- | --- |\n", name, types[name].doc)
	writeFields(b, types[name], types)
}

func writeFields(b *strings.Builder, t structType, types map[string]structType) {
	for _, f := range t.fields {
		if f.inline != "" {
			writeFields(b, types[f.inline], types)
			continue
		}
		typ := f.typ
		if e := element(typ); types[e].fields != nil {
			typ = strings.Replace(typ, e, fmt.Sprintf("[%s](#%s)", e, strings.ToLower(e)), 1)
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", f.key, typ, strings.ReplaceAll(f.doc, "|", "\\|"))
	}
}
