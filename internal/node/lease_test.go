package node_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/algo/roster"
	"github.com/conchlock/conch/internal/node"
	"github.com/conchlock/conch/internal/trace"
	"github.com/conchlock/conch/internal/transport/memory"
)

const margin = 100 * time.Millisecond

// bubble runs a test in virtual time.
func bubble(t *testing.T, name string, test func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, test) })
}

// wantLost checks that a hold is lost.
func wantLost(t *testing.T, h *node.Hold) {
	t.Helper()
	if cause := context.Cause(h.Context()); !errors.Is(cause, node.ErrLost) {
		t.Errorf("the context's cause is %v", cause)
	}
	for range 2 {
		if err := h.Release(); !errors.Is(err, node.ErrLost) {
			t.Errorf("release: %v", err)
		}
	}
}

// A hold lasts for as long as its lease is renewed.
func TestRenewedLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := alone(t)
		defer l.close()
		l.lessor.renews.Store(true)
		h := l.acquire("x")
		wait(10*ttl + ttl/3)
		if err := h.Context().Err(); err != nil {
			t.Errorf("a hold whose lease is renewed ends: %v", context.Cause(h.Context()))
		}
		if left := time.Until(h.Deadline()); left < ttl/2 || left > ttl {
			t.Errorf("%v are left of the lease", left)
		}
		if n := l.lessor.ticks.Load(); n != 20 {
			t.Errorf("%d ticks, want 20", n)
		}
		if err := h.Release(); err != nil {
			t.Error(err)
		}
		kinds := []trace.Kind{trace.Request, trace.Enter}
		for range l.lessor.ticks.Load() {
			kinds = append(kinds, trace.Extend)
		}
		l.wantKinds("x", append(kinds, trace.Exit)...)
	})
}

// The context of a hold ends a margin before its lease, and its caller has that
// margin to stop in.
func TestLeaseEnds(t *testing.T) {
	bubble(t, "not renewed", func(t *testing.T) {
		l := alone(t)
		defer l.close()
		start := time.Now()
		h := l.acquire("x")
		if d := h.Deadline(); !d.Equal(start.Add(ttl)) {
			t.Errorf("the deadline is in %v", d.Sub(start))
		}
		<-h.Context().Done()
		if d := time.Since(start); d != ttl-margin {
			t.Errorf("the context ends after %v", d)
		}
		l.wantKinds("x", trace.Request, trace.Enter) // the caller may still be inside
		next := l.acquire("x")
		if d := time.Since(start); d != ttl {
			t.Errorf("the next one enters after %v", d)
		}
		l.wantKinds("x", trace.Request, trace.Enter, trace.Lost, trace.Request, trace.Enter)
		wantLost(t, h)
		if err := next.Release(); err != nil {
			t.Error(err)
		}
	})
	bubble(t, "left in the margin", func(t *testing.T) {
		l := alone(t)
		defer l.close()
		start := time.Now()
		h := l.acquire("x")
		<-h.Context().Done()
		wantLost(t, h)
		l.wantKinds("x", trace.Request, trace.Enter, trace.Lost)
		next := l.acquire("x")
		if d := time.Since(start); d != ttl-margin {
			t.Errorf("the next one enters after %v", d)
		}
		if err := next.Release(); err != nil {
			t.Error(err)
		}
	})
}

// Once the context has ended, nothing makes the hold last longer.
func TestLeaseIsOver(t *testing.T) {
	bubble(t, "renewed too late", func(t *testing.T) {
		l := alone(t)
		defer l.close()
		start := time.Now()
		h := l.acquire("x")
		<-h.Context().Done()
		l.lessor.renews.Store(true)
		l.acquire("y") // so that it is asked when it wants to wake: now
		wait(margin / 2)
		if n := l.lessor.ticks.Load(); n == 0 {
			t.Fatal("the test proves nothing")
		}
		next := l.acquire("x")
		if d := time.Since(start); d != ttl {
			t.Errorf("the next one enters after %v", d)
		}
		wantLost(t, h)
		l.wantKinds("x", trace.Request, trace.Enter, trace.Lost, trace.Request, trace.Enter)
		if err := next.Release(); err != nil {
			t.Error(err)
		}
	})
	bubble(t, "an algorithm that does not say it", func(t *testing.T) {
		l := alone(t)
		defer l.close()
		l.lessor.forgets.Store(true)
		start := time.Now()
		h := l.acquire("x")
		next := l.acquire("x")
		if d := time.Since(start); d != ttl {
			t.Errorf("the next one enters after %v", d)
		}
		wantLost(t, h)
		if err := next.Release(); err != nil {
			t.Error(err)
		}
	})
}

