package linktest

import (
	"slices"
	"strings"
	"testing"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/node"
	"github.com/conchlock/conch/internal/transport/link"
)

// lastContact waits until the last contact with a peer is with an incarnation.
func lastContact(h *Handler, name algo.PeerName, incarnation algo.Incarnation) Contact {
	h.t.Helper()
	var last Contact
	h.Wait(name, "is met in a new incarnation", func(p *Peer) bool {
		if len(p.Contacts) > 0 {
			last = p.Contacts[len(p.Contacts)-1]
		}
		return last.Incarnation == incarnation
	})
	return last
}

func restart(t *testing.T, n Network) {
	a, _ := Start(t, n, Config("a", 1), false)
	b1, stopB1 := Start(t, n, Config("b", 1), false)
	a.WaitUp("b")
	b1.WaitUp("a")
	a.Send("b", 10)
	b1.WaitReceived("a", 10)
	old := a.Peer("b").Link

	n.Crash("b")
	a.Wait("b", "is down", func(p *Peer) bool { return !p.Up })
	a.Send("b", 5)
	stopB1()
	b2, _ := Start(t, n, Config("b", 2), false)
	if c := lastContact(a, "b", 2); c.KnewMe {
		t.Errorf("a was told that b knew an earlier incarnation of it: %v", c)
	}
	if c := lastContact(b2, "a", 1); !c.KnewMe {
		t.Errorf("b was not told that a knew an earlier incarnation of it: %v", c)
	}
	a.WaitUp("b")
	dropped := a.Peer("b").Dropped
	if len(dropped) < 5 || dropped[len(dropped)-1] != 15 {
		t.Errorf("dropped are %v, want at least 11 to 15", dropped)
	}
	a.mu.Lock()
	a.sent++
	old.Send(Packet(a.sent))
	a.mu.Unlock()
	a.Wait("b", "has 16 dropped", func(p *Peer) bool { return slices.Contains(p.Dropped, 16) })
	a.Send("b", 4)
	b2.WaitReceived("a", 20)
	b2.WantAll("a", 17, 20)
}

func crossingRestarts(t *testing.T, n Network) {
	_, stopA := Start(t, n, Config("a", 1), false)
	b, stopB := Start(t, n, Config("b", 1), false)
	b.WaitUp("a")
	for i := algo.Incarnation(2); i < 6; i++ {
		n.Crash("a")
		n.Crash("b")
		stopA()
		stopB()
		var a *Handler
		a, stopA = Start(t, n, Config("a", i), false)
		b, stopB = Start(t, n, Config("b", i), false)
		a.WaitUp("b")
		b.WaitUp("a")
		for _, c := range []Contact{lastContact(a, "b", i), lastContact(b, "a", i)} {
			if c.KnewMe {
				t.Errorf("two that know nothing were told that they were known")
			}
		}
		a.Send("b", 3)
		b.WaitReceived("a", 3)
	}
}

func overflow(t *testing.T, n Network) {
	a, _ := Start(t, n, small(Config("a", 1)), false)
	b, _ := Start(t, n, Config("b", 1), false)
	a.WaitUp("b")
	b.WaitUp("a")
	n.Cut("a", "b")
	n.Cut("b", "a")
	a.Wait("b", "is down", func(p *Peer) bool { return !p.Up })
	b.Send("a", 50)
	a.Send("b", 101)
	a.Wait("b", "drops all", func(p *Peer) bool { return len(p.Dropped) >= 101 })
	if a.Peer("b").Dropped[0] != 1 {
		t.Errorf("dropped are %v, want from 1 on", a.Peer("b").Dropped)
	}
	a.Send("b", 9) // on the link that has ended
	n.Heal("a", "b")
	n.Heal("b", "a")
	twice := func(p *Peer) bool { return len(p.Contacts) == 2 && p.Contacts[1] == Contact{Incarnation: 1} && p.Up }
	a.Wait("b", "is met again", twice)
	b.Wait("a", "is met again", twice)
	if d := b.Peer("a").Dropped; len(d) != 50 {
		t.Errorf("b was told of %d dropped packets, want its 50 on the old link", len(d))
	}
	if d := a.Peer("b").Dropped; len(d) != 110 {
		t.Errorf("a was told of %d dropped packets, want 110", len(d))
	}
	a.Send("b", 20)
	b.Send("a", 20)
	b.WaitReceived("a", 130)
	a.WaitReceived("b", 70)
	b.WantAll("a", 111, 130)
	a.WantAll("b", 51, 70)
}

