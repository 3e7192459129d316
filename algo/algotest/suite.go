// Package algotest is the suite that every algorithm passes, and what tests of
// a paper's claims share. Its tests hold the scenarios and the mistakes.
package algotest

import (
	"testing"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/sim"
)

// Suite is what every algorithm passes.
type Suite struct {
	Algorithm string
	New       sim.NewProcess
	Effort    Effort
	// TTL is for algorithms that know time; 0 for the others. Invariant is what
	// they keep over several peers.
	TTL       algo.Duration
	Invariant func(peers []sim.View) error
}

// Effort says how long a suite may take.
type Effort int

const (
	Brief Effort = iota // a second or two; finds plain mistakes
	Usual               // ten seconds or so
	Deep                // hours
)

// Run runs the suite. Every broken rule is told as a scenario, which can be
// kept as a file; one of each way of looking is enough.
func (s Suite) Run(t *testing.T) {
	_ = t.Run("random", s.random) && t.Run("calm", s.calm)
	t.Run("explore", func(t *testing.T) {
		for _, x := range s.explorers() {
			if !t.Run(x.String(), func(t *testing.T) { explore(t, "explorer", x) }) {
				return
			}
		}
	})
	if s.TTL > 0 {
		t.Run("open", s.open)
	}
}

func explore(t *testing.T, what string, x sim.Explorer) {
	r := x.Run()
	t.Log(r)
	if r.Failure != nil {
		t.Errorf("%s, after %d states: %v\n\n%s", what, r.States, r.Failure, r.Failure.Scenario())
	}
}

// random plays runs with faults.
func (s Suite) random(t *testing.T) {
	seeds := [...]uint64{Brief: 1000, Usual: 3000, Deep: 300_000}[s.Effort]
	for seed := range seeds {
		play(t, "random", sim.Random{Algorithm: s.Algorithm, New: s.New, Seed: seed, TTL: s.TTL, Invariant: s.Invariant})
	}
}

// calm plays runs without faults, of every size.
func (s Suite) calm(t *testing.T) {
	seeds := [...]uint64{Brief: 100, Usual: 500, Deep: 50_000}[s.Effort]
	for seed := range seeds {
		play(t, "random", sim.Random{Algorithm: s.Algorithm, New: s.New, Seed: seed, Calm: true, TTL: s.TTL, Invariant: s.Invariant})
	}
}

// open plays and explores clusters in which peers without a vote come and go, and
// are taken for gone while they are there.
func (s Suite) open(t *testing.T) {
	seeds := [...]uint64{Brief: 1000, Usual: 2000, Deep: 300_000}[s.Effort]
	for seed := range seeds {
		play(t, "open", sim.Random{Algorithm: s.Algorithm, New: s.New, Seed: seed, TTL: s.TTL, Open: true, Invariant: s.Invariant})
	}
	for _, x := range s.openExplorers() {
		if !t.Run(x.String(), func(t *testing.T) { explore(t, "open", x) }) {
			return
		}
	}
}

func play(t *testing.T, what string, r sim.Random) {
	if f := r.Run(); f != nil {
		t.Fatalf("%s, seed %d: %v\n\n%s", what, r.Seed, f, f.Scenario())
	}
}

