package node_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/algo/roster"
	"github.com/conchlock/conch/internal/node"
	"github.com/conchlock/conch/internal/trace"
	"github.com/conchlock/conch/internal/transport/memory"
)

// cluster is peers on a network in memory. It is made inside a synctest bubble,
// where time is virtual.
type cluster struct {
	t         *testing.T
	algorithm string
	network   *memory.Network
	names     []algo.PeerName
	nodes     map[algo.PeerName]*node.Node
	clocks    map[algo.PeerName]*ceiling
	events    map[algo.PeerName]*recorder
	started   algo.Incarnation
}

func newCluster(t *testing.T, algorithm string, n int) *cluster {
	c := &cluster{
		t:         t,
		algorithm: algorithm,
		nodes:     make(map[algo.PeerName]*node.Node),
		clocks:    make(map[algo.PeerName]*ceiling),
		events:    make(map[algo.PeerName]*recorder),
	}
	for i := range n {
		c.names = append(c.names, algo.PeerName(rune('a'+i)))
	}
	c.network = memory.NewNetwork(1, c.names...)
	for _, name := range c.names {
		c.clocks[name] = &ceiling{}
		c.events[name] = &recorder{}
		c.start(name)
	}
	return c
}

// start starts the next incarnation of a peer.
func (c *cluster) start(name algo.PeerName) {
	c.t.Helper()
	c.started++
	others := slices.DeleteFunc(slices.Clone(c.names), func(o algo.PeerName) bool { return o == name })
	process, err := roster.New(c.algorithm)
	if err != nil {
		c.t.Fatal(err)
	}
	links := c.network.Config(name, c.started)
	links.Clock = c.clocks[name].Start()
	transport, err := c.network.TransportWith(links)
	if err != nil {
		c.t.Fatal(err)
	}
	c.nodes[name], err = node.Start(node.Config{
		Self:        name,
		Incarnation: c.started,
		Peers:       others,
		Process:     process(algo.Setup{Self: name, Incarnation: c.started, Others: others}),
		Transport:   transport,
		Recorder:    c.events[name],
		Clock:       c.clocks[name],
	})
	if err != nil {
		c.t.Fatal(err)
	}
}

// crash takes a peer off the network, as kill -9 does, and cleans up after it.
func (c *cluster) crash(name algo.PeerName) {
	c.network.Crash(name)
	c.nodes[name].Close()
}

func (c *cluster) close() {
	c.t.Helper()
	var wg sync.WaitGroup
	for _, name := range c.names {
		wg.Go(func() {
			if err := c.nodes[name].Close(); err != nil {
				c.t.Errorf("close %s: %v", name, err)
			}
		})
	}
	wg.Wait()
}

// ceiling is a node.Ceiling without a disk.
type ceiling struct {
	mu   sync.Mutex
	safe algo.Time
	fail error
}

func (c *ceiling) Start() algo.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.safe
}

func (c *ceiling) Raise(t algo.Time) (algo.Time, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fail != nil {
		return 0, c.fail
	}
	c.safe = t + 1000
	return c.safe, nil
}

// recorder keeps events as lines.
type recorder struct {
	mu    sync.Mutex
	lines []string
}

func (r *recorder) Record(e *trace.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	line := fmt.Sprintf("%d %s", e.Clock, e.Kind)
	if e.Lock != "" {
		line += " " + e.Lock
	}
	if m := e.Message; m != nil {
		line += fmt.Sprintf(" %s %s>%s", m.Kind, m.From, m.To)
	}
	if e.Token != 0 {
		line += fmt.Sprintf(" token=%d", e.Token)
	}
	if e.Reason != "" {
		line += ": " + e.Reason
	}
	r.lines = append(r.lines, line)
}

func (r *recorder) Flush() {}

// find returns the recorded lines that match.
func (r *recorder) find(match func(line string) bool) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []string
	for _, line := range r.lines {
		if match(line) {
			found = append(found, line)
		}
	}
	return found
}
