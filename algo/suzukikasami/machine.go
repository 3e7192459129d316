// Package suzukikasami is the algorithm of I. Suzuki and T. Kasami, "A
// Distributed Mutual Exclusion Algorithm", ACM Transactions on Computer Systems
// 3(4), November 1985: its procedures P1, which requests and enters, and P2,
// which takes a request.
//
// There is one token, which the paper calls the privilege; who has it may enter.
// Who wants it tells everybody the number of its request. Each peer keeps, in
// RN, the highest number it has heard of each peer; the token carries, in LN, the
// number of each peer's last request that was served, and a queue Q of peers to
// go to. So whoever has the token knows which requests are still open: those
// whose number in RN is one above that in LN. Who leaves puts them at the end of
// Q, and sends the token to the head of Q. If there is nobody, it rests.
//
// An entry costs nothing where the token rests, and elsewhere N messages: N-1
// requests and the token. Between an exit and the next entry lies one message
// delay.
//
// # Departures from the paper
//
//   - Numbers start at 0, not at -1, and are not wrapped around: 64 bits last.
//   - Nobody may forget a number: who forgot its own would ask with one that was
//     served, and who forgot another's would not know that it asks. So everybody
//     keeps the state of every lock that the token was ever called for, some
//     hundred bytes and more with more peers (BenchmarkQuiet in algo/algotest),
//     until the epoch ends.
//   - A request can be cancelled. Nothing is sent; the token still comes, once.
//     Who gets it in vain counts its request as served, and sends the token on or
//     lets it rest, as after an exit (the last part of P1). Without that count
//     everybody would send it the token in vain again and again.
//   - Who wants the section again before that token has come makes no new
//     request: the old one serves. So no number is ever more than one above the
//     last one served, which the test for an open request rests on.
//   - Of those whose requests are queued by one exit, the paper does not say who
//     goes first. Here it is the order of their names.
//   - Every entry has a fencing token: the Lamport time of the entry. Two
//     entries are joined by the way of the token, a chain of messages, along
//     which Lamport time grows. Over restarts it rests on the peer's clock
//     starting at or above every time it has used before.
//   - A peer that is gone is waited for. Its return ends the epoch (package
//     epoch), and with it the old token.
package suzukikasami

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/conchlock/conch/algo"
)

type phase uint8

const (
	idle    phase = iota // wants nothing (the paper's Requesting is false)
	waiting              // wants the section, and has asked for the token
	inside               // is in the critical section
)

// Machine is one peer's part in one lock.
//
// Invariants:
//
//	(1) inside, it has the token; waiting, it has asked for it;
//	(2) a token rests only where no open request is known, and its queue is
//	    empty;
//	(3) with the token here, it has not asked for it;
//	(4) with the token here, nobody's number in RN is more than one above that in
//	    LN;
//	(5) nobody is in the queue twice, and this peer is not;
//	(6) without the token there is nothing in LN and in the queue.
//
// That there is only one token is an invariant of all machines together.
type Machine struct {
	peers []algo.PeerName // everybody, sorted
	me    int             // this peer's place among them

	phase phase
	token bool // the paper's HavePrivilege
	asked bool // this peer's last request is open, whether it still waits or not

	rn []uint64 // the number of each peer's last request, as far as is known here

	// What the token carries, while it is here.
	ln    []uint64 // the number of each peer's last request that was served
	queue []int    // where it goes next
}

// New returns the machine of self, among the other peers, sorted.
func New(self algo.PeerName, _ algo.Incarnation, others []algo.PeerName) algo.Machine {
	me, _ := slices.BinarySearch(others, self)
	peers := slices.Insert(slices.Clone(others), me, self)
	return &Machine{
		peers: peers,
		me:    me,
		token: me == 0,
		rn:    make([]uint64, len(peers)),
		ln:    make([]uint64, len(peers)),
	}
}

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
		return m.handOn(whyLeft, out)
	case algo.Receive:
		from, known := slices.BinarySearch(m.peers, in.From)
		if !known || from == m.me {
			return out // no other peer of this cluster
		}
		switch msg := in.Message.(type) {
		case Request:
			return m.stepRequest(from, msg, out)
		case Token:
			return m.stepToken(msg, in.Time, out)
		}
	}
	return out
}

