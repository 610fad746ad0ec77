package xmlsec

import "strings"

// declare checks one namespace declaration (Namespaces in XML 1.0 §3, §5).
func (s *Scanner) declare(declared []Binding, a rawAttr) ([]Binding, error) {
	prefix := a.local
	if a.prefix == "" {
		prefix = ""
	}
	switch {
	case prefix == "xml" && a.value == SpaceXML:
		return declared, nil
	case prefix == "xml" || a.value == SpaceXML || prefix == "xmlns" || a.value == SpaceXMLNS:
		return nil, s.bad("reserved namespace prefix or name")
	case prefix != "" && a.value == "":
		return nil, s.bad("prefix declared without a name")
	}
	for _, d := range declared {
		if d.Prefix == prefix {
			return nil, s.bad("namespace declared twice")
		}
	}
	return append(declared, Binding{prefix, s.intern(a.value)}), nil
}

// resolve gives a name its namespace; an unprefixed one gets the default.
func (s *Scanner) resolve(prefix, local string) (Name, error) {
	switch prefix {
	case "xml":
		return Name{prefix, local, SpaceXML}, nil
	case "xmlns":
		return Name{}, s.bad("reserved prefix")
	}
	if space, ok := lookup(s.scope, prefix); ok || prefix == "" {
		return Name{prefix, local, space}, nil
	}
	return Name{}, s.bad("prefix is not declared")
}

// lookup finds the innermost binding of a prefix.
func lookup(scope []Binding, prefix string) (string, bool) {
	for i := len(scope) - 1; i >= 0; i-- {
		if scope[i].Prefix == prefix {
			return scope[i].Space, true
		}
	}
	return "", false
}

func (s *Scanner) resolveAttrs() ([]Attr, error) {
	if len(s.rawAttrs) == 0 {
		return nil, nil
	}
	attrs := make([]Attr, 0, len(s.rawAttrs))
	seen := make(map[Name]bool, len(s.rawAttrs))
	for _, a := range s.rawAttrs {
		n := Name{Local: a.local}
		if a.prefix != "" {
			var err error
			if n, err = s.resolve(a.prefix, a.local); err != nil {
				return nil, err
			}
		}
		key := Name{Local: n.Local, Space: n.Space}
		if seen[key] {
			return nil, s.bad("attribute given twice")
		}
		seen[key] = true
		attrs = append(attrs, Attr{n, a.value})
	}
	return attrs, nil
}

func splitName(raw string) (prefix, local string) {
	if p, l, ok := strings.Cut(raw, ":"); ok {
		return p, l
	}
	return "", raw
}

// intern keeps one copy of names that come again and again.
func (s *Scanner) intern(v string) string {
	if have, ok := s.names[v]; ok {
		return have
	}
	if len(s.names) < 4096 && len(v) <= 256 {
		s.names[v] = v
	}
	return v
}

// internBytes is intern without making a string first.
func (s *Scanner) internBytes(b []byte) string {
	if have, ok := s.names[string(b)]; ok {
		return have
	}
	return s.intern(string(b))
}
