package spacetime

import (
	"cmp"
	"slices"
	"time"
)

// row is a place on the axis of time. Steps of different peers share one if
// they were at about the same time and neither led to the other, or if all they do is start
// or stop.
type row struct {
	at    time.Time     // of its first step
	until time.Time     // of its last
	idle  time.Duration // how long nothing happened before it, if that was long
	steps []*step
}

const (
	together  = 500 * time.Microsecond // how far the steps of a row are apart, at most
	idleLeast = 5 * time.Millisecond   // no shorter time counts as one in which nothing happened
	idleTimes = 12                     // and it is so many times the usual one
)

// order puts the steps into rows. Causal order with the times that collect has
// given to steps is an order in which nothing comes before what led to it.
func (t *Timeline) order() {
	slices.SortFunc(t.steps, func(a, b *step) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.seq, b.seq)) })
	slices.SortStableFunc(t.arrows, func(a, b *arrow) int { return cmp.Compare(a.first().seq, b.first().seq) })
	for _, st := range t.steps {
		if n := len(t.rows) - 1; n >= 0 && t.joins(n, st) {
			t.rows[n].steps = append(t.rows[n].steps, st)
			t.rows[n].until = st.at
			st.row = n
			continue
		}
		st.row = len(t.rows)
		t.rows = append(t.rows, row{at: st.at, until: st.at, steps: []*step{st}})
	}
	t.findIdle()
}

// first returns the step of an arrow that comes first of those that are drawn.
func (a *arrow) first() *step {
	if shown(a.sent) {
		return a.sent
	}
	return a.received
}

// joins says that a step may stand in the last row.
func (t *Timeline) joins(n int, st *step) bool {
	r := &t.rows[n]
	apart := st.at.Sub(r.at) > together
	for _, other := range r.steps {
		if other.who == st.who || other.turn() && st.turn() || apart && !(other.idle() && st.idle()) {
			return false
		}
	}
	return !slices.ContainsFunc(st.arrivals, func(a *arrow) bool { return shown(a.sent) && a.sent.row == n })
}

// findIdle finds the times in which nothing happened.
func (t *Timeline) findIdle() {
	var between []time.Duration
	for i := 1; i < len(t.rows); i++ {
		between = append(between, t.rows[i].at.Sub(t.rows[i-1].until))
	}
	if len(between) == 0 {
		return
	}
	usual := slices.Clone(between)
	slices.Sort(usual)
	least := max(idleLeast, idleTimes*usual[len(usual)/2])
	for i, d := range between {
		if d >= least {
			t.rows[i+1].idle = d
		}
	}
}

// after returns the first row that comes after a moment.
func (t *Timeline) after(at time.Time) int {
	n, _ := slices.BinarySearchFunc(t.rows, at, func(r row, at time.Time) int {
		if r.at.After(at) {
			return 1
		}
		return -1
	})
	return n
}
