package mail

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"sekretariat"
)

// TestReport: what bounces and receipts say, written by RFC 3464 or by hand.
func TestReport(t *testing.T) {
	failed := func(address, diagnostic string) []sekretariat.ReportRecipient {
		return []sekretariat.ReportRecipient{{Address: address, Action: "failed", Diagnostic: diagnostic}}
	}
	for name, c := range map[string]struct {
		mail string
		want *sekretariat.Report
	}{
		"a person": {"Subject: Wniosek\n\njan@poczta.example\n", nil},
		"RFC 3464": {`Subject: Undelivered
Content-Type: multipart/report; report-type=delivery-status; boundary=x

--x

Nie doręczono.
--x
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.poczta.example
Original-Envelope-Id: rpw-7

Final-Recipient: rfc822; jan@stary.example
Original-Recipient: rfc822;jan@poczta.example
Action: failed (permanent)
Status: 5.1.1 (no such user)
Diagnostic-Code: smtp; 550 5.1.1
 No such user

Final-Recipient: rfc822; <ewa@poczta.example>
Action: delayed
--x
Content-Type: text/rfc822-headers

Message-ID: <nasza.1@mops.example>
Subject: =?utf-8?Q?Potwierdzenie_wp=C5=82ywu?=

--x--
`, &sekretariat.Report{
			Kind: "delivery-status", Action: "failed", OriginalID: "nasza.1@mops.example", OriginalSubject: "Potwierdzenie wpływu", Envelope: "rpw-7",
			Recipients: []sekretariat.ReportRecipient{
				{Address: "jan@stary.example", Original: "jan@poczta.example", Action: "failed", Status: "5.1.1", Diagnostic: "550 5.1.1 No such user"},
				{Address: "ewa@poczta.example", Action: "delayed"},
			}}},
		"RFC 8098": {`Subject: Przeczytano
Content-Type: multipart/report; report-type=disposition-notification; boundary=x

--x
Content-Type: message/disposition-notification

Final-Recipient: rfc822;jan@poczta.example
Original-Message-ID: <nasza.2@mops.example>
Disposition: manual-action/MDN-sent-manually; deleted/error
--x--
`, &sekretariat.Report{
			Kind: "disposition-notification", Action: "deleted", OriginalID: "nasza.2@mops.example",
			Recipients: []sekretariat.ReportRecipient{{Address: "jan@poczta.example", Action: "deleted"}},
		}},
		"qmail": {`Return-Path: <>
From: MAILER-DAEMON@poczta.example
Subject: failure notice

Hi. This is the qmail-send program at poczta.example.

<jan@poczta.example>:
192.0.2.1 does not like recipient.

--- Below this line is a copy of the message.

Return-Path: <biuro@mops.example>
Message-ID: <nasza.3@mops.example>
To:
 ktos@inny.example
`, &sekretariat.Report{Kind: "text", Action: "failed", OriginalID: "nasza.3@mops.example", Recipients: failed("jan@poczta.example", "192.0.2.1 does not like recipient.")}},
		"Exim": {`X-Failed-Recipients: jan@poczta.example, ewa@poczta.example
Subject: Mail delivery failed: returning message to sender
References: <starsza@mops.example>

W załączeniu.
`, &sekretariat.Report{Kind: "text", Action: "failed", OriginalID: "starsza@mops.example", Recipients: append(failed("jan@poczta.example", ""), failed("ewa@poczta.example", "")...)}},
	} {
		r, _ := mustRead(t, octets(crlfs(c.mail)))
		if diff := cmp.Diff(c.want, r.Report); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
