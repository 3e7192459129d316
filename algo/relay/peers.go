package relay

import (
	"maps"
	"slices"

	"github.com/conchlock/conch/algo"
)

// peer is what this peer knows of another.
type peer struct {
	incarnation algo.Incarnation // 0: no contact yet
	up          bool
	stranger    bool   // it knew no earlier incarnation of this peer
	newborn     []Life // to whom it has said to be newborn (rule 7); nil: to nobody
}

// index returns the place of a peer in names, or -1.
func (p *Process) index(name algo.PeerName) int {
	if i, known := p.places[name]; known {
		return i
	}
	return -1
}

// link takes note of what happened to the link to a peer.
func (p *Process) link(in algo.Input) {
	i := p.index(in.From)
	if i < 0 && in.Kind == algo.Contact && p.open {
		i = p.join(in.From)
	}
	if i < 0 || i == p.me {
		return
	}
	who := &p.peers[i]
	who.up = in.Kind != algo.Down
	again := who.incarnation == in.Incarnation
	if in.Kind == algo.Contact {
		if !again {
			who.newborn = nil
		}
		who.incarnation, who.stranger = in.Incarnation, !in.KnewMe
		p.tellNewborn(i, again)
		p.begin()
	}
	for _, l := range p.sorted() {
		l.met, l.new = i, !again
		l.step(in)
	}
}

// join gives a peer without a vote a place, one that was left if there is one.
func (p *Process) join(name algo.PeerName) int {
	i := slices.Index(p.names, "")
	if i < 0 {
		i = len(p.names)
		p.names = append(slices.Clip(p.names), "") // clones share it
		p.peers = append(p.peers, peer{})
		for _, l := range p.locks {
			l.waiting = append(l.waiting, request{})
		}
	}
	p.place(name, i)
	return i
}

// leave forgets a peer without a vote that is taken for gone. Nothing of what it
// was lent ends by that (rule 19): the news may be false.
func (p *Process) leave(in algo.Input) {
	i := p.index(in.From)
	if i < 0 || i == p.me || slices.Contains(p.voters, i) {
		return
	}
	p.peers[i] = peer{} // so that nothing is sent to it
	for _, l := range p.sorted() {
		l.met = i
		l.step(in)
	}
	p.place("", i)
}

// place writes a name into a place, or takes it out. What clones share is replaced.
func (p *Process) place(name algo.PeerName, i int) {
	p.names, p.places = slices.Clone(p.names), maps.Clone(p.places)
	delete(p.places, p.names[i])
	if p.names[i] = name; name != "" {
		p.places[name] = i
	}
}

// tellNewborn says to everybody to whom this peer is newborn, when that has
// changed because peer i has a new incarnation; else only to i.
func (p *Process) tellNewborn(i int, again bool) {
	to := p.newborn()
	if to == nil {
		return
	}
	for j := range p.peers {
		if j != p.me && (j == i || !again) {
			p.out = append(p.out, algo.Output{Kind: algo.Send, To: p.names[j], Message: Newborn{To: to}, Upkeep: true, Why: whyNewborn})
		}
	}
}

// newborn lists the present incarnations of all peers, if none of them has known
// an earlier incarnation of this one; else nil. In an open cluster nobody can say
// so of all peers.
func (p *Process) newborn() []Life {
	if p.open {
		return nil // somebody who is not known here may have relied on it
	}
	to := make([]Life, len(p.peers))
	for i, o := range p.peers {
		if !o.stranger {
			return nil
		}
		to[i] = Life{Peer: p.names[i], Incarnation: o.incarnation}
	}
	return to
}

// begin ends the abstention of a voter on which nobody relies (rule 7): these
// incarnations of all peers are all newborn to each other. Why that is enough is
// in section 7; that they say so of the same incarnations is needed.
func (p *Process) begin() {
	if p.abstains <= p.now {
		return
	}
	to := p.newborn()
	if to == nil {
		return
	}
	for i, o := range p.peers {
		if i != p.me && !slices.Equal(o.newborn, to) {
			return
		}
	}
	p.abstains = p.now
	for _, l := range p.sorted() {
		l.step(algo.Input{})
	}
}
