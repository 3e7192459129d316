package node_test

import (
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/algo/ricartagrawala"
	"github.com/conchlock/conch/internal/node"
	"github.com/conchlock/conch/internal/trace"
	"github.com/conchlock/conch/internal/transport/memory"
)

const ttl = 1600 * time.Millisecond // its margin is 100 ms

// lessor is a process that lets this peer in at once, with a lease of a TTL. It
// renews when half of it is over, and takes what has ended. Its state belongs to
// the node; what tests turn and read is atomic.
type lessor struct {
	setup    algo.Setup
	holds    map[string]algo.Instant // until when
	contacts map[algo.PeerName]bool
	tokens   algo.Token
	inputs   []string // but for acquire, release and tick

	renews  *atomic.Bool
	forgets *atomic.Bool // it never says that a hold is lost
	floors  *atomic.Bool // it raises the floor before every entry
	late    *atomic.Bool // it extends a hold that is being left
	ticks   *atomic.Int64
}

func (l *lessor) Step(in algo.Input, out []algo.Output) []algo.Output {
	switch in.Kind {
	case algo.Acquire:
		l.tokens++
		if l.floors.Load() {
			out = append(out, algo.Output{Kind: algo.Floor, Token: l.tokens + 5})
		}
		l.holds[in.Lock] = in.Now.Add(l.setup.TTL)
		out = append(out, algo.Output{Kind: algo.Enter, Lock: in.Lock, Token: l.tokens, Deadline: l.holds[in.Lock], Why: algo.Reason{Text: "it asks"}})
		for peer := range l.contacts {
			out = append(out, algo.Output{Kind: algo.Send, Lock: in.Lock, To: peer, Message: ricartagrawala.Reply{}, Upkeep: true})
		}
	case algo.Release:
		if l.holds[in.Lock] <= in.Now {
			out = append(out, algo.Output{Kind: algo.Lost, Lock: in.Lock})
		}
		delete(l.holds, in.Lock)
		if l.late.Load() {
			out = append(out, algo.Output{Kind: algo.Extend, Lock: in.Lock, Deadline: in.Now.Add(l.setup.TTL)})
		}
	case algo.Tick:
		l.ticks.Add(1)
		for _, lock := range slices.Sorted(maps.Keys(l.holds)) {
			switch left := l.holds[lock].Sub(in.Now); {
			case left <= 0 && !l.forgets.Load():
				delete(l.holds, lock)
				out = append(out, algo.Output{Kind: algo.Lost, Lock: lock, Why: algo.Reason{Text: "time is over"}})
			case left <= l.setup.TTL/2 && l.renews.Load():
				l.holds[lock] = in.Now.Add(l.setup.TTL)
				out = append(out, algo.Output{Kind: algo.Extend, Lock: lock, Deadline: l.holds[lock]})
			}
		}
	default:
		l.inputs = append(l.inputs, fmt.Sprint(in.Kind, " ", in.From))
		if in.Kind == algo.Contact {
			l.contacts[in.From] = true
		}
	}
	return out
}

func (l *lessor) Wake() algo.Instant {
	wake := algo.Never
	for _, deadline := range l.holds {
		if l.renews.Load() {
			deadline = deadline.Add(-l.setup.TTL / 2)
		}
		wake = min(wake, deadline)
	}
	return wake
}

func (l *lessor) Promises() ([]algo.Promise, bool) {
	return []algo.Promise{{Lock: "x", Ballot: 7}}, true
}
func (l *lessor) Abstains() algo.Instant          { return l.setup.Now.Add(l.setup.TTL) }
func (l *lessor) WaitsFor(string) []algo.PeerName { return nil }
func (l *lessor) Check() error                    { return nil }
func (l *lessor) Clone() algo.Process             { panic("not needed") }
func (l *lessor) AppendState([]byte) []byte       { panic("not needed") }

func newLessor(s algo.Setup) *lessor {
	return &lessor{
		setup: s, holds: make(map[string]algo.Instant), contacts: make(map[algo.PeerName]bool),
		renews: new(atomic.Bool), forgets: new(atomic.Bool), floors: new(atomic.Bool), late: new(atomic.Bool), ticks: new(atomic.Int64),
	}
}

// leased is a node with a lessor, in a bubble.
type leased struct {
	t       *testing.T
	node    *node.Node
	lessor  *lessor
	disk    *disk
	events  *recorder
	asleep  atomic.Int64 // how far the clock is ahead of the timers
	read    atomic.Int64 // how often the clock was read
	network *memory.Network
}

func lease(t *testing.T, network *memory.Network, self algo.PeerName, others ...algo.PeerName) *leased {
	l := &leased{t: t, disk: &disk{}, events: &recorder{}, network: network}
	awake := clock()
	var err error
	l.node, err = node.Start(node.Config{
		Setup: algo.Setup{Self: self, Incarnation: 1, Others: others, TTL: algo.Duration(ttl)},
		New: func(s algo.Setup) algo.Process {
			l.lessor = newLessor(s)
			return l.lessor
		},
		Clock: func() algo.Instant {
			l.read.Add(1)
			return awake().Add(algo.Duration(l.asleep.Load()))
		},
		Memory:    l.disk,
		Transport: network.Transport(self, 1),
		Recorder:  l.events,
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// alone is a node without others.
func alone(t *testing.T) *leased { return lease(t, memory.NewNetwork(1, "a"), "a") }

func (l *leased) acquire(lock string) *node.Hold {
	l.t.Helper()
	h, err := l.node.Acquire(l.t.Context(), lock, node.About{})
	if err != nil {
		l.t.Fatal(err)
	}
	return h
}

func (l *leased) close() {
	l.t.Helper()
	if err := l.node.Close(); err != nil {
		l.t.Error(err)
	}
}

// sleep lets the machine sleep: its clock goes on, its timers do not.
func (l *leased) sleep(d time.Duration) { l.asleep.Add(int64(d)) }

// wantKinds checks the kinds of the events about a lock.
func (l *leased) wantKinds(lock string, want ...trace.Kind) {
	l.t.Helper()
	var got []trace.Kind
	for _, line := range l.events.find(func(string) bool { return true }) {
		var clock int
		var kind, of string
		if n, _ := fmt.Sscan(line, &clock, &kind, &of); n == 3 && (of == lock || of == lock+":") {
			got = append(got, trace.Kind(kind))
		}
	}
	if !slices.Equal(got, want) {
		l.t.Errorf("recorded %v of %s, want %v", got, lock, want)
	}
}
