package node

import (
	"fmt"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/trace"
)

// step gives the process one input of this peer's own, records it as e, and
// carries out what follows. n.mu is held.
func (n *Node) step(in algo.Input, e trace.Event) {
	if !n.advance(&in, 0) {
		return
	}
	e.Lock = in.Lock
	n.record(e)
	n.run(in)
}

// receive gives the process one packet. n.mu is held.
func (n *Node) receive(from algo.PeerName, incarnation algo.Incarnation, p *Packet) {
	in := algo.Input{Kind: algo.Receive, Lock: p.Lock, From: from, Message: p.Message}
	if !n.advance(&in, p.Time) {
		return
	}
	n.recordPacket(trace.Receive, from, incarnation, n.cfg.Self, p, algo.Reason{})
	n.run(in)
}

// advance moves the clock for an input, past the time at which its cause was
// sent, if it has one. It returns false if the clock cannot move.
func (n *Node) advance(in *algo.Input, sent algo.Time) bool {
	if !n.reach(max(n.clock.Now(), sent) + 1) {
		return false
	}
	in.Time = n.clock.Receive(sent)
	return true
}

// reach says whether the clock may move to t; if need be it raises the ceiling
// first, which writes to disk but is rare. A peer whose clock cannot move can
// do nothing more that is safe: it fails, as if it had crashed.
func (n *Node) reach(t algo.Time) bool {
	if n.failure != nil {
		return false
	}
	if t <= n.ceiling {
		return true
	}
	ceiling, err := n.cfg.Clock.Raise(t)
	if err != nil {
		n.fail(fmt.Errorf("keep the clock's ceiling: %w", err))
		return false
	}
	n.ceiling = ceiling
	return true
}

// run lets the process take the input and carries out what follows.
func (n *Node) run(in algo.Input) {
	n.out = n.cfg.Process.Step(in, n.out[:0])
	for i := range n.out {
		switch o := &n.out[i]; o.Kind {
		case algo.Send:
			n.send(in.Time, o)
		case algo.Enter:
			n.record(trace.Event{Kind: trace.Enter, Lock: o.Lock, Token: o.Token, Reason: n.words(o.Why)})
			n.grant(o.Lock, o.Token)
		case algo.Note:
			n.record(trace.Event{Kind: trace.Note, Lock: o.Lock, Other: o.To, Reason: n.words(o.Why)})
		}
	}
	clear(n.out) // keep no message alive
}

// send numbers a message and hands it to the link.
func (n *Node) send(now algo.Time, o *algo.Output) {
	n.sent++
	p := Packet{Number: n.sent, Time: now, Lock: o.Lock, Message: o.Message}
	n.recordPacket(trace.Send, n.cfg.Self, n.cfg.Incarnation, o.To, &p, o.Why)
	to := n.peers[o.To]
	if to == nil || to.link == nil {
		panic(fmt.Sprintf("node: %s sends %s to %s, with which there was no contact", n.cfg.Self, o.Message.Kind(), o.To))
	}
	to.link.Send(p)
}

// words puts a reason together if somebody will read it.
func (n *Node) words(why algo.Reason) string {
	if n.cfg.Recorder == nil {
		return ""
	}
	return why.String()
}

// record records an event at the present Lamport time.
func (n *Node) record(e trace.Event) {
	if n.cfg.Recorder == nil {
		return
	}
	n.event = e
	n.event.At = time.Now()
	n.event.Peer = n.cfg.Self
	n.event.Incarnation = n.cfg.Incarnation
	n.event.Clock = n.clock.Now()
	n.cfg.Recorder.Record(&n.event)
}

// recordPacket records what happened to a packet.
func (n *Node) recordPacket(as trace.Kind, from algo.PeerName, incarnation algo.Incarnation, to algo.PeerName, p *Packet, why algo.Reason) {
	if n.cfg.Recorder == nil {
		return
	}
	n.message = trace.Message{
		ID:     trace.MessageID{From: from, Incarnation: incarnation, Number: p.Number},
		Kind:   p.Message.Kind(),
		From:   from,
		To:     to,
		Clock:  p.Time,
		Fields: p.Message.AppendFields(n.message.Fields[:0]),
	}
	n.record(trace.Event{Kind: as, Lock: p.Lock, Reason: n.words(why), Message: &n.message})
}
