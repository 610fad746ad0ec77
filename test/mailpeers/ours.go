package main

import (
	"bytes"
	"context"
	"io"
	"time"

	"sekretariat/extract/mail"
)

func ours(raw []byte) Result {
	body := bytes.NewReader(raw)
	r, err := mail.Read(context.Background(), body, mail.Options{})
	if err != nil {
		return Result{}
	}
	out := Result{OK: true, Subject: r.Subject, From: r.Sender.Email, Text: r.Text}
	if r.Sent != nil {
		out.Date = r.Sent.UTC().Format(time.RFC3339)
	}
	for _, p := range r.Parts {
		b, err := io.ReadAll(mail.OpenPart(body, p))
		if err != nil {
			return Result{}
		}
		out.Files = append(out.Files, file(p.Name, b))
	}
	return out
}
