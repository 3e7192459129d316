package bench

import (
	"sync"
	"testing"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/algo/epoch"
	"github.com/conchlock/conch/algo/ricartagrawala"
)

// BenchmarkOwner compares two ways to own a machine: whoever brings an input
// takes the step under a mutex, or a goroutine takes all steps and is sent the
// inputs. The step is the same: a request of another peer is answered.
func BenchmarkOwner(b *testing.B) {
	answer := func() (*epoch.Process, algo.Input) {
		p := epoch.NewProcess("a", 1, []algo.PeerName{"b"}, ricartagrawala.New)
		p.Step(algo.Input{Kind: algo.Contact, Time: 1, From: "b", Incarnation: 1}, nil)
		stamp := algo.Stamp{Time: 1, Peer: "b", Incarnation: 1}
		return p, algo.Input{Kind: algo.Receive, Lock: "x", Time: 2, From: "b", Message: ricartagrawala.Request{Stamp: stamp}}
	}
	b.Run("mutex", func(b *testing.B) {
		p, in := answer()
		var mu sync.Mutex
		var out []algo.Output
		b.ReportAllocs()
		for b.Loop() {
			mu.Lock()
			out = p.Step(in, out[:0])
			mu.Unlock()
		}
	})
	b.Run("goroutine", func(b *testing.B) {
		p, in := answer()
		inputs, done := make(chan algo.Input), make(chan struct{})
		var owner sync.WaitGroup
		owner.Go(func() {
			var out []algo.Output
			for in := range inputs {
				out = p.Step(in, out[:0])
				done <- struct{}{} // the output is on its way
			}
		})
		b.ReportAllocs()
		for b.Loop() {
			inputs <- in
			<-done
		}
		close(inputs)
		owner.Wait()
	})
}
