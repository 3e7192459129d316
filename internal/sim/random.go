package sim

import (
	"fmt"
	"math/rand/v2"

	"github.com/conchlock/conch/algo"
)

// Random is one run of a cluster that a seed decides: its size, what its peers
// want, what goes wrong and in which order everything happens. It has two acts.
// In the first, peers want, give up, restart and lose messages; nothing unsafe
// may happen. In the second, faults and new requests stop, and everybody who
// still waits must get in.
type Random struct {
	Algorithm string // its name, for people
	New       NewProcess
	Seed      uint64
	Calm      bool          // no restarts and no losses
	Open      bool          // peers without a vote come and go; only with a TTL
	TTL       algo.Duration // 0: no time passes
	Invariant func(peers []View) error
}

// plan is what a seed decides before the first step.
type plan struct {
	config  Config
	met     bool                     // all first contacts are made at once
	entries int                      // requests of each peer for each lock
	steps   int                      // of the first act, at most
	slow    [maxPeers][maxPeers]bool // links on which messages are late, for now
	usual   int                      // how much likelier a step is than a delivery on a slow link
	longest algo.Duration            // that passes at a time

	spare  [Pass + 1]int // how many faults of a kind may still happen
	weight [Pass + 1]int // how likely a kind of step is
}

// randomPeers is the size of the largest cluster that chance makes. What goes
// wrong goes wrong in small ones, and sooner.
const randomPeers = 9

func (r Random) plan(rng *rand.Rand) plan {
	p := plan{
		config:  Config{Algorithm: r.Algorithm, New: r.New, Twins: rng.IntN(8) == 0, Peers: Names(1 + rng.IntN(randomPeers)), Locks: []string{"x"}},
		met:     rng.IntN(3) > 0,
		entries: 1 + rng.IntN(5),
		steps:   50 + rng.IntN(1000),
		usual:   1,
	}
	if rng.IntN(3) == 0 {
		p.config.Locks = append(p.config.Locks, "y")
	}
	if rng.IntN(2) == 0 { // clocks far apart
		for range p.config.Peers {
			p.config.Clock = append(p.config.Clock, algo.Time(rng.IntN(50)))
		}
	}
	// Each kind of step is rare in some runs and frequent in others.
	for op := range p.weight[:Lose+1] {
		p.weight[op] = 1 << rng.IntN(6)
	}
	p.weight[Restart], p.weight[Lose], p.weight[Wipe], p.weight[Replace], p.weight[Down] = 1, 1, 1, 1, 1
	if !r.Calm {
		p.spare[Restart], p.spare[Lose] = rng.IntN(5), rng.IntN(4)
	}
	if r.TTL > 0 {
		r.time(&p, rng)
	}
	return p
}

// time plans how time passes.
func (r Random) time(p *plan, rng *rand.Rand) {
	p.usual = 50
	c := &p.config
	c.TTL, c.Forget, c.Invariant = r.TTL, true, r.Invariant
	c.Drift = []int64{1000, 50_000}[rng.IntN(2)]
	c.Linger = c.TTL / algo.Duration(3+rng.IntN(20))
	c.Clock = nil // every clock is forgotten with its incarnation
	p.longest = c.TTL / algo.Duration(1+rng.IntN(20))
	p.weight[Pass], p.weight[Wake], p.weight[Up] = 1<<rng.IntN(4), 1<<rng.IntN(6), 1<<rng.IntN(4)
	if rng.IntN(2) == 0 {
		apart := int64(c.TTL) / 10 * []int64{1, 10, 1000}[rng.IntN(3)]
		for range c.Peers {
			c.Rates = append(c.Rates, rng.Int64N(c.Drift+1)-c.Drift/2)
			c.Offset = append(c.Offset, algo.Duration(rng.Int64N(apart)))
		}
	}
	if rng.IntN(4) == 0 {
		c.Voters = c.Peers[:1+rng.IntN(len(c.Peers))]
	}
	if !r.Calm {
		p.spare[Wipe], p.spare[Down], p.spare[Replace] = rng.IntN(4), rng.IntN(5), rng.IntN(5)
	}
	if c.Open = r.Open; r.Open {
		c.Voters = c.Peers[:1+rng.IntN(len(c.Peers))]
		p.weight[Leave], p.spare[Leave] = 1+rng.IntN(2), 1+rng.IntN(9)
	}
}

