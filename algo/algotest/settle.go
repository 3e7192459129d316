package algotest

import (
	"fmt"
	"strings"

	"github.com/conchlock/conch/algo"
)

// Settle ends a run: no more faults, requests or cancels; contacts are made,
// everything is delivered, whoever is inside leaves. Then nobody may wait any
// more. It gives up after limit steps. Seen, if not nil, is told every step.
func (n *Network) Settle(limit int, seen func(Event)) error {
	if err := n.repeat(Op.fair, limit, seen); err != nil {
		return err
	}
	return n.checkServed()
}

// fair says that the step happens at some point without anybody's choice.
func (o Op) fair() bool { return o == Deliver || o == Contact || o == Release }

func (o Op) isDeliver() bool { return o == Deliver }

// repeat takes steps of some kinds until none is possible. It takes them in
// turn, so that no peer is passed over.
func (n *Network) repeat(which func(Op) bool, limit int, seen func(Event)) error {
	var steps []Step
	for taken := 0; ; {
		before := taken
		steps = n.Enabled(steps[:0])
		for _, s := range steps {
			if !which(s.Op) || n.refuse(s) != "" { // an earlier one may have done away with it
				continue
			}
			e, err := n.Do(s)
			if seen != nil {
				seen(e)
			}
			if err != nil {
				return err
			}
			if taken++; taken == limit {
				return fmt.Errorf("after %d steps without faults there is still something to do; %s", limit, n.waiters())
			}
		}
		if taken == before {
			return nil
		}
	}
}

// checkServed checks a network in which nothing can happen by itself.
func (n *Network) checkServed() error {
	if w := n.waiters(); w != "" {
		return fmt.Errorf("nothing more will happen, and %s", w)
	}
	return nil
}

// waiters says who waits and for whom, or nothing.
func (n *Network) waiters() string {
	var list []string
	for i := range n.peers {
		for l, lock := range n.locks {
			if n.peers[i].phase[l] == waiting {
				list = append(list, string(n.names[i])+" waits for "+join(n.peers[i].process.WaitsFor(lock)))
			}
		}
	}
	return strings.Join(list, ", ")
}

func join(names []algo.PeerName) string {
	var s []string
	for _, p := range names {
		s = append(s, string(p))
	}
	return strings.Join(s, " and ")
}
