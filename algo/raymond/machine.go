// Package raymond is the algorithm of K. Raymond, "A Tree-Based Algorithm for
// Distributed Mutual Exclusion", ACM Transactions on Computer Systems 7(1),
// February 1989.
//
// The peers form a tree, and each talks to its neighbours only. There is one
// privilege; who has it may enter. Each peer knows in which direction it is
// (HOLDER), and has a queue of those neighbours that want it, and of itself
// (REQUEST_Q). Whoever's queue is not empty asks once in that direction
// (ASKED). The privilege goes to who is first in the queue of the peer that has
// it, and so from queue to queue to who asked; HOLDER turns round on the way.
//
// Which tree it is is a matter of choice; all peers have to choose the same. New
// takes the balanced binary tree over the peers in order of their names, NewTree
// any other. (The algorithms raymond:line and raymond:star are NewTree(Line) and
// NewTree(Star); peers of different names refuse each other.)
//
// An entry costs nothing where the privilege rests. Where it rests d hops away
// it costs d requests, and d messages bring the privilege: 2d, at most twice the
// diameter of the tree, which is about 4 log2(N) in a binary tree. When everybody
// wants the section all the time, the privilege goes round the whole tree and
// crosses each of its N-1 edges twice for N entries, and each crossing has had
// its request: 4(N-1)/N, which the paper rounds to 4. Between an exit and the
// next entry lie as many message delays as there are hops to the next who waits.
//
// # Departures from the paper
//
//   - A request can be cancelled: the peer takes itself out of its own queue,
//     and nobody is told. If it had asked for nobody but itself, the privilege
//     comes all the same, and rests. Until then its neighbour believes that it
//     asks, and so does it: ASKED stays, so that a new wish, its own or of
//     another neighbour, asks no second time.
//   - ASKED is cleared when the privilege comes. The paper clears it when the
//     privilege is assigned, which is the same step there, because there nobody
//     gives up and somebody is in the queue when it comes.
//   - The tree and its root follow from the peers' names, so there is no
//     INITIALIZE message that tells everybody where the privilege is at first.
//   - USING is the phase "inside".
//   - HOLDER is state for as long as it is not what it was at first. So the peers
//     between the root and where the privilege of a lock rests, both included,
//     keep some hundred bytes for it (BenchmarkQuiet in algo/algotest), until it
//     is back or the epoch ends. To send it home would cost messages that the
//     paper does not have.
//   - The paper lets a peer that has lost its memory ask its neighbours what they
//     know. Here a peer that is gone is waited for; its return ends the epoch
//     (package epoch), and with it the old privilege.
//   - Every entry has a fencing token: the Lamport time of the entry. Two
//     entries are joined by the way of the privilege, a chain of messages, along
//     which Lamport time grows. Over restarts it rests on the peer's clock
//     starting at or above every time it has used before.
package raymond

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/conchlock/conch/algo"
)

type phase uint8

const (
	idle    phase = iota // wants nothing
	waiting              // wants the section, and is in its own queue
	inside               // is in the critical section (the paper's USING)
)

// Machine is one peer's part in one lock.
//
// Invariants:
//
//	(1) inside, it has the privilege;
//	(2) it is in its own queue exactly while it waits;
//	(3) a privilege that is not in use rests only where the queue is empty;
//	(4) without the privilege, if its queue is not empty, it has asked for it;
//	(5) with the privilege here, nothing is asked for;
//	(6) the queue has nobody twice, and never the one where the privilege is.
//
// That there is only one privilege, and that every HOLDER leads to it, are
// invariants of all machines together.
type Machine struct {
	self algo.PeerName
	near []algo.PeerName // the neighbours in the tree, sorted
	up   algo.PeerName   // where holder points at first

	phase  phase
	holder algo.PeerName   // HOLDER: self, or the neighbour in whose direction the privilege is
	asked  bool            // ASKED: holder has this peer's request
	queue  []algo.PeerName // REQUEST_Q: who wants the privilege from here, in order; self or neighbours
}

