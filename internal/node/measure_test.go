package node_test

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/algo/roster"
	"github.com/conchlock/conch/internal/node"
	"github.com/conchlock/conch/internal/trace"
	"github.com/conchlock/conch/internal/transport/memory"
)

// counter keeps events as they are, and may do without words.
type counter struct {
	wordless bool

	mu     sync.Mutex
	events []trace.Event
}

func (c *counter) Wordless() bool { return c.wordless }
func (c *counter) Flush()         {}
func (c *counter) Record(e *trace.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	kept := *e
	if e.Message != nil {
		m := *e.Message
		m.Fields = slices.Clone(m.Fields)
		kept.Message = &m
	}
	c.events = append(c.events, kept)
}

// of returns the events of one kind.
func (c *counter) of(kind trace.Kind) (list []trace.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.events {
		if e.Kind == kind {
			list = append(list, e)
		}
	}
	return list
}

// counted starts peers whose events are counted.
func counted(t *testing.T, algorithm string, c *counter, names ...algo.PeerName) (nodes []*node.Node) {
	network := memory.NewNetwork(1, names...)
	for _, name := range names {
		process, err := roster.New(algorithm)
		if err != nil {
			t.Fatal(err)
		}
		others := slices.DeleteFunc(slices.Clone(names), func(o algo.PeerName) bool { return o == name })
		n, err := node.Start(node.Config{
			Setup: algo.Setup{Self: name, Incarnation: 1, Others: others, Voters: names, TTL: algo.Duration(ttl), Linger: algo.Duration(ttl) / 4},
			New:   process, Clock: clock(), Memory: &disk{}, Transport: network.Transport(name, 1), Recorder: c,
		})
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, n)
	}
	return nodes
}

func closeAll(t *testing.T, nodes []*node.Node) {
	for _, n := range nodes {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A recorder that wants no words gets none, and all the rest.
func TestWordless(t *testing.T) {
	for _, algorithm := range roster.Names() {
		for _, wordless := range []bool{true, false} {
			bubble(t, algorithm, func(t *testing.T) {
				c := &counter{wordless: wordless}
				nodes := counted(t, algorithm, c, "a", "b")
				for _, n := range nodes {
					h, err := n.Acquire(t.Context(), "x", node.About{})
					if err != nil {
						t.Fatal(err)
					}
					h.Release()
				}
				synctest.Wait()
				closeAll(t, nodes)
				words := 0
				for _, e := range slices.Concat(c.of(trace.Send), c.of(trace.Receive)) {
					words += len(e.Message.Fields)
				}
				for _, e := range c.of(trace.Enter) {
					words += len(e.Reason)
				}
				if sent := len(c.of(trace.Send)); sent == 0 || sent < len(c.of(trace.Receive)) || len(c.of(trace.Enter)) != 2 {
					t.Errorf("%d sent, %d received, %d entered", sent, len(c.of(trace.Receive)), len(c.of(trace.Enter)))
				}
				if wordless != (words == 0) {
					t.Errorf("wordless is %v, and there are %d words", wordless, words)
				}
			})
		}
	}
}

// Events say for how long somebody was inside, and, if somebody waited here, how
// long it took until he was.
func TestMeasuresHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counter{wordless: true}
		nodes := counted(t, "relay", c, "a", "b")
		defer closeAll(t, nodes)
		const stayed = 500 * time.Millisecond
		stay := func(n *node.Node, d time.Duration) {
			h, err := n.Acquire(t.Context(), "x", node.About{})
			if err != nil {
				t.Error(err)
				return
			}
			wait(d)
			h.Release()
		}
		stay(nodes[0], time.Second)
		wait(time.Second)
		stay(nodes[0], 2*time.Second) // nobody had waited
		var wg sync.WaitGroup
		for _, i := range []int{0, 1, 0} { // b's turn is between two of a's
			wg.Go(func() { stay(nodes[i], stayed) })
			synctest.Wait()
			wait(10 * time.Millisecond)
		}
		wg.Wait()
		var held, handoffs []time.Duration
		for _, e := range c.of(trace.Exit) {
			held = append(held, e.Took.Round(10*time.Millisecond))
		}
		if want := []time.Duration{time.Second, 2 * time.Second, stayed, stayed, stayed}; !slices.Equal(held, want) {
			t.Errorf("held for %v, want %v", held, want)
		}
		for _, e := range c.of(trace.Enter) {
			handoffs = append(handoffs, e.Took.Round(10*time.Millisecond))
		}
		if want := []time.Duration{0, 0, 0, 0, stayed}; !slices.Equal(handoffs, want) {
			t.Errorf("handoffs took %v, want %v", handoffs, want)
		}
	})
}

// A handoff from one caller to the next at a peer takes something, however little.
func TestMeasuresLocalHandoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counter{wordless: true}
		nodes := counted(t, "relay", c, "a")
		defer closeAll(t, nodes)
		h, err := nodes[0].Acquire(t.Context(), "x", node.About{})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if h, err := nodes[0].Acquire(t.Context(), "x", node.About{}); err == nil {
				h.Release()
			}
		})
		synctest.Wait()
		h.Release()
		wg.Wait()
		enters := c.of(trace.Enter)
		if len(enters) != 2 || enters[0].Took != 0 || enters[1].Took <= 0 || enters[1].Took > time.Millisecond {
			t.Errorf("entered with %+v", enters)
		}
	})
}

// A renewal says what was left of the lease, and a loss for how long the hold lasted.
func TestMeasuresLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counter{wordless: true}
		var l *lessor
		n, err := node.Start(node.Config{
			Setup: algo.Setup{Self: "a", Incarnation: 1, TTL: algo.Duration(ttl)},
			New:   func(s algo.Setup) algo.Process { l = newLessor(s); return l },
			Clock: clock(), Memory: &disk{}, Transport: memory.NewNetwork(1, "a").Transport("a", 1), Recorder: c,
		})
		if err != nil {
			t.Fatal(err)
		}
		defer closeAll(t, []*node.Node{n})
		l.renews.Store(true)
		if _, err := n.Acquire(t.Context(), "x", node.About{}); err != nil {
			t.Fatal(err)
		}
		wait(ttl + ttl/4)
		l.renews.Store(false)
		wait(2 * ttl)
		if e := c.of(trace.Extend); len(e) != 2 || e[0].Took != ttl/2 || e[1].Took != ttl/2 || e[0].Lease != ttl {
			t.Errorf("extended with %+v", e)
		}
		if e := c.of(trace.Lost); len(e) != 1 || e[0].Took != 2*ttl {
			t.Errorf("lost with %+v", e)
		}
	})
}
