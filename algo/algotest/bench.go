package algotest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/algo/epoch"
	"github.com/conchlock/conch/internal/sim"
)

// Bench is a network under the eyes of a test that measures it. Whatever breaks
// a rule fails the test.
type Bench struct {
	t       testing.TB
	net     *sim.Network
	Sent    map[string]int // messages by kind, since the last Reset
	Entries []algo.PeerName
}

// NewBench starts peers a, b, c and so on that know each other.
func NewBench(t testing.TB, peers int, create sim.NewProcess) *Bench {
	t.Helper()
	n, err := sim.NewNetwork(sim.Config{New: create, Peers: sim.Names(peers)})
	if err != nil {
		t.Fatal(err)
	}
	b := &Bench{t: t, net: n, Sent: make(map[string]int)}
	if err := n.MakeContact(); err != nil {
		t.Fatal(err)
	}
	return b
}

// EachBench runs a test of a paper's claim on clusters of several sizes, with the
// machine alone and under package epoch, which must cost nothing while nobody
// restarts.
func EachBench(t *testing.T, machine epoch.New, sizes []int, test func(t *testing.T, n int, b *Bench)) {
	under := func(s algo.Setup) algo.Process { return epoch.NewProcess(s.Self, s.Incarnation, s.Others, machine) }
	for _, n := range sizes {
		t.Run(fmt.Sprintf("alone/%d", n), func(t *testing.T) { test(t, n, NewBench(t, n, Single(machine))) })
		t.Run(fmt.Sprintf("epoch/%d", n), func(t *testing.T) { test(t, n, NewBench(t, n, under)) })
	}
}

// Single makes a process of one lock's machine as it is: without restarts, and
// with the same machine from entry to entry.
func Single(machine epoch.New) sim.NewProcess {
	return func(s algo.Setup) algo.Process { return single{machine(s.Self, s.Incarnation, s.Others)} }
}

type single struct{ algo.Machine }

func (s single) Step(in algo.Input, out []algo.Output) []algo.Output {
	if in.Kind == algo.Contact {
		return out
	}
	first := len(out)
	out = s.Machine.Step(in, out)
	for i := first; i < len(out); i++ {
		out[i].Lock, out[i].Deadline = in.Lock, algo.Never
	}
	return out
}

func (s single) WaitsFor(string) []algo.PeerName { return s.Machine.WaitsFor() }
func (s single) Wake() algo.Instant              { return algo.Never }
func (s single) Clone() algo.Process             { return single{s.Machine.Clone()} }

func (b *Bench) do(s sim.Step) {
	b.t.Helper()
	e, err := b.net.Do(s)
	for _, o := range e.Outputs {
		switch o.Kind {
		case algo.Send:
			b.Sent[o.Message.Kind()]++
		case algo.Enter:
			at := int(s.Peer)
			if s.Op == sim.Deliver {
				at = int(s.Other)
			}
			b.Entries = append(b.Entries, b.net.PeerNames()[at])
		}
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// Reset forgets what was counted.
func (b *Bench) Reset() {
	clear(b.Sent)
	b.Entries = nil
}

// Total counts the messages since the last Reset.
func (b *Bench) Total() int {
	total := 0
	for _, n := range b.Sent {
		total += n
	}
	return total
}

// Request, Cancel and Release are steps of one peer.
func (b *Bench) Request(p algo.PeerName) { b.t.Helper(); b.local(sim.Request, p) }
func (b *Bench) Cancel(p algo.PeerName)  { b.t.Helper(); b.local(sim.Cancel, p) }
func (b *Bench) Release(p algo.PeerName) { b.t.Helper(); b.local(sim.Release, p) }

func (b *Bench) local(op sim.Op, p algo.PeerName) {
	b.t.Helper()
	step := sim.Step{Op: op, Peer: uint8(slices.Index(b.net.PeerNames(), p))}
	if err := b.net.Refuse(step); err != nil {
		b.t.Fatal(err)
	}
	b.do(step)
}

// Round lets one message delay pass: what is on its way now arrives. It reports
// whether anything was.
func (b *Bench) Round() bool {
	b.t.Helper()
	var due []sim.Step
	for i := range b.net.PeerNames() {
		for j := range b.net.PeerNames() {
			for range b.net.Queued(i, j) {
				due = append(due, sim.Step{Op: sim.Deliver, Peer: uint8(i), Other: uint8(j)})
			}
		}
	}
	for _, s := range due {
		b.do(s)
	}
	return len(due) > 0
}

// Deliver lets the next message from one peer to another arrive.
func (b *Bench) Deliver(from, to algo.PeerName) {
	b.t.Helper()
	names := b.net.PeerNames()
	step := sim.Step{Op: sim.Deliver, Peer: uint8(slices.Index(names, from)), Other: uint8(slices.Index(names, to))}
	if err := b.net.Refuse(step); err != nil {
		b.t.Fatal(err)
	}
	b.do(step)
}

// Rest lets time pass until nothing is on its way.
func (b *Bench) Rest() {
	b.t.Helper()
	for b.Round() {
	}
}

// Inside names the peer that is inside, or none.
func (b *Bench) Inside() algo.PeerName {
	for i := range b.net.PeerNames() {
		if b.net.Inside(i, 0) {
			return b.net.PeerNames()[i]
		}
	}
	return ""
}

// Delay counts the message delays from now until somebody is inside, as long as
// anything is on its way.
func (b *Bench) Delay() int {
	b.t.Helper()
	rounds := 0
	for b.Inside() == "" && b.Round() {
		rounds++
	}
	return rounds
}

// FullLoad lets every peer want the section all the time, until there have been
// so many entries.
func (b *Bench) FullLoad(entries int) {
	b.t.Helper()
	for len(b.Entries) < entries {
		for i := range b.net.PeerNames() {
			if !b.net.Wants(i, 0) && !b.net.Inside(i, 0) {
				b.do(sim.Step{Op: sim.Request, Peer: uint8(i)})
			}
		}
		moved := b.Round()
		if in := b.Inside(); in != "" {
			b.Release(in)
		} else if !moved {
			b.t.Fatal("nothing is on its way, and nobody is inside")
		}
	}
}
