package lamport_test

import (
	"slices"
	"testing"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/algo/algotest"
	"github.com/conchlock/conch/algo/lamport"
	"github.com/conchlock/conch/internal/sim"
)

func each(t *testing.T, sizes []int, test func(t *testing.T, n int, b *algotest.Bench)) {
	t.Helper()
	algotest.EachBench(t, lamport.New, sizes, test)
}

var sizes = []int{1, 2, 3, 5, 9}

// leaveAll lets whoever is inside leave until nobody comes any more.
func leaveAll(b *algotest.Bench) {
	for b.Rest(); b.Inside() != ""; b.Rest() {
		b.Release(b.Inside())
	}
}

// wantSent checks how many messages of each kind so many entries took: N-1.
func wantSent(t *testing.T, b *algotest.Bench, n, entries int) {
	t.Helper()
	each := entries * (n - 1)
	if len(b.Entries) != entries || b.Total() != 3*each || b.Sent["request"] != each || b.Sent["ack"] != each || b.Sent["release"] != each {
		t.Errorf("%d peers, %v entered, sent %v, want %d of each kind", n, b.Entries, b.Sent, each)
	}
}

// First contact costs no message.
func TestPaperFirstContact(t *testing.T) {
	each(t, sizes, func(t *testing.T, _ int, b *algotest.Bench) {
		if b.Total() != 0 {
			t.Errorf("%d messages before anybody wants anything", b.Total())
		}
	})
}

// Rules 1 to 3: an entry takes 3(N-1) messages with nobody else there.
func TestPaperMessagesLightLoad(t *testing.T) {
	each(t, sizes, func(t *testing.T, n int, b *algotest.Bench) {
		for _, p := range append(sim.Names(n), "a", "a") {
			b.Reset()
			b.Request(p)
			leaveAll(b)
			wantSent(t, b, n, 1)
		}
	})
}

// It takes as many when everybody wants the section at once, and when everybody
// wants it all the time.
func TestPaperMessagesHeavyLoad(t *testing.T) {
	each(t, sizes, func(t *testing.T, n int, b *algotest.Bench) {
		for range 3 {
			b.Reset()
			for _, p := range sim.Names(n) {
				b.Request(p)
			}
			leaveAll(b)
			wantSent(t, b, n, n)
		}
		b.Reset()
		b.FullLoad(10 * n)
		leaveAll(b)
		wantSent(t, b, n, len(b.Entries)) // and those that still wanted it
	})
}

// Condition II: requests are granted in the order in which they were made, and
// those that know nothing of each other in the order of the clocks and names.
func TestPaperOrder(t *testing.T) {
	each(t, []int{4}, func(t *testing.T, _ int, b *algotest.Bench) {
		b.Request("c") // stamp 4.c: three contacts, and this
		b.Request("b") // 4.b, at the same time
		b.Rest()
		b.Request("a") // both know of c's and b's; a's is younger
		b.Request("d")
		leaveAll(b)
		if want := []algo.PeerName{"b", "c", "a", "d"}; !slices.Equal(b.Entries, want) {
			t.Errorf("entered in the order %v, want %v", b.Entries, want)
		}
	})
}

// The paper's example against a central scheduler: one process asks, tells a
// third about it, and that one's request is the first to reach the scheduler. A
// scheduler would grant it first. Here the order is kept.
func TestPaperScheduler(t *testing.T) {
	each(t, []int{3}, func(t *testing.T, _ int, b *algotest.Bench) {
		b.Request("b")
		b.Deliver("b", "c")
		b.Request("c")
		b.Deliver("c", "a") // a has yet to hear of b's
		leaveAll(b)
		if want := []algo.PeerName{"b", "c"}; !slices.Equal(b.Entries, want) {
			t.Errorf("entered in the order %v, want %v", b.Entries, want)
		}
	})
}

// The paper's example of anomalous behavior: who asks, and then tells somebody by
// telephone, who asks in turn, may be second. The clocks know nothing of the
// call.
func TestPaperAnomaly(t *testing.T) {
	each(t, []int{3}, func(t *testing.T, _ int, b *algotest.Bench) {
		b.Request("a") // a's clock is ahead
		b.Cancel("a")
		b.Request("a")
		b.Request("b") // after the call
		leaveAll(b)
		if want := []algo.PeerName{"b", "a"}; !slices.Equal(b.Entries, want) {
			t.Errorf("entered in the order %v, want %v", b.Entries, want)
		}
	})
}

