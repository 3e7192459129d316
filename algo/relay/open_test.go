package relay_test

import (
	"fmt"
	"testing"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/algo/relay"
)

// Whatever somebody without a vote says, who has come while a vote was counted and
// may leave again: it is no vote, gives none back, and makes nobody crash.
func TestIgnoresWhoHasNoVote(t *testing.T) {
	const guest = "d"
	own, lease := first(30, "a"), relay.Lease{Length: ttl}
	for _, m := range []algo.Message{
		relay.Vote{Term: own, Ballot: 1, Offer: 1, Ceiling: 100, Lease: lease},
		relay.Inquire{Term: own, Ballot: 1},
		relay.Yield{Term: own, Ballot: 1},
		relay.Renewed{Term: own, Ceiling: 100, Lease: lease, Eldest: first(1, guest)},
		relay.Newborn{To: []relay.Life{{Peer: guest, Incarnation: 1}}},
	} {
		t.Run(fmt.Sprint("relay/", m.Kind()), func(t *testing.T) {
			a := newAloneAmong("a", true, "b", "c")
			a.step(algo.Input{Kind: algo.Acquire, Lock: "lock"}) // with its own vote it has one of three
			a.step(algo.Input{Kind: algo.Contact, From: guest, Incarnation: 1})
			if sent := a.receive(guest, m); len(sent) > 0 {
				t.Errorf("it answers %v", sent)
			}
			a.step(algo.Input{Kind: algo.Leave, From: guest})
			a.receive(guest, m)
			if err := a.process.Check(); err != nil {
				t.Error(err)
			}
			if sent := a.receive("b", relay.Vote{Term: own, Ballot: 1, Offer: 1, Ceiling: 100, Lease: lease}); len(sent) > 0 {
				t.Errorf("when it has won, it sends %v", sent)
			}
			if sent := a.step(algo.Input{Kind: algo.Release, Lock: "lock"}); len(sent) > 0 {
				t.Errorf("when it leaves, it sends %v", sent)
			}
		})
	}
}