// explorers lists what is explored, small ones first.
func (s Suite) explorers() []sim.Explorer {
	if s.TTL > 0 {
		return s.timed()
	}
	config := func(peers int, locks ...string) sim.Config {
		return sim.Config{Algorithm: s.Algorithm, New: s.New, Peers: sim.Names(peers), Locks: locks}
	}
	brief := []sim.Explorer{
		{Config: config(1), Requests: 2, Cancels: 1, Restarts: 2},
		{Config: config(2), Requests: 1, Cancels: 1, Restarts: 1, Losses: 1},
		{Config: config(2), Requests: 1, Restarts: 2},
		{Config: config(2), Requests: 2, Met: true, Cancels: 1},
		{Config: config(2), Requests: 2, Met: true, Restarts: 2},
		{Config: config(2), Requests: 1, Met: true, Losses: 2},
		{Config: config(2, "x", "y"), Requests: 1, Met: true, Restarts: 1},
		{Config: config(3), Requests: 1, Met: true, Cancels: 1},
		{Config: config(3), Requests: 1, Met: true, Restarts: 1},
	}
	usual := []sim.Explorer{ // with two peers to the end, but for lamport's and maekawa's largest
		{Config: config(1), Requests: 2, Cancels: 1, Restarts: 2},
		{Config: config(2), Requests: 2, Cancels: 1, Restarts: 1},
		{Config: config(2), Requests: 1, Cancels: 1, Restarts: 2},
		{Config: config(2), Requests: 2, Met: true, Restarts: 2},
		{Config: config(2), Requests: 1, Cancels: 1, Restarts: 1, Losses: 1},
		{Config: config(2), Requests: 1, Met: true, Losses: 2},
		{Config: config(2, "x", "y"), Requests: 1, Met: true, Restarts: 1},
		{Config: config(3), Requests: 1, Cancels: 1},
		{Config: config(3), Requests: 2, Met: true},
		{Config: config(3), Requests: 1, Met: true, Restarts: 1},
		{Config: config(3), Requests: 1, Met: true, Losses: 1},
		{Config: config(3), Requests: 1, Restarts: 2},
	}
	deep := []sim.Explorer{
		{Config: config(2), Requests: 2, Cancels: 1, Restarts: 2},
		{Config: config(2), Requests: 2, Cancels: 2, Restarts: 1, Losses: 1},
		{Config: config(2), Requests: 2, Restarts: 3, Losses: 1},
		{Config: config(2, "x", "y"), Requests: 1, Cancels: 1, Restarts: 2},
		{Config: config(3), Requests: 2, Met: true, Cancels: 2},
		{Config: config(3), Requests: 1, Met: true, Restarts: 1},
		{Config: config(3), Requests: 1, Met: true, Losses: 1},
		{Config: config(3), Requests: 1, Cancels: 1},
		{Config: config(3), Requests: 1, Restarts: 1},
		{Config: config(3), Requests: 1, Met: true, Restarts: 2},
		{Config: config(4), Requests: 1, Met: true},
	}
	for i := range brief {
		brief[i].MaxStates = 100_000
	}
	for i := range usual {
		usual[i].MaxStates = 100_000 // a second; lamport's three peers have 31 million
		if len(usual[i].Peers) < 3 {
			usual[i].MaxStates = 250_000
		}
	}
	for i := range deep {
		deep[i].MaxStates = 60_000_000 // some gigabytes
	}
	if s.Effort == Deep {
		for i := range usual {
			usual[i].MaxStates = 1_000_000
		}
	}
	return [...][]sim.Explorer{Brief: brief, Usual: usual, Deep: append(usual, deep...)}[s.Effort]
}

// openExplorers lists what is explored of an open cluster: the first peers vote.
func (s Suite) openExplorers() []sim.Explorer {
	config := func(peers, voters int, tick algo.Duration) sim.Config {
		c := s.timedConfig(peers, tick)
		c.Open, c.Voters = true, c.Peers[:voters]
		return c
	}
	list := []sim.Explorer{
		{Config: config(2, 1, 3), Requests: 1, Leaves: 1, Passes: 5},
		{Config: config(2, 1, 13), Requests: 1, Met: true, Leaves: 2, Restarts: 1, Passes: 2},
		{Config: config(3, 1, 13), Requests: 1, Met: true, Leaves: 1, Passes: 2},
		{Config: config(3, 2, 13), Requests: 1, Met: true, Leaves: 1, Passes: 2},
		{Config: config(3, 1, 3), Requests: 1, Met: true, Leaves: 1, Passes: 4},
		{Config: config(2, 1, 13), Requests: 1, Met: true, Leaves: 1, Replaces: 1, Passes: 1},
	}
	for i := range list {
		list[i].MaxStates = [...]int{Brief: 30_000, Usual: 100_000, Deep: 20_000_000}[s.Effort]
	}
	return list
}

func (s Suite) timedConfig(peers int, tick algo.Duration, locks ...string) sim.Config {
	return sim.Config{
		Algorithm: s.Algorithm, New: s.New, Peers: sim.Names(peers), Locks: locks, Invariant: s.Invariant,
		TTL: s.TTL, Linger: s.TTL / 4, Tick: s.TTL / 12 * tick, Drift: 1000, Forget: true,
	}
}

