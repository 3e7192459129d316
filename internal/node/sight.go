package node

import (
	"maps"
	"slices"
	"time"

	"github.com/conchlock/conch/algo"
)

// Sight is what a node itself knows of a lock, without asking anybody. Times are told
// as durations up to now: they mean the same on every machine.
type Sight struct {
	Name    string
	Hold    *HoldSight // nil if nobody here is inside
	Waiters []WaiterSight
	More    int // callers here that wait and are not listed
	// Stamp is the Lamport time of the first waiter's request; 0 if none is open.
	Stamp    algo.Time
	WaitsFor []algo.PeerName // the open request: as LockStatus
	// LentTo is to whom this peer has lent its vote, for LentFor yet; empty if to
	// nobody. That is a candidate, a holder, or who was the last.
	LentTo  algo.PeerName
	LentFor time.Duration
}

// HoldSight is what there is to say about a hold.
type HoldSight struct {
	About
	Token algo.Token
	For   time.Duration // since it was entered
	Lease time.Duration // what is left of it, at least 1; 0 without one
	Ended string        // why its caller was told that it has ended; empty if it was not
}

// WaiterSight is what there is to say about a caller that waits.
type WaiterSight struct {
	About
	For time.Duration // since it came
}

// What is listed, at most: a report has to fit into a message.
const (
	maxSights     = 1000 // locks
	maxWaiters    = 100  // waiters of one of them
	maxAllWaiters = 2000 // of all together
)

// maxStirred bounds the locks that somebody wanted to hear of, and perhaps does not any
// more. It is more than are looked at at a time.
const maxStirred = 2048

// lender is a process that lends its vote for a time.
type lender interface {
	// Lent says to whom it has lent its vote for a lock, and until when; empty if
	// to nobody.
	Lent(lock string) (algo.PeerName, algo.Instant)
	// Lends lists the locks for which it has, in no order.
	Lends() []string
}

// Look says what is known of a lock.
func (n *Node) Look(name string) Sight {
	n.mu.Lock()
	defer n.unlock()
	n.look()
	return n.sight(name, maxWaiters)
}

// LookAll says so of all locks of which anything is known here, sorted by name; more is
// how many are not listed that somebody here holds or wants. Those go before the ones
// for which only a vote is lent: that is known to others, too.
func (n *Node) LookAll() (list []Sight, more int) {
	n.mu.Lock()
	defer n.unlock()
	n.look()
	names := slices.Sorted(maps.Keys(n.locks))
	more = max(0, len(names)-maxSights)
	if l, ok := n.process.(lender); ok && more == 0 {
		lent := slices.DeleteFunc(l.Lends(), func(name string) bool { return n.locks[name] != nil })
		slices.Sort(lent)
		names = append(names, lent...)
	}
	names = names[:min(len(names), maxSights)]
	slices.Sort(names)
	room := maxAllWaiters
	for _, name := range names {
		s := n.sight(name, min(room, maxWaiters))
		room -= len(s.Waiters)
		list = append(list, s)
	}
	return list, more
}

// sight looks at one lock, and lists so many of its waiters. n.mu is held.
func (n *Node) sight(name string, most int) Sight {
	s := Sight{Name: name}
	if process, ok := n.process.(lender); ok {
		to, until := process.Lent(name)
		if left := until.Sub(n.now); to != "" && left > 0 {
			s.LentTo, s.LentFor = to, time.Duration(left)
		}
	}
	l := n.locks[name]
	if l == nil {
		return s
	}
	for _, w := range l.waiters[:min(len(l.waiters), most)] {
		s.Waiters = append(s.Waiters, WaiterSight{About: w.hold.about, For: n.at.Sub(w.hold.since)})
	}
	s.More = len(l.waiters) - len(s.Waiters)
	h := l.hold
	if h == nil {
		s.Stamp, s.WaitsFor = l.stamp, n.missing(l)
		return s
	}
	s.Hold = n.holdSight(h)
	return s
}

func (n *Node) holdSight(h *Hold) *HoldSight {
	s := &HoldSight{About: h.about, Token: h.token, For: n.at.Sub(h.since)}
	if deadline := n.guard.deadline(h); deadline != algo.Never {
		s.Lease = time.Duration(max(1, deadline.Sub(n.now)))
	}
	if cause := n.guard.cause(h); cause != nil {
		s.Ended = cause.Error()
	}
	return s
}

// Changed returns a channel that is closed as soon as Look would say something else of
// a lock, or, with an empty name, LookAll of any, than that time has passed. It may be
// closed without need.
func (n *Node) Changed(name string) <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := n.stirred[name]
	if c == nil {
		if len(n.stirred) >= maxStirred {
			n.stir("") // those who still look ask again
		}
		if n.stirred == nil {
			n.stirred = make(map[string]chan struct{})
		}
		c = make(chan struct{})
		n.stirred[name] = c
	}
	return c
}

// stir tells those who wait for it that something about a lock, or with an empty name
// about any, may have changed. n.mu is held.
func (n *Node) stir(name string) {
	if len(n.stirred) == 0 {
		return
	}
	if name == "" {
		for _, c := range n.stirred {
			close(c)
		}
		clear(n.stirred)
		return
	}
	for _, of := range [...]string{name, ""} {
		if c := n.stirred[of]; c != nil {
			close(c)
			delete(n.stirred, of)
		}
	}
}
