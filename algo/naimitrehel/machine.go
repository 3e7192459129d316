// Package naimitrehel is the algorithm of M. Naimi, M. Trehel and A. Arnold, "A
// log(N) Distributed Mutual Exclusion Algorithm Based on Path Reversal", Journal
// of Parallel and Distributed Computing 34(1), 1996.
//
// There is one token; who has it may enter. Those who wait form a queue that
// nobody sees: each knows only who comes after itself (NEXT), and gives the token
// to that one when it leaves. A new request has to find the end of the queue.
// So each peer remembers who, as far as it knows, asked last (LAST; "father" in
// some accounts of the algorithm); the LASTs form a tree whose root is the end of
// the queue, or, if nobody waits, where the token rests. A request goes from LAST
// to LAST up to the root, and whoever it passes makes its sender its own LAST,
// since that will be the end of the queue: the path is turned round. Paths that
// are used become short by that. The algorithm is what a peer does at four
// events, a method each: it wants the section (acquire), a request comes
// (stepRequest), the token comes (stepToken), it leaves (maybePass).
//
// An entry costs nothing where the token rests, and elsewhere one message for
// each step to the root, and one for the token: 0 to N. If requests come one
// after the other, each from any peer with equal probability, the mean is the
// harmonic number H(N-1) = 1 + 1/2 + ... + 1/(N-1), less than 1 + ln(N): the
// paper has the order of it, O(log N), and C. Lavault, "Analysis of an Efficient
// Distributed Algorithm for Mutual Exclusion (Average-Case Analysis of Path
// Reversal)", LNCS 634, 1992, that it is exactly this.
// Between an exit and the next entry lies one message delay. Requests are served
// in the order in which they reach the end of the queue.
//
// # Departures from the paper
//
//   - A request can be cancelled. Nobody can be told, since nobody knows who comes
//     before it, so the peer stays in the queue: when the token comes, it goes
//     on to NEXT, or rests. A new wish before that asks no second time; it takes
//     the old one's place in the queue.
//   - So what is one flag without cancels, that a peer is requesting, is two
//     things here: asked says that the token will come, the phase whether this
//     peer still wants it.
//   - LAST is state for as long as it is not what it was at first. So every peer
//     that has asked for a lock, or passed a request on, keeps some hundred bytes
//     for it (BenchmarkQuiet in algo/algotest) until LAST is the first peer again
//     or the epoch ends.
//   - Every entry has a fencing token: the Lamport time of the entry. Two
//     entries are joined by the way of the token, a chain of messages, along
//     which Lamport time grows. Over restarts it rests on the peer's clock
//     starting at or above every time it has used before.
//   - A peer that is gone is waited for; its return ends the epoch (package
//     epoch), and with it the old token and the old queue.
package naimitrehel

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/conchlock/conch/algo"
)

type phase uint8

const (
	idle    phase = iota // wants nothing
	waiting              // wants the section; the token has yet to come
	inside               // is in the critical section
)

// Machine is one peer's part in one lock.
//
// Invariants:
//
//	(1) inside, it has the token; waiting, it has asked for it;
//	(2) who has the token has not asked for it;
//	(3) it knows a next only while it is inside or has asked;
//	(4) it has no last exactly while it is the root: it has the token or has
//	    asked for it, and knows no next;
//	(5) neither last nor next is the peer itself.
//
// That there is only one token, that following last leads to a root and that
// every next has asked are invariants of all machines together.
type Machine struct {
	self  algo.PeerName
	peers []algo.PeerName // the others, sorted
	root  algo.PeerName   // last, at first: the first peer by name; empty at that one

	phase phase
	token bool          // the token is here
	asked bool          // it is in the queue, or its request is on its way there
	last  algo.PeerName // LAST: who asked last, as far as it knows; empty if that is itself
	next  algo.PeerName // NEXT: to whom the token goes from here; empty if it does not know
}

// New returns the machine of self, among the other peers, sorted.
func New(self algo.PeerName, _ algo.Incarnation, others []algo.PeerName) algo.Machine {
	m := &Machine{self: self, peers: others}
	if len(others) > 0 && others[0] < self {
		m.root = others[0]
	}
	m.last, m.token = m.root, m.first()
	return m
}

// first says that the token starts here.
func (m *Machine) first() bool { return m.root == "" }

// Step implements algo.Machine.
func (m *Machine) Step(in algo.Input, out []algo.Output) []algo.Output {
	switch in.Kind {
	case algo.Acquire:
		return m.acquire(in.Time, out)
	case algo.Cancel:
		m.must(m.phase == waiting, in.Kind)
		m.phase = idle
		return out
	case algo.Release:
		m.must(m.phase == inside, in.Kind)
		m.phase = idle
		return m.maybePass(whyLeft, out)
	case algo.Receive:
		if !m.knows(in.From) {
			return out // no peer of this cluster
		}
		switch msg := in.Message.(type) {
		case Request:
			return m.stepRequest(msg, out)
		case Token:
			return m.stepToken(in.Time, out)
		}
	}
	return out
}

