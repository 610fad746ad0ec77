package sniff

import (
	"strings"
	"testing"
)

func TestTypeByContent(t *testing.T) {
	for _, c := range []struct{ head, name, want string }{
		{"%PDF-1.7\n", "faktura.exe", "application/pdf"},
		{"\n\n%PDF-1.4", "", "application/pdf"},
		{"\x78\x9f\x3e\x22\x01\x00......%PDF-1.4", "winmail.dat", "application/ms-tnef"},
		{"PK\x03\x04" + strings.Repeat("\x00", 26) + "scan.pdf%PDF-1.4", "x.zip", "application/zip"},
		{"0\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02......%PDF-1.4", "pismo.pdf.p7m", "application/pkcs7-mime"},
		{"GIF89a....%PDF-1.4", "", "application/pdf"},
		{"MZ\x90\x00", "faktura.pdf", "application/x-msdownload"},
		{"\x89PNG\r\n\x1a\n....", "", "image/png"},
		{"\xff\xd8\xff\xe1", "IMG.HEIC", "image/jpeg"},
		{"\x00\x00\x00\x18ftypheic\x00\x00", "IMG.jpg", "image/heic"},
		{"PK\x03\x04" + strings.Repeat("\x00", 26) + "mimetypeapplication/vnd.oasis.opendocument.textPK\x03\x04", "x.zip", "application/vnd.oasis.opendocument.text"},
		{"PK\x03\x04" + strings.Repeat("\x00", 26) + "[Content_Types].xml....word/", "x", zipByName[".docx"]},
		{"PK\x03\x04" + strings.Repeat("\x00", 26) + "scan.pdf", "x.docx", "application/zip"},
		{"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "list.MSG", "application/vnd.ms-outlook"},
		{"0\x82\x10\x00\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02", "", "application/pkcs7-mime"},
		{"\xef\xbb\xbf<?xml version=\"1.0\"?><a/>", "", "application/xml"},
		{"<wnio:Dokument xmlns:wnio=\"x\">", "", "application/xml"},
		{"<!DOCTYPE html><html>", "", "text/html"},
		{"From: a@b.example\r\nSubject: x\r\n\r\n", "", "message/rfc822"},
		{"Date: jutro\n\nZapraszam", "", "text/plain"},
		{"Zażółć gęślą jaźń", "", "text/plain"},
		{"Za\xbf\xf3\xb3\xe6 g\xea\xb6l\xb1", "", "text/plain"}, // ISO-8859-2
		{"\x00\x01\x02\x03\x04", "x.txt", Unknown},
		{"", "pusty.pdf", "application/x-empty"},
	} {
		if got := Type([]byte(c.head), c.name); got != c.want {
			t.Errorf("Type(%.20q, %q) = %s, want %s", c.head, c.name, got, c.want)
		}
	}
}

func FuzzType(f *testing.F) {
	f.Add([]byte("%PDF-1.7"), "a.pdf")
	f.Add([]byte("PK\x03\x04"), "a.docx")
	f.Fuzz(func(t *testing.T, head []byte, name string) {
		if got := Type(head, name); got == "" || strings.ContainsAny(got, "\r\n") {
			t.Fatalf("Type = %q", got)
		}
	})
}

func TestOpenPGP(t *testing.T) {
	for _, c := range []struct{ head, name, want string }{
		{"-----BEGIN PGP SIGNATURE-----\r\n", "pismo.pdf.asc", "application/pgp-signature"},
		{"-----BEGIN PGP MESSAGE-----\r\n", "pismo.asc", "application/pgp-encrypted"},
		{"\x85\x01\x0c\x03", "tajne.pdf.gpg", "application/pgp-encrypted"},
		{"\xc1\x5e\x03", "tajne.pgp", "application/pgp-encrypted"},
		{"\x88\x75\x04", "pismo.pdf.sig", "application/pgp-signature"},
		{"\x85\x01\x0c\x03", "zdjecie.dat", Unknown},
		{"tekst", "a.gpg", "text/plain"},
	} {
		if got := Type([]byte(c.head), c.name); got != c.want {
			t.Errorf("%q as %s: %s, want %s", c.head, c.name, got, c.want)
		}
	}
}
