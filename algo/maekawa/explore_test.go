package maekawa

import (
	"testing"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/algo/algotest"
	"github.com/conchlock/conch/internal/sim"
)

// Every interleaving of three peers whose quorums are larger than those that three
// peers have. FAILED for a request that is overtaken while it waits (Sanders) takes
// three requests at one member, of which the later two meet at another member, too:
// three peers are the fewest that can show it, and among the quorums of Quorum those
// of four.
func TestPaperEveryInterleaving(t *testing.T) {
	for _, c := range []struct {
		what    string
		quorums map[algo.PeerName][]algo.PeerName
		cancels int
	}{
		{"everybody asks everybody", map[algo.PeerName][]algo.PeerName{"a": {"a", "b", "c"}, "b": {"a", "b", "c"}, "c": {"a", "b", "c"}}, 0},
		{"two ask the third and one of themselves", map[algo.PeerName][]algo.PeerName{"a": {"b", "c"}, "b": {"b", "c"}, "c": {"c"}}, 2},
	} {
		machine := func(self algo.PeerName, incarnation algo.Incarnation, others []algo.PeerName) algo.Machine {
			return newMachine(self, incarnation, others, c.quorums[self])
		}
		t.Run("alone/"+c.what, func(t *testing.T) {
			config := sim.Config{Algorithm: "maekawa", New: algotest.Single(machine), Peers: sim.Names(3)}
			r := sim.Explorer{Config: config, Met: true, Requests: 1, Cancels: c.cancels, MaxStates: 300_000}.Run()
			t.Log(r)
			if r.Failure != nil {
				t.Errorf("explorer, after %d states: %v\n\n%s", r.States, r.Failure, r.Failure.Scenario())
			}
			if !r.Complete && r.Failure == nil {
				t.Errorf("there are more than %d states", r.States)
			}
		})
	}
}

// Four peers with their own quorums, as far as that goes in a second or two.
func TestPaperFourPeers(t *testing.T) {
	t.Run("alone", func(t *testing.T) {
		config := sim.Config{Algorithm: "maekawa", New: algotest.Single(New), Peers: sim.Names(4)}
		r := sim.Explorer{Config: config, Met: true, Requests: 1, Askers: 3, MaxStates: 200_000}.Run()
		t.Log(r)
		if r.Failure != nil {
			t.Errorf("explorer, after %d states: %v\n\n%s", r.States, r.Failure, r.Failure.Scenario())
		}
	})
}
