package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/conchlock/conch/algo"
)

// Timed is one run of a cluster in which everything takes time: messages,
// thinking, work inside, and what goes wrong. A seed and the fields below
// decide it. It has two acts. In the first nothing unsafe may happen, whatever
// fails. In the second nothing fails, callers go on, and everybody who waits
// must get in within Calm.Bound; when callers stop, too, everything has to come
// to rest.
//
// It drives a Network by steps like every other driver, so that a failure is a
// list of steps, can be shrunk, and is told as a scenario.
type Timed struct {
	Algorithm string // its name, for people
	New       NewProcess
	Seed      uint64
	Peers     int
	Voters    int  // the first so many peers vote; all if 0
	Open      bool // the others come and go; only with Voters and Leases
	Locks     int  // how many are wanted; one if 0
	Leases    bool // holds end with their leases; else peers rely on Lamport clocks that survive a restart
	TTL       algo.Duration
	Length    algo.Duration // of the first act
	Faults    Faults

	// What follows is drawn by the seed where it is zero.

	Delay  Span // of a message
	Load   Load
	Linger algo.Duration
	Drift  int64

	Invariant func(peers []View) error
}

// Span is a range of durations.
type Span struct{ Least, Most algo.Duration }

func (s Span) draw(rng *rand.Rand) algo.Duration {
	if s.Most <= s.Least {
		return s.Least
	}
	return s.Least + algo.Duration(rng.Int64N(int64(s.Most-s.Least)+1))
}

// mean is T, if s is the delay of messages.
func (s Span) mean() algo.Duration { return (s.Least + s.Most) / 2 }

func (s Span) String() string {
	return fmt.Sprintf("%v..%v", time.Duration(s.Least), time.Duration(s.Most))
}

// Load is what callers do: again and again, each peer wants each lock, works
// inside, leaves.
type Load struct {
	Hot      int  // percent of the callers ask again at once
	Think    Span // how long the others wait before they ask again
	Work     Span // how long they stay inside
	Cancels  int  // percent of the requests are given up, if they take too long; in the first act
	Patience Span // how long that is
}

func (l Load) String() string {
	s := fmt.Sprintf("%d%% of the callers ask again at once, the others after %v; work takes %v", l.Hot, l.Think, l.Work)
	if l.Cancels > 0 {
		s += fmt.Sprintf("; %d%% of the requests are given up after %v", l.Cancels, l.Patience)
	}
	return s
}

// FullLoad is the load under which somebody always waits. Work takes a tenth of
// what a message does: with none at all, who is alone would get in again and
// again while no time passes.
func FullLoad(delay Span) Load {
	work := max(1, delay.mean()/10)
	return Load{Hot: 100, Work: Span{work, work}}
}

// roundTrips is how many round trips have to fit into a lease for algorithms
// that live by leases to make progress (docs/algorithms/relay.md, section 1).
const roundTrips = 4

// Validate returns an error that says what no run can be made of.
func (t Timed) Validate() error {
	switch {
	case t.TTL < minTTL || t.TTL > algo.Duration(time.Hour):
		return fmt.Errorf("a lease of %v: the least is %v, the most 1h", time.Duration(t.TTL), time.Duration(minTTL))
	case t.Open && (t.Voters < 1 || !t.Leases):
		return fmt.Errorf("only with leases, and if it is said how many vote, can others come and go")
	case t.Length < 0:
		return fmt.Errorf("time does not go back")
	case t.Voters > t.Peers:
		return fmt.Errorf("%d of %d peers cannot vote", t.Voters, t.Peers)
	case t.Delay.Least < 0 || t.Delay.Most < t.Delay.Least || t.Delay.Most == 1:
		return fmt.Errorf("a message cannot take %v", t.Delay)
	case t.Leases && 2*roundTrips*t.Delay.Most >= t.TTL:
		return fmt.Errorf("messages that take %v are too slow for leases of %v: %d round trips have to fit into one",
			t.Delay, time.Duration(t.TTL), roundTrips)
	}
	return nil
}

// timedPlan is what a seed decides before the first step.
type timedPlan struct {
	config Config
	delay  Span
	load   Load
	faults faultPlan
}

