package raymond_test

import (
	"slices"
	"testing"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/algo/algotest"
	"github.com/conchlock/conch/algo/raymond"
	"github.com/conchlock/conch/internal/sim"
)

func each(t *testing.T, sizes []int, test func(t *testing.T, n int, b *algotest.Bench)) {
	t.Helper()
	algotest.EachBench(t, raymond.New, sizes, test)
}

// eachIn is each for a tree of another shape.
func eachIn(t *testing.T, tree raymond.Tree, test func(t *testing.T, parents []int, b *algotest.Bench)) {
	t.Helper()
	algotest.EachBench(t, raymond.NewTree(tree), sizes, func(t *testing.T, n int, b *algotest.Bench) { test(t, tree(n), b) })
}

var sizes = []int{1, 2, 3, 5, 9, 15}

// moveTo lets a peer enter and leave, so that the privilege rests there.
func moveTo(b *algotest.Bench, p algo.PeerName) {
	b.Request(p)
	b.Rest()
	b.Release(p)
	b.Rest()
	b.Reset()
}

// serve lets everybody who waits enter and leave.
func serve(b *algotest.Bench) {
	for b.Rest(); b.Inside() != ""; b.Rest() {
		b.Release(b.Inside())
	}
}

// First contact costs no message, and where the privilege rests an entry costs
// none.
func TestPaperRest(t *testing.T) {
	each(t, sizes, func(t *testing.T, _ int, b *algotest.Bench) {
		b.Rest()
		for range 3 {
			b.Request("a")
			b.Release("a")
			b.Rest()
		}
		if len(b.Entries) != 3 || b.Total() != 0 {
			t.Errorf("%d entries where the privilege rests, sent %v", len(b.Entries), b.Sent)
		}
	})
}

// Light load: as many REQUESTs as there are hops to the privilege, and as many
// PRIVILEGEs back; the worst case is twice the diameter.
func lightLoad(t *testing.T, parents []int, b *algotest.Bench) {
	names, most := sim.Names(len(parents)), 0
	for from := range names {
		for to := range names {
			d := hops(parents, from, to)
			moveTo(b, names[from])
			b.Request(names[to])
			if delay := b.Delay(); delay != 2*d {
				t.Errorf("%d hops took %d message delays, want %d", d, delay, 2*d)
			}
			b.Release(names[to])
			b.Rest()
			if len(b.Entries) != 1 || b.Sent["request"] != d || b.Sent["privilege"] != d || b.Total() != 2*d {
				t.Errorf("%d hops: sent %v, want %d each", d, b.Sent, d)
			}
			most = max(most, b.Total())
		}
	}
	if most != 2*diameter(parents) {
		t.Errorf("the dearest entry took %d messages, the diameter is %d", most, diameter(parents))
	}
}

func TestPaperLightLoadBinary(t *testing.T) { eachIn(t, raymond.Binary, lightLoad) }
func TestPaperLightLoadLine(t *testing.T)   { eachIn(t, raymond.Line, lightLoad) }
func TestPaperLightLoadStar(t *testing.T)   { eachIn(t, raymond.Star, lightLoad) }

// Heavy load: for N entries the privilege crosses each of the N-1 edges twice,
// and each crossing has had its request: 4(N-1) messages, "approximately four"
// an entry, whatever the shape of the tree. And everybody enters once in N
// entries.
func fullLoad(t *testing.T, parents []int, b *algotest.Bench) {
	const rounds = 10
	n := len(parents)
	b.FullLoad(4 * n)
	b.Reset()
	b.FullLoad(rounds * n)
	want := rounds * 4 * (n - 1)
	if got := b.Total(); got != want || b.Sent["privilege"] != want/2 {
		t.Errorf("%d entries of %d peers took %d messages, want %d: %v", len(b.Entries), n, got, want, b.Sent)
	}
	for i := n; i < len(b.Entries); i++ {
		if b.Entries[i] != b.Entries[i-n] {
			t.Fatalf("not in turn: %v", b.Entries)
		}
	}
}