// acquire enters where the token rests, and asks LAST for it elsewhere. With its request this peer takes
// itself for the root: whoever asks later comes after it.
func (m *Machine) acquire(now algo.Time, out []algo.Output) []algo.Output {
	m.must(m.phase == idle, algo.Acquire)
	if m.token {
		return m.enter(now, whyRests, out)
	}
	m.phase = waiting
	if m.asked {
		return append(out, algo.Output{Kind: algo.Note, Why: whyComing})
	}
	to := m.last
	m.asked, m.last = true, ""
	return append(out, algo.Output{Kind: algo.Send, To: to, Message: Request{m.self}, Why: whyWants})
}

// stepRequest takes a request: the root
// gives its sender the token, if that is free, or makes it the next; others pass
// it on. In any case its sender is now the one that asked last: the path is
// reversed. A request never comes back to where it was, for the LASTs have no
// circle, so one that would is ignored.
func (m *Machine) stepRequest(req Request, out []algo.Output) []algo.Output {
	if !m.knows(req.Peer) || req.Peer == m.last {
		return out
	}
	to := m.last
	m.last = req.Peer
	switch {
	case to != "":
		return append(out, algo.Output{Kind: algo.Send, To: to, Message: req, Why: whyPassesOn})
	case m.asked:
		m.next = req.Peer
		return append(out, algo.Output{Kind: algo.Note, To: req.Peer, Why: whyWaits})
	case m.phase == inside:
		m.next = req.Peer
		return append(out, algo.Output{Kind: algo.Note, To: req.Peer, Why: whyInside})
	}
	m.token = false
	return append(out, algo.Output{Kind: algo.Send, To: req.Peer, Message: Token{}, Why: whyWantsNothing})
}

// stepToken takes the token, and enters. If
// it has given up in the meantime, it passes the token on or lets it rest.
func (m *Machine) stepToken(now algo.Time, out []algo.Output) []algo.Output {
	if !m.asked {
		return out // nobody sends it
	}
	m.token, m.asked = true, false
	switch {
	case m.phase == waiting:
		return m.enter(now, whyHasToken, out)
	case m.next == "":
		return append(out, algo.Output{Kind: algo.Note, Why: whyRestsHere})
	}
	return m.maybePass(whyGaveUp, out)
}

func (m *Machine) enter(now algo.Time, why algo.Reason, out []algo.Output) []algo.Output {
	m.phase = inside
	return append(out, algo.Output{Kind: algo.Enter, Token: algo.Token(now), Why: why})
}

// maybePass gives the token to NEXT, if there is one: at the exit, or when it has
// come in vain.
func (m *Machine) maybePass(why algo.Reason, out []algo.Output) []algo.Output {
	if m.next == "" {
		return out
	}
	to := m.next
	m.token, m.next = false, ""
	return append(out, algo.Output{Kind: algo.Send, To: to, Message: Token{}, Why: why})
}

// knows says that p is another peer of this cluster.
func (m *Machine) knows(p algo.PeerName) bool {
	_, known := slices.BinarySearch(m.peers, p)
	return known
}

func (m *Machine) must(ok bool, k algo.InputKind) {
	if !ok {
		panic(fmt.Sprintf("naimitrehel: %s of %s in phase %d", k, m.self, m.phase))
	}
}

// Idle implements algo.Machine. A peer whose LAST has changed remembers it: if it
// began anew each time, all requests would go to the first peer, and no path
// would ever be turned round.
func (m *Machine) Idle() bool {
	return m.phase == idle && m.token == m.first() && !m.asked && m.last == m.root && m.next == ""
}

// WaitsFor implements algo.Machine. The token comes from whoever is before this
// peer in the queue, and who that is only that one knows: it may be anybody.
func (m *Machine) WaitsFor() []algo.PeerName {
	if m.phase != waiting {
		return nil
	}
	return slices.Clone(m.peers)
}

// Check implements algo.Machine.
func (m *Machine) Check() error {
	switch {
	case m.phase == inside && !m.token:
		return fmt.Errorf("%s: invariant 1: inside without the token", m.self)
	case m.phase == waiting && !m.asked:
		return fmt.Errorf("%s: invariant 1: waits, and has not asked", m.self)
	case m.token && m.asked:
		return fmt.Errorf("%s: invariant 2: asks for the token that it has", m.self)
	case m.next != "" && m.phase != inside && !m.asked:
		return fmt.Errorf("%s: invariant 3: %s is to get a token that is not to come, or rests here", m.self, m.next)
	case (m.last == "") != ((m.token || m.asked) && m.next == ""):
		return fmt.Errorf("%s: invariant 4: token %t, asked %t, last %q, next %q", m.self, m.token, m.asked, m.last, m.next)
	case m.last == m.self || m.next == m.self:
		return fmt.Errorf("%s: invariant 5: last %q, next %q", m.self, m.last, m.next)
	}
	return nil
}

// Clone implements algo.Machine.
func (m *Machine) Clone() algo.Machine {
	c := *m
	return &c
}

// AppendState implements algo.Machine.
func (m *Machine) AppendState(dst []byte) []byte {
	b := byte(m.phase)
	for i, set := range [...]bool{m.token, m.asked} {
		if set {
			b |= 4 << i
		}
	}
	dst = append(dst, b)
	for _, p := range [...]algo.PeerName{m.last, m.next} {
		dst = binary.AppendUvarint(dst, uint64(slices.Index(m.peers, p)+1)) // 0: none
	}
	return dst
}
