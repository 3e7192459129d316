package trace

import (
	"bytes"
	"log/slog"
	"testing"
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
	record(r, startEvent(1), request, sendEvent(1), upkeep, receive, note, enter)
	if b.Len() > 0 {
		t.Error("the handler runs in Record")
	}
	r.Flush()
	r.Flush()
	const want = `time=2026-11-23T12:00:00.000Z level=INFO msg=starts peer=a clock=1 incarnation=1
time=2026-11-23T12:00:01.000Z level=INFO msg="wants the lock" peer=a clock=2 lock="two\nlines"
time=2026-11-23T12:00:00.000Z level=INFO msg="sends reply to b" peer=a clock=2 lock=demo id=a-1-1 request=4.c reason="it wants nothing"
time=2026-11-23T12:00:00.000Z level=INFO msg="receives reply from a" peer=b clock=4 lock=demo id=a-1-3 request=4.c
time=2026-11-23T12:00:01.000Z level=INFO msg="holds back its reply: its own request 4.c is older" peer=a clock=2 lock="two\nlines" other=b
time=2026-11-23T12:00:01.000Z level=INFO msg="enters the critical section" peer=a clock=2 lock="two\nlines" token=2 reason="every peer has replied"
`
	if b.String() != want {
		t.Errorf("got\n%s", b.String())
	}
}
