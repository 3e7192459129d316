// Package ricartagrawala is the algorithm of G. Ricart and A. K. Agrawala, "An
// Optimal Algorithm for Mutual Exclusion in Computer Networks", Communications
// of the ACM 24(1), January 1981.
//
// Who wants the section asks everybody and enters when everybody has replied.
// Who is asked replies at once, unless it is inside or wants the section
// itself with an older request; then it replies when it leaves. An entry costs
// 2(N-1) messages, and one message delay lies between an exit and the next
// entry.
//
// # Departures from the paper
//
//   - Sequence numbers come from the peer's one Lamport clock, which every
//     message of every lock moves, not from a counter that only requests move
//     (the paper's Highest_Sequence_Number). They are larger, their
//     order is the same.
//   - A REPLY names the request it answers. The paper needs no name, because
//     there nobody gives up; here a reply to a request that was given up may
//     still be on its way when the next one goes out.
//   - A request can be cancelled. Nothing is sent to who was asked, but who was
//     held back by it is answered. Who holds back a cancelled request forgets
//     it when the same peer's next one arrives.
//   - Every entry has a fencing token: the Lamport time of the entry. It grows
//     from entry to entry because the entries of a lock form a chain of
//     messages. Take two peers' entries: one of the two replied to the other's
//     request either before making its own or after leaving (the paper's proof), so
//     the earlier exit, or that reply, precedes the later entry, and Lamport
//     time grows along every such chain. Over restarts it rests on the peer's
//     clock starting at or above every time it has used before.
//   - A peer that is gone is waited for (the paper would drop it, which is
//     not safe when it is only slow). Restarts are left to package epoch.
package ricartagrawala

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/conchlock/conch/algo"
)

type phase uint8

const (
	idle    phase = iota // wants nothing
	waiting              // has asked; not everybody has replied
	inside               // is in the critical section
)

// Machine is one peer's part in one lock.
//
// The phases follow each other in one order:
//
//	idle --Acquire--> waiting --last Reply--> inside --Release--> idle
//	                     |                                          ^
//	                     +------------------Cancel------------------+
//
// Invariants:
//
//	(1) own names a request exactly while not idle;
//	(2) a peer is owed a reply only while not idle;
//	(3) inside, every other peer has replied;
//	(4) waiting, at least one has not;
//	(5) whoever is owed a reply while this peer waits has the younger request.
type Machine struct {
	self  algo.PeerName
	peers []algo.PeerName // the others, sorted
	inc   algo.Incarnation

	phase   phase
	own     algo.Stamp
	replied []bool       // who has replied to own; indexed like peers
	owed    []algo.Stamp // whose request is held back here; zero if none
}

// New returns the machine of self, among the other peers, sorted.
func New(self algo.PeerName, incarnation algo.Incarnation, others []algo.PeerName) algo.Machine {
	return &Machine{
		self:    self,
		peers:   others,
		inc:     incarnation,
		replied: make([]bool, len(others)),
		owed:    make([]algo.Stamp, len(others)),
	}
}

// Step implements algo.Machine.
func (m *Machine) Step(in algo.Input, out []algo.Output) []algo.Output {
	switch in.Kind {
	case algo.Acquire:
		return m.acquire(in.Time, out)
	case algo.Cancel:
		m.must(m.phase == waiting, in.Kind)
		return m.leave(whyCancelled, out)
	case algo.Release:
		m.must(m.phase == inside, in.Kind)
		return m.leave(whyLeft, out)
	case algo.Receive:
		from, known := slices.BinarySearch(m.peers, in.From)
		if !known {
			return out // no peer of this cluster
		}
		switch msg := in.Message.(type) {
		case Request:
			return m.stepRequest(from, msg, out)
		case Reply:
			return m.stepReply(from, msg, in.Time, out)
		}
	}
	return out
}

// acquire asks everybody (the paper's "process which invokes mutual
// exclusion"). A peer that is alone enters at once.
func (m *Machine) acquire(now algo.Time, out []algo.Output) []algo.Output {
	m.must(m.phase == idle, algo.Acquire)
	m.phase = waiting
	m.own = algo.Stamp{Time: now, Peer: m.self, Incarnation: m.inc}
	clear(m.replied)
	for _, p := range m.peers {
		out = append(out, algo.Output{Kind: algo.Send, To: p, Message: Request{m.own}, Why: whyAsks})
	}
	return m.maybeEnter(now, out)
}

