"""Reads mails, one in base64 per line, with Python's email package; answers with one line of JSON each."""
import base64, datetime, email, email.policy, email.utils, hashlib, html, json, re, sys


def norm(b):
    return b.replace(b"\r\n", b"\n").rstrip(b"\r\n")


def read(raw):
    m = email.message_from_bytes(raw, policy=email.policy.default)
    out = {"ok": True, "subject": "", "from": "", "date": "", "files": [], "text": ""}
    try:
        out["subject"] = str(m["subject"] or "")
    except Exception:
        out["ok"] = False
    try:
        addresses = m["from"].addresses if m["from"] else ()
        out["from"] = addresses[0].addr_spec if addresses else email.utils.parseaddr(str(m["from"] or ""))[1]
    except Exception:
        out["ok"] = False
    try:
        t = email.utils.parsedate_to_datetime(str(m["date"]))
        if t.tzinfo is None:
            t = t.replace(tzinfo=datetime.timezone.utc)
        out["date"] = t.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    except Exception:
        pass
    plain, rich = [], []
    for p in m.walk():
        try:
            name = p.get_filename() or ""
        except Exception:
            name = ""
        if p.is_multipart():
            if p.get_content_type() == "message/rfc822":
                b = p.get_payload(0).as_bytes()
                out["files"].append({"name": name, "sum": hashlib.sha256(b).hexdigest(), "norm": hashlib.sha256(norm(b)).hexdigest()})
            continue
        try:
            b = p.get_payload(decode=True) or b""
        except Exception:
            b = b""
        out["files"].append({"name": name, "sum": hashlib.sha256(b).hexdigest(), "norm": hashlib.sha256(norm(b)).hexdigest()})
        if p.get_content_disposition() == "attachment" or p.get_content_maintype() != "text":
            continue
        try:
            text = p.get_content()
        except Exception:
            text = b.decode("ascii", "replace")
        if p.get_content_subtype() == "html":
            rich.append(html.unescape(re.sub(r"<[^>]*>", "", text)))
        else:
            plain.append(text)
    out["text"] = "\n".join(plain + rich)
    return out


for line in sys.stdin:
    try:
        answer = read(base64.b64decode(line))
    except Exception:
        answer = {"ok": False}
    print(json.dumps(answer), flush=True)
