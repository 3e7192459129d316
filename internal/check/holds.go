package check

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/trace"
)

// hold is a peer's stay in the critical section.
type hold struct {
	who   int
	peer  algo.PeerName
	token algo.Token
	enter trace.Pos
	index uint64 // of the enter event
	blind bool   // what happened before the entry is not wholly recorded
	at    time.Time

	leased   bool
	deadline time.Time // when the lease runs out, by the peer's clock

	ended    ending
	end      trace.Pos
	endIndex uint64
	over     time.Time // when it was over at the latest, by the peer's clock; zero: it does not say

	pairs []*pair // those not yet judged

	past      trace.Past // what happened before the entry; only if it is not ordered after all of the frontier
	behind    []*hold    // those that this one took off the frontier
	forgotten bool       // there were such, but they are not kept any more
}

// ending is how a hold came to its end.
type ending uint8

const (
	notYet  ending = iota
	exited         // with an exit
	lost           // it was lost: when the lease ran out, or at end, whichever came first
	died           // with its peer; the end lies somewhere before endIndex, and the lease, if any, lasted on
	unseen         // somewhere in a hole of the record
	unended        // the record ends first
)

// entry is what is kept of every entry, to find tokens that come twice.
type entry struct {
	token algo.Token
	who   int
	index uint64 // of the enter event
	at    int64  // nanoseconds of the wall clock
	pos   trace.Pos
	clean bool // ended with an exit, and its caller knew of it
	gone  bool // ended with its peer
	lost  bool
}

// enter begins a hold and compares it with earlier ones.
//
// Of those the frontier is enough: the holds that no other hold is known to
// have followed. If every hold of the frontier ended before this one began,
// then so did all that they followed; and if this one overlaps any hold at
// all, it is not ordered after one of the frontier either. But the clocks may
// say that this one was over before one of the frontier began; see behind.
func (c *checker) enter(l *lock, t *turn, e *trace.Merged) {
	h := &hold{who: e.Who, peer: e.Peer, token: e.Token, enter: e.Pos, index: e.Index, blind: e.Past.Blind, at: e.At}
	if e.Lease > 0 {
		h.lease(e)
	}
	t.hold = h
	t.entries++
	c.token(l, h, e.Past)
	remembered := false
	l.frontier = slices.DeleteFunc(l.frontier, func(earlier *hold) bool {
		if earlier.ended != notYet && e.Past.Has(earlier.who, earlier.endIndex) {
			l.follow(h, earlier)
			return true
		}
		if !remembered {
			h.past, remembered = e.Past.Clone(), true
		}
		if earlier.ended != notYet && c.overBefore(earlier, h) {
			// As far as is known now; the end of the record decides.
			c.pending = append(c.pending, pending{l, &pair{a: earlier, b: h, after: e.Past.Has(earlier.who, earlier.index), done: true}})
			l.follow(h, earlier)
			return true
		}
		// In this order of events, an end that was not seen yet comes later.
		c.pair(l, &pair{a: earlier, b: h, after: e.Past.Has(earlier.who, earlier.index)})
		return false
	})
	l.frontier = append(l.frontier, h)
	if len(l.frontier) > frontierMax {
		l.frontier = l.frontier[1:] // long past the first findings, unless the clocks clear them all
		l.crowded = true
	}
}

// follow notes that h takes earlier off the frontier.
func (l *lock) follow(h, earlier *hold) {
	h.behind = append(h.behind, earlier)
	if l.trail = append(l.trail, earlier); len(l.trail) > trailMax {
		oldest := l.trail[0]
		oldest.behind, oldest.forgotten = nil, oldest.behind != nil
		l.trail = l.trail[1:]
	}
}

// trailMax bounds how many holds are kept once they are off the frontier.
const trailMax = 100_000

// frontierMax bounds the work on a lock that is broken beyond repair.
const frontierMax = 64

// token keeps h's token and compares it with those that came before. The
// frontier does not suffice for that: a hold that the clocks have put behind
// another may be the one that h knew of.
func (c *checker) token(l *lock, h *hold, past trace.Past) {
	at, found := slices.BinarySearchFunc(l.entries, h.token, func(x entry, t algo.Token) int { return cmp.Compare(x.token, t) })
	if found {
		c.violation(tokens, l.name, []trace.Pos{l.entries[at].pos, h.enter},
			"token %d was given twice, to %s and to %s", h.token, c.names[l.entries[at].who], h.peer)
	}
	for i := len(l.entries) - 1; i >= at && !found; i-- {
		if x := &l.entries[i]; past.Has(x.who, x.index) {
			c.violation(tokens, l.name, []trace.Pos{x.pos, h.enter},
				"%s enters with token %d after %s did with token %d: tokens must grow", h.peer, h.token, c.names[x.who], x.token)
			break
		}
	}
	l.entries = slices.Insert(l.entries, at, entry{token: h.token, who: h.who, index: h.index, pos: h.enter, at: h.at.UnixNano()})
}

// lease takes what an event says of how long the hold may last.
func (h *hold) lease(e *trace.Merged) {
	h.leased = true
	if deadline := e.At.Add(e.Lease); deadline.After(h.deadline) {
		h.deadline = deadline
	}
}

// finish sets when a hold that has just ended was over. A peer that was killed
// was over when it was killed; but nobody knew that, so others had to wait for
// the lease.
func (h *hold) finish(e *trace.Merged) {
	switch {
	case !h.leased:
	case h.ended == exited, h.ended == lost && e.At.Before(h.deadline):
		h.over = e.At
	case h.ended == lost, h.ended == died:
		h.over = h.deadline
	}
}

// end ends t's hold at e, which is nil at the end of the record.
func (c *checker) end(l *lock, t *turn, how ending, e *trace.Merged) {
	h := t.hold
	t.hold = nil
	h.ended = how
	if e != nil {
		h.end, h.endIndex = e.Pos, e.Index
	}
	h.finish(e)
	if how == unseen {
		h.endIndex = math.MaxUint64 // it may have lasted beyond the hole
	}
	at, _ := slices.BinarySearchFunc(l.entries, h.token, func(x entry, t algo.Token) int { return cmp.Compare(x.token, t) })
	for ; at < len(l.entries) && l.entries[at].token == h.token; at++ {
		if x := &l.entries[at]; x.pos == h.enter {
			x.clean, x.gone = how == exited && e.Reason != trace.GivenBack, how == died || how == unended
			x.lost = how == lost
		}
	}
	c.breakOff(l, h, e)
	for _, p := range h.pairs {
		if e != nil && h == p.a {
			p.saw[0] = e.Past.Has(p.b.who, p.b.index)
		} else if e != nil {
			p.saw[1] = e.Past.Has(p.a.who, p.a.index)
		}
		c.judge(l, p)
	}
	h.pairs = nil
}

func (e ending) String() string {
	return [...]string{"is inside", "left", "lost its hold", "died inside", "was inside where its record has a hole", "is inside where its record ends"}[e]
}
