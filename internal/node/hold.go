package node

import (
	"context"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/trace"
)

// Hold is one stay of this peer in a critical section.
type Hold struct {
	node *Node
	name string // of the lock

	// Set when it begins, before anybody else sees it.
	lock  *lock // nil until then
	token algo.Token
	since time.Time

	// Guarded by node.mu.
	deadline algo.Instant            // when its lease ends; Never without one
	alarm    algo.Instant            // when the node has to look after it, if place is set
	place    int                     // in node.alarms, counted from 1; 0 if it is not there
	cause    error                   // why it has ended for its caller; nil if it has not
	ctx      context.Context         // nil until somebody asks for it
	end      context.CancelCauseFunc // of ctx
}

// inside says that the process believes this hold to be inside: it has not been
// given back, nor been lost. Its context may have ended.
func (h *Hold) inside() bool { return h.lock.hold == h }

// finish ends the hold for its caller. Only the first cause counts.
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
	ended := h.cause
	if n.failure == nil && h.inside() {
		n.leave(h, context.Canceled, trace.Event{Kind: trace.Exit})
	}
	switch {
	case ended != nil:
		return ended
	case n.failure != nil:
		return n.failure // the others may not know that it has left: nobody else is inside
	case h.cause != context.Canceled:
		return h.cause // it came too late
	}
	return nil
}

// Token returns the hold's fencing token.
func (h *Hold) Token() algo.Token { return h.token }

// Deadline returns when the hold's lease ends, as far as it is renewed by now; the
// zero time if it has none. The context ends a margin before.
func (h *Hold) Deadline() time.Time {
	n := h.node
	n.mu.Lock()
	defer n.unlock()
	n.look()
	return n.wall(h.deadline)
}

// Context ends when the hold does.
func (h *Hold) Context() context.Context {
	n := h.node
	n.mu.Lock()
	defer n.unlock()
	n.look()
	if h.ctx == nil {
		h.ctx, h.end = context.WithCancelCause(context.Background())
		if h.cause != nil {
			h.end(h.cause)
		}
	}
	return h.ctx
}

// leave ends a hold that is inside and opens the next waiter's request. What is
// recorded is e, or that the hold is lost if its context has ended by time.
func (n *Node) leave(h *Hold, cause error, e trace.Event) {
	if cause != context.Canceled {
		h.finish(cause) // else it is the caller that leaves, and knows
	}
	e.Token = h.token
	if e.Kind == trace.Exit && h.cause == errEnding {
		e.Kind, e.Reason = trace.Lost, "its lease was about to end, and it has left"
	}
	n.unwatch(h)
	if n.step(algo.Input{Kind: algo.Release, Lock: h.name}, e) {
		cause = errEnded
	}
	h.finish(cause)
	l := h.lock
	l.hold = nil
	n.next(l)
}
