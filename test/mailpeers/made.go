package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
)

// undeclared makes mails of letters in the encodings that Polish programs use,
// without a word about them: subject, text and the name of a file.
func undeclared(path string) (Set, error) {
	set := Set{Name: "undeclared"}
	f, err := os.Open(path)
	if err != nil {
		return set, err
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		var l struct {
			ID, Subject, Body string
			From              struct{ Name string }
		}
		if err := json.Unmarshal(sc.Bytes(), &l); err != nil {
			return set, err
		}
		for _, c := range []struct {
			name string
			enc  encoding.Encoding
		}{{"windows-1250", charmap.Windows1250}, {"ISO-8859-2", charmap.ISO8859_2}, {"UTF-8", encoding.Nop}} {
			// What the encoding has not (ISO-8859-2 has no "–") is written
			// as a program of that time would.
			subject, body := plain(l.Subject, c.enc), plain(l.Body, c.enc)
			raw, err := c.enc.NewEncoder().Bytes([]byte("From: a@poczta.example\r\nSubject: " + subject + "\r\n\r\n" + body + "\r\n"))
			if err != nil {
				return set, fmt.Errorf("letter %s as %s: %w", l.ID, c.name, err)
			}
			set.Mails = append(set.Mails, Mail{Raw: raw, Want: Want{File: l.ID + " " + c.name, Subject: &subject, Text: []string{body}}})
		}
	}
	return set, sc.Err()
}

// plain replaces what an encoding has not.
func plain(s string, e encoding.Encoding) string {
	simple := map[rune]string{'–': "-", '—': "-", '„': "\"", '”': "\"", '“': "\"", '’': "'", '‘': "'", '…': "...", '\u00a0': " ", '•': "*"}
	var out []byte
	for _, r := range s {
		if _, err := e.NewEncoder().String(string(r)); err == nil {
			out = append(out, string(r)...)
		} else if t, ok := simple[r]; ok {
			out = append(out, t...)
		} else {
			out = append(out, '?')
		}
	}
	return string(out)
}
