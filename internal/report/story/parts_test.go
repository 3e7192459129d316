package story

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/trace"
	"github.com/conchlock/conch/internal/trace/tracetest"
)

// script writes traces by hand, an event each millisecond.
type script struct {
	run    tracetest.Trace
	now    time.Time
	ahead  map[algo.PeerName]time.Duration // by how much a peer's clock is ahead
	clocks map[algo.PeerName]algo.Time
	number map[algo.PeerName]uint64
}

func newScript(peers ...algo.PeerName) *script {
	s := &script{
		run: tracetest.Trace{}, now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC),
		ahead: map[algo.PeerName]time.Duration{}, clocks: map[algo.PeerName]algo.Time{}, number: map[algo.PeerName]uint64{},
	}
	for _, p := range peers {
		s.event(p, trace.Event{Kind: trace.Start})
	}
	return s
}

// event is a step of its own.
func (s *script) event(peer algo.PeerName, e trace.Event) {
	s.now = s.now.Add(time.Millisecond)
	s.clocks[peer]++
	e.At, e.Peer, e.Incarnation, e.Clock = s.now.Add(s.ahead[peer]), peer, 1, s.clocks[peer]
	if e.Kind != trace.Start && e.Kind != trace.Crash {
		e.Lock = "demo"
	}
	if e.Message != nil && e.Kind == trace.Send {
		e.Message.Clock = e.Clock
	}
	s.run[peer] = append(s.run[peer], e)
}

// message goes from a new step of the one to a new step of the other.
func (s *script) message(from, to algo.PeerName, kind string) {
	s.number[from]++
	m := &trace.Message{ID: trace.MessageID{From: from, Incarnation: 1, Number: s.number[from]}, Kind: kind, From: from, To: to}
	s.event(from, trace.Event{Kind: trace.Send, Message: m})
	s.clocks[to] = max(s.clocks[to], m.Clock)
	s.event(to, trace.Event{Kind: trace.Receive, Message: m})
}

// parts writes the parts of an entry.
func (s *script) parts(t *testing.T, k int) string {
	t.Helper()
	story, err := collected(t, s.run, "").Tell(k)
	if err != nil {
		t.Fatal(err)
	}
	if err := sound(story, s.run); err != nil {
		t.Error(err)
	}
	var parts []string
	for _, p := range story.Parts {
		text := fmt.Sprintf("%s %v", p.Text, p.Took)
		if p.Skewed {
			text += " skewed"
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "; ")
}

// TestSkewedParts has a peer whose clock is behind, or ahead: what it did is
// still on the way, and the parts are cut to fit.
func TestSkewedParts(t *testing.T) {
	for ahead, want := range map[time.Duration]string{
		0:                "a waited for its clock 1ms; request from a to b 1ms; b waited for its clock 1ms; reply from b to a 1ms; a at work 1ms",
		-time.Hour:       "a waited for its clock 0s; request from a to b 0s skewed; b waited for its clock 0s skewed; reply from b to a 4ms skewed; a at work 1ms",
		time.Hour:        "a waited for its clock 1ms; request from a to b 3ms; b waited for its clock 0s skewed; reply from b to a 0s skewed; a at work 1ms",
		time.Microsecond: "a waited for its clock 1ms; request from a to b 1.001ms; b waited for its clock 1ms; reply from b to a 999µs; a at work 1ms",
	} {
		s := newScript("a", "b")
		s.ahead["b"] = ahead
		s.event("a", trace.Event{Kind: trace.Request})
		s.message("a", "b", "request")
		s.message("b", "a", "reply")
		s.clocks["a"]-- // still in the step of the receipt
		s.event("a", trace.Event{Kind: trace.Enter, Token: 1})
		if got := s.parts(t, 1); got != want {
			t.Errorf("b is %v ahead:\n%s\nwant\n%s", ahead, got, want)
		}
	}
}

// TestPartsByClock has two that enter when their clocks say so: each hold is
// told once.
func TestPartsByClock(t *testing.T) {
	s := newScript("b", "c")
	s.event("c", trace.Event{Kind: trace.Request})
	s.event("b", trace.Event{Kind: trace.Request})
	s.event("b", trace.Event{Kind: trace.Enter, Token: 1})
	s.event("b", trace.Event{Kind: trace.Crash})
	s.event("c", trace.Event{Kind: trace.Enter, Token: 2})
	want := "b waited for its clock 2ms; b was inside, with token 1, until it was killed 1ms; c waited for its clock, after b had been killed inside 1ms"
	if got := s.parts(t, 2); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestNothingAfterTheEntry has a holder that learns from its successor that it
// has lost the lock.
func TestNothingAfterTheEntry(t *testing.T) {
	s := newScript("b", "c")
	s.event("b", trace.Event{Kind: trace.Request})
	s.event("b", trace.Event{Kind: trace.Enter, Token: 1})
	s.event("c", trace.Event{Kind: trace.Request})
	s.event("c", trace.Event{Kind: trace.Enter, Token: 2})
	s.message("c", "b", "mine")
	s.event("b", trace.Event{Kind: trace.Lost, Token: 1})
	story, err := collected(t, s.run, "").Tell(2)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(story.Lines(), "\n")
	if strings.Contains(text, "loses the lock") || !strings.Contains(text, "b was inside when it asked (token 1), and had lost the lock when it noticed that, at +4.00 ms") {
		t.Error(text)
	}
}
