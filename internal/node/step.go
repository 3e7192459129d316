package node

import (
	"fmt"
	"slices"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/trace"
)

// step gives the process one input of this peer's own, records it as e if that
// is an event, and carries out what follows. It returns true if a Release came
// too late, its hold was lost: that is what is recorded then. n.mu is held.
func (n *Node) step(in algo.Input, e trace.Event) (lost bool) {
	if !n.advance(&in, 0) {
		return false
	}
	n.out = n.process.Step(in, n.out[:0])
	if in.Kind == algo.Release && slices.ContainsFunc(n.out, func(o algo.Output) bool { return o.Kind == algo.Lost && o.Lock == in.Lock }) {
		lost, e.Kind = true, trace.Lost
	}
	if e.Kind != "" {
		e.Lock = in.Lock
		n.record(e)
	}
	n.carryOut(in)
	return lost
}

// receive gives the process one packet. n.mu is held.
func (n *Node) receive(from algo.PeerName, incarnation algo.Incarnation, p *Packet) {
	in := algo.Input{Kind: algo.Receive, Lock: p.Lock, From: from, Message: p.Message}
	if !n.advance(&in, p.Time) {
		return
	}
	n.recordPacket(trace.Receive, from, incarnation, n.self, p, algo.Reason{})
	n.out = n.process.Step(in, n.out[:0])
	n.carryOut(in)
}

// advance moves the Lamport clock for an input, past the time at which its cause
// was sent, if it has one, and tells the input the time. It returns false if the
// clock cannot move.
func (n *Node) advance(in *algo.Input, sent algo.Time) bool {
	if !n.reach(max(n.clock.Now(), sent) + 1) {
		return false
	}
	in.Time = n.clock.Receive(sent)
	if !n.read { // else look has just done it
		n.readClock()
	}
	n.read = false
	in.Now = n.now
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
	ceiling, err := n.cfg.Memory.Raise(t)
	if err != nil {
		n.fail(fmt.Errorf("keep the clock's ceiling: %w", err))
		return false
	}
	n.ceiling = ceiling
	n.readClock() // the disk took its time
	return true
}

// raise raises the floor; the same goes for it.
func (n *Node) raise(floor algo.Token) {
	if floor <= n.floor {
		return
	}
	if err := n.cfg.Memory.RaiseFloor(floor); err != nil {
		n.fail(fmt.Errorf("keep the floor of tokens: %w", err))
		return
	}
	n.floor = floor
	n.readClock()
}

// carryOut does what followed from the input, in order. What comes after a floor
// that cannot be raised is not done.
func (n *Node) carryOut(in algo.Input) {
	for i := range n.out {
		switch o := &n.out[i]; o.Kind {
		case algo.Send:
			n.send(in.Time, o)
		case algo.Enter:
			n.grant(o)
		case algo.Extend:
			n.extend(o)
		case algo.Lost:
			if in.Kind != algo.Release || in.Lock != o.Lock { // else leave sees to it
				n.lose(o)
			}
		case algo.Floor:
			n.raise(o.Token)
		case algo.Note:
			n.record(trace.Event{Kind: trace.Note, Lock: o.Lock, Other: o.To, Reason: n.reason(o.Why)})
		}
		if n.failure != nil {
			break
		}
	}
	clear(n.out) // keep no message alive
	n.stir(in.Lock)
	n.settle()
	n.arm()
}

// settle opens the next waiter's request for locks whose hold was lost. That is a
// step of its own, which may lose more.
func (n *Node) settle() {
	if n.settling {
		return
	}
	n.settling = true
	for len(n.vacant) > 0 {
		l := n.vacant[0]
		n.vacant = slices.Delete(n.vacant, 0, 1)
		n.next(l)
	}
	n.settling = false
}

// send numbers a message and hands it to the link.
func (n *Node) send(now algo.Time, o *algo.Output) {
	n.sent++
	p := Packet{Number: n.sent, Time: now, Lock: o.Lock, Message: o.Message, Upkeep: o.Upkeep}
	n.recordPacket(trace.Send, n.self, n.cfg.Setup.Incarnation, o.To, &p, o.Why)
	to := n.peers[o.To]
	if to == nil || to.link == nil {
		panic(fmt.Sprintf("node: %s sends %s to %s, with which there was no contact", n.self, o.Message.Kind(), o.To))
	}
	to.link.Send(p)
}

// reason puts a reason together if somebody will read it.
func (n *Node) reason(why algo.Reason) string {
	if !n.words {
		return ""
	}
	return why.String()
}

// record records an event at the present Lamport time.
func (n *Node) record(e trace.Event) {
	if n.cfg.Recorder == nil {
		return
	}
	if n.at.IsZero() { // it comes without a step
		n.readClock()
	}
	n.event = e
	n.event.At = n.at
	n.event.Peer = n.self
	n.event.Incarnation = n.cfg.Setup.Incarnation
	n.event.Clock = n.clock.Now()
	n.cfg.Recorder.Record(&n.event)
	n.recorded = true
}

// recordPacket records what happened to a packet.
func (n *Node) recordPacket(as trace.Kind, from algo.PeerName, incarnation algo.Incarnation, to algo.PeerName, p *Packet, why algo.Reason) {
	if n.cfg.Recorder == nil {
		return
	}
	fields := n.message.Fields[:0]
	if n.words {
		fields = p.Message.AppendFields(fields)
	}
	n.message = trace.Message{
		ID:     trace.MessageID{From: from, Incarnation: incarnation, Number: p.Number},
		Kind:   p.Message.Kind(),
		From:   from,
		To:     to,
		Clock:  p.Time,
		Upkeep: p.Upkeep,
		Fields: fields,
	}
	n.record(trace.Event{Kind: as, Lock: p.Lock, Reason: n.reason(why), Message: &n.message})
}
