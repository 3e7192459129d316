package sim

import (
	"fmt"
	"strings"
	"time"

	"github.com/conchlock/conch/algo"
)

// Settle ends a run: no more faults, requests or cancels; contacts are made,
// everything is delivered, whoever is inside leaves. Then nobody may wait any
// more. Where peers know time, it passes when there is nothing else to do:
// whoever waits has to get in before long, and all have to come to rest. It
// gives up after limit steps. Seen, if not nil, is told every step.
func (n *Network) Settle(limit int, seen func(Event)) error {
	begun := n.passed
	patience := n.patience()
	for {
		if err := n.repeat(Op.fair, limit, seen); err != nil {
			return err
		}
		wait, any := n.nextWake()
		if !any {
			return n.checkServed()
		}
		if d := n.passed - begun; d > patience {
			if w := n.waiters(); w != "" {
				return fmt.Errorf("for %v nothing has gone wrong, and %s", time.Duration(d), w)
			}
			if d > patience+restless*n.TTL {
				return fmt.Errorf("for %v nothing has gone wrong, and there is still something to do", time.Duration(d))
			}
		}
		e, err := n.Do(Step{Op: Pass, Time: wait})
		if seen != nil {
			seen(e)
		}
		if err != nil {
			return err
		}
	}
}

// patience is how long everybody who waits may take to get in when nothing goes
// wrong any more and messages take no time: two leases for what was before, and
// one for each waiter that may turn out to be gone.
func (n *Network) patience() algo.Duration {
	return algo.Duration(2+len(n.peers)) * n.TTL
}

// restless is how many leases later everything has to be forgotten.
const restless = 4

// nextWake says how long it is until a peer waits no longer for time to pass.
func (n *Network) nextWake() (wait algo.Duration, any bool) {
	for i, p := range n.peers {
		at := p.process.Wake()
		if at == algo.Never {
			continue
		}
		d := max(0, at.Sub(n.now(i)))
		if i < len(n.Rates) && n.Rates[i] < 0 { // this clock is slow
			d += d/1000*algo.Duration(-n.Rates[i])/900 + 2
		}
		if d = max(d, 1); !any || d < wait {
			wait, any = d, true
		}
	}
	return wait, any
}

// fair says that the step happens at some point without anybody's choice.
func (o Op) fair() bool {
	return o == Deliver || o == Contact || o == Release || o == Wake || o == Up
}

func (o Op) isDeliver() bool { return o == Deliver }
func (o Op) isWake() bool    { return o == Wake }

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
