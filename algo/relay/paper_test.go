package relay_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/sim"
)

// What relay claims to cost is the table at the head of its specification
// (docs/algorithms/relay.md). Every row is counted here, on the code that runs,
// for clusters of several sizes. Every message takes one delay, T. Upkeep keeps a
// lease or a request alive, or ends one; it depends on time and not on entries, so
// it is counted apart.

// tick is T in these tests: so short that no lease has to be renewed for an entry.
const tick = ttl / 1000

// paper runs a test of a claim in clusters of several sizes, all of them voters.
func paper(t *testing.T, test func(t *testing.T, n int, r *run)) {
	t.Helper()
	for _, n := range []int{3, 5, 9, 15} {
		t.Run(fmt.Sprintf("relay/%d", n), func(t *testing.T) {
			r := newRun(t, n, tick)
			r.stays = tick
			test(t, n, r)
		})
	}
}

// costs says that the messages since the last clear are these, and no others.
func (r *run) costs(what string, want map[string]int) {
	r.t.Helper()
	total := 0
	for kind, sent := range r.sent {
		if kind == "upkeep" {
			continue
		}
		if total += sent; sent != want[kind] {
			r.t.Errorf("%s: %d times %s, want %d; in all %v", what, sent, kind, want[kind], r.sent)
		}
	}
	for kind, sent := range want {
		if total -= sent; r.sent[kind] == 0 {
			r.t.Errorf("%s: no %s, want %d", what, kind, sent)
		}
	}
	if total != 0 {
		r.t.Errorf("%s: %d messages too many", what, total)
	}
}

// enters lets a peer ask, and says how long it waits.
func (r *run) enters(i int) algo.Duration {
	r.t.Helper()
	clear(r.sent)
	r.request(i)
	if r.net.Inside(i, 0) {
		return 0
	}
	return r.until(i, 2*ttl)
}

// leaves waits until nobody is inside, and nothing is on its way.
func (r *run) leaves() {
	r.t.Helper()
	for i := range r.names {
		for r.net.Inside(i, 0) {
			r.pass()
		}
	}
	r.wait(2 * tick)
}

// Nobody has wanted the lock for long: 2(N-1) messages, 2 T.
func TestPaperIdle(t *testing.T) {
	paper(t, func(t *testing.T, n int, r *run) {
		for round := range 3 {
			i := round % n
			if took := r.enters(i); took != 2*tick {
				t.Errorf("an idle lock takes %v, not 2 T", time.Duration(took))
			}
			r.leaves()
			r.costs("an idle lock", map[string]int{"request": n - 1, "vote": n - 1})
			r.wait(ttl) // it rests, and is released
		}
	})
}

// Who was the last to be inside enters again: no message, no delay.
func TestPaperAgain(t *testing.T) {
	paper(t, func(t *testing.T, n int, r *run) {
		r.enters(n - 1)
		for range 5 {
			r.leaves()
			if took := r.enters(n - 1); took != 0 {
				t.Errorf("entering again takes %v", time.Duration(took))
			}
			r.costs("entering again", nil)
		}
	})
}

// The token rests at another peer: N messages, 2 T, wherever it is.
func TestPaperRests(t *testing.T) {
	paper(t, func(t *testing.T, n int, r *run) {
		r.enters(0)
		for at, step := 0, 1; step < n; step++ {
			r.leaves()
			at = (at + step) % n
			if took := r.enters(at); took != 2*tick {
				t.Errorf("a token that rests elsewhere takes %v, not 2 T", time.Duration(took))
			}
			r.leaves()
			r.costs("a token that rests elsewhere", map[string]int{"request": n - 1, "token": 1})
		}
	})
}

// Somebody waits when the holder leaves: N messages an entry, all its own but
// one, and 1 T from the exit to the next entry.
func TestPaperWaits(t *testing.T) {
	paper(t, func(t *testing.T, n int, r *run) {
		r.stays = 5 * tick
		r.enters(0)
		clear(r.sent)
		for i := 1; i < n; i++ {
			r.request(i)
		}
		for len(r.entries) < n {
			r.pass()
		}
		r.handsOn(t, r.entries)
		r.costs("handing on", map[string]int{"request": (n - 1) * (n - 1), "token": n - 1})
	})
}