func TestPaperFullLoadBinary(t *testing.T) { eachIn(t, raymond.Binary, fullLoad) }
func TestPaperFullLoadLine(t *testing.T)   { eachIn(t, raymond.Line, fullLoad) }
func TestPaperFullLoadStar(t *testing.T)   { eachIn(t, raymond.Star, fullLoad) }

// Synchronization delay: from an exit to the next entry it takes as many message
// delays as there are hops to the next who waits.
func TestPaperDelay(t *testing.T) {
	each(t, sizes, func(t *testing.T, n int, b *algotest.Bench) {
		names, parents := sim.Names(n), raymond.Binary(n)
		for from := range names {
			for to := range names {
				if from == to {
					continue
				}
				moveTo(b, names[from])
				b.Request(names[from])
				b.Request(names[to])
				b.Rest() // the request is known on the whole way
				b.Release(names[from])
				if d, delay := hops(parents, from, to), b.Delay(); delay != d {
					t.Errorf("%d hops took %d message delays", d, delay)
				}
				b.Release(names[to])
			}
		}
	})
}

// Each queue is served in the order in which it was joined, and a neighbour
// stands in it for all behind it: d and e wait at b, c at a. First come is first
// served at each peer, but not in the whole tree.
func TestPaperOrder(t *testing.T) {
	each(t, []int{5, 9}, func(t *testing.T, _ int, b *algotest.Bench) {
		b.Request("a")
		for _, p := range []algo.PeerName{"d", "c", "e"} {
			b.Request(p)
			b.Rest()
		}
		serve(b)
		if want := []algo.PeerName{"a", "d", "e", "c"}; !slices.Equal(b.Entries, want) {
			t.Errorf("entered in the order %v, want %v", b.Entries, want)
		}
	})
}

// A peer that has asked for one neighbour asks no second time for another, or
// for itself: one REQUEST crosses an edge for one PRIVILEGE.
func TestPaperAsksOnce(t *testing.T) {
	each(t, []int{5, 9}, func(t *testing.T, _ int, b *algotest.Bench) {
		b.Request("a")
		for _, p := range []algo.PeerName{"d", "e", "b"} {
			b.Request(p)
			b.Rest()
		}
		if b.Sent["request"] != 3 { // d to b, e to b, b to a
			t.Errorf("three who wait behind b: sent %v", b.Sent)
		}
		serve(b)
		// The privilege goes a b d b e b; after b d, b wants it back.
		if b.Sent["request"] != 5 || b.Sent["privilege"] != 5 {
			t.Errorf("sent %v", b.Sent)
		}
	})
}

// A request that is given up at any moment of its way: the privilege comes all
// the same, once, and rests; or a new wish gets it, without asking again.
func TestPaperCancel(t *testing.T) {
	each(t, []int{2, 3, 5, 9}, func(t *testing.T, n int, b *algotest.Bench) {
		names, parents := sim.Names(n), raymond.Binary(n)
		for from := range names {
			for to := range names {
				d := hops(parents, from, to)
				for moment := range 2 * d {
					for _, again := range []bool{false, true} {
						moveTo(b, names[from])
						giveUp(b, names[to], moment)
						if again {
							b.Request(names[to])
						}
						b.Rest()
						if !again {
							b.Request(names[to])
						}
						b.Release(names[to])
						b.Rest()
						if len(b.Entries) != 1 || b.Total() != 2*d {
							t.Errorf("%d hops, given up after %d delays, again at once %t: entered %v, sent %v", d, moment, again, b.Entries, b.Sent)
						}
					}
				}
			}
		}
	})
}

// giveUp lets a peer ask, and give up when so many message delays have passed.
func giveUp(b *algotest.Bench, p algo.PeerName, moment int) {
	b.Request(p)
	for range moment {
		b.Round()
	}
	b.Cancel(p)
}

