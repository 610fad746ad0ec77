package mail

// The codes of the findings of this reader. They are stable: rules and the
// page know them. The letter is read on in every case; what a code says is
// why something may be missing or odd.
const (
	// Header.
	FindingEmpty          = "mail-empty"       // no octets, or nothing but blank lines
	FindingNoHeader       = "header-missing"   // no header field at all
	FindingHeaderLine     = "header-line"      // a header line that is no field: skipped
	FindingHeaderCut      = "header-cut"       // fields or octets beyond the limits: not read
	FindingHeader8Bit     = "header-8bit"      // undeclared octets beyond ASCII in a field that was used
	FindingFromMissing    = "from-missing"     // no From field
	FindingFromRepeated   = "from-repeated"    // more than one From field: the first one counts
	FindingFromUnparsable = "from-unparsable"  // the From field is not an address list
	FindingSubjectRepeat  = "subject-repeated" // more than one Subject field: the first one counts
	FindingDateMissing    = "date-missing"     // no Date field
	FindingDateUnreadable = "date-unparsable"  // a Date field that no reading makes sense of
	FindingNoMessageID    = "message-id-missing"
	FindingRecipientsCut  = "recipients-cut" // more recipients than are listed

	// Structure.
	FindingBareCR           = "bare-cr"             // lines end in CR alone
	FindingBoundaryMissing  = "boundary-missing"    // a multipart without any delimiter: taken as text
	FindingBoundaryGuessed  = "boundary-guessed"    // the delimiter declared is not the one used
	FindingBoundaryUnclosed = "boundary-unclosed"   // the end delimiter is missing: perhaps cut off
	FindingPartAfterEnd     = "part-after-end"      // parts after the end delimiter: listed
	FindingOutsideText      = "outside-text"        // text before the first or after the last part, invisible to most
	FindingLevelsLimit      = "levels-limit"        // nested too deep: the rest of this part is opaque
	FindingMessagesLimit    = "messages-limit"      // too many messages within messages: this one is not opened
	FindingPartsLimit       = "parts-limit"         // too many parts: the rest is one opaque part
	FindingFindingsLimit    = "findings-limit"      // too many findings: the rest is not listed
	FindingPartialMessage   = "partial-message"     // a fragment of a message (message/partial)
	FindingExternalBody     = "external-body"       // content elsewhere (message/external-body): not fetched
	FindingParametersCut    = "parameters-cut"      // more parameter sections than are read
	FindingEncodingUnknown  = "encoding-unknown"    // unknown content transfer encoding: octets as they are
	FindingBase64Garbage    = "base64-garbage"      // foreign octets in base64: ignored
	FindingBase64Truncated  = "base64-truncated"    // base64 ends in the middle
	FindingQuotedPrintable  = "qp-broken"           // impossible escapes in quoted-printable: kept as written
	FindingUUBroken         = "uu-broken"           // a uuencoded file without a proper end
	FindingTypeDiffers      = "type-differs"        // declared type and content disagree; Detail: both
	FindingNameOdd          = "name-odd"            // a name with separators, control or direction characters
	FindingTNEF             = "tnef"                // attachments wrapped by Outlook (winmail.dat): opened
	FindingTNEFBroken       = "tnef-broken"         // such a wrapping that is broken or cut off: what could be read is listed
	FindingOutlookBroken    = "outlook-broken"      // an Outlook message (.msg) that is broken or cut off
	FindingOutlookCut       = "outlook-cut"         // more attachments, recipients or properties in it than are read
	FindingUnwrapLimit      = "unwrap-limit"        // wrapped too deep or too often: not opened
	FindingSMIMEBroken      = "smime-broken"        // a mail inside a signature that is broken or cut off
	FindingSignatureBroken  = "signature-broken"    // a signature beside the mail that is broken or cut off
	FindingSignatureInvalid = "signature-invalid"   // changed after signing, or not signed by the certificate shown
	FindingSMIMEEncrypted   = "smime-encrypted"     // unreadable without the key
	FindingPGPEncrypted     = "pgp-encrypted"       // unreadable without the key
	FindingCalendar         = "calendar"            // an invitation: what, when and where is the text of that part
	FindingNoContent        = "body-empty"          // neither text nor attachments
	FindingAlternativesDiff = "alternatives-differ" // plain and HTML say different things: both are in the text
	FindingHTMLHidden       = "html-hidden"         // HTML with text that no reader would see: left out
	FindingTextCut          = "text-cut"            // more text than the limit
	FindingNUL              = "nul"                 // NUL octets in text: dropped

	// Charsets. Detail: declared and used.
	FindingCharsetUnknown   = "charset-unknown"   // a label that nobody knows
	FindingCharsetGuessed   = "charset-guessed"   // nothing declared, octets beyond ASCII
	FindingCharsetOverruled = "charset-overruled" // the letters contradict the declaration
	FindingCharsetDouble    = "charset-double"    // UTF-8 encoded twice: decoded twice
	FindingCharsetLossy     = "charset-lossy"     // some octets have no meaning in the charset
)

// partial are the findings after which something of the letter may be unread.
var partial = map[string]bool{
	FindingHeaderCut: true, FindingBoundaryMissing: true, FindingLevelsLimit: true, FindingMessagesLimit: true, FindingPartsLimit: true,
	FindingPartialMessage: true, FindingExternalBody: true, FindingBase64Truncated: true, FindingEncodingUnknown: true,
	FindingUUBroken: true, FindingTNEFBroken: true, FindingOutlookBroken: true, FindingOutlookCut: true, FindingUnwrapLimit: true, FindingSMIMEBroken: true,
	FindingSMIMEEncrypted: true, FindingPGPEncrypted: true, FindingTextCut: true,
	FindingNoHeader: true,
}
