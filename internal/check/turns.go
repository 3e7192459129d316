package check

import (
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/trace"
)

// lock is what is known of one lock.
type lock struct {
	name  string
	turns []turn // by peer

	frontier []*hold // see enter
	trail    []*hold // that were on it last
	crowded  bool    // of so many holds at once, not every pair was kept
	entries  []entry // by token

	sends  int
	upkeep int
	exits  int
	losses int // holds that ended with lost
	deaths int // holds that ended with their peer
	cancel int
	gone   int // requests that ended with their peer

	openRequests int
	openHolds    int
	waits        []time.Duration
	clockBack    int // waits that the wall clock says were negative
	overtaken    int

	left         time.Time // when it was last left, until the next entry
	handoffs     []time.Duration
	handoffsBack int   // those that the wall clocks say were negative
	costs        []int // messages of each entry
}

// turn is where one peer is with one lock: idle, asking, or inside. It holds
//
//	request -> cancel, or enter -> extend ... -> exit or lost
//
// and nothing else. unseen says that events are missing, so that any of them
// may come next.
type turn struct {
	asking bool
	unseen bool
	hold   *hold // not nil: inside

	request   trace.Pos
	stamp     algo.Stamp
	at        time.Time
	overtaken int // entries with a younger stamp while asking

	entries  int
	requests int
	waited   time.Duration
	unpaid   []sent // messages that are in no entry's past yet, in order
}

// turn takes a request, a cancel, or the beginning or the end of a hold.
func (c *checker) turn(e *trace.Merged) {
	l := c.lock(e.Lock)
	t := &l.turns[e.Who]
	switch e.Kind {
	case trace.Request:
		c.request(l, t, e)
	case trace.Cancel:
		if !t.asking && !t.unseen {
			c.violation(requests, l.name, []trace.Pos{e.Pos}, "%s cancels a request that it has not made", e.Peer)
		}
		l.cancel++
		t.asking = false
	case trace.Enter:
		if !t.asking && !t.unseen {
			c.violation(requests, l.name, []trace.Pos{e.Pos}, "%s enters without a request", e.Peer)
		}
		if t.hold != nil {
			c.violation(exclusion, l.name, []trace.Pos{t.hold.enter, e.Pos}, "%s enters again before it has left", e.Peer)
			c.end(l, t, unseen, e)
		}
		l.pay(e)
		l.handOff(t, e)
		if t.asking {
			l.wait(t, e)
		}
		t.asking = false
		c.enter(l, t, e)
	case trace.Extend:
		c.extend(l, t, e)
		return // says nothing of what was unseen before
	case trace.Exit, trace.Lost:
		c.leave(l, t, e)
	}
	t.unseen = false
}

func (c *checker) request(l *lock, t *turn, e *trace.Merged) {
	switch {
	case t.asking:
		c.violation(requests, l.name, []trace.Pos{t.request, e.Pos},
			"%s asks again, but its request %s was neither granted nor cancelled", e.Peer, t.stamp)
	case t.hold != nil:
		c.violation(requests, l.name, []trace.Pos{t.hold.enter, e.Pos}, "%s asks while it is inside", e.Peer)
	}
	t.asking, t.request, t.at, t.overtaken = true, e.Pos, e.At, 0
	t.stamp = algo.Stamp{Time: e.Clock, Peer: e.Peer, Incarnation: e.Incarnation}
	t.requests++
}

// extend moves the end of a hold's lease.
func (c *checker) extend(l *lock, t *turn, e *trace.Merged) {
	switch {
	case t.hold == nil && !t.unseen:
		c.violation(requests, l.name, []trace.Pos{e.Pos}, "%s may stay longer with token %d, but is not inside", e.Peer, e.Token)
	case t.hold == nil:
	case e.Token != t.hold.token:
		c.violation(tokens, l.name, []trace.Pos{t.hold.enter, e.Pos},
			"%s enters with token %d, but its %s says %d", e.Peer, t.hold.token, e.Kind, e.Token)
	default:
		t.hold.lease(e)
	}
}

// leave ends a hold, with an exit or because it was lost.
func (c *checker) leave(l *lock, t *turn, e *trace.Merged) {
	if t.hold == nil {
		if !t.unseen {
			c.violation(requests, l.name, []trace.Pos{e.Pos}, "%s has an %s with token %d, but is not inside", e.Peer, e.Kind, e.Token)
		}
		return
	}
	if e.Token != t.hold.token {
		c.violation(tokens, l.name, []trace.Pos{t.hold.enter, e.Pos},
			"%s enters with token %d, but its %s says %d", e.Peer, t.hold.token, e.Kind, e.Token)
	}
	if e.Kind == trace.Exit {
		l.exits++
		l.left = e.At
		c.end(l, t, exited, e)
	} else {
		l.losses++
		c.end(l, t, lost, e)
	}
}

// abandon ends what a peer was doing with a lock because it died, or because
// the record has a hole.
func (c *checker) abandon(l *lock, who int, why ending, e *trace.Merged) {
	t := &l.turns[who]
	if t.asking && why == died {
		l.gone++
	}
	t.asking = false
	if t.hold != nil {
		if why == died {
			l.deaths++
		}
		c.end(l, t, why, e)
	}
}

// wait measures the request that e grants, and whom it overtakes: a request is
// overtaken once for every entry that a request with a younger stamp makes
// while it is open.
func (l *lock) wait(t *turn, e *trace.Merged) {
	d := e.At.Sub(t.at)
	if d < 0 {
		d = 0
		l.clockBack++
	}
	l.waits = append(l.waits, d)
	t.waited += d
	for who := range l.turns {
		other := &l.turns[who]
		if other != t && other.asking && other.stamp.Compare(t.stamp) < 0 {
			other.overtaken++
			l.overtaken = max(l.overtaken, other.overtaken)
		}
	}
}