// Who gives up is in nobody's way: whoever asks at the same time gets in,
// whether the privilege comes past the one who gave up or not.
func TestPaperCancelBetween(t *testing.T) {
	each(t, []int{3, 5, 9}, func(t *testing.T, n int, b *algotest.Bench) {
		names, parents := sim.Names(n), raymond.Binary(n)
		for from := range names {
			for to := range names {
				for other := range names {
					if to == other || from == to {
						continue
					}
					for moment := range 2 * hops(parents, from, to) {
						moveTo(b, names[from])
						b.Request(names[other])
						giveUp(b, names[to], moment)
						serve(b)
						if !slices.Equal(b.Entries, []algo.PeerName{names[other]}) {
							t.Errorf("from %d, given up by %d after %d delays: %v entered, want %d", from, to, moment, b.Entries, other)
						}
					}
				}
			}
		}
	})
}

// What no peer sends is ignored: a second privilege, one that nobody asked for
// or that comes from the wrong side, a request from afar, from where the
// privilege is, or the same one twice.
func TestIgnoresStrangers(t *testing.T) {
	b := func(inputs ...algo.Input) algo.Machine { // between a and d, e
		m := raymond.New("b", 1, []algo.PeerName{"a", "c", "d", "e"})
		for i, in := range inputs {
			in.Time = algo.Time(i + 1)
			m.Step(in, nil)
		}
		return m
	}
	wants := algo.Input{Kind: algo.Acquire}
	from := func(p algo.PeerName, m algo.Message) algo.Input {
		return algo.Input{Kind: algo.Receive, From: p, Message: m}
	}
	for _, c := range []struct {
		what string
		m    algo.Machine
		in   algo.Input
	}{
		{"a privilege that nobody asked for", b(), from("a", raymond.Privilege{})},
		{"a privilege from the wrong side", b(wants), from("d", raymond.Privilege{})},
		{"a privilege from nobody", b(wants), from("z", raymond.Privilege{})},
		{"a privilege from itself", b(wants, from("a", raymond.Privilege{})), from("b", raymond.Privilege{})},
		{"a second privilege", b(wants, from("a", raymond.Privilege{})), from("a", raymond.Privilege{})},
		{"a request from afar", b(), from("c", raymond.Request{})},
		{"a request from nobody", b(), from("z", raymond.Request{})},
		{"a request from itself", b(), from("b", raymond.Request{})},
		{"a request from where the privilege is", b(), from("a", raymond.Request{})},
		{"a second request", b(from("d", raymond.Request{})), from("d", raymond.Request{})},
		{"nothing", b(), from("a", nil)},
	} {
		state := c.m.AppendState(nil)
		c.in.Time = 9
		out := c.m.Step(c.in, nil)
		if len(out) > 0 || !slices.Equal(state, c.m.AppendState(nil)) || c.m.Check() != nil {
			t.Errorf("%s: %v, %v", c.what, out, c.m.Check())
		}
	}
}

// A peer that the privilege has passed is not idle: dropped, it would look for
// the privilege in the wrong direction, or make a second one.
func TestIdle(t *testing.T) {
	a := raymond.New("a", 1, []algo.PeerName{"b"})
	b := raymond.New("b", 1, []algo.PeerName{"a"})
	step := func(m algo.Machine, in algo.Input) {
		in.Time = 1
		m.Step(in, nil)
	}
	if !a.Idle() || !b.Idle() {
		t.Error("not idle at first")
	}
	step(b, algo.Input{Kind: algo.Acquire})
	step(b, algo.Input{Kind: algo.Cancel})
	step(a, algo.Input{Kind: algo.Receive, From: "b", Message: raymond.Request{}})
	if a.Idle() || b.Idle() {
		t.Errorf("idle while the privilege is on its way: %t, %t", a.Idle(), b.Idle())
	}
	step(b, algo.Input{Kind: algo.Receive, From: "a", Message: raymond.Privilege{}})
	if a.Idle() || b.Idle() {
		t.Errorf("idle when the privilege rests elsewhere than at first: %t, %t", a.Idle(), b.Idle())
	}
	step(a, algo.Input{Kind: algo.Acquire})
	step(b, algo.Input{Kind: algo.Receive, From: "a", Message: raymond.Request{}})
	step(a, algo.Input{Kind: algo.Receive, From: "b", Message: raymond.Privilege{}})
	step(a, algo.Input{Kind: algo.Release})
	if !a.Idle() || !b.Idle() {
		t.Errorf("not idle when all is as it was: %t, %t", a.Idle(), b.Idle())
	}
}
