package algotest_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/algo/roster"
	"github.com/conchlock/conch/internal/sim"
)

// wired are processes whose messages arrive at once, one after the other.
type wired struct {
	names     []algo.PeerName
	processes map[algo.PeerName]algo.Process
	clock     algo.Clock // one for all will do
}

func newWired(create sim.NewProcess, n int) *wired {
	w := &wired{names: sim.Names(n), processes: make(map[algo.PeerName]algo.Process)}
	for i, name := range w.names {
		others := append(append([]algo.PeerName{}, w.names[:i]...), w.names[i+1:]...)
		w.processes[name] = create(algo.Setup{Self: name, Incarnation: 1, Others: others, Voters: w.names})
	}
	for _, a := range w.names {
		for _, b := range w.names {
			if a != b {
				w.step(a, algo.Input{Kind: algo.Contact, From: b, Incarnation: 1})
			}
		}
	}
	return w
}

// step takes a step and all that follow from it.
func (w *wired) step(peer algo.PeerName, in algo.Input) {
	in.Time = w.clock.Tick()
	for _, o := range w.processes[peer].Step(in, nil) {
		if o.Kind == algo.Send {
			w.step(o.To, algo.Input{Kind: algo.Receive, Lock: o.Lock, From: peer, Message: o.Message})
		}
	}
}

// BenchmarkQuiet is what a lock costs each peer in memory when it was used once
// at every peer and nobody wants it any more. Run it with -benchtime 1x.
func BenchmarkQuiet(b *testing.B) {
	const locks = 20_000
	for _, algorithm := range roster.Names() {
		if roster.Leases(algorithm) {
			continue // it lets go when time has passed; see bench.BenchmarkUsed
		}
		for _, peers := range []int{3, 9} {
			b.Run(fmt.Sprintf("%s/peers=%d", algorithm, peers), func(b *testing.B) {
				create, err := roster.New(algorithm)
				if err != nil {
					b.Fatal(err)
				}
				for b.Loop() {
					w := newWired(create, peers)
					before := heap()
					for i := range locks {
						lock := fmt.Sprint("lock", i)
						for _, p := range w.names {
							w.step(p, algo.Input{Kind: algo.Acquire, Lock: lock})
							w.step(p, algo.Input{Kind: algo.Release, Lock: lock})
						}
					}
					b.ReportMetric(max(0, heap()-before)/locks/float64(peers), "B/lock/peer")
					runtime.KeepAlive(w)
				}
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// heap is the memory that is reachable.
func heap() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}
