// Package memory carries links within one process: the same protocol as over
// gRPC, with streams that are channels. It does no I/O and waits only on
// channels and timers, so it runs in testing/synctest bubbles, where its
// delays take no time; and a Network can be cut, stalled and healed at will.
package memory

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/node"
	"github.com/conchlock/conch/internal/transport/link"
)

// Network is where transports find each other by name.
type Network struct {
	seed  uint64
	peers []algo.PeerName

	mu       sync.Mutex
	rand     *rand.Rand
	delayMin time.Duration
	delayMax time.Duration
	live     map[string]*Transport // by address
	unlisted map[algo.PeerName]bool
	ways     map[way]*wayState // those that differ from a new one
}

// way is a direction of dialing. What is done to it befalls the streams that
// from dials to to, with all that goes over them in either direction.
type way struct{ from, to algo.PeerName }

type wayState struct {
	cut     bool
	stalled chan struct{} // closed when the stall ends; nil without one
	budget  int           // frames and packets until the stream breaks; negative is no limit
	streams map[*stream]bool
}

// NewNetwork returns a network for the given peers. The seed decides delays and
// pauses, as far as goroutines leave that to chance.
func NewNetwork(seed uint64, peers ...algo.PeerName) *Network {
	return &Network{
		seed:     seed,
		peers:    peers,
		rand:     rand.New(rand.NewPCG(seed, 0)),
		live:     make(map[string]*Transport),
		unlisted: make(map[algo.PeerName]bool),
		ways:     make(map[way]*wayState),
	}
}

// Config returns what Transport makes a peer's transport with, to be varied.
func (n *Network) Config(name algo.PeerName, incarnation algo.Incarnation) link.Config {
	votes := make(map[algo.PeerName]int)
	for _, p := range n.peers {
		votes[p] = 1
	}
	return link.Config{
		Self:        name,
		Incarnation: incarnation,
		Votes:       votes,
		Cluster:     "memory",
		Algorithm:   "any",
		TTL:         5 * time.Second,
		Seed:        n.seed + uint64(incarnation),
	}
}

// Unlist makes a peer one that nobody reaches by its name alone: Locate must say
// where it is.
func (n *Network) Unlist(name algo.PeerName) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.unlisted[name] = true
}

// Transport returns a transport for an incarnation of a peer. Once started, it
// is whom others reach under that name.
func (n *Network) Transport(name algo.PeerName, incarnation algo.Incarnation) *Transport {
	t, err := n.TransportWith(n.Config(name, incarnation))
	if err != nil {
		panic(fmt.Sprintf("memory: %v", err))
	}
	return t
}

// TransportWith is Transport with a configuration of one's own.
func (n *Network) TransportWith(cfg link.Config) (*Transport, error) {
	t := &Transport{network: n, self: cfg.Self, addr: Address(cfg.Self)}
	var err error
	t.links, err = link.New(cfg, t)
	return t, err
}

// wayLocked returns the state of a way.
func (n *Network) wayLocked(from, to algo.PeerName) *wayState {
	w := n.ways[way{from, to}]
	if w == nil {
		w = &wayState{budget: -1, streams: make(map[*stream]bool)}
		n.ways[way{from, to}] = w
	}
	return w
}

var (
	errCut     = errors.New("connection reset")
	errRefused = errors.New("connection refused")
)

// SetDelay makes every frame take between lo and hi, in order.
func (n *Network) SetDelay(lo, hi time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.delayMin, n.delayMax = lo, hi
}

// Cut breaks the streams that from dials to to, and lets it dial no more.
// What was under way is lost. The other direction is another Cut.
func (n *Network) Cut(from, to algo.PeerName) {
	n.mu.Lock()
	defer n.mu.Unlock()
	w := n.wayLocked(from, to)
	w.cut = true
	w.breakStreams()
}

// CutAfter breaks the stream that from dials to to once, after as many more
// frames and packets: a frame that does not fit is lost as a whole. The stream
// may be dialed again at once.
func (n *Network) CutAfter(from, to algo.PeerName, units int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.wayLocked(from, to).budget = units
}

