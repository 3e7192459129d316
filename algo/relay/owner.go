package relay

import (
	"slices"

	"github.com/conchlock/conch/algo"
)

// owner is this peer's part with the token.
type owner struct {
	owns     bool
	term     Term
	number   algo.Token // last used
	ceiling  algo.Token // numbers up to this one are confirmed
	deadline algo.Instant
	support  []support // of the term, by peer
	inside   bool
	entered  bool         // since it got the token
	first    bool         // its open request brought the token here, and goes first
	rest     algo.Instant // while nobody waits: when to give the token up; 0: not yet known
	asked    algo.Instant // when it last asked for a renewal
	seen     algo.Token   // highest number in a token it had
}

// support is what a voter has promised to the owner of a term.
type support struct {
	ceiling  algo.Token
	deadline algo.Instant
	eldest   algo.Stamp
	asked    algo.Instant // the voter's clock when it said so
	got      algo.Instant // this peer's, when that came
}

// take makes this peer the owner of a term.
func (l *lock) take(term Term, number, ceiling algo.Token, deadline algo.Instant) {
	l.owner = owner{
		owns: true, term: term, number: number, ceiling: ceiling, deadline: deadline, seen: number,
		support: make([]support, len(l.names)),
		first:   !l.own.IsZero(), // rule 16: whoever else waits
		asked:   l.now.Add(-l.ttl),
	}
}

// receiveToken accepts a token that is new and still worth something (rule 16).
func (l *lock) receiveToken(m Token) {
	l.merge(m.Served)
	deadline := l.deadlineOf(m.Lease)
	switch {
	case m.Number <= l.seen || l.owns:
		l.note(whyOldToken)
	default:
		l.take(m.Term, m.Number, m.Ceiling, deadline)
		if deadline <= l.now {
			l.destroy(whyLapsedToken) // so that its voters need not wait
		}
	}
}

// lookOwner ends a term whose deadline has passed (rule 15).
func (l *lock) lookOwner() {
	if !l.owns || l.now < l.deadline {
		return
	}
	if l.inside {
		l.inside = false
		l.out = append(l.out, algo.Output{Kind: algo.Lost, Lock: l.name, Token: l.number, Why: whyLost})
	}
	l.destroy(whyLapsed)
	if !l.own.IsZero() && l.own == l.won {
		l.serve(l.own)
		l.ask(true) // rule 10: no term is won twice
	}
}

// act does what an owner does next.
func (l *lock) act() bool {
	switch {
	case !l.owns:
		return false
	case l.inside:
		return (l.deadline.Sub(l.now) < l.ttl/2 || l.ceiling-l.number < block/2) && l.renew() // rule 12
	case !l.first && l.starves(): // rule 13
		return l.turnTo(l.closest())
	}
	switch next := l.next(); {
	case next < 0:
		return l.lingers()
	case next == l.me && l.mayEnter():
		l.enter(whyTurn)
		return true
	case next != l.me && l.mayPass():
		l.pass(next)
		return true
	case l.stopped:
		l.destroy(whyStops)
		return true
	}
	return l.renew() // rules 11 and 13
}

// next returns who gets the token, or -1: the lowest stamp, its own taking part
// (rule 13), unless the token came for its own request (rule 16).
func (l *lock) next() int {
	if l.first {
		return l.me
	}
	next := l.lowest()
	if !l.own.IsZero() && (next < 0 || l.own.Compare(l.waiting[next].stamp) < 0) {
		return l.me
	}
	return next
}

// mayEnter says that there is enough time left, and a number (rule 11).
func (l *lock) mayEnter() bool {
	return l.deadline.Sub(l.now) >= l.ttl/4 && l.number+1 <= l.ceiling
}

// mayPass says that the token can travel (rule 13): else hot handoffs outrun
// renewals, whose answers reach an owner that has passed it on.
func (l *lock) mayPass() bool {
	return l.deadline.Sub(l.now) >= l.ttl/2 && l.lastNumber()+1 <= l.ceiling
}

