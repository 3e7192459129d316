package naimitrehel_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/algo/algotest"
	"github.com/conchlock/conch/algo/naimitrehel"
	"github.com/conchlock/conch/internal/sim"
)

func each(t *testing.T, sizes []int, test func(t *testing.T, n int, b *algotest.Bench)) {
	t.Helper()
	algotest.EachBench(t, naimitrehel.New, sizes, test)
}

var sizes = []int{1, 2, 3, 5, 9, 15}

// serve lets everybody who waits enter and leave.
func serve(b *algotest.Bench) {
	for b.Rest(); b.Inside() != ""; b.Rest() {
		b.Release(b.Inside())
	}
}

// enter lets a peer enter and leave, and counts the messages of that alone.
func enter(b *algotest.Bench, p algo.PeerName) {
	b.Reset()
	b.Request(p)
	b.Rest()
	b.Release(p)
	b.Rest()
}

// First contact costs no message, and where the token rests an entry costs
// none: the least there is.
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

// At first everybody knows where the token is. A request goes straight to it,
// and the token straight back.
func TestPaperDirect(t *testing.T) {
	each(t, []int{2, 3, 5, 9, 15}, func(t *testing.T, n int, b *algotest.Bench) {
		last := sim.Names(n)[n-1]
		b.Request(last)
		if d := b.Delay(); d != 2 {
			t.Errorf("it took %d message delays", d)
		}
		if b.Sent["request"] != 1 || b.Sent["token"] != 1 || b.Total() != 2 {
			t.Errorf("sent %v", b.Sent)
		}
	})
}

// The worst case: the request passes every peer, N-1 messages, and the token
// comes, one. On its way it turns the path round: then everybody knows who asked
// last, and the next request goes straight there.
func TestPaperPathReversal(t *testing.T) {
	each(t, []int{2, 3, 5, 9, 15}, func(t *testing.T, n int, b *algotest.Bench) {
		names := sim.Names(n)
		for _, p := range names[1:] {
			b.Request(p) // at the same time: each is sent to the one before it
		}
		serve(b)
		enter(b, "a") // now the path is b, c, d and so on to the last, and a
		if b.Total() != 2 {
			t.Errorf("a asks the last one: sent %v", b.Sent)
		}
		b.Reset()
		b.Request("b")
		if d := b.Delay(); d != n {
			t.Errorf("the longest path took %d message delays, want %d", d, n)
		}
		b.Release("b")
		if b.Sent["request"] != n-1 || b.Sent["token"] != 1 || b.Total() != n {
			t.Errorf("the longest path: sent %v, want %d and 1", b.Sent, n-1)
		}
		last := names[n-1]
		if enter(b, last); n > 2 && b.Total() != 2 || b.Sent["request"] > 1 {
			t.Errorf("the path was not turned round: %s sent %v", last, b.Sent)
		}
	})
}

// Light load: requests come one after the other, each from any peer with equal
// probability. Their mean number of messages is H(N-1), the harmonic number (the
// paper has O(log N); C. Lavault, LNCS 634, 1992, exactly this); the bound here is
// 5 % over and under. None takes more than N.
func TestPaperMessagesLightLoad(t *testing.T) {
	each(t, sizes, func(t *testing.T, n int, b *algotest.Bench) {
		const entries = 5000
		rng, names := rand.New(rand.NewPCG(1, uint64(n))), sim.Names(n)
		sum, most := 0, 0
		for range entries {
			enter(b, names[rng.IntN(n)])
			sum += b.Total()
			most = max(most, b.Total())
		}
		harmonic := 0.0
		for i := 1; i < n; i++ {
			harmonic += 1 / float64(i)
		}
		mean := float64(sum) / entries
		t.Logf("%d peers: %.3f messages an entry, H(N-1) is %.3f, at most %d", n, mean, harmonic, most)
		if math.Abs(mean-harmonic) > 0.05*harmonic || most > n {
			t.Errorf("%d peers: %.3f messages an entry, want %.3f; at most %d", n, mean, harmonic, most)
		}
	})
}

// heavyBound bounds the mean number of messages under a load of any kind: a path that
// is turned round has log2(N) steps in the long run (D. Ginat, D. D. Sleator and R. E.
// Tarjan, Information Processing Letters 31, 1989), and the token is one more.
func heavyBound(n int) float64 { return math.Log2(float64(n)) + 1 }

