package sim

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/conchlock/conch/algo"
)

// Calm is a second act that takes time: whatever state a network is in, from now
// on nothing fails, links carry what they hold within the delay of any message,
// and callers go on. Everybody who waits has to get in within Bound. After that
// callers stop, and everything has to come to rest. With leases, by seed, a
// minority of the voters comes back later than the others, who must get in
// without them, within a lease more for each peer.
type Calm struct {
	Seed   uint64
	Leases bool // the algorithm lives by leases
	Delay  Span
	Load   Load
	loose  bool // nobody has said whether it does: the bound is one that holds either way
	limit  int  // if not 0, so many steps are enough, and judge nothing
}

// Bound is how long one may wait when nothing goes wrong. With leases, what went
// wrong before may cost five: of a vote, of a term whose token is gone, of a
// restarted voter that abstains, and of one more term that is won and lapses
// because messages are slow, with its votes. Without leases it costs the messages that
// restore contact and begin anew. On top come the others, each of which may go
// first twice: its work, its handoff, and a way to everybody for its request.
func (c *Calm) Bound(peers int, ttl algo.Duration) algo.Duration {
	n := algo.Duration(peers)
	turns := 2 * n * (c.Load.Work.Most + 2*c.Delay.Most)
	leases, messages := 5*ttl+turns, (8+2*n)*c.Delay.Most+turns
	switch {
	case c.loose:
		return leases + messages
	case c.Leases:
		return leases
	}
	return messages
}

// play plays the act. Seen, if not nil, is told every step; stats, if not nil,
// the longest wait.
func (c *Calm) play(n *Network, seen func(Event), stats *Stats) error {
	d := newDriver(n, rand.New(rand.NewPCG(c.Seed, 2)), c.Delay, c.Load)
	d.seen, d.limit = seen, c.limit
	bound := c.Bound(len(n.peers), n.TTL)
	err := c.playCore(d, bound)
	d.begun, d.bound = n.passed, bound
	if err == nil {
		err = d.run(n.passed + d.bound)
	}
	if err == nil {
		d.stopCallers()
		err = d.run(n.passed + d.bound) // or until there is nothing to do
	}
	if stats != nil {
		stats.Steps += d.taken
		stats.CalmWait, stats.CalmBound = d.longest, d.bound
	}
	if err != nil || d.enough() {
		return err
	}
	return n.Settle(settleLimit, seen)
}

// playCore plays the part of the act in which not all are back yet, if there is
// one, and has the driver adopt the network in any case.
func (c *Calm) playCore(d *driver, bound algo.Duration) error {
	if c.Leases && d.rng.IntN(2) == 0 {
		if core := drawCore(d.net, d.rng); core != nil {
			return core.play(d, bound+algo.Duration(len(d.peers))*d.net.TTL)
		}
	}
	d.begun, d.bound = d.net.passed, bound
	d.adopt()
	return nil
}

// tell plays the act and tells what came of it, not every step: there are
// thousands.
func (c *Calm) tell(n *Network) (string, error) {
	entries, begun := make([]int, len(n.names)), n.passed
	err := c.play(n, func(e Event) {
		for _, o := range e.Outputs {
			if o.Kind != algo.Enter {
				continue
			}
			if e.Step.Op == Deliver {
				entries[e.Step.Other]++
			} else {
				entries[e.Step.Peer]++
			}
		}
	}, nil)
	var b strings.Builder
	fmt.Fprintf(&b, "%v pass under load; entries:", time.Duration(n.passed-begun))
	for i, name := range n.names {
		fmt.Fprintf(&b, " %s %d", name, entries[i])
	}
	b.WriteByte('\n')
	return b.String(), err
}

// String writes the act as a command of a scenario.
func (c *Calm) String() string {
	return fmt.Sprintf("load seed=%d delay=%v work=%v hot=%d think=%v leases=%v",
		c.Seed, c.Delay, c.Load.Work, c.Load.Hot, c.Load.Think, c.Leases)
}

// loadLimit is how many steps a scenario's load may take: a second or two.
const loadLimit = 1_000_000

// parseCalm reads the words after "load".
func (n *Network) parseCalm(args []string) (*Calm, error) {
	c := &Calm{loose: true, limit: loadLimit}
	for _, word := range args {
		key, value, _ := strings.Cut(word, "=")
		var err error
		switch key {
		case "seed":
			c.Seed, err = strconv.ParseUint(value, 10, 64)
		case "leases":
			c.Leases, err = strconv.ParseBool(value)
			c.loose = false
		case "hot":
			c.Load.Hot, err = strconv.Atoi(value)
		case "delay":
			c.Delay, err = ParseSpan(value)
		case "work":
			c.Load.Work, err = ParseSpan(value)
		case "think":
			c.Load.Think, err = ParseSpan(value)
		default:
			return nil, fmt.Errorf("load: no such thing: %s", key)
		}
		if err != nil {
			return nil, fmt.Errorf("load: %s: %w", key, err)
		}
	}
	switch {
	case n.TTL == 0:
		return nil, fmt.Errorf("load: these peers know no time; begin with ttl 12s")
	case c.Delay.Most < 1 || 2*roundTrips*c.Delay.Most >= n.TTL:
		return nil, fmt.Errorf("load: delay=%v: a message takes some time, and less than 1/%d of the ttl", c.Delay, 2*roundTrips)
	}
	return c, nil
}

// ParseSpan reads "1ms..2ms", or "1ms" for what always takes as long.
func ParseSpan(s string) (Span, error) {
	least, most, ranged := strings.Cut(s, "..")
	if !ranged {
		most = least
	}
	l, err := time.ParseDuration(least)
	if err != nil {
		return Span{}, err
	}
	m, err := time.ParseDuration(most)
	if err != nil {
		return Span{}, err
	}
	if l < 0 || m < l || m > time.Hour {
		return Span{}, fmt.Errorf("%s is no range of durations up to an hour", s)
	}
	return Span{algo.Duration(l), algo.Duration(m)}, nil
}
