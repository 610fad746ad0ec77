package edeliverytest

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
)

//go:embed uaapi.yaml
var ownContract []byte

// Contract is an OpenAPI file by which requests and answers are judged: what
// of OpenAPI 3.0.3 the User Agent API's contract uses, and stricter: a query
// parameter or a key of a request that the contract does not name is an error.
type Contract struct {
	root map[string]any
	ops  []operation
}

// operation is one method of one path.
type operation struct {
	method   string
	template []string // segments of the path; "{name}" is a parameter
	scope    string
	spec     map[string]any
	name     string
}

// OwnContract is the part of the API that this repository wrote down.
func OwnContract() (*Contract, error) { return ParseContract(ownContract) }

// ParseContract reads an OpenAPI file.
func ParseContract(raw []byte) (*Contract, error) {
	c := &Contract{}
	if err := yaml.Unmarshal(raw, &c.root); err != nil {
		return nil, fmt.Errorf("contract: %w", err)
	}
	paths := object(c.root["paths"])
	for path, item := range paths {
		for method, spec := range object(item) {
			op := operation{method: strings.ToUpper(method), template: strings.Split(strings.Trim(path, "/"), "/"), spec: object(spec), name: method + " " + path}
			for _, s := range list(op.spec["security"]) {
				for _, scope := range list(object(s)["oAuthUserAgent"]) {
					op.scope = fmt.Sprint(scope)
				}
			}
			c.ops = append(c.ops, op)
		}
	}
	if len(c.ops) == 0 {
		return nil, errors.New("contract: no paths")
	}
	return c, nil
}

func object(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}

// call is a request that was found in the contract.
type call struct {
	op     *operation
	params map[string]string // of path and query
}

// errContract: a request or answer that the contract does not allow.
var errContract = errors.New("against the contract")

// Request judges a request. path is the part below the API's base, undecoded.
func (c *Contract) Request(method, path string, query url.Values, header http.Header, body []byte) (*call, error) {
	segments := strings.Split(strings.Trim(path, "/"), "/")
	var found *call
	for i := range c.ops {
		op := &c.ops[i]
		params, ok := op.match(method, segments)
		if ok && (found == nil || op.literals() > found.op.literals()) {
			found = &call{op: op, params: params}
		}
	}
	if found == nil {
		return nil, fmt.Errorf("%w: no operation %s %s", errContract, method, path)
	}
	if err := c.parameters(found, query); err != nil {
		return found, fmt.Errorf("%s: %w", found.op.name, err)
	}
	return found, c.requestBody(found.op, header, body)
}

func (op *operation) match(method string, segments []string) (map[string]string, bool) {
	if op.method != method || len(segments) != len(op.template) {
		return nil, false
	}
	params := map[string]string{}
	for i, t := range op.template {
		if !strings.HasPrefix(t, "{") {
			if segments[i] != t {
				return nil, false
			}
			continue
		}
		v, err := url.PathUnescape(segments[i])
		if err != nil || v == "" {
			return nil, false
		}
		params[strings.Trim(t, "{}")] = v
	}
	return params, true
}

// literals counts the segments that are no parameters: the more, the better
// the operation fits.
func (op *operation) literals() (n int) {
	for _, t := range op.template {
		if !strings.HasPrefix(t, "{") {
			n++
		}
	}
	return n
}

func (c *Contract) parameters(f *call, query url.Values) error {
	known := map[string]bool{}
	for _, p := range list(f.op.spec["parameters"]) {
		spec := c.resolve(p)
		name, in := fmt.Sprint(spec["name"]), fmt.Sprint(spec["in"])
		value, given := f.params[name]
		if in == "query" {
			known[name] = true
			if len(query[name]) > 1 {
				return fmt.Errorf("%w: parameter %s is given twice", errContract, name)
			}
			given = len(query[name]) == 1
			value = query.Get(name)
		}
		if !given {
			if spec["required"] == true {
				return fmt.Errorf("%w: parameter %s is missing", errContract, name)
			}
			continue
		}
		if err := c.text(c.resolve(spec["schema"]), value); err != nil {
			return fmt.Errorf("parameter %s: %w", name, err)
		}
		f.params[name] = value
	}
	for name := range query {
		if !known[name] {
			return fmt.Errorf("%w: no parameter %s", errContract, name)
		}
	}
	return nil
}

// text judges a parameter, which is text whatever its type.
func (c *Contract) text(schema map[string]any, value string) error {
	switch schema["type"] {
	case "integer", "number":
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return fmt.Errorf("%w: %q is no integer", errContract, value)
		}
		return c.value(schema, float64(n), "", true)
	case "boolean":
		if value != "true" && value != "false" {
			return fmt.Errorf("%w: %q is no boolean", errContract, value)
		}
		return nil
	case "array": // style simple: values separated by commas
		var items []any
		for part := range strings.SplitSeq(value, ",") {
			items = append(items, part)
		}
		return c.value(schema, items, "", true)
	}
	return c.value(schema, value, "", true)
}