// Heavy load: everybody wants the section all the time.
func TestPaperFullLoad(t *testing.T) {
	each(t, sizes, func(t *testing.T, n int, b *algotest.Bench) {
		b.FullLoad(4 * n)
		b.Reset()
		entries := 40 * n
		b.FullLoad(entries)
		mean := float64(b.Total()) / float64(entries)
		t.Logf("%d peers: %.3f messages an entry", n, mean)
		if mean > heavyBound(n) {
			t.Errorf("%d peers: %.3f messages an entry, the bound is %.3f", n, mean, heavyBound(n))
		}
		if n > 1 && b.Sent["token"] != entries {
			t.Errorf("the token was sent %d times for %d entries", b.Sent["token"], entries)
		}
	})
}

// A load by chance, from light to heavy, with requests that cross each other.
func TestPaperMessagesAnyLoad(t *testing.T) {
	each(t, sizes, func(t *testing.T, n int, b *algotest.Bench) {
		const entries = 1000
		rng, names := rand.New(rand.NewPCG(2, uint64(n))), sim.Names(n)
		for _, percent := range []int{5, 10, 50} {
			b.Reset()
			waits := make([]bool, n)
			for turns := 0; len(b.Entries) < entries; turns++ {
				if turns > 100*entries {
					t.Fatalf("%d peers: after %d turns there were only %d entries", n, turns, len(b.Entries))
				}
				if i := rng.IntN(n); !waits[i] && rng.IntN(100) < percent {
					waits[i] = true
					b.Request(names[i])
				}
				if rng.IntN(2) == 0 {
					b.Round()
				}
				if in := b.Inside(); in != "" && rng.IntN(3) == 0 {
					waits[slices.Index(names, in)] = false
					b.Release(in)
				}
			}
			mean := float64(b.Total()) / entries
			t.Logf("%d peers, %d %%: %.3f messages an entry", n, percent, mean)
			if mean > heavyBound(n) {
				t.Errorf("%d peers, %d %%: %.3f messages an entry, the bound is %.3f", n, percent, mean, heavyBound(n))
			}
			serve(b)
		}
	})
}

// Synchronization delay: one message, from who leaves to who enters.
func TestPaperDelay(t *testing.T) {
	each(t, []int{2, 3, 5, 9, 15}, func(t *testing.T, n int, b *algotest.Bench) {
		names := sim.Names(n)
		b.Request("a")
		for _, p := range names[1:] {
			b.Request(p)
		}
		b.Rest()
		for range n - 1 {
			b.Release(b.Inside())
			if d := b.Delay(); d != 1 {
				t.Errorf("from an exit to the next entry it took %d message delays, want 1", d)
			}
		}
	})
}

// Requests are served in the order in which they reach the end of the queue,
// whoever makes them.
func TestPaperOrder(t *testing.T) {
	each(t, []int{4, 9}, func(t *testing.T, _ int, b *algotest.Bench) {
		order := []algo.PeerName{"b", "d", "a", "c"}
		for _, p := range order {
			b.Request(p)
			b.Rest()
		}
		serve(b)
		if !slices.Equal(b.Entries, order) {
			t.Errorf("entered in the order %v, want %v", b.Entries, order)
		}
	})
}

// A request that is given up at any moment of its way: the token comes all the
// same, once, and rests; or a new wish gets it, without asking again.
func TestPaperCancel(t *testing.T) {
	each(t, []int{2, 3, 5, 9}, func(t *testing.T, n int, b *algotest.Bench) {
		names := sim.Names(n)
		for from := range names {
			for to := range names {
				for moment := range 2 {
					for _, again := range []bool{false, true} {
						enter(b, names[to])
						enter(b, names[from]) // to asks from directly now
						if from == to {
							continue
						}
						b.Reset()
						b.Request(names[to])
						for range moment {
							b.Round()
						}
						b.Cancel(names[to])
						if again {
							b.Request(names[to])
						}
						b.Rest()
						if !again {
							b.Request(names[to])
						}
						b.Release(names[to])
						b.Rest()
						if len(b.Entries) != 1 || b.Sent["request"] != 1 || b.Sent["token"] != 1 {
							t.Errorf("given up after %d delays, again at once %t: entered %v, sent %v", moment, again, b.Entries, b.Sent)
						}
					}
				}
			}
		}
	})
}

