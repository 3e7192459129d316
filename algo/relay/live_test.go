package relay_test

import (
	"testing"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/algo/relay"
	"github.com/conchlock/conch/internal/sim"
)

const ttl = algo.Duration(12 * time.Second)

// run is a cluster in which every message takes one delay, T, and which runs
// for as long as a test likes.
type run struct {
	t       *testing.T
	net     *sim.Network
	names   []algo.PeerName
	delay   algo.Duration // T
	now     algo.Duration
	blocked map[[2]int]bool // links on which messages wait
	hot     map[int]bool    // who asks again as soon as it has left
	stays   algo.Duration   // how long everybody stays inside
	since   map[int]algo.Duration
	entries []entry
	lost    int
	sent    map[string]int // by kind; upkeep under "upkeep"
}

type entry struct {
	peer  int
	token algo.Token
	at    algo.Duration
}

func newRun(t *testing.T, peers int, delay algo.Duration) *run {
	t.Helper()
	net, err := sim.NewNetwork(sim.Config{Algorithm: "relay", New: relay.New, Peers: sim.Names(peers), TTL: ttl, Linger: ttl / 4, Drift: 1000,
		Forget: true, Invariant: together})
	if err != nil {
		t.Fatal(err)
	}
	r := &run{t: t, net: net, names: sim.Names(peers), delay: delay, blocked: make(map[[2]int]bool), hot: make(map[int]bool),
		since: make(map[int]algo.Duration), sent: make(map[string]int)}
	if err := net.MakeContact(); err != nil {
		t.Fatal(err)
	}
	return r
}

func together(views []sim.View) error {
	seen := make([]relay.Seen, len(views))
	for i, v := range views {
		seen[i] = relay.Seen{Process: v.Process, Now: v.Now}
	}
	return relay.CheckTogether(seen)
}

// do takes a step, if it is possible, and counts what comes of it.
func (r *run) do(s sim.Step) {
	r.t.Helper()
	if r.net.Refuse(s) != nil {
		return
	}
	e, err := r.net.Do(s)
	if err != nil {
		r.t.Fatalf("%v, at %v", err, time.Duration(r.now))
	}
	at := int(s.Peer)
	if s.Op == sim.Deliver {
		at = int(s.Other)
	}
	for _, o := range e.Outputs {
		switch {
		case o.Kind == algo.Enter:
			r.entries = append(r.entries, entry{peer: at, token: o.Token, at: r.now})
			r.since[at] = r.now
		case o.Kind == algo.Lost:
			r.lost++
		case o.Kind == algo.Send && o.Upkeep:
			r.sent["upkeep"]++
		case o.Kind == algo.Send:
			r.sent[o.Message.Kind()]++
		}
	}
}

func (r *run) request(i int) { r.t.Helper(); r.do(sim.Step{Op: sim.Request, Peer: uint8(i)}) }

// pass lets one delay pass: what is on its way arrives, who has stayed long
// enough leaves, who is hot asks.
func (r *run) pass() {
	r.t.Helper()
	var due []sim.Step
	for i := range r.names {
		for j := range r.names {
			if i != j && !r.blocked[[2]int{i, j}] {
				for range r.net.Queued(i, j) {
					due = append(due, sim.Step{Op: sim.Deliver, Peer: uint8(i), Other: uint8(j)})
				}
			}
		}
	}
	r.do(sim.Step{Op: sim.Pass, Time: r.delay})
	r.now += r.delay
	for _, s := range due {
		r.do(s)
	}
	for i := range r.names {
		p := uint8(i)
		r.do(sim.Step{Op: sim.Wake, Peer: p})
		if r.net.Inside(i, 0) && r.now >= r.since[i]+r.stays {
			r.do(sim.Step{Op: sim.Release, Peer: p})
		}
		if r.hot[i] {
			r.request(i)
		}
	}
}

// until lets time pass until peer i enters, and says how long that took.
func (r *run) until(i int, most algo.Duration) algo.Duration {
	r.t.Helper()
	begun := r.now
	for n := len(r.entries); r.now-begun <= most; r.pass() {
		for ; n < len(r.entries); n++ {
			if r.entries[n].peer == i {
				return r.now - begun
			}
		}
	}
	r.t.Fatalf("%s is not inside after %v", r.names[i], time.Duration(most))
	return 0
}

func (r *run) wait(d algo.Duration) {
	r.t.Helper()
	for end := r.now + d; r.now < end; {
		r.pass()
	}
}

// TestLive shows, for each rule that is there for progress, a run that needs it.
func TestLive(t *testing.T) {
	t.Run("relay", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T){
			"split votes":               splitVotes,
			"hot handoffs":              hotHandoffs,
			"one voter in reach":        oneVoter,
			"voters restart in turn":    restartInTurn,
			"only voters hear":          onlyVotersHear,
			"two hear only the third":   pairCut,
			"a token is lost":           tokenLost,
			"requests that were served": servedRequests,
		} {
			t.Run(name, test)
		}
	})
}

// All ask at once, and every voter votes for itself first: INQUIRE brings the
// votes together in a few delays (rule 3).
func splitVotes(t *testing.T) {
	r := newRun(t, 5, ttl/100)
	r.wait(ttl / 10)
	for i := range r.names {
		r.request(i)
	}
	r.until(4, ttl/2)
}