// timed lists what is explored of an algorithm that knows time. Ticks are given
// in twelfths of a lease: 3 and 7 meet renewals and refreshes, 13 ends leases.
func (s Suite) timed() []sim.Explorer {
	config := s.timedConfig
	brief := []sim.Explorer{
		{Config: config(1, 3), Requests: 2, Cancels: 1, Restarts: 1, Passes: 8},
		{Config: config(2, 3), Requests: 1, Met: true, Cancels: 1, Passes: 3},
		{Config: config(2, 3), Requests: 2, Met: true, Passes: 5},
		{Config: config(2, 3), Requests: 1, Met: true, Restarts: 1, Passes: 6},
		{Config: config(3, 3), Requests: 1, Askers: 2, Met: true, Passes: 4},
		{Config: config(3, 3), Requests: 1, Askers: 2, Met: true, Restarts: 1, Passes: 5},
		{Config: config(3, 3), Requests: 1, Met: true, Passes: 1},
		{Config: config(3, 3), Requests: 1, Askers: 2, Met: true, Replaces: 1, Passes: 4},
		{Config: config(3, 3), Requests: 1, Askers: 2, Met: true, Restarts: 1, Replaces: 1, Passes: 1},
	}
	usual := []sim.Explorer{ // to the end, but for most with three peers
		{Config: config(1, 3), Requests: 2, Cancels: 1, Restarts: 1, Passes: 8},
		{Config: config(2, 7), Requests: 1, Met: true, Passes: 3},
		{Config: config(2, 13), Requests: 2, Met: true, Passes: 2},
		{Config: config(2, 13), Requests: 1, Met: true, Cancels: 1, Restarts: 1, Passes: 1},
		{Config: config(2, 3), Requests: 1, Met: true, Wipes: 1, Passes: 1},
		{Config: config(3, 3), Requests: 1, Askers: 2, Met: true, Restarts: 1},
		{Config: config(3, 13), Requests: 1, Askers: 2, Met: true, Passes: 1},
		{Config: config(3, 13), Requests: 1, Askers: 2, Met: true, Restarts: 1, Passes: 1},
		{Config: config(2, 7), Requests: 1, Met: true, Replaces: 2, Passes: 1},
		{Config: config(2, 13), Requests: 1, Met: true, Restarts: 1, Replaces: 1, Passes: 1},
		{Config: config(3, 13), Requests: 1, Askers: 1, Met: true, Replaces: 1},
		{Config: config(3, 3), Requests: 1, Askers: 2, Met: true, Replaces: 1},
	}
	deep := []sim.Explorer{
		{Config: config(2, 3), Requests: 1, Met: true, Passes: 6},
		{Config: config(2, 7), Requests: 2, Met: true, Cancels: 1, Passes: 3},
		{Config: config(2, 13), Requests: 1, Met: true, Restarts: 2, Losses: 1, Passes: 2},
		{Config: config(2, 7), Requests: 1, Met: true, Downs: 1, Losses: 1, Passes: 2},
		{Config: config(3, 3), Requests: 1, Met: true, Passes: 1},
		{Config: config(3, 13), Requests: 1, Askers: 2, Met: true, Restarts: 1, Passes: 1},
		{Config: config(3, 7), Requests: 1, Askers: 2, Met: true, Passes: 2},
		{Config: config(3, 13), Requests: 1, Askers: 2, Met: true, Restarts: 1, Cancels: 1, Passes: 2},
		{Config: config(3, 13), Requests: 1, Askers: 1, Met: true, Restarts: 2, Passes: 2},
		{Config: config(2, 7), Requests: 1, Met: true, Replaces: 2, Passes: 2},
		{Config: config(3, 3), Requests: 1, Askers: 2, Met: true, Replaces: 1},
		{Config: config(3, 7), Requests: 1, Askers: 2, Met: true, Replaces: 1, Passes: 1},
		{Config: config(3, 13), Requests: 1, Askers: 1, Met: true, Replaces: 2, Passes: 1},
		{Config: config(3, 13), Requests: 1, Askers: 1, Met: true, Restarts: 1, Replaces: 1, Passes: 1},
	}
	for i := range brief {
		brief[i].MaxStates = 60_000
	}
	for i := range usual {
		usual[i].MaxStates = 800_000
	}
	for i := range deep {
		deep[i].MaxStates = 40_000_000 // some gigabytes
	}
	return [...][]sim.Explorer{Brief: brief, Usual: usual, Deep: append(usual, deep...)}[s.Effort]
}
