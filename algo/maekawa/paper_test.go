package maekawa_test

import (
	"slices"
	"testing"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/algo/algotest"
	"github.com/conchlock/conch/algo/maekawa"
	"github.com/conchlock/conch/internal/sim"
)

func each(t *testing.T, sizes []int, test func(t *testing.T, n int, b *algotest.Bench)) {
	t.Helper()
	algotest.EachBench(t, maekawa.New, sizes, test)
}

// sizes has planes (3, 7, 13), full grids (4, 9) and others.
var sizes = []int{1, 2, 3, 4, 5, 7, 9, 13}

// others is K-1: how many other members the i-th of n peers' quorum has.
func others(i, n int) int { return len(maekawa.Quorum(i, n)) - 1 }

// First contact costs no message.
func TestPaperFirstContact(t *testing.T) {
	each(t, sizes, func(t *testing.T, _ int, b *algotest.Bench) {
		if b.Total() != 0 {
			t.Errorf("%d messages before anybody wants anything", b.Total())
		}
	})
}

// alone lets every peer in once, with nobody else there, and checks that it takes
// K-1 REQUEST, LOCKED and RELEASE each: so nothing is left of what was before.
func alone(t *testing.T, n int, b *algotest.Bench) {
	t.Helper()
	for i, p := range sim.Names(n) {
		b.Reset()
		b.Request(p)
		b.Rest()
		b.Release(p)
		b.Rest()
		k := others(i, n)
		if !slices.Equal(b.Entries, []algo.PeerName{p}) || b.Sent["request"] != k || b.Sent["locked"] != k || b.Sent["release"] != k || b.Total() != 3*k {
			t.Errorf("one entry of %s of %d peers, with %d others in its quorum: %v entered, sent %v", p, n, k, b.Entries, b.Sent)
		}
	}
}

// Message traffic, light load: 3(K-1).
func TestPaperMessagesLightLoad(t *testing.T) {
	each(t, sizes, func(t *testing.T, n int, b *algotest.Bench) {
		alone(t, n, b)
		alone(t, n, b)
	})
}

// Message traffic, heavy load: everybody wants the section at once, and nobody costs
// more than 6(K-1). Every request still costs REQUEST, LOCKED and RELEASE.
func TestPaperMessagesHeavyLoad(t *testing.T) {
	each(t, sizes, func(t *testing.T, n int, b *algotest.Bench) {
		sum := 0
		for i := range n {
			sum += others(i, n)
		}
		for range 3 {
			b.Reset()
			for _, p := range sim.Names(n) {
				b.Request(p)
			}
			drain(b)
			t.Logf("%d entries took %d messages, %.2f(K-1) each: %v", n, b.Total(), float64(b.Total())/float64(max(sum, 1)), b.Sent)
			if len(b.Entries) != n || b.Total() < 3*sum || b.Total() > 6*sum || b.Sent["request"] != sum || b.Sent["release"] != sum {
				t.Errorf("%d entries of %d peers took %d messages, want %d to %d: %v", len(b.Entries), n, b.Total(), 3*sum, 6*sum, b.Sent)
			}
		}
		alone(t, n, b)
	})
}

// drain lets everybody in who wants to.
func drain(b *algotest.Bench) {
	for b.Rest(); b.Inside() != ""; b.Rest() {
		b.Release(b.Inside())
	}
}

// Message traffic, full load: who comes finds somebody older, so an entry costs
// REQUEST, FAILED, LOCKED and RELEASE, 4(K-1).
func TestPaperMessagesFullLoad(t *testing.T) {
	each(t, []int{4, 7, 13}, func(t *testing.T, n int, b *algotest.Bench) {
		b.FullLoad(3 * n)
		b.Reset()
		b.FullLoad(30 * n)
		k := others(0, n) // as of everybody, with so many peers
		t.Logf("%d entries took %d messages, %.2f(K-1) each: %v", len(b.Entries), b.Total(), float64(b.Total())/float64(k*len(b.Entries)), b.Sent)
		if most := 4 * k * len(b.Entries); b.Total() > most || b.Total() < most*95/100 {
			t.Errorf("%d entries took %d messages, want %d: %v", len(b.Entries), b.Total(), most, b.Sent)
		}
	})
}

