package check

import (
	"slices"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/trace"
)

// Cost is what single entries of a lock cost. A message that is not upkeep counts
// for the first entry that it happened before: from entry to entry, the messages
// that led there and were in no earlier one's past. Where nobody else wants the
// lock, these are all messages of the request, and what the one before was still
// owed (a release, say). Where others wait, their requests are among them. What
// comes after the last entry counts in messages_per_entry only.
//
// Half of the entries take at most Median messages.
type Cost struct {
	Median int `json:"median"`
	Max    int `json:"max"`
}

// Handoff is how long it took from an exit to the next entry, if who entered had
// asked before that exit: by the wall clocks of the two peers, so on machines
// with different clocks it is off by their difference.
type Handoff struct {
	Count int   `json:"count"`
	Mean  int64 `json:"mean_ns"`
	Wait
}

// sent is what a peer sent about a lock in one step, as long as it is in no
// entry's past. A step's messages are one act: the first stands for all.
type sent struct {
	index uint64 // of the first message's event
	clock algo.Time
	n     int
}

// send notes a message that an entry is to pay for.
func (t *turn) send(e *trace.Merged) {
	if last := len(t.unpaid) - 1; last >= 0 && t.unpaid[last].clock == e.Clock {
		t.unpaid[last].n++
		return
	}
	t.unpaid = append(t.unpaid, sent{e.Index, e.Clock, 1})
}

// pay counts what happened before the entry e, and before none that came earlier.
func (l *lock) pay(e *trace.Merged) {
	n := 0
	for who := range l.turns {
		t := &l.turns[who]
		paid := 0
		for paid < len(t.unpaid) && e.Past.Has(who, t.unpaid[paid].index) {
			n += t.unpaid[paid].n
			paid++
		}
		t.unpaid = slices.Delete(t.unpaid, 0, paid)
	}
	l.costs = append(l.costs, n)
}

func (l *lock) cost() Cost {
	if len(l.costs) == 0 {
		return Cost{}
	}
	costs := slices.Sorted(slices.Values(l.costs))
	return Cost{Median: costs[(len(costs)-1)/2], Max: costs[len(costs)-1]}
}

// handOff measures from the last exit to the entry e of t, if it is one to the
// other.
func (l *lock) handOff(t *turn, e *trace.Merged) {
	left := l.left
	l.left = time.Time{}
	if left.IsZero() || !t.asking || !t.at.Before(left) {
		return
	}
	d := e.At.Sub(left)
	if d < 0 {
		d = 0
		l.handoffsBack++
	}
	l.handoffs = append(l.handoffs, d)
}

func (l *lock) handoff() Handoff {
	h := Handoff{Count: len(l.handoffs)}
	if h.Count == 0 {
		return h
	}
	var sum time.Duration
	for _, d := range l.handoffs {
		sum += d
	}
	h.Mean = int64(sum) / int64(h.Count)
	h.Wait = quantiles(slices.Clone(l.handoffs))
	h.ClockBack = l.handoffsBack
	return h
}
