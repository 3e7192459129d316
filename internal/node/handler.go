package node

import (
	"fmt"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/trace"
)

// Contact implements Handler.
func (n *Node) Contact(c Contact) {
	n.mu.Lock()
	defer n.unlock()
	p := n.peers[c.Peer]
	if p == nil {
		return
	}
	p.incarnation, p.link = c.Incarnation, c.Link
	in := algo.Input{Kind: algo.Contact, From: c.Peer, Incarnation: c.Incarnation, KnewMe: c.KnewMe}
	if !n.advance(&in, c.Clock) {
		return
	}
	n.record(trace.Event{Kind: trace.Note, Other: c.Peer, Reason: fmt.Sprintf("has contact with incarnation %d of %s", c.Incarnation, c.Peer)})
	n.run(in)
}

// Receive implements Handler.
func (n *Node) Receive(name algo.PeerName, link Link, packets []Packet) {
	n.mu.Lock()
	defer n.unlock()
	p := n.peers[name]
	if p == nil || p.link != link {
		panic(fmt.Sprintf("node: %s receives packets of %s on a link that has ended", n.cfg.Self, name))
	}
	for i := range packets {
		n.receive(name, p.incarnation, &packets[i])
	}
}

// Dropped implements Handler.
func (n *Node) Dropped(name algo.PeerName, packets []Packet) {
	n.mu.Lock()
	defer n.unlock()
	for i := range packets {
		n.recordPacket(trace.Drop, n.cfg.Self, n.cfg.Incarnation, name, &packets[i], algo.Reason{})
	}
}

// Up implements Handler.
func (n *Node) Up(name algo.PeerName) { n.turn(name, true, "") }

// Down implements Handler.
func (n *Node) Down(name algo.PeerName, reason string) { n.turn(name, false, reason) }

// turn notes that the way to a peer is up or down. A reason may come again and
// again while it is down; only a new one is worth an event.
func (n *Node) turn(name algo.PeerName, up bool, reason string) {
	n.mu.Lock()
	defer n.unlock()
	p := n.peers[name]
	if p == nil || p.up == up && p.reason == reason {
		return
	}
	if p.up != up {
		p.since = time.Now()
	}
	p.up, p.reason = up, reason
	if n.closing {
		return // it is this peer that leaves
	}
	kind := trace.LinkDown
	if up {
		kind = trace.LinkUp
	}
	n.record(trace.Event{Kind: kind, Other: name, Reason: reason})
}

// BeforeSend implements Handler: what led to a packet is with the kernel before
// the packet leaves.
func (n *Node) BeforeSend() {
	if n.cfg.Recorder != nil {
		n.cfg.Recorder.Flush()
	}
}