// Everybody wants in all the time: the token never loses its lease on the way
// (rules 12 and 13), even where a delay is a tenth of a lease.
func hotHandoffs(t *testing.T) {
	for _, stays := range []algo.Duration{0, ttl / 20, ttl / 4} {
		r := newRun(t, 3, ttl/10)
		r.stays = stays
		for i := range r.names {
			r.hot[i] = true
		}
		r.wait(60 * ttl)
		for k := 1; k < len(r.entries); k++ {
			if gap := r.entries[k].at - r.entries[k-1].at - stays; gap > 4*r.delay { // a renewal and a handoff, and what the clock's steps cost
				t.Errorf("%v from an exit to the next entry", time.Duration(gap))
			}
			if r.entries[k].token != r.entries[k-1].token+1 {
				t.Fatalf("after token %d comes %d", r.entries[k-1].token, r.entries[k].token)
			}
		}
		if r.lost > 0 || len(r.entries) < 100 {
			t.Errorf("%d entries, %d lost", len(r.entries), r.lost)
		}
	}
}

// A candidate that reaches one voter only does not keep its vote from those who
// can win (rule 6).
func oneVoter(t *testing.T) {
	r := newRun(t, 3, ttl/100)
	r.blocked[[2]int{0, 2}], r.blocked[[2]int{2, 0}] = true, true
	r.blocked[[2]int{1, 0}] = true // b hears a, which does not hear b
	r.request(0)
	r.wait(ttl / 10)
	r.request(2)
	r.until(2, 3*ttl)
}

// Voters restart one after the other, never two within two leases, while
// somebody is inside and another waits: the hold goes on (rule 4).
func restartInTurn(t *testing.T) {
	r := newRun(t, 4, ttl/100)
	r.stays = 1000 * ttl
	r.request(0)
	r.until(0, ttl)
	r.request(3)
	for round := range 6 {
		r.wait(ttl * 5 / 2)
		i := uint8(1 + round%3)
		r.do(sim.Step{Op: sim.Restart, Peer: i})
		for j := range r.names {
			r.do(sim.Step{Op: sim.Contact, Peer: i, Other: uint8(j)})
			r.do(sim.Step{Op: sim.Contact, Peer: uint8(j), Other: i})
		}
		if i == 3 {
			r.request(3)
		}
	}
	r.wait(3 * ttl)
	if r.lost > 0 {
		t.Errorf("the hold was lost")
	}
}

// The owner enters again and again and hears nothing of a waiter whose messages
// do not reach it. The voters do (rule 13).
func onlyVotersHear(t *testing.T) {
	for _, peers := range []int{3, 4, 5} {
		r := newRun(t, peers, ttl/100)
		r.hot[0] = true
		r.until(0, ttl)
		last := peers - 1
		r.blocked[[2]int{last, 0}] = true
		r.request(last)
		r.until(last, 3*ttl)
	}
}

// Two of three voters have no link to each other. The third hands the token to
// either; they hand it to the third, which hears both (rule 13).
func pairCut(t *testing.T) {
	r := newRun(t, 3, ttl/1000)
	r.stays = ttl / 1000
	r.blocked[[2]int{0, 1}], r.blocked[[2]int{1, 0}] = true, true
	r.do(sim.Step{Op: sim.Down, Peer: 0, Other: 1})
	r.do(sim.Step{Op: sim.Down, Peer: 1, Other: 0})
	for i := range r.names {
		r.hot[i] = true
	}
	r.wait(5 * ttl)
	var last [3]algo.Duration
	for _, e := range r.entries {
		if waited := e.at - last[e.peer]; waited > ttl/50 {
			t.Fatalf("%s has waited for %v", r.names[e.peer], time.Duration(waited))
		}
		last[e.peer] = e.at
	}
	if len(r.entries) < 2000 || r.lost > 0 {
		t.Errorf("%d entries, %d lost", len(r.entries), r.lost)
	}
}

// A token is lost on its way. Who was to get it still waits (rule 17).
func tokenLost(t *testing.T) {
	for _, peers := range []int{2, 3} {
		r := newRun(t, peers, ttl/100)
		r.stays = ttl / 10
		r.request(0)
		r.until(0, ttl)
		r.request(1)
		for r.net.Inside(0, 0) {
			r.pass()
		}
		r.do(sim.Step{Op: sim.Lose, Peer: 0, Other: 1})
		r.do(sim.Step{Op: sim.Contact, Peer: 0, Other: 1})
		r.do(sim.Step{Op: sim.Contact, Peer: 1, Other: 0})
		r.request(0) // and hands on what it knows
		r.until(1, 3*ttl)
	}
}

// When a term ends, voters know which requests have been served, and vote for
// none of them (rules 5 and 17).
func servedRequests(t *testing.T) {
	r := newRun(t, 3, ttl/1000)
	r.stays = ttl / 1000
	for i := range r.names {
		r.request(i)
	}
	for len(r.entries) < 3 {
		r.pass()
	}
	clear(r.sent)
	r.wait(ttl/4 + 10*r.delay) // it rests, and is released
	if r.sent["vote"]+r.sent["cancel"] != 0 {
		t.Errorf("when nobody waits: sent %v", r.sent)
	}
	clear(r.sent)
	r.request(0)
	if took := r.until(0, ttl/2); took != 2*r.delay {
		t.Errorf("an idle lock takes %v, not 2 T", time.Duration(took))
	}
	if r.sent["request"] != 2 || r.sent["vote"] != 2 || r.sent["inquire"]+r.sent["yield"]+r.sent["cancel"] != 0 {
		t.Errorf("sent %v", r.sent)
	}
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