// Message traffic when requests come late to members that are locked for younger ones:
// that needs every kind of message, and still no more than 6(K-1).
func TestPaperMessagesAll(t *testing.T) {
	each(t, []int{4, 5, 9}, func(t *testing.T, n int, b *algotest.Bench) {
		sum := 0
		for i, p := range slices.Backward(sim.Names(n)) {
			sum += others(i, n)
			b.Request(p) // whoever has heard nothing yet asks with an older stamp
			b.Round()
		}
		drain(b)
		t.Logf("%d entries took %d messages, %.2f(K-1) each: %v", n, b.Total(), float64(b.Total())/float64(sum), b.Sent)
		if len(b.Entries) != n || b.Total() > 6*sum || b.Sent["inquire"] == 0 || b.Sent["relinquish"] == 0 {
			t.Errorf("%d entries took %d messages, want at most %d: %v", len(b.Entries), b.Total(), 6*sum, b.Sent)
		}
		alone(t, n, b)
	})
}

// Delay: an entry with nobody else there takes two message delays. From an exit to
// the next entry it takes two, by way of the member that both quorums have, or one
// if that is one of the two peers.
func TestPaperDelay(t *testing.T) {
	each(t, []int{3, 7, 13}, func(t *testing.T, n int, b *algotest.Bench) {
		for i, p := range sim.Names(n) {
			for j, q := range sim.Names(n) {
				if i == j {
					continue
				}
				b.Request(p)
				if d := b.Delay(); d != 2 {
					t.Errorf("an entry with nobody else there took %d message delays, want 2", d)
				}
				b.Request(q)
				b.Rest()
				want := 2
				if slices.Contains(maekawa.Quorum(i, n), j) || slices.Contains(maekawa.Quorum(j, n), i) {
					want = 1
				}
				b.Release(p)
				if d := b.Delay(); d != want {
					t.Errorf("from the exit of %s to the entry of %s it took %d message delays, want %d", p, q, d, want)
				}
				b.Release(q)
				b.Rest()
			}
		}
	})
}

// The oldest goes first: requests that everybody has heard of are served in the order
// of their stamps, equal ones in the order of names.
func TestPaperOrder(t *testing.T) {
	each(t, []int{4}, func(t *testing.T, _ int, b *algotest.Bench) {
		b.Request("a") // it is inside
		b.Rest()
		b.Request("d")
		b.Rest()
		b.Request("c") // it has heard of a's and d's
		b.Request("b") // and so has b
		b.Rest()
		b.Reset()
		b.Release("a")
		drain(b)
		if want := []algo.PeerName{"d", "b", "c"}; !slices.Equal(b.Entries, want) {
			t.Errorf("entered in the order %v, want %v", b.Entries, want)
		}
	})
}

// INQUIRE that comes to who is inside is answered by its RELEASE (the paper's receipt
// of INQUIRE).
func TestPaperInquireInside(t *testing.T) {
	each(t, []int{4}, func(t *testing.T, _ int, b *algotest.Bench) {
		b.Request("c")
		b.Rest() // c is inside; b has heard nothing
		b.Reset()
		b.Request("b") // as old, and before it by name
		b.Rest()
		if b.Inside() != "c" || b.Sent["inquire"] != 2 || b.Sent["relinquish"] > 0 {
			t.Errorf("%s is inside, sent %v", b.Inside(), b.Sent)
		}
		drain(b)
		alone(t, 4, b)
	})
}

// A request that is given up at any moment costs a RELEASE to each member and nobody
// an entry, and leaves nothing behind.
func TestPaperCancel(t *testing.T) {
	each(t, []int{2, 3, 4, 5, 7}, func(t *testing.T, n int, b *algotest.Bench) {
		names := sim.Names(n)
		for who, p := range names {
			for rounds := range 5 {
				first := names[(who+1)%n]
				b.Request(first) // the others come in between
				for i, o := range names {
					if o != first && (i+rounds)%2 == 0 || o == p {
						b.Request(o)
					}
				}
				for range rounds {
					b.Round()
				}
				if b.Inside() != p {
					released := b.Sent["release"]
					b.Cancel(p)
					if got, want := b.Sent["release"]-released, others(who, n); got != want {
						t.Errorf("%s gives up: %d releases, want %d", p, got, want)
					}
				}
				drain(b)
				alone(t, n, b)
			}
		}
	})
}

