package api

import (
	"context"
	"fmt"
	"io"

	"sekretariat"
)

// Fates of an attachment that lay at the platform, once that is settled.
const (
	fateFetched = "fetched" // it is here
	fateMissing = "missing" // the platform does not give it
)

// remotePart is such an attachment with what became of it.
func remotePart(p sekretariat.Part, l *sekretariat.Letter) Part {
	q := Part{Part: p, Scan: sekretariat.ScanPending, Notice: "Załącznik jest na platformie ePUAP i czeka na pobranie; można go też pobrać na portalu ePUAP."}
	f, settled := l.Fetched[p.Path]
	switch {
	case !settled:
	case f.Object == nil:
		q.Fate, q.Scan = fateMissing, sekretariat.ScanFailed
		q.Notice = "Platforma ePUAP nie wydała załącznika. Pobierz go na portalu ePUAP albo poproś nadawcę o ponowne przesłanie."
	default:
		q.Fate, q.Size, q.SHA256, q.Scan, q.Notice = fateFetched, f.Object.Size, f.Object.SHA256, remoteScan(l, p.Path), ""
		if !q.Scan.Open() {
			q.Notice = notice(q.Scan, "")
		} else if f.Code != "" {
			q.Notice = "Pobrany plik różni się od tego, który wskazuje pismo (inny skrót). Sprawdź go z nadawcą."
		}
		q.released(l)
	}
	return q
}

func remoteScan(l *sekretariat.Letter, path string) sekretariat.ScanState {
	switch f := l.Fetched[path]; {
	case f.Scan == "":
		return sekretariat.ScanOff
	case f.Scan == sekretariat.ScanInfected && l.Unlocked[path].Open:
		return sekretariat.ScanClean
	default:
		return f.Scan
	}
}

// remote sends an attachment that was fetched from the platform.
func (a *api) remote(ctx context.Context, c call, l *sekretariat.Letter, p sekretariat.Part) error {
	f := l.Fetched[p.Path]
	if f.Object == nil {
		return fmt.Errorf("%w: %s", errPart, remotePart(p, l).Notice)
	}
	if state := remoteScan(l, p.Path); !state.Open() {
		return &lockedError{State: state}
	}
	body, err := c.c.Vault.Open(ctx, c.centre, c.id.Submission(), f.Object.Key)
	if err != nil {
		return fmt.Errorf("open a fetched attachment of %s: %w", c.id, err)
	}
	defer body.Close()
	p.SHA256 = f.Object.SHA256
	return sendPart(c.w, p, io.NewSectionReader(body, 0, body.Size()))
}
