package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sort"
	"strings"
	"text/tabwriter"
	"time"

	"sekretariat"
	"sekretariat/desk/api"
	"sekretariat/ledger"
)

// queueFlags are the flags of queue list, next and watch.
type queueFlags struct {
	in                 installationFlags
	centre, department string
	server, creds, ca  string
	run                string
	ack                bool
}

// queueCommand looks at a department's queue or consumes it: on the machine of
// the service, or anywhere with the department's credentials.
func queueCommand(ctx context.Context, c *cli) error {
	if c.sub != "list" && c.sub != "next" && c.sub != "watch" {
		return usagef("say: sekretariat queue list|next|watch --department X")
	}
	f := c.flags("queue " + c.sub)
	var o queueFlags
	o.in.add(f)
	f.StringVar(&o.centre, "centre", "", "centre, when there are several")
	f.StringVar(&o.department, "department", "", "department")
	f.StringVar(&o.server, "server", "", "NATS server, with --creds instead of --config")
	f.StringVar(&o.creds, "creds", "", "the department's credentials file (token create --creds)")
	f.StringVar(&o.ca, "ca", "", "PEM file of the server's authority, with --creds")
	f.StringVar(&o.run, "exec", "", "watch, next: run this command for each event, with the event as JSON on its standard input")
	f.BoolVar(&o.ack, "ack", false, "watch, next: acknowledge, so that the event does not come again (with --exec: if the command succeeded)")
	if err := c.parseOnly(f); err != nil {
		return err
	}
	if o.department == "" {
		return usagef("name the department: --department przemoc")
	}
	if c.sub == "list" {
		return queueList(ctx, c, o)
	}
	return queueConsume(ctx, c, o, c.sub == "watch")
}

// queued is one line of a queue: what is in it now.
type queued struct {
	data sekretariat.QueuedData
	at   time.Time
}

