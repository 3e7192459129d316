package sim

import (
	"slices"

	"github.com/conchlock/conch/algo"
)

// stop is what a process leaves when it stops in good order. It is handed to the
// next incarnation and nowhere kept: after a crash nobody has it any more.
type stop struct {
	promises []algo.Promise
	all      bool // they are all that binds the next incarnation
}

// keeps says that a peer's promises can bind its next incarnation.
func (n *Network) keeps(i int) bool {
	_, ok := n.peers[i].process.(algo.Keeper)
	return ok
}

// keeper says that peers which run this algorithm keep promises.
func keeper(create NewProcess, ttl algo.Duration) bool {
	n, err := NewNetwork(Config{New: create, Peers: Names(1), TTL: ttl})
	return err == nil && n.keeps(0)
}

// replace stops a peer in good order and starts it again at once, as the runtime
// does: it gives up what it holds and wants, is told to stop, and what it then
// promises is all that its next incarnation gets, if it knows all of that; else
// the next one starts as after a crash. What it sends is on its way before the
// links end.
func (n *Network) replace(s Step) (Event, error) {
	i := int(s.Peer)
	e := Event{Step: s}
	for l, lock := range n.locks {
		t, in := Step{Op: Release, Peer: s.Peer, Lock: uint8(l)}, algo.Input{Kind: algo.Release, Lock: lock}
		switch n.peers[i].phase[l] {
		case idle:
			continue
		case waiting:
			t.Op, in.Kind = Cancel, algo.Cancel
		}
		if err := n.part(&e, t, in); err != nil {
			return e, err
		}
	}
	if err := n.part(&e, s, algo.Input{Kind: algo.Stop}); err != nil {
		return e, err
	}
	e.stop = e.parts[len(e.parts)-1].stop
	if err := n.restart(i, false, e.stop); err != nil {
		return e, err
	}
	return e, n.check()
}

// part takes one step of several, and adds what it did to e. Its outputs are
// copied: the next step overwrites them.
func (n *Network) part(e *Event, s Step, in algo.Input) error {
	p, err := n.step(s, int(s.Peer), in, nil, 0)
	p.Outputs = slices.Clone(p.Outputs)
	e.parts = append(e.parts, p)
	e.Outputs = append(e.Outputs, p.Outputs...)
	return err
}
