package bench

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/algo/relay"
	"github.com/conchlock/conch/internal/clock"
	"github.com/conchlock/conch/internal/node"
	"github.com/conchlock/conch/internal/state"
	"github.com/conchlock/conch/internal/transport"
)

// traffic counts what comes in.
type traffic struct{ frames, packets atomic.Int64 }

// countedTransport is a transport whose traffic is counted.
type countedTransport struct {
	node.Transport
	traffic *traffic
}

func (c countedTransport) Start(h node.Handler) error {
	return c.Transport.Start(countedHandler{h, c.traffic})
}

type countedHandler struct {
	node.Handler
	traffic *traffic
}

func (c countedHandler) Receive(peer algo.PeerName, link node.Link, packets []node.Packet) {
	c.traffic.frames.Add(1)
	c.traffic.packets.Add(int64(len(packets)))
	c.Handler.Receive(peer, link, packets)
}

// startNodes starts peers in this process, joined by real links.
func startNodes(b *testing.B, n int, ttl time.Duration) ([]*node.Node, *traffic) {
	b.Helper()
	addrs := make(map[algo.PeerName]string)
	for i := range n {
		addrs[algo.PeerName('a'+rune(i))] = ""
	}
	names := slices.Sorted(maps.Keys(addrs))
	links := make([]*transport.Transport, n)
	for i, name := range names {
		t, err := transport.New(transport.Config{Self: name, Incarnation: 1, Listen: "127.0.0.1:0", Peers: addrs,
			Cluster: "bench", Algorithm: "relay", TTL: ttl, Drift: 1000, Leases: true})
		if err != nil {
			b.Fatal(err)
		}
		links[i] = t
	}
	for i, name := range names {
		addrs[name] = links[i].Addr().String()
	}
	counted := &traffic{}
	nodes := make([]*node.Node, n)
	for i, name := range names {
		others := slices.DeleteFunc(slices.Clone(names), func(o algo.PeerName) bool { return o == name })
		started, err := node.Start(node.Config{
			Setup: algo.Setup{Self: name, Incarnation: 1, Others: others, Voters: names,
				TTL: algo.Duration(ttl), Linger: algo.Duration(ttl / 4), Drift: 1000, Kept: true},
			New: relay.New, Clock: clock.Now, Memory: state.WallClock(time.Now()),
			Transport: countedTransport{links[i], counted},
		})
		if err != nil {
			b.Fatal(err)
		}
		nodes[i] = started
		b.Cleanup(func() { started.Close() })
	}
	return nodes, counted
}

// acquire lets n callers at a time enter locks, and returns the holds.
func acquire(b *testing.B, n *node.Node, locks, callers int, prefix string, leave bool) []*node.Hold {
	b.Helper()
	holds := make([]*node.Hold, locks)
	var next atomic.Int64
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for i := next.Add(1) - 1; i < int64(locks); i = next.Add(1) - 1 {
				h, err := n.Acquire(b.Context(), fmt.Sprint(prefix, i), node.About{})
				if err != nil {
					b.Error(err)
					return
				}
				if holds[i] = h; leave {
					holds[i] = nil
					if err := h.Release(); err != nil {
						b.Error(err)
					}
				}
			}
		})
	}
	all.Wait()
	return holds
}

// live is the memory that is reachable.
func live() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

const manyTTL = 2 * time.Second

// BenchmarkHeld is 10,000 locks held at one of three peers: memory in all three,
// and how renewals travel. Run it with -benchtime 1x.
func BenchmarkHeld(b *testing.B) {
	const locks, leases = 10_000, 5
	for range b.N {
		nodes, counted := startNodes(b, 3, manyTTL)
		acquire(b, nodes[0], 100, 10, "warm", true)
		before := live()
		holds := acquire(b, nodes[0], locks, 64, "lock", false)
		used := live() - before
		counted.frames.Store(0)
		counted.packets.Store(0)
		<-time.After(leases * manyTTL)
		frames, packets := float64(counted.frames.Load()), float64(counted.packets.Load())
		lost := 0
		for _, h := range holds {
			if h.Release() != nil {
				lost++
			}
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(used/locks/3, "B/held-lock/peer")
		b.ReportMetric(packets/frames, "packets/frame")
		b.ReportMetric(packets/locks/leases, "packets/lock/TTL")
		b.ReportMetric(float64(lost), "lost")
	}
}

// BenchmarkUsed is 100,000 locks that were used once at one of three peers: entries
// a second, and what memory is left when all is quiet. Run it with -benchtime 1x.
func BenchmarkUsed(b *testing.B) {
	const locks = 100_000
	for range b.N {
		nodes, _ := startNodes(b, 3, manyTTL)
		acquire(b, nodes[0], 100, 10, "warm", true)
		<-time.After(2 * manyTTL)
		before, start := live(), time.Now()
		acquire(b, nodes[0], locks, 64, "lock", true)
		took := time.Since(start)
		just := live() - before
		<-time.After(3 * manyTTL)
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(locks/took.Seconds(), "entries/s")
		b.ReportMetric(just/locks/3, "B/lock/peer-at-once")
		b.ReportMetric((live()-before)/locks/3, "B/lock/peer-later")
	}
}
