package relay

import (
	"cmp"
	"slices"

	"github.com/conchlock/conch/algo"
)

// lock is one lock as this peer knows it.
type lock struct {
	*Process
	name string
	from int  // who sent the message of this step
	met  int  // with whom the link has changed in this step, or -1
	new  bool // and it is a new incarnation

	waiting []request // each peer's latest, by peer; this peer's own among them
	served  Served
	keep    algo.Instant // not forgotten before: it had the token (section 6)
	wake    algo.Instant // when this lock needs to look at the clock
	place   int          // in wakes, or -1

	voter
	candidate
	owner
}

// request is a peer's wish, as it came.
type request struct {
	stamp algo.Stamp   // zero: none
	asked algo.Instant // by the asker's clock
	got   algo.Instant // by this peer's
}

// step takes one input. First what time has brought about, then what happened,
// then what follows.
func (l *lock) step(in algo.Input) {
	if in.Kind == algo.Release {
		l.lookOwner() // what is lost already is not left
		l.leave()     // before a claim of its own is granted: that must not extend it
	}
	if in.Kind == algo.Contact && l.new || in.Kind == algo.Leave {
		l.dropOld(l.met) // before a vote or a claim of it is granted
	}
	l.look()
	switch in.Kind {
	case algo.Acquire:
		l.acquire()
	case algo.Cancel:
		l.cancel()
	case algo.Receive:
		l.receive(l.from, in.Message)
	case algo.Contact:
		l.linked(l.met)
		l.inquireAgain(l.met)
		l.renewAgain(l.met)
	case algo.Up:
		l.linked(l.met)
		l.renewAgain(l.met)
	case algo.Down:
		l.unlinked()
	case algo.Leave:
		l.dropServed(l.names[l.met])
	}
	for l.elect() || l.win() || l.act() {
	}
	l.schedule()
}

// look does what the clock says is due. It comes before every step (rule 15).
func (l *lock) look() {
	l.lookOwner()
	l.lookVoter()
	for i := range l.waiting {
		if w := &l.waiting[i]; !w.stamp.IsZero() && w.got.Add(l.ttl) <= l.now {
			*w = request{} // no refresh for a TTL
		}
	}
	l.lookCandidate()
}

// receive takes note of a message.
func (l *lock) receive(from int, m algo.Message) {
	switch m := m.(type) {
	case Request:
		l.receiveRequest(from, m)
	case Cancel:
		if m.Stamp.Peer == l.names[from] {
			l.serve(m.Stamp)
			l.endVote(m.Stamp)
		}
	case Vote:
		l.receiveVote(from, m)
	case Inquire:
		l.receiveInquire(from, m)
	case Yield:
		l.receiveYield(from, m)
	case Renew:
		l.receiveRenew(from, m)
	case Renewed:
		l.receiveRenewed(from, m)
	case Release:
		l.receiveRelease(m)
	case Token:
		l.receiveToken(m)
	}
}

// receiveRequest puts a request in the queue, or refreshes it.
func (l *lock) receiveRequest(from int, m Request) {
	switch {
	case m.Stamp.Peer != l.names[from] || m.Stamp.Incarnation != l.peers[from].incarnation:
		return // not the sender's own
	case l.isServed(m.Stamp):
		return
	}
	l.waiting[from] = request{stamp: m.Stamp, asked: m.Now, got: l.now}
}

// deadline turns a lease into an instant of this peer's clock (section 2). What
// no honest peer says gives none.
func (l *lock) deadlineOf(m Lease) algo.Instant {
	if m.Asked > l.now || m.Length < 0 || m.Length > 4*l.ttl {
		return 0
	}
	return m.Asked.Add(m.Length - l.slack(m.Length))
}

// lease turns an instant of this peer's clock into a lease for who sent w.
func lease(w request, until algo.Instant) Lease {
	return Lease{Asked: w.asked, Length: until.Sub(w.got)}
}

// send sends to one peer. What a peer says to itself it hears at once
// (section 1).
func (l *lock) send(to int, m algo.Message, why algo.Reason) { l.sendAs(to, m, false, why) }

