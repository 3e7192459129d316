package node

import (
	"container/heap"
	"context"
	"sync"
	"time"

	"github.com/conchlock/conch/algo"
)

// guard ends the contexts of holds by time. It has a mutex and a timer of its own
// and does no I/O, so that a disk or a trace file that hangs, and the node with it,
// does not keep a context from ending. It gives nothing back: a hold whose lease
// has ended, too, is put aside for the node.
//
// What changes about a hold is the guard's. Whoever holds Node.mu may lock
// guard.mu, never the other way round.
type guard struct {
	clock  func() algo.Instant // this peer's
	margin algo.Duration
	over   chan<- struct{} // told, if there is room, that ended has grown

	mu     sync.Mutex
	alarms alarms
	ended  []*Hold // for the node to leave
	timer  *time.Timer
	armed  algo.Instant // when the timer fires; Never if it is not set
}

func newGuard(clock func() algo.Instant, margin algo.Duration, over chan<- struct{}) *guard {
	g := &guard{clock: clock, margin: margin, over: over, armed: algo.Never}
	g.timer = time.AfterFunc(time.Hour, g.ring)
	g.timer.Stop()
	return g
}

// alarms is a heap of the holds that have a lease, the next to end first.
type alarms []*Hold

func (a alarms) Len() int           { return len(a) }
func (a alarms) Less(i, j int) bool { return a[i].alarm < a[j].alarm }
func (a alarms) Swap(i, j int) {
	a[i], a[j] = a[j], a[i]
	a[i].place, a[j].place = i+1, j+1
}

// Push implements heap.Interface.
func (a *alarms) Push(x any) {
	h := x.(*Hold)
	*a = append(*a, h)
	h.place = len(*a)
}

// Pop implements heap.Interface.
func (a *alarms) Pop() any {
	last := len(*a) - 1
	h := (*a)[last]
	(*a)[last] = nil
	*a = (*a)[:last]
	h.place = 0
	return h
}

// watch sets a hold's deadline, unless it has ended for its caller: then nothing
// makes it last longer, and watch returns false.
func (g *guard) watch(h *Hold, deadline, now algo.Instant) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if h.cause != nil {
		return false
	}
	h.deadline = deadline
	if deadline == algo.Never {
		g.remove(h)
		return true
	}
	h.alarm = deadline.Add(-g.margin)
	if h.place == 0 {
		heap.Push(&g.alarms, h)
	} else {
		heap.Fix(&g.alarms, h.place-1)
	}
	g.expire(now) // the disk may have taken its time
	g.arm(now)
	return true
}

// remove takes a hold's alarm away, if it has one. g.mu is held.
func (g *guard) remove(h *Hold) {
	if h.place > 0 {
		heap.Remove(&g.alarms, h.place-1)
	}
}

// finish ends a hold for its caller, if nothing has before, and takes its alarm
// away. It returns why it has ended.
func (g *guard) finish(h *Hold, cause error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.remove(h)
	h.finish(cause)
	return h.cause
}

// cause returns why a hold has ended, as far as is known; nil if it has not.
func (g *guard) cause(h *Hold) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return h.cause
}

// deadline returns when a hold's lease ends.
func (g *guard) deadline(h *Hold) algo.Instant {
	g.mu.Lock()
	defer g.mu.Unlock()
	return h.deadline
}

// context returns the context of a hold.
func (g *guard) context(h *Hold) context.Context {
	g.mu.Lock()
	defer g.mu.Unlock()
	if h.ctx == nil {
		h.ctx, h.end = context.WithCancelCause(context.Background())
		if h.cause != nil {
			h.end(h.cause)
		}
	}
	return h.ctx
}

// look reads the clock and ends what is over, for callers who come without the
// node.
func (g *guard) look() algo.Instant {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.clock()
	g.expire(now)
	return now
}

// take ends what is over now, and hands on the holds that the node has to leave.
func (g *guard) take(now algo.Instant) []*Hold {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.expire(now)
	ended := g.ended
	g.ended = nil
	return ended
}

// expire ends the contexts whose alarm is due; those holds get another alarm, at
// their deadline, and are put aside when that is due. g.mu is held.
func (g *guard) expire(now algo.Instant) {
	for len(g.alarms) > 0 && g.alarms[0].alarm <= now {
		h := g.alarms[0]
		if h.cause == nil {
			h.finish(errEnding)
			h.alarm = h.deadline
			heap.Fix(&g.alarms, 0)
			continue
		}
		g.remove(h)
		g.ended = append(g.ended, h)
	}
	if len(g.ended) > 0 {
		select {
		case g.over <- struct{}{}:
		default:
		}
	}
}

// lookAgain is how often the guard looks at the clock in any case: timers stand
// still while a machine sleeps.
const lookAgain = algo.Duration(time.Second)

// arm sets the timer if an alarm is due earlier than it would fire. One that
// fires too early is set again: so entering again and again, which moves deadlines
// on, sets none. g.mu is held.
func (g *guard) arm(now algo.Instant) {
	if len(g.alarms) == 0 {
		return
	}
	next := min(g.alarms[0].alarm, now.Add(lookAgain))
	if next >= g.armed {
		return
	}
	g.armed = next
	g.timer.Reset(time.Duration(max(next.Sub(g.clock()), tickMin))) // now may be older than it says
}

// ring is called by the timer.
func (g *guard) ring() {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.clock()
	g.armed = algo.Never
	g.expire(now)
	g.arm(now)
}