// Stall holds up all that goes over streams that from dials to to, and nobody
// is told.
func (n *Network) Stall(from, to algo.PeerName) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if w := n.wayLocked(from, to); w.stalled == nil {
		w.stalled = make(chan struct{})
	}
}

// Heal ends Cut, CutAfter and Stall.
func (n *Network) Heal(from, to algo.PeerName) {
	n.mu.Lock()
	defer n.mu.Unlock()
	w := n.wayLocked(from, to)
	w.cut, w.budget = false, -1
	if w.stalled != nil {
		close(w.stalled)
		w.stalled = nil
	}
}

// Crash takes a peer off the network as kill -9 does: its streams break, what
// was under way is lost, nobody reaches it. Its transport must still be closed.
func (n *Network) Crash(name algo.PeerName) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if t := n.live[Address(name)]; t != nil {
		t.crashed = true
		delete(n.live, t.addr)
	}
	for w, state := range n.ways {
		if w.from == name || w.to == name {
			state.breakStreams()
		}
	}
}

func (w *wayState) breakStreams() {
	for s := range w.streams {
		s.fail(errCut)
		delete(w.streams, s)
	}
}

// Transport is a node.Transport on a Network.
type Transport struct {
	network *Network
	self    algo.PeerName
	addr    string
	links   *link.Transport
	crashed bool // guarded by network.mu
}

// Address returns where a peer is found under its name.
func Address(name algo.PeerName) string { return "memory:" + string(name) }

// Hide lets the transport be found at another address than under its name. It is
// called before Start.
func (t *Transport) Hide(addr string) { t.addr = addr }

// Addr returns where the transport is found.
func (t *Transport) Addr() string { return t.addr }

var _ node.Transport = (*Transport)(nil)

// Start implements node.Transport.
func (t *Transport) Start(h node.Handler) error {
	if err := t.links.Start(h); err != nil {
		return err
	}
	t.network.mu.Lock()
	defer t.network.mu.Unlock()
	if t.network.live[t.addr] != nil {
		panic(fmt.Sprintf("memory: two transports are started at %s at one time", t.addr))
	}
	t.network.live[t.addr] = t
	return nil
}

// Close implements node.Transport.
func (t *Transport) Close() error {
	err := t.links.Close()
	t.network.mu.Lock()
	defer t.network.mu.Unlock()
	if t.network.live[t.addr] == t {
		delete(t.network.live, t.addr)
	}
	return err
}

// Add implements node.Transport.
func (t *Transport) Add(peer algo.PeerName) { t.links.Add(peer) }

// Remove implements node.Transport.
func (t *Transport) Remove(peer algo.PeerName) { t.links.Remove(peer) }

// Locate says at which address a peer is dialed from now on. See link.Transport
// for this and what follows.
func (t *Transport) Locate(peer algo.PeerName, addr string) { t.links.Locate(peer, addr) }

// Retry is a hint that a peer is there again.
func (t *Transport) Retry(peer algo.PeerName) { t.links.Retry(peer) }

// Rest is a hint that a peer is not there, or is.
func (t *Transport) Rest(peer algo.PeerName, rests bool) { t.links.Rest(peer, rests) }

// Where implements link.Carrier.
func (t *Transport) Where(to algo.PeerName) string {
	t.network.mu.Lock()
	defer t.network.mu.Unlock()
	if t.network.unlisted[to] {
		return ""
	}
	return Address(to)
}

// Dial implements link.Carrier.
func (t *Transport) Dial(ctx context.Context, to algo.PeerName, addr string) (link.Stream, error) {
	n := t.network
	n.mu.Lock()
	defer n.mu.Unlock()
	other := n.live[addr]
	if other == nil || t.crashed {
		return nil, errRefused
	}
	w := n.wayLocked(t.self, to)
	if w.cut {
		return nil, errRefused
	}
	s := newStream(n, w)
	w.streams[s] = true
	go func() {
		s.end(other.links.Serve(&server{s}))
	}()
	stop := context.AfterFunc(ctx, func() { s.fail(context.Cause(ctx)) })
	return &dialer{s, stop}, nil
}
