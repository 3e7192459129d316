// Package view says what the peers of a cluster know of its locks: who holds them, who
// waits, and for what.
//
// A view is put together from what each peer knows of itself, so it is of no single
// moment, and nothing decides by it. What a peer that does not answer holds or wants
// is not in it; such peers are named.
package view

import "time"

// View is what is known of locks, as one peer has found out.
type View struct {
	Peer   string    `json:"peer"`   // which has asked the others
	At     time.Time `json:"at"`     // by its wall clock, as all times here
	Locks  []Lock    `json:"locks"`  // those held or wanted, sorted by name
	More   int       `json:"more"`   // locks that are not listed, at least
	Silent []Silent  `json:"silent"` // the peers that do not answer, sorted by name
}

// Lock is what is known of one lock.
type Lock struct {
	Name   string  `json:"name"`
	Holder *Holder `json:"holder,omitempty"` // nil: nobody, as far as is known
	// Waiters are those who wait, in the order in which they get in if nothing
	// fails and nobody gives up, as far as is known.
	Waiters []Waiter `json:"waiters"`
	More    int      `json:"more"` // waiters that are not listed
	// Lent is set if there is no holder among those who answer, and the peer to which
	// others have lent their votes does not: it may hold the lock until then.
	Lent *Lent `json:"lent,omitempty"`
}

// Holder is who is in the critical section.
type Holder struct {
	Peer  string    `json:"peer"`
	Token uint64    `json:"token"`
	Label string    `json:"label,omitempty"`
	Trace string    `json:"trace,omitempty"` // its span, as in a traceparent header
	Since time.Time `json:"since"`
	// Deadline is when its lease ends unless it is renewed; zero without one.
	Deadline time.Time `json:"deadline,omitzero"`
	Ended    string    `json:"ended,omitempty"`  // why it was told that it has ended, if it was
	Silent   bool      `json:"silent,omitempty"` // its peer does not answer any more: this is what it said last
}

// Waiter is who waits.
type Waiter struct {
	Peer  string    `json:"peer"`
	Label string    `json:"label,omitempty"`
	Trace string    `json:"trace,omitempty"`
	Since time.Time `json:"since"`
	// WaitsFor are the peers whose messages its request needs next. Only the first
	// of a peer has one: the others wait for that.
	WaitsFor []string `json:"waits_for,omitempty"`
	ID       uint64   `json:"-"` // tells the waiters of a peer apart
}

// Lent is a vote that keeps others out.
type Lent struct {
	Peer  string    `json:"peer"`
	Until time.Time `json:"until"` // at the latest
}

// Silent is a peer that does not answer.
type Silent struct {
	Peer   string    `json:"peer"`
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
}

// Lock returns what is known of a lock; nothing, if it is not among those known.
func (v *View) Lock(name string) Lock {
	for i := range v.Locks {
		if v.Locks[i].Name == name {
			return v.Locks[i]
		}
	}
	return Lock{Name: name}
}

// Place is the place in the queue of a peer's waiter, from 1; 0 if it is not known.
func (l *Lock) Place(peer string, id uint64) int {
	for i, w := range l.Waiters {
		if w.Peer == peer && w.ID == id {
			return i + 1
		}
	}
	return 0
}
