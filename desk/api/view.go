package api

import (
	"bytes"
	"context"
	"io"

	"sekretariat/configs"
	"sekretariat/desk/view"
	"sekretariat/pipeline"
)

// Effect is the JSON of what the way of sending counts for in one kind of
// matter.
type Effect struct {
	Matter string `json:"matter"` // code
	Title  string `json:"title"`  // in Polish
	Sender string `json:"sender"` // citizen or public-body
	Effect string `json:"effect"` // effective, ineffective or assess
	Text   string `json:"text"`
	Basis  string `json:"basis,omitempty"`
	Check  bool   `json:"check,omitempty"` // "do weryfikacji"
	Rule   string `json:"rule"`            // id of the line of the table
}

func effects(list []configs.MatterEffect) []Effect {
	var out []Effect
	for _, e := range list {
		out = append(out, Effect{
			Matter: string(e.Matter), Title: e.Matter.Title(), Sender: e.Sender, Effect: e.LegalEffect.Effect,
			Text: e.Text, Basis: e.Basis, Check: e.Check, Rule: e.ID,
		})
	}
	return out
}

// viewHTML and viewPDF show the letter as people read it.
func (a *api) viewHTML(ctx context.Context, c call) error {
	return a.view(ctx, c, view.HTML, "text/html; charset=utf-8", "inline")
}

func (a *api) viewPDF(ctx context.Context, c call) error {
	return a.view(ctx, c, view.PDF, "application/pdf", "inline; filename=pismo.pdf")
}

func (a *api) view(ctx context.Context, c call, make func(io.Writer, view.Letter) error, media, disposition string) error {
	l, r, err := a.read(ctx, c)
	if err != nil {
		return err
	}
	m, err := pipeline.Manifest(ctx, c.c.Vault, c.centre, c.id.Submission())
	if err != nil {
		return err
	}
	v := view.Letter{Arrived: l.Arrived.Arrived.At, Kind: l.Arrived.Kind, Original: m.Original, Reading: r, Fate: map[string]string{}}
	if !l.Number.IsZero() {
		v.Printed = c.c.Print(l.Number)
	}
	if cfg := c.c.Config; cfg != nil {
		v.Centre, v.Effects = cfg.Name, cfg.LegalEffects(l.Arrived.Kind, l.Arrived.Arrived.At)
	}
	for _, p := range r.Parts {
		if p.Fate == pipeline.FateRemote {
			v.Fate[p.Path] = remotePart(p, l).Fate
		}
	}
	var b bytes.Buffer // an error must be an answer of its own
	if err := make(&b, v); err != nil {
		return err
	}
	h := c.w.Header()
	h.Set("Content-Type", media)
	h.Set("Content-Disposition", disposition)
	h.Set("Content-Security-Policy", view.Policy)
	_, _ = c.w.Write(b.Bytes()) // the client is gone: nobody to tell
	return nil
}
