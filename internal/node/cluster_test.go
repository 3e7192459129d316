package node_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

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
	voters    []algo.PeerName // nil: all vote, and it is closed
	clock     func() algo.Instant
	nodes     map[algo.PeerName]*node.Node
	disks     map[algo.PeerName]*disk
	events    map[algo.PeerName]*recorder
	started   algo.Incarnation
}

// newCluster starts n peers. If voters are named, it is open: the others come and go.
func newCluster(t *testing.T, algorithm string, n int, voters ...algo.PeerName) *cluster {
	c := &cluster{
		t:         t,
		voters:    voters,
		algorithm: algorithm,
		clock:     clock(),
		nodes:     make(map[algo.PeerName]*node.Node),
		disks:     make(map[algo.PeerName]*disk),
		events:    make(map[algo.PeerName]*recorder),
	}
	for i := range n {
		c.names = append(c.names, algo.PeerName(rune('a'+i)))
	}
	c.network = memory.NewNetwork(1, c.names...)
	for _, name := range c.names {
		c.disks[name] = &disk{}
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
	links.Clock = c.disks[name].Start()
	voters := c.names
	if c.voters != nil {
		voters, links.Open, links.Votes = c.voters, true, map[algo.PeerName]int{name: 0}
		for _, v := range voters {
			links.Votes[v] = 1
		}
		others = slices.DeleteFunc(others, func(o algo.PeerName) bool { return !slices.Contains(voters, o) })
	}
	transport, err := c.network.TransportWith(links)
	if err != nil {
		c.t.Fatal(err)
	}
	setup := algo.Setup{
		Self: name, Incarnation: c.started, Others: others,
		Voters: voters, Open: c.voters != nil, TTL: algo.Duration(links.TTL), Linger: algo.Duration(links.TTL) / 4, Drift: 1000,
	}
	c.disks[name].load(&setup)
	c.nodes[name], err = node.Start(node.Config{
		Setup:     setup,
		New:       process,
		Clock:     c.clock,
		Memory:    c.disks[name],
		Transport: transport,
		Recorder:  c.events[name],
	})
	if err != nil {
		c.t.Fatal(err)
	}
}

// crash takes a peer off the network, as kill -9 does, and cleans up after it.
func (c *cluster) crash(name algo.PeerName) {
	c.network.Crash(name)
	c.nodes[name].Close()
	c.disks[name].load(&algo.Setup{}) // a crash keeps no promises
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

// clock returns a clock that starts now. In a bubble its time is virtual.
func clock() func() algo.Instant {
	start := time.Now()
	return func() algo.Instant { return algo.Instant(time.Since(start)) }
}

// disk is a node.Memory without a disk.
type disk struct {
	mu       sync.Mutex
	safe     algo.Time
	floor    algo.Token
	promises []algo.Promise
	kept     bool
	fail     error
	slow     func() // called while the floor is raised
}

func (d *disk) Start() algo.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.safe
}

func (d *disk) Raise(t algo.Time) (algo.Time, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return 0, d.fail
	}
	d.safe = t + 1000
	return d.safe, nil
}

func (d *disk) RaiseFloor(t algo.Token) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return d.fail
	}
	if d.slow != nil {
		d.slow()
	}
	d.floor = max(d.floor, t)
	return nil
}

func (d *disk) Keep(promises []algo.Promise, _ algo.Instant) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return d.fail
	}
	d.promises, d.kept = promises, true
	return nil
}

func (d *disk) setSlow(slow func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.slow = slow
}

// load tells a new incarnation what the last one has left, once.
func (d *disk) load(s *algo.Setup) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s.Floor, s.Kept, s.Promises = d.floor, d.kept, d.promises
	d.kept, d.promises = false, nil
}

// breakDown makes everything fail from now on.
func (d *disk) breakDown(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = err
}

// recorder keeps events as lines.
type recorder struct {
	mu    sync.Mutex
	lines []string
	slow  func() // called while events are handed on
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
		if m.Upkeep {
			line += " (upkeep)"
		}
	}
	if e.Token != 0 {
		line += fmt.Sprintf(" token=%d", e.Token)
	}
	if e.Reason != "" {
		line += ": " + e.Reason
	}
	r.lines = append(r.lines, line)
}

// count says in how many events something occurs.
func (r *recorder) count(text string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, line := range r.lines {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

func (r *recorder) Flush() {
	r.mu.Lock()
	slow := r.slow
	r.mu.Unlock()
	if slow != nil {
		slow()
	}
}

func (r *recorder) setSlow(slow func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.slow = slow
}

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