// After a pause nobody finds a hold whose time is over, whatever he calls.
func TestAfterAPause(t *testing.T) {
	for name, look := range map[string]func(l *leased, h *node.Hold){
		"release":  func(_ *leased, h *node.Hold) { h.Release() },
		"context":  func(_ *leased, h *node.Hold) { h.Context() },
		"deadline": func(_ *leased, h *node.Hold) { h.Deadline() },
		"status": func(l *leased, _ *node.Hold) {
			if s := l.node.Status(); len(s.Locks) > 0 {
				l.t.Errorf("status says %v", s.Locks)
			}
		},
		"acquire": func(l *leased, _ *node.Hold) { l.acquire("x") },
		"waiting": func(*leased, *node.Hold) { wait(time.Second + time.Millisecond) }, // and nothing comes in
	} {
		bubble(t, name, func(t *testing.T) {
			l := alone(t)
			defer l.close()
			h := l.acquire("x")
			ctx := h.Context()
			l.sleep(ttl)
			if ctx.Err() != nil {
				t.Fatal("the test proves nothing")
			}
			look(l, h)
			synctest.Wait() // what the guard saw first, the node records
			if cause := context.Cause(ctx); !errors.Is(cause, node.ErrLost) {
				t.Errorf("the context's cause is %v", cause)
			}
			if got := l.events.find(func(line string) bool { return strings.Contains(line, "lost x token=1") }); len(got) != 1 {
				t.Errorf("recorded as lost %d times", len(got))
			}
			wantLost(t, h)
		})
	}
}

// When many leases end at once, or one after the other, every hold ends in its
// time, and whoever waits here is asked for.
func TestManyLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := alone(t)
		defer l.close()
		const locks = 500
		var wg sync.WaitGroup
		for i := range locks {
			h := l.acquire(fmt.Sprint(i))
			entered := time.Now()
			if i%3 == 0 {
				wg.Go(func() { l.node.Acquire(t.Context(), fmt.Sprint(i), node.About{}) })
			}
			if i%7 == 0 {
				if err := h.Release(); err != nil {
					t.Error(err)
				}
				continue
			}
			wg.Go(func() {
				<-h.Context().Done()
				if d := time.Since(entered); d < ttl-margin || d > ttl-margin+time.Millisecond {
					t.Errorf("a context ends after %v", d)
				}
			})
			if i%10 > 0 { // ten end at once
				wait(time.Millisecond / 3)
			}
		}
		wg.Wait()
		wait(2 * ttl)
		if s := l.node.Status(); len(s.Locks) > 0 {
			t.Errorf("%d locks are left", len(s.Locks))
		}
	})
}

// What comes after a floor is done when the floor is safe, or not at all.
func TestFloor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := alone(t)
		defer l.close()
		l.lessor.floors.Store(true)
		h := l.acquire("x")
		if l.disk.floor != h.Token()+5 {
			t.Errorf("the floor is at %d with token %d", l.disk.floor, h.Token())
		}
		full := errors.New("disk full")
		l.disk.breakDown(full)
		if _, err := l.node.Acquire(t.Context(), "y", node.About{}); !errors.Is(err, full) || !errors.Is(err, node.ErrClosed) {
			t.Errorf("acquire: %v", err)
		}
		l.wantKinds("y", trace.Request)
		wantLost(t, h)
	})
}

// A process is ticked when it wants to be, and not without need.
func TestTicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := alone(t)
		defer l.close()
		wait(10 * time.Second)
		if n := l.lessor.ticks.Load(); n != 0 {
			t.Errorf("%d ticks that nobody wanted", n)
		}
		if n := l.read.Load(); n > 12 {
			t.Errorf("the clock was read %d times in 10 s of rest", n)
		}
		for range 1000 { // enter again and again
			if err := l.acquire("x").Release(); err != nil {
				t.Fatal(err)
			}
			wait(time.Millisecond)
		}
		if n := l.lessor.ticks.Load(); n != 0 {
			t.Errorf("%d ticks for holds that were left", n)
		}
	})
}

