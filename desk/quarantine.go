package desk

import (
	"context"
	"fmt"
	"net/http"

	"sekretariat"
	"sekretariat/desk/api"
	"sekretariat/pipeline"
)

// unlock releases a part that the virus scanner locked by mistake, with a
// reason.
func (d *Desk) unlock(ctx context.Context, v visit) error {
	return d.quarantine(v, func(id sekretariat.LetterID, part, reason string) error {
		return v.c.Pipeline.Unlock(ctx, v.who, id, part, reason)
	})
}

// lock takes that back.
func (d *Desk) lock(ctx context.Context, v visit) error {
	return d.quarantine(v, func(id sekretariat.LetterID, part, reason string) error {
		return v.c.Pipeline.Lock(ctx, v.who, id, part, reason)
	})
}

func (d *Desk) quarantine(v visit, do func(id sekretariat.LetterID, part, reason string) error) error {
	id, err := sekretariat.ParseLetterID(v.r.PathValue("letter"))
	if err != nil {
		return pipeline.ErrNotFound
	}
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, maxForm)
	if err := v.r.ParseForm(); err != nil {
		return fmt.Errorf("%w: the form", pipeline.ErrInvalid)
	}
	if err := do(id, v.r.PostForm.Get("czesc"), v.r.PostForm.Get("powod")); err != nil {
		return err
	}
	return d.goTo(v, "/pismo/"+string(id))
}

// alarmView is a virus alarm on a part, for those who may judge it.
type alarmView struct {
	Letter sekretariat.LetterID
	Part   api.Part
	Unlock bool // it is locked for what was found
}

func newAlarm(id sekretariat.LetterID, p api.Part) alarmView {
	return alarmView{Letter: id, Part: p, Unlock: p.Scan == sekretariat.ScanInfected}
}
