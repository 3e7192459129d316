package sim

import (
	"fmt"

	"github.com/conchlock/conch/algo"
)

// Outage is what came of the death of a peer while all others wanted the lock all
// the time.
type Outage struct {
	Peer   algo.PeerName // that died
	Others int           // who got in again before it was back
	GoOn   bool          // all of them did
	After  algo.Duration // how long it took until all of them had: from its death, or, if not all did, from its return
}

// outageLeases is for how many leases a dead peer is away: in fewer, whoever can
// go on without it does.
const outageLeases = 3

// Outage plays the death of a peer, by number: of one that wants nothing any more,
// or, if it is to be inside, of one that wants the lock like all others and has
// just entered. It stays away for three leases, or until everybody else has got in
// again. The load is that of the contest; Entries counts for nothing.
func (c Contest) Outage(victim int, isInside bool) (Outage, error) {
	p, err := c.start()
	if err != nil {
		return Outage{}, err
	}
	d := p.driver
	o := Outage{Peer: d.net.names[victim]}
	p.Entries = 100 * p.Peers // so many leases are time enough for what follows
	d.silent = false
	for i := range d.callers {
		d.call(i)
	}
	missing := func(since []int) (n int) {
		for i, before := range since {
			if i != victim && p.stats.ByPeer[i] == before {
				n++
			}
		}
		return n
	}
	if err := p.settle(victim, isInside, missing); err != nil {
		return o, err
	}
	// The death.
	since, died := append([]int(nil), p.stats.ByPeer...), d.net.passed
	p.record.kill(victim)
	if err := d.halt(victim, Crashes); err != nil {
		return o, err
	}
	for more := true; more && missing(since) > 0; {
		if more, err = d.advance(died + outageLeases*p.TTL); err != nil {
			return o, err
		}
	}
	o.Others = p.Peers - 1 - missing(since)
	if o.GoOn = missing(since) == 0; o.GoOn {
		o.After = d.net.passed - died
		return o, nil
	}
	// The return.
	if err := d.pass(died + outageLeases*p.TTL); err != nil {
		return o, err
	}
	back := d.net.passed
	if err := d.resume(victim, Crashes); err != nil {
		return o, err
	}
	if err := p.until(func() bool { return missing(since) == 0 }); err != nil {
		return o, fmt.Errorf("%s was away, and is back: %w", o.Peer, err)
	}
	o.After = d.net.passed - back
	return o, nil
}

// settle lets everybody enter, until the victim is where it is to die: inside, or
// done with the lock for so long that all others have entered since.
func (p *contest) settle(victim int, isInside bool, missing func(since []int) int) error {
	d, since := p.driver, make([]int, p.Peers)
	at := func(where phase) func() bool {
		return func() bool {
			return missing(since) == 0 && p.stats.ByPeer[victim] > 0 && d.callers[victim].phase == where
		}
	}
	if isInside {
		return p.until(at(inside))
	}
	if err := p.until(at(idle)); err != nil {
		return err
	}
	d.agenda.drop(d.calling(victim)) // it was about to ask again
	copy(since, p.stats.ByPeer)
	return p.until(func() bool { return missing(since) == 0 })
}
