package check

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/trace"
	"github.com/conchlock/conch/internal/trace/tracetest"
)

// scene writes a run by hand, with a wall clock that all read; skew is by how
// much a peer's own is ahead of it.
type scene struct {
	run    tracetest.Trace
	now    time.Time
	skew   map[algo.PeerName]time.Duration
	clock  map[algo.PeerName]algo.Time
	inc    map[algo.PeerName]algo.Incarnation
	number map[algo.PeerName]uint64
}

const lease = time.Second

// newScene has a, b and c start and, if greet is true, send each other a message
// that takes a millisecond.
func newScene(greet bool, skew map[algo.PeerName]time.Duration) *scene {
	s := &scene{
		run: tracetest.Trace{}, now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), skew: skew,
		clock: map[algo.PeerName]algo.Time{}, inc: map[algo.PeerName]algo.Incarnation{}, number: map[algo.PeerName]uint64{},
	}
	names := []algo.PeerName{"a", "b", "c"}
	for _, name := range names {
		s.start(name)
	}
	for _, from := range names {
		for _, to := range names {
			if greet && from != to {
				s.message(from, to, time.Millisecond)
			}
		}
	}
	return s
}

func (s *scene) event(peer algo.PeerName, e trace.Event) {
	s.clock[peer]++
	e.At, e.Peer, e.Incarnation, e.Clock = s.now.Add(s.skew[peer]), peer, s.inc[peer], s.clock[peer]
	if e.Message == nil && e.Kind != trace.Start && e.Kind != trace.Stop && e.Kind != trace.Crash {
		e.Lock = "demo"
	}
	s.run[peer] = append(s.run[peer], e)
}

func (s *scene) start(peer algo.PeerName) {
	s.inc[peer]++
	s.number[peer] = 0
	s.event(peer, trace.Event{Kind: trace.Start})
}

func (s *scene) message(from, to algo.PeerName, delay time.Duration) {
	s.number[from]++
	m := trace.Message{ID: trace.MessageID{From: from, Incarnation: s.inc[from], Number: s.number[from]}, Kind: "word", From: from, To: to, Clock: s.clock[from] + 1}
	s.event(from, trace.Event{Kind: trace.Send, Message: &m})
	s.now = s.now.Add(delay)
	s.clock[to] = max(s.clock[to], m.Clock)
	s.event(to, trace.Event{Kind: trace.Receive, Message: &m})
}

// ahead moves a peer's Lamport clock, and by that its place among the events.
func (s *scene) ahead(peer algo.PeerName) { s.clock[peer] += 1000 }

func (s *scene) wait(d time.Duration) { s.now = s.now.Add(d) }

func (s *scene) enter(peer algo.PeerName, token algo.Token) {
	s.event(peer, trace.Event{Kind: trace.Request})
	s.event(peer, trace.Event{Kind: trace.Enter, Token: token, Lease: lease})
}

func (s *scene) extend(peer algo.PeerName, token algo.Token) {
	s.event(peer, trace.Event{Kind: trace.Extend, Token: token, Lease: lease})
}

func (s *scene) exit(peer algo.PeerName, token algo.Token) {
	s.event(peer, trace.Event{Kind: trace.Exit, Token: token})
}

func (s *scene) lost(peer algo.PeerName, token algo.Token) {
	s.event(peer, trace.Event{Kind: trace.Lost, Token: token})
}

// crash is what the killer writes.
func (s *scene) crash(peer algo.PeerName) {
	s.clock[peer]--
	s.event(peer, trace.Event{Kind: trace.Crash, Reason: "kill -9"})
}

// stay is a whole hold.
func (s *scene) stay(peer algo.PeerName, token algo.Token) {
	s.enter(peer, token)
	s.wait(5 * time.Millisecond)
	s.exit(peer, token)
}

