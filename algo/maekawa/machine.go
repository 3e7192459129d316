// Package maekawa is the algorithm of M. Maekawa, "A √N Algorithm for Mutual
// Exclusion in Decentralized Systems", ACM Transactions on Computer Systems
// 3(2), May 1985, made free of deadlock as in B. A. Sanders, "The Information
// Structure of Distributed Mutual Exclusion Algorithms", ACM Transactions on
// Computer Systems 5(3), August 1987.
//
// Each peer has a quorum, to which it belongs, and any two quorums have a peer
// in common. Who wants the section asks its quorum with REQUEST and enters when
// every member is LOCKED for it; RELEASE unlocks them. A member is locked for
// one request at a time, so nobody else can have all of another quorum.
//
// Locks taken one by one can end in a circle. So requests have an order, and a
// member that is locked for a younger request than the one that has just come
// asks for its lock back with INQUIRE. Who has heard FAILED from somebody cannot
// have all its locks before an older request does, and gives the lock back with
// RELINQUISH; who has not heard one may still get all, and puts off its answer.
//
// A peer plays two parts, a file each: the candidate, who asks, and the arbiter,
// who is locked. Quorums are in quorum.go. A peer is a member of its own
// quorum; what its two parts say to each other is heard within the same step
// and is no message.
//
// # Cost
//
// With a quorum of K peers an entry costs 3(K-1) messages if nobody else is
// there: REQUEST, LOCKED and RELEASE. With others there it costs at most
// 6(K-1): the arrival of a request leads to no more than INQUIRE, RELINQUISH and
// the second LOCKED for the request that gave back, or else to one FAILED. (The
// paper's abstract says c√N with c from 3 to 5; what is counted here counts that
// second LOCKED, too.) K is about √N where there
// is a projective plane, and about 2√N elsewhere (see Quorum).
//
// Between an exit and the next entry lie at most two message delays, RELEASE and
// LOCKED, if whoever comes next has all its other locks; one, if the members that
// it lacks are itself or the peer that leaves. An entry with nobody else there
// takes two, REQUEST and LOCKED.
//
// # Departures from the paper
//
//   - Sequence numbers come from the peer's one Lamport clock, which every
//     message of every lock moves. They are larger, their order is the same.
//   - FAILED is sent not only to a request that comes behind an older one, but
//     also to one that was the first of those that wait and is so no more
//     (Sanders). The paper leaves it uninformed: it waits with its other locks
//     in hand for a lock that goes to the older request, which waits for them.
//   - Who has relinquished counts as told FAILED until it is LOCKED again: it
//     cannot have all its locks before an older request does, as after a FAILED.
//     Textbooks write that out; without it two such would wait for each other.
//   - Every message names its request. The paper needs no name because there
//     nobody gives up. Here LOCKED, FAILED and INQUIRE may come for a request that
//     was given up. RELINQUISH is named to be safe from peers that misbehave:
//     links keep order, INQUIRE and its answer alternate, and no lock ends by
//     time, so one that is sent finds its lock as it was.
//   - A request can be cancelled: the whole quorum gets a RELEASE. An INQUIRE that
//     crosses it is answered by it, as in the paper by that of who has left.
//   - The paper wants quorums of one size. For numbers of peers without a plane
//     they are rows and columns of a grid, which differ where its last row is short.
//   - Every entry has a fencing token: the Lamport time of the entry. It grows
//     from entry to entry because the two quorums have a member in common.
//     It was locked for the one and then for the other; the RELEASE of the first
//     came in between, and so the exit, the RELEASE, the LOCKED and the next entry
//     are a chain of messages, along which Lamport time grows. Over restarts it
//     rests on the peer's clock starting at or above every time it has used before.
//   - A peer that is gone is waited for (the paper would let another take its
//     place, which is not safe when it is only slow). Restarts are left to
//     package epoch.
package maekawa

import (
	"fmt"
	"slices"

	"github.com/conchlock/conch/algo"
)

// Machine is one peer's part in one lock.
//
// Invariants:
//
//	(1) own names a request exactly while not idle;
//	(2) inside, every member is locked for own; waiting, at least one is not;
//	(3) an inquiry is open only while waiting, only by a member that is locked
//	    for own, and only while no member has failed;
//	(4) who is locked for nobody lets nobody wait;
//	(5) those that wait are in order, and no peer has two requests here;
//	(6) an older request than the one it is locked for waits only while an
//	    INQUIRE is on its way or unanswered;
//	(7) whoever waits knows it, except for the first, if that is older than the
//	    one it is locked for (Sanders);
//	(8) the peer's two parts agree on its own request.
//
// That all machines together let one request in at a time follows from (2) and
// from the quorums.
type Machine struct {
	self  algo.PeerName
	peers []algo.PeerName // the others, sorted
	inc   algo.Incarnation
	candidate
	arbiter

	// Of the present step.
	now    algo.Time
	out    []algo.Output
	toSelf []algo.Message // said to itself, and not heard yet; from step to step empty
}

