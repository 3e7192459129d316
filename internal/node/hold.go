package node

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/trace"
)

// Hold is one stay of this peer in a critical section.
type Hold struct {
	node  *Node
	name  string // of the lock
	about About  // what its caller says of it

	// Set when it begins, before anybody else sees it.
	lock  *lock // nil until then
	token algo.Token
	since time.Time // before that: when its caller came

	// Guarded by guard.mu.
	deadline algo.Instant            // when its lease ends; Never without one
	alarm    algo.Instant            // when the guard has to look after it, if place is set
	place    int                     // in guard.alarms, counted from 1; 0 if it is not there
	cause    error                   // why it has ended for its caller; nil if it has not
	ctx      context.Context         // nil until somebody asks for it
	end      context.CancelCauseFunc // of ctx
	asked    *asked                  // nil until somebody asks it to give way, or to hear of that
}

// About is what a caller says of itself, for people who ask who holds a lock or waits
// for it.
type About struct {
	Label string
	Trace string // the span in which it waits or holds, as in a traceparent header
	ID    uint64 // tells the callers of this peer apart; 0 if nobody needs to
	// Lost is set before Release if whom the caller has got the hold for had lost it by
	// then; nil if that is the caller itself.
	Lost *atomic.Bool
}

// inside says that the process believes this hold to be inside: it has not been
// given back, nor been lost. Its context may have ended.
func (h *Hold) inside() bool { return h.lock.hold == h }

// finish ends the hold for its caller. Only the first cause counts. guard.mu is
// held.
func (h *Hold) finish(cause error) {
	if h.cause != nil {
		return
	}
	h.cause = cause
	if h.end != nil {
		h.end(cause)
	}
}

// Release leaves the section. If the hold has ended before, it returns the cause:
// context.Canceled for an earlier Release, ErrClosed, or ErrLost.
func (h *Hold) Release() error {
	n := h.node
	n.mu.Lock()
	defer n.unlock()
	n.look()
	ended := n.guard.cause(h)
	if n.failure == nil && h.inside() {
		n.leave(h, context.Canceled, trace.Event{Kind: trace.Exit})
	}
	switch {
	case ended != nil:
		return ended
	case n.failure != nil:
		return n.failure // the others may not know that it has left: nobody else is inside
	}
	if cause := n.guard.cause(h); cause != context.Canceled {
		return cause // it came too late
	}
	return nil
}

// Token returns the hold's fencing token.
func (h *Hold) Token() algo.Token { return h.token }

// Deadline returns when the hold's lease ends, as far as it is renewed by now; the
// zero time if it has none. The context ends a margin before.
func (h *Hold) Deadline() time.Time {
	g := h.node.guard
	at := time.Now()
	now := g.look()
	return wall(g.deadline(h), at, now)
}

// Context ends when the hold does.
func (h *Hold) Context() context.Context {
	g := h.node.guard
	g.look()
	return g.context(h)
}

// leave ends a hold that is inside and opens the next waiter's request. What is
// recorded is e, or that the hold is lost if its context has ended by time, or it was lost
// to whom its caller has got it for.
func (n *Node) leave(h *Hold, cause error, e trace.Event) {
	e.Token, e.Took = h.token, n.at.Sub(h.since)
	before := n.guard.cause(h)
	if cause != context.Canceled {
		before = n.guard.finish(h, cause) // else it is the caller that leaves, and knows
	}
	switch {
	case e.Kind != trace.Exit:
	case before == errEnding:
		e.Kind, e.Reason = trace.Lost, "its lease was about to end, and it has left"
	case errors.As(before, new(*forced)):
		e.Reason = "it was told to, and has left"
	case h.about.Lost != nil && h.about.Lost.Load():
		e.Kind, e.Reason = trace.Lost, "its program had lost it before"
	}
	if n.step(algo.Input{Kind: algo.Release, Lock: h.name}, e) {
		cause = errEnded
	}
	n.guard.finish(h, cause)
	l := h.lock
	l.hold = nil
	n.next(l)
}
