package conch

import (
	"testing"
	"time"

	"github.com/conchlock/conch/internal/trace"
)

// told keeps the events of an Observer.
type told []Event

func (*told) Joined(*Peer)      {}
func (t *told) Observe(e Event) { *t = append(*t, e) }

// Each event of a peer's record is told as what it is, or not at all.
func TestObserving(t *testing.T) {
	there := &trace.Message{Kind: "renew", From: "a", To: "b", Upkeep: true}
	back := &trace.Message{Kind: "renew", From: "b", To: "a", Upkeep: true}
	for _, tt := range []struct {
		event trace.Event
		want  Event // nothing if its Kind is 0
	}{
		{trace.Event{Kind: trace.Enter, Lock: "x", Took: 3}, Event{Kind: HandedOver, Lock: "x", Took: 3}},
		{trace.Event{Kind: trace.Enter, Lock: "x"}, Event{}},
		{trace.Event{Kind: trace.Exit, Lock: "x", Took: 3}, Event{Kind: Exited, Lock: "x", Took: 3}},
		{trace.Event{Kind: trace.Exit, Lock: "x", Took: 3, Reason: trace.GivenBack}, Event{}},
		{trace.Event{Kind: trace.Lost, Lock: "x", Took: 3}, Event{Kind: LostHold, Lock: "x", Took: 3}},
		{trace.Event{Kind: trace.Extend, Lock: "x", Lease: time.Second, Took: time.Second / 2}, Event{Kind: Renewed, Lock: "x", Took: time.Second / 2}},
		{trace.Event{Kind: trace.Extend, Lock: "x", Lease: time.Second, Took: time.Second - time.Millisecond}, Event{}},
		{trace.Event{Kind: trace.Send, Lock: "x", Message: there}, Event{Kind: Sent, Peer: "b", Message: "renew", Upkeep: true}},
		{trace.Event{Kind: trace.Receive, Lock: "x", Message: back}, Event{Kind: Received, Peer: "b", Message: "renew", Upkeep: true}},
		{trace.Event{Kind: trace.Drop, Lock: "x", Message: back}, Event{Kind: Dropped, Peer: "b", Message: "renew", Upkeep: true}},
		{trace.Event{Kind: trace.LinkUp, Other: "b"}, Event{Kind: LinkUp, Peer: "b"}},
		{trace.Event{Kind: trace.LinkDown, Other: "b"}, Event{Kind: LinkDown, Peer: "b"}},
		{trace.Event{Kind: trace.Request, Lock: "x"}, Event{}},
		{trace.Event{Kind: trace.Note, Lock: "x"}, Event{}},
	} {
		var got told
		observing{"a", &got}.Record(&tt.event)
		if tt.want.Kind == 0 && len(got) > 0 || tt.want.Kind != 0 && (len(got) != 1 || got[0] != tt.want) {
			t.Errorf("%s: told %+v, want %+v", tt.event.Kind, got, tt.want)
		}
	}
}