// leaseCases are what can become of the hold with token 7 of b, before c has
// the lock with token 8.
var leaseCases = []struct {
	name    string
	play    func(s *scene)
	want    Verdict
	rule    string // of the first finding
	says    string // in it
	outcome string // what is said of the hold
	clocks  bool   // the verdict rests on clocks, and says so
	silent  bool   // no messages between the peers
}{
	{name: "killed", clocks: true, play: func(s *scene) {
		s.wait(900 * time.Millisecond)
		s.crash("b")
		s.wait(3100 * time.Millisecond)
		s.stay("c", 8)
	}, want: True, outcome: "the hold with token 7 of b ended when b was killed; c entered 3.1s later, with token 8"},
	{name: "killed, and nobody follows", play: func(s *scene) {
		s.crash("b")
	}, want: True, outcome: "the hold with token 7 of b ended when b was killed; nobody has entered since"},
	{name: "killed, and the lease still runs", play: func(s *scene) {
		s.wait(900 * time.Millisecond)
		s.crash("b")
		s.wait(50 * time.Millisecond)
		s.stay("c", 8)
	}, want: Unknown, rule: "mutual exclusion", says: "b (token 7) died inside, and no message says that this was before c (token 8) entered; by the clocks of the traces its lease ran out 50ms after that entry"},
	{name: "killed, and comes back while the lease runs", play: func(s *scene) {
		s.crash("b")
		s.wait(50 * time.Millisecond)
		s.start("b")
		s.message("b", "c", time.Millisecond)
		s.stay("c", 8)
	}, want: True, outcome: "the hold with token 7 of b ended when b was killed; c entered 51ms later, with token 8"},
	{name: "killed by somebody who does not say so", clocks: true, play: func(s *scene) {
		s.wait(1500 * time.Millisecond)
		s.stay("c", 8)
		s.start("b")
	}, want: True, outcome: "the hold with token 7 of b ended when b was killed; c entered 1.5s later than its last event, with token 8"},
	{name: "killed, not said, and never back", play: func(s *scene) {
		s.wait(1500 * time.Millisecond)
		s.stay("c", 8)
	}, want: Unknown, rule: "mutual exclusion", says: "b (token 7) is inside where its record ends"},
	{name: "extended and killed", play: func(s *scene) {
		s.wait(900 * time.Millisecond)
		s.extend("b", 7)
		s.crash("b")
		s.wait(900 * time.Millisecond) // after the first lease, within the second
		s.stay("c", 8)
	}, want: Unknown, rule: "mutual exclusion", says: "its lease ran out 100ms after that entry"},
	{name: "extended, killed, run out", clocks: true, play: func(s *scene) {
		s.wait(900 * time.Millisecond)
		s.extend("b", 7)
		s.crash("b")
		s.wait(1100 * time.Millisecond)
		s.stay("c", 8)
	}, want: True},
	{name: "extended by another token", play: func(s *scene) {
		s.extend("b", 6)
		s.exit("b", 7)
	}, want: False, rule: "fencing tokens", says: "b enters with token 7, but its extend says 6"},
	{name: "extended after the exit", play: func(s *scene) {
		s.exit("b", 7)
		s.extend("b", 7)
	}, want: False, rule: "requests", says: "b may stay longer with token 7, but is not inside"},
	{name: "lost", clocks: true, play: func(s *scene) {
		s.wait(1200 * time.Millisecond)
		s.stay("c", 8)
		s.lost("b", 7) // it was stopped, and noticed late
		s.message("c", "b", time.Millisecond)
		s.stay("b", 9)
	}, want: True, outcome: "the hold with token 7 of b was lost when its lease ran out; c entered 200ms later, with token 8"},
	{name: "lost, and it notices what comes next", clocks: true, play: func(s *scene) {
		s.wait(1200 * time.Millisecond)
		s.enter("c", 8)
		s.message("c", "b", time.Millisecond)
		s.lost("b", 7)
		s.exit("c", 8)
	}, want: True},
	{name: "lost, and the lease still runs", play: func(s *scene) {
		s.wait(300 * time.Millisecond)
		s.enter("c", 8)
		s.wait(800 * time.Millisecond)
		s.lost("b", 7)
		s.exit("c", 8)
	}, want: Unknown, rule: "mutual exclusion", says: "b (token 7) lost its hold, and no message says that this was before c (token 8) entered; by the clocks of the traces its lease ran out 700ms after that entry"},
	{name: "it leaves late, as if nothing had happened", play: func(s *scene) {
		s.wait(1200 * time.Millisecond)
		s.message("b", "c", time.Millisecond)
		s.enter("c", 8)
		s.message("c", "b", time.Millisecond)
		s.exit("b", 7)
		s.exit("c", 8)
	}, want: False, rule: "mutual exclusion", says: "inside at once"},
	{name: "it leaves late, and each has seen the other", play: func(s *scene) {
		s.enter("c", 8)
		s.message("c", "b", time.Millisecond)
		s.message("b", "c", time.Millisecond)
		s.exit("b", 7)
		s.exit("c", 8)
	}, want: False, rule: "mutual exclusion", says: "inside at once"},
	{name: "its release is late", clocks: true, play: func(s *scene) {
		s.wait(300 * time.Millisecond)
		s.exit("b", 7)
		s.wait(800 * time.Millisecond)
		s.stay("c", 8)
		s.message("b", "c", time.Second)
	}, want: True},
	{name: "its release is late, and c knew that it was inside", clocks: true, play: func(s *scene) {
		s.message("b", "c", time.Millisecond)
		s.wait(300 * time.Millisecond)
		s.exit("b", 7)
		s.wait(800 * time.Millisecond)
		s.stay("c", 8)
	}, want: True},
	{name: "it leaves late, and has seen c, which has not seen it", play: func(s *scene) {
		s.ahead("c")
		s.wait(500 * time.Millisecond)
		s.enter("c", 8)
		s.message("c", "b", time.Millisecond)
		s.exit("b", 7)
		s.exit("c", 8)
	}, want: Unknown, rule: "mutual exclusion", says: "by the clocks of the traces it ended 1ms after that entry"},
	{name: "a clock is set", play: func(s *scene) {
		s.crash("b")
		s.wait(50 * time.Millisecond)
		s.skew["c"] += time.Hour
		s.stay("c", 8)
		s.message("c", "a", time.Millisecond) // shows it
		s.skew["c"] -= time.Hour
	}, want: Unknown, rule: "mutual exclusion", says: "but the messages do not show how the two clocks compare"},
	{name: "it leaves late, and nothing orders that", play: func(s *scene) {
		s.wait(1200 * time.Millisecond)
		s.enter("c", 8)
		s.wait(50 * time.Millisecond)
		s.exit("b", 7)
		s.exit("c", 8)
	}, want: Unknown, rule: "mutual exclusion", says: "b (token 7) left, and no message says that this was before c (token 8) entered; by the clocks of the traces it left, its lease over, 50ms after that entry"},
	{name: "the clocks cannot be compared", silent: true, play: func(s *scene) {
		s.crash("b")
		s.wait(3 * time.Second)
		s.stay("c", 8)
	}, want: Unknown, rule: "mutual exclusion", says: "its lease ran out 2s before that entry, but the messages do not show how the two clocks compare"},
	{name: "the clocks cannot be compared closely", silent: true, play: func(s *scene) {
		s.message("a", "c", time.Millisecond)
		s.message("b", "a", 2500*time.Millisecond)
		s.crash("b")
		s.wait(500 * time.Millisecond)
		s.stay("c", 8)
	}, want: Unknown, rule: "mutual exclusion", says: "its lease ran out 2s before that entry, but the second clock may be ahead by 2.5s"},
	{name: "a smaller token", clocks: true, play: func(s *scene) {
		s.crash("b")
		s.wait(3 * time.Second)
		s.stay("c", 6)
	}, want: Unknown, rule: "fencing tokens", says: "by the clocks of the traces c entered with token 6 after b had with token 7"},
	{name: "a smaller token, at a larger Lamport time", clocks: true, play: func(s *scene) {
		s.crash("b")
		s.ahead("c")
		s.wait(3 * time.Second)
		s.stay("c", 6)
	}, want: Unknown, rule: "fencing tokens", says: "by the clocks of the traces c entered with token 6 after b had with token 7"},
	{name: "a smaller token, and c knew", clocks: true, play: func(s *scene) {
		s.message("b", "c", time.Millisecond)
		s.crash("b")
		s.wait(3 * time.Second)
		s.stay("c", 6)
	}, want: False, rule: "fencing tokens", says: "c enters with token 6 after b did with token 7"},
	{name: "the same token", clocks: true, play: func(s *scene) {
		s.crash("b")
		s.wait(3 * time.Second)
		s.stay("c", 7)
	}, want: False, rule: "fencing tokens", says: "token 7 was given twice"},
	{name: "a smaller token than its own last one, and c was in between", clocks: true, play: func(s *scene) {
		s.exit("b", 7)
		s.ahead("c")
		s.wait(2 * time.Second)
		s.stay("c", 8)
		s.ahead("b")
		s.ahead("b")
		s.wait(2 * time.Second)
		s.stay("b", 6)
	}, want: False},
	{name: "it overlaps a hold that its peer's next one hides", clocks: true, play: func(s *scene) {
		s.ahead("c") // in the order of events c comes after both holds of b
		s.stay("c", 8)
		s.exit("b", 7)
		s.wait(2 * time.Second)
		s.stay("b", 9)
	}, want: Unknown, rule: "mutual exclusion", says: "b (token 7) left, and no message says that this was before c (token 8) entered; by the clocks of the traces it ended 5ms after that entry"},
	{name: "a waiter is killed", play: func(s *scene) {
		s.exit("b", 7)
		s.message("b", "c", time.Millisecond)
		s.event("a", trace.Event{Kind: trace.Request})
		s.crash("a")
		s.stay("c", 8)
	}, want: True},
}