// Who gives up stays in the queue, and the token goes on from there to the next.
func TestPaperCancelInQueue(t *testing.T) {
	each(t, []int{4, 9}, func(t *testing.T, _ int, b *algotest.Bench) {
		for _, gaveUp := range []algo.PeerName{"b", "c", "d"} {
			enter(b, "a")
			b.Reset()
			order := []algo.PeerName{"a", "b", "c", "d"}
			for _, p := range order {
				b.Request(p)
				b.Rest()
			}
			b.Cancel(gaveUp)
			serve(b)
			want := slices.DeleteFunc(order, func(p algo.PeerName) bool { return p == gaveUp })
			if !slices.Equal(b.Entries, want) || b.Sent["token"] != 3 {
				t.Errorf("%s gave up: %v entered, sent %v", gaveUp, b.Entries, b.Sent)
			}
		}
	})
}

// Who gives up and wants the section again before the token has come has its
// old place in the queue, also if somebody has taken the place behind it.
func TestPaperCancelAndAgain(t *testing.T) {
	each(t, []int{4, 9}, func(t *testing.T, _ int, b *algotest.Bench) {
		order := []algo.PeerName{"a", "b", "c", "d"}
		for _, p := range order[:3] {
			b.Request(p)
			b.Rest()
		}
		b.Cancel("b")
		b.Cancel("c")
		b.Request("d")
		b.Rest()
		sent := b.Total()
		b.Request("c")
		b.Request("b")
		b.Rest()
		if b.Total() != sent {
			t.Errorf("asked twice: sent %v", b.Sent)
		}
		serve(b)
		if !slices.Equal(b.Entries, order) || b.Sent["token"] != 3 {
			t.Errorf("%v entered, sent %v", b.Entries, b.Sent)
		}
	})
}

// What no peer sends is ignored: a token that nobody asked for, or a second one,
// a request in the name of a stranger, of this peer, or of who asked last.
func TestIgnoresStrangers(t *testing.T) {
	b := func(inputs ...algo.Input) algo.Machine {
		m := naimitrehel.New("b", 1, []algo.PeerName{"a", "c"})
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
	token := from("a", naimitrehel.Token{})
	for _, c := range []struct {
		what string
		m    algo.Machine
		in   algo.Input
	}{
		{"a token that nobody asked for", b(), token},
		{"a second token", b(wants, token), token},
		{"a token from nobody", b(wants), from("z", naimitrehel.Token{})},
		{"a request from nobody", b(), from("z", naimitrehel.Request{Peer: "c"})},
		{"a request of nobody", b(), from("a", naimitrehel.Request{Peer: "z"})},
		{"a request of no name", b(), from("a", naimitrehel.Request{})},
		{"its own request", b(wants), from("a", naimitrehel.Request{Peer: "b"})},
		{"a request of who asked last", b(), from("c", naimitrehel.Request{Peer: "a"})},
		{"a request of who is next", b(wants, from("c", naimitrehel.Request{Peer: "c"})), from("a", naimitrehel.Request{Peer: "c"})},
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

// A peer that has given the token away, or has got it, is not idle: dropped, it
// would take the token for lost or make a second one.
func TestIdle(t *testing.T) {
	a := naimitrehel.New("a", 1, []algo.PeerName{"b", "c"})
	b := naimitrehel.New("b", 1, []algo.PeerName{"a", "c"})
	step := func(m algo.Machine, in algo.Input) {
		in.Time = 1
		m.Step(in, nil)
	}
	if !a.Idle() || !b.Idle() {
		t.Error("not idle at first")
	}
	step(b, algo.Input{Kind: algo.Acquire})
	step(b, algo.Input{Kind: algo.Cancel})
	step(a, algo.Input{Kind: algo.Receive, From: "b", Message: naimitrehel.Request{Peer: "b"}})
	if a.Idle() || b.Idle() {
		t.Errorf("idle while the token is on its way: %t, %t", a.Idle(), b.Idle())
	}
	step(b, algo.Input{Kind: algo.Receive, From: "a", Message: naimitrehel.Token{}})
	if a.Idle() || b.Idle() {
		t.Errorf("idle when the token rests elsewhere than at first: %t, %t", a.Idle(), b.Idle())
	}
	step(a, algo.Input{Kind: algo.Acquire})
	step(b, algo.Input{Kind: algo.Receive, From: "a", Message: naimitrehel.Request{Peer: "a"}})
	step(a, algo.Input{Kind: algo.Receive, From: "b", Message: naimitrehel.Token{}})
	step(a, algo.Input{Kind: algo.Release})
	if !a.Idle() || !b.Idle() {
		t.Errorf("not idle when all is as it was: %t, %t", a.Idle(), b.Idle())
	}
}