func (c *Contract) requestBody(op *operation, header http.Header, body []byte) error {
	spec := c.resolve(op.spec["requestBody"])
	if spec == nil {
		if len(body) > 0 {
			return fmt.Errorf("%s: %w: a body that nobody asked for", op.name, errContract)
		}
		return nil
	}
	media := object(object(spec["content"])["application/json"])
	if media == nil {
		return nil // no JSON: not used by our client
	}
	if header.Get("Content-Type") != "application/json" {
		return fmt.Errorf("%s: %w: Content-Type %q", op.name, errContract, header.Get("Content-Type"))
	}
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		return fmt.Errorf("%s: %w: body: %w", op.name, errContract, err)
	}
	if err := c.value(c.resolve(media["schema"]), v, "body", true); err != nil {
		return fmt.Errorf("%s: %w", op.name, err)
	}
	return nil
}

// Answer judges the JSON of an answer.
func (c *Contract) Answer(f *call, status int, body []byte) error {
	responses := object(f.op.spec["responses"])
	spec := c.resolve(responses[strconv.Itoa(status)])
	if spec == nil {
		return fmt.Errorf("%s: %w: no answer with status %d", f.op.name, errContract, status)
	}
	media := object(object(spec["content"])["application/json"])
	if media == nil {
		return nil
	}
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		return fmt.Errorf("%s: %w: %w", f.op.name, errContract, err)
	}
	if err := c.value(c.resolve(media["schema"]), v, "answer", false); err != nil {
		return fmt.Errorf("%s: %w", f.op.name, err)
	}
	return nil
}

// resolve follows a $ref.
func (c *Contract) resolve(v any) map[string]any {
	m := object(v)
	for range 8 {
		ref, ok := m["$ref"].(string)
		if !ok {
			return m
		}
		at := c.root
		for step := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
			at = object(at[step])
		}
		m = at
	}
	return m
}

// value judges a JSON value by a schema. strict refuses keys that the schema
// does not name.
func (c *Contract) value(schema map[string]any, v any, at string, strict bool) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s: %s", errContract, at, fmt.Sprintf(format, args...))
	}
	if enum := list(schema["enum"]); enum != nil && !slices.ContainsFunc(enum, func(e any) bool { return fmt.Sprint(e) == fmt.Sprint(v) }) {
		return bad("%v is none of %v", v, enum)
	}
	switch schema["type"] {
	case "string":
		s, ok := v.(string)
		if !ok {
			return bad("%v is no string", v)
		}
		return stringValue(schema, s, bad)
	case "integer", "number":
		n, ok := v.(float64)
		if !ok || schema["type"] == "integer" && n != float64(int64(n)) {
			return bad("%v is no number", v)
		}
		if least, ok := limit(schema["minimum"]); ok && n < least {
			return bad("%v is less than %v", n, least)
		}
		if most, ok := limit(schema["maximum"]); ok && n > most {
			return bad("%v is more than %v", n, most)
		}
	case "boolean":
		if _, ok := v.(bool); !ok {
			return bad("%v is no boolean", v)
		}
	case "array":
		items, ok := v.([]any)
		if most, limited := limit(schema["maxItems"]); !ok || limited && float64(len(items)) > most {
			return bad("no array, or too long")
		}
		for i, item := range items {
			if err := c.value(c.resolve(schema["items"]), item, fmt.Sprintf("%s[%d]", at, i), strict); err != nil {
				return err
			}
		}
	default:
		return c.objectValue(schema, v, at, strict)
	}
	return nil
}

func (c *Contract) objectValue(schema map[string]any, v any, at string, strict bool) error {
	m, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf("%w: %s: no object", errContract, at)
	}
	for _, name := range list(schema["required"]) {
		if _, ok := m[fmt.Sprint(name)]; !ok {
			return fmt.Errorf("%w: %s: %v is missing", errContract, at, name)
		}
	}
	properties, more := object(schema["properties"]), c.resolve(schema["additionalProperties"])
	for name, inner := range m {
		spec := more
		if p, ok := properties[name]; ok {
			spec = c.resolve(p)
		} else if more == nil {
			if strict && properties != nil {
				return fmt.Errorf("%w: %s: no key %s", errContract, at, name)
			}
			continue
		}
		if err := c.value(spec, inner, at+"."+name, strict); err != nil {
			return err
		}
	}
	return nil
}

func stringValue(schema map[string]any, s string, bad func(string, ...any) error) error {
	if most, ok := limit(schema["maxLength"]); ok && float64(utf8.RuneCountInString(s)) > most {
		return bad("longer than %v", most)
	}
	if least, ok := limit(schema["minLength"]); ok && float64(utf8.RuneCountInString(s)) < least {
		return bad("shorter than %v", least)
	}
	switch schema["format"] {
	case "date-time":
		if _, err := time.Parse(time.RFC3339Nano, s); err != nil {
			return bad("%q is no date-time", s)
		}
	case "uri":
		if u, err := url.Parse(s); err != nil || !u.IsAbs() {
			return bad("%q is no URI", s)
		}
	}
	return nil
}

func limit(v any) (float64, bool) {
	switch n := v.(type) {
	case uint64:
		return float64(n), true
	case int64:
		return float64(n), true
	case int:
		return float64(n), true
	case float64:
		return n, true
	}
	return 0, false
}
