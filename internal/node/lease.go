package node

import (
	"fmt"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/trace"
)

// How holds end by time.
//
// A hold with a lease has a deadline, by this peer's clock; the process moves it
// later as the lease is renewed (Extend). A margin before the deadline the
// context of the hold ends, with cause ErrLost: from then on the hold is lost to
// its caller, even if the process could still extend it. The margin is the
// caller's, to stop in: the lock is given back (Release) when the caller calls
// Hold.Release, which returns ErrLost, or at the deadline, and only then is the
// hold recorded as lost and the next caller here asks. If the process says
// first that it is Lost, it ends with that.
//
// One timer serves the process's wishes (Wake), another one all contexts, which so
// end in time whatever the node is busy with: see guard. Timers stand still
// while a machine sleeps and this peer's clock does not, so whatever comes in
// looks at the clock first, and both timers' owners once a second in any case.

// margin is the time by which the context of a hold ends before its lease can.
// It has to cover a timer that is late and a caller that looks up from its work
// between two steps. Algorithms renew a lease long before it is so near its end,
// so a sixteenth costs nothing; and nobody who needs more than a tenth of a second
// to stop will be content with a little more.
func margin(ttl algo.Duration) algo.Duration {
	return min(ttl/16, algo.Duration(100*time.Millisecond))
}

var (
	errEnding = fmt.Errorf("%w: its lease ends, and was not renewed in time", ErrLost)
	errEnded  = fmt.Errorf("%w: its lease has ended", ErrLost)
)

// readClock reads this peer's clock, after the wall clock: the process may be
// stopped in between, and what is said of a lease by the wall clock may come out
// too early, but not too late.
func (n *Node) readClock() {
	n.at = time.Now()
	n.now = max(n.now, n.cfg.Clock())
	n.read = true
}

// look reads the clock and ends the holds whose time is over. Whoever comes in
// does this first, so that nobody finds a hold that is lost already. n.mu is held.
func (n *Node) look() {
	n.readClock()
	for _, h := range n.guard.take(n.now) {
		if n.failure == nil && h.inside() {
			n.leave(h, errEnded, trace.Event{Kind: trace.Lost, Reason: "its lease has ended"})
		}
	}
}

// tickMin is the shortest time for which the timer is set: an end that comes a
// little late is what the margin is for, and a process that wants tick after
// tick does not keep the peer busy.
const tickMin = algo.Duration(time.Millisecond)

// arm sets the timer if the process wants to be ticked earlier than it would fire. One
// that is set too early is set again when it fires: so entering again and again,
// which moves deadlines on, sets none.
func (n *Node) arm() {
	next := n.process.Wake()
	if next >= n.armed || n.ended {
		return
	}
	n.armed = next
	n.timer.Reset(time.Duration(max(next.Sub(n.now), tickMin)))
}

// wake does what is due: the timer has fired, or it is time to see whether this
// machine has slept.
func (n *Node) wake() {
	n.mu.Lock()
	defer n.unlock()
	if n.ended {
		return
	}
	n.armed = algo.Never
	n.look()
	if n.process.Wake() <= n.now {
		n.step(algo.Input{Kind: algo.Tick}, trace.Event{})
	}
	n.arm()
}

// extend lets a hold last longer. One whose context has ended is lost already.
func (n *Node) extend(o *algo.Output) {
	h := n.holder(o.Lock, "extends")
	left := n.left(n.guard.deadline(h))
	if n.guard.watch(h, o.Deadline, n.now) {
		n.record(trace.Event{Kind: trace.Extend, Lock: o.Lock, Token: h.token, Lease: n.left(o.Deadline), Took: left, Reason: n.reason(o.Why)})
	}
}

// left says, for the record, how far off a deadline is: 0 if it is never, and
// something if it is past.
func (n *Node) left(deadline algo.Instant) time.Duration {
	if deadline == algo.Never {
		return 0
	}
	return time.Duration(max(1, deadline.Sub(n.now)))
}

// lose ends a hold whose lease has ended, as the process says. The next waiter's
// request is opened when the other outputs of the step are carried out.
func (n *Node) lose(o *algo.Output) {
	h := n.holder(o.Lock, "loses")
	n.record(trace.Event{Kind: trace.Lost, Lock: o.Lock, Token: h.token, Took: n.at.Sub(h.since), Reason: n.reason(o.Why)})
	n.guard.finish(h, errEnded)
	h.lock.hold = nil
	n.vacant = append(n.vacant, h.lock)
}

// holder returns the hold of a lock that the process believes to be inside.
func (n *Node) holder(name, does string) *Hold {
	l := n.locks[name]
	if l == nil || l.hold == nil {
		panic(fmt.Sprintf("node: the process of %s %s a hold of %q, and nobody here is inside", n.self, does, name))
	}
	return l.hold
}