// sendAs sends; upkeep says that no entry needs the message.
func (l *lock) sendAs(to int, m algo.Message, upkeep bool, why algo.Reason) {
	switch {
	case to < 0:
	case to == l.me:
		l.receive(l.me, m)
	case l.peers[to].incarnation != 0:
		l.out = append(l.out, algo.Output{Kind: algo.Send, Lock: l.name, To: l.names[to], Message: m, Upkeep: upkeep, Why: why})
	}
}

// note says what was not done.
func (l *lock) note(why algo.Reason) {
	l.out = append(l.out, algo.Output{Kind: algo.Note, Lock: l.name, Why: why})
}

// reachable says that a request of this peer counts: an answer would get there.
func (l *lock) reachable(i int) bool { return l.peers[i].up }

// lowest returns the peer whose request is the first in the queue, or -1.
func (l *lock) lowest() int { return l.lowestBut(-1) }

// lowestBut leaves one peer out.
func (l *lock) lowestBut(one int) int {
	first := -1
	for i := range l.waiting {
		w := &l.waiting[i]
		if w.stamp.IsZero() || !l.reachable(i) || i == one {
			continue
		}
		if first < 0 || w.stamp.Compare(l.waiting[first].stamp) < 0 {
			first = i
		}
	}
	return first
}

// later says that s is a later request than t of the same peer (section 3).
func later(s, t algo.Stamp) bool {
	return s.Incarnation > t.Incarnation || s.Incarnation == t.Incarnation && s.Time > t.Time
}

func (l *lock) isServed(s algo.Stamp) bool {
	i, found := l.servedAt(s.Peer)
	return found && !later(s, l.served[i])
}

func (l *lock) servedAt(name algo.PeerName) (int, bool) {
	return slices.BinarySearchFunc(l.served, name, func(s algo.Stamp, n algo.PeerName) int { return cmp.Compare(s.Peer, n) })
}

// serve marks a request as ended, and forgets it (rule 17).
func (l *lock) serve(s algo.Stamp) {
	l.merge(Served{s})
}

// merge takes over what another peer knows to have ended (rule 17).
func (l *lock) merge(served Served) {
	copied := false
	for _, s := range served {
		who := l.index(s.Peer)
		if who < 0 || l.isServed(s) {
			continue
		}
		if !copied {
			l.served, copied = slices.Clone(l.served), true // messages share it
		}
		if i, found := l.servedAt(s.Peer); found {
			l.served[i] = s
		} else {
			l.served = slices.Insert(l.served, i, s)
		}
		if !later(l.waiting[who].stamp, s) {
			l.waiting[who] = request{}
		}
	}
}

// dropOld forgets what earlier incarnations of a peer have asked for or named. This
// one may be on another machine, and have another clock (section 2).
func (l *lock) dropOld(i int) {
	l.waiting[i] = request{}
	if l.claim.from == i {
		l.claim = claim{}
	}
	if l.owns && i < len(l.support) { // who has come since has no vote
		l.support[i].eldest = algo.Stamp{}
	}
}

// dropServed forgets which request of a peer that is taken for gone has ended: its
// next one, if it comes back, is told by its link.
func (l *lock) dropServed(name algo.PeerName) {
	if i, found := l.servedAt(name); found {
		l.served = slices.Delete(slices.Clone(l.served), i, i+1) // messages share it
	}
	if l.vote.owner == l.met {
		l.vote.owner = -1
	}
}

// few is so many voters that their answers are compared without memory of their
// own.
const few = 16

// largest returns the k-th largest of the values, from 1.
func largest[T cmp.Ordered](values []T, k int) T {
	slices.Sort(values)
	return values[len(values)-k]
}

// idle says that nothing is lost if the lock is forgotten.
func (l *lock) idle() bool {
	if l.owns || !l.own.IsZero() || !l.vote.term.IsZero() || !l.claim.term.IsZero() || l.keep > l.now {
		return false
	}
	for i := range l.waiting {
		if !l.waiting[i].stamp.IsZero() {
			return false
		}
	}
	return true
}
