package maekawa

import (
	"slices"

	"github.com/conchlock/conch/algo"
)

type phase uint8

const (
	idle    phase = iota // wants nothing
	waiting              // has asked its quorum; not all of it is locked
	inside               // is in the critical section
)

// answer is what a member has last let the candidate know about its request.
type answer uint8

const (
	none   answer = iota // nothing yet
	locked               // it is locked for it
	failed               // it is not: an older one goes first, or it was given the lock back
)

// member is a member of the quorum, as the candidate sees it.
type member struct {
	name     algo.PeerName
	answer   answer
	inquired bool // it has asked for its lock back, and the answer was put off
}

// candidate is the part of a machine that asks.
//
// The phases follow each other in one order:
//
//	idle --Acquire--> waiting --last Locked--> inside --Release--> idle
//	                     |                                           ^
//	                     +-------------------Cancel------------------+
type candidate struct {
	phase  phase
	own    algo.Stamp
	quorum []member // sorted by name
}

// acquire asks the quorum (the paper's step for a node that wants the section).
func (m *Machine) acquire() {
	m.phase = waiting
	m.own = algo.Stamp{Time: m.now, Peer: m.self, Incarnation: m.inc}
	m.tellQuorum(Request{m.own}, whyAsks)
}

// member returns the member that a message about own has come from; nil if it
// is about another request or from another peer.
func (m *Machine) member(from algo.PeerName, about algo.Stamp) *member {
	if m.phase == idle || about != m.own {
		return nil
	}
	i := slices.IndexFunc(m.quorum, func(q member) bool { return q.name == from })
	if i < 0 {
		return nil
	}
	return &m.quorum[i]
}

// stepLocked counts a lock, and enters with the last (the paper's condition to
// enter: every member has returned LOCKED).
func (m *Machine) stepLocked(from *member) {
	if from == nil || from.answer == locked {
		m.note("", whyStale)
		return
	}
	from.answer = locked
	if m.lacks() {
		return
	}
	m.phase = inside
	for i := range m.quorum {
		m.quorum[i].inquired = false // RELEASE will answer
	}
	m.out = append(m.out, algo.Output{Kind: algo.Enter, Token: algo.Token(m.now), Why: whyEnters})
}

// stepFailed learns that own does not get all its locks for now, and gives back
// those that were asked for (the paper's receipt of FAILED, which decides about
// every INQUIRE whose answer was put off).
func (m *Machine) stepFailed(from *member) {
	if from == nil || from.answer != none {
		m.note("", whyStale)
		return
	}
	from.answer = failed
	for i := range m.quorum {
		if q := &m.quorum[i]; q.inquired {
			m.relinquish(q)
		}
	}
}

// stepInquire gives a lock back, or puts the answer off until it is known
// whether own gets all of them (the paper's receipt of INQUIRE). Who is inside
// answers with its RELEASE, and who has left has answered.
func (m *Machine) stepInquire(from *member) {
	switch {
	case from == nil || from.answer != locked:
		m.note("", whyStale)
	case m.phase == inside:
		m.note("", whyInside)
	case m.hasFailed():
		m.relinquish(from)
	default:
		from.inquired = true
		m.note("", whyUndecided)
	}
}

// relinquish gives a lock back. It counts as failed until the member is locked
// for own again.
func (m *Machine) relinquish(q *member) {
	q.answer, q.inquired = failed, false
	m.send(q.name, Relinquish{m.own}, whyRelinquishes)
}

// leave ends the request, and unlocks the quorum (the paper's step for a node
// that leaves the section). Members that are not locked for it let it go.
func (m *Machine) leave(why algo.Reason) {
	ended := m.own
	m.phase, m.own = idle, algo.Stamp{}
	for i := range m.quorum {
		m.quorum[i].answer, m.quorum[i].inquired = none, false
	}
	m.tellQuorum(Release{ended}, why)
}

// lacks says that not every member is locked for own.
func (c *candidate) lacks() bool {
	return slices.ContainsFunc(c.quorum, func(q member) bool { return q.answer != locked })
}

// hasFailed says that own cannot have all its locks before an older request has.
func (c *candidate) hasFailed() bool {
	return slices.ContainsFunc(c.quorum, func(q member) bool { return q.answer == failed })
}
