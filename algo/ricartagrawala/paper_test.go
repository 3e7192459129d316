package ricartagrawala_test

import (
	"slices"
	"testing"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/algo/algotest"
	"github.com/conchlock/conch/algo/ricartagrawala"
	"github.com/conchlock/conch/internal/sim"
)

func each(t *testing.T, sizes []int, test func(t *testing.T, n int, b *algotest.Bench)) {
	t.Helper()
	algotest.EachBench(t, ricartagrawala.New, sizes, test)
}

var sizes = []int{1, 2, 3, 5, 9}

// First contact costs no message.
func TestPaperFirstContact(t *testing.T) {
	each(t, sizes, func(t *testing.T, _ int, b *algotest.Bench) {
		if b.Total() != 0 {
			t.Errorf("%d messages before anybody wants anything", b.Total())
		}
	})
}

// Message traffic: an entry takes N-1 requests and N-1 replies, with nobody else
// there.
func TestPaperMessagesLightLoad(t *testing.T) {
	each(t, sizes, func(t *testing.T, n int, b *algotest.Bench) {
		for range 3 {
			b.Reset()
			b.Request("a")
			b.Rest()
			b.Release("a")
			b.Rest()
			if len(b.Entries) != 1 || b.Sent["request"] != n-1 || b.Sent["reply"] != n-1 || b.Total() != 2*(n-1) {
				t.Errorf("one entry of %d peers: %v entered, sent %v", n, b.Entries, b.Sent)
			}
		}
	})
}

// Message traffic: it takes as many when everybody wants the section at once.
func TestPaperMessagesHeavyLoad(t *testing.T) {
	each(t, sizes, func(t *testing.T, n int, b *algotest.Bench) {
		for range 3 {
			b.Reset()
			for _, p := range sim.Names(n) {
				b.Request(p)
			}
			for b.Rest(); b.Inside() != ""; b.Rest() {
				b.Release(b.Inside())
			}
			if len(b.Entries) != n || b.Total() != n*2*(n-1) {
				t.Errorf("%d entries of %d peers took %d messages: %v", len(b.Entries), n, b.Total(), b.Sent)
			}
		}
	})
}

// No starvation: requests are served in the order of their sequence
// numbers, equal ones in the order of names.
func TestPaperOrder(t *testing.T) {
	each(t, []int{4}, func(t *testing.T, _ int, b *algotest.Bench) {
		b.Request("c") // stamp 4.c: three contacts, and this
		b.Request("b") // 4.b, at the same time
		b.Rest()
		b.Request("a") // both know of c's and b's; a's is younger
		b.Request("d")
		for b.Rest(); b.Inside() != ""; b.Rest() {
			b.Release(b.Inside())
		}
		if want := []algo.PeerName{"b", "c", "a", "d"}; !slices.Equal(b.Entries, want) {
			t.Errorf("entered in the order %v, want %v", b.Entries, want)
		}
	})
}

// The process that receives requests: who is inside, or has the older request, holds its reply back
// until it leaves; then it answers all at once.
func TestPaperDeferral(t *testing.T) {
	each(t, []int{3, 5}, func(t *testing.T, n int, b *algotest.Bench) {
		b.Request("a")
		b.Rest()
		b.Reset()
		for _, p := range sim.Names(n)[1:] {
			b.Request(p)
		}
		b.Rest()
		if b.Inside() != "a" || len(b.Entries) > 0 {
			t.Fatalf("%v entered while a is inside", b.Entries)
		}
		b.Reset()
		b.Release("a")
		if b.Sent["reply"] != n-1 || b.Total() != n-1 {
			t.Errorf("a leaves, and sends %v", b.Sent)
		}
	})
}

// Delay: from an exit to the next entry it takes one message delay, and
// from a request to an entry with nobody else there, two.
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

// Nobody is told of a cancel, and it costs nobody an entry.
func TestPaperCancel(t *testing.T) {
	each(t, []int{2, 3, 5}, func(t *testing.T, n int, b *algotest.Bench) {
		b.Request("a")
		b.Rest()
		b.Request("b")
		b.Rest()
		b.Reset()
		b.Cancel("b")
		b.Rest()
		if b.Total() != 0 {
			t.Errorf("a cancel sent %v", b.Sent)
		}
		b.Release("a")
		b.Rest()
		b.Request("b")
		b.Rest()
		if b.Inside() != "b" {
			t.Errorf("b gave up once, and %q is inside", b.Inside())
		}
	})
}

// What no peer sends is ignored: a request in another's name, a message from a
// stranger, a reply that nobody waits for.
func TestIgnoresStrangers(t *testing.T) {
	m := ricartagrawala.New("a", 1, []algo.PeerName{"b", "c"})
	state := m.AppendState(nil)
	for _, in := range []algo.Input{
		{From: "b", Message: ricartagrawala.Request{Stamp: algo.Stamp{Time: 1, Peer: "c"}}},
		{From: "z", Message: ricartagrawala.Request{Stamp: algo.Stamp{Time: 1, Peer: "z"}}},
		{From: "b", Message: ricartagrawala.Reply{}},
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