// New returns the machine of self, among the other peers, sorted.
func New(self algo.PeerName, incarnation algo.Incarnation, others []algo.PeerName) algo.Machine {
	me, _ := slices.BinarySearch(others, self)
	var quorum []algo.PeerName
	for _, i := range Quorum(me, len(others)+1) {
		switch {
		case i < me:
			quorum = append(quorum, others[i])
		case i == me:
			quorum = append(quorum, self)
		default:
			quorum = append(quorum, others[i-1])
		}
	}
	return newMachine(self, incarnation, others, quorum)
}

// newMachine returns a machine with the quorum, sorted.
func newMachine(self algo.PeerName, incarnation algo.Incarnation, others, quorum []algo.PeerName) *Machine {
	m := &Machine{self: self, peers: others, inc: incarnation}
	for _, p := range quorum {
		m.quorum = append(m.quorum, member{name: p})
	}
	return m
}

// Step implements algo.Machine.
func (m *Machine) Step(in algo.Input, out []algo.Output) []algo.Output {
	m.now, m.out = in.Time, out
	switch in.Kind {
	case algo.Acquire:
		m.must(m.phase == idle, in.Kind)
		m.acquire()
	case algo.Cancel:
		m.must(m.phase == waiting, in.Kind)
		m.leave(whyCancelled)
	case algo.Release:
		m.must(m.phase == inside, in.Kind)
		m.leave(whyLeft)
	case algo.Receive:
		if _, known := slices.BinarySearch(m.peers, in.From); known {
			m.receive(in.From, in.Message)
		}
	}
	for i := 0; i < len(m.toSelf); i++ { // what is heard may lead to more
		m.receive(m.self, m.toSelf[i])
	}
	m.toSelf = m.toSelf[:0]
	out, m.out = m.out, nil
	return out
}

// receive hands a message to the part that it is for.
func (m *Machine) receive(from algo.PeerName, msg algo.Message) {
	switch msg := msg.(type) {
	case Request:
		m.stepRequest(from, msg.Stamp)
	case Relinquish:
		m.stepRelinquish(from, msg.Stamp)
	case Release:
		m.stepRelease(from, msg.Stamp)
	case Locked:
		m.stepLocked(m.member(from, msg.Stamp))
	case Failed:
		m.stepFailed(m.member(from, msg.Stamp))
	case Inquire:
		m.stepInquire(m.member(from, msg.Stamp))
	}
}

// send sends a message, also to this peer itself. In the latter case a note says
// what would otherwise be said with the message.
func (m *Machine) send(to algo.PeerName, msg algo.Message, why algo.Reason) {
	if to == m.self {
		m.toSelf = append(m.toSelf, msg)
		m.note("", why)
		return
	}
	m.out = append(m.out, algo.Output{Kind: algo.Send, To: to, Message: msg, Why: why})
}

// tellQuorum sends a message to every member.
func (m *Machine) tellQuorum(msg algo.Message, why algo.Reason) {
	for i := range m.quorum {
		if to := m.quorum[i].name; to == m.self {
			m.toSelf = append(m.toSelf, msg)
		} else {
			m.send(to, msg, why)
		}
	}
}

func (m *Machine) note(heldBack algo.PeerName, why algo.Reason) {
	m.out = append(m.out, algo.Output{Kind: algo.Note, To: heldBack, Why: why})
}

func (m *Machine) must(ok bool, k algo.InputKind) {
	if !ok {
		panic(fmt.Sprintf("maekawa: %s of %s in phase %d", k, m.self, m.phase))
	}
}

// Idle implements algo.Machine. Who is locked for somebody has that to remember.
func (m *Machine) Idle() bool { return m.phase == idle && m.lock.IsZero() }

// WaitsFor implements algo.Machine. Who lacks its own lock waits for the peer
// that it is locked for.
func (m *Machine) WaitsFor() []algo.PeerName {
	if m.phase != waiting {
		return nil
	}
	var missing []algo.PeerName
	for _, q := range m.quorum {
		switch {
		case q.answer == locked:
		case q.name == m.self:
			missing = append(missing, m.lock.Peer)
		default:
			missing = append(missing, q.name)
		}
	}
	slices.Sort(missing)
	return slices.Compact(missing)
}