// acquire enters where the token rests, and asks everybody for it elsewhere (the
// first part of P1).
func (m *Machine) acquire(now algo.Time, out []algo.Output) []algo.Output {
	m.must(m.phase == idle, algo.Acquire)
	if m.token {
		return m.enter(now, whyRests, out)
	}
	m.phase = waiting
	if m.asked { // and given up
		return append(out, algo.Output{Kind: algo.Note, Why: whyAsked})
	}
	m.asked = true
	m.rn[m.me]++
	for i, p := range m.peers {
		if i != m.me {
			out = append(out, algo.Output{Kind: algo.Send, To: p, Message: Request{m.rn[m.me]}, Why: whyAsks})
		}
	}
	return out
}

// stepRequest takes notice of a request, and sends the token there if it rests
// here (P2). A request can be outdated: it was slow, and the token has been to its
// sender in the meantime.
func (m *Machine) stepRequest(from int, req Request, out []algo.Output) []algo.Output {
	m.rn[from] = max(m.rn[from], req.Number)
	switch {
	case !m.token:
		return out // who has the token does what is to be done
	case !m.open(from):
		return append(out, algo.Output{Kind: algo.Note, To: m.peers[from], Why: whyOutdated})
	case m.phase == inside:
		return append(out, algo.Output{Kind: algo.Note, To: m.peers[from], Why: whyInside})
	}
	return m.handOn(whyWantsNothing, out)
}

// stepToken takes the token: enter (P1, after its wait), or hand it on at once.
func (m *Machine) stepToken(t Token, now algo.Time, out []algo.Output) []algo.Output {
	if !m.asked || !m.take(t) {
		return append(out, algo.Output{Kind: algo.Note, Why: whyImplausible})
	}
	m.token, m.asked = true, false
	if m.phase == waiting {
		return m.enter(now, whyHasToken, out)
	}
	if out = m.handOn(whyGaveUp, out); m.token {
		out = append(out, algo.Output{Kind: algo.Note, Why: whyRestsHere})
	}
	return out
}

func (m *Machine) enter(now algo.Time, why algo.Reason, out []algo.Output) []algo.Output {
	m.phase = inside
	return append(out, algo.Output{Kind: algo.Enter, Token: algo.Token(now), Why: why})
}

// handOn sends the token to the next who wants it, or lets it rest: the last
// part of P1, from where it says that this peer's own request is served.
func (m *Machine) handOn(why algo.Reason, out []algo.Output) []algo.Output {
	m.ln[m.me] = m.rn[m.me]
	for i := range m.peers {
		if i != m.me && m.open(i) && !slices.Contains(m.queue, i) {
			m.queue = append(m.queue, i)
		}
	}
	if len(m.queue) == 0 {
		return out
	}
	next := m.queue[0]
	m.queue = m.queue[1:]
	return append(out, algo.Output{Kind: algo.Send, To: m.peers[next], Message: m.give(), Why: why})
}

// open says that a peer has a request that was not served, as far as is known
// where the token is.
func (m *Machine) open(i int) bool { return m.rn[i] == m.ln[i]+1 }

// give takes the token out of this machine.
func (m *Machine) give() Token {
	var t Token
	for i, n := range m.ln {
		if n > 0 {
			t.Served = append(t.Served, Served{Peer: m.peers[i], Number: n})
		}
	}
	for _, i := range m.queue {
		t.Queue = append(t.Queue, m.peers[i])
	}
	clear(m.ln)
	m.token, m.queue = false, nil
	return t
}

