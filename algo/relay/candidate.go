package relay

import (
	"fmt"
	"slices"

	"github.com/conchlock/conch/algo"
)

// candidate is this peer's part in asking.
type candidate struct {
	own     algo.Stamp   // its open request; zero: none
	ballots []ballot     // for own, by peer; nil if none has come
	refresh algo.Instant // when to send own again
	told    bool         // own has been sent
	won     Term         // the last term it won
}

// ballot is a vote as its candidate sees it.
type ballot struct {
	counts   bool
	offer    algo.Token
	ceiling  algo.Token
	deadline algo.Instant
}

// acquire opens a request, or enters at once with a token that rests here
// (rule 14).
func (l *lock) acquire() {
	if l.inside || !l.own.IsZero() {
		panic(fmt.Sprintf("relay: %s acquires %q twice", l.self, l.name))
	}
	if l.owns && l.lowest() < 0 && !l.starves() && l.mayEnter() {
		l.enter(whyRested)
		return
	}
	l.ask(false)
}

// ask opens a request with a new stamp and tells everybody.
func (l *lock) ask(upkeep bool) {
	l.own = algo.Stamp{Time: l.time, Peer: l.self, Incarnation: l.incarnation}
	l.ballots, l.told = nil, false
	l.tellAll(upkeep)
}

// tellAll sends the open request to every peer, itself included. A candidate that
// cannot win keeps still, and is forgotten (rule 18).
func (l *lock) tellAll(upkeep bool) {
	l.refresh = l.now.Add(l.ttl / 4)
	if !l.reachesMajority() {
		return
	}
	l.told = true
	var m algo.Message = Request{Stamp: l.own, Now: l.now} // one piece of memory for all
	for i := range l.names {
		if l.peers[i].up || !upkeep { // what else is sent to a peer that is down would only pile up
			l.sendAs(i, m, upkeep, whyAsks)
		}
	}
}

// reachesMajority says that links to a majority of voters are up.
func (p *Process) reachesMajority() bool {
	up := 0
	for _, v := range p.voters {
		if p.peers[v].up {
			up++
		}
	}
	return up >= p.quorum
}

// linked tells a peer whose link is new, or up again; or everybody, if there are
// enough of them now.
func (l *lock) linked(i int) {
	switch {
	case l.own.IsZero():
	case !l.told:
		l.tellAll(false)
	case l.reachesMajority():
		l.sendAs(i, Request{Stamp: l.own, Now: l.now}, true, whyRefresh)
	}
}

// unlinked notes that a link is down: all shall hear the request again when it can
// win again.
func (l *lock) unlinked() {
	if !l.reachesMajority() {
		l.told = false
	}
}

// lookCandidate refreshes the open request, for those who forget it after a TTL.
func (l *lock) lookCandidate() {
	if !l.own.IsZero() && l.refresh <= l.now {
		l.tellAll(l.told)
	}
}

// receiveVote counts a vote for the open request (rule 9).
func (l *lock) receiveVote(from int, m Vote) {
	switch {
	case !l.mayAnswer(m.Term) || !slices.Contains(l.voters, from):
		return
	case m.Term != l.own:
		l.send(from, Cancel{Stamp: m.Term}, whyEnded)
		return
	}
	if l.ballots == nil {
		l.ballots = make([]ballot, len(l.names))
	}
	l.ballots[from] = ballot{counts: true, offer: m.Offer, ceiling: m.Ceiling, deadline: l.deadlineOf(m.Lease)}
}

// receiveInquire gives a vote back (rule 9): first it stops counting.
func (l *lock) receiveInquire(from int, m Inquire) {
	switch {
	case !l.mayAnswer(m.Term) || !slices.Contains(l.voters, from):
		return
	case m.Term != l.own:
		l.send(from, Cancel{Stamp: m.Term}, whyEnded)
		return
	}
	if l.ballots != nil {
		l.ballots[from] = ballot{}
	}
	l.send(from, Yield(m), whyYield)
}

// mayAnswer says that a request is this incarnation's, and above the last that
// won: any other may be a term that lives on in other hands (rule 9).
func (l *lock) mayAnswer(t Term) bool {
	return t.Peer == l.self && t.Incarnation == l.incarnation && t.Compare(l.won) > 0
}

// win makes the token of a new term, if a majority supports it now (rule 8).
func (l *lock) win() bool {
	if l.own.IsZero() || l.owns || l.ballots == nil {
		return false
	}
	ceilings, deadlines := make([]algo.Token, 0, few), make([]algo.Instant, 0, few)
	var offer algo.Token
	for _, b := range l.ballots {
		if b.counts && b.deadline > l.now {
			ceilings, deadlines, offer = append(ceilings, b.ceiling), append(deadlines, b.deadline), max(offer, b.offer)
		}
	}
	if len(deadlines) < l.quorum {
		return false
	}
	l.won = l.own
	l.take(l.own, offer-1, largest(ceilings, l.quorum), largest(deadlines, l.quorum))
	for i, b := range l.ballots {
		l.support[i] = support{ceiling: b.ceiling, deadline: b.deadline}
	}
	l.ballots = nil
	return true
}

// end ends the open request because this peer has entered (rule 10): if another
// term's token served it, the voters whose votes it has get them back.
func (l *lock) end() {
	own := l.own
	if own.IsZero() {
		return
	}
	l.close()
	if own == l.won {
		return
	}
	for i, b := range l.ballots {
		if b.counts {
			l.send(i, Cancel{Stamp: own}, whyServed)
		}
	}
	l.ballots = nil
}

// cancel gives the open request up (rule 10). If it has won, the token goes on
// from here as from an owner that just left.
func (l *lock) cancel() {
	own := l.own
	if own.IsZero() {
		panic(fmt.Sprintf("relay: %s cancels %q, which it has not asked for", l.self, l.name))
	}
	l.close()
	l.ballots = nil
	if own == l.won {
		return
	}
	for i := range l.names {
		l.send(i, Cancel{Stamp: own}, whyCancel)
	}
}

// close marks the open request as ended (rule 17).
func (l *lock) close() {
	l.serve(l.own)
	l.own, l.first = algo.Stamp{}, false
}

// waitsFor says who can bring the open request further: whoever has the token,
// if this peer's voter knows; else the voters that have not voted for it.
func (l *lock) waitsFor() []algo.PeerName {
	if v := l.vote; !l.owns && !v.term.IsZero() && v.owner >= 0 && v.owner != l.me {
		return []algo.PeerName{l.names[v.owner]}
	}
	var waits []algo.PeerName
	for _, i := range l.voters {
		voted := l.ballots != nil && l.ballots[i].counts && l.ballots[i].deadline > l.now
		if l.owns {
			voted = l.support[i].deadline.Sub(l.now) >= l.ttl/2
		}
		if i != l.me && !voted {
			waits = append(waits, l.names[i])
		}
	}
	return slices.Clip(waits)
}