// turnTo hands the token to a voter that knows of somebody who would starve, or
// ends the term if there is none within reach (rule 13).
func (l *lock) turnTo(voter int) bool {
	switch {
	case voter < 0:
		l.destroy(whyStarves)
		return true
	case l.mayPass():
		s := l.support[voter]
		l.passTo(voter, request{asked: s.asked, got: s.got}, algo.Reason{Text: whyTurns, About: s.eldest})
		return true
	case l.stopped:
		l.destroy(whyStops)
		return true
	}
	return l.renew()
}

// renewAgain lets an owner that needs a renewal ask at once when a voter is within
// reach again.
func (l *lock) renewAgain(i int) {
	if l.owns && slices.Contains(l.voters, i) {
		l.owner.asked = l.now.Add(-l.ttl)
	}
}

// lastNumber is what a TOKEN from here says: an owner that never entered skips
// one, so that no two of a term are alike (rule 11).
func (l *lock) lastNumber() algo.Token {
	if !l.entered {
		return l.number + 1
	}
	return l.number
}

// enter enters with the next number (rule 11).
func (l *lock) enter(why algo.Reason) {
	l.number++
	l.seen = l.number
	l.inside, l.entered, l.rest = true, true, 0
	l.out = append(l.out, algo.Output{Kind: algo.Enter, Lock: l.name, Token: l.number, Deadline: l.deadline, Why: why})
	l.end()
}

// leave leaves the section; what follows is act's. If the lease has ended before,
// the hold is lost already.
func (l *lock) leave() {
	if l.inside {
		l.inside = false
	}
}

// pass sends the token to a waiter and forgets its request (rule 13). Only the
// waiter itself will mark it served: the token may be lost (rule 17).
func (l *lock) pass(to int) {
	w := l.waiting[to]
	l.waiting[to] = request{}
	l.passTo(to, w, algo.Reason{Text: whyPass, About: w.stamp})
}

// passTo sends the token to a peer whose clock is known from w.
func (l *lock) passTo(to int, w request, why algo.Reason) {
	l.number = l.lastNumber()
	m := Token{Term: l.term, Number: l.number, Ceiling: l.ceiling, Lease: lease(w, l.deadline), Served: l.served}
	if l.vote.term == l.term {
		l.vote.owner = to
	}
	l.drop()
	l.send(to, m, why)
}

// destroy ends the term (rule 5): its voters are free, and know the last number.
func (l *lock) destroy(why algo.Reason) {
	var m algo.Message = Release{Term: l.term, Number: l.number, Served: l.served}
	l.drop()
	for _, v := range l.voters {
		l.sendAs(v, m, true, why)
	}
}

// drop forgets the token, but not that it was here (section 6).
func (l *lock) drop() {
	l.owner = owner{seen: max(l.seen, l.number)}
	l.keep = l.now.Add(l.ttl)
}

// lingers keeps a token that nobody waits for, for a while (rule 14).
func (l *lock) lingers() bool {
	if l.rest == 0 {
		l.rest = l.now.Add(l.rests)
	}
	if l.now < l.rest && !l.stopped {
		return false
	}
	l.destroy(whyRests)
	return true
}

// renew asks every voter for more time and numbers, again every TTL/6 until
// there are enough answers (rule 12).
func (l *lock) renew() bool {
	if l.now < l.asked.Add(l.ttl/6) {
		return false
	}
	l.asked = l.now
	var m algo.Message = Renew{Term: l.term, Number: l.number, Now: l.now}
	for _, v := range l.voters {
		if l.peers[v].up {
			l.sendAs(v, m, true, whyRenew)
		}
	}
	return true
}

// receiveRenewed adds a voter's support. The deadline is the one that a
// majority stands for, or the inherited one if later; the ceiling likewise
// (rule 12).
func (l *lock) receiveRenewed(from int, m Renewed) {
	if !l.owns || m.Term != l.term || !slices.Contains(l.voters, from) {
		return
	}
	s := &l.support[from]
	s.ceiling, s.deadline = max(s.ceiling, m.Ceiling), max(s.deadline, l.deadlineOf(m.Lease))
	s.eldest, s.asked, s.got = m.Eldest, m.Now, l.now
	ceilings, deadlines := make([]algo.Token, 0, few), make([]algo.Instant, 0, few)
	for _, v := range l.voters {
		ceilings, deadlines = append(ceilings, l.support[v].ceiling), append(deadlines, l.support[v].deadline)
	}
	if ceiling := largest(ceilings, l.quorum); ceiling > l.ceiling {
		l.ceiling = ceiling
		l.asked = l.now.Add(-l.ttl) // answered: it may ask again at any time
	}
	deadline := max(l.deadline, largest(deadlines, l.quorum))
	if l.inside && deadline > l.deadline {
		l.out = append(l.out, algo.Output{Kind: algo.Extend, Lock: l.name, Token: l.number, Deadline: deadline, Why: whyExtend})
	}
	l.deadline = deadline
}

