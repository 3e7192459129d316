package sim_test

import (
	"math"
	"slices"
	"testing"

	"github.com/conchlock/conch/algo/maekawa"
	"github.com/conchlock/conch/algo/roster"
	"github.com/conchlock/conch/internal/sim"
)

// fullLoad is a run in which somebody always waits, and nothing fails.
func fullLoad(t testing.TB, name string, peers int) sim.Timed {
	create, leases := mustProcess(t, name)
	delay := sim.Span{Least: ttl / 100, Most: ttl / 100}
	return sim.Timed{
		Algorithm: name, New: create, Seed: 1, Peers: peers, Leases: leases,
		TTL: ttl, Length: 10 * ttl, Linger: ttl / 4, Drift: 1000,
		Delay: delay, Load: sim.FullLoad(delay),
	}
}

// cost is what an entry costs under full load: messages, and message delays from an
// exit to the next entry.
type cost struct {
	name              string
	messages, handoff func(n int) (least, most float64)
}

var costs = []cost{
	{"ricart-agrawala", about(func(n int) float64 { return 2 * float64(n-1) }), one},
	{"token-ring", about(func(int) float64 { return 2 }), one},
	{"lamport", about(func(n int) float64 { return 3 * float64(n-1) }), one},
	{"suzuki-kasami", about(func(n int) float64 { return float64(n) }), one},
	{"relay", about(func(n int) float64 { return float64(n) }), func(int) (float64, float64) { return 1, 1.1 }}, // a lease has to be renewed now and then
	// Who comes finds somebody older: REQUEST, FAILED, LOCKED, RELEASE to each other
	// member. The common member is one of the two, or in between.
	{"maekawa", about(func(n int) float64 { return 4 * otherMembers(n) }), func(int) (float64, float64) { return 1, 2.1 }},
	// The privilege crosses each edge twice for N entries, after a REQUEST each.
	{"raymond", about(func(n int) float64 { return 4 * hopsOfRound(n) }), twoHops},
	{"raymond:line", about(func(n int) float64 { return 4 * hopsOfRound(n) }), twoHops},
	{"raymond:star", about(func(n int) float64 { return 4 * hopsOfRound(n) }), twoHops},
	// The path to the end of the queue is turned round each time: at most log2(N) steps
	// in the long run, and the token.
	{"naimi-trehel", func(n int) (float64, float64) { return 2, math.Log2(float64(n)) + 1 }, one},
}

// about allows for the start and the end of a run.
func about(messages func(n int) float64) func(n int) (least, most float64) {
	return func(n int) (float64, float64) { return 0.95 * messages(n), 1.05 * messages(n) }
}

func one(int) (float64, float64) { return 1, 1 }

// hopsOfRound is how many edges of a tree there are for each peer.
func hopsOfRound(n int) float64 { return float64(n-1) / float64(n) }

// twoHops: the mean way of the privilege, with some slack for the first round.
func twoHops(n int) (float64, float64) { return 2*hopsOfRound(n) - 0.1, 2*hopsOfRound(n) + 0.1 }

// otherMembers is K-1, in the mean over all quorums.
func otherMembers(n int) float64 {
	sum := 0
	for i := range n {
		sum += len(maekawa.Quorum(i, n)) - 1
	}
	return float64(sum) / float64(n)
}

// Under full load an entry costs the messages of the algorithm's paper, and so
// many message delays from exit to entry.
func TestTimedCost(t *testing.T) {
	for _, name := range roster.Names() {
		if !slices.ContainsFunc(costs, func(c cost) bool { return c.name == name }) {
			t.Errorf("nothing is said of %s", name)
		}
	}
	for _, c := range costs {
		for _, n := range []int{3, 5, 9, 15, 31} {
			stats, f := fullLoad(t, c.name, n).Run()
			if f != nil {
				t.Fatal(f)
			}
			messages := float64(stats.Messages) / float64(stats.Entries)
			t.Logf("%s, %d peers: %.3f messages, upkeep %.2f, handoff %.3f T, wait %.2f T, %d entries", c.name, n, messages, float64(stats.Upkeep)/float64(stats.Entries), stats.Handoff.Mean(), stats.Wait.Mean(), stats.Entries)
			least, most := c.messages(n)
			if messages < least || messages > most || stats.Upkeep > 0 && c.name != "relay" {
				t.Errorf("%s, %d peers: %.3f messages an entry, want %.3f to %.3f", c.name, n, messages, least, most)
			}
			if least, most := c.handoff(n); stats.Handoff.Mean() < least || stats.Handoff.Mean() > most {
				t.Errorf("%s, %d peers: handoff %.3f T, want %.3f to %.3f", c.name, n, stats.Handoff.Mean(), least, most)
			}
			if least, most := slices.Min(stats.ByPeer), slices.Max(stats.ByPeer); len(stats.ByPeer) != n || most > least+12 { // who is first is alone for a message delay
				t.Errorf("%s, %d peers: entries of each are %v", c.name, n, stats.ByPeer)
			}
		}
	}
}

