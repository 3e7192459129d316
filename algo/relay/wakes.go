package relay

import (
	"container/heap"

	"github.com/conchlock/conch/algo"
)

// wakes is a heap of the locks that need to look at the clock, the first one on
// top; of two at one instant, the one with the smaller name.
type wakes []*lock

func (w wakes) Len() int { return len(w) }

func (w wakes) Less(i, j int) bool {
	if w[i].wake != w[j].wake {
		return w[i].wake < w[j].wake
	}
	return w[i].name < w[j].name
}

func (w wakes) Swap(i, j int) {
	w[i], w[j] = w[j], w[i]
	w[i].place, w[j].place = i, j
}

// Push implements heap.Interface.
func (w *wakes) Push(x any) {
	l := x.(*lock)
	l.place = len(*w)
	*w = append(*w, l)
}

// Pop implements heap.Interface.
func (w *wakes) Pop() any {
	last := len(*w) - 1
	l := (*w)[last]
	(*w)[last] = nil
	*w = (*w)[:last]
	l.place = -1
	return l
}

// remove takes a lock out, if it is in.
func (w *wakes) remove(l *lock) {
	if l.place >= 0 {
		heap.Remove(w, l.place)
	}
}

// schedule notes when the lock needs to look at the clock again, or forgets it.
func (l *lock) schedule() {
	if l.idle() {
		l.forget(l)
		return
	}
	l.wake = l.nextWake()
	if l.place < 0 {
		heap.Push(&l.wakes, l)
	} else {
		heap.Fix(&l.wakes, l.place)
	}
}

// nextWake returns the next instant at which the clock changes anything. All
// that was due is done.
func (l *lock) nextWake() algo.Instant {
	at := algo.Never
	early := func(t algo.Instant) {
		if t > l.now {
			at = min(at, t)
		}
	}
	waits := false
	for i := range l.waiting {
		if w := &l.waiting[i]; !w.stamp.IsZero() {
			waits = true
			early(w.got.Add(l.ttl))
		}
	}
	if !l.vote.term.IsZero() {
		early(l.vote.expiry)
	}
	if !l.claim.term.IsZero() {
		waits = true
		early(l.claim.got.Add(l.ttl))
	}
	if waits && l.votes {
		early(l.abstains)
	}
	if !l.own.IsZero() {
		early(l.refresh)
	}
	early(l.keep)
	if l.owns {
		early(l.deadline)
		early(l.asked.Add(l.ttl / 6))
		early(l.rest)
		if l.inside {
			early(l.deadline.Add(-l.ttl/2) + 1)
		}
	}
	return at
}
