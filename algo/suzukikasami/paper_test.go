package suzukikasami_test

import (
	"slices"
	"testing"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/algo/algotest"
	"github.com/conchlock/conch/algo/suzukikasami"
	"github.com/conchlock/conch/internal/sim"
)

func each(t *testing.T, sizes []int, test func(t *testing.T, n int, b *algotest.Bench)) {
	t.Helper()
	algotest.EachBench(t, suzukikasami.New, sizes, test)
}

var sizes = []int{1, 2, 3, 5, 9}

// leaveAll lets whoever is inside leave until nobody comes any more.
func leaveAll(b *algotest.Bench) {
	for b.Rest(); b.Inside() != ""; b.Rest() {
		b.Release(b.Inside())
	}
}

// wantSent checks what was sent: N-1 requests and a token for each time that the
// token was asked for.
func wantSent(t *testing.T, b *algotest.Bench, n, asked int) {
	t.Helper()
	if b.Sent["request"] != asked*(n-1) || b.Sent["token"] != asked || b.Total() != asked*n {
		t.Errorf("%d peers, %v entered, sent %v, want %d tokens", n, b.Entries, b.Sent, asked)
	}
}

// First contact costs no message, and an entry where the token rests costs none.
func TestPaperRest(t *testing.T) {
	each(t, sizes, func(t *testing.T, n int, b *algotest.Bench) {
		b.Rest()
		for _, p := range sim.Names(n) {
			b.Request(p) // brings the token, unless it is there
			leaveAll(b)
			b.Reset()
			for range 3 {
				b.Request(p)
				b.Release(p)
				b.Rest()
			}
			if len(b.Entries) != 3 || b.Total() != 0 {
				t.Errorf("%d entries where the token rests, sent %v", len(b.Entries), b.Sent)
			}
		}
	})
}

// An entry takes N messages where the token does not rest.
func TestPaperMessagesLightLoad(t *testing.T) {
	each(t, sizes, func(t *testing.T, n int, b *algotest.Bench) {
		names := sim.Names(n)
		for i := range 3 * n {
			b.Reset()
			b.Request(names[i%n])
			leaveAll(b)
			if i == 0 || n == 1 { // the token starts at a
				wantSent(t, b, n, 0)
			} else {
				wantSent(t, b, n, 1)
			}
		}
	})
}

// It takes as many when everybody wants the section at once, and when everybody
// wants it all the time.
func TestPaperMessagesHeavyLoad(t *testing.T) {
	each(t, sizes, func(t *testing.T, n int, b *algotest.Bench) {
		rests := algo.PeerName("a")
		for range 3 {
			b.Reset()
			for _, p := range sim.Names(n) {
				b.Request(p)
			}
			leaveAll(b)
			if len(b.Entries) != n || b.Entries[0] != rests {
				t.Errorf("%v entered; the token was at %s", b.Entries, rests)
			}
			wantSent(t, b, n, n-1) // it is there for one of them
			rests = b.Entries[n-1]
		}
		if n == 1 {
			return
		}
		b.FullLoad(3 * n)
		b.Reset()
		b.FullLoad(10 * n)
		wantSent(t, b, n, 10*n)
	})
}

// Those who are queued go in the order of the queue, before all who are not yet.
func TestPaperOrder(t *testing.T) {
	each(t, []int{4}, func(t *testing.T, _ int, b *algotest.Bench) {
		b.Request("a")
		b.Request("d")
		b.Rest()
		b.Request("c")
		b.Rest()
		b.Release("a") // which queues c and d
		b.Rest()
		b.Request("a")
		b.Request("b")
		leaveAll(b)
		if want := []algo.PeerName{"a", "c", "d", "a", "b"}; !slices.Equal(b.Entries, want) {
			t.Errorf("entered in the order %v, want %v", b.Entries, want)
		}
	})
}

// No starvation: when everybody wants the section all the time, everybody has
// its turn.
func TestPaperTurns(t *testing.T) {
	each(t, []int{2, 3, 5, 9}, func(t *testing.T, n int, b *algotest.Bench) {
		b.FullLoad(3 * n)
		b.Reset()
		b.FullLoad(10 * n)
		for i := n; i < len(b.Entries); i++ {
			if b.Entries[i] != b.Entries[i-n] {
				t.Fatalf("not in turn: %v", b.Entries)
			}
		}
	})
}

