// Package lamport is the algorithm of L. Lamport, "Time, Clocks, and the Ordering
// of Events in a Distributed System", Communications of the ACM 21(7), July
// 1978: the five rules in its section on ordering the events totally.
//
// Every peer has its own copy of one queue of requests, in the order of their
// stamps. Who wants the section tells everybody, and everybody acknowledges.
// Who has heard from everybody since then knows of every older request; if
// there is none in its queue, it enters. Who leaves tells everybody, and is
// taken out of the queue. An entry costs 3(N-1) messages, and one message
// delay lies between an exit and the next entry.
//
// # Departures from the paper
//
//   - Nobody has the section at first. In the paper one process does: the
//     queues begin with its request.
//   - The acknowledgement is always sent. A footnote to rule 2 allows to leave it
//     out after a message with a later timestamp; without that an entry costs
//     the same under any load.
//   - Timestamps come from the peer's one Lamport clock, which every message
//     of every lock moves. They are larger than those of a clock for each
//     lock; their order is the same.
//   - A request can be cancelled: its peer leaves the queue as if it had been
//     inside, with a RELEASE.
//   - Every entry has a fencing token: the Lamport time of the entry. It grows
//     from entry to entry because entries come in the order of their stamps,
//     and a chain of messages leads from each to the next. Who enters has heard
//     from every peer at a later time than its own stamp, and links are FIFO, so
//     it had every older request in its queue. It waited until each was taken
//     out, and what takes out the request of who has been inside is the RELEASE
//     that follows its exit. Over restarts it rests on the peer's clock
//     starting at or above every time it has used before.
//   - A peer that is gone is waited for. (The paper knows no failures, and says
//     that one would halt the system.) Restarts are left to package epoch.
package lamport

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/conchlock/conch/algo"
)

type phase uint8

const (
	idle    phase = iota // wants nothing
	waiting              // has a request in every queue, or on its way there
	inside               // is in the critical section
)

// Machine is one peer's part in one lock.
//
// The phases follow each other in one order:
//
//	idle --Acquire--> waiting --heard from all, first--> inside --Release--> idle
//	                     |                                                    ^
//	                     +-----------------------Cancel-----------------------+
//
// A peer has at most one request at a time, and links are FIFO, so the queue
// has one place for each peer.
//
// Invariants:
//
//	(1) own names a request exactly while not idle;
//	(2) inside, every other peer was heard from since own was made;
//	(3) inside, no request in the queue is older than own;
//	(4) waiting, somebody was not heard from or has an older request;
//	(5) every request is in the place of the peer that made it.
type Machine struct {
	self  algo.PeerName
	peers []algo.PeerName // the others, sorted
	inc   algo.Incarnation

	phase phase
	own   algo.Stamp
	queue []algo.Stamp // the others' requests; indexed like peers, zero if none
	heard []bool       // who has sent a message later than own
}

// New returns the machine of self, among the other peers, sorted.
func New(self algo.PeerName, incarnation algo.Incarnation, others []algo.PeerName) algo.Machine {
	return &Machine{
		self:  self,
		peers: others,
		inc:   incarnation,
		queue: make([]algo.Stamp, len(others)),
		heard: make([]bool, len(others)),
	}
}

// Step implements algo.Machine.
func (m *Machine) Step(in algo.Input, out []algo.Output) []algo.Output {
	switch in.Kind {
	case algo.Acquire:
		return m.acquire(in.Time, out)
	case algo.Cancel:
		m.must(m.phase == waiting, in.Kind)
		return m.leave(in.Time, whyCancelled, out)
	case algo.Release:
		m.must(m.phase == inside, in.Kind)
		return m.leave(in.Time, whyLeft, out)
	case algo.Receive:
		from, known := slices.BinarySearch(m.peers, in.From)
		if !known {
			return out // no peer of this cluster
		}
		switch msg := in.Message.(type) {
		case Request:
			return m.stepRequest(from, msg, in.Time, out)
		case Ack:
			return m.stepAck(from, msg, in.Time, out)
		case Release:
			return m.stepRelease(from, msg, in.Time, out)
		}
	}
	return out
}

// acquire puts the request into every queue (rule 1). A peer that is alone
// enters at once.
func (m *Machine) acquire(now algo.Time, out []algo.Output) []algo.Output {
	m.must(m.phase == idle, algo.Acquire)
	m.phase = waiting
	m.own = algo.Stamp{Time: now, Peer: m.self, Incarnation: m.inc}
	clear(m.heard)
	for _, p := range m.peers {
		out = append(out, algo.Output{Kind: algo.Send, To: p, Message: Request{m.own}, Why: whyAsks})
	}
	return m.maybeEnter(now, out)
}

// stepRequest queues a request and acknowledges it (rule 2).
func (m *Machine) stepRequest(from int, req Request, now algo.Time, out []algo.Output) []algo.Output {
	if req.Stamp.Peer != m.peers[from] {
		return out // nobody asks for somebody else
	}
	m.queue[from] = req.Stamp
	out = append(out, algo.Output{Kind: algo.Send, To: m.peers[from], Message: Ack{now}, Why: whyQueued})
	if m.hear(from, req.Stamp.Time) {
		return m.maybeEnter(now, out)
	}
	return out
}

