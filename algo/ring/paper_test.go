package ring_test

import (
	"slices"
	"testing"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/algo/algotest"
	"github.com/conchlock/conch/algo/ring"
	"github.com/conchlock/conch/internal/sim"
)

func each(t *testing.T, sizes []int, test func(t *testing.T, n int, b *algotest.Bench)) {
	t.Helper()
	algotest.EachBench(t, ring.New, sizes, test)
}

var sizes = []int{1, 2, 3, 5, 9}

// First contact costs no message, and a token that nobody wants rests (Martin):
// no message either.
func TestPaperRest(t *testing.T) {
	each(t, sizes, func(t *testing.T, _ int, b *algotest.Bench) {
		b.Rest()
		for range 3 {
			b.Request("a")
			b.Release("a")
			b.Rest()
		}
		if len(b.Entries) != 3 || b.Total() != 0 {
			t.Errorf("%d entries where the token rests, sent %v", len(b.Entries), b.Sent)
		}
	})
}

// Martin: a wish travels to the token, and the token travels back: 2d messages
// and 2d message delays, for a token that rests d hops away.
func TestPaperDistance(t *testing.T) {
	each(t, sizes, func(t *testing.T, n int, b *algotest.Bench) {
		names := sim.Names(n)
		at := 0 // where the token rests
		for step := range 3 * n {
			to := (at + step) % n
			d := (to - at + n) % n // hops of the token
			b.Reset()
			b.Request(names[to])
			if delay := b.Delay(); delay != 2*d {
				t.Errorf("%d hops took %d message delays, want %d", d, delay, 2*d)
			}
			b.Release(names[to])
			b.Rest()
			if len(b.Entries) != 1 || b.Sent["want"] != d || b.Sent["token"] != d || b.Total() != 2*d {
				t.Errorf("%d hops: sent %v, want %d each", d, b.Sent, d)
			}
			at = to
		}
	})
}

// Under full load an entry costs one wish and one hop, and everybody has its
// turn in the order of the ring (Le Lann).
func TestPaperFullLoad(t *testing.T) {
	each(t, []int{2, 3, 5, 9}, func(t *testing.T, n int, b *algotest.Bench) {
		b.FullLoad(3 * n)
		b.Reset()
		b.FullLoad(10 * n)
		if b.Total() != 2*10*n || b.Sent["token"] != 10*n {
			t.Errorf("%d entries took %d messages: %v", 10*n, b.Total(), b.Sent)
		}
		for i := n; i < len(b.Entries); i++ {
			if b.Entries[i] != b.Entries[i-n] {
				t.Fatalf("not in turn: %v", b.Entries)
			}
		}
	})
}

// From an exit to the next entry it takes as many message delays as there are
// hops to the next who waits.
func TestPaperDelay(t *testing.T) {
	each(t, []int{2, 3, 5, 9}, func(t *testing.T, n int, b *algotest.Bench) {
		names := sim.Names(n)
		for d := 1; d < n; d++ {
			at := slices.Index(names, restsAt(b, names))
			b.Request(names[at])
			b.Request(names[(at+d)%n])
			b.Rest() // the wish is known everywhere
			b.Release(names[at])
			if delay := b.Delay(); delay != d {
				t.Errorf("%d hops took %d message delays", d, delay)
			}
			b.Release(b.Inside())
		}
	})
}

// restsAt says where the token rests: with whoever entered last, or the first.
func restsAt(b *algotest.Bench, names []algo.PeerName) algo.PeerName {
	if len(b.Entries) == 0 {
		return names[0]
	}
	return b.Entries[len(b.Entries)-1]
}

// One wish is enough for all who wait behind it.
func TestPaperWishesAreAbsorbed(t *testing.T) {
	each(t, []int{3, 5, 9}, func(t *testing.T, n int, b *algotest.Bench) {
		b.Request("a")
		names := sim.Names(n)
		for _, p := range names[1:] {
			b.Request(p)
		}
		for b.Rest(); b.Inside() != ""; b.Rest() {
			b.Release(b.Inside())
		}
		if b.Sent["want"] != n-1 || b.Sent["token"] != n-1 || !slices.Equal(b.Entries, names) {
			t.Errorf("sent %v, entered %v", b.Sent, b.Entries)
		}
	})
}

// Who has passed a wish on, or given one up, asks no second time for itself.
func TestPaperAsksOnce(t *testing.T) {
	each(t, []int{3, 5, 9}, func(t *testing.T, n int, b *algotest.Bench) {
		b.Request("c")
		b.Round() // b passes the wish on
		b.Request("b")
		b.Cancel("b")
		b.Request("b")
		for b.Rest(); b.Inside() != ""; b.Rest() {
			b.Release(b.Inside())
		}
		if b.Sent["want"] != 2 || b.Sent["token"] != 2 {
			t.Errorf("two hops for two peers: sent %v", b.Sent)
		}
	})
}

// A wish that was given up: the token comes, and rests.
func TestPaperCancel(t *testing.T) {
	each(t, []int{2, 3, 5}, func(t *testing.T, n int, b *algotest.Bench) {
		b.Request("b")
		b.Cancel("b")
		b.Rest()
		b.Reset()
		b.Request("b")
		b.Release("b")
		if b.Total() != 0 {
			t.Errorf("the token did not come to rest at b: sent %v", b.Sent)
		}
	})
}

// What no peer sends is ignored: a token from the wrong side, a second token, a
// wish from the wrong side.
func TestIgnoresStrangers(t *testing.T) {
	first := ring.New("a", 1, []algo.PeerName{"b", "c"})
	second := ring.New("b", 1, []algo.PeerName{"a", "c"})
	for _, c := range []struct {
		what string
		m    algo.Machine
		from algo.PeerName
		msg  algo.Message
	}{
		{"a second token", first, "c", ring.Token{}},
		{"a token from behind", second, "c", ring.Token{}},
		{"a token from nobody", second, "z", ring.Token{}},
		{"a wish from the wrong side", first, "c", ring.Want{}},
		{"nothing", first, "b", nil},
	} {
		state := c.m.AppendState(nil)
		out := c.m.Step(algo.Input{Kind: algo.Receive, Time: 9, From: c.from, Message: c.msg}, nil)
		if len(out) > 0 || !slices.Equal(state, c.m.AppendState(nil)) {
			t.Errorf("%s: %v", c.what, out)
		}
	}
}