// Failure is a run that broke a rule.
type Failure struct {
	Config Config
	Steps  []Step // up to the step that broke it, or to the second act
	Settle bool   // the second act broke it
	Calm   *Calm  // the second act, if it takes time; nil: Network.Settle
	Reason error

	timed     bool // who has looked at its clock must not want to look again at once
	unsettled bool // no second act is looked at
}

func (f *Failure) Error() string {
	return fmt.Sprintf("%v, after %d steps", f.Reason, len(f.Steps))
}

// settle plays the second act of a run.
func (f *Failure) settle(n *Network, seen func(Event)) error {
	if f.Calm != nil {
		return f.Calm.play(n, seen, nil)
	}
	return n.Settle(settleLimit, seen)
}

// settleLimit bounds the second act. The busiest plan takes a tenth of it.
const settleLimit = 200_000

// Run plays the run. The failure is nil if no rule was broken; it is as short
// as leaving out steps makes it.
func (r Random) Run() *Failure {
	rng := rand.New(rand.NewPCG(r.Seed, 0))
	p := r.plan(rng)
	n, err := NewNetwork(p.config)
	if err != nil {
		return &Failure{Config: p.config, Reason: err}
	}
	f := &Failure{Config: p.config}
	take := func(s Step) bool {
		f.Steps = append(f.Steps, s)
		_, f.Reason = n.Do(s)
		return f.Reason == nil
	}
	if p.met {
		if f.Steps, f.Reason = n.meet(); f.Reason != nil {
			return f.shrink()
		}
	}
	requests := make([]int, len(n.peers)*len(n.locks))
	var enabled []Step
	for range p.steps {
		if r.TTL > 0 && rng.IntN(40) == 0 {
			p.changeLinks(rng)
		}
		enabled = n.Enabled(enabled[:0])
		s, ok := p.choose(rng, enabled, requests, len(n.locks))
		if !ok {
			break
		}
		if !take(s) {
			return f.shrink()
		}
	}
	if f.Reason = n.Settle(settleLimit, nil); f.Reason != nil {
		f.Settle = true
		return f.shrink()
	}
	return nil
}

// changeLinks makes some links slow and others not: the mistakes that are hard
// to see are about one message that comes long after all others.
func (p *plan) changeLinks(rng *rand.Rand) {
	for i := range p.slow {
		for j := range p.slow[i] {
			p.slow[i][j] = rng.IntN(4) == 0
		}
	}
}

// choose draws one of the enabled steps by weight, within what the plan allows.
func (p *plan) choose(rng *rand.Rand, enabled []Step, requests []int, locks int) (Step, bool) {
	weight := func(s Step) int {
		switch {
		case s.Op == Request && requests[int(s.Peer)*locks+int(s.Lock)] == p.entries:
			return 0
		case (s.Op == Restart || s.Op == Lose || s.Op == Wipe || s.Op == Replace || s.Op == Down || s.Op == Leave) && p.spare[s.Op] == 0:
			return 0
		case s.Op == Deliver && p.slow[s.Peer][s.Other]:
			return p.weight[Deliver]
		}
		return p.weight[s.Op] * p.usual
	}
	total := 0
	for _, s := range enabled {
		total += weight(s)
	}
	if total == 0 {
		return Step{}, false
	}
	at := rng.IntN(total)
	for _, s := range enabled {
		if at -= weight(s); at < 0 {
			switch s.Op {
			case Request:
				requests[int(s.Peer)*locks+int(s.Lock)]++
			case Pass:
				s.Time = 1 + algo.Duration(rng.Int64N(int64(p.longest)))
			default:
				p.spare[s.Op]--
			}
			return s, true
		}
	}
	panic("unreachable")
}
