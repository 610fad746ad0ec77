package desk

import (
	"context"
	"net/http"
	"slices"
	"time"

	"sekretariat"
	"sekretariat/pipeline"
	"sekretariat/register/index"
)

// inboxData is the sekretariat's page.
type inboxData struct {
	Counts  index.Counts
	Waiting *list
	Recent  *list // set aside since yesterday: looked through once a day (rule P8)
	Parked  *list // set aside before
	Other   int   // letters that others have and that are not done
	Alarms  alarmsView
	Trouble []string // channels that take nothing in, in words for the clerk (rule P10)
}

// inbox shows what waits for the sekretariat: undecided letters, the most
// dangerous first, and what was put aside.
func (d *Desk) inbox(ctx context.Context, v visit) error {
	if !v.who.Register {
		for _, dep := range v.who.Departments {
			v.r.SetPathValue("department", string(dep))
			return d.department(ctx, v)
		}
		return d.state(ctx, v)
	}
	counts, err := v.c.Index.Counts(ctx, v.who)
	if err != nil {
		return err
	}
	waiting, err := d.queue(ctx, v, sekretariat.Sekretariat)
	if err != nil {
		return err
	}
	waiting.ID, waiting.Heading, waiting.Empty, waiting.Path = "decyzje", "Czekają na decyzję", "Nic nie czeka na decyzję.", "/"
	y, m, day := d.o.Clock().In(sekretariat.Warsaw()).Date()
	yesterday := time.Date(y, m, day-1, 0, 0, 0, 0, sekretariat.Warsaw())
	recent, err := d.parkedList(ctx, v, "odlozone", yesterday, time.Time{})
	if err != nil {
		return err
	}
	recent.Heading, recent.Empty = "Odłożone od wczoraj", "Od wczoraj nic nie odłożono."
	parked, err := d.parkedList(ctx, v, "odlozone-wczesniej", time.Time{}, yesterday)
	if err != nil {
		return err
	}
	parked.Heading, parked.Empty = "Odłożone wcześniej", "Nic więcej nie jest odłożone."
	data := inboxData{Counts: counts, Waiting: waiting, Recent: recent, Parked: parked, Alarms: d.alarms(v)}
	for dep, n := range counts.Open {
		if dep != sekretariat.Sekretariat {
			data.Other += n
		}
	}
	health, err := d.o.Health(ctx, v.c.Config.ID)
	if err != nil {
		return err
	}
	for _, ch := range health.Channels {
		if !ch.OK && ch.Message != "" {
			data.Trouble = append(data.Trouble, ch.Message)
		}
	}
	if m := health.Scanner.Message; m != "" && !health.Scanner.Off {
		data.Trouble = append(data.Trouble, m)
	}
	if v.r.Header.Get("HX-Target") == "bilans" {
		d.pages.part(v.w, http.StatusOK, "skrzynka", "bilans", data)
		return nil
	}
	return d.answerList(v, "skrzynka", "Sekretariat", data, waiting, recent, parked)
}

// parkedList is what was set aside between two moments; the page after its
// first is asked for by its id.
func (d *Desk) parkedList(ctx context.Context, v visit, id string, since, until time.Time) (*list, error) {
	rows, next, err := v.c.Index.ParkedBetween(ctx, v.who, since, until, index.Page{Limit: pageRows, After: v.r.URL.Query().Get(id)})
	if err != nil {
		return nil, err
	}
	return &list{ID: id, Path: "/", Rows: d.rows(v.c, rows), Next: next, Release: true}, nil
}

func (d *Desk) queue(ctx context.Context, v visit, dep sekretariat.DepartmentID) (*list, error) {
	rows, next, err := v.c.Index.Queue(ctx, v.who, dep, index.Page{Limit: pageRows, After: v.r.URL.Query().Get("od")})
	if err != nil {
		return nil, err
	}
	return &list{Rows: d.rows(v.c, rows), Next: next}, nil
}

// departmentData is the page of one department.
type departmentData struct {
	ID    sekretariat.DepartmentID
	Name  string
	Queue *list
	// Handed is what the department has without a number, nil: nothing.
	Handed *list
	Alarms alarmsView
}

// department shows a department's own queue to those who belong to it.
func (d *Desk) department(ctx context.Context, v visit) error {
	id := sekretariat.DepartmentID(v.r.PathValue("department"))
	if !slices.Contains(v.who.Departments, id) {
		return pipeline.ErrNotFound
	}
	q, err := d.queue(ctx, v, id)
	if err != nil {
		return err
	}
	q.ID, q.Heading, q.Empty, q.Path = "kolejka", "Do załatwienia", "Kolejka jest pusta.", "/dzial/"+string(id)
	data := departmentData{Alarms: d.alarms(v), ID: id, Name: departmentName(v.c.Config, id), Queue: q}
	rows, next, err := v.c.Index.Handed(ctx, v.who, id, index.Page{Limit: pageRows, After: v.r.URL.Query().Get("bez-numeru")})
	if err != nil {
		return err
	}
	handed := &list{ID: "bez-numeru", Heading: "Bez numeru", Empty: "Nic.", Path: q.Path, Rows: d.rows(v.c, rows), Next: next}
	if len(rows) > 0 && id != sekretariat.Sekretariat {
		data.Handed = handed
	}
	return d.answerList(v, "dzial", data.Name, data, q, handed)
}