// Whatever becomes of a hold with a lease, clocks that are wrong by minutes
// change nothing: messages show how they compare.
func TestLeases(t *testing.T) {
	for _, skew := range []map[algo.PeerName]time.Duration{{}, {"b": 10 * time.Minute}, {"c": 10 * time.Minute}, {"a": -time.Hour, "c": time.Second}} {
		for _, c := range leaseCases {
			t.Run(fmt.Sprint(c.name, skew), func(t *testing.T) {
				s := newScene(!c.silent, skew)
				s.enter("b", 7)
				c.play(s)
				r := texts(s.run).run()
				var b strings.Builder
				r.WriteText(&b)
				if r.Verdict != c.want {
					t.Fatalf("%s\n%s", r.Verdict, b.String())
				}
				if c.rule != "" && (len(r.Findings) != 1 || r.Findings[0].Rule != c.rule) {
					t.Errorf("%+v", r.Findings)
				}
				if says := strings.Contains(b.String(), "the leases and the clocks of the traces"); says != c.clocks {
					t.Errorf("says that it rests on clocks: %v\n%s", says, b.String())
				}
				if len(skew) > 0 {
					return // durations between peers are what their clocks say
				}
				if c.rule != "" && !strings.Contains(r.Findings[0].Text, c.says) {
					t.Errorf("%s", r.Findings[0].Text)
				}
				if c.outcome != "" && (len(r.Broken) == 0 || r.Broken[0].Text != c.outcome || !strings.Contains(b.String(), c.outcome)) {
					t.Errorf("%+v\n%s", r.Broken, b.String())
				}
			})
		}
	}
}

