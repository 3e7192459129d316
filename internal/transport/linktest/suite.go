// Package linktest is the suite that every carrier of links must pass: what
// node.Transport promises, on a network that is cut, stalled, and whose peers
// crash, restart and lie.
package linktest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/node"
	"github.com/conchlock/conch/internal/transport/link"
)

// Network is a network under test, of the peers a, b and c. What is done to
// the way from one peer to another befalls the streams that the first dials.
type Network interface {
	// Transport returns a transport for a peer, not yet started. With stray
	// set, it is not the one that others find under the peer's name. It finds
	// itself those of its Votes that are not unlisted.
	Transport(cfg link.Config, stray bool) Transport
	// Unlist lets a peer be found only where Locate says that it is.
	Unlist(name algo.PeerName)
	// Where says where one peer finds another under its name; Address, where
	// all find a transport that has been started.
	Where(from, to algo.PeerName) string
	Address(t Transport) string
	Cut(from, to algo.PeerName)
	CutAfter(from, to algo.PeerName, units int)
	Stall(from, to algo.PeerName)
	Heal(from, to algo.PeerName)
	// Crash takes what is found under the name off the network.
	Crash(name algo.PeerName)
	// Units lists points at which to cut a stream on which a handshake and
	// three batches of about ten packets go, as arguments for CutAfter.
	Units() []int
}

// Transport is what all carriers' transports can do.
type Transport interface {
	node.Transport
	Locate(peer algo.PeerName, addr string)
	Retry(peer algo.PeerName)
	Rest(peer algo.PeerName, rests bool)
}

// Case is one test of the suite. It may run inside a bubble.
type Case struct {
	Name string
	Run  func(t *testing.T, n Network)
}

// Cases returns the suite.
func Cases() []Case {
	cases := []Case{
		{"packets come in order", inOrder},
		{"three peers", threePeers},
		{"answers from within Receive", pingPong},
		{"random faults", randomFaults},
		{"one way only", oneWay},
		{"silence", silence},
		{"restart", restart},
		{"crossing restarts", crossingRestarts},
		{"overflow", overflow},
		{"overflow on both sides", overflowBoth},
		{"restart after an overflow", restartAfterOverflow},
		{"a peer that stops reading", stopsReading},
		{"a packet that is too large", tooLarge},
		{"what differs is refused", mismatches},
		{"two processes under one name", twins},
		{"an outdated incarnation", outdated},
		{"close delivers", closeDelivers},
		{"close without a peer", closeAlone},
	}
	const parts = 6
	for part := range parts {
		cases = append(cases, Case{fmt.Sprintf("cut everywhere, part %d of %d", part+1, parts), func(t *testing.T, n Network) {
			cutEverywhere(t, n, part, parts)
		}})
	}
	cases = append(cases, memberCases()...)
	for seed := range uint64(4) {
		cases = append(cases, Case{fmt.Sprintf("storm, seed %d", seed), func(t *testing.T, n Network) {
			Storm(t, n, seed, 3*time.Millisecond)
		}}, Case{fmt.Sprintf("tide, seed %d", seed), func(t *testing.T, n Network) {
			Tide(t, n, seed, 3*time.Millisecond)
		}})
	}
	return cases
}

// Config returns a configuration for tests; the peers are a, b and c.
func Config(name algo.PeerName, incarnation algo.Incarnation) link.Config {
	return link.Config{
		Self:        name,
		Incarnation: incarnation,
		Votes:       map[algo.PeerName]int{"a": 1, "b": 1, "c": 1},
		Cluster:     "linktest",
		Algorithm:   "ricart-agrawala",
		TTL:         5 * time.Second,
		Seed:        uint64(incarnation),
	}
}

// brief makes silence be noticed soon.
func brief(cfg link.Config) link.Config {
	cfg.TTL = time.Second
	return cfg
}

// Start starts a transport with a handler of its own. It is closed at the end
// of the test, or by the function that is returned.
func Start(t testing.TB, n Network, cfg link.Config, stray bool) (*Handler, func()) {
	t.Helper()
	h := NewHandler(t, cfg.Self)
	return h, StartWith(t, n, cfg, stray, h)
}

