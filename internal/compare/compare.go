// Package compare puts algorithms side by side: it plays the same load for each
// in the simulator and says what an entry costs.
//
// Simulated or real, a run is measured by package check, from the traces of its
// peers: what a comparison says of a run, the run's verdict says as well.
package compare

import (
	"fmt"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/check"
	"github.com/conchlock/conch/internal/node"
	"github.com/conchlock/conch/internal/sim"
	"github.com/conchlock/conch/internal/trace"
	"github.com/conchlock/conch/internal/transport"
)

// Algorithm is one of those that are compared.
type Algorithm struct {
	Name         string
	New          sim.NewProcess
	Leases       bool // its holds end with leases
	Light, Heavy Formula
}

// Formula is what the literature says of an algorithm's messages, of n peers.
type Formula struct {
	Text string
	Mean func(n int) (least, most float64) // between these lies the mean over many entries
	Most func(n int) float64               // the most of one entry; nil: nothing is said
}

// Load is how much the peers want the lock.
type Load string

// The loads.
const (
	Light  Load = "light"  // one peer at a time, any with equal probability, and nobody else waits
	Medium Load = "medium" // each peer again and again, together about once in three T
	Heavy  Load = "heavy"  // all peers, all the time
)

// Loads lists them.
func Loads() []Load { return []Load{Light, Medium, Heavy} }

// The simulated network: every message takes T, and work inside a tenth of it.
// Leases last as long as they do by default, if T is what it is in a local network.
const (
	T    = algo.Duration(time.Millisecond)
	work = T / 10
	ttl  = 5000 * T
)

// mediumGap is the time between two requests of all peers together, under medium
// load, on average: longer than an entry takes that nobody competes for.
const mediumGap = 3 * T

// PeersMax is how many peers can be simulated.
const PeersMax = 31

// Plan says what is compared.
type Plan struct {
	Algorithms []Algorithm
	Peers      []int
	Loads      []Load
	Entries    int // of each run; a few more are made by who waits at its end
	Seed       uint64
}

// Row is what one run came to. Times are in T if it was simulated, else in
// microseconds.
type Row struct {
	Algorithm string  `json:"algorithm"`
	Peers     int     `json:"peers"`
	Load      Load    `json:"load"`
	Entries   int     `json:"entries"`
	Messages  float64 `json:"messages_per_entry"` // that are not upkeep
	Median    int     `json:"messages_median"`
	Max       int     `json:"messages_max"` // where others wait, all their requests may count for one entry (check.Cost)
	Formula   string  `json:"formula"`
	Least     float64 `json:"formula_least"` // what the formula says of the mean
	Most      float64 `json:"formula_most"`
	Upkeep    float64 `json:"upkeep_per_entry"`
	Bytes     float64 `json:"bytes_per_entry,omitempty"` // of the messages that are not upkeep; 0: not measured
	Handoffs  int     `json:"handoffs"`                  // exits with somebody who waited
	Handoff   float64 `json:"handoff_mean"`              // from those exits to the next entries
	HandoffP  float64 `json:"handoff_p50"`
	WaitP50   float64 `json:"wait_p50"`
	WaitP99   float64 `json:"wait_p99"`
	Jain      float64 `json:"jain_entries"` // over the peers
}

// Simulate plays every run of the plan, and hands on each row when it is there.
// An error says which run went wrong; that of row ends the comparison.
func Simulate(p *Plan, row func(Row) error) error {
	for _, load := range p.Loads {
		for _, a := range p.Algorithms {
			for _, n := range p.Peers {
				x, err := simulate(p, a, n, load)
				if err == nil {
					err = row(x)
				}
				if err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// contest is the run of so many peers under a load.
func contest(p *Plan, a Algorithm, n int, load Load) sim.Contest {
	c := sim.Contest{
		Algorithm: a.Name, New: a.New, Seed: p.Seed, Peers: n, Leases: a.Leases, TTL: ttl, Delay: T, Entries: p.Entries,
		Load: sim.Load{Work: sim.Span{Least: work, Most: work}}, Size: size,
	}
	switch load {
	case Light:
		c.OneByOne = true
	case Medium:
		c.Load.Think.Most = 2 * algo.Duration(n) * mediumGap
	case Heavy:
		c.Load.Hot = 100
	}
	return c
}

func simulate(p *Plan, a Algorithm, n int, load Load) (Row, error) {
	record, _, err := contest(p, a, n, load).Run()
	if err != nil {
		return Row{}, fmt.Errorf("%s, %d peers, %s load: %w", a.Name, n, load, err)
	}
	row, err := Measure(check.Run(trace.Merge(record.Sources()...)), a, n, load, time.Duration(T))
	if row.Entries > 0 {
		row.Bytes = float64(record.Bytes) / float64(row.Entries)
	}
	return row, err
}

// size says what a simulated message would be on the wire.
func size(m *trace.Message, lock string, content algo.Message) int {
	return transport.Size(&node.Packet{Number: m.ID.Number, Time: m.Clock, Lock: lock, Message: content, Upkeep: m.Upkeep})
}

// Measure takes a row from the report on a run with one lock. Times are counted
// in units. A run that is not sound has no figures, but an error.
func Measure(r *check.Report, a Algorithm, n int, load Load, unit time.Duration) (Row, error) {
	row := Row{Algorithm: a.Name, Peers: n, Load: load}
	switch {
	case r.Verdict != check.True && len(r.Findings) > 0:
		return row, fmt.Errorf("%s, %d peers, %s load: the run is not known to be sound: %s", a.Name, n, load, r.Findings[0].Text)
	case r.Verdict != check.True || len(r.Locks) != 1:
		return row, fmt.Errorf("%s, %d peers, %s load: the verdict is %s, and there are %d locks", a.Name, n, load, r.Verdict, len(r.Locks))
	}
	l := &r.Locks[0]
	in := func(ns int64) float64 { return float64(ns) / float64(unit) }
	row.Entries, row.Messages, row.Median, row.Max = l.Entries, l.PerEntry, l.Cost.Median, l.Cost.Max
	row.Upkeep = float64(l.Upkeep) / float64(l.Entries)
	row.Handoffs, row.Handoff, row.HandoffP = l.Handoff.Count, in(l.Handoff.Mean), in(l.Handoff.P50)
	row.WaitP50, row.WaitP99, row.Jain = in(l.Wait.P50), in(l.Wait.P99), l.JainEntries
	row.Formula, row.Least, row.Most = a.formula(load, n)
	return row, nil
}

// formula says what is known of a load: of the medium one that it lies between
// the two others.
func (a Algorithm) formula(load Load, n int) (text string, least, most float64) {
	light, heavy := a.Light, a.Heavy
	switch {
	case load == Heavy || light.Text == heavy.Text:
		light = heavy
	case load == Light:
		heavy = light
	default:
		text = "between light and heavy load"
	}
	l, m := light.Mean(n)
	l2, m2 := heavy.Mean(n)
	if text == "" {
		text = light.Text
	}
	return text, min(l, l2), max(m, m2)
}
