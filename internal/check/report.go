package check

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/conchlock/conch/algo"
)

// Report is the outcome of a check. As JSON it is a run's verdict.json.
type Report struct {
	Verdict  Verdict   `json:"verdict"`
	Rules    []Rule    `json:"rules"`
	Findings []Finding `json:"findings,omitempty"` // violations first
	Omitted  int       `json:"findings_omitted,omitempty"`
	Totals   Totals    `json:"totals"`
	Runs     []string  `json:"algorithms,omitempty"` // what the peers ran, by name; traces of old say nothing of it
	Peers    []Peer    `json:"peers"`
	Locks    []Lock    `json:"locks"`                        // by name; of very many, those with the most entries
	Broken   []Broken  `json:"holds_without_exit,omitempty"` // lost, or ended with their peer
	Open     []Open    `json:"open_requests,omitempty"`
}

// Rule is a question that was asked, and its answer.
type Rule struct {
	Name    string  `json:"name"`
	Verdict Verdict `json:"verdict"`
	Rests   string  `json:"rests_on"`
}

// Totals are over all peers and locks.
type Totals struct {
	Events          int     `json:"events"`
	Peers           int     `json:"peers"`
	Locks           int     `json:"locks"`
	Entries         int     `json:"entries"`
	Exits           int     `json:"exits"`
	Lost            int     `json:"holds_lost"`    // by lease
	Died            int     `json:"holds_died"`    // with their peer
	Cancelled       int     `json:"cancelled"`     // requests
	RequestsDied    int     `json:"requests_died"` // with their peer
	Open            int     `json:"open"`          // requests that wait when the record ends
	Inside          int     `json:"inside"`        // holds that last when it ends
	Messages        int     `json:"messages"`      // of the algorithm, upkeep apart
	Upkeep          int     `json:"upkeep"`
	NoLock          int     `json:"messages_about_no_lock"`
	Received        int     `json:"received"`
	PerEntry        float64 `json:"messages_per_entry"`
	SpanNanoseconds int64   `json:"span_ns"` // by the wall clocks
	Wait            Wait    `json:"wait"`
}

// Wait is how long requests waited until they were granted, each by its own
// peer's wall clock.
type Wait struct {
	P50       int64 `json:"p50_ns"`
	P99       int64 `json:"p99_ns"`
	Max       int64 `json:"max_ns"`
	ClockBack int   `json:"clock_set_back,omitempty"` // waits that were negative, and are taken for 0
}

// Lock is what happened to one lock.
type Lock struct {
	Name     string  `json:"name"`
	Entries  int     `json:"entries"`
	Messages int     `json:"messages"`
	Upkeep   int     `json:"upkeep"`
	PerEntry float64 `json:"messages_per_entry"`
	Cost     Cost    `json:"messages_of_an_entry"`
	Wait     Wait    `json:"wait"`
	Handoff  Handoff `json:"handoff"`

	// Jain's index is (sum x)^2 / (n * sum x^2): 1 if all have the same, 1/n if
	// one has all. It is taken over the peers that asked for the lock.
	JainEntries float64 `json:"jain_entries"`
	JainWait    float64 `json:"jain_mean_wait"`

	// Overtaken is the most entries that younger requests (of a larger stamp)
	// made while one request waited.
	Overtaken int `json:"overtaken_most"`
}

// Peer is what happened to one peer.
type Peer struct {
	Name    algo.PeerName `json:"name"`
	Events  int           `json:"events"`
	Starts  int           `json:"starts"`
	Kills   int           `json:"kills"`
	Entries int           `json:"entries"`
	End     string        `json:"end"` // stopped, killed, or the record ends
}

// Open is a request that waits when the record ends.
type Open struct {
	Lock    string        `json:"lock"`
	Peer    algo.PeerName `json:"peer"`
	Request string        `json:"request"`
	Line    string        `json:"line"`
}

// openMax and locksMax bound what a report lists; Totals count all.
const (
	openMax  = 100
	locksMax = 1000
)

// sorted returns the locks by name.
func (c *checker) sorted() []*lock {
	if len(c.byName) != len(c.locks) {
		c.byName = slices.SortedFunc(maps.Values(c.locks), func(a, b *lock) int { return cmp.Compare(a.name, b.name) })
	}
	return c.byName
}

