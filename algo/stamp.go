package algo

import (
	"cmp"
	"strconv"
)

// Time is a reading of a Lamport clock. It stays below 2^53 (MaxTime), so that
// fencing tokens made from it survive JSON.
type Time uint64

// MaxTime is the largest Time. At a million events a second it lasts for 285
// years; a message that claims more is refused where it comes in.
const MaxTime Time = 1<<53 - 1

// Incarnation numbers the starts of one peer: each start has a larger one.
type Incarnation uint64

// Token is a fencing token: it grows with every hold of a lock.
type Token uint64

// Stamp names a request and gives it its place in the queue: the Lamport time
// of the moment it was made, ties broken by peer name, then by incarnation
// (Lamport, CACM 1978, the total order "=>").
type Stamp struct {
	Time        Time
	Peer        PeerName
	Incarnation Incarnation
}

// Compare orders stamps: negative if s is older than t and so goes first.
func (s Stamp) Compare(t Stamp) int {
	if c := cmp.Compare(s.Time, t.Time); c != 0 {
		return c
	}
	if c := cmp.Compare(s.Peer, t.Peer); c != 0 {
		return c
	}
	return cmp.Compare(s.Incarnation, t.Incarnation)
}

// IsZero says that s names no request.
func (s Stamp) IsZero() bool { return s == Stamp{} }

// String writes a stamp as people read it: "4.c", the request that c made at
// Lamport time 4.
func (s Stamp) String() string {
	return strconv.FormatUint(uint64(s.Time), 10) + "." + string(s.Peer)
}

// Clock is a Lamport clock (CACM 1978, IR1 and IR2). Everything that drives a
// Process keeps one of these for it. The zero value reads 0.
type Clock struct{ now Time }

// ClockAt returns a clock that reads t.
func ClockAt(t Time) Clock { return Clock{now: t} }

// Now returns the time of the last event.
func (c *Clock) Now() Time { return c.now }

// Tick moves the clock for an event of this peer's own (IR1).
func (c *Clock) Tick() Time {
	c.now++
	return c.now
}

// Receive moves the clock for the receipt of a message sent at t (IR2).
func (c *Clock) Receive(t Time) Time {
	c.now = max(c.now, t)
	return c.Tick()
}