// From an exit to the next entry it takes one message delay, and from a request
// to an entry with nobody else there, two.
func TestPaperDelay(t *testing.T) {
	each(t, []int{2, 3, 5, 9}, func(t *testing.T, n int, b *algotest.Bench) {
		b.Request("b")
		if d := b.Delay(); d != 2 {
			t.Errorf("an entry with nobody else there took %d message delays, want 2", d)
		}
		for _, p := range sim.Names(n) {
			if p != "b" {
				b.Request(p)
			}
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

// A request that arrives after it was served is outdated: its number is in LN.
// Nothing comes of it, whether its receiver has the token at rest or is inside.
func TestPaperOutdated(t *testing.T) {
	each(t, []int{3}, func(t *testing.T, _ int, b *algotest.Bench) {
		for _, inside := range []bool{true, false} {
			b.Request("a") // brings the token here
			leaveAll(b)
			b.Request("b")
			b.Deliver("b", "a")
			b.Deliver("a", "b")
			b.Release("b")
			b.Request("a")
			b.Deliver("a", "b")
			b.Deliver("b", "a")
			b.Release("a")
			b.Request("c")
			b.Deliver("c", "a")
			b.Deliver("a", "c") // a's request
			b.Deliver("a", "c") // the token; b's request is still on its way to c
			if !inside {
				b.Release("c")
			}
			b.Reset()
			b.Deliver("b", "c")
			leaveAll(b)
			if b.Total() != 0 {
				t.Errorf("an outdated request was answered: %v", b.Sent)
			}
		}
	})
}

// A request can be given up at every moment: the token comes once, in vain, and
// goes on or rests; nobody sends it there again.
func TestPaperCancel(t *testing.T) {
	moments := []struct {
		what   string
		held   bool // a is inside, and leaves after the cancel
		rounds int  // that pass between b's request and its cancel
		left   bool // a leaves before the cancel
	}{
		{"before anybody has heard of the request", false, 0, false},
		{"with the token on its way", false, 1, false},
		{"with the section taken, before anybody has heard", true, 0, false},
		{"with the section taken, known to everybody", true, 1, false},
		{"after the exit, with the token on its way", true, 1, true},
	}
	each(t, []int{2, 3, 5}, func(t *testing.T, n int, b *algotest.Bench) {
		last := sim.Names(n)[n-1]
		for _, c := range moments {
			for _, others := range []bool{false, n > 2} { // somebody waits behind b, who gives up
				b.Request("a")
				b.Rest()
				if !c.held {
					b.Release("a")
				}
				b.Reset()
				b.Request("b")
				asked, rests := 1, algo.PeerName("b")
				if others {
					b.Request(last)
					asked, rests = 2, last
				}
				for range c.rounds {
					b.Round()
				}
				if c.left {
					b.Release("a")
				}
				b.Cancel("b")
				leaveAll(b)
				wantSent(t, b, n, asked)

				b.Reset()
				b.Request(rests)
				leaveAll(b)
				if b.Total() != 0 {
					t.Errorf("%s: the token did not come to rest at %s: sent %v", c.what, rests, b.Sent)
				}
			}
		}
	})
}

// Who wants the section again before the token has come needs no new request.
func TestPaperAsksOnce(t *testing.T) {
	each(t, []int{2, 3, 5}, func(t *testing.T, n int, b *algotest.Bench) {
		for rounds := range 2 {
			b.Request("a")
			leaveAll(b)
			b.Reset()
			b.Request("b")
			for range rounds {
				b.Round()
			}
			b.Cancel("b")
			b.Request("b")
			b.Cancel("b")
			b.Request("b")
			leaveAll(b)
			wantSent(t, b, n, 1)
			if !slices.Equal(b.Entries, []algo.PeerName{"b"}) {
				t.Errorf("%v entered", b.Entries)
			}
		}
	})
}

// What no peer sends is ignored: a second token, one that was not asked for,
// one that names nobody who is there, a request from a stranger.
func TestIgnoresStrangers(t *testing.T) {
	others := []algo.PeerName{"b", "c"}
	first := suzukikasami.New("a", 1, others)
	second := suzukikasami.New("b", 1, []algo.PeerName{"a", "c"})
	asking := suzukikasami.New("b", 1, []algo.PeerName{"a", "c"})
	asking.Step(algo.Input{Kind: algo.Acquire, Time: 1}, nil)
	for _, c := range []struct {
		what string
		m    algo.Machine
		from algo.PeerName
		msg  algo.Message
	}{
		{"a second token", first, "c", suzukikasami.Token{}},
		{"a token that was not asked for", second, "a", suzukikasami.Token{}},
		{"a token from nobody", asking, "z", suzukikasami.Token{}},
		{"a token from oneself", asking, "b", suzukikasami.Token{}},
		{"a token that has served nobody", asking, "a", suzukikasami.Token{Served: []suzukikasami.Served{{Peer: "z", Number: 1}}}},
		{"a token for nobody", asking, "a", suzukikasami.Token{Queue: []algo.PeerName{"z"}}},
		{"a token that comes twice", asking, "a", suzukikasami.Token{Queue: []algo.PeerName{"c", "c"}}},
		{"a token that goes round", asking, "a", suzukikasami.Token{Queue: []algo.PeerName{"b"}}},
		{"a request from nobody", first, "z", suzukikasami.Request{Number: 1}},
		{"a request that was never made", first, "b", suzukikasami.Request{}},
		{"nothing", first, "b", nil},
	} {
		state := c.m.AppendState(nil)
		for _, o := range c.m.Step(algo.Input{Kind: algo.Receive, Time: 9, From: c.from, Message: c.msg}, nil) {
			if o.Kind != algo.Note {
				t.Errorf("%s: %v", c.what, o)
			}
		}
		if !slices.Equal(state, c.m.AppendState(nil)) {
			t.Errorf("%s has changed something", c.what)
		}
	}
}

// Only who has nothing to remember may be forgotten: not who has heard of a
// request, nor who has the token and is not the first, nor the first without.
func TestIdle(t *testing.T) {
	a := suzukikasami.New("a", 1, []algo.PeerName{"b", "c"})
	b := suzukikasami.New("b", 1, []algo.PeerName{"a", "c"})
	c := suzukikasami.New("c", 1, []algo.PeerName{"a", "b"})
	idle := func(when string, want ...bool) {
		t.Helper()
		for i, m := range []algo.Machine{a, b, c} {
			if m.Idle() != want[i] {
				t.Errorf("%s: %c is idle: %t", when, 'a'+i, m.Idle())
			}
		}
	}
	idle("new", true, true, true)
	a.Step(algo.Input{Kind: algo.Acquire, Time: 1}, nil)
	idle("a inside", false, true, true)
	a.Step(algo.Input{Kind: algo.Release, Time: 2}, nil)
	idle("a was inside", true, true, true)
	asks := b.Step(algo.Input{Kind: algo.Acquire, Time: 1}, nil)
	b.Step(algo.Input{Kind: algo.Cancel, Time: 2}, nil)
	idle("b gave up", true, false, true)
	c.Step(algo.Input{Kind: algo.Receive, Time: 3, From: "b", Message: asks[1].Message}, nil)
	idle("c has heard", true, false, false)
	token := a.Step(algo.Input{Kind: algo.Receive, Time: 3, From: "b", Message: asks[0].Message}, nil)
	b.Step(algo.Input{Kind: algo.Receive, Time: 4, From: "a", Message: token[0].Message}, nil)
	idle("the token is at b", false, false, false)
}

// A broken local contract is a mistake in this program.
func TestMisuse(t *testing.T) {
	others := []algo.PeerName{"a"}
	waiting := suzukikasami.New("b", 1, others)
	waiting.Step(algo.Input{Kind: algo.Acquire, Time: 1}, nil)
	for _, c := range []struct {
		what algo.InputKind
		m    algo.Machine
	}{
		{algo.Cancel, suzukikasami.New("b", 1, others)},
		{algo.Release, suzukikasami.New("b", 1, others)},
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
