// Package trace keeps the record of what peers did: it writes events, reads
// them back, and puts the events of several peers into causal order.
package trace

import (
	"time"

	"github.com/conchlock/conch/algo"
)

// Kind says what an event records.
type Kind string

const (
	Start    Kind = "start"     // a peer begins an incarnation
	Stop     Kind = "stop"      // it has ended it in good order
	LinkUp   Kind = "link-up"   // messages can be exchanged with another peer
	LinkDown Kind = "link-down" // they cannot
	Request  Kind = "request"   // somebody here wants the lock
	Cancel   Kind = "cancel"    // and has given it up before entering
	Send     Kind = "send"
	Receive  Kind = "receive"
	Drop     Kind = "drop"   // a message to or from an old incarnation was discarded
	Enter    Kind = "enter"  // the critical section begins, with Token and Lease
	Extend   Kind = "extend" // the hold with Token lasts for Lease from now on, if nothing extends it again
	Exit     Kind = "exit"
	Lost     Kind = "lost" // the hold has ended without an exit
	Suspect  Kind = "suspect"
	Join     Kind = "join"
	Leave    Kind = "leave"
	Crash    Kind = "crash" // written by whoever killed the peer
	Note     Kind = "note"
)

// kinds are all that a trace may hold: an event that a reader does not know
// could change what the others mean, so it is refused.
var kinds = [...]Kind{
	Send, Receive, Note, Request, Enter, Exit, Extend, Cancel, Lost, Drop,
	LinkUp, LinkDown, Start, Stop, Suspect, Join, Leave, Crash,
}

// GivenBack is the reason of an exit whose caller was never told of the entry,
// because it had given up at that moment.
const GivenBack = "given back: the caller had given up"

// Event is one thing that a peer did or that happened to it. All events of one
// step of a peer have the same Clock; within a peer, the order of the file is
// the order of events.
type Event struct {
	At          time.Time
	Peer        algo.PeerName
	Incarnation algo.Incarnation
	Clock       algo.Time // the peer's Lamport clock after the event
	Kind        Kind
	Lock        string        // empty if about no single lock
	Token       algo.Token    // Enter, Extend, Exit, Lost
	Lease       time.Duration // Enter, Extend: how long the hold lasts from At on, if nothing extends it; 0 in Enter: it has no lease
	Algorithm   string        // Start: what the peer runs; may be empty
	Other       algo.PeerName // LinkUp, LinkDown, Suspect, Join, Leave: the peer it is about; Note: the peer held back, if any
	Reason      string        // why, in words; may be empty
	Message     *Message      // Send, Receive, Drop

	// Took is what the peer has measured by its own clock, for who counts. It is
	// not written: a reader finds it out from the events before. Exit, Lost: how
	// long the hold lasted. Extend: how much of the lease was left. Enter: how long
	// ago the last hold here ended, if somebody here has waited since then; else 0.
	Took time.Duration
}

// Message is a message as a trace knows it.
type Message struct {
	ID     MessageID
	Kind   string
	From   algo.PeerName
	To     algo.PeerName
	Clock  algo.Time // the sender's, when it was sent
	Upkeep bool      // no entry needs it
	Fields []algo.Field
}

// MessageID is unique in a run. It is written FROM-INCARNATION-NUMBER.
type MessageID struct {
	From        algo.PeerName
	Incarnation algo.Incarnation
	Number      uint64
}

// Recorder takes a peer's events, in order. Record is called under the peer's
// lock, so it must be quick and must not call back; it keeps no pointer to e
// or to what e points to. Flush hands what was recorded to the kernel.
type Recorder interface {
	Record(e *Event)
	Flush()
}

// Counter is a Recorder that may do without words: an event's Reason, where it
// comes from an algorithm, and a message's Fields. They cost more than the rest
// of an event.
type Counter interface {
	Recorder
	Wordless() bool
}

// Wordless says that r does without words; nil does.
func Wordless(r Recorder) bool {
	c, ok := r.(Counter)
	return r == nil || ok && c.Wordless()
}
