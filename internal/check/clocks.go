package check

import (
	"math"
	"time"

	"github.com/conchlock/conch/internal/trace"
)

// clocks is what messages tell of the peers' wall clocks. A message is received
// after it was sent, so the receiver's clock is ahead of the sender's by at
// most the difference between the two times that the traces give. The least
// such difference is a bound, and bounds add up along a chain of peers. It is
// good as far as the clocks were not set and ran at one rate during the run;
// that is why clocks can clear a peer here, but never convict one.
type clocks struct {
	peers int
	ahead []time.Duration // from*peers+to: clock of to over clock of from, at most
}

// noBound says that nothing is known of two clocks.
const noBound = time.Duration(math.MaxInt64)

// chainMax bounds the number of peers for which chains are looked at.
const chainMax = 256

func newClocks(peers int) clocks {
	k := clocks{peers: peers, ahead: make([]time.Duration, peers*peers)}
	for i := range k.ahead {
		if i%(peers+1) != 0 { // one's own clock is not ahead of itself
			k.ahead[i] = noBound
		}
	}
	return k
}

// hear takes a receipt.
func (k *clocks) hear(from int, e *trace.Merged) {
	bound := &k.ahead[from*k.peers+e.Who]
	*bound = min(*bound, e.At.Sub(e.Sent.At))
}

// chain takes bounds that go through other peers into account. It is for the
// end of the record: what it finds is not kept up to date.
func (k *clocks) chain() {
	if k.peers > chainMax {
		return
	}
	for via := range k.peers {
		for from := range k.peers {
			first := k.ahead[from*k.peers+via]
			if first == noBound {
				continue
			}
			for to := range k.peers {
				if second := k.ahead[via*k.peers+to]; second != noBound {
					bound := &k.ahead[from*k.peers+to]
					*bound = min(*bound, first+second)
				}
			}
		}
	}
}

// bound returns by how much the clock of to can be ahead of that of from; false
// if that is not known, or if the clocks contradict each other.
func (k *clocks) bound(from, to int) (time.Duration, bool) {
	there, back := k.ahead[from*k.peers+to], k.ahead[to*k.peers+from]
	if there == noBound || back != noBound && there+back < 0 {
		return 0, false
	}
	return there, true
}

// before says that what peer a did at its time at certainly came before what
// peer b did at its time bt.
func (k *clocks) before(a int, at time.Time, b int, bt time.Time) bool {
	ahead, ok := k.bound(a, b)
	return ok && !at.Add(ahead).After(bt)
}
