package compare

import (
	"fmt"
	"strings"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/sim"
)

// DeathPeers is with how many peers the death of one is played.
const DeathPeers = 5

// deathTTL is how long leases last in these runs: shorter, or they would take
// long; outcomes are told in leases where they depend on that.
const deathTTL = 100 * T

// Death is what becomes of the others when a peer dies, while they want the lock
// all the time. Each peer dies once, in a run of its own.
type Death struct {
	Algorithm string  `json:"algorithm"`
	Inside    bool    `json:"inside"`         // it dies inside the section; else while it wants nothing
	GoOn      int     `json:"others_go_on"`   // of the peers whose death is played: all others get in again before it is back
	Wait      int     `json:"others_wait"`    // somebody else has to wait until it is back
	After     float64 `json:"after_t"`        // GoOn: the longest time from a death until all others were in again
	Leases    float64 `json:"after_ttls"`     // the same, in leases
	Back      float64 `json:"after_return_t"` // Wait: the longest time from a return until all others were in again
	text      string
}

// Deaths plays them for one algorithm.
func Deaths(p *Plan, a Algorithm) ([]Death, error) {
	var deaths []Death
	for _, inside := range []bool{false, true} {
		d := Death{Algorithm: a.Name, Inside: inside}
		c := contest(p, a, DeathPeers, Heavy)
		c.TTL, c.Size = deathTTL, nil
		var goOn, wait []string
		for i := range DeathPeers {
			o, err := c.Outage(i, inside)
			if err != nil {
				return nil, fmt.Errorf("%s, the death of a peer: %w", a.Name, err)
			}
			d.add(o)
			if o.GoOn {
				goOn = append(goOn, string(o.Peer))
			} else {
				wait = append(wait, string(o.Peer))
			}
		}
		d.text = d.describe(goOn, wait)
		deaths = append(deaths, d)
	}
	return deaths, nil
}

func (d *Death) add(o sim.Outage) {
	in := func(unit algo.Duration) float64 { return float64(o.After) / float64(unit) }
	if !o.GoOn {
		d.Wait++
		d.Back = max(d.Back, in(T))
		return
	}
	d.GoOn++
	d.After, d.Leases = max(d.After, in(T)), max(d.Leases, in(deathTTL))
}

// String says what becomes of the others.
func (d Death) String() string { return d.text }

// describe puts it into words: without whom the others go on, and wait.
func (d *Death) describe(goOn, wait []string) string {
	on := fmt.Sprintf("the others go on: all are in again after %.1f T", d.After)
	if d.Leases > 0.5 { // they have waited for a lease
		on = fmt.Sprintf("the others go on: all are in again after %.1f TTL", d.Leases)
	}
	back := fmt.Sprintf("others wait until it is back: all are in %.1f T later", d.Back)
	switch {
	case d.Wait == 0:
		return on
	case d.GoOn == 0:
		return back
	}
	return fmt.Sprintf("without %s %s; without %s %s", strings.Join(goOn, ", "), on, strings.Join(wait, ", "), back)
}
