package node_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
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

// each runs a test in a bubble of virtual time, once for each algorithm, on a
// network where every message takes a millisecond or two.
func each(t *testing.T, peers int, test func(t *testing.T, c *cluster)) {
	for _, algorithm := range roster.Names() {
		t.Run(algorithm, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, algorithm, peers)
				c.network.SetDelay(time.Millisecond, 2*time.Millisecond)
				test(t, c)
				c.close()
			})
		})
	}
}

// wait lets virtual time pass.
func wait(d time.Duration) { <-time.After(d) }

func (c *cluster) acquire(name algo.PeerName, lock string) *node.Hold {
	c.t.Helper()
	h, err := c.nodes[name].Acquire(c.t.Context(), lock, node.About{})
	if err != nil {
		c.t.Fatalf("%s: %v", name, err)
	}
	return h
}

func (c *cluster) release(h *node.Hold) {
	c.t.Helper()
	if err := h.Release(); err != nil {
		c.t.Fatal(err)
	}
}

// Several callers at several peers enter several locks again and again, some
// give up: never two inside, tokens grow, and when all is over nobody keeps any
// state of any lock.
func TestMutualExclusion(t *testing.T) {
	each(t, 3, func(t *testing.T, c *cluster) {
		sections := map[string]*section{"x": {}, "y": {}}
		var wg sync.WaitGroup
		for i := range 12 {
			random := rand.New(rand.NewPCG(1, uint64(i)))
			at := c.nodes[c.names[i%3]]
			wg.Go(func() {
				for range 20 {
					lock := []string{"x", "y"}[random.IntN(2)]
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(random.IntN(200))*time.Millisecond)
					h, err := at.Acquire(ctx, lock, node.About{})
					cancel()
					if errors.Is(err, context.DeadlineExceeded) {
						continue
					}
					if err != nil {
						t.Error(err)
						return
					}
					sections[lock].enter(t, h.Token())
					wait(time.Duration(random.IntN(5)) * time.Millisecond)
					sections[lock].exit()
					if err := h.Release(); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		synctest.Wait()
		for _, name := range c.names {
			if s := c.nodes[name].Status(); len(s.Locks) > 0 {
				t.Errorf("%s still knows of %v", name, s.Locks)
			}
		}
		for lock, s := range sections {
			if s.entries < 20 {
				t.Errorf("only %d entries of %s: the test proves little", s.entries, lock)
			}
		}
	})
}

// section watches over a critical section.
type section struct {
	mu      sync.Mutex
	inside  bool
	last    algo.Token
	entries int
}

func (s *section) enter(t *testing.T, token algo.Token) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inside {
		t.Error("two are inside")
	}
	if token <= s.last {
		t.Errorf("token %d comes after %d", token, s.last)
	}
	s.inside, s.last = true, token
	s.entries++
}

func (s *section) exit() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inside = false
}

// Callers at one peer are served in the order they came.
func TestLocalOrder(t *testing.T) {
	each(t, 2, func(t *testing.T, c *cluster) {
		first := c.acquire("a", "x")
		var order []int
		var wg sync.WaitGroup
		for i := range 5 {
			wg.Go(func() {
				h := c.acquire("a", "x")
				order = append(order, i)
				c.release(h)
			})
			synctest.Wait()
		}
		c.release(first)
		wg.Wait()
		if fmt.Sprint(order) != "[0 1 2 3 4]" {
			t.Errorf("served in the order %v", order)
		}
	})
}

// A caller that gives up says for whom it waited, and is out of the way: whoever
// is behind it takes its place, also when the lock comes at that very moment.
func TestGiveUp(t *testing.T) {
	each(t, 2, func(t *testing.T, c *cluster) {
		h := c.acquire("b", "x")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.nodes["a"].Acquire(ctx, "x", node.About{}); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "waits for b") {
			t.Errorf("got %v, want a deadline exceeded that says: waits for b", err)
		}
		// The release's message takes 1 to 2 ms, so over these delays the grant
		// comes before, at, and after the moment of giving up.
		for d := time.Duration(0); d < 4*time.Millisecond; d += 100 * time.Microsecond {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			var wg sync.WaitGroup
			wg.Go(func() {
				if h, err := c.nodes["a"].Acquire(ctx, "x", node.About{}); err == nil {
					c.release(h)
				}
			})
			wg.Go(func() { c.release(c.acquire("a", "x")) })
			synctest.Wait()
			c.release(h)
			wg.Wait()
			cancel()
			h = c.acquire("b", "x")
		}
		c.release(h)
	})
}