// What no peer sends is ignored: messages in another's name, of a stranger, of who is
// no member, answers to what nobody asked, a lock given back by who has not got it.
func TestIgnoresStrangers(t *testing.T) {
	m := maekawa.New("a", 1, []algo.PeerName{"b", "c", "d", "e", "f", "g"}) // quorum: a, b, d
	deliver := func(from algo.PeerName, msg algo.Message) []algo.Output {
		return m.Step(algo.Input{Kind: algo.Receive, Time: 9, From: from, Message: msg}, nil)
	}
	stamp := func(time algo.Time, p algo.PeerName) algo.Stamp {
		return algo.Stamp{Time: time, Peer: p, Incarnation: 1}
	}
	ignored := func(from algo.PeerName, msg algo.Message) {
		t.Helper()
		state := m.AppendState(nil)
		for _, o := range deliver(from, msg) {
			if o.Kind != algo.Note {
				t.Errorf("%v from %s: %v", msg, from, o)
			}
		}
		if !slices.Equal(state, m.AppendState(nil)) || m.Check() != nil {
			t.Errorf("%v from %s has changed something: %v", msg, from, m.Check())
		}
	}
	all := func(s algo.Stamp) []algo.Message {
		return []algo.Message{maekawa.Locked{Stamp: s}, maekawa.Failed{Stamp: s}, maekawa.Inquire{Stamp: s}, maekawa.Relinquish{Stamp: s}, maekawa.Release{Stamp: s}}
	}
	always := func() {
		t.Helper()
		ignored("b", nil)
		ignored("b", maekawa.Request{Stamp: stamp(1, "c")})
		ignored("z", maekawa.Request{Stamp: stamp(1, "z")})
		ignored("b", maekawa.Request{})
		for _, from := range []algo.PeerName{"b", "g", "z"} {
			for _, s := range []algo.Stamp{{}, stamp(4, "c"), stamp(5, "g"), stamp(1, "a")} {
				if s.Peer == from {
					continue
				}
				for _, msg := range all(s) {
					ignored(from, msg)
				}
			}
		}
	}
	always()
	m.Step(algo.Input{Kind: algo.Acquire, Time: 5}, nil) // 5.a, its own arbiter is locked for it
	always()
	for _, msg := range all(stamp(5, "a")) { // of who is no member
		ignored("g", msg)
	}
	deliver("b", maekawa.Locked{Stamp: stamp(5, "a")})
	ignored("b", maekawa.Locked{Stamp: stamp(5, "a")})
	ignored("b", maekawa.Failed{Stamp: stamp(5, "a")})
	ignored("d", maekawa.Inquire{Stamp: stamp(5, "a")}) // it is not locked yet
	deliver("f", maekawa.Request{Stamp: stamp(4, "f")})
	deliver("g", maekawa.Request{Stamp: stamp(6, "g")})
	always()
	ignored("f", maekawa.Request{Stamp: stamp(7, "f")}) // a second one
	ignored("f", maekawa.Relinquish{Stamp: stamp(4, "f")})
	m.Step(algo.Input{Kind: algo.Cancel, Time: 9}, nil) // f is next
	ignored("f", maekawa.Relinquish{Stamp: stamp(4, "f")})
	deliver("e", maekawa.Request{Stamp: stamp(3, "e")}) // f is asked
	for _, s := range []algo.Stamp{{}, stamp(3, "f"), stamp(6, "g"), stamp(3, "e")} {
		ignored("f", maekawa.Relinquish{Stamp: s})
	}
	ignored("g", maekawa.Relinquish{Stamp: stamp(4, "f")})
	ignored("f", maekawa.Release{Stamp: stamp(3, "f")})
	if out := deliver("f", maekawa.Relinquish{Stamp: stamp(4, "f")}); len(out) != 1 || out[0].To != "e" || out[0].Message.Kind() != "locked" {
		t.Errorf("f gives its lock back: %v", out)
	}
}
