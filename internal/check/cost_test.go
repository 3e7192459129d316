package check

import (
	"testing"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/trace"
	"github.com/conchlock/conch/internal/trace/tracetest"
)

// script builds a trace by hand, a millisecond an event.
type script struct {
	run  tracetest.Trace
	now  time.Time
	sent map[algo.PeerName]uint64
}

func newScript(peers ...algo.PeerName) *script {
	s := &script{run: tracetest.Trace{}, now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), sent: make(map[algo.PeerName]uint64)}
	for _, p := range peers {
		s.add(p, 0, trace.Start, 0)
	}
	return s
}

func (s *script) add(peer algo.PeerName, clock algo.Time, kind trace.Kind, token algo.Token) *trace.Event {
	s.now = s.now.Add(time.Millisecond)
	e := trace.Event{At: s.now, Peer: peer, Incarnation: 1, Clock: clock, Kind: kind, Token: token}
	if kind != trace.Start && kind != trace.Stop {
		e.Lock = "demo"
	}
	s.run[peer] = append(s.run[peer], e)
	return &s.run[peer][len(s.run[peer])-1]
}

func (s *script) send(from, to algo.PeerName, clock algo.Time) *trace.Message {
	s.sent[from]++
	m := &trace.Message{ID: trace.MessageID{From: from, Incarnation: 1, Number: s.sent[from]}, Kind: "m", From: from, To: to, Clock: clock}
	s.add(from, clock, trace.Send, 0).Message = m
	return m
}

func (s *script) receive(m *trace.Message, clock algo.Time) {
	s.add(m.To, clock, trace.Receive, 0).Message = m
}

// Three entries by hand. What c sends at the end of its first step reaches b, so
// its whole step counts for b's entry; a's last message counts for nobody's. Only
// b had asked before the exit that its entry follows.
func TestCost(t *testing.T) {
	s := newScript("a", "b", "c")
	s.add("a", 1, trace.Request, 0)
	s.add("a", 1, trace.Enter, 1) // costs nothing
	s.add("b", 1, trace.Request, 0)
	ask := s.send("b", "a", 1)
	s.receive(ask, 2)
	first := s.send("c", "b", 1) // sent together with one to a that is still on its way
	late := s.send("c", "a", 1)
	s.receive(first, 2)
	s.add("a", 3, trace.Exit, 1)
	token := s.send("a", "b", 3)
	s.receive(token, 4)
	s.add("b", 4, trace.Enter, 4) // 2 ms after the send, 3 ms after the exit; b's, c's two, a's
	s.add("b", 5, trace.Exit, 4)
	s.add("a", 4, trace.Request, 0) // by the clock before that exit, but not in time
	back := s.send("b", "a", 5)
	s.receive(back, 6)
	s.add("a", 6, trace.Enter, 6) // one message
	s.receive(late, 7)
	s.add("a", 8, trace.Exit, 6)
	rest := s.send("a", "c", 8) // paid by nobody
	s.receive(rest, 9)
	for _, p := range []algo.PeerName{"a", "b", "c"} {
		s.add(p, 10, trace.Stop, 0)
	}
	r := texts(s.run).run()
	if r.Verdict != True {
		t.Fatal(r.Verdict, r.Findings)
	}
	l := r.Locks[0]
	if l.Messages != 6 || l.PerEntry != 2 || l.Cost != (Cost{Median: 1, Max: 4}) {
		t.Errorf("%d messages, %.2f an entry, cost %+v", l.Messages, l.PerEntry, l.Cost)
	}
	want := Handoff{Count: 1, Mean: 3e6, Wait: Wait{P50: 3e6, P99: 3e6, Max: 3e6}}
	if l.Handoff != want {
		t.Errorf("handoffs %+v, want %+v", l.Handoff, want)
	}
}

// Who enters after a death has waited for no exit, whatever was before.
func TestHandoffAfterDeath(t *testing.T) {
	s := newScript("a", "b", "c")
	s.add("a", 1, trace.Request, 0)
	s.add("a", 1, trace.Enter, 1)
	s.add("b", 1, trace.Request, 0)
	s.add("c", 1, trace.Request, 0)
	s.add("a", 2, trace.Exit, 1)
	s.receive(s.send("a", "b", 2), 3)
	s.add("b", 3, trace.Enter, 3)
	token := s.send("b", "c", 3)
	crash := s.add("b", 3, trace.Crash, 0)
	crash.Lock = ""
	s.receive(token, 4)
	s.add("c", 4, trace.Enter, 4)
	s.add("c", 5, trace.Exit, 4)
	if h := texts(s.run).run().Locks[0].Handoff; h.Count != 1 || h.Max != 3e6 {
		t.Errorf("handoffs %+v, want one of 3 ms, from a to b", h)
	}
}

// A clock that is behind makes no handoff negative.
func TestHandoffClockBack(t *testing.T) {
	s := newScript("a", "b")
	s.add("a", 1, trace.Request, 0)
	s.add("a", 1, trace.Enter, 1)
	s.add("b", 1, trace.Request, 0)
	s.add("a", 2, trace.Exit, 1)
	token := s.send("a", "b", 2)
	s.now = s.now.Add(-4 * time.Millisecond)
	s.receive(token, 3)
	s.add("b", 3, trace.Enter, 3)
	s.add("b", 4, trace.Exit, 3)
	if h := texts(s.run).run().Locks[0].Handoff; h.Count != 1 || h.Max != 0 || h.ClockBack != 1 {
		t.Errorf("handoffs %+v", h)
	}
}

// Half of the entries take at most the median.
func TestCostMedian(t *testing.T) {
	if c := (&lock{costs: []int{9, 1, 5, 2}}).cost(); c != (Cost{Median: 2, Max: 9}) {
		t.Errorf("%+v", c)
	}
	if c := (&lock{}).cost(); c != (Cost{}) {
		t.Errorf("%+v of nothing", c)
	}
}
