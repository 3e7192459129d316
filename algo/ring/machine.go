// Package ring is a token ring: one token goes round, and who has it may enter.
// It follows G. Le Lann, "Distributed Systems: Towards a Formal Approach", IFIP
// Congress 1977, where the token circulates for ever, with the saving of A. J.
// Martin, "Distributed Mutual Exclusion on a Ring of Processes", Science of
// Computer Programming 5, 1985: a token that nobody wants rests, and a wish
// travels against the token's direction until it finds it.
//
// The ring is the peers in order of their names. Tokens go to the successor,
// wishes to the predecessor. A peer that has passed a wish on passes on no
// second one before it has seen the token: one wish brings the token past all
// who wait behind it. The token starts at the first peer.
//
// An entry costs nothing where the token rests. Where it rests d hops away, the
// wish takes d messages to reach it and the token d messages to come: 2d, at
// most 2(N-1). When everybody wants the section all the time it costs two: one
// wish and one hop. Between an exit and the next entry lie as many message
// delays as there are hops to the next who waits, 1 to N-1.
//
// # Departures
//
//   - Le Lann's token never rests; here it costs nothing while nobody asks.
//   - Le Lann makes a lost token anew by an election. Here a peer that is gone
//     is waited for; its return ends the epoch (package epoch), and with it the
//     old token.
//   - A request can be cancelled: the token still comes, and goes on or rests.
//   - Where the token of a lock rests is state: if not with the first peer, then
//     that one and the one that has it keep some hundred bytes for the lock
//     (BenchmarkQuiet in algo/algotest), until it is back or the epoch ends.
//   - Every entry has a fencing token: the Lamport time of the entry. Two
//     entries are joined by the way of the token, a chain of messages, along
//     which Lamport time grows. Over restarts it rests on the peer's clock
//     starting at or above every time it has used before.
package ring

import (
	"fmt"
	"slices"

	"github.com/conchlock/conch/algo"
)

type phase uint8

const (
	idle    phase = iota // wants nothing
	waiting              // wants the section, and has asked for the token
	inside               // is in the critical section
)

// Machine is one peer's part in one lock.
//
// Invariants:
//
//	(1) inside, it has the token; waiting, it has not;
//	(2) a token rests only where the successor has not asked for it;
//	(3) without the token, if it waits or its successor has asked, it has asked
//	    its predecessor;
//	(4) with the token here, nothing is asked for.
//
// That there is only one token is an invariant of all machines together.
type Machine struct {
	self, before, after algo.PeerName // before == after == self if alone
	first               bool          // the token starts here

	phase  phase
	token  bool // the token is here
	asked  bool // the predecessor has this peer's wish
	wanted bool // this peer has its successor's wish
}

// New returns the machine of self, among the other peers, sorted.
func New(self algo.PeerName, _ algo.Incarnation, others []algo.PeerName) algo.Machine {
	if len(others) == 0 {
		return &Machine{self: self, before: self, after: self, first: true, token: true}
	}
	i, _ := slices.BinarySearch(others, self)
	n := len(others)
	return &Machine{
		self:   self,
		before: others[(i+n-1)%n],
		after:  others[i%n],
		first:  i == 0,
		token:  i == 0,
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
		return m.maybePass(whyLeft, out)
	case algo.Receive:
		switch in.Message.(type) {
		case Want:
			if in.From == m.after {
				return m.stepWant(out)
			}
		case Token:
			if in.From == m.before && !m.token {
				return m.stepToken(in.Time, out)
			}
		}
	}
	return out
}

// acquire enters where the token rests, and asks for it elsewhere.
func (m *Machine) acquire(now algo.Time, out []algo.Output) []algo.Output {
	m.must(m.phase == idle, algo.Acquire)
	if m.token {
		return m.enter(now, whyRests, out)
	}
	m.phase = waiting
	return m.maybeAsk(whyWants, out)
}

// stepWant takes the successor's wish: pass the token, keep the wish until the
// token is free, or pass the wish on.
func (m *Machine) stepWant(out []algo.Output) []algo.Output {
	m.wanted = true
	switch {
	case m.phase == inside:
		return append(out, algo.Output{Kind: algo.Note, To: m.after, Why: whyInside})
	case m.token:
		return m.maybePass(whyWantsNothing, out)
	case m.asked:
		return append(out, algo.Output{Kind: algo.Note, To: m.after, Why: whyAsked})
	}
	return m.maybeAsk(whyPassesOn, out)
}

// stepToken takes the token: enter, pass it on, or let it rest.
func (m *Machine) stepToken(now algo.Time, out []algo.Output) []algo.Output {
	m.token, m.asked = true, false
	if m.phase == waiting {
		return m.enter(now, whyHasToken, out)
	}
	if !m.wanted {
		return append(out, algo.Output{Kind: algo.Note, Why: whyRestsHere})
	}
	return m.maybePass(whyWantsNothing, out)
}

func (m *Machine) enter(now algo.Time, why algo.Reason, out []algo.Output) []algo.Output {
	m.phase = inside
	return append(out, algo.Output{Kind: algo.Enter, Token: algo.Token(now), Why: why})
}

// maybePass passes the token on if the successor has asked for it.
func (m *Machine) maybePass(why algo.Reason, out []algo.Output) []algo.Output {
	if !m.wanted {
		return out
	}
	m.token, m.wanted = false, false
	return append(out, algo.Output{Kind: algo.Send, To: m.after, Message: Token{}, Why: why})
}

// maybeAsk asks the predecessor for the token, once.
func (m *Machine) maybeAsk(why algo.Reason, out []algo.Output) []algo.Output {
	if m.asked {
		return append(out, algo.Output{Kind: algo.Note, Why: whyAsked})
	}
	m.asked = true
	return append(out, algo.Output{Kind: algo.Send, To: m.before, Message: Want{}, Why: why})
}

func (m *Machine) must(ok bool, k algo.InputKind) {
	if !ok {
		panic(fmt.Sprintf("ring: %s of %s in phase %d", k, m.self, m.phase))
	}
}

// Idle implements algo.Machine. A peer without the token that was once the
// first, or with it that was not, has something to remember.
func (m *Machine) Idle() bool {
	return m.phase == idle && m.token == m.first && !m.asked && !m.wanted
}

// WaitsFor implements algo.Machine. The token comes from the predecessor,
// wherever it is now.
func (m *Machine) WaitsFor() []algo.PeerName {
	if m.phase != waiting {
		return nil
	}
	return []algo.PeerName{m.before}
}

// Check implements algo.Machine.
func (m *Machine) Check() error {
	switch {
	case m.phase == inside && !m.token:
		return fmt.Errorf("%s: invariant 1: inside without the token", m.self)
	case m.phase == waiting && m.token:
		return fmt.Errorf("%s: invariant 1: has the token and does not enter", m.self)
	case m.phase == idle && m.token && m.wanted:
		return fmt.Errorf("%s: invariant 2: the token rests though %s wants it", m.self, m.after)
	case (m.phase == waiting || m.wanted) && !m.token && !m.asked:
		return fmt.Errorf("%s: invariant 3: nobody was asked for the token", m.self)
	case m.token && m.asked:
		return fmt.Errorf("%s: invariant 4: asks for the token that it has", m.self)
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
	for i, set := range [...]bool{m.token, m.asked, m.wanted} {
		if set {
			b |= 4 << i
		}
	}
	return append(dst, b)
}