// The request of a peer that is killed ends with it.
func TestKilledWaiting(t *testing.T) {
	s := newScene(true, map[algo.PeerName]time.Duration{})
	s.event("a", trace.Event{Kind: trace.Request})
	s.crash("a")
	s.start("a")
	s.stay("a", 3)
	r := texts(s.run).run()
	if r.Verdict != True || r.Totals.RequestsDied != 1 || r.Totals.Open != 0 || r.Totals.Entries != 1 {
		t.Errorf("%s %+v %+v", r.Verdict, r.Totals, r.Findings)
	}
}

// A holder that was killed, whose record says nothing of it for a long time,
// is compared with the next holds only; the others follow from those.
func TestManyAfterOne(t *testing.T) {
	for _, kill := range []bool{true, false} {
		s := newScene(true, map[algo.PeerName]time.Duration{})
		s.enter("b", 7)
		if kill {
			s.crash("b")
		}
		s.wait(2 * time.Second)
		for i := range algo.Token(3 * pairsMax) {
			s.stay("c", 8+i)
		}
		s.start("b")
		if r := texts(s.run).run(); r.Verdict != True || len(r.Broken) != 1 || r.Broken[0].Next != "c" {
			t.Errorf("crash recorded %v: %s %+v", kill, r.Verdict, r.Findings)
		}
	}
}