// New returns the machine of self, among the other peers, sorted, in the
// balanced binary tree.
func New(self algo.PeerName, _ algo.Incarnation, others []algo.PeerName) algo.Machine {
	return create(self, others, Binary(len(others)+1))
}

// NewTree returns a constructor like New for trees of another shape. It panics
// when it is used, if t makes no tree.
func NewTree(t Tree) func(algo.PeerName, algo.Incarnation, []algo.PeerName) algo.Machine {
	return func(self algo.PeerName, _ algo.Incarnation, others []algo.PeerName) algo.Machine {
		n := len(others) + 1
		parents := t(n)
		mustBeTree(parents, n)
		return create(self, others, parents)
	}
}

// create makes the machine of self in the tree with these parents.
func create(self algo.PeerName, others []algo.PeerName, parents []int) *Machine {
	near, up := place(self, others, parents)
	return &Machine{self: self, near: near, up: up, holder: up}
}

// Step implements algo.Machine. Its four kinds of input are the paper's four
// events; all but the cancel end with ASSIGN_PRIVILEGE and MAKE_REQUEST.
func (m *Machine) Step(in algo.Input, out []algo.Output) []algo.Output {
	switch in.Kind {
	case algo.Acquire:
		return m.acquire(in.Time, out)
	case algo.Cancel:
		m.must(m.phase == waiting, in.Kind)
		m.phase = idle
		m.queue = slices.DeleteFunc(m.queue, func(p algo.PeerName) bool { return p == m.self })
		return out
	case algo.Release:
		m.must(m.phase == inside, in.Kind)
		m.phase = idle
		out = m.assignPrivilege(in.Time, whyEnters, out)
		return m.makeRequest(whyWantsBack, out)
	case algo.Receive:
		switch in.Message.(type) {
		case Request:
			return m.stepRequest(in.From, in.Time, out)
		case Privilege:
			if in.From == m.holder && m.asked {
				return m.stepPrivilege(in.Time, out)
			}
		}
	}
	return out
}

// acquire joins the queue (the paper's event "a node wishes to enter the
// critical section").
func (m *Machine) acquire(now algo.Time, out []algo.Output) []algo.Output {
	m.must(m.phase == idle, algo.Acquire)
	m.phase = waiting
	m.queue = append(m.queue, m.self)
	out = m.assignPrivilege(now, whyRests, out)
	return m.makeRequest(whyWants, out)
}

// stepRequest puts a neighbour into the queue (the paper's event "a node
// receives a REQUEST message"). One that is there already, or that the
// privilege has gone to, has no reason to ask; who does is ignored.
func (m *Machine) stepRequest(from algo.PeerName, now algo.Time, out []algo.Output) []algo.Output {
	if _, near := slices.BinarySearch(m.near, from); !near || from == m.holder || slices.Contains(m.queue, from) {
		return out
	}
	m.queue = append(m.queue, from)
	out = m.assignPrivilege(now, whyEnters, out)
	return m.makeRequest(whyPassesOn, out)
}

// stepPrivilege takes the privilege (the paper's event "a node receives a
// PRIVILEGE message"). The queue is empty if all who wanted it gave up.
func (m *Machine) stepPrivilege(now algo.Time, out []algo.Output) []algo.Output {
	m.holder, m.asked = m.self, false
	if len(m.queue) == 0 {
		return append(out, algo.Output{Kind: algo.Note, Why: whyRestsHere})
	}
	out = m.assignPrivilege(now, whyEnters, out)
	return m.makeRequest(whyWantsBack, out)
}

