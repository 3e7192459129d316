package conch

import (
	"time"

	"github.com/conchlock/conch/internal/trace"
)

// Observer is told what a peer does, to count and to measure it: see
// Config.Observer. Package metrics has one for Prometheus.
type Observer interface {
	// Joined tells of the peer, whose Status has what no event says. Join calls
	// it before it returns, and after the first events may have come.
	Joined(p *Peer)
	// Observe tells of an event. Several goroutines call it at once, and parts
	// of the peer may be locked meanwhile: it must be quick, and must not call
	// the peer. What waits for it is the peer.
	Observe(e Event)
}

// Event is one thing that happened at a peer. Which of its fields are set, its
// Kind says.
type Event struct {
	Kind EventKind
	Lock string        // the lock's name
	Took time.Duration // by this peer's clock alone
	Peer string        // the other peer's name
	// Message is the kind of a message: each algorithm has a few, those in the
	// chapters of docs/algorithms.
	Message string
	Upkeep  bool // of a message: no entry needs it
}

// EventKind says what an Event tells.
type EventKind int

const (
	// Entered: a call of Lock or TryLock got the Lock. It Took so long, from the
	// call to its return.
	Entered EventKind = iota + 1
	// GaveUp: it got nothing, because its context or the peer had ended, or
	// because more locks are in use than may be. Calls of TryLock that ended at
	// once do not count: they have not waited.
	GaveUp
	// HandedOver: somebody at this peer enters the Lock, and the hold before it at
	// this peer ended while somebody here was waiting. It Took from that end to
	// this entry. If other peers were inside in between, their turns are part of
	// it; a handoff from one peer to another has an end at each of them, and so no
	// clock that sees both.
	HandedOver
	// Exited: a hold of the Lock has ended, after it Took so long, by Unlock or
	// because the peer was closed.
	Exited
	// LostHold: it was lost, as ErrLost has it, after so long; also if it was lost to a
	// program that has it through this peer, and fell silent.
	LostHold
	// Renewed: the lease of a hold of the Lock was renewed. Took is what was left
	// of the lease at that moment. Renewals that added less than a tenth to it are
	// left out: those are later answers to the same question.
	Renewed
	// Sent: a Message to Peer was given to its link.
	Sent
	// Received: a Message came from Peer.
	Received
	// Dropped: a Message to or from Peer was discarded, because the link or one of
	// the two peers had ended. Algorithms count on it: nothing is sent again.
	Dropped
	// LinkUp: messages can be exchanged with Peer.
	LinkUp
	// LinkDown: they cannot. It comes again whenever there is a new reason, also
	// when they never could.
	LinkDown
)

// observing gives a peer's record of events to an Observer.
type observing struct {
	self     string
	observer Observer
}

// Wordless implements trace.Counter.
func (observing) Wordless() bool { return true }

// Flush implements trace.Recorder.
func (observing) Flush() {}

// Record implements trace.Recorder.
func (o observing) Record(e *trace.Event) {
	switch e.Kind {
	case trace.Enter:
		if e.Took > 0 {
			o.observer.Observe(Event{Kind: HandedOver, Lock: e.Lock, Took: e.Took})
		}
	case trace.Exit:
		if e.Reason != trace.GivenBack { // else nobody knew of the hold
			o.observer.Observe(Event{Kind: Exited, Lock: e.Lock, Took: e.Took})
		}
	case trace.Lost:
		o.observer.Observe(Event{Kind: LostHold, Lock: e.Lock, Took: e.Took})
	case trace.Extend:
		if e.Lease-e.Took >= e.Lease/10 {
			o.observer.Observe(Event{Kind: Renewed, Lock: e.Lock, Took: e.Took})
		}
	case trace.Send:
		o.message(Sent, e.Message)
	case trace.Receive:
		o.message(Received, e.Message)
	case trace.Drop:
		o.message(Dropped, e.Message)
	case trace.LinkUp:
		o.observer.Observe(Event{Kind: LinkUp, Peer: string(e.Other)})
	case trace.LinkDown:
		o.observer.Observe(Event{Kind: LinkDown, Peer: string(e.Other)})
	}
}

func (o observing) message(kind EventKind, m *trace.Message) {
	other := string(m.From)
	if other == o.self {
		other = string(m.To)
	}
	o.observer.Observe(Event{Kind: kind, Peer: other, Message: m.Kind, Upkeep: m.Upkeep})
}
