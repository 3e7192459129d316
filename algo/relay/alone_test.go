package relay_test

import (
	"testing"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/algo/relay"
)

// alone is one machine, and a test says what it hears.
type alone struct {
	process algo.Process
	clock   algo.Time
	now     algo.Instant
}

// newAlone has contact with the first incarnation of others.
func newAlone(self algo.PeerName, others ...algo.PeerName) *alone {
	return newAloneAmong(self, false, others...)
}

// newAloneAmong is newAlone where those without a vote may come and go.
func newAloneAmong(self algo.PeerName, open bool, others ...algo.PeerName) *alone {
	a := &alone{now: algo.Instant(100 * ttl)}
	a.process = relay.New(algo.Setup{Self: self, Incarnation: 1, Others: others, Voters: append([]algo.PeerName{self}, others...), Open: open,
		TTL: ttl, Linger: ttl / 4, Drift: 1000, Now: a.now, Kept: true})
	for _, o := range others {
		a.step(algo.Input{Kind: algo.Contact, From: o, Incarnation: 1})
	}
	return a
}

// step returns the messages that follow.
func (a *alone) step(in algo.Input) (sent []algo.Message) {
	a.clock += 10
	in.Time, in.Now = a.clock, a.now
	for _, o := range a.process.Step(in, nil) {
		if o.Kind == algo.Send {
			sent = append(sent, o.Message)
		}
	}
	return sent
}

func (a *alone) pass(d algo.Duration) { a.now = a.now.Add(d) }

func (a *alone) receive(from algo.PeerName, m algo.Message) []algo.Message {
	return a.step(algo.Input{Kind: algo.Receive, Lock: "lock", From: from, Message: m})
}

func first(t algo.Time, p algo.PeerName) algo.Stamp {
	return algo.Stamp{Time: t, Peer: p, Incarnation: 1}
}

// A claim or a request of an earlier incarnation is granted to nobody, even if the
// contact of the next one is what shows that the vote is free (rule 17).
func TestIgnoresOldIncarnations(t *testing.T) {
	for name, wish := range map[string]algo.Message{
		"claim":   relay.Renew{Term: first(1, "a"), Number: 7, Now: 777},
		"request": relay.Request{Stamp: first(6, "a"), Now: 777},
	} {
		t.Run("relay/"+name, func(t *testing.T) {
			for _, again := range []bool{true, false} {
				c := newAlone("c", "a", "b")
				c.receive("b", relay.Request{Stamp: first(5, "b"), Now: 1})
				c.pass(ttl / 2)
				c.receive("a", wish)
				c.pass(ttl / 2)
				next := algo.Incarnation(2)
				if again {
					next = 1
				}
				granted := false
				for _, m := range c.step(algo.Input{Kind: algo.Contact, From: "a", Incarnation: next}) {
					switch m := m.(type) {
					case relay.Vote:
						granted = m.Lease.Asked == 777
					case relay.Renewed:
						granted = m.Lease.Asked == 777
					}
				}
				if granted != again {
					t.Errorf("the same incarnation %t, and it grants what it asked for %t", again, granted)
				}
			}
		})
	}
}

// An owner that stops with too little time to hand the token to the voter that
// hears a waiter ends the term.
func TestStopsWithLittleTime(t *testing.T) {
	a := newAlone("a", "b", "c")
	asked := a.step(algo.Input{Kind: algo.Acquire, Lock: "lock"})[0].(relay.Request)
	a.receive("b", relay.Vote{Term: asked.Stamp, Ballot: 1, Offer: 1, Ceiling: 1 << 16, Lease: relay.Lease{Asked: asked.Now, Length: ttl}})
	a.pass(ttl * 5 / 8)
	a.step(algo.Input{Kind: algo.Tick})
	a.receive("b", relay.Renewed{Term: asked.Stamp, Ceiling: 1 << 17, Lease: relay.Lease{Asked: asked.Now + 1, Length: ttl}, Eldest: first(3, "c"), Now: 5})
	a.step(algo.Input{Kind: algo.Release, Lock: "lock"})
	for _, m := range a.step(algo.Input{Kind: algo.Stop}) {
		if m.Kind() == "release" {
			return
		}
	}
	t.Error("the term lives on, and nobody has the token")
}

// A token that comes a second time is no token (rule 16). Links do not double
// messages; this holds without them.
func TestIgnoresDoubles(t *testing.T) {
	t.Run("relay", func(t *testing.T) {
		p := relay.New(algo.Setup{Self: "a", Incarnation: 1, Others: []algo.PeerName{"b", "c"}, Voters: []algo.PeerName{"a", "b", "c"}, TTL: ttl, Linger: ttl / 4})
		clock := algo.Time(0)
		step := func(in algo.Input) []algo.Output {
			clock++
			in.Time, in.Now, in.Lock = clock, algo.Instant(clock), "lock"
			return p.Step(in, nil)
		}
		for _, peer := range []algo.PeerName{"b", "c"} {
			step(algo.Input{Kind: algo.Contact, From: peer, Incarnation: 1})
		}
		asked := step(algo.Input{Kind: algo.Acquire})[0].Message.(relay.Request)
		token := relay.Token{Term: algo.Stamp{Time: 1, Peer: "b", Incarnation: 1}, Number: 7, Ceiling: 100, Lease: relay.Lease{Asked: asked.Now, Length: ttl}}
		if out := step(algo.Input{Kind: algo.Receive, From: "b", Message: token}); len(out) == 0 || out[0].Kind != algo.Enter {
			t.Fatalf("does not enter: %v", out)
		}
		step(algo.Input{Kind: algo.Receive, From: "c", Message: relay.Request{Stamp: algo.Stamp{Time: 9, Peer: "c", Incarnation: 1}, Now: 5}})
		if out := step(algo.Input{Kind: algo.Release}); len(out) == 0 || out[len(out)-1].Message.Kind() != "token" {
			t.Fatalf("does not pass the token: %v", out)
		}
		step(algo.Input{Kind: algo.Acquire})
		for _, o := range step(algo.Input{Kind: algo.Receive, From: "b", Message: token}) {
			if o.Kind == algo.Enter {
				t.Fatalf("enters with a token that it had before")
			}
		}
	})
}

// A voter that has restarted abstains for a lease, or for longer if leases were
// longer before (rule 7).
func TestAbstains(t *testing.T) {
	for _, c := range []struct{ bound, want algo.Duration }{{0, ttl + ttl/500}, {1, ttl + ttl/500}, {3 * ttl, 3 * ttl}} {
		p := relay.New(algo.Setup{Self: "a", Incarnation: 2, Others: []algo.PeerName{"b"}, Voters: []algo.PeerName{"a", "b"}, TTL: ttl, Drift: 1000, Now: 7, Bound: c.bound})
		if got := p.(*relay.Process).Abstains().Sub(7); got != c.want {
			t.Errorf("bound for %d, a voter abstains for %d, want %d", c.bound, got, c.want)
		}
	}
}