// A Series is close to what was noted.
func TestSeries(t *testing.T) {
	var stats sim.Stats
	if s := &stats.Wait; s.Mean() != 0 || s.Max() != 0 || s.Quantile(0.5) != 0 {
		t.Error("nothing is not 0")
	}
	central := timed(3, "central", newCentral(sound), true)
	for seed := range uint64(10) {
		central.Seed = seed
		one, f := central.Run()
		if f != nil {
			t.Fatal(f)
		}
		stats.Add(one)
	}
	s, last := &stats.Wait, 0.0
	for q := range 100 {
		at := s.Quantile(float64(q) / 100)
		if at < last || at > s.Max() {
			t.Errorf("quantile %d is %v, after %v, at most %v", q, at, last, s.Max())
		}
		last = at
	}
	if s.Count != stats.Entries || s.Mean() <= 0 || s.Quantile(1) != s.Max() {
		t.Errorf("%d of %d, mean %v", s.Count, stats.Entries, s.Mean())
	}
}

// The same seed makes the same run, another one another.
func TestTimedRepeats(t *testing.T) {
	run := func(seed uint64) sim.Stats {
		r := timed(seed, "central", newCentral(sound), true)
		r.Peers = 4
		stats, f := r.Run()
		if f != nil {
			t.Fatal(f)
		}
		stats.ByPeer = nil // Stats without it can be compared
		return stats
	}
	a, b, c := run(5), run(5), run(6)
	if a.Steps != b.Steps || a.Wait != b.Wait || a.Handoff != b.Handoff {
		t.Errorf("%s\n%s", summary(a), summary(b))
	}
	if a.Steps == c.Steps {
		t.Error("another seed makes the same run")
	}
}

// What no run can be made of is an error, and no failure of the algorithm.
func TestTimedValidate(t *testing.T) {
	good := timed(1, "central", newCentral(sound), true)
	for what, edit := range map[string]func(*sim.Timed){
		"no lease":        func(r *sim.Timed) { r.TTL = 0 },
		"backwards":       func(r *sim.Timed) { r.Length = -1 },
		"voters":          func(r *sim.Timed) { r.Voters = 9 },
		"slow messages":   func(r *sim.Timed) { r.Delay = sim.Span{Most: r.TTL / 8} },
		"negative delays": func(r *sim.Timed) { r.Delay = sim.Span{Least: 2, Most: 1} },
	} {
		bad := good
		edit(&bad)
		if bad.Validate() == nil {
			t.Errorf("%s: no error", what)
		}
	}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
}

// Peers have sorted names, however many there are.
func TestNames(t *testing.T) {
	names := sim.Names(31)
	if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != 31 {
		t.Error(names)
	}
	for _, n := range names {
		if err := n.Check(); err != nil {
			t.Error(err)
		}
	}
}

// BenchmarkTimed says how many entries a minute the simulator makes.
func BenchmarkTimed(b *testing.B) {
	for _, name := range roster.Names() {
		b.Run(name, func(b *testing.B) {
			r := fullLoad(b, name, 5)
			r.Length = 100 * ttl
			r.Faults = sim.Clocks
			entries := 0
			for b.Loop() {
				stats, f := r.Run()
				if f != nil {
					b.Fatal(f)
				}
				entries += stats.Entries
			}
			b.ReportMetric(float64(entries)/b.Elapsed().Minutes(), "entries/minute")
		})
	}
}