// StartWith is Start with a handler that exists.
func StartWith(t testing.TB, n Network, cfg link.Config, stray bool, h *Handler) func() {
	t.Helper()
	transport := n.Transport(cfg, stray)
	h.network, h.transport = n, transport
	if err := transport.Start(h); err != nil {
		t.Fatal(err)
	}
	stop := func() {
		if err := transport.Close(); err != nil {
			t.Errorf("close %s: %v", cfg.Self, err)
		}
		h.mu.Lock()
		h.closed = true
		h.mu.Unlock()
	}
	return onlyOnce(t, stop)
}

// onlyOnce returns f such that it runs once, at the end of the test at last.
func onlyOnce(t testing.TB, f func()) func() {
	done := false
	g := func() {
		if !done {
			done = true
			f()
		}
	}
	t.Cleanup(g)
	return g
}

// pair starts a and b and waits until they are up.
func pair(t *testing.T, n Network) (a, b *Handler) {
	t.Helper()
	a, _ = Start(t, n, Config("a", 1), false)
	b, _ = Start(t, n, Config("b", 1), false)
	a.WaitUp("b")
	b.WaitUp("a")
	return a, b
}

func inOrder(t *testing.T, n Network) {
	a, b := pair(t, n)
	for range 10 {
		a.Send("b", 1000)
		b.Send("a", 700)
	}
	b.WaitReceived("a", a.Sent())
	a.WaitReceived("b", b.Sent())
	b.WantAll("a", 1, a.Sent())
	a.WantAll("b", 1, b.Sent())
	for _, p := range []Peer{a.Peer("b"), b.Peer("a")} {
		if len(p.Contacts) != 1 || p.Contacts[0] != (Contact{Incarnation: 1}) || p.Ups != 1 || len(p.Dropped) > 0 {
			t.Errorf("contacts %v, up %d times, dropped %v; want one first contact", p.Contacts, p.Ups, p.Dropped)
		}
	}
}

func threePeers(t *testing.T, n Network) {
	names := []algo.PeerName{"c", "a", "b"}
	handlers := make(map[algo.PeerName]*Handler)
	for _, name := range names {
		handlers[name], _ = Start(t, n, Config(name, 7), false)
	}
	for _, from := range names {
		for _, to := range names {
			if from != to {
				handlers[from].WaitUp(to)
				handlers[from].Send(to, 50)
				handlers[to].WaitReceived(from, handlers[from].Sent())
			}
		}
	}
}

func pingPong(t *testing.T, n Network) {
	const rounds = 200
	a, b := NewHandler(t, "a"), NewHandler(t, "b")
	done := make(chan struct{})
	b.OnReceive = func(from algo.PeerName, link node.Link, packets []node.Packet) { b.Send(from, len(packets)) }
	a.OnReceive = func(from algo.PeerName, link node.Link, packets []node.Packet) {
		if packets[len(packets)-1].Number == rounds {
			close(done)
			return
		}
		a.Send(from, len(packets))
	}
	a.OnContact = func(peer algo.PeerName, link node.Link) { a.Send(peer, 1) }
	StartWith(t, n, Config("a", 1), false, a)
	StartWith(t, n, Config("b", 1), false, b)
	select {
	case <-done:
	case <-time.After(Patience):
		t.Fatalf("after %d packets there were no more", a.Sent())
	}
}

func cutEverywhere(t *testing.T, n Network, part, parts int) {
	a, b := pair(t, n)
	for i, units := range n.Units() {
		if i%parts != part {
			continue
		}
		for _, w := range [][2]algo.PeerName{{"a", "b"}, {"b", "a"}} {
			// So many bytes of what now goes on, then again of the handshake
			// that follows.
			n.CutAfter(w[0], w[1], units)
			for range 3 {
				a.Send("b", 10)
				b.Send("a", 9)
			}
			b.WaitReceived("a", a.Sent())
			a.WaitReceived("b", b.Sent())
			n.Cut(w[0], w[1])
			n.Heal(w[0], w[1])
			n.CutAfter(w[0], w[1], units)
		}
	}
	b.WantAll("a", 1, a.Sent())
	a.WantAll("b", 1, b.Sent())
	for _, p := range []Peer{a.Peer("b"), b.Peer("a")} {
		if len(p.Contacts) != 1 || len(p.Dropped) > 0 {
			t.Errorf("contacts %v, dropped %v; want one contact and nothing dropped", p.Contacts, p.Dropped)
		}
	}
}