func (t Timed) plan(rng *rand.Rand) timedPlan {
	p := timedPlan{delay: t.Delay, load: t.Load}
	c := &p.config
	*c = Config{Algorithm: t.Algorithm, New: t.New, Peers: Names(t.Peers), TTL: t.TTL, Drift: t.Drift,
		Linger: t.Linger, Forget: t.Leases, Invariant: t.Invariant}
	c.Locks = []string{"x", "y", "z"}[:min(maxLocks, max(1, t.Locks))]
	if t.Voters > 0 {
		c.Voters, c.Open = c.Peers[:t.Voters], t.Open
	}
	if c.Drift == 0 {
		c.Drift = []int64{1000, 20_000}[rng.IntN(2)] // as it is by default, and so large that mistakes show
	}
	if c.Linger == 0 {
		c.Linger = c.TTL / algo.Duration(3+rng.IntN(20))
	}
	if t.Faults&Clocks != 0 {
		for range c.Peers {
			c.Rates = append(c.Rates, rng.Int64N(c.Drift+1)-c.Drift/2)
			c.Offset = append(c.Offset, algo.Duration(rng.Int64N(int64(c.TTL)*100)))
		}
	}
	if p.delay == (Span{}) {
		// From two thousandths of a lease to what leases just bear.
		p.delay.Most = max(1, c.TTL/roundTrips/2*9/10>>rng.IntN(8))
		p.delay.Least = p.delay.Most / algo.Duration(1+rng.IntN(5))
	}
	if p.load == (Load{}) {
		p.load = drawLoad(rng, c.TTL, p.delay)
	}
	p.faults = t.drawFaults(rng)
	return p
}

// drawLoad draws callers that compete all the time, now and then, or hardly.
func drawLoad(rng *rand.Rand, ttl algo.Duration, delay Span) Load {
	l := Load{Hot: []int{0, 50, 100}[rng.IntN(3)]}
	l.Think.Most = ttl * 2 >> rng.IntN(8)
	// Work takes some time: who is alone gets in at no cost, again and again.
	l.Work.Most = []algo.Duration{delay.mean(), ttl / 100, ttl / 20, ttl / 2, ttl * 3 / 2}[rng.IntN(5)]
	l.Work.Least = l.Work.Most / 8
	if rng.IntN(2) == 0 {
		l.Cancels = 1 << rng.IntN(7)
		l.Patience.Most = ttl * 2 >> rng.IntN(8)
	}
	return l
}

// Plan says what the seed decides: the delays, the load, the faults.
func (t Timed) Plan() string {
	p := t.plan(rand.New(rand.NewPCG(t.Seed, 1)))
	s := fmt.Sprintf("messages take %v; %v; an unused lease is kept for %v\n", p.delay, p.load, time.Duration(p.config.Linger))
	if f := p.faults.String(); f != "" {
		s += f + "\n"
	}
	if len(p.config.Rates) > 0 {
		s += fmt.Sprintf("rates of clocks, in parts per million: %v, within %d\n", p.config.Rates, p.config.Drift)
	}
	return s
}

// calm is the second act of the run.
func (t Timed) calm(p timedPlan) *Calm {
	load := p.load
	load.Cancels, load.Patience = 0, Span{}
	return &Calm{Seed: t.Seed, Leases: t.Leases, Delay: p.delay, Load: load}
}

// Run plays the run. The failure is nil if no rule was broken; it is as short
// as leaving out steps makes it, within a bound on the work that this takes.
func (t Timed) Run() (Stats, *Failure) {
	stats, f := t.play(nil)
	if f == nil {
		return stats, nil
	}
	var steps []Step // only now are they worth their room
	stats, f = t.play(&steps)
	f.Steps = steps
	return stats, f.shrinkTimed()
}

// play plays both acts. It takes note of the steps of the first, if steps is
// not nil, and in any case if the second is to blame, of the second's reason.
func (t Timed) play(steps *[]Step) (Stats, *Failure) {
	stats := Stats{Runs: 1, ByPeer: make([]int, t.Peers)}
	rng := rand.New(rand.NewPCG(t.Seed, 1))
	if err := t.Validate(); err != nil {
		return stats, &Failure{Reason: err}
	}
	p := t.plan(rng)
	f := &Failure{Config: p.config, timed: true}
	n, err := NewNetwork(p.config)
	if err != nil {
		f.Reason = err
		return stats, f
	}
	d := newDriver(n, rng, p.delay, p.load)
	d.stats, d.steps = &stats, steps
	d.plan = &p.faults
	f.Reason = d.firstAct(t.Length)
	if stats.Steps = d.taken; f.Reason != nil {
		f.unsettled = true
		return stats, f
	}
	f.Calm, f.Settle = t.calm(p), true
	if f.Reason = f.Calm.play(n, nil, &stats); f.Reason != nil {
		return stats, f
	}
	return stats, nil
}

// firstAct lets things go wrong for a while. What is broken at the end is
// mended by the second act, but who is dead comes back now.
func (d *driver) firstAct(length algo.Duration) error {
	d.adopt()
	d.nextFault()
	if err := d.run(length); err != nil {
		return err
	}
	return d.endFaults()
}
