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
			"a link comes up late":      upLate,
			"a majority comes back":     majorityBack,
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

// turn lets the link between two peers be down, or up again.
func (r *run) turn(i, j int, op sim.Op) {
	r.t.Helper()
	r.blocked[[2]int{i, j}], r.blocked[[2]int{j, i}] = op == sim.Down, op == sim.Down
	r.do(sim.Step{Op: op, Peer: uint8(i), Other: uint8(j)})
	r.do(sim.Step{Op: op, Peer: uint8(j), Other: uint8(i)})
}

// The links of an owner come up shortly before its lease ends: it renews at once
// (rule 12).
func upLate(t *testing.T) {
	r := newRun(t, 3, ttl/1000)
	r.stays = 1000 * ttl
	r.request(0)
	r.until(0, ttl)
	r.wait(ttl/2 - ttl/50)
	r.turn(0, 1, sim.Down)
	r.turn(0, 2, sim.Down)
	r.wait(ttl/3 + ttl/25)
	r.turn(0, 1, sim.Up)
	r.wait(ttl / 3)
	if r.lost > 0 {
		t.Errorf("the hold was lost")
	}
}

// All links were down for so long that every voter has forgotten who waits. When a
// majority is within reach again, all of them are told at once (rule 18).
func majorityBack(t *testing.T) {
	for _, peers := range []int{3, 5} {
		r := newRun(t, peers, ttl/1000)
		r.stays = 1000 * ttl
		r.request(peers - 1)
		r.until(peers-1, ttl)
		r.request(0)
		r.wait(ttl / 10)
		for i := range r.names {
			for j := range i {
				r.turn(i, j, sim.Down)
			}
		}
		r.wait(3*ttl + ttl/500)
		for i := range peers / 2 {
			r.turn(0, 1+i, sim.Up)
			r.pass()
		}
		r.until(0, ttl/20)
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