// TestManyBefore has a hold that was over before many others began, and comes
// after them in the order of events.
func TestManyBefore(t *testing.T) {
	for _, c := range []struct {
		stays algo.Token
		want  Verdict
	}{{100, True}, {trailMax + 10, Unknown}} {
		s := newScene(true, map[algo.PeerName]time.Duration{})
		s.clock["c"] += 100_000
		s.stay("c", 8)
		for i := range c.stays {
			s.wait(2 * time.Second)
			s.stay("b", 9+i)
		}
		if r := texts(s.run).run(); r.Verdict != c.want {
			t.Errorf("%d stays: %s %+v", c.stays, r.Verdict, r.Findings)
		}
	}
}

// TestLeaseComesLater has holds that get a lease by their extension only, as no
// algorithm does; whatever a trace says, the checker does not panic.
func TestLeaseComesLater(t *testing.T) {
	s := newScene(true, map[algo.PeerName]time.Duration{})
	s.clock["c"] += 1000
	for i, peer := range []algo.PeerName{"c", "b", "b"} {
		s.event(peer, trace.Event{Kind: trace.Request})
		s.event(peer, trace.Event{Kind: trace.Enter, Token: algo.Token(7 + i)})
		s.extend(peer, algo.Token(7+i))
		s.exit(peer, algo.Token(7+i))
		s.wait(2 * time.Second)
	}
	if r := texts(s.run).run(); r.Verdict != True {
		t.Errorf("%s %+v", r.Verdict, r.Findings)
	}
}

// TestManyBesides has so many pairs that wait for the end of one hold that the
// overlap among them is not kept.
func TestManyBesides(t *testing.T) {
	s := newScene(true, map[algo.PeerName]time.Duration{})
	s.ahead("c")
	for i := range algo.Token(pairsMax + 5) {
		s.stay("c", 8+i)
	}
	s.enter("b", 200)
	s.stay("c", 201)
	s.clock["b"] += 10_000
	s.exit("b", 200)
	if r := texts(s.run).run(); r.Verdict != Unknown {
		t.Errorf("%s %+v", r.Verdict, r.Findings)
	}
}

// TestSectionOfLosses has holds that ended without an exit, as the shared file
// sees them.
func TestSectionOfLosses(t *testing.T) {
	killed := func(s *scene) { s.crash("b") }
	lost := func(s *scene) { s.wait(time.Second); s.lost("b", 7) }
	left := func(s *scene) { s.exit("b", 7); s.message("b", "c", time.Millisecond) }
	for _, c := range []struct {
		name string
		play func(s *scene)
		text string
		want Verdict
		says string
	}{
		{"killed inside", killed, "enter b 7\nenter c 8\nexit c 8\n", True, ""},
		{"killed before it wrote", killed, "enter c 8\nexit c 8\n", True, ""},
		{"killed, tokens go back", killed, "enter b 9\nenter c 8\nexit c 8\n", False, "tokens must grow"},
		{"lost, and it knows", lost, "enter b 7\nenter c 8\nexit c 8\n", True, ""},
		{"lost, and it writes late", lost, "enter b 7\nenter c 8\nexit b 7\nexit c 8\n", True, ""},
		{"left late", left, "enter b 7\nenter c 8\nexit b 7\nexit c 8\n", False, "b is inside (token 7), and another enters before it has left"},
		{"left without a word", left, "enter b 7\nenter c 8\nexit c 8\n", False, "b is inside (token 7), and another enters before it has left"},
	} {
		s := newScene(true, map[algo.PeerName]time.Duration{})
		s.enter("b", 7)
		c.play(s)
		s.wait(2 * time.Second)
		s.stay("c", 8)
		dir := write(t, texts(s.run))
		if err := os.WriteFile(filepath.Join(dir, SectionFile), []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		r, err := Dir(dir)
		if err != nil || r.Verdict != c.want || c.says != "" && !strings.Contains(fmt.Sprint(r.Findings), c.says) {
			t.Errorf("%s: %v %s %+v", c.name, err, r.Verdict, r.Findings)
		}
	}
}
