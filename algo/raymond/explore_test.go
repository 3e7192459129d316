package raymond_test

import (
	"testing"

	"github.com/conchlock/conch/algo/algotest"
	"github.com/conchlock/conch/algo/raymond"
	"github.com/conchlock/conch/internal/sim"
)

// The suite explores the binary tree of three, in which nobody is two hops below
// the root. Here every interleaving of four and five is taken, with nobody
// restarting.
func TestExplore(t *testing.T) {
	for _, c := range []struct {
		what                     string
		tree                     raymond.Tree
		peers, requests, cancels int
	}{
		{"binary", raymond.Binary, 4, 2, 0},
		{"binary", raymond.Binary, 5, 1, 1},
		{"line", raymond.Line, 4, 1, 2},
		{"line", raymond.Line, 3, 2, 2},
		{"star", raymond.Star, 4, 1, 2},
	} {
		x := sim.Explorer{
			Config: sim.Config{Algorithm: "raymond", New: algotest.Single(raymond.NewTree(c.tree)), Peers: sim.Names(c.peers)},
			Met:    true, Requests: c.requests, Cancels: c.cancels, MaxStates: 2_000_000,
		}
		r := x.Run()
		t.Logf("%s, %v: %v", c.what, x, r)
		if r.Failure != nil {
			t.Errorf("%v\n\n%s", r.Failure, r.Failure.Scenario())
		} else if !r.Complete {
			t.Errorf("%s, %v: cut off", c.what, x)
		}
	}
}
