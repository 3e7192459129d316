package naimitrehel_test

import (
	"testing"

	"github.com/conchlock/conch/algo/algotest"
	"github.com/conchlock/conch/algo/naimitrehel"
	"github.com/conchlock/conch/internal/sim"
)

// The suite explores three peers. Here every interleaving of four is taken, with
// paths of three steps, and of three that give up and ask again, with nobody
// restarting.
func TestExplore(t *testing.T) {
	for _, c := range []struct{ peers, requests, cancels int }{
		{4, 1, 2},
		{4, 2, 0},
		{3, 2, 2},
	} {
		x := sim.Explorer{
			Config: sim.Config{Algorithm: "naimi-trehel", New: algotest.Single(naimitrehel.New), Peers: sim.Names(c.peers)},
			Met:    true, Requests: c.requests, Cancels: c.cancels, MaxStates: 2_000_000,
		}
		r := x.Run()
		t.Logf("%v: %v", x, r)
		if r.Failure != nil {
			t.Errorf("%v\n\n%s", r.Failure, r.Failure.Scenario())
		} else if !r.Complete {
			t.Errorf("%v: cut off", x)
		}
	}
}
