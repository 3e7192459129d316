package sim_test

import (
	"strings"
	"testing"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/algo/roster"
	"github.com/conchlock/conch/internal/sim"
)

// greedy enters whenever it likes, or never.
type greedy struct {
	self    algo.PeerName
	never   bool
	waiting bool
}

func (g *greedy) Step(in algo.Input, out []algo.Output) []algo.Output {
	switch {
	case in.Kind == algo.Cancel:
		g.waiting = false
	case in.Kind == algo.Acquire && g.never:
		g.waiting = true
	case in.Kind == algo.Acquire:
		out = append(out, algo.Output{Kind: algo.Enter, Lock: in.Lock, Token: algo.Token(in.Time), Deadline: algo.Never, Why: algo.Reason{Text: "it wants to"}})
	}
	return out
}

func (g *greedy) WaitsFor(string) []algo.PeerName {
	if g.waiting {
		return []algo.PeerName{"z"}
	}
	return nil
}

func (g *greedy) Wake() algo.Instant { return algo.Never }

func (g *greedy) Check() error { return nil }

func (g *greedy) Clone() algo.Process {
	c := *g
	return &c
}

func (g *greedy) AppendState(dst []byte) []byte {
	if g.waiting {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// Explorer and Random find what is wrong with a process that ignores the
// others, and tell it in the fewest steps there are.
func TestFindsGreed(t *testing.T) {
	for _, c := range []struct {
		never   bool
		explore int // steps of the explorer's counterexample
		random  int // steps of a shrunk one, before it settles
		told    string
	}{
		{false, 2, 2, "BROKEN: b enters while a is inside\n"},
		{true, 3, 1, "BROKEN: nothing more will happen, and a waits for z\n"}, // there are two contacts to make
	} {
		create := func(s algo.Setup) algo.Process {
			return &greedy{self: s.Self, never: c.never}
		}
		config := sim.Config{Algorithm: "greedy", New: create, Peers: sim.Names(2), Clock: []algo.Time{0, 7}}
		report := sim.Explorer{Config: config, Requests: 1}.Run()
		check(t, report.Failure, c.explore, c.told)

		found := 0
		for seed := range uint64(100) {
			if f := (sim.Random{New: create, Seed: seed}).Run(); f != nil {
				check(t, f, c.random, "BROKEN: ")
				found++
			}
		}
		if found < 20 {
			t.Errorf("only %d of 100 seeds found it", found)
		}
	}
}

func check(t *testing.T, f *sim.Failure, steps int, told string) {
	t.Helper()
	switch {
	case f == nil:
		t.Error("nothing was found")
	case len(f.Steps) != steps:
		t.Errorf("%d steps, want %d: %v", len(f.Steps), steps, f)
	case !strings.Contains(f.Scenario(), told):
		t.Errorf("not told: %s\n%s", told, f.Scenario())
	}
}

// An exploration comes to the same figures and the same counterexample every
// time.
func TestExplorerRepeats(t *testing.T) {
	process, err := roster.New("ricart-agrawala")
	if err != nil {
		t.Fatal(err)
	}
	x := sim.Explorer{Config: sim.Config{New: process, Peers: sim.Names(2)}, Requests: 1, Restarts: 1}
	first, second := x.Run(), x.Run()
	first.Elapsed, second.Elapsed = 0, 0
	if first != second || !first.Complete {
		t.Errorf("%v, then %v", first, second)
	}
}