// Everybody wants it all the time: the same, over many leases. Where a lease has
// to be renewed before the token travels (rule 13), that is a round trip more.
// Each journey takes from the lease the delay of the request that it answers, and
// twice the drift of what is left (section 2): here half of it is gone after more
// than a hundred journeys, and after about 350 where T is nothing to the TTL.
func TestPaperFullLoad(t *testing.T) {
	paper(t, func(t *testing.T, n int, r *run) {
		for i := range r.names {
			r.hot[i] = true
		}
		for len(r.entries) < 2*n {
			r.pass()
		}
		clear(r.sent)
		first := len(r.entries)
		r.wait(3 * ttl)
		entries := r.entries[first:]
		for kind, each := range map[string]int{"token": 1, "request": n - 1} {
			if want := each * len(entries); !within(r.sent[kind], want, n) { // some are on their way at either end
				t.Errorf("%d times %s for %d entries, want %d", r.sent[kind], kind, len(entries), want)
			}
		}
		if others := r.sent["vote"] + r.sent["inquire"] + r.sent["yield"] + r.sent["cancel"]; others > 0 {
			t.Errorf("under full load: sent %v", r.sent)
		}
		late := 0
		for k := 1; k < len(entries); k++ {
			switch gap := entries[k].at - entries[k-1].at - r.stays; {
			case gap == tick:
			case gap <= 3*tick:
				late++
			default:
				t.Errorf("%v from an exit to the next entry", time.Duration(gap))
			}
		}
		if most := len(entries)/100 + 1; late > most {
			t.Errorf("%d of %d handoffs wait for a renewal, want %d at most", late, len(entries), most)
		}
		for k := n; k < len(entries); k++ {
			if entries[k].peer != entries[k-n].peer {
				t.Fatalf("not in turn: %v", entries)
			}
		}
	})
}

// handsOn says that all entries but the first came 1 T after an exit.
func (r *run) handsOn(t *testing.T, entries []entry) {
	t.Helper()
	for k := 1; k < len(entries); k++ {
		if gap := entries[k].at - entries[k-1].at - r.stays; gap != tick {
			t.Errorf("%v from an exit to the next entry, not 1 T", time.Duration(gap))
		}
	}
}

// The holder falls silent, or the token is lost: as an idle lock, at most one
// TTL later. Nothing is sent for it but what any request costs, and votes.
func TestPaperLost(t *testing.T) {
	paper(t, func(t *testing.T, n int, r *run) {
		for round := range 8 { // of the lease's age
			r := newRun(t, n, tick)
			r.stays = 100 * ttl
			r.enters(0)
			r.wait(ttl * algo.Duration(round) / 8)
			for j := range r.names {
				r.blocked[[2]int{0, j}], r.blocked[[2]int{j, 0}] = true, true
			}
			if took := r.enters(1); took > ttl+2*tick {
				t.Errorf("the lock of a holder that is silent takes %v", time.Duration(took))
			}
			r.wait(2 * tick)
			r.costs("a silent holder", map[string]int{"request": n - 1, "vote": n - 2})
		}
		r.enters(0)
		r.stays = 3 * tick
		r.request(1)
		for r.net.Inside(0, 0) {
			r.pass()
		}
		clear(r.sent)
		r.do(sim.Step{Op: sim.Lose, Peer: 0, Other: 1})
		r.do(sim.Step{Op: sim.Contact, Peer: 0, Other: 1})
		r.do(sim.Step{Op: sim.Contact, Peer: 1, Other: 0})
		if took := r.until(1, 2*ttl); took > ttl+2*tick {
			t.Errorf("a token that is lost takes %v", time.Duration(took))
		}
		r.wait(2 * tick)
		r.costs("a lost token", map[string]int{"vote": n - 1})
	})
}

// Upkeep: a lease in use costs a renewal each TTL/2, which is n-1 messages and
// as many answers; a term's end n-1; a request N-1 each TTL/4 that it waits.
func TestPaperUpkeep(t *testing.T) {
	paper(t, func(t *testing.T, n int, r *run) {
		const leases = 10
		r.stays = 100 * ttl
		r.enters(0)
		clear(r.sent)
		r.wait(leases * ttl)
		if renewals := r.sent["upkeep"] / (2 * (n - 1)); renewals < 2*leases-1 || renewals > 2*leases+1 {
			t.Errorf("a hold of %d TTL takes %d renewals of %d messages, want 2 each TTL", leases, renewals, 2*(n-1))
		}
		r.costs("a hold", nil)

		held := r.sent["upkeep"]
		r.request(1)
		clear(r.sent)
		r.wait(leases * ttl)
		if refreshed := r.sent["upkeep"] - held; !within(refreshed, 4*leases*(n-1), 2*(n-1)) {
			t.Errorf("a request that waits for %d TTL costs %d messages more, want %d", leases, refreshed, 4*leases*(n-1))
		}
		r.costs("waiting", nil)
	})
	paper(t, func(t *testing.T, n int, r *run) {
		r.enters(0)
		r.leaves()
		clear(r.sent)
		r.wait(ttl)
		if r.sent["upkeep"] != n-1 {
			t.Errorf("a term's end costs %d messages, want %d", r.sent["upkeep"], n-1)
		}
		r.costs("a term's end", nil)
		clear(r.sent)
		r.wait(3 * ttl)
		if len(r.sent) != 0 {
			t.Errorf("an idle lock sends %v", r.sent)
		}
	})
}

func within(got, want, by int) bool { return got >= want-by && got <= want+by }
