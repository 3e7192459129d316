package story

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/algo/roster"
	"github.com/conchlock/conch/internal/sim"
	"github.com/conchlock/conch/internal/trace"
	"github.com/conchlock/conch/internal/trace/tracetest"
)

// simulation plays an algorithm by chance and records what happens as the
// runtime would.
type simulation struct {
	algorithm string
	seed      uint64
	peers     int
	entries   int           // after so many it ends
	kills     int           // so many peers are killed, and start again
	skew      time.Duration // by how much the peers' clocks differ
	cancels   bool

	net    *sim.Network
	rng    *rand.Rand
	now    time.Time
	who    []*simulated
	flight map[[2]int][]flying
	trace  tracetest.Trace
	done   int
}

// simulated is a peer.
type simulated struct {
	name        algo.PeerName
	incarnation algo.Incarnation
	clock       algo.Time
	number      uint64
	token       algo.Token
	contact     []algo.Incarnation // of each other, that it knows
	skew        time.Duration
}

// flying is a message on its way.
type flying struct {
	trace.Message
	words string
	to    algo.Incarnation
}

const simulatedLock = "demo"

// play runs the simulation and returns its traces.
func (s simulation) play(t *testing.T) tracetest.Trace {
	t.Helper()
	process, err := roster.New(s.algorithm)
	if err != nil {
		t.Fatal(err)
	}
	c := sim.Config{Algorithm: s.algorithm, New: process, Peers: sim.Names(s.peers), Locks: []string{simulatedLock}}
	if roster.Leases(s.algorithm) {
		c.TTL, c.Tick = algo.Duration(time.Second), algo.Duration(5*time.Millisecond)
	}
	if s.net, err = sim.NewNetwork(c); err != nil {
		t.Fatal(err)
	}
	s.rng, s.now = rand.New(rand.NewPCG(s.seed, 3)), time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	s.flight, s.trace = map[[2]int][]flying{}, tracetest.Trace{}
	for _, name := range s.net.PeerNames() {
		p := &simulated{name: name, contact: make([]algo.Incarnation, s.peers)}
		if s.skew > 0 {
			p.skew = time.Duration(s.rng.Int64N(int64(s.skew)))
		}
		s.who = append(s.who, p)
		s.start(p)
	}
	for steps := 0; s.done < s.entries; steps++ {
		if steps > 200_000 {
			t.Fatalf("%s, seed %d: %d entries in %d steps", s.algorithm, s.seed, s.done, steps)
		}
		s.now = s.now.Add(time.Duration(20+s.rng.IntN(300)) * time.Microsecond)
		e, err := s.net.Do(s.choose())
		if err != nil {
			t.Fatalf("%s, seed %d: %v", s.algorithm, s.seed, err)
		}
		s.happened(e)
	}
	return s.trace
}

// choose takes one of the possible steps; messages are quicker than callers.
func (s *simulation) choose() sim.Step {
	var steps []sim.Step
	for _, step := range s.net.Enabled(nil) {
		weight := 0
		switch step.Op {
		case sim.Deliver, sim.Contact, sim.Wake:
			weight = 12
		case sim.Request, sim.Release:
			weight = 1
		case sim.Pass:
			weight = 1
			if len(steps) == 0 {
				weight = 40
			}
		case sim.Cancel:
			if s.cancels && s.rng.IntN(20) == 0 {
				weight = 1
			}
		case sim.Restart:
			if s.kills > 0 && s.done >= 2 && s.rng.IntN(10) == 0 {
				weight = 1
			}
		}
		for range weight {
			steps = append(steps, step)
		}
	}
	return steps[s.rng.IntN(len(steps))]
}

func (s *simulation) record(p *simulated, e trace.Event) {
	e.At, e.Peer, e.Incarnation, e.Clock = s.now.Add(p.skew), p.name, p.incarnation, p.clock
	s.trace[p.name] = append(s.trace[p.name], e)
}

