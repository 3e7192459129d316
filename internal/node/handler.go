package node

import (
	"fmt"
	"slices"
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
	n.look()
	p.incarnation, p.link = c.Incarnation, c.Link
	if p.gone {
		return
	}
	p.suspected = ""
	n.move()
	if p.told = true; !p.up { // a Contact is an Up, too
		p.reason = "its links are being set up" // so that the old reason is news if it comes again
	}
	in := algo.Input{Kind: algo.Contact, From: c.Peer, Incarnation: c.Incarnation, KnewMe: c.KnewMe}
	if !n.advance(&in, c.Clock) {
		return
	}
	n.record(trace.Event{Kind: trace.Note, Other: c.Peer, Reason: fmt.Sprintf("has contact with incarnation %d of %s", c.Incarnation, c.Peer)})
	n.out = n.process.Step(in, n.out[:0])
	n.carryOut(in)
}

// Receive implements Handler.
func (n *Node) Receive(name algo.PeerName, link Link, packets []Packet) {
	n.mu.Lock()
	defer n.unlock()
	p := n.peers[name]
	if p == nil || p.link != link {
		panic(fmt.Sprintf("node: %s receives packets of %s on a link that has ended", n.self, name))
	}
	if p.gone {
		for i := range packets {
			n.recordPacket(trace.Drop, name, p.incarnation, n.self, &packets[i], algo.Reason{Text: "it is taken for gone"})
		}
		return
	}
	n.look()
	for i := range packets {
		n.receive(name, p.incarnation, &packets[i])
	}
}

// Dropped implements Handler.
func (n *Node) Dropped(name algo.PeerName, packets []Packet) {
	n.mu.Lock()
	defer n.unlock()
	for i := range packets {
		n.recordPacket(trace.Drop, n.self, n.cfg.Setup.Incarnation, name, &packets[i], algo.Reason{})
	}
}

// Up implements Handler.
func (n *Node) Up(name algo.PeerName) { n.turn(name, true, "") }

// Down implements Handler.
func (n *Node) Down(name algo.PeerName, reason string) { n.turn(name, false, reason) }

// turn notes that the way to a peer is up or down, and tells the process, if
// there was contact. A reason may come again and again while it is down, also in
// turn with others, as when nobody answers and then nobody knows the way; only a new
// one is worth an event, and none is worth a step.
func (n *Node) turn(name algo.PeerName, up bool, reason string) {
	n.mu.Lock()
	defer n.unlock()
	p := n.peers[name]
	if p == nil || p.gone || p.up == up && p.reason == reason {
		return
	}
	if p.up != up {
		p.since, p.reasons = time.Now(), nil
	}
	p.up, p.reason = up, reason
	n.move()
	if n.closing {
		return // it is this peer that leaves
	}
	n.look()
	in, e := algo.Input{Kind: algo.Down, From: name}, trace.Event{Kind: trace.LinkDown, Other: name, Reason: reason}
	if up {
		in.Kind, e.Kind = algo.Up, trace.LinkUp
	}
	news := p.news(reason)
	if p.link == nil || p.told == up {
		if news {
			n.record(e)
		}
		return
	}
	p.told = up
	n.step(in, e)
}

// maxReasons bounds the reasons that are known to have been recorded.
const maxReasons = 8

// news says that a reason has not been recorded since the way was last up, and takes
// note that it is.
func (p *peer) news(reason string) bool {
	if slices.Contains(p.reasons, reason) {
		return false
	}
	if len(p.reasons) == maxReasons {
		p.reasons = nil
	}
	p.reasons = append(p.reasons, reason)
	return true
}

// BeforeSend implements Handler: what led to a packet is with the kernel before
// the packet leaves. So is an entry before its caller knows.
func (n *Node) BeforeSend() {
	if n.cfg.Recorder != nil {
		n.cfg.Recorder.Flush()
	}
}