// The process hears which peers are there, and what it calls upkeep is recorded
// as such on both sides.
func TestNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork(1, "a", "b")
		a := lease(t, network, "a", "b")
		b := lease(t, network, "b", "a")
		wait(time.Second)
		network.Cut("a", "b")
		network.Cut("b", "a")
		wait(10 * time.Second)
		network.Heal("a", "b")
		network.Heal("b", "a")
		wait(10 * time.Second)
		a.acquire("x")
		wait(time.Millisecond)
		upkeep := func(line string) bool { return strings.Contains(line, "(upkeep)") }
		if len(a.events.find(upkeep)) != 1 || len(b.events.find(upkeep)) != 1 {
			t.Errorf("upkeep is recorded %d and %d times", len(a.events.find(upkeep)), len(b.events.find(upkeep)))
		}
		b.close()
		wait(time.Second)
		a.close()
		want := []string{"contact b", "down b", "up b", "down b", "stop "}
		if !slices.Equal(a.lessor.inputs, want) {
			t.Errorf("a has heard %q, want %q", a.lessor.inputs, want)
		}
		want = []string{"contact a", "down a", "up a", "receive a", "stop "}
		if !slices.Equal(b.lessor.inputs, want) {
			t.Errorf("b has heard %q, want %q", b.lessor.inputs, want)
		}
	})
}

// A Contact is an Up: if the way stays down for the reason that it was down for
// before, the process hears of that.
func TestDownAfterContact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lease(t, memory.NewNetwork(1, "a", "b"), "a", "b")
		synctest.Wait() // the transport says that b is down, and has nothing to add while no time passes
		const reason = "the test says so"
		l.node.Down("b", reason) // without contact the process is not told
		l.node.Contact(node.Contact{Peer: "b", Incarnation: 1, Link: nowhere{}})
		l.node.Down("b", reason)
		l.node.Down("b", reason)
		l.node.Up("b")
		l.close()
		if want := []string{"contact b", "down b", "up b", "stop "}; !slices.Equal(l.lessor.inputs, want) {
			t.Errorf("the process has heard %q, want %q", l.lessor.inputs, want)
		}
	})
}

// While a peer is down, two reasons in turn are recorded once each, and the status has
// the last one.
func TestDownInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lease(t, memory.NewNetwork(1, "a", "b"), "a", "b")
		synctest.Wait()
		for round := range 2 {
			for range 3 {
				l.node.Down("b", "no answer")
				l.node.Down("b", "no way")
			}
			if got := l.node.Status().Peers[0].Reason; got != "no way" {
				t.Errorf("the status says %q", got)
			}
			for _, reason := range []string{"no answer", "no way"} {
				if n := l.events.count(reason); n != round+1 {
					t.Errorf("%q is recorded %d times, want %d", reason, n, round+1)
				}
			}
			l.node.Up("b")
		}
		l.close()
	})
}

// nowhere is a link that leads nowhere.
type nowhere struct{}

func (nowhere) Send(node.Packet) {}

// A stop in good order keeps what the process has promised; it is no matter if
// that cannot be kept.
func TestPromises(t *testing.T) {
	for _, broken := range []error{nil, errors.New("disk full")} {
		bubble(t, fmt.Sprint(broken), func(t *testing.T) {
			l := alone(t)
			l.acquire("x")
			l.disk.breakDown(broken)
			l.close()
			if want := broken == nil; l.disk.kept != want || want && (len(l.disk.promises) != 1 || l.disk.promises[0].Ballot != 7) {
				t.Errorf("kept %v: %v", l.disk.kept, l.disk.promises)
			}
			l.wantKinds("x", trace.Request, trace.Enter, trace.Exit)
		})
	}
}

// Status says until when a hold lasts and for how long a peer abstains.
func TestLeaseStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := alone(t)
		defer l.close()
		wait(ttl / 4)
		l.acquire("x")
		s := l.node.Status()
		if s.Abstains != ttl-ttl/4 || !s.Locks[0].Deadline.Equal(time.Now().Add(ttl)) {
			t.Errorf("abstains for %v, deadline %v", s.Abstains, s.Locks[0].Deadline)
		}
		wait(ttl)
		if s := l.node.Status(); s.Abstains != 0 {
			t.Errorf("abstains for %v", s.Abstains)
		}
	})
}

// A hold lasts for as long as its holder wants. Without leases it has no deadline.
func TestLongHold(t *testing.T) {
	each(t, 1, func(t *testing.T, c *cluster) {
		h := c.acquire("a", "x")
		wait(time.Hour)
		if roster.Leases(c.algorithm) {
			if left := time.Until(h.Deadline()); left <= 0 || h.Context().Err() != nil {
				t.Errorf("%v are left of a lease that is renewed", left)
			}
			c.release(h)
			return
		}
		if d := h.Deadline(); !d.IsZero() || h.Context().Err() != nil {
			t.Errorf("the deadline is %v, the context's error %v", d, h.Context().Err())
		}
		c.release(h)
	})
}

var _ algo.Keeper = (*lessor)(nil)
