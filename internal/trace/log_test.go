package trace

import (
	"bytes"
	"context"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestLog(t *testing.T) {
	var b bytes.Buffer
	l := NewLog(slog.New(slog.NewTextHandler(&b, nil)))
	r := Tee(nil, l)
	upkeep := sendEvent(2)
	upkeep.Message.Upkeep = true
	request := Event{At: noon.Add(time.Second), Peer: "a", Incarnation: 1, Clock: 2, Kind: Request, Lock: "two\nlines"}
	enter := request
	enter.Kind, enter.Token, enter.Reason = Enter, 2, "every peer has replied"
	note := request
	note.Kind, note.Reason, note.Other = Note, "holds back its reply: its own request 4.c is older", "b"
	receive := sendEvent(3)
	receive.Kind, receive.Peer, receive.Reason = Receive, "b", ""
	leased, extend := enter, enter
	leased.Lease, extend.Kind, extend.Lease = time.Second, Extend, time.Second // the latter at debug level
	record(r, startEvent(1), request, sendEvent(1), upkeep, receive, note, enter, leased, extend)
	r.Flush()
	r.Flush()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	const want = `time=2026-11-23T12:00:00.000Z level=INFO msg=starts peer=a clock=1 incarnation=1 algorithm=relay
time=2026-11-23T12:00:01.000Z level=INFO msg="wants the lock" peer=a clock=2 lock="two\nlines"
time=2026-11-23T12:00:00.000Z level=INFO msg="sends reply to b" peer=a clock=2 lock=demo id=a-1-1 request=4.c reason="it wants nothing"
time=2026-11-23T12:00:00.000Z level=INFO msg="receives reply from a" peer=b clock=4 lock=demo id=a-1-3 request=4.c
time=2026-11-23T12:00:01.000Z level=INFO msg="holds back its reply: its own request 4.c is older" peer=a clock=2 lock="two\nlines" other=b
time=2026-11-23T12:00:01.000Z level=INFO msg="enters the critical section" peer=a clock=2 lock="two\nlines" token=2 reason="every peer has replied"
time=2026-11-23T12:00:01.000Z level=INFO msg="enters the critical section" peer=a clock=2 lock="two\nlines" token=2 lease=1s reason="every peer has replied"
`
	if b.String() != want {
		t.Errorf("got\n%s", b.String())
	}
}

// stuck is a handler whose output takes nothing until it is freed.
type stuck struct {
	slog.Handler
	free chan struct{}
}

func (s stuck) Handle(ctx context.Context, r slog.Record) error {
	<-s.free
	return s.Handler.Handle(ctx, r)
}

// A log that takes no more stops nobody: records wait, then they are lost, and
// the log says how many.
func TestLogStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		h := stuck{slog.NewTextHandler(&b, nil), make(chan struct{})}
		l := NewLog(slog.New(h))
		l.Logger().With("peer", "a").Warn("something else") // does not wait either
		const events = 3 * logMax                           // one in the handler, one waiting, one lost
		e := startEvent(1)
		for range events {
			l.Record(&e)
			l.Flush()
		}
		if err := l.Close(); err == nil {
			t.Error("Close says nothing of records that are stuck")
		}
		close(h.free)
		<-l.done
		lost := 0
		for _, match := range regexp.MustCompile(`lost=(\d+)`).FindAllStringSubmatch(b.String(), -1) {
			n, err := strconv.Atoi(match[1])
			if err != nil {
				t.Fatal(err)
			}
			lost += n
		}
		if lost == 0 {
			t.Error("the log does not say how many records are lost")
		}
		if !strings.Contains(b.String(), `msg="something else" peer=a`) {
			t.Error("what was logged beside the events is missing")
		}
		if got := strings.Count(b.String(), "msg=starts"); got+lost != events {
			t.Errorf("%d records and %d lost, of %d", got, lost, events)
		}
	})
}

// quiet is a Recorder that may do without words.
type quiet bool

func (quiet) Record(*Event)    {}
func (quiet) Flush()           {}
func (q quiet) Wordless() bool { return bool(q) }

// One recorder that wants words is enough for them.
func TestWordless(t *testing.T) {
	l := NewLog(slog.New(slog.DiscardHandler))
	defer l.Close()
	for _, tt := range []struct {
		recorder Recorder
		want     bool
	}{
		{nil, true}, {l, false}, {quiet(true), true}, {quiet(false), false},
		{Tee(quiet(true), quiet(true)), true}, {Tee(quiet(true), l), false}, {Tee(quiet(true), nil), true},
	} {
		if got := Wordless(tt.recorder); got != tt.want {
			t.Errorf("%T %v: %v, want %v", tt.recorder, tt.recorder, got, tt.want)
		}
	}
}