// From an exit to the next entry it takes one message delay, and from a request
// to an entry with nobody else there, two.
func TestPaperDelay(t *testing.T) {
	each(t, []int{2, 3, 5, 9}, func(t *testing.T, n int, b *algotest.Bench) {
		b.Request("a")
		if d := b.Delay(); d != 2 {
			t.Errorf("an entry with nobody else there took %d message delays, want 2", d)
		}
		for _, p := range sim.Names(n)[1:] {
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

// Rule 5, ii: who has heard from all but one waits for that one, and any later
// message will do: with a request that is younger there is no need for the ack.
func TestPaperLaterMessage(t *testing.T) {
	each(t, []int{3}, func(t *testing.T, _ int, b *algotest.Bench) {
		b.Request("a")
		b.Deliver("a", "b")
		b.Deliver("b", "a")
		if b.Inside() != "" {
			t.Errorf("%s is inside before it has heard from c", b.Inside())
		}
		b.Request("c")
		b.Cancel("c") // and its clock goes on
		b.Request("c")
		b.Deliver("c", "a")
		b.Deliver("c", "a")
		if b.Inside() != "a" {
			t.Errorf("%q is inside; c has sent a later message to a", b.Inside())
		}
		leaveAll(b)
	})
}

// A cancel is a release, at every moment, and costs nobody an entry.
func TestPaperCancel(t *testing.T) {
	moments := []struct {
		what   string
		held   bool // a is inside
		rounds int  // that pass between b's request and its cancel
	}{
		{"before anybody has heard of the request", false, 0},
		{"before the acks have come", false, 1},
		{"with the section taken, before anybody has heard", true, 0},
		{"with the section taken, before the acks have come", true, 1},
		{"with the section taken, second in every queue", true, 2},
	}
	each(t, []int{2, 3, 5}, func(t *testing.T, n int, b *algotest.Bench) {
		last := sim.Names(n)[n-1]
		for _, c := range moments {
			if c.held {
				b.Request("a")
				b.Rest()
			}
			b.Request("b")
			for range c.rounds {
				b.Round()
			}
			b.Reset()
			b.Cancel("b")
			if b.Sent["release"] != n-1 || b.Total() != n-1 {
				t.Errorf("%s: a cancel sent %v", c.what, b.Sent)
			}
			if n > 2 {
				b.Request(last)
			}
			b.Request("b") // with old acks on their way
			leaveAll(b)
			if !slices.Contains(b.Entries, "b") || !slices.Contains(b.Entries, last) {
				t.Errorf("%s: then entered %v", c.what, b.Entries)
			}
			b.Reset()
			b.Request("b")
			leaveAll(b)
			wantSent(t, b, n, 1)
		}
	})
}

// What no peer sends is ignored: a request in another's name, a message from a
// stranger, an ack that nobody waits for, a release of nothing.
func TestIgnoresStrangers(t *testing.T) {
	m := lamport.New("a", 1, []algo.PeerName{"b", "c"})
	state := m.AppendState(nil)
	for _, in := range []algo.Input{
		{From: "b", Message: lamport.Request{Stamp: algo.Stamp{Time: 1, Peer: "c"}}},
		{From: "z", Message: lamport.Request{Stamp: algo.Stamp{Time: 1, Peer: "z"}}},
		{From: "a", Message: lamport.Request{Stamp: algo.Stamp{Time: 1, Peer: "a"}}},
		{From: "b", Message: lamport.Ack{Time: algo.MaxTime}},
		{From: "b", Message: lamport.Release{}},
		{From: "b"},
	} {
		in.Kind, in.Time = algo.Receive, 9
		for _, o := range m.Step(in, nil) {
			if o.Kind != algo.Note {
				t.Errorf("%v: %v", in, o)
			}
		}
		if !slices.Equal(state, m.AppendState(nil)) {
			t.Errorf("%v has changed something", in)
		}
	}
}

// A broken local contract is a mistake in this program.
func TestMisuse(t *testing.T) {
	others := []algo.PeerName{"b"}
	waiting := lamport.New("a", 1, others)
	waiting.Step(algo.Input{Kind: algo.Acquire, Time: 1}, nil)
	for _, c := range []struct {
		what algo.InputKind
		m    algo.Machine
	}{
		{algo.Cancel, lamport.New("a", 1, others)},
		{algo.Release, lamport.New("a", 1, others)},
		{algo.Acquire, waiting},
		{algo.Release, waiting},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s was taken", c.what)
				}
			}()
			c.m.Step(algo.Input{Kind: c.what, Time: 2}, nil)
		}()
	}
}
