package sim

import "github.com/conchlock/conch/algo"

// agenda says what happens when, in real time. Each thing that can happen has a
// number, and is on the agenda at most once; of those due at the same moment
// the lowest number comes first. It is a binary heap of numbers that knows
// where each one is.
type agenda struct {
	at    []algo.Duration // by number
	place []int32         // by number: where it is in heap, from 1; 0 if it is not
	heap  []int32
}

func newAgenda(size int) agenda {
	return agenda{at: make([]algo.Duration, size), place: make([]int32, size)}
}

// has says whether something is on the agenda.
func (a *agenda) has(id int) bool { return a.place[id] != 0 }

// set puts something on the agenda, or moves it.
func (a *agenda) set(id int, at algo.Duration) {
	a.at[id] = at
	if !a.has(id) {
		a.heap = append(a.heap, int32(id))
		a.place[id] = int32(len(a.heap))
	}
	a.up(int(a.place[id]) - 1)
	a.down(int(a.place[id]) - 1)
}

// drop takes something off the agenda, if it is there.
func (a *agenda) drop(id int) {
	if !a.has(id) {
		return
	}
	i, last := int(a.place[id])-1, len(a.heap)-1
	a.swap(i, last)
	a.heap = a.heap[:last]
	a.place[id] = 0
	if i < last {
		a.up(i)
		a.down(i)
	}
}

// first says what comes first; ok is false if there is nothing.
func (a *agenda) first() (id int, at algo.Duration, ok bool) {
	if len(a.heap) == 0 {
		return 0, 0, false
	}
	id = int(a.heap[0])
	return id, a.at[id], true
}

func (a *agenda) before(i, j int) bool {
	x, y := a.heap[i], a.heap[j]
	return a.at[x] < a.at[y] || a.at[x] == a.at[y] && x < y
}

func (a *agenda) swap(i, j int) {
	a.heap[i], a.heap[j] = a.heap[j], a.heap[i]
	a.place[a.heap[i]], a.place[a.heap[j]] = int32(i)+1, int32(j)+1
}

func (a *agenda) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !a.before(i, parent) {
			return
		}
		a.swap(i, parent)
		i = parent
	}
}

func (a *agenda) down(i int) {
	for {
		least := i
		for _, child := range [...]int{2*i + 1, 2*i + 2} {
			if child < len(a.heap) && a.before(child, least) {
				least = child
			}
		}
		if least == i {
			return
		}
		a.swap(i, least)
		i = least
	}
}
