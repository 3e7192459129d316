package check

import (
	"fmt"
	"time"

	"github.com/conchlock/conch/internal/trace"
)

// pair is two holds of which the second did not begin after the first ended,
// as far as messages tell, nor the other way round.
type pair struct {
	a, b  *hold
	after bool    // b began after a had begun
	saw   [2]bool // a ended after b had begun; b after a had
	done  bool
}

// pairsMax bounds how many pairs wait for the end of one hold: a holder that
// was killed, and that others go on without, has one with each of them. If it
// was over before the first of them, then so it was before those that follow.
const pairsMax = 64

// pair judges p, now or when the holds have ended.
func (c *checker) pair(l *lock, p *pair) {
	if c.judge(l, p); p.done {
		return
	}
	for _, h := range [...]*hold{p.a, p.b} {
		switch {
		case h.ended != notYet:
		case len(h.pairs) < pairsMax:
			h.pairs = append(h.pairs, p)
		default:
			l.crowded = true
		}
	}
}

// judge judges p if that can be done already. Two holds that both ended with
// an exit must be ordered. One that did not may have ended in time without a
// message that says so, as when a lease runs out; but whoever entered knowing
// of a hold that did end with an exit should have waited for that.
//
// With leases, even a hold that ended with an exit may be followed by one that
// does not know of it: the message that would have said so was late, and the
// lease ran out in the meantime. So more is needed to prove that a rule is
// broken: each left knowing that the other had entered, or a did and b had
// entered after it.
func (c *checker) judge(l *lock, p *pair) {
	a, b := p.a, p.b
	if p.done || a.ended == notYet || b.ended == notYet && (a.ended != exited || !p.after) {
		return
	}
	p.done = true
	switch {
	case a.leased || b.leased:
		if a.ended == exited && p.saw[0] && (p.after || b.ended == exited && p.saw[1]) && !a.blind && !b.blind {
			c.overlap(l, p)
			return
		}
		c.pending = append(c.pending, pending{l, p})
	case a.ended == exited && (p.after || b.ended == exited):
		c.overlap(l, p)
	case a.ended == exited:
		c.unclear(l, p, b, a) // whose end is in question comes first
	default:
		c.unclear(l, p, a, b)
	}
}

// pending is a pair that only the clocks can judge, which is done at the end of
// the record, when all that messages tell of them is known.
type pending struct {
	lock *lock
	pair *pair
}

// settle judges a pair of holds by the clocks.
func (c *checker) settle(l *lock, p *pair) {
	a, b := p.a, p.b
	switch {
	case c.overBefore(a, b):
		c.cleared++
		if !p.after {
			c.growth(l, a, b)
		}
	case c.overBefore(b, a):
		c.cleared++
		c.growth(l, b, a)
		c.behind(l, a, b)
	case a.token > b.token:
		c.unclear(l, p, b, a)
	default:
		c.unclear(l, p, a, b)
	}
}

// behind compares b, which by the clocks was over before a began, with those
// that a has followed. When b entered, which in the order of events comes after
// that, a was on the frontier instead of them. None of them knew of b when it
// left, so that only the clocks can judge here, too.
func (c *checker) behind(l *lock, a, b *hold) {
	for _, x := range a.behind {
		if !b.past.Has(x.who, x.endIndex) {
			c.settle(l, &pair{a: x, b: b, after: b.past.Has(x.who, x.index), done: true})
		}
	}
	if a.forgotten || l.crowded {
		c.doubt(exclusion, l.name, []trace.Pos{a.enter, b.enter}, "by the clocks of the traces %s (token %d) was inside before %s (token %d), and whether before others as well cannot be told: there are too many",
			b.peer, b.token, a.peer, a.token)
	}
}

// overBefore says that, by the clocks, a was over before b began.
func (c *checker) overBefore(a, b *hold) bool {
	return !a.over.IsZero() && c.clocks.before(a.who, a.over, b.who, b.at)
}

// growth compares the tokens of two holds that only the clocks have put in
// order.
func (c *checker) growth(l *lock, first, second *hold) {
	if second.token < first.token {
		c.doubt(tokens, l.name, []trace.Pos{first.enter, second.enter},
			"by the clocks of the traces %s entered with token %d after %s had with token %d: tokens must grow",
			second.peer, second.token, first.peer, first.token)
	}
}

// overlap notes that two holds overlapped, or what prevents to say so.
func (c *checker) overlap(l *lock, p *pair) {
	a, b := p.a, p.b
	if a.blind || b.blind {
		c.doubt(exclusion, l.name, p.lines(), "whether %s (token %d) left before %s (token %d) entered cannot be seen: messages between them are missing in the record",
			a.peer, a.token, b.peer, b.token)
		return
	}
	c.violation(exclusion, l.name, p.lines(), "%s (token %d) and %s (token %d) are inside at once: neither exit happened before the other's entry",
		a.peer, a.token, b.peer, b.token)
}

// unclear notes that nothing says whether first was over when second began.
func (c *checker) unclear(l *lock, p *pair, first, second *hold) {
	c.doubt(exclusion, l.name, p.lines(), "%s (token %d) %s, and no message says that this was before %s (token %d) entered%s",
		first.peer, first.token, first.ended, second.peer, second.token, c.unclearClocks(first, second))
}

// unclearClocks says why the clocks cannot help, if they could.
func (c *checker) unclearClocks(first, second *hold) string {
	if first.over.IsZero() {
		return ""
	}
	what := "its lease ran out"
	if first.over.Before(first.deadline) {
		what = "it ended"
	} else if first.ended == exited {
		what = "it left, its lease over,"
	}
	gap := second.at.Sub(first.over)
	if gap < 0 {
		return fmt.Sprintf("; by the clocks of the traces %s %s after that entry", what, roughly(-gap))
	}
	ahead, ok := c.clocks.bound(first.who, second.who)
	if !ok {
		return fmt.Sprintf("; by the clocks of the traces %s %s before that entry, but the messages do not show how the two clocks compare", what, roughly(gap))
	}
	return fmt.Sprintf("; by the clocks of the traces %s %s before that entry, but the second clock may be ahead by %s", what, roughly(gap), roughly(ahead))
}

// lines are the places that tell of a pair.
func (p *pair) lines() []trace.Pos {
	if p.a.end.File == "" {
		return []trace.Pos{p.a.enter, p.b.enter}
	}
	return []trace.Pos{p.a.enter, p.a.end, p.b.enter}
}

// roughly writes a duration as one says it.
func roughly(d time.Duration) string { return shortTime(int64(d)) }
