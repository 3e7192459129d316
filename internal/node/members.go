package node

import (
	"slices"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/trace"
)

// Who comes and goes. Peers with a vote are there from the start and for ever; in
// an open cluster (algo.Setup.Open) somebody tells the node of the others, and of
// who is held for dead. What he says decides nothing: whoever is forgotten here
// and is there after all comes back with a new link. Join, Suspect and Leave are
// called one after the other.

// noContact is why a peer is down that was never up.
const noContact = "no contact yet"

// Join takes notice that there is a peer; why is for the record. One without a
// vote is looked for from now on.
func (n *Node) Join(name algo.PeerName, why string) {
	if n.join(name, why) {
		n.cfg.Transport.Add(name)
	}
}

// join says whether the transport has to look for the peer.
func (n *Node) join(name algo.PeerName, why string) bool {
	n.mu.Lock()
	defer n.unlock()
	if n.closing || name == n.self || n.peers[name] == nil && !n.comes(name) {
		return false
	}
	if n.peers[name] == nil {
		n.peers[name] = &peer{since: time.Now(), reason: noContact}
	}
	n.peers[name].suspected = ""
	n.move()
	n.record(trace.Event{Kind: trace.Join, Other: name, Reason: why})
	return n.comes(name)
}

// Suspect takes notice that somebody holds a peer for dead. It is a hint for
// people: whether its link is up counts.
func (n *Node) Suspect(name algo.PeerName, why string) {
	n.mu.Lock()
	defer n.unlock()
	if p := n.peers[name]; p != nil && !n.closing {
		p.suspected = why
		n.move()
		n.record(trace.Event{Kind: trace.Suspect, Other: name, Reason: why})
	}
}

// Leave takes notice that a peer is gone. One without a vote is forgotten: what is
// still under way from it is dropped, and the process told before.
func (n *Node) Leave(name algo.PeerName, why string) {
	if !n.leaves(name, why) {
		return
	}
	n.cfg.Transport.Remove(name)
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.peers, name)
	n.move()
}

// leaves says whether the peer is to be forgotten.
func (n *Node) leaves(name algo.PeerName, why string) bool {
	n.mu.Lock()
	defer n.unlock()
	p := n.peers[name]
	if p == nil || n.closing {
		return false
	}
	n.look()
	e := trace.Event{Kind: trace.Leave, Other: name, Reason: why}
	p.suspected = why
	n.move()
	if p.gone = n.comes(name); !p.gone {
		n.record(e)
		return false
	}
	n.step(algo.Input{Kind: algo.Leave, From: name}, e)
	return true
}

// PeersChanged returns a channel that is closed as soon as what Status says of the
// peers is no longer what it would say now.
func (n *Node) PeersChanged() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.moved == nil {
		n.moved = make(chan struct{})
	}
	return n.moved
}

// move tells those who wait that something about the peers has changed. n.mu is
// held.
func (n *Node) move() {
	if n.moved != nil {
		close(n.moved)
		n.moved = nil
	}
}

// IsUp says whether there is a peer of that name and its link is up.
func (n *Node) IsUp(name algo.PeerName) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.peers[name]
	return p != nil && p.up
}

// comes says that a peer of that name is one that comes and goes.
func (n *Node) comes(name algo.PeerName) bool {
	return n.cfg.Setup.Open && !slices.Contains(n.cfg.Setup.Voters, name)
}