// stepAck notes that everything older has arrived (rule 5, ii).
func (m *Machine) stepAck(from int, ack Ack, now algo.Time, out []algo.Output) []algo.Output {
	if m.hear(from, ack.Time) {
		return m.maybeEnter(now, out)
	}
	why := whyNotNeeded
	if m.phase == waiting && !m.heard[from] { // it was for a request that was given up
		why = algo.Reason{Text: whyEarlier, About: m.own}
	}
	return append(out, algo.Output{Kind: algo.Note, Why: why})
}

// stepRelease takes a peer's request out of the queue (rule 4).
func (m *Machine) stepRelease(from int, release Release, now algo.Time, out []algo.Output) []algo.Output {
	m.queue[from] = algo.Stamp{}
	m.hear(from, release.Time)
	if m.phase != waiting {
		return out
	}
	return m.maybeEnter(now, out)
}

// hear takes notice of a message's timestamp. It reports whether the message is
// the first from there that is later than this peer's open request.
func (m *Machine) hear(from int, sent algo.Time) bool {
	if m.phase != waiting || m.heard[from] || sent <= m.own.Time {
		return false
	}
	m.heard[from] = true
	return true
}

// maybeEnter enters if this peer's request is first in its queue (rule 5, i)
// and everybody was heard from at a later time (rule 5, ii).
func (m *Machine) maybeEnter(now algo.Time, out []algo.Output) []algo.Output {
	if slices.Contains(m.heard, false) {
		return out
	}
	if i := slices.IndexFunc(m.queue, m.older); i >= 0 {
		why := algo.Reason{Text: whyNotFirst, About: m.queue[i]}
		return append(out, algo.Output{Kind: algo.Note, To: m.peers[i], Why: why})
	}
	m.phase = inside
	return append(out, algo.Output{Kind: algo.Enter, Token: algo.Token(now), Why: whyEnters})
}

// older says that there is a request, and that it goes before this peer's.
func (m *Machine) older(queued algo.Stamp) bool {
	return !queued.IsZero() && queued.Compare(m.own) < 0
}

// leave takes this peer's request out of every queue (rule 3).
func (m *Machine) leave(now algo.Time, why algo.Reason, out []algo.Output) []algo.Output {
	m.phase = idle
	m.own = algo.Stamp{}
	for _, p := range m.peers {
		out = append(out, algo.Output{Kind: algo.Send, To: p, Message: Release{now}, Why: why})
	}
	return out
}

func (m *Machine) must(ok bool, k algo.InputKind) {
	if !ok {
		panic(fmt.Sprintf("lamport: %s of %s in phase %d", k, m.self, m.phase))
	}
}

// Idle implements algo.Machine. The others' requests are what there is to
// remember; whom this peer has heard from matters only while it waits.
func (m *Machine) Idle() bool {
	return m.phase == idle && !slices.ContainsFunc(m.queue, func(s algo.Stamp) bool { return !s.IsZero() })
}

// WaitsFor implements algo.Machine: for a message of who was not heard from,
// and for the RELEASE of who has an older request.
func (m *Machine) WaitsFor() []algo.PeerName {
	if m.phase != waiting {
		return nil
	}
	var missing []algo.PeerName
	for i, p := range m.peers {
		if !m.heard[i] || m.older(m.queue[i]) {
			missing = append(missing, p)
		}
	}
	return missing
}

// Check implements algo.Machine.
func (m *Machine) Check() error {
	missing := slices.Contains(m.heard, false)
	behind := slices.IndexFunc(m.queue, m.older)
	switch {
	case m.own.IsZero() != (m.phase == idle):
		return fmt.Errorf("%s: invariant 1: phase %d with own request %q", m.self, m.phase, m.own)
	case m.phase == inside && missing:
		return fmt.Errorf("%s: invariant 2: inside, and has not heard from everybody", m.self)
	case m.phase == inside && behind >= 0:
		return fmt.Errorf("%s: invariant 3: inside with %s, and %s is older", m.self, m.own, m.queue[behind])
	case m.phase == waiting && !missing && behind < 0:
		return fmt.Errorf("%s: invariant 4: waits though its request is first and everybody was heard from", m.self)
	}
	for i, queued := range m.queue {
		if !queued.IsZero() && queued.Peer != m.peers[i] {
			return fmt.Errorf("%s: invariant 5: %s is in the place of %s", m.self, queued, m.peers[i])
		}
	}
	return nil
}

// Clone implements algo.Machine.
func (m *Machine) Clone() algo.Machine {
	c := *m
	c.queue = slices.Clone(m.queue)
	c.heard = slices.Clone(m.heard)
	return &c
}

// AppendState implements algo.Machine.
func (m *Machine) AppendState(dst []byte) []byte {
	dst = append(dst, byte(m.phase))
	dst = binary.AppendUvarint(dst, uint64(m.own.Time))
	for i := range m.peers {
		heard := byte(0)
		if m.heard[i] && m.phase == waiting { // counted only while waiting
			heard = 1
		}
		dst = append(dst, heard)
		dst = binary.AppendUvarint(dst, uint64(m.queue[i].Time))
	}
	return dst
}