// stepRequest replies, or holds the reply back (the paper's "process which
// receives REQUEST messages": Defer_it is true if this peer is requesting and
// its own request comes first, by number and then by node).
func (m *Machine) stepRequest(from int, req Request, out []algo.Output) []algo.Output {
	if req.Stamp.Peer != m.peers[from] {
		return out // nobody asks for somebody else
	}
	why := whyWantsNothing
	switch {
	case m.phase == inside:
		m.owed[from] = req.Stamp
		return append(out, algo.Output{Kind: algo.Note, To: m.peers[from], Why: whyInside})
	case m.phase == waiting && m.own.Compare(req.Stamp) < 0:
		m.owed[from] = req.Stamp
		return append(out, algo.Output{Kind: algo.Note, To: m.peers[from], Why: algo.Reason{Text: whyOlder, About: m.own}})
	case m.phase == waiting:
		why = algo.Reason{Text: whyYounger, About: m.own}
	}
	return append(out, algo.Output{Kind: algo.Send, To: m.peers[from], Message: Reply(req), Why: why})
}

// stepReply counts a reply (the paper's "process which receives REPLY
// messages"), unless it answers a request that was given up.
func (m *Machine) stepReply(from int, reply Reply, now algo.Time, out []algo.Output) []algo.Output {
	if m.phase != waiting || reply.Stamp != m.own {
		return append(out, algo.Output{Kind: algo.Note, Why: whyStale})
	}
	m.replied[from] = true
	return m.maybeEnter(now, out)
}

// maybeEnter enters once nobody's reply is missing (the paper's
// Outstanding_Reply_Count = 0).
func (m *Machine) maybeEnter(now algo.Time, out []algo.Output) []algo.Output {
	if slices.Contains(m.replied, false) {
		return out
	}
	m.phase = inside
	return append(out, algo.Output{Kind: algo.Enter, Token: algo.Token(now), Why: whyEnters})
}

// leave ends the request and sends every reply that it held back (the
// paper's Reply_Deferred).
func (m *Machine) leave(why algo.Reason, out []algo.Output) []algo.Output {
	m.phase = idle
	m.own = algo.Stamp{}
	for i, owed := range m.owed {
		if owed.IsZero() {
			continue
		}
		m.owed[i] = algo.Stamp{}
		out = append(out, algo.Output{Kind: algo.Send, To: m.peers[i], Message: Reply{owed}, Why: why})
	}
	return out
}

func (m *Machine) must(ok bool, k algo.InputKind) {
	if !ok {
		panic(fmt.Sprintf("ricartagrawala: %s of %s in phase %d", k, m.self, m.phase))
	}
}

// Idle implements algo.Machine.
func (m *Machine) Idle() bool { return m.phase == idle }

// WaitsFor implements algo.Machine.
func (m *Machine) WaitsFor() []algo.PeerName {
	if m.phase != waiting {
		return nil
	}
	var missing []algo.PeerName
	for i, p := range m.peers {
		if !m.replied[i] {
			missing = append(missing, p)
		}
	}
	return missing
}

// Check implements algo.Machine.
func (m *Machine) Check() error {
	missing := slices.Contains(m.replied, false)
	switch {
	case m.own.IsZero() != (m.phase == idle):
		return fmt.Errorf("%s: invariant 1: phase %d with own request %q", m.self, m.phase, m.own)
	case m.phase == inside && missing:
		return fmt.Errorf("%s: invariant 3: inside without every reply", m.self)
	case m.phase == waiting && !missing:
		return fmt.Errorf("%s: invariant 4: waits though every peer has replied", m.self)
	}
	for _, owed := range m.owed {
		if owed.IsZero() {
			continue
		}
		if m.phase == idle {
			return fmt.Errorf("%s: invariant 2: idle, and owes %s a reply", m.self, owed.Peer)
		}
		if m.phase == waiting && owed.Compare(m.own) < 0 {
			return fmt.Errorf("%s: invariant 5: %s is held back by the younger %s", m.self, owed, m.own)
		}
	}
	return nil
}

// Clone implements algo.Machine.
func (m *Machine) Clone() algo.Machine {
	c := *m
	c.replied = slices.Clone(m.replied)
	c.owed = slices.Clone(m.owed)
	return &c
}

// AppendState implements algo.Machine.
func (m *Machine) AppendState(dst []byte) []byte {
	dst = append(dst, byte(m.phase))
	dst = binary.AppendUvarint(dst, uint64(m.own.Time))
	for i := range m.peers {
		replied := byte(0)
		if m.replied[i] && m.phase == waiting { // counted only while waiting
			replied = 1
		}
		dst = append(dst, replied)
		dst = binary.AppendUvarint(dst, uint64(m.owed[i].Time))
	}
	return dst
}
