package sim

import (
	"fmt"
	"math/rand/v2"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/trace"
)

// Contest is a run in which nothing fails, for figures: peers that have met want
// one lock, as the load says, until so many entries were made. Who waits then
// gets in as well, and everything comes to rest. A seed and the fields below
// decide it.
type Contest struct {
	Algorithm string // its name, for people
	New       NewProcess
	Seed      uint64
	Peers     int
	Leases    bool // holds end with their leases
	TTL       algo.Duration
	Delay     algo.Duration // of every message: T
	Load      Load
	OneByOne  bool // who asks is drawn when the one before has left and all is quiet; Load has only Work
	Entries   int
	Size      func(m *trace.Message, lock string, content algo.Message) int // see Record
}

// ContestLock is the lock that a Contest is about.
const ContestLock = "lock"

// Peers have met after contestMeet delays, and all that one entry leads to has
// arrived contestQuiet delays after the exit.
const (
	contestMeet  = 10
	contestQuiet = 5
)

// contest is a Contest that is being played.
type contest struct {
	*Contest
	driver *driver
	stats  *Stats
	record *Record
}

// Run plays the contest. Stats counts for itself what the Record shows, too.
func (c Contest) Run() (*Record, Stats, error) {
	p, err := c.start()
	if err != nil {
		return nil, Stats{}, err
	}
	if c.OneByOne {
		err = p.oneByOne()
	} else {
		err = p.together()
	}
	if err == nil {
		err = p.record.stop()
	}
	return p.record, *p.stats, err
}

// start lets the peers meet.
func (c Contest) start() (*contest, error) {
	t := Timed{TTL: c.TTL, Peers: c.Peers, Leases: c.Leases, Delay: Span{c.Delay, c.Delay}}
	if err := t.Validate(); err != nil {
		return nil, err
	}
	n, err := NewNetwork(Config{Algorithm: c.Algorithm, New: c.New, Peers: Names(c.Peers), Locks: []string{ContestLock},
		TTL: c.TTL, Linger: c.TTL / 4, Drift: 1000, Forget: c.Leases})
	if err != nil {
		return nil, err
	}
	d := newDriver(n, rand.New(rand.NewPCG(c.Seed, 3)), t.Delay, c.Load)
	p := &contest{Contest: &c, driver: d, stats: &Stats{Runs: 1, ByPeer: make([]int, c.Peers)}, record: newRecord(n)}
	p.record.Size = c.Size
	d.stats, d.plan, d.seen = p.stats, &faultPlan{}, p.record.see
	d.silent = true
	d.adopt()
	return p, d.run(contestMeet * c.Delay)
}

// together lets everybody ask as the load says. Where all callers are hot, the
// first peer stays inside until the requests of all others are known: else it
// would enter again and again before they are.
func (p *contest) together() error {
	d := p.driver
	d.silent = false
	if p.Load.Hot == 100 {
		d.load.Work = Span{contestQuiet * p.Delay, contestQuiet * p.Delay}
		d.call(0)
		if err := p.until(func() bool { return p.stats.Entries > 0 }); err != nil {
			return err
		}
		d.load.Work = p.Load.Work
	}
	for i, a := range d.callers {
		if a.phase == idle {
			d.call(i)
		}
	}
	if err := p.until(func() bool { return p.stats.Entries >= p.Entries }); err != nil {
		return err
	}
	d.stopCallers()
	if err := p.until(p.quiet); err != nil {
		return err
	}
	return d.run(d.net.passed + contestQuiet*p.Delay)
}

// oneByOne lets one peer after the other ask, drawn with equal probability.
func (p *contest) oneByOne() error {
	d := p.driver
	for range p.Entries {
		if err := d.act(d.rng.IntN(p.Peers)); err != nil {
			return err
		}
		if err := p.until(p.quiet); err != nil {
			return err
		}
		if err := d.run(d.net.passed + contestQuiet*p.Delay); err != nil {
			return err
		}
	}
	return nil
}

// quiet says that nobody wants the lock, or is inside.
func (p *contest) quiet() bool {
	for _, a := range p.driver.callers {
		if a.phase != idle {
			return false
		}
	}
	return true
}

// until lets things happen until done. The error says that they end before.
func (p *contest) until(done func() bool) error {
	limit := p.driver.net.passed + algo.Duration(p.Entries+p.Peers)*(p.TTL+p.Load.Think.Most+p.Load.Work.Most)
	for !done() {
		more, err := p.driver.advance(limit)
		if err == nil && !more {
			err = fmt.Errorf("%s, %d peers: after %d entries nobody gets in any more; %s", p.Algorithm, p.Peers, p.stats.Entries, p.driver.net.waiters())
		}
		if err != nil {
			return err
		}
	}
	return nil
}