func randomFaults(t *testing.T, n Network) {
	a, b := pair(t, n)
	r := rand.New(rand.NewPCG(4, 2))
	ways := [][2]algo.PeerName{{"a", "b"}, {"b", "a"}}
	for range 60 {
		w := ways[r.IntN(2)]
		switch r.IntN(4) {
		case 0:
			n.Cut(w[0], w[1])
		case 1:
			n.CutAfter(w[0], w[1], r.IntN(500))
		default:
			n.Heal(w[0], w[1])
		}
		a.Send("b", r.IntN(30))
		b.Send("a", r.IntN(30))
		if r.IntN(3) == 0 {
			n.Heal("a", "b")
			n.Heal("b", "a")
			b.WaitReceived("a", a.Sent())
		}
	}
	n.Heal("a", "b")
	n.Heal("b", "a")
	a.Send("b", 1)
	b.Send("a", 1)
	b.WaitReceived("a", a.Sent())
	a.WaitReceived("b", b.Sent())
	b.WantAll("a", 1, a.Sent())
	a.WantAll("b", 1, b.Sent())
}

func oneWay(t *testing.T, n Network) {
	n.Cut("b", "a")
	a, _ := Start(t, n, brief(Config("a", 1)), false)
	b, _ := Start(t, n, brief(Config("b", 1)), false)
	b.WaitDown("a", "cannot reach a at")
	a.WaitDown("b", "has not found a at the address")
	if c := a.Peer("b").Contacts; len(c) > 0 {
		t.Errorf("a has contact %v with b, who cannot reach it", c)
	}
	n.Heal("b", "a")
	a.WaitUp("b")
	b.WaitUp("a")
	a.Send("b", 5)
	b.WaitReceived("a", 5)
}

func silence(t *testing.T, n Network) {
	a, _ := Start(t, n, brief(Config("a", 1)), false)
	b, _ := Start(t, n, brief(Config("b", 1)), false)
	a.WaitUp("b")
	b.WaitUp("a")
	a.Send("b", 10)
	b.WaitReceived("a", 10)
	n.Stall("a", "b")
	n.Stall("b", "a")
	a.Send("b", 10)
	b.Send("a", 10)
	a.Wait("b", "is down", func(p *Peer) bool { return !p.Up })
	b.Wait("a", "is down", func(p *Peer) bool { return !p.Up })
	a.WaitDown("b", "does not answer")
	n.Heal("a", "b")
	n.Heal("b", "a")
	a.WaitUp("b")
	b.WaitUp("a")
	b.WaitReceived("a", 20)
	a.WaitReceived("b", 10)
	b.WantAll("a", 1, 20)
	a.WantAll("b", 1, 10)
}

func closeDelivers(t *testing.T, n Network) {
	a, stopA := Start(t, n, Config("a", 1), false)
	b, _ := Start(t, n, Config("b", 1), false)
	a.WaitUp("b")
	b.WaitUp("a")
	a.Send("b", 1000)
	stopA()
	b.WaitReceived("a", 1000)
	b.WantAll("a", 1, 1000)
	if d := a.Peer("b").Dropped; len(d) > 0 {
		t.Errorf("packets %v were dropped though they were delivered", d)
	}
	b.Wait("a", "has left", func(p *Peer) bool { return slices.Contains(p.Reasons, "a has left") })
	a.Send("b", 1) // goes nowhere, and does no harm
}

func closeAlone(t *testing.T, n Network) {
	a, stopA := Start(t, n, Config("a", 1), false)
	b, _ := Start(t, n, Config("b", 1), false)
	a.WaitUp("b")
	b.WaitUp("a")
	a.Send("b", 10)
	b.WaitReceived("a", 10)
	n.Cut("a", "b")
	n.Cut("b", "a")
	a.Wait("b", "is down", func(p *Peer) bool { return !p.Up })
	a.Send("b", 5)
	start := time.Now()
	stopA()
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("close took %v", d)
	}
	dropped := a.Peer("b").Dropped
	if len(dropped) < 5 || dropped[len(dropped)-1] != 15 {
		t.Errorf("dropped are %v, want at least 11 to 15", dropped)
	}
}