// Close ends holds and waiting callers, and says why; the others wait for the
// peer, say so, and go on when it is back.
func TestCloseAndRestart(t *testing.T) {
	each(t, 3, func(t *testing.T, c *cluster) {
		h := c.acquire("b", "x")
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := c.nodes["b"].Acquire(t.Context(), "x", node.About{}); !errors.Is(err, node.ErrClosed) {
				t.Errorf("a caller that waits at a closed peer gets %v", err)
			}
		})
		synctest.Wait()
		if err := c.nodes["b"].Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
		if err := context.Cause(h.Context()); !errors.Is(err, node.ErrClosed) {
			t.Errorf("the hold's context ends with %v", err)
		}
		if err := h.Release(); !errors.Is(err, node.ErrClosed) {
			t.Errorf("release after close: %v", err)
		}
		if _, err := c.nodes["b"].Acquire(t.Context(), "x", node.About{}); !errors.Is(err, node.ErrClosed) {
			t.Errorf("acquire after close: %v", err)
		}
		c.comeBack("b")
	})
}

// A holder that crashes is waited for; no one else gets in before it is back,
// and its next incarnation's tokens are larger.
func TestCrashOfTheHolder(t *testing.T) {
	each(t, 3, func(t *testing.T, c *cluster) {
		token := c.acquire("b", "x").Token()
		c.crash("b")
		h := c.comeBack("b")
		if h.Token() <= token {
			t.Errorf("token %d after the restart, %d before it", h.Token(), token)
		}
	})
}

// When everybody has restarted at once, nobody remembers an entry; the clocks in
// the handshakes keep the tokens growing.
func TestRestartOfAll(t *testing.T) {
	each(t, 2, func(t *testing.T, c *cluster) {
		var last algo.Token
		for range 2000 { // beyond the ceiling of who never entered
			h := c.acquire("b", "x")
			last = h.Token()
			c.release(h)
		}
		c.crash("a")
		c.crash("b")
		c.start("a")
		c.start("b")
		h := c.acquire("a", "x")
		if h.Token() <= last {
			t.Errorf("token %d after the restart, %d before it", h.Token(), last)
		}
		c.release(h)
	})
}

// comeBack lets everybody else want a lock that needs the peer that is gone,
// sees them wait, starts the peer, and sees them all enter. It returns the last
// hold, released.
func (c *cluster) comeBack(gone algo.PeerName) (last *node.Hold) {
	c.t.Helper()
	var s section
	var wg sync.WaitGroup
	for _, name := range c.names {
		if name == gone {
			continue
		}
		wg.Go(func() {
			h := c.acquire(name, "x")
			s.enter(c.t, h.Token())
			last = h
			wait(time.Millisecond)
			s.exit()
			c.release(h)
		})
	}
	wait(time.Minute)
	if s.entries > 0 && (c.algorithm == "ricart-agrawala" || c.algorithm == "lamport") { // no token can have been let go
		c.t.Errorf("%d entries while %s is gone", s.entries, gone)
	}
	waiting := len(c.names) - 1 - s.entries
	said := 0
	for _, name := range c.names {
		notes := c.events[name].find(func(line string) bool {
			return strings.Contains(line, "note x: has waited for") && strings.Contains(line, string(gone)+", which is down")
		})
		if len(notes) > 0 {
			said++
		}
		if len(notes) > 6 {
			c.t.Errorf("%s said %d times in a minute for whom it waits", name, len(notes))
		}
	}
	if said != waiting && !roster.Leases(c.algorithm) { // else they wait a while, and go on
		c.t.Errorf("%d peers wait, %d said for whom", waiting, said)
	}
	c.start(gone)
	wg.Wait()
	return last
}

// A peer that cannot raise its clock's ceiling does nothing more: its callers
// are told, and its hold is lost.
func TestCeilingCannotBeKept(t *testing.T) {
	each(t, 2, func(t *testing.T, c *cluster) {
		h := c.acquire("a", "x")
		full := errors.New("disk full")
		c.disks["a"].breakDown(full)
		var err error
		for i := 0; err == nil && i < 3000; i++ {
			var other *node.Hold
			if other, err = c.nodes["a"].Acquire(t.Context(), fmt.Sprint("y", i), node.About{}); err == nil {
				err = other.Release()
			}
		}
		if !errors.Is(err, full) || !errors.Is(err, node.ErrClosed) {
			t.Errorf("acquire: %v", err)
		}
		if cause := context.Cause(h.Context()); !errors.Is(cause, node.ErrLost) || !errors.Is(cause, full) {
			t.Errorf("the hold ended with %v", cause)
		}
		if err := h.Release(); !errors.Is(err, node.ErrLost) {
			t.Errorf("release: %v", err)
		}
		if err := c.nodes["a"].Err(); !errors.Is(err, full) {
			t.Errorf("the node says %v", err)
		}
	})
}

