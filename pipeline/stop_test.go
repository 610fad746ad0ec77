package pipeline_test

import (
	"errors"
	"testing"

	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/pipeline"
	"sekretariat/pipeline/pasttest"
	"sekretariat/router"
)

func TestStopDeadline(t *testing.T) {
	o := pasttest.Open(t)
	p := pipeline.New(pipeline.Options{Centre: o.Centre, Log: o.Log, Vault: o.House.Vault, Claims: o.House.Ledger, Router: o.Router, Logger: zerolog.Nop()})
	id, d := o.Letter(router.Facts{Arrived: sekretariat.ArrivedLite{Kind: sekretariat.KindMail}, Reading: sekretariat.Reading{
		Outcome: sekretariat.ReadOK, Subject: "Wniosek o zasiłek stały", Text: "Wnoszę o przyznanie zasiłku stałego. Mam orzeczenie o niepełnosprawności i nie mam dochodu.\nJan Próbny",
	}})
	if len(d.Deadlines) == 0 {
		t.Fatal("an application starts no clock")
	}
	code := d.Deadlines[0].Code
	who := func(d sekretariat.DepartmentID) sekretariat.Principal {
		return sekretariat.Principal{ID: "p-" + string(d), Centre: o.Centre.ID, Departments: []sekretariat.DepartmentID{d}}
	}
	for _, c := range []struct {
		name, code string
		who        sekretariat.Principal
		why        sekretariat.StopReason
		want       error
	}{
		{"a foreign department", code, who("klub"), sekretariat.StopReply, pipeline.ErrNotFound},
		{"no such clock", "xyz", who(d.Department), sekretariat.StopReply, pipeline.ErrInvalid},
		{"a person is not done by this", code, who(d.Department), sekretariat.StopDone, pipeline.ErrInvalid},
		{"the owner", code, who(d.Department), sekretariat.StopReply, nil},
		{"and once more", code, who(d.Department), sekretariat.StopReply, nil},
		{"for another reason", code, who(d.Department), sekretariat.StopVoid, pipeline.ErrChanged},
	} {
		if err := p.StopDeadline(t.Context(), c.who, id, c.code, c.why); !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	l, err := p.Letter(t.Context(), who(d.Department), id)
	if err != nil || len(l.Stops) != 1 || l.Stops[0].Why != sekretariat.StopReply || l.Stops[0].By != "p-"+string(d.Department) {
		t.Errorf("the letter's clocks: %+v, %v", l.Stops, err)
	}
}