func (c *checker) report() *Report {
	if c.disorder {
		c.distrust()
	}
	r := &Report{Verdict: c.verdict(), Findings: c.list(), Broken: c.broken, Open: c.open, Runs: slices.Sorted(maps.Keys(c.runs))}
	for i, x := range rules {
		verdict := cmp.Or(c.worst[i], True)
		if rule(i) == shared && !c.shared && c.worst[i] == "" {
			continue
		}
		if verdict == True && r.Verdict == Unknown && c.worst[record] != "" {
			verdict = Unknown // for the part that is missing
		}
		rests := x.rests
		if rule(i) == exclusion && c.cleared > 0 {
			rests += fmt.Sprintf("; for %s of holds that no message orders, the leases and the clocks of the traces", count(c.cleared, "pair"))
		}
		r.Rules = append(r.Rules, Rule{Name: x.name, Verdict: verdict, Rests: rests})
		r.Omitted += c.more[i]
	}
	r.Totals = Totals{Events: c.events, Peers: len(c.peers), Locks: len(c.locks), NoLock: c.noLock, Received: c.links.received, SpanNanoseconds: int64(c.latest.Sub(c.first))}
	c.sum(r)
	for i := range c.peers {
		r.Peers = append(r.Peers, c.peer(i))
	}
	if len(r.Locks) > locksMax {
		slices.SortStableFunc(r.Locks, func(a, b Lock) int { return cmp.Compare(b.Entries, a.Entries) })
		r.Locks = r.Locks[:locksMax]
		slices.SortFunc(r.Locks, func(a, b Lock) int { return cmp.Compare(a.Name, b.Name) })
	}
	return r
}

// sum fills in the locks and what they add up to.
func (c *checker) sum(r *Report) {
	var waits []time.Duration
	t := &r.Totals
	for _, l := range c.sorted() {
		t.Entries += len(l.entries)
		t.Exits += l.exits
		t.Lost += l.losses
		t.Died += l.deaths
		t.Cancelled += l.cancel
		t.RequestsDied += l.gone
		t.Open += l.openRequests
		t.Inside += l.openHolds
		t.Messages += l.sends
		t.Upkeep += l.upkeep
		waits = append(waits, l.waits...)
		x := l.report()
		t.Wait.ClockBack += x.Wait.ClockBack
		r.Locks = append(r.Locks, x)
	}
	t.PerEntry = perEntry(t.Messages, t.Entries)
	back := t.Wait.ClockBack
	t.Wait = quantiles(waits)
	t.Wait.ClockBack = back
}

func (l *lock) report() Lock {
	x := Lock{Name: l.name, Entries: len(l.entries), Messages: l.sends, Upkeep: l.upkeep, PerEntry: perEntry(l.sends, len(l.entries)), Overtaken: l.overtaken}
	x.Wait = quantiles(slices.Clone(l.waits))
	x.Wait.ClockBack = l.clockBack
	x.Cost, x.Handoff = l.cost(), l.handoff()
	var entries, waits []float64
	for i := range l.turns {
		t := &l.turns[i]
		if t.requests > 0 {
			entries = append(entries, float64(t.entries))
		}
		if t.entries > 0 {
			waits = append(waits, t.waited.Seconds()/float64(t.entries))
		}
	}
	x.JainEntries, x.JainWait = jain(entries), jain(waits)
	return x
}

func (c *checker) peer(who int) Peer {
	p := &c.peers[who]
	x := Peer{Name: c.names[who], Events: p.events, Starts: p.starts, Kills: p.kills, End: "killed"}
	for _, l := range c.locks {
		x.Entries += l.turns[who].entries
	}
	switch {
	case p.stopped:
		x.End = "stopped"
	case p.running || p.starts == 0:
		x.End = "the record ends"
	}
	return x
}

func perEntry(messages, entries int) float64 {
	if entries == 0 {
		return 0
	}
	return float64(messages) / float64(entries)
}

// quantiles sorts waits. The p-th quantile is the smallest wait that a share p
// of all do not exceed.
func quantiles(waits []time.Duration) Wait {
	if len(waits) == 0 {
		return Wait{}
	}
	slices.Sort(waits)
	at := func(p float64) int64 {
		return int64(waits[max(int(math.Ceil(p*float64(len(waits))))-1, 0)])
	}
	return Wait{P50: at(0.50), P99: at(0.99), Max: at(1)}
}

// jain returns Jain's fairness index; 1 if there is nothing to share.
func jain(xs []float64) float64 {
	var sum, squares float64
	for _, x := range xs {
		sum += x
		squares += x * x
	}
	if squares == 0 {
		return 1
	}
	return sum * sum / (float64(len(xs)) * squares)
}