// take puts what the token carries into this machine, which has none. It
// reports false, and does nothing, if there can be no such token.
func (m *Machine) take(t Token) bool {
	ln, queue := make([]uint64, len(m.peers)), make([]int, 0, len(t.Queue))
	for _, s := range t.Served {
		i, known := slices.BinarySearch(m.peers, s.Peer)
		if !known {
			return false
		}
		ln[i] = s.Number
	}
	for _, p := range t.Queue {
		i, known := slices.BinarySearch(m.peers, p)
		if !known || i == m.me || slices.Contains(queue, i) {
			return false
		}
		queue = append(queue, i)
	}
	m.ln, m.queue = ln, queue
	return true
}

func (m *Machine) must(ok bool, k algo.InputKind) {
	if !ok {
		panic(fmt.Sprintf("suzukikasami: %s of %s in phase %d", k, m.peers[m.me], m.phase))
	}
}

// Idle implements algo.Machine. Who has heard of a request, made one, or has the
// token though it is not the first, or not though it is, has something to
// remember. Only the first can use a lock that nobody else wants and forget it.
func (m *Machine) Idle() bool {
	used := func(n uint64) bool { return n > 0 }
	return m.phase == idle && m.token == (m.me == 0) && !m.asked && len(m.queue) == 0 &&
		!slices.ContainsFunc(m.rn, used) && !slices.ContainsFunc(m.ln, used)
}

// WaitsFor implements algo.Machine. Any other peer may be the one that sends the
// token.
func (m *Machine) WaitsFor() []algo.PeerName {
	if m.phase != waiting {
		return nil
	}
	return slices.Concat(m.peers[:m.me], m.peers[m.me+1:])
}

// Check implements algo.Machine.
func (m *Machine) Check() error {
	self := m.peers[m.me]
	switch {
	case m.phase == inside && !m.token:
		return fmt.Errorf("%s: invariant 1: inside without the token", self)
	case m.phase == waiting && !m.asked:
		return fmt.Errorf("%s: invariant 1: waits, and has not asked", self)
	case m.phase == idle && len(m.queue) > 0:
		return fmt.Errorf("%s: invariant 2: the token rests though %s is in its queue", self, m.peers[m.queue[0]])
	case m.token && m.asked:
		return fmt.Errorf("%s: invariant 3: asks for the token that it has", self)
	}
	for i, p := range m.peers {
		switch {
		case m.phase == idle && m.token && m.open(i):
			return fmt.Errorf("%s: invariant 2: the token rests though %s wants it", self, p)
		case m.token && m.rn[i] > m.ln[i]+1:
			return fmt.Errorf("%s: invariant 4: request %d of %s is known, and %d was served last", self, m.rn[i], p, m.ln[i])
		case !m.token && m.ln[i] > 0:
			return fmt.Errorf("%s: invariant 6: knows what was served, without the token", self)
		}
	}
	for at, i := range m.queue {
		if i == m.me || slices.Contains(m.queue[:at], i) {
			return fmt.Errorf("%s: invariant 5: %s is in the queue", self, m.peers[i])
		}
	}
	if !m.token && len(m.queue) > 0 {
		return fmt.Errorf("%s: invariant 6: a queue without the token", self)
	}
	return nil
}

// Clone implements algo.Machine.
func (m *Machine) Clone() algo.Machine {
	c := *m
	c.rn, c.ln, c.queue = slices.Clone(m.rn), slices.Clone(m.ln), slices.Clone(m.queue)
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
	for _, n := range m.rn {
		dst = binary.AppendUvarint(dst, n)
	}
	if !m.token {
		return dst
	}
	for _, n := range m.ln {
		dst = binary.AppendUvarint(dst, n)
	}
	dst = binary.AppendUvarint(dst, uint64(len(m.queue)))
	for _, i := range m.queue {
		dst = binary.AppendUvarint(dst, uint64(i))
	}
	return dst
}