// starves says that a majority of voters, the owner's own taken for one of them,
// know of somebody who has waited longer than everybody the owner knows of, and
// whom the owner would never hear (rule 13).
func (l *lock) starves() bool {
	first, count, named := l.lowest(), 0, 0
	for _, v := range l.voters {
		switch {
		case v == l.me:
			count++
		case l.knowsElder(v, first):
			named++
		}
	}
	return named > 0 && count+named >= l.quorum
}

// knowsElder says that a voter has named such a one. First is whom the owner knows
// of, or -1.
func (l *lock) knowsElder(voter, first int) bool {
	e := l.support[voter].eldest
	return !e.IsZero() && !l.isServed(e) && !l.gone(e) && (first < 0 || e.Compare(l.waiting[first].stamp) < 0)
}

// closest returns the voter within reach that has named the eldest, or -1.
func (l *lock) closest() int {
	first, closest := l.lowest(), -1
	for _, v := range l.voters {
		if v != l.me && l.reachable(v) && l.knowsElder(v, first) && (closest < 0 || l.support[v].eldest.Compare(l.support[closest].eldest) < 0) {
			closest = v
		}
	}
	return closest
}

// gone says that a request is an earlier incarnation's.
func (l *lock) gone(s algo.Stamp) bool {
	i := l.index(s.Peer)
	if i < 0 {
		return !l.open // else somebody whom only voters have found yet
	}
	return s.Incarnation < l.peers[i].incarnation
}

// The reasons, as traces and stories tell them.
var (
	whyNewborn      = algo.Reason{Text: "nobody has known an earlier incarnation of it"}
	whyAsks         = algo.Reason{Text: "it wants to enter and asks everybody"}
	whyRefresh      = algo.Reason{Text: "it still waits, and there is a new link"}
	whyVote         = algo.Reason{Text: "lends its vote to the request that has waited longest"}
	whyInquire      = algo.Reason{Text: "asks for its vote back: somebody else goes first"}
	whyInquireAgain = algo.Reason{Text: "asks for its vote back: what was said of it may be lost"}
	whyYield        = algo.Reason{Text: "gives the vote back: it has not won"}
	whyEnded        = algo.Reason{Text: "its request has ended"}
	whyServed       = algo.Reason{Text: "another term's token let it in, so it gives the vote back"}
	whyCancel       = algo.Reason{Text: "it gives up"}
	whyRested       = algo.Reason{Text: "has the token since it was last inside, and nobody waits"}
	whyTurn         = algo.Reason{Text: "has the token, with a lease that a majority stands for"}
	whyRenew        = algo.Reason{Text: "has the token and asks for a longer lease"}
	whyRenewed      = algo.Reason{Text: "supports the term for longer"}
	whyExtend       = algo.Reason{Text: "a majority has renewed its lease"}
	whyLost         = algo.Reason{Text: "its lease has ended"}
	whyLapsed       = algo.Reason{Text: "its lease has ended, and it destroys the token"}
	whyStarves      = algo.Reason{Text: "ends the term: a majority knows of somebody who has waited longer than all it knows of"}
	whyRests        = algo.Reason{Text: "ends the term: nobody has wanted the token for a while"}
	whyStops        = algo.Reason{Text: "ends the term, since it is about to stop"}
	whyOldToken     = algo.Reason{Text: "ignores a token that it had before"}
	whyLapsedToken  = algo.Reason{Text: "ends the term: the lease has ended while the token was on its way"}
)

const (
	whyPass  = "hands the token on: % has waited longest"
	whyTurns = "hands the token to a voter that hears %, which has waited longest"
)
