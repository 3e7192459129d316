package memory_test

import (
	"bytes"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/transport/link"
	"github.com/conchlock/conch/internal/transport/linktest"
	"github.com/conchlock/conch/internal/transport/memory"
)

// open returns a configuration for a cluster of which a is the only voter.
func open(name algo.PeerName) link.Config {
	cfg := linktest.Config(name, 1)
	cfg.Open, cfg.Votes = true, map[algo.PeerName]int{name: 0}
	cfg.Votes["a"] = 1
	return cfg
}

// within fails the test if f takes longer.
func within(t *testing.T, d time.Duration, what string, f func()) {
	t.Helper()
	start := time.Now()
	f()
	if took := time.Since(start); took > d {
		t.Errorf("it took %v until %s", took, what)
	}
}

// However long two peers have not found each other, once one of them has heard
// of the other they are up at once: the one dials, and that ends the other's
// pause, and its rest.
func TestFoundLate(t *testing.T) {
	for _, rests := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t, 1)
			n.SetDelay(time.Millisecond, 2*time.Millisecond)
			a, _ := linktest.Start(t, n, open("a"), false)
			b, _ := linktest.Start(t, n, open("b"), false)
			b.Transport().Rest("a", rests)
			<-time.After(time.Hour)
			within(t, 50*time.Millisecond, "a peer that was added was up", func() {
				a.Add("b")
				a.WaitUp("b")
				b.WaitUp("a")
			})
		})
	}
}

// A peer that was taken for dead, and starts again, is met at once.
func TestBackFromRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, 1)
		a, _ := linktest.Start(t, n, open("a"), false)
		a.Add("b")
		a.Transport().Rest("b", true)
		<-time.After(time.Hour)
		b, _ := linktest.Start(t, n, open("b"), false)
		within(t, 50*time.Millisecond, "a peer that has just started was up", func() {
			a.WaitUp("b")
			b.WaitUp("a")
		})
	})
}

// Of peers that come and go no goroutine is left, and no link that is up.
func TestNothingRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, 1)
		a, _ := linktest.Start(t, n, open("a"), false)
		b, _ := linktest.Start(t, n, open("b"), false)
		b.WaitDown("a", "yet")
		settle := func() []byte {
			<-time.After(5 * time.Second)
			synctest.Wait()
			stacks := make([]byte, 1<<20)
			return stacks[:runtime.Stack(stacks, true)]
		}
		// Not runtime.NumGoroutine: that has the collector's, too.
		count := func(stacks []byte) int { return bytes.Count(stacks, []byte("synctest bubble")) }
		before := settle()
		for i := range 1000 {
			a.Add("b")
			a.Add("c") // which is nowhere
			if i%2 == 0 {
				a.WaitUp("b")
				a.Send("b", 3)
			}
			a.Remove("c")
			a.Remove("b")
		}
		if after := settle(); count(after) > count(before) {
			t.Errorf("there were %d goroutines, there are %d:\n%s", count(before), count(after), after)
		}
		if p := b.Peer("a"); p.Up {
			t.Error("a peer that was removed takes its link to be up")
		}
	})
}

// Guests with ever new names leave nothing in the network either.
func TestNetworkForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memory.NewNetwork(1, "a", "b", "c")
		cfg := open("a")
		a, err := n.TransportWith(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Start(linktest.NewHandler(t, "a")); err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		for i := range 100 {
			name := algo.PeerName("guest-" + string(rune('a'+i%26)) + string(rune('a'+i/26)))
			cfg := open(name)
			guest, err := n.TransportWith(cfg)
			if err != nil {
				t.Fatal(err)
			}
			h := linktest.NewHandler(t, name)
			if err := guest.Start(h); err != nil {
				t.Fatal(err)
			}
			a.Add(name)
			h.WaitUp("a")
			a.Remove(name)
			guest.Close()
		}
		if ways := memory.Ways(n); ways > 0 {
			t.Errorf("the network still knows %d ways", ways)
		}
	})
}
