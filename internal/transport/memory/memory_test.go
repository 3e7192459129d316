package memory_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/transport/link"
	"github.com/conchlock/conch/internal/transport/linktest"
	"github.com/conchlock/conch/internal/transport/memory"
)

// network adds to Network what the suite asks for.
type network struct {
	*memory.Network
	t      *testing.T
	strays int
}

func newNetwork(t *testing.T, seed uint64) *network {
	return &network{Network: memory.NewNetwork(seed, "a", "b", "c"), t: t}
}

func (n *network) Transport(cfg link.Config, stray bool) linktest.Transport {
	t, err := n.TransportWith(cfg)
	if err != nil {
		n.t.Fatal(err)
	}
	if stray {
		n.strays++
		t.Hide(fmt.Sprintf("memory:stray-%d", n.strays))
	}
	return t
}

func (n *network) Where(_, to algo.PeerName) string { return memory.Address(to) }

func (n *network) Address(t linktest.Transport) string { return t.(*memory.Transport).Addr() }

func (n *network) Units() []int {
	units := make([]int, 45)
	for i := range units {
		units[i] = i
	}
	return units
}

func TestLinks(t *testing.T) {
	for _, c := range linktest.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c.Run(t, newNetwork(t, 1))
			})
		})
	}
}

// A peer that starts when another one's pauses are at their longest is met at
// once, because its own first stream shows that it is there.
func TestLatePeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, 1)
		n.SetDelay(time.Millisecond, 2*time.Millisecond)
		a, _ := linktest.Start(t, n, linktest.Config("a", 1), false)
		<-time.After(time.Minute)
		start := time.Now()
		b, _ := linktest.Start(t, n, linktest.Config("b", 1), false)
		a.WaitUp("b")
		b.WaitUp("a")
		if d := time.Since(start); d > 50*time.Millisecond {
			t.Errorf("it took %v until a peer that had just started was up", d)
		}
	})
}

// Heartbeats keep an idle link up, and cost no more than they should.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, 1)
		n.SetDelay(0, 200*time.Millisecond)
		a, _ := linktest.Start(t, n, linktest.Config("a", 1), false)
		b, _ := linktest.Start(t, n, linktest.Config("b", 1), false)
		a.WaitUp("b")
		b.WaitUp("a")
		<-time.After(time.Hour)
		if p := a.Peer("b"); p.Ups != 1 || !p.Up {
			t.Errorf("an idle link was up %d times: %q", p.Ups, p.Reasons)
		}
	})
}

// Packets take as long as the network says, whatever the writer does.
func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, 1)
		a, _ := linktest.Start(t, n, linktest.Config("a", 1), false)
		b, _ := linktest.Start(t, n, linktest.Config("b", 1), false)
		a.WaitUp("b")
		b.WaitUp("a")
		n.SetDelay(30*time.Millisecond, 30*time.Millisecond)
		start := time.Now()
		a.Send("b", 100)
		b.WaitReceived("a", 100)
		if d := time.Since(start); d != 30*time.Millisecond {
			t.Errorf("100 packets took %v over a network with a delay of 30ms", d)
		}
	})
}

// Storms of many seeds, at several speeds of the network.
func TestStorm(t *testing.T) {
	seeds := uint64(150)
	if testing.Short() {
		seeds = 15
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t, seed)
				delay := []time.Duration{0, time.Millisecond, 100 * time.Millisecond}[seed%3]
				n.SetDelay(0, delay)
				linktest.Storm(t, n, seed, 300*time.Millisecond)
			})
		})
	}
}

// Tides of many seeds, at several speeds of the network.
func TestTide(t *testing.T) {
	seeds := uint64(300)
	if testing.Short() {
		seeds = 30
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t, seed)
				n.SetDelay(0, []time.Duration{0, time.Millisecond, 20 * time.Millisecond, 100 * time.Millisecond}[seed%4])
				linktest.Tide(t, n, seed, 300*time.Millisecond)
			})
		})
	}
}

// A second process under a peer's name makes the others look once whether it
// is the one; after that its attempts do not touch the link to the true one.
func TestTwinDoesNotDisturb(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, 1)
		linktest.Start(t, n, linktest.Config("a", 1), false)
		b, _ := linktest.Start(t, n, linktest.Config("b", 1), false)
		b.WaitUp("a")
		linktest.Start(t, n, linktest.Config("a", 99), true)
		<-time.After(time.Minute)
		if p := b.Peer("a"); !p.Up || p.Ups > 2 {
			t.Errorf("the true peer is up: %t, and was %d times: %q", p.Up, p.Ups, p.Reasons)
		}
	})
}

// A network that is slow for the TTL is worth a warning, one.
func TestSlowNetwork(t *testing.T) {
	for _, c := range []struct {
		delay time.Duration
		want  int
	}{{time.Second / 10, 0}, {time.Second, 1}} {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t, 1)
			n.SetDelay(c.delay, c.delay)
			var log bytes.Buffer
			cfg := linktest.Config("a", 1)
			cfg.Leases = true
			cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
			a, _ := linktest.Start(t, n, cfg, false)
			b, _ := linktest.Start(t, n, linktest.Config("b", 1), false)
			a.WaitUp("b")
			b.WaitUp("a")
			n.Cut("a", "b")
			a.Wait("b", "is down", func(p *linktest.Peer) bool { return !p.Up })
			n.Heal("a", "b")
			a.WaitUp("b")
			if got := strings.Count(log.String(), "round_trip=2s ttl=5s"); got != c.want {
				t.Errorf("%d warnings with a delay of %v, want %d: %s", got, c.delay, c.want, log.String())
			}
		})
	}
}
