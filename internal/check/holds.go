package check

import (
	"cmp"
	"math"
	"slices"

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

	ended    ending
	end      trace.Pos
	endIndex uint64

	pairs []*pair // those not yet judged
}

// ending is how a hold came to its end.
type ending uint8

const (
	notYet  ending = iota
	exited         // with an exit
	lost           // it was lost; nothing says when
	died           // with its peer; the end lies somewhere before endIndex
	unseen         // somewhere in a hole of the record
	unended        // the record ends first
)

// entry is what is kept of every entry, to find tokens that come twice.
type entry struct {
	token algo.Token
	who   int
	pos   trace.Pos
	clean bool // ended with an exit, and its caller knew of it
	gone  bool // ended with its peer
}

// enter begins a hold and compares it with earlier ones.
//
// Of those the frontier is enough: the holds that no other hold is known to
// have followed. If every hold of the frontier ended before this one began,
// then so did all that they followed; and if this one overlaps any hold at
// all, it is not ordered after one of the frontier either.
func (c *checker) enter(l *lock, t *turn, e *trace.Merged) {
	h := &hold{who: e.Who, peer: e.Peer, token: e.Token, enter: e.Pos, index: e.Index, blind: e.Past.Blind}
	t.hold = h
	t.entries++
	repeated := c.token(l, h)
	l.frontier = slices.DeleteFunc(l.frontier, func(earlier *hold) bool {
		if !repeated && h.token <= earlier.token && e.Past.Has(earlier.who, earlier.index) {
			c.violation(tokens, l.name, []trace.Pos{earlier.enter, h.enter},
				"%s enters with token %d after %s did with token %d: tokens must grow", h.peer, h.token, earlier.peer, earlier.token)
		}
		if earlier.ended != notYet && e.Past.Has(earlier.who, earlier.endIndex) {
			return true
		}
		// In this order of events, an end that was not seen yet comes later.
		c.pair(l, &pair{a: earlier, b: h, after: e.Past.Has(earlier.who, earlier.index)})
		return false
	})
	l.frontier = append(l.frontier, h)
	if len(l.frontier) > frontierMax {
		l.frontier = l.frontier[1:] // long past the first findings
	}
}

// frontierMax bounds the work on a lock that is broken beyond repair.
const frontierMax = 64

// token keeps h's token and says whether it is one that came before.
func (c *checker) token(l *lock, h *hold) bool {
	at, found := slices.BinarySearchFunc(l.entries, h.token, func(x entry, t algo.Token) int { return cmp.Compare(x.token, t) })
	if found {
		c.violation(tokens, l.name, []trace.Pos{l.entries[at].pos, h.enter},
			"token %d was given twice, to %s and to %s", h.token, c.names[l.entries[at].who], h.peer)
	}
	l.entries = slices.Insert(l.entries, at, entry{token: h.token, who: h.who, pos: h.enter})
	return found
}

// end ends t's hold at e, which is nil at the end of the record.
func (c *checker) end(l *lock, t *turn, how ending, e *trace.Merged) {
	h := t.hold
	t.hold = nil
	h.ended = how
	if e != nil {
		h.end, h.endIndex = e.Pos, e.Index
	}
	if how == unseen {
		h.endIndex = math.MaxUint64 // it may have lasted beyond the hole
	}
	at, _ := slices.BinarySearchFunc(l.entries, h.token, func(x entry, t algo.Token) int { return cmp.Compare(x.token, t) })
	for ; at < len(l.entries) && l.entries[at].token == h.token; at++ {
		if x := &l.entries[at]; x.pos == h.enter {
			x.clean, x.gone = how == exited && e.Reason != trace.GivenBack, how == died || how == unended
		}
	}
	for _, p := range h.pairs {
		c.judge(l, p)
	}
	h.pairs = nil
}

// pair is two holds of which the second did not begin after the first ended,
// as far as messages tell, nor the other way round.
type pair struct {
	a, b  *hold
	after bool // b began after a had begun
	done  bool
}

// pairsMax bounds how many pairs wait for the end of one hold: a holder that
// was killed, and that others go on without, has one with each of them.
const pairsMax = 64

// pair judges p, now or when the holds have ended.
func (c *checker) pair(l *lock, p *pair) {
	if c.judge(l, p); p.done {
		return
	}
	for _, h := range [...]*hold{p.a, p.b} {
		if h.ended == notYet && len(h.pairs) < pairsMax {
			h.pairs = append(h.pairs, p)
		}
	}
}

// judge judges p if that can be done already. Two holds that both ended with
// an exit must be ordered. One that did not may have ended in time without a
// message that says so, as when a lease runs out; but whoever entered knowing
// of a hold that did end with an exit should have waited for that.
func (c *checker) judge(l *lock, p *pair) {
	a, b := p.a, p.b
	if p.done || a.ended == notYet || b.ended == notYet && (a.ended != exited || !p.after) {
		return
	}
	p.done = true
	lines := []trace.Pos{a.enter, b.enter}
	if a.end.File != "" {
		lines = []trace.Pos{a.enter, a.end, b.enter}
	}
	if a.ended == exited && (p.after || b.ended == exited) {
		if a.blind || b.blind {
			c.doubt(exclusion, l.name, lines, "whether %s (token %d) left before %s (token %d) entered cannot be seen: messages between them are missing in the record",
				a.peer, a.token, b.peer, b.token)
			return
		}
		c.violation(exclusion, l.name, lines, "%s (token %d) and %s (token %d) are inside at once: neither exit happened before the other's entry",
			a.peer, a.token, b.peer, b.token)
		return
	}
	if a.ended == exited {
		a, b = b, a // whose end is in question comes first
	}
	c.doubt(exclusion, l.name, lines, "%s (token %d) %s, and no message says that this was before %s (token %d) entered",
		a.peer, a.token, a.ended, b.peer, b.token)
}

func (e ending) String() string {
	return [...]string{"is inside", "left", "lost its hold", "died inside", "was inside where its record has a hole", "is inside where its record ends"}[e]
}