// queueList prints what the queue got and was not withdrawn. It shows numbers, not content: whoever runs commands has
// no right to that (rule P5).
func queueList(ctx context.Context, c *cli, o queueFlags) error {
	h, err := o.in.openFor(ctx, c)
	if err != nil {
		return err
	}
	defer h.close()
	centre, err := h.centre(o.centre)
	if err != nil {
		return err
	}
	id := sekretariat.DepartmentID(o.department)
	if _, ok := centre.cfg.DepartmentByID(id); !ok {
		return usagef("%s has no department %q; it has: %s", centre.cfg.ID, o.department, departmentList(centre))
	}
	now, err := inQueue(ctx, h.ledger, centre.cfg.ID, id)
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NUMBER\tURGENCY\tQUEUED\tFOR\tLETTER")
	for _, q := range now {
		what := "action"
		if q.data.Copy {
			what = "information"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", q.data.Printed, q.data.Urgency, q.at.In(sekretariat.Warsaw()).Format("2006-01-02 15:04:05"), what, q.data.Letter)
	}
	fmt.Fprintf(t, "%d letters\n", len(now))
	return t.Flush()
}

// inQueue replays the queue of a department.
func inQueue(ctx context.Context, l *ledger.Ledger, centre sekretariat.CentreID, department sekretariat.DepartmentID) ([]queued, error) {
	byLetter := map[sekretariat.LetterID]queued{}
	gone := map[sekretariat.LetterID]int{} // highest revision withdrawn; events may be stored out of order
	err := l.PeekQueue(ctx, centre, department, func(s ledger.Stored) error {
		switch s.Event.Type {
		case sekretariat.EventQueued:
			d, err := sekretariat.DataOf[sekretariat.QueuedData](s.Event)
			if err != nil {
				return err
			}
			if d.Revision > gone[d.Letter] && d.Revision >= byLetter[d.Letter].data.Revision {
				byLetter[d.Letter] = queued{d, s.Time}
			}
		case sekretariat.EventHanded:
			d, err := sekretariat.DataOf[sekretariat.HandedData](s.Event)
			if err != nil {
				return err
			}
			if d.Revision > gone[d.Letter] && d.Revision >= byLetter[d.Letter].data.Revision {
				byLetter[d.Letter] = queued{sekretariat.QueuedData{
					Letter: d.Letter, Department: d.Department, Printed: "(none)", Urgency: sekretariat.Normal, Revision: d.Revision, Received: d.Received, Content: d.Content,
				}, s.Time}
			}
		case sekretariat.EventWithdrawn:
			d, err := sekretariat.DataOf[sekretariat.WithdrawnData](s.Event)
			if err != nil {
				return err
			}
			gone[d.Letter] = max(gone[d.Letter], d.Revision)
			if q, there := byLetter[d.Letter]; there && q.data.Revision <= d.Revision {
				delete(byLetter, d.Letter)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var out []queued
	for _, q := range byLetter {
		out = append(out, q)
	}
	sort.Slice(out, func(i, j int) bool {
		if a, b := out[i].data.Urgency.Lane(), out[j].data.Urgency.Lane(); a != b {
			return a == sekretariat.Urgent.Lane()
		}
		return out[i].at.Before(out[j].at)
	})
	return out, nil
}

// queueConsume hands out events, urgent ones first.
func queueConsume(ctx context.Context, c *cli, o queueFlags, forever bool) error {
	q, closeQueue, err := openQueue(ctx, c, o)
	if err != nil {
		return err
	}
	defer closeQueue()
	for {
		wait, cancel := context.WithCancel(ctx)
		if !forever {
			wait, cancel = context.WithTimeout(ctx, 2*time.Second)
		}
		m, err := q.Next(wait)
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, context.DeadlineExceeded):
			fmt.Fprintln(c.stderr, "The queue is empty.")
			return nil
		case err != nil:
			return err
		}
		failed, err := o.handle(ctx, c, m)
		if err != nil || !forever {
			return errors.Join(failed, err)
		}
		if failed != nil {
			fmt.Fprintf(c.stderr, "sekretariat queue: %v\n", failed)
		}
	}
}

// retryAfter is when an event that was not acknowledged comes again. The pauses
// grow as the queue's own do, so that a command that fails for an hour, or
// somebody who only looks, does not use up the deliveries of a letter.
func retryAfter(deliveries uint64) time.Duration {
	return min(time.Minute<<min(max(deliveries, 1)-1, 6), time.Hour)
}

// handle prints an event or runs the command over it, and acknowledges if that
// was asked for and succeeded. The command must bear an event twice. failed is
// the command's failure, err the queue's.
func (o queueFlags) handle(ctx context.Context, c *cli, m *ledger.QueueMessage) (failed, err error) {
	raw, err := json.Marshal(m.Event)
	if err != nil {
		return nil, fmt.Errorf("encode event: %w", err)
	}
	if o.run == "" {
		fmt.Fprintf(c.stdout, "%s\n", raw)
	} else if err := o.exec(ctx, c, m.Event, raw); err != nil {
		return fmt.Errorf("the command failed, the event comes again: %w", err), m.Nak(retryAfter(m.Deliveries))
	}
	if !o.ack {
		return nil, m.Nak(retryAfter(m.Deliveries))
	}
	return nil, m.Ack(ctx)
}

func (o queueFlags) exec(ctx context.Context, c *cli, e sekretariat.Event, raw []byte) error {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", o.run)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(string(raw)), c.stdout, c.stderr
	cmd.Env = append(os.Environ(), "SEKRETARIAT_EVENT="+e.ID, "SEKRETARIAT_TYPE="+string(e.Type))
	return cmd.Run()
}

// answerTime is how long the NATS server may take to answer before we say so.
var answerTime = 15 * time.Second

// openRemote opens the queue from anywhere. watch goes on asking a server that
// does not answer; next ends.
func openRemote(ctx context.Context, c *cli, o queueFlags, creds []byte) (*ledger.QueueClient, func(), error) {
	open := func(ctx context.Context) (*ledger.QueueClient, error) {
		return ledger.OpenQueue(ctx, ledger.QueueOptions{
			URL: o.server, Credentials: creds, CA: o.ca, Centre: sekretariat.CentreID(o.centre), Department: sekretariat.DepartmentID(o.department),
		})
	}
	first, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	q, err := open(first)
	if c.sub == "watch" && errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		fmt.Fprintf(c.stderr, "sekretariat queue: %v; going on asking\n", err)
		q, err = open(ctx)
	}
	if err != nil {
		return nil, nil, err
	}
	return q, q.Close, nil
}

// openQueue opens the queue with the department's own credentials, or with
// fresh ones of a few hours on the machine of the service.
func openQueue(ctx context.Context, c *cli, o queueFlags) (*ledger.QueueClient, func(), error) {
	if o.creds != "" {
		if o.server == "" || o.centre == "" {
			return nil, nil, usagef("--creds goes with --server and --centre")
		}
		creds, err := os.ReadFile(o.creds)
		if err != nil {
			return nil, nil, fmt.Errorf("read credentials: %w", err)
		}
		return openRemote(ctx, c, o, creds)
	}
	h, err := o.in.openFor(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	centre, err := h.centre(o.centre)
	if err != nil {
		return nil, nil, errors.Join(err, h.close())
	}
	id := sekretariat.DepartmentID(o.department)
	if _, ok := centre.cfg.DepartmentByID(id); !ok {
		return nil, nil, errors.Join(usagef("%s has no department %q; it has: %s", centre.cfg.ID, o.department, departmentList(centre)), h.close())
	}
	// These credentials live in memory alone and end by themselves.
	if err := centre.granted(ctx, sekretariat.GrantedData{Grant: sekretariat.GrantQueue, Scopes: []string{api.DepartmentScope(id)}}); err != nil {
		return nil, nil, errors.Join(err, h.close())
	}
	creds, _, err := h.ledger.IssueDepartment(ctx, centre.cfg.ID, id, "command-line", 12*time.Hour)
	if err != nil {
		return nil, nil, errors.Join(err, h.close())
	}
	q, err := ledger.OpenQueue(ctx, ledger.QueueOptions{URL: h.ledger.URL(), Credentials: creds, CA: h.cfg.NATS.CA, Centre: centre.cfg.ID, Department: id})
	if err != nil {
		return nil, nil, errors.Join(err, h.close())
	}
	return q, func() { q.Close(); h.close() }, nil
}
