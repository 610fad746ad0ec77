package ledger

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
	"github.com/rs/zerolog"

	"sekretariat"
)

const (
	benefits sekretariat.DepartmentID = "swiadczenia"
	violence sekretariat.DepartmentID = "przemoc"
)

// queues opens a ledger with a listener and two departments' queues.
func queues(t *testing.T) (*Ledger, Log) {
	t.Helper()
	l := open(t, t.TempDir(), func(o *Options) { o.Port = -1 })
	g := centre(t, l)
	for _, d := range []sekretariat.DepartmentID{benefits, violence} {
		if err := l.EnsureQueue(t.Context(), testCentre, d); err != nil {
			t.Fatal(err)
		}
	}
	return l, g
}

func issue(t *testing.T, l *Ledger, d sekretariat.DepartmentID) ([]byte, string) {
	t.Helper()
	creds, pub, err := l.IssueDepartment(t.Context(), testCentre, d, "system-x", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return creds, pub
}

func client(t *testing.T, l *Ledger, d sekretariat.DepartmentID, creds []byte) *QueueClient {
	t.Helper()
	q, err := OpenQueue(t.Context(), QueueOptions{
		URL: l.URL(), Credentials: creds, Centre: testCentre, Department: d, Logger: zerolog.Nop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(q.Close)
	return q
}

func queued(t *testing.T, g Log, d sekretariat.DepartmentID, lane Lane, letter string) uint64 {
	t.Helper()
	return mustAppend(t, g, Queue, rec(fmt.Sprintf("%s.%s.%s.1", d, lane, letter), 0))
}

func TestQueueDrainsUrgentFirst(t *testing.T) {
	l, g := queues(t)
	creds, _ := issue(t, l, benefits)
	queued(t, g, benefits, Normal, "n1")
	queued(t, g, benefits, Normal, "n2")
	queued(t, g, violence, Urgent, "foreign")
	queued(t, g, benefits, Urgent, "u1")
	q := client(t, l, benefits, creds)
	for _, want := range []string{"u1", "n1", "late", "n2"} {
		if want == "late" {
			queued(t, g, benefits, Urgent, "late")
		}
		m, err := q.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(m.Event.Subject, "."+want+".") {
			t.Errorf("got %s, want %s", m.Event.Subject, want)
		}
		if err := m.Ack(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	got := make(chan *QueueMessage)
	go func() {
		m, err := q.Next(t.Context())
		if err != nil {
			t.Error(err)
		}
		got <- m
	}()
	queued(t, g, benefits, Normal, "n3")
	m := <-got
	if err := m.Nak(0); err != nil {
		t.Fatal(err)
	}
	again, err := q.Next(t.Context())
	if err != nil || again.Seq != m.Seq || again.Deliveries != 2 {
		t.Errorf("after handing back: %+v, %v", again, err)
	}
	if err := again.Ack(t.Context()); err != nil {
		t.Fatal(err)
	}
	st, err := l.QueueState(t.Context(), testCentre, benefits)
	if err != nil || st[Urgent] != (LaneState{}) || st[Normal] != (LaneState{}) {
		t.Errorf("state after all: %+v, %v", st, err)
	}
	var seen int
	err = l.PeekQueue(t.Context(), testCentre, benefits, func(s Stored) error {
		seen++
		if !strings.HasPrefix(s.Subject, "swiadczenia.") {
			t.Errorf("peeked at %s", s.Subject)
		}
		return nil
	})
	if err != nil || seen != 5 {
		t.Errorf("peeked at %d events, %v", seen, err)
	}
}

// raw connects with a department's credentials as an attacker would.
func raw(t *testing.T, l *Ledger, creds []byte, o ...nats.Option) (*nats.Conn, string, chan error) {
	t.Helper()
	key, err := nkeys.ParseDecoratedUserNKey(creds)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	errs := make(chan error, 100)
	o = append(o, nats.UserCredentialBytes(creds), nats.CustomInboxPrefix(inboxOf(pub)), nats.NoReconnect(),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { errs <- err }))
	nc, err := nats.Connect(l.URL(), o...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc, inboxOf(pub), errs
}

// A department's credentials open its own two consumers and nothing else.
func TestDepartmentSeesNothingElse(t *testing.T) {
	l, g := queues(t)
	creds, _ := issue(t, l, benefits)
	_, foreign := issue(t, l, violence)
	queued(t, g, violence, Urgent, "secret")
	mustAppend(t, g, Intake, rec("a", 0))
	stream := QueueStream(testCentre)
	own, other := QueueConsumer(benefits, Urgent), QueueConsumer(violence, Urgent)
	nc, _, errs := raw(t, l, creds)

	for name, subject := range map[string]string{
		"another's consumer":      "$JS.API.CONSUMER.MSG.NEXT." + stream + "." + other,
		"another's consumer info": "$JS.API.CONSUMER.INFO." + stream + "." + other,
		"another's acks":          "$JS.ACK." + stream + "." + other + ".1.1.1.1.0",
		"a queue":                 "sk.zielona-gora.queue.przemoc.urgent.x.1",
		"its own queue":           "sk.zielona-gora.queue.swiadczenia.urgent.x.1",
		"stream info":             "$JS.API.STREAM.INFO." + stream,
		"stream names":            "$JS.API.STREAM.NAMES",
		"a message":               "$JS.API.STREAM.MSG.GET." + stream,
		"direct get":              "$JS.API.DIRECT.GET." + stream,
		"a new consumer":          "$JS.API.CONSUMER.CREATE." + stream,
		"another's inbox":         inboxOf(foreign) + ".x",
		"the services' inbox":     serviceInbox + ".x",
		"the server":              "$SYS.REQ.SERVER.PING",
	} {
		t.Run("publish to "+name, func(t *testing.T) {
			if err := nc.PublishRequest(subject, nc.NewInbox(), []byte(`{"batch":1,"no_wait":true,"seq":1}`)); err != nil {
				t.Fatal(err)
			}
			refusedBy(t, errs, "Publish")
		})
	}
	for name, subject := range map[string]string{
		"the queues": "sk.zielona-gora.queue.>", "everything": ">", "sk": "sk.>",
		"another's inbox": inboxOf(foreign) + ".>", "the services' inbox": serviceInbox + ".>", "all inboxes": "_INBOX.>",
		"advisories": "$JS.EVENT.ADVISORY.>", "the system": "$SYS.>", "acks": "$JS.ACK.>",
	} {
		t.Run("subscribe to "+name, func(t *testing.T) {
			if _, err := nc.SubscribeSync(subject); err != nil {
				t.Fatal(err)
			}
			refusedBy(t, errs, "Subscription")
		})
	}
	t.Run("own consumer", func(t *testing.T) { // so that the refusals above mean something
		m, err := nc.Request("$JS.API.CONSUMER.INFO."+stream+"."+own, nil, 5*time.Second)
		if err != nil || !strings.Contains(string(m.Data), `"name":"`+own+`"`) {
			t.Errorf("%v, %v", m, err)
		}
	})
}

func refusedBy(t *testing.T, errs chan error, what string) {
	t.Helper()
	select {
	case err := <-errs:
		if !errors.Is(err, nats.ErrPermissionViolation) || !strings.Contains(err.Error(), what) {
			t.Errorf("refused by %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("not refused")
	}
}

// The server sends a consumer's answers wherever the asker says. They must not
// reach anything of ours: not a stream, not the API, not another's acks.
func TestDepartmentCannotMisdirectAnswers(t *testing.T) {
	l, g := queues(t)
	creds, _ := issue(t, l, benefits)
	theirs, _ := issue(t, l, violence)
	queued(t, g, benefits, Urgent, "bait1")
	queued(t, g, benefits, Urgent, "bait2")
	queued(t, g, violence, Urgent, "secret")
	mustAppend(t, g, Intake, rec("a", 0))
	stream := QueueStream(testCentre)
	q := client(t, l, violence, theirs)
	secret, err := q.Next(t.Context()) // in their hands, not acknowledged
	if err != nil {
		t.Fatal(err)
	}
	for _, own := range []string{QueueConsumer(benefits, Urgent), QueueConsumer(benefits, Normal)} {
		for _, reply := range []string{
			"sk.zielona-gora.intake.evil",
			"sk.zielona-gora.queue.przemoc.urgent.evil.1",
			"$JS.API.STREAM.DELETE." + streamOf(testCentre, Intake),
			"$JS.API.CONSUMER.MSG.NEXT." + stream + "." + QueueConsumer(violence, Urgent),
			"$JS.API.CONSUMER.MSG.NEXT." + stream + "." + QueueConsumer(benefits, Normal),
			secret.reply,
			"_R_.x",
		} {
			nc, _, _ := raw(t, l, creds) // a new one: some of these end the connection
			if err := nc.PublishRequest("$JS.API.CONSUMER.MSG.NEXT."+stream+"."+own, reply, []byte(`{"batch":1,"no_wait":true}`)); err != nil {
				t.Fatal(err)
			}
			_ = nc.FlushTimeout(5 * time.Second) // the server may have hung up
		}
	}
	// Whatever was to happen has happened when an honest request got through.
	nc, _, _ := raw(t, l, creds)
	if _, err := nc.Request("$JS.API.CONSUMER.MSG.NEXT."+stream+"."+QueueConsumer(benefits, Normal), []byte(`{"batch":1,"no_wait":true}`), 5*time.Second); err != nil {
		t.Fatal(err)
	}
	if st, err := g.State(t.Context(), Intake); err != nil || st.Messages != 1 {
		t.Errorf("INTAKE: %+v, %v", st, err)
	}
	if st, err := g.State(t.Context(), Queue); err != nil || st.Messages != 3 {
		t.Errorf("QUEUE: %+v, %v", st, err)
	}
	st, err := l.QueueState(t.Context(), testCentre, violence)
	if err != nil || st[Urgent].Unacked != 1 {
		t.Errorf("another department's event was answered for it: %+v, %v", st, err)
	}
}

func TestRevokeDropsAtOnceAndForEver(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, func(o *Options) { o.Port = -1 })
	centre(t, l)
	creds, pub := issue(t, l, benefits)
	other, _ := issue(t, l, benefits)
	q := client(t, l, benefits, creds)
	waiting := make(chan error, 1)
	go func() {
		_, err := q.Next(t.Context())
		waiting <- err
	}()
	closed := make(chan struct{})
	raw(t, l, creds, nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	stays, _, _ := raw(t, l, other)
	if err := l.Revoke(t.Context(), pub); err != nil {
		t.Fatal(err)
	}
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		t.Fatal("the connected client was not dropped")
	}
	if err := <-waiting; !errors.Is(err, ErrRefused) {
		t.Errorf("waiting with credentials that were revoked: %v", err)
	}
	if err := stays.FlushTimeout(5 * time.Second); err != nil {
		t.Errorf("the other client was dropped too: %v", err)
	}
	refused := func(l *Ledger) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		q, err := OpenQueue(ctx, QueueOptions{URL: l.URL(), Credentials: creds, Centre: testCentre, Department: benefits, Logger: zerolog.Nop()})
		if err == nil {
			q.Close()
		}
		if !errors.Is(err, ErrRefused) {
			t.Errorf("opening with revoked credentials: %v", err)
		}
	}
	refused(l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, dir, func(o *Options) { o.Port = -1 })
	refused(l)
	list, err := l.Credentials(t.Context(), testCentre)
	if err != nil || len(list) != 2 || list[0].User != pub || list[0].Revoked.IsZero() || !list[1].Revoked.IsZero() {
		t.Errorf("credentials %+v, %v", list, err)
	}
	if err := l.Revoke(t.Context(), "UAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"); !errors.Is(err, ErrNotFound) {
		t.Errorf("revoking a stranger: %v", err)
	}
}

func TestAdvisories(t *testing.T) {
	l, g := queues(t)
	creds, _ := issue(t, l, benefits)
	queued(t, g, benefits, Normal, "a")
	seq := queued(t, g, benefits, Normal, "b")
	q := client(t, l, benefits, creds)
	for range 2 {
		m, err := q.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if m.Seq == seq {
			err = m.Refuse("unreadable")
		} else {
			err = m.Ack(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	cfg := jetstream.ConsumerConfig{Durable: "impatient", AckPolicy: jetstream.AckExplicitPolicy, MaxDeliver: 1, AckWait: 100 * time.Millisecond, DeliverPolicy: jetstream.DeliverAllPolicy}
	if err := l.ensureConsumer(t.Context(), QueueStream(testCentre), cfg); err != nil {
		t.Fatal(err)
	}
	p, err := l.c.newPuller(t.Context(), QueueStream(testCentre), "impatient", 10)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	if err := p.ask(1); err != nil {
		t.Fatal(err)
	}
	stop := errors.New("enough")
	var got []Advisory
	err = l.FollowAdvisories(t.Context(), 1, func(a Advisory) error {
		if got = append(got, a); len(got) == 2 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) {
		t.Fatal(err)
	}
	if a := got[0]; !a.Terminated || a.StreamSeq != seq || a.Reason != "unreadable" || a.Consumer != QueueConsumer(benefits, Normal) || a.Stream != QueueStream(testCentre) {
		t.Errorf("refusal: %+v", a)
	}
	if a := got[1]; a.Terminated || a.Consumer != "impatient" || a.Deliveries != 1 {
		t.Errorf("too many deliveries: %+v", a)
	}
}