// assignPrivilege is the paper's ASSIGN_PRIVILEGE: a privilege that is here and
// not in use goes to who is first in the queue, be it this peer.
func (m *Machine) assignPrivilege(now algo.Time, why algo.Reason, out []algo.Output) []algo.Output {
	if m.holder != m.self || len(m.queue) == 0 {
		return out
	}
	if m.phase == inside {
		return append(out, algo.Output{Kind: algo.Note, To: m.queue[len(m.queue)-1], Why: whyInside})
	}
	m.holder = m.queue[0]
	m.queue = slices.Delete(m.queue, 0, 1)
	if m.holder == m.self {
		m.phase = inside
		return append(out, algo.Output{Kind: algo.Enter, Token: algo.Token(now), Why: why})
	}
	return append(out, algo.Output{Kind: algo.Send, To: m.holder, Message: Privilege{}, Why: whyNext})
}

// makeRequest is the paper's MAKE_REQUEST: who has somebody in its queue, and no
// privilege, asks for it, once.
func (m *Machine) makeRequest(why algo.Reason, out []algo.Output) []algo.Output {
	if m.holder == m.self || len(m.queue) == 0 {
		return out
	}
	if m.asked {
		return append(out, algo.Output{Kind: algo.Note, Why: whyAsked})
	}
	m.asked = true
	return append(out, algo.Output{Kind: algo.Send, To: m.holder, Message: Request{}, Why: why})
}

func (m *Machine) must(ok bool, k algo.InputKind) {
	if !ok {
		panic(fmt.Sprintf("raymond: %s of %s in phase %d", k, m.self, m.phase))
	}
}

// Idle implements algo.Machine. A peer that the privilege has left, or passed,
// remembers in which direction it went.
func (m *Machine) Idle() bool {
	return m.phase == idle && m.holder == m.up && !m.asked && len(m.queue) == 0
}

// WaitsFor implements algo.Machine. The privilege comes over one neighbour,
// wherever it is now.
func (m *Machine) WaitsFor() []algo.PeerName {
	if m.phase != waiting {
		return nil
	}
	return []algo.PeerName{m.holder}
}

// Check implements algo.Machine.
func (m *Machine) Check() error {
	here := m.holder == m.self
	queued := slices.Contains(m.queue, m.self)
	switch {
	case m.phase == inside && !here:
		return fmt.Errorf("%s: invariant 1: inside without the privilege", m.self)
	case queued != (m.phase == waiting):
		return fmt.Errorf("%s: invariant 2: phase %d with the queue %v", m.self, m.phase, m.queue)
	case here && m.phase != inside && len(m.queue) > 0:
		return fmt.Errorf("%s: invariant 3: the privilege rests though %v want it", m.self, m.queue)
	case !here && len(m.queue) > 0 && !m.asked:
		return fmt.Errorf("%s: invariant 4: nobody was asked for the privilege, which %v want", m.self, m.queue)
	case here && m.asked:
		return fmt.Errorf("%s: invariant 5: asks for the privilege that it has", m.self)
	}
	for i, p := range m.queue {
		if p == m.holder || slices.Contains(m.queue[:i], p) {
			return fmt.Errorf("%s: invariant 6: the privilege is at %s, and the queue is %v", m.self, m.holder, m.queue)
		}
	}
	return nil
}

// Clone implements algo.Machine.
func (m *Machine) Clone() algo.Machine {
	c := *m
	c.queue = slices.Clone(m.queue)
	return &c
}

// AppendState implements algo.Machine.
func (m *Machine) AppendState(dst []byte) []byte {
	b := byte(m.phase)
	if m.asked {
		b |= 4
	}
	dst = m.appendPeer(append(dst, b), m.holder)
	dst = binary.AppendUvarint(dst, uint64(len(m.queue)))
	for _, p := range m.queue {
		dst = m.appendPeer(dst, p)
	}
	return dst
}

// appendPeer encodes a neighbour by its place, and self as 0.
func (m *Machine) appendPeer(dst []byte, p algo.PeerName) []byte {
	return binary.AppendUvarint(dst, uint64(slices.Index(m.near, p)+1))
}
