package node

import (
	"container/heap"
	"fmt"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/trace"
)

// Steering of a hold by somebody else than its caller: asking it to give way, and
// ending it. Nothing of it is a message of an algorithm. Who ends a hold only tells its
// caller, and sees to it that its lease is not renewed for the caller any more: the lock
// goes on when the caller has left, or when the lease has ended.

// Wish is what somebody wants of a holder.
type Wish struct {
	Token  algo.Token // the hold that is meant
	By     string     // who wants it
	Reason string
	End    bool // the hold is to end; else its caller is asked to give way
}

// forced is why a hold has ended that somebody has ended.
type forced struct{ by, reason string }

func (f *forced) Error() string { return fmt.Sprintf("%s has ended it: %s", f.by, f.reason) }

// asked is what somebody has asked of a holder.
type asked struct {
	told       chan struct{} // closed when by is set
	by, reason string        // of the last one; by is empty if nobody has
}

// Steer tells the holder of a lock what somebody wants, and returns what there is to say of
// it then; nil if nobody here is inside with that token.
func (n *Node) Steer(name string, w Wish) *HoldSight {
	n.mu.Lock()
	defer n.unlock()
	n.look()
	l := n.locks[name]
	if n.ended || l == nil || l.hold == nil || l.hold.token != w.Token {
		return nil
	}
	does := "is asked to give way by"
	if w.End {
		does = "is told to leave by"
	}
	n.record(trace.Event{Kind: trace.Note, Lock: name, Token: w.Token, Reason: fmt.Sprintf("%s %s: %s", does, w.By, w.Reason)})
	n.guard.ask(l.hold, w)
	if w.End {
		n.guard.force(l.hold, fmt.Errorf("%w: %w", ErrLost, &forced{w.By, w.Reason}), n.now)
	}
	n.stir(name)
	return n.holdSight(l.hold)
}

// Asked returns a channel that is closed when somebody has asked the holder to give way.
func (h *Hold) Asked() <-chan struct{} {
	g := h.node.guard
	g.mu.Lock()
	defer g.mu.Unlock()
	return h.asking().told
}

// AskedBy says who has asked last, and why.
func (h *Hold) AskedBy() (by, reason string) {
	g := h.node.guard
	g.mu.Lock()
	defer g.mu.Unlock()
	if h.asked == nil {
		return "", ""
	}
	return h.asked.by, h.asked.reason
}

// asking returns where it is kept who has asked. guard.mu is held.
func (h *Hold) asking() *asked {
	if h.asked == nil {
		h.asked = &asked{told: make(chan struct{})}
	}
	return h.asked
}

// ask tells a hold's caller what somebody wants.
func (g *guard) ask(h *Hold, w Wish) {
	g.mu.Lock()
	defer g.mu.Unlock()
	a := h.asking()
	a.by, a.reason = w.By, w.Reason
	select {
	case <-a.told:
	default:
		close(a.told)
	}
}

// force ends a hold for its caller. The lock is left for it at the deadline, which
// nothing moves any more, unless the caller does it before.
func (g *guard) force(h *Hold, cause error, now algo.Instant) {
	g.mu.Lock()
	defer g.mu.Unlock()
	h.finish(cause)
	if h.place > 0 {
		h.alarm = h.deadline
		heap.Fix(&g.alarms, h.place-1)
		g.arm(now)
	}
}
