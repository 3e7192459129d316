package node_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/node"
	"github.com/conchlock/conch/internal/trace"
	"github.com/conchlock/conch/internal/transport/memory"
)

// entries keeps the events that begin holds.
type entries struct {
	mu     sync.Mutex
	events []trace.Event
}

func (r *entries) Record(e *trace.Event) {
	if e.Kind == trace.Enter {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.events = append(r.events, e.Clone())
	}
}

func (r *entries) Flush() {}

// A process may be stopped between any two lines. If that is after it has read
// the clock that leases are counted by, what it says of a lease by the wall clock
// must not come out later than it ends.
func TestPauseAfterTheClockWasRead(t *testing.T) {
	const stopped = 20 * time.Millisecond
	var last atomic.Int64 // reading of the clock
	start, events := time.Now(), &entries{}
	n, err := node.Start(node.Config{
		Setup: algo.Setup{Self: "a", Incarnation: 1, TTL: algo.Duration(ttl)},
		New: func(s algo.Setup) algo.Process {
			return &lessor{
				setup: s, holds: make(map[string]algo.Instant), contacts: make(map[algo.PeerName]bool),
				renews: new(atomic.Bool), forgets: new(atomic.Bool), floors: new(atomic.Bool), late: new(atomic.Bool), ticks: new(atomic.Int64),
			}
		},
		Clock: func() algo.Instant {
			now := algo.Instant(time.Since(start))
			last.Store(int64(now))
			<-time.After(stopped)
			return now
		},
		Memory:    &disk{},
		Transport: memory.NewNetwork(1, "a").Transport("a", 1),
		Recorder:  events,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()

	h, err := n.Acquire(t.Context(), "x", node.About{})
	if err != nil {
		t.Fatal(err)
	}
	// No lease can end later than one that began with the last reading.
	latest := start.Add(time.Duration(last.Load()) + ttl)
	if e := events.events[0]; e.Lease <= 0 || e.At.Add(e.Lease).After(latest) {
		t.Errorf("recorded a lease of %v until %v after its end", e.Lease, e.At.Add(e.Lease).Sub(latest))
	}
	if deadline := h.Deadline(); deadline.After(latest) {
		t.Errorf("the deadline is said to be %v later than it is", deadline.Sub(latest))
	}
}
