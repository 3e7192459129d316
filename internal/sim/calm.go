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
// callers stop, and everything has to come to rest.
type Calm struct {
	Seed   uint64
	Leases bool // the algorithm lives by leases
	Delay  Span
	Load   Load
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
	if c.Leases {
		return 5*ttl + turns
	}
	return (8+2*n)*c.Delay.Most + turns
}

// play plays the act. Seen, if not nil, is told every step; stats, if not nil,
// the longest wait.
func (c *Calm) play(n *Network, seen func(Event), stats *Stats) error {
	d := newDriver(n, rand.New(rand.NewPCG(c.Seed, 2)), c.Delay, c.Load)
	d.seen = seen
	d.begun, d.bound = n.passed, c.Bound(len(n.peers), n.TTL)
	d.adopt()
	err := d.run(n.passed + d.bound)
	if err == nil {
		d.stopCallers()
		err = d.run(n.passed + d.bound) // or until there is nothing to do
	}
	if stats != nil {
		stats.Steps += d.taken
		stats.CalmWait, stats.CalmBound = d.longest, d.bound
	}
	if err != nil {
		return err
	}
	return n.Settle(settleLimit, seen)
}

// String writes the act as a command of a scenario.
func (c *Calm) String() string {
	s := fmt.Sprintf("load seed=%d delay=%v work=%v hot=%d think=%v", c.Seed, c.Delay, c.Load.Work, c.Load.Hot, c.Load.Think)
	if c.Leases {
		s += " leases=true"
	}
	return s
}

// loadLimit bounds what a scenario may ask for: a step takes some microseconds.
const loadLimit = 2000

// parseCalm reads the words after "load".
func (n *Network) parseCalm(args []string) (*Calm, error) {
	c := &Calm{}
	for _, word := range args {
		key, value, _ := strings.Cut(word, "=")
		var err error
		switch key {
		case "seed":
			c.Seed, err = strconv.ParseUint(value, 10, 64)
		case "leases":
			c.Leases, err = strconv.ParseBool(value)
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
	case c.Delay.Least < max(1, n.TTL/loadLimit) || 2*roundTrips*c.Delay.Most >= n.TTL:
		return nil, fmt.Errorf("load: delay=%v: a message takes between 1/%d and 1/%d of the ttl", c.Delay, loadLimit, 2*roundTrips)
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
