package algotest

import (
	"fmt"
	"testing"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/algo/epoch"
)

// Bench is a network under the eyes of a test that measures it. Whatever breaks
// a rule fails the test.
type Bench struct {
	t       testing.TB
	net     *Network
	Sent    map[string]int // messages by kind, since the last Reset
	Entries []algo.PeerName
}

// NewBench starts peers a, b, c and so on that know each other.
func NewBench(t testing.TB, peers int, create NewProcess) *Bench {
	t.Helper()
	n, err := NewNetwork(Config{New: create, Peers: Names(peers)})
	if err != nil {
		t.Fatal(err)
	}
	b := &Bench{t: t, net: n, Sent: make(map[string]int)}
	for _, s := range n.contacts() {
		b.do(s)
	}
	return b
}

// EachBench runs a test of a paper's claim on clusters of several sizes, with the
// machine alone and under package epoch, which must cost nothing while nobody
// restarts.
func EachBench(t *testing.T, machine epoch.New, sizes []int, test func(t *testing.T, n int, b *Bench)) {
	under := func(self algo.PeerName, incarnation algo.Incarnation, others []algo.PeerName) algo.Process {
		return epoch.NewProcess(self, incarnation, others, machine)
	}
	for _, n := range sizes {
		t.Run(fmt.Sprintf("alone/%d", n), func(t *testing.T) { test(t, n, NewBench(t, n, Single(machine))) })
		t.Run(fmt.Sprintf("epoch/%d", n), func(t *testing.T) { test(t, n, NewBench(t, n, under)) })
	}
}

// Single makes a process of one lock's machine as it is: without restarts, and
// with the same machine from entry to entry.
func Single(machine epoch.New) NewProcess {
	return func(self algo.PeerName, incarnation algo.Incarnation, others []algo.PeerName) algo.Process {
		return single{machine(self, incarnation, others)}
	}
}

type single struct{ algo.Machine }

func (s single) Step(in algo.Input, out []algo.Output) []algo.Output {
	if in.Kind == algo.Contact {
		return out
	}
	first := len(out)
	out = s.Machine.Step(in, out)
	for i := first; i < len(out); i++ {
		out[i].Lock = in.Lock
	}
	return out
}

func (s single) WaitsFor(string) []algo.PeerName { return s.Machine.WaitsFor() }
func (s single) Clone() algo.Process             { return single{s.Machine.Clone()} }

func (b *Bench) do(s Step) {
	b.t.Helper()
	e, err := b.net.Do(s)
	for _, o := range e.Outputs {
		switch o.Kind {
		case algo.Send:
			b.Sent[o.Message.Kind()]++
		case algo.Enter:
			at := int(s.Peer)
			if s.Op == Deliver {
				at = int(s.Other)
			}
			b.Entries = append(b.Entries, b.net.names[at])
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
func (b *Bench) Request(p algo.PeerName) { b.t.Helper(); b.local(Request, p) }
func (b *Bench) Cancel(p algo.PeerName)  { b.t.Helper(); b.local(Cancel, p) }
func (b *Bench) Release(p algo.PeerName) { b.t.Helper(); b.local(Release, p) }

func (b *Bench) local(op Op, p algo.PeerName) {
	b.t.Helper()
	i, err := b.net.peerIndex(string(p))
	if err == nil {
		err = b.net.Refuse(Step{Op: op, Peer: i})
	}
	if err != nil {
		b.t.Fatal(err)
	}
	b.do(Step{Op: op, Peer: i})
}

// Round lets one message delay pass: what is on its way now arrives. It reports
// whether anything was.
func (b *Bench) Round() bool {
	b.t.Helper()
	var due []Step
	for i := range b.net.names {
		for j := range b.net.names {
			for range b.net.pair(i, j).queue {
				due = append(due, Step{Op: Deliver, Peer: uint8(i), Other: uint8(j)})
			}
		}
	}
	for _, s := range due {
		b.do(s)
	}
	return len(due) > 0
}

// Rest lets time pass until nothing is on its way.
func (b *Bench) Rest() {
	b.t.Helper()
	for b.Round() {
	}
}

// Inside names the peer that is inside, or none.
func (b *Bench) Inside() algo.PeerName {
	for i, p := range b.net.peers {
		if p.phase[0] == inside {
			return b.net.names[i]
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
		for i := range b.net.names {
			if b.net.peers[i].phase[0] == idle {
				b.do(Step{Op: Request, Peer: uint8(i)})
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
