package configs

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

var (
	durationType = reflect.TypeFor[time.Duration]()
	secretType   = reflect.TypeFor[Secret]()
)

// checkShape compares the tree with a Go type before decoding, so that all
// unknown keys and all values of a wrong kind are reported at once. Values
// written as "unknown" are remembered and taken out.
func (d *document) checkShape(n ast.Node, t reflect.Type, at path) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Struct:
		d.checkStruct(n, t, at)
	case reflect.Map:
		d.checkMap(n, t, at)
	case reflect.Slice:
		d.checkList(n, t, at)
	default:
		d.checkScalar(n, t)
	}
}

func (d *document) checkStruct(n ast.Node, t reflect.Type, at path) {
	m, ok := n.(*ast.MappingNode)
	switch {
	case !ok && t == secretType:
		d.hide(n.GetToken())
		d.at(n.GetToken(), "a secret is never written into the configuration: give \"file: …\" or \"env: …\"")
		return
	case !ok:
		d.at(n.GetToken(), "expected keys and values: %s", strings.Join(fieldNames(t), ", "))
		return
	}
	fields := fieldTypes(t)
	m.Values = slices.DeleteFunc(m.Values, func(v *ast.MappingValueNode) bool {
		key := keyText(v)
		ft, known := fields[key]
		switch {
		case !known:
			d.at(v.Key.GetToken(), "unknown key %q%s", key, didYouMean(key, fieldNames(t)))
			return true
		case isUnknown(v.Value):
			d.unknown = append(d.unknown, at.with(key))
			return true
		case v.Value == nil || v.Value.Type() == ast.NullType:
			return true // "key:" without a value: as if it were not there
		}
		d.checkShape(v.Value, ft, at.with(key))
		return false
	})
}

func (d *document) checkMap(n ast.Node, t reflect.Type, at path) {
	m, ok := n.(*ast.MappingNode)
	if !ok {
		d.at(n.GetToken(), "expected keys and values")
		return
	}
	m.Values = slices.DeleteFunc(m.Values, func(v *ast.MappingValueNode) bool {
		key := keyText(v)
		if isUnknown(v.Value) {
			d.unknown = append(d.unknown, at.with(key))
			return true
		}
		if t.Key().Kind() == reflect.Int {
			if _, err := strconv.Atoi(key); err != nil {
				d.at(v.Key.GetToken(), "expected a whole number as key, not %q", key)
				return true
			}
		}
		d.checkShape(v.Value, t.Elem(), at.with(key))
		return false
	})
}

func (d *document) checkList(n ast.Node, t reflect.Type, at path) {
	list, ok := n.(*ast.SequenceNode)
	if !ok {
		d.at(n.GetToken(), "expected a list (\"- …\" lines or [a, b])")
		return
	}
	for i, v := range list.Values {
		d.checkShape(v, t.Elem(), at.with(i))
	}
}

func (d *document) checkScalar(n ast.Node, t reflect.Type) {
	switch n.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode:
		d.at(n.GetToken(), "YAML anchors, aliases and tags are not used here: write the value out")
		return
	}
	if !isScalar(n) {
		d.at(firstToken(n), "expected %s", scalarName(t))
		return
	}
	text := n.GetToken().Value
	ok := true
	switch {
	case t == durationType:
		_, err := time.ParseDuration(text)
		ok = err == nil
	case t.Kind() == reflect.Bool:
		ok = n.Type() == ast.BoolType
	case t.Kind() == reflect.Int || t.Kind() == reflect.Int64:
		_, err := strconv.ParseInt(text, 10, 64)
		ok = err == nil && n.Type() == ast.IntegerType
	case t.Kind() == reflect.Float64:
		_, err := strconv.ParseFloat(text, 64)
		ok = err == nil && (n.Type() == ast.IntegerType || n.Type() == ast.FloatType)
	}
	if !ok {
		d.at(n.GetToken(), "expected %s, not %q", scalarName(t), text)
	}
}

func scalarName(t reflect.Type) string {
	switch {
	case t == durationType:
		return "a time like 30s, 15m or 24h"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Int || t.Kind() == reflect.Int64:
		return "a whole number"
	case t.Kind() == reflect.Float64:
		return "a number"
	}
	return "a text"
}

func isUnknown(n ast.Node) bool {
	return n != nil && isScalar(n) && n.GetToken().Value == unknownValue
}

// fieldTypes returns the YAML keys of a struct and the types of their values,
// those of inlined structs included.
func fieldTypes(t reflect.Type) map[string]reflect.Type {
	out := map[string]reflect.Type{}
	for f := range t.Fields() {
		name, opts, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case name == "-" || !f.IsExported():
		case opts == "inline":
			for k, v := range fieldTypes(f.Type) {
				out[k] = v
			}
		default:
			out[name] = f.Type
		}
	}
	return out
}

func fieldNames(t reflect.Type) []string {
	var names []string
	for k := range fieldTypes(t) {
		names = append(names, k)
	}
	slices.Sort(names)
	return names
}

// didYouMean names the nearest allowed key when it is near enough to be meant.
func didYouMean(key string, allowed []string) string {
	best, distance := "", 3
	for _, a := range allowed {
		if n := editDistance(key, a); n < distance && n < len(a) {
			best, distance = a, n
		}
	}
	switch {
	case len(allowed) == 0:
		return ": none is defined"
	case best == "":
		return fmt.Sprintf(": allowed are %s", strings.Join(allowed, ", "))
	}
	return fmt.Sprintf(": did you mean %q?", best)
}

// editDistance is the Levenshtein distance of two short words.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
