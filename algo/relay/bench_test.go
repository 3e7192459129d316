package relay_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/algo/relay"
	"github.com/conchlock/conch/internal/sim"
)

// cluster is some peers without a network between them: what one sends, the
// other hears at once. Only the steps of the machines are measured.
type cluster struct {
	names   []algo.PeerName
	peers   []algo.Process
	clock   algo.Time
	now     algo.Instant
	queue   []parcel
	out     []algo.Output
	entered int // who has entered last, or -1
	sent    int // messages so far
}

type parcel struct {
	from, to int
	lock     string
	message  algo.Message
}

func newCluster(n int) *cluster {
	c := &cluster{names: sim.Names(n), entered: -1, clock: 1, now: 1}
	for i, name := range c.names {
		others := append(append([]algo.PeerName(nil), c.names[:i]...), c.names[i+1:]...)
		c.peers = append(c.peers, relay.New(algo.Setup{Self: name, Incarnation: 1, Others: others, Voters: c.names,
			TTL: ttl, Linger: ttl / 4, Drift: 1000, Kept: true}))
	}
	for i := range c.names {
		for j, name := range c.names {
			if i != j {
				c.step(i, algo.Input{Kind: algo.Contact, From: name, Incarnation: 1})
			}
		}
	}
	return c
}

// step takes one step, a microsecond after the last, and keeps what is sent.
func (c *cluster) step(i int, in algo.Input) {
	c.clock++
	c.now += 1000
	in.Time, in.Now = c.clock, c.now
	c.out = c.peers[i].Step(in, c.out[:0])
	for k := range c.out {
		switch o := &c.out[k]; o.Kind {
		case algo.Enter:
			c.entered = i
		case algo.Send:
			to := 0
			for c.names[to] != o.To {
				to++
			}
			c.queue = append(c.queue, parcel{i, to, o.Lock, o.Message})
		}
	}
}

// settle delivers until nothing is on its way.
func (c *cluster) settle() {
	for k := 0; k < len(c.queue); k++ {
		p := c.queue[k]
		c.step(p.to, algo.Input{Kind: algo.Receive, Lock: p.lock, From: c.names[p.from], Message: p.message})
	}
	c.sent += len(c.queue)
	clear(c.queue)
	c.queue = c.queue[:0]
}

// enter lets a peer enter. Where it may not ask for more numbers yet, that time
// passes at once (rule 12).
func (c *cluster) enter(b *testing.B, i int, lock string) {
	c.entered = -1
	c.step(i, algo.Input{Kind: algo.Acquire, Lock: lock})
	if c.settle(); c.entered != i {
		c.now += algo.Instant(ttl / 6)
		c.step(i, algo.Input{Kind: algo.Tick})
		c.settle()
	}
	if c.entered != i {
		b.Fatalf("%s is not inside, but %d", c.names[i], c.entered)
	}
}

func each(b *testing.B, test func(b *testing.B, c *cluster)) {
	for _, n := range []int{3, 5} {
		b.Run(fmt.Sprintf("peers=%d", n), func(b *testing.B) { test(b, newCluster(n)) })
	}
}

// BenchmarkAgain enters and leaves where the token rests: two steps.
func BenchmarkAgain(b *testing.B) {
	each(b, func(b *testing.B, c *cluster) {
		c.enter(b, 0, "lock")
		c.step(0, algo.Input{Kind: algo.Release, Lock: "lock"})
		b.ReportAllocs()
		sent := c.sent
		for b.Loop() {
			c.enter(b, 0, "lock") // now and then it needs new numbers first
			c.step(0, algo.Input{Kind: algo.Release, Lock: "lock"})
		}
		b.ReportMetric(float64(c.sent-sent)/float64(b.N), "messages/op")
	})
}

// BenchmarkHandoff is all steps of all peers for one entry while everybody
// waits: who leaves hands the token on and asks again.
func BenchmarkHandoff(b *testing.B) {
	each(b, func(b *testing.B, c *cluster) {
		for i := range c.names {
			c.step(i, algo.Input{Kind: algo.Acquire, Lock: "lock"})
		}
		c.settle()
		b.ReportAllocs()
		for b.Loop() {
			i := c.entered
			c.step(i, algo.Input{Kind: algo.Release, Lock: "lock"})
			c.step(i, algo.Input{Kind: algo.Acquire, Lock: "lock"})
			if c.settle(); c.entered == i {
				b.Fatal("nobody else enters")
			}
		}
	})
}

// BenchmarkFirst is all steps of all peers for an entry of a lock that nobody has
// used, up to the end of its term.
func BenchmarkFirst(b *testing.B) {
	each(b, func(b *testing.B, c *cluster) {
		b.ReportAllocs()
		for b.Loop() {
			c.enter(b, 0, "lock")
			c.step(0, algo.Input{Kind: algo.Release, Lock: "lock"})
			c.now += algo.Instant(ttl/3 - 1000)
			c.step(0, algo.Input{Kind: algo.Tick})
			c.settle()
			for i := range c.names {
				c.now += algo.Instant(ttl / 2)
				c.step(i, algo.Input{Kind: algo.Tick})
			}
		}
	})
}

// BenchmarkMemory is what locks take at each peer: while their tokens rest or
// are held, and after they were forgotten.
func BenchmarkMemory(b *testing.B) {
	const locks = 10_000
	each(b, func(b *testing.B, c *cluster) {
		var used, idle, start uint64
		names := make([]string, locks)
		for k := range names {
			names[k] = fmt.Sprint("lock", k)
		}
		for b.Loop() {
			start = live()
			for _, name := range names {
				c.enter(b, 0, name)
			}
			used = live()
			for _, name := range names {
				c.step(0, algo.Input{Kind: algo.Release, Lock: name})
			}
			for range 3 {
				c.now += algo.Instant(ttl)
				for i := range c.peers {
					c.step(i, algo.Input{Kind: algo.Tick})
				}
				c.settle()
			}
			idle = live()
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(float64(used-start)/locks/float64(len(c.peers)), "B/used-lock/peer")
		b.ReportMetric((float64(idle)-float64(start))/locks/float64(len(c.peers)), "B/idle-lock/peer")
		runtime.KeepAlive(c)
	})
}

// live is the memory that is reachable.
func live() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