func (s *simulation) start(p *simulated) {
	p.incarnation++
	p.number, p.token = 0, 0
	clear(p.contact)
	s.record(p, trace.Event{Kind: trace.Start})
}

// happened records a step.
func (s *simulation) happened(e sim.Event) {
	i, j := int(e.Step.Peer), int(e.Step.Other)
	p := s.who[i]
	if e.Step.Op == sim.Deliver {
		p = s.who[j]
	}
	if e.Input.Time > 0 {
		p.clock = e.Input.Time
	}
	own := trace.Event{Lock: simulatedLock, Token: p.token}
	switch e.Step.Op {
	case sim.Pass:
		s.now = s.now.Add(time.Duration(e.Step.Time))
		return
	case sim.Restart:
		s.kills--
		if s.rng.IntN(2) == 0 {
			s.record(p, trace.Event{Kind: trace.Crash, Reason: "by chance"})
		}
		s.now = s.now.Add(200 * time.Millisecond)
		s.start(p)
		return
	case sim.Contact:
		p.contact[j] = e.Input.Incarnation
		s.record(p, trace.Event{Kind: trace.Note, Other: s.who[j].name, Reason: "has contact with " + string(s.who[j].name)})
	case sim.Request:
		s.record(p, trace.Event{Kind: trace.Request, Lock: simulatedLock})
	case sim.Cancel:
		s.record(p, trace.Event{Kind: trace.Cancel, Lock: simulatedLock})
	case sim.Release:
		own.Kind = trace.Exit
		if slices.ContainsFunc(e.Outputs, func(o algo.Output) bool { return o.Kind == algo.Lost }) {
			own.Kind = trace.Lost
		}
		s.record(p, own)
	case sim.Deliver:
		m := s.landed(i, j, sim.Describe(e.Input.Message))
		s.record(p, trace.Event{Kind: trace.Receive, Lock: e.Input.Lock, Message: &m})
	}
	for _, o := range e.Outputs {
		s.output(p, e.Input, o)
	}
}

// landed takes the oldest such message from i to j off its link, and those that
// were lost before it.
func (s *simulation) landed(i, j int, words string) trace.Message {
	link := s.flight[[2]int{i, j}]
	for k, f := range link {
		if f.words == words && f.to == s.who[j].incarnation && f.ID.Incarnation == s.who[j].contact[i] {
			s.flight[[2]int{i, j}] = link[k+1:]
			return f.Message
		}
	}
	panic("a message that was not sent: " + words)
}

func (s *simulation) output(p *simulated, in algo.Input, o algo.Output) {
	e := trace.Event{Lock: o.Lock, Token: o.Token, Reason: o.Why.String()}
	if o.Deadline != algo.Never && (o.Kind == algo.Enter || o.Kind == algo.Extend) {
		e.Lease = time.Duration(o.Deadline.Sub(in.Now))
	}
	switch o.Kind {
	case algo.Send:
		to := slices.Index(s.net.PeerNames(), o.To)
		p.number++
		m := trace.Message{
			ID:   trace.MessageID{From: p.name, Incarnation: p.incarnation, Number: p.number},
			Kind: o.Message.Kind(), From: p.name, To: o.To, Clock: in.Time, Upkeep: o.Upkeep,
		}
		e.Kind, e.Message, e.Token = trace.Send, &m, 0
		link := [2]int{slices.Index(s.net.PeerNames(), p.name), to}
		s.flight[link] = append(s.flight[link], flying{m, sim.Describe(o.Message), p.contact[to]})
	case algo.Enter:
		s.done++
		e.Kind, p.token = trace.Enter, o.Token
	case algo.Extend:
		e.Kind, e.Token = trace.Extend, p.token
	case algo.Lost:
		if in.Kind == algo.Release {
			return
		}
		e.Kind, e.Token = trace.Lost, p.token
	case algo.Note:
		e.Kind, e.Other = trace.Note, o.To
	default:
		return
	}
	s.record(p, e)
}
