package relay

import "github.com/conchlock/conch/algo"

// voter is this peer's part in lending terms.
type voter struct {
	vote  vote
	base  algo.Token // highest number that may have been used
	claim claim
}

// vote is support for one term at a time. It is live until expiry, and removed
// at the first look at the clock after that.
type vote struct {
	term     Term // zero: no vote
	ballot   uint64
	ceiling  algo.Token
	expiry   algo.Instant
	inquired bool
	renewed  bool // it has won: its owner renews it
	owner    int  // who had the token last, as far as this voter knows
}

// claim is a renewal that has to wait for another term's vote to end.
type claim struct {
	term   Term // zero: none
	number algo.Token
	from   int
	request
}

// lookVoter ends what the clock says has ended.
func (l *lock) lookVoter() {
	if v := l.vote; !v.term.IsZero() && v.expiry <= l.now {
		l.base = max(l.base, v.ceiling) // rule 1: its numbers may have been used
		if i := l.index(v.term.Peer); i >= 0 && l.waiting[i].stamp == v.term {
			l.waiting[i] = request{} // rule 6: until its next refresh
		}
		l.vote = vote{}
		l.elect() // before that refresh, should it be what has just come
	}
	if !l.claim.term.IsZero() && l.claim.got.Add(l.ttl) <= l.now {
		l.claim = claim{} // rule 4
	}
}

// elect grants what a free voter can grant, and asks for its vote back where
// somebody else goes first.
func (l *lock) elect() bool {
	switch first := l.lowest(); {
	case !l.votes || l.stopped || l.now < l.abstains: // rule 7
		return false
	case !l.vote.term.IsZero(): // rule 2: it keeps a live vote
		return l.inquire(first)
	case !l.claim.term.IsZero(): // rule 4: before anybody's request
		c := l.claim
		l.claim = claim{}
		l.renewVote(c)
		return true
	case first >= 0:
		l.voteFor(first)
		return true
	}
	return false
}

// voteFor votes for a peer's request (rule 1).
func (l *lock) voteFor(i int) {
	w := l.waiting[i]
	l.ballot++
	offer := l.base + 1
	l.vote = vote{term: w.stamp, ballot: l.ballot, ceiling: offer + block, expiry: l.now.Add(l.ttl), owner: i}
	l.promise(l.vote.ceiling)
	l.send(i, Vote{Term: w.stamp, Ballot: l.ballot, Offer: offer, Ceiling: l.vote.ceiling, Lease: lease(w, l.vote.expiry)}, whyVote)
}

// inquire asks for the vote back, once per ballot, while a lower stamp or a
// claim waits (rule 3). A term that is renewed has won and would not answer.
func (l *lock) inquire(first int) bool {
	v := &l.vote
	if v.inquired || v.renewed || l.claim.term.IsZero() && (first < 0 || l.waiting[first].stamp.Compare(v.term) >= 0) {
		return false
	}
	v.inquired = true
	l.send(l.index(v.term.Peer), Inquire{Term: v.term, Ballot: v.ballot}, whyInquire)
	return true
}

// inquireAgain asks for the vote back of a candidate with which there is a new link:
// VOTE, YIELD or CANCEL may have been lost with the old one (rule 3).
func (l *lock) inquireAgain(i int) {
	if v := &l.vote; v.term.Peer == l.names[i] && v.term.Incarnation == l.peers[i].incarnation && !v.renewed {
		v.inquired = true
		l.sendAs(i, Inquire{Term: v.term, Ballot: v.ballot}, true, whyInquireAgain)
	}
}

// receiveYield ends the vote of exactly that term and ballot: a late one must
// not end the next vote for the same request (rule 3).
func (l *lock) receiveYield(from int, m Yield) {
	if m.Term.Peer == l.names[from] && m.Term == l.vote.term && m.Ballot == l.vote.ballot {
		l.vote = vote{}
	}
}

// endVote ends a vote for a request that has ended without winning (rule 3), or
// for a term that its owner has ended (rule 5).
func (l *lock) endVote(term Term) {
	if l.vote.term == term {
		l.vote = vote{}
	}
	if l.claim.term == term {
		l.claim = claim{}
	}
}

// receiveRenew supports a term for longer, or remembers that it should (rule 4).
func (l *lock) receiveRenew(from int, m Renew) {
	c := claim{term: m.Term, number: m.Number, from: from, request: request{asked: m.Now, got: l.now}}
	switch {
	case !l.votes || l.stopped:
	case l.now >= l.abstains && (l.vote.term.IsZero() || l.vote.term == m.Term): // rules 4 and 7
		l.renewVote(c)
	case l.claim.term.IsZero() || m.Number >= l.claim.number:
		l.claim = c
	}
}

// renewVote accepts a renewal, even below base (rule 4).
func (l *lock) renewVote(c claim) {
	if l.vote.term != c.term {
		l.ballot++
		l.vote = vote{term: c.term, ballot: l.ballot}
	}
	v := &l.vote
	v.expiry, v.ceiling = l.now.Add(l.ttl), max(v.ceiling, c.number+block)
	v.renewed, v.owner = true, c.from
	l.promise(v.ceiling)
	l.sendAs(c.from, Renewed{Term: c.term, Ceiling: v.ceiling, Lease: lease(c.request, v.expiry), Eldest: l.eldest(c.from), Now: l.now}, true, whyRenewed)
}

// eldest names the request that has waited longest, as far as this voter knows. The
// owner's own is none: if it is not served, the owner knows best.
func (l *lock) eldest(owner int) algo.Stamp {
	if i := l.lowestBut(owner); i >= 0 {
		return l.waiting[i].stamp
	}
	return algo.Stamp{}
}

// receiveRelease takes note that a term has ended (rule 5).
func (l *lock) receiveRelease(m Release) {
	l.base = max(l.base, m.Number)
	l.merge(m.Served)
	l.endVote(m.Term)
}