// restartAfterOverflow checks that a new incarnation is met once, however many
// links the one before had.
func restartAfterOverflow(t *testing.T, n Network) {
	a, _ := Start(t, n, small(Config("a", 1)), false)
	b1, stopB1 := Start(t, n, Config("b", 1), false)
	a.WaitUp("b")
	b1.WaitUp("a")
	for links := 1; links < 4; links++ {
		n.Cut("a", "b")
		a.Wait("b", "is down", func(p *Peer) bool { return !p.Up })
		a.Send("b", 101)
		a.Wait("b", "drops all", func(p *Peer) bool { return len(p.Dropped) >= 101*links })
		n.Heal("a", "b")
		a.Wait("b", "is met again", func(p *Peer) bool { return len(p.Contacts) == links+1 && p.Up })
		b1.Wait("a", "is met again", func(p *Peer) bool { return len(p.Contacts) == links+1 && p.Up })
	}
	n.Crash("b")
	stopB1()
	b2, _ := Start(t, n, Config("b", 2), false)
	lastContact(a, "b", 2)
	a.WaitUp("b")
	b2.WaitUp("a")
	a.Send("b", 1)
	b2.WaitReceived("a", a.Sent())
	if c := b2.Peer("a").Contacts; len(c) != 1 {
		t.Errorf("the new incarnation has contacts %v, want one", c)
	}
	if c := a.Peer("b").Contacts; len(c) != 5 {
		t.Errorf("a has contacts %v, want four and one", c)
	}
}

func overflowBoth(t *testing.T, n Network) {
	a, _ := Start(t, n, small(Config("a", 1)), false)
	b, _ := Start(t, n, small(Config("b", 1)), false)
	a.WaitUp("b")
	b.WaitUp("a")
	for range 5 {
		n.Cut("a", "b")
		n.Cut("b", "a")
		a.Send("b", 101)
		b.Send("a", 101)
		n.Heal("a", "b")
		n.Heal("b", "a")
		a.WaitUp("b")
		b.WaitUp("a")
	}
	for range 2 {
		calm(a, b)
		calm(b, a)
	}
}

func stopsReading(t *testing.T, n Network) {
	a, _ := Start(t, n, small(Config("a", 1)), false)
	b := NewHandler(t, "b")
	blocked, free := make(chan struct{}), make(chan struct{})
	first := true
	b.OnReceive = func(algo.PeerName, node.Link, []node.Packet) {
		if first {
			first = false
			close(blocked)
			<-free
		}
	}
	StartWith(t, n, Config("b", 1), false, b)
	a.WaitUp("b")
	b.WaitUp("a")
	a.Send("b", 1)
	<-blocked
	for i := 0; len(a.Peer("b").Dropped) == 0; i++ {
		a.Send("b", 101)
		if i == 0 {
			a.Wait("b", "is over its limit", func(p *Peer) bool { return len(p.Dropped) > 0 })
		}
	}
	close(free)
	a.Wait("b", "is met again", func(p *Peer) bool { return len(p.Contacts) >= 2 && p.Up })
	b.Wait("a", "is met again", func(p *Peer) bool { return len(p.Contacts) >= 2 && p.Up })
	a.Send("b", 1)
	b.WaitReceived("a", a.Sent())
}

func tooLarge(t *testing.T, n Network) {
	a, b := pair(t, n)
	huge := Packet(1)
	huge.Lock = strings.Repeat("x", link.MaxPacket)
	a.mu.Lock()
	a.sent++
	a.peers["b"].Link.Send(huge)
	a.mu.Unlock()
	a.Wait("b", "drops it", func(p *Peer) bool { return slices.Contains(p.Dropped, 1) })
	a.Wait("b", "says why", func(p *Peer) bool {
		return slices.ContainsFunc(p.Reasons, func(s string) bool { return strings.Contains(s, "over the limit") })
	})
	a.Wait("b", "is met again", func(p *Peer) bool { return len(p.Contacts) == 2 && p.Up })
	a.Send("b", 1)
	b.WaitReceived("a", 2)
	b.WantAll("a", 2, 2)
}