// closer closes its node once, at the moment when what led to an entry has been
// recorded, and the caller has yet to be told.
type closer struct {
	node *node.Node
	once sync.Once
}

func (c *closer) Record(*trace.Event) {}
func (c *closer) Flush() {
	if c.node != nil && len(c.node.Status().Locks) > 0 {
		c.once.Do(func() { c.node.Close() })
	}
}

// Close and a grant at the same moment: the caller gets the hold, which has
// ended, or ErrClosed; nothing is given back twice.
func TestCloseDuringGrant(t *testing.T) {
	for range 64 { // select takes the one or the other by chance
		synctest.Test(t, func(t *testing.T) {
			process, err := roster.New("ricart-agrawala")
			if err != nil {
				t.Fatal(err)
			}
			c := &closer{}
			n, err := node.Start(node.Config{
				Setup: algo.Setup{Self: "a", Incarnation: 1}, New: process, Clock: clock(), Memory: &disk{},
				Transport: memory.NewNetwork(1, "a").Transport("a", 1), Recorder: c,
			})
			if err != nil {
				t.Fatal(err)
			}
			c.node = n
			h, err := n.Acquire(t.Context(), "x", node.About{})
			if err == nil {
				err = h.Release()
			}
			if !errors.Is(err, node.ErrClosed) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Locks in use are bounded, so that all of them can be asked for anew after a
// restart.
func TestTooManyLocks(t *testing.T) {
	each(t, 1, func(t *testing.T, c *cluster) {
		var holds []*node.Hold
		var err error
		for i := 0; err == nil; i++ {
			var h *node.Hold
			if h, err = c.nodes["a"].Acquire(t.Context(), fmt.Sprint("x", i), node.About{}); err == nil {
				holds = append(holds, h)
			}
		}
		if len(holds) != 16384 || !strings.Contains(err.Error(), "that is the limit") {
			t.Errorf("%d locks are held, then: %v", len(holds), err)
		}
		c.release(holds[0])
		c.release(c.acquire("a", "another"))
	})
}

// As many as are allowed can be wanted, and held over a restart, by peers that
// go on afterwards.
func TestManyLocks(t *testing.T) {
	each(t, 2, func(t *testing.T, c *cluster) {
		locks := 16384
		if testing.Short() {
			locks = 1024
		}
		name := func(i int) string { return fmt.Sprintf("%0200d", i) }
		var wg sync.WaitGroup
		holds := make([]*node.Hold, locks)
		for i := range locks {
			wg.Go(func() { holds[i] = c.acquire("a", name(i)) })
		}
		wg.Wait()
		c.crash("b")
		c.start("b")
		wg.Go(func() { c.release(c.acquire("b", name(7))) })
		wait(time.Second)
		c.release(holds[7])
		wg.Wait()
	})
}

// A peer that has failed is gone to the others.
func TestFailedPeerIsDown(t *testing.T) {
	each(t, 2, func(t *testing.T, c *cluster) {
		c.acquire("a", "x")
		c.nodes["a"].Fail(errors.New("disk full"))
		wait(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.nodes["b"].Acquire(ctx, "x", node.About{}); err == nil || !strings.Contains(err.Error(), "a, which is down") {
			t.Errorf("b waits: %v", err)
		}
	})
}

// What a peer records tells how an entry came about.
func TestRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "ricart-agrawala", 2)
		wait(time.Second) // until both have contact: that moves clocks
		c.release(c.acquire("a", "x"))
		got := strings.Join(c.events["a"].find(func(line string) bool { return strings.Contains(line, " x") }), "\n")
		const want = `2 request x
2 send x request a>b: it wants the section and asks everybody
4 receive x reply b>a
4 enter x token=4: every peer has replied
5 exit x token=4`
		if got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		c.close()
	})
}

// An entry is with the kernel before its caller knows of it: who is killed right
// then has left a record of having been inside.
func TestEntryIsRecordedFirst(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		c := newCluster(t, "relay", 2)
		defer c.close()
		wait(time.Second)
		hold, err := c.nodes["a"].Acquire(t.Context(), "x", node.About{})
		if err != nil {
			t.Fatal(err)
		}
		entered, handed := make(chan error, 1), make(chan struct{})
		go func() {
			h, err := c.nodes["b"].Acquire(t.Context(), "x", node.About{})
			entered <- err
			if <-handed; err == nil {
				h.Release()
			}
		}()
		wait(time.Second)
		c.events["b"].setSlow(func() { <-handed })
		if err := hold.Release(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		select {
		case err := <-entered:
			t.Error("b is inside, and its record does not say so yet")
			entered <- err
		default:
		}
		close(handed)
		if err := <-entered; err != nil {
			t.Error(err)
		}
	})
}
