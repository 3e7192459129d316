package maekawa

import (
	"slices"

	"github.com/conchlock/conch/algo"
)

// arbiter is the part of a machine that is locked for one request at a time.
type arbiter struct {
	lock     algo.Stamp // the request it is locked for; zero if none (the paper's locking request)
	inquired bool       // it has asked for that lock back
	queue    []waiter   // the others, oldest first (the paper's WAITING QUEUE)
}

// waiter is a request that waits.
type waiter struct {
	stamp algo.Stamp
	told  bool // it knows that it cannot get this lock at once: by FAILED, or because it gave it back
}

// stepRequest locks itself for a request, or lets it wait (the paper's receipt of
// REQUEST). A request that is older than all here is worth an INQUIRE, unless one
// is out; any other has FAILED for now.
func (m *Machine) stepRequest(from algo.PeerName, stamp algo.Stamp) {
	if stamp.Peer != from || m.has(from) {
		m.note("", whyStrange) // nobody asks for somebody else, or twice
		return
	}
	if m.lock.IsZero() {
		m.lockFor(stamp)
		return
	}
	oldest := m.lock
	if len(m.queue) > 0 && m.queue[0].stamp.Compare(oldest) < 0 {
		oldest = m.queue[0].stamp
	}
	if oldest.Compare(stamp) < 0 {
		m.enqueue(waiter{stamp: stamp, told: true})
		m.send(from, Failed{stamp}, algo.Reason{Text: whyYounger, About: oldest})
		return
	}
	m.tellFirst(stamp)
	m.enqueue(waiter{stamp: stamp})
	if m.inquired {
		m.note(from, algo.Reason{Text: whyInquired, About: m.lock})
		return
	}
	m.inquired = true
	m.send(m.lock.Peer, Inquire{m.lock}, algo.Reason{Text: whyInquires, About: m.lock})
}

// tellFirst tells the first of those that wait that it is no more the first, if
// it was never told anything (Sanders: every request that has lost its place must
// know).
func (m *Machine) tellFirst(older algo.Stamp) {
	if len(m.queue) == 0 || m.queue[0].told {
		return
	}
	first := &m.queue[0]
	first.told = true
	m.send(first.stamp.Peer, Failed{first.stamp}, algo.Reason{Text: whyOvertaken, About: older})
}

// stepRelinquish takes a lock back, lets its request wait, and locks itself for the
// oldest (the paper's receipt of RELINQUISH). That may be the same request again:
// the older one may have been given up.
func (m *Machine) stepRelinquish(from algo.PeerName, stamp algo.Stamp) {
	if from != m.lock.Peer || stamp != m.lock || !m.inquired {
		m.note("", whyStrange)
		return
	}
	m.enqueue(waiter{stamp: m.lock, told: true})
	m.lockNext()
}

// stepRelease forgets a request, and if it was locked for it, locks itself for the
// oldest of the others (the paper's receipt of RELEASE). A request that waited has
// been given up.
func (m *Machine) stepRelease(from algo.PeerName, stamp algo.Stamp) {
	waits := slices.IndexFunc(m.queue, func(w waiter) bool { return w.stamp == stamp })
	switch {
	case stamp.Peer != from:
		m.note("", whyStrange)
	case stamp == m.lock:
		m.lockNext()
	case waits >= 0:
		m.queue = slices.Delete(m.queue, waits, waits+1)
	default:
		m.note("", whyStrange)
	}
}

// lockNext locks itself for the oldest request that waits, if any does.
func (m *Machine) lockNext() {
	m.lock, m.inquired = algo.Stamp{}, false
	if len(m.queue) == 0 {
		return
	}
	next := m.queue[0].stamp
	m.queue = slices.Delete(m.queue, 0, 1)
	m.lockFor(next)
}

func (m *Machine) lockFor(stamp algo.Stamp) {
	m.lock = stamp
	m.send(stamp.Peer, Locked{stamp}, algo.Reason{Text: whyLocks, About: stamp})
}

func (a *arbiter) enqueue(w waiter) {
	at, _ := slices.BinarySearchFunc(a.queue, w.stamp, func(w waiter, s algo.Stamp) int { return w.stamp.Compare(s) })
	a.queue = slices.Insert(a.queue, at, w)
}

// has says that a request of the peer is here.
func (a *arbiter) has(peer algo.PeerName) bool {
	return a.lock.Peer == peer || slices.ContainsFunc(a.queue, func(w waiter) bool { return w.stamp.Peer == peer })
}
