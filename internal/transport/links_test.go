package transport_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/transport"
	"github.com/conchlock/conch/internal/transport/link"
	"github.com/conchlock/conch/internal/transport/linktest"
)

// network is real gRPC over loopback, with a proxy on each way.
type network struct {
	t        *testing.T
	ways     map[[2]algo.PeerName]*proxy
	unlisted map[algo.PeerName]bool
}

var names = []algo.PeerName{"a", "b", "c"}

func newNetwork(t *testing.T) *network {
	n := &network{t: t, ways: make(map[[2]algo.PeerName]*proxy), unlisted: make(map[algo.PeerName]bool)}
	for _, from := range names {
		for _, to := range names {
			if from != to {
				n.ways[[2]algo.PeerName{from, to}] = newProxy(t)
			}
		}
	}
	t.Cleanup(func() {
		for _, p := range n.ways {
			p.close()
		}
	})
	return n
}

// config turns the suite's configuration into the transport's.
func (n *network) config(c link.Config) transport.Config {
	peers := make(map[algo.PeerName]string)
	for name := range c.Votes {
		if n.unlisted[name] {
			continue
		}
		if p := n.ways[[2]algo.PeerName{c.Self, name}]; p != nil {
			peers[name] = p.addr()
		} else if name != c.Self {
			peers[name] = "127.0.0.1:1"
		}
	}
	return transport.Config{
		Self: c.Self, Incarnation: c.Incarnation, Listen: "127.0.0.1:0", Peers: peers, Open: c.Open, Votes: c.Votes,
		Cluster: c.Cluster, Algorithm: c.Algorithm, TTL: c.TTL, Drift: c.Drift, Outdated: c.Outdated, Logger: c.Logger, Seed: c.Seed, Limits: c.Limits,
	}
}

func (n *network) Transport(cfg link.Config, stray bool) linktest.Transport {
	t, err := transport.New(n.config(cfg))
	if err != nil {
		n.t.Fatal(err)
	}
	if !stray {
		n.to(cfg.Self, func(p *proxy) { p.target = t.Addr().String() })
	}
	return t
}

// to changes every way to a peer.
func (n *network) to(name algo.PeerName, f func(*proxy)) {
	for way, p := range n.ways {
		if way[1] == name {
			p.change(func() { f(p) })
		}
	}
}

func (n *network) Unlist(name algo.PeerName) { n.unlisted[name] = true }

func (n *network) Where(from, to algo.PeerName) string {
	return n.ways[[2]algo.PeerName{from, to}].addr()
}

func (n *network) Address(t linktest.Transport) string {
	return t.(*transport.Transport).Addr().String()
}

func (n *network) Cut(from, to algo.PeerName) {
	p := n.ways[[2]algo.PeerName{from, to}]
	p.change(func() { p.cut = true; p.breakLocked() })
}

func (n *network) CutAfter(from, to algo.PeerName, units int) {
	p := n.ways[[2]algo.PeerName{from, to}]
	p.change(func() { p.budget = units })
}

func (n *network) Stall(from, to algo.PeerName) {
	p := n.ways[[2]algo.PeerName{from, to}]
	p.change(func() { p.stall = true })
}

func (n *network) Heal(from, to algo.PeerName) {
	p := n.ways[[2]algo.PeerName{from, to}]
	p.change(func() { p.cut, p.stall, p.budget = false, false, -1 })
}

func (n *network) Crash(name algo.PeerName) {
	for way, p := range n.ways {
		switch name {
		case way[0]:
			p.breakConns()
		case way[1]:
			p.change(func() { p.target = ""; p.breakLocked() })
		}
	}
}

// Units are bytes: every 23rd of what a handshake and three batches take.
func (n *network) Units() []int {
	var units []int
	for u := 1; u < 1500; u += 23 {
		units = append(units, u)
	}
	return units
}

func TestLinks(t *testing.T) {
	checkGoroutines(t)
	t.Run("suite", func(t *testing.T) { // returns when its parallel parts have
		for _, c := range linktest.Cases() {
			t.Run(c.Name, func(t *testing.T) {
				t.Parallel()
				c.Run(t, newNetwork(t))
			})
		}
	})
}

// checkGoroutines fails the test if at its end there are goroutines that it
// has started.
func checkGoroutines(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		deadline := time.After(10 * time.Second)
		for runtime.NumGoroutine() > before {
			select {
			case <-tick.C: // gRPC's own take a moment after Close
			case <-deadline:
				stacks := make([]byte, 1<<20)
				stacks = stacks[:runtime.Stack(stacks, true)]
				t.Errorf("%d goroutines are left, there were %d:\n%s", runtime.NumGoroutine(), before, stacks)
				return
			}
		}
	})
}

func TestPortTaken(t *testing.T) {
	n := newNetwork(t)
	cfg := n.config(linktest.Config("a", 1))
	first, err := transport.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	cfg.Listen = first.Addr().String()
	second, err := transport.New(cfg)
	if err == nil {
		second.Close()
		t.Fatal("two transports listen on one port")
	}
	want := fmt.Sprintf("cannot listen on %s: ", cfg.Listen)
	if !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("the error is %q, want %q and the reason", err, want)
	}
}
