package linktest

import (
	"bytes"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/node"
	"github.com/conchlock/conch/internal/transport/link"
)

// memberCases are about peers without a vote, which come and go.
func memberCases() []Case {
	return []Case{
		{"a peer comes", comes},
		{"a peer goes", goes},
		{"a peer is found again by one side", foundAgain},
		{"a peer is removed while it is listened to", removeWaits},
		{"what never comes and goes", always},
		{"what differs is refused, open", openMismatches},
		{"a peer moves", moves},
		{"a peer moves, and starts anew there", movesAnew},
		{"a rumour about a peer that is up", rumour},
		{"added and removed at once on both sides", hammer},
	}
}

// opened makes a configuration one of an open cluster with these voters.
func opened(cfg link.Config, voters ...algo.PeerName) link.Config {
	cfg.Open = true
	cfg.Votes = map[algo.PeerName]int{cfg.Self: 0}
	for _, name := range voters {
		cfg.Votes[name] = 1
	}
	return cfg
}

// guest starts a, the voter, and b, which has no vote and which a has been told
// of, and waits until they are up.
func guest(t *testing.T, n Network) (a, b *Handler) {
	t.Helper()
	n.Unlist("b")
	a, _ = Start(t, n, opened(Config("a", 1), "a"), false)
	b, _ = Start(t, n, opened(Config("b", 1), "a"), false)
	a.Add("b")
	up(a, b)
	return a, b
}

func up(a, b *Handler) {
	a.t.Helper()
	a.WaitUp(b.name)
	b.WaitUp(a.name)
}

// exchange sends a packet each way, and waits until they have come.
func exchange(a, b *Handler) {
	a.t.Helper()
	for _, way := range [][2]*Handler{{a, b}, {b, a}} {
		way[0].Send(way[1].name, 1)
		last := way[0].Sent()
		way[1].Wait(way[0].name, "has sent a packet", func(p *Peer) bool { return slices.Contains(p.Received, last) })
	}
}

// comes goes through what may be known of a peer, bit by bit.
func comes(t *testing.T, n Network) {
	n.Unlist("b")
	var log bytes.Buffer
	cfg := opened(Config("a", 1), "a")
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	a, stopA := Start(t, n, cfg, false)
	b, _ := Start(t, n, opened(Config("b", 1), "a"), false)
	b.WaitDown("a", "a has not found b yet: it is looked for")
	for range 10 { // whoever was here before, b is met once
		a.Add("c")
		a.Remove("c")
	}

	a.transport.Add("b")
	a.WaitDown("b", "nobody has said yet where b is")
	b.Wait("a", "is told that it is known", func(p *Peer) bool { return p.Reason != "a has not found b yet: it is looked for" })
	a.transport.Locate("b", n.Where("a", "b"))
	up(a, b)
	exchange(a, b)
	for _, p := range []Peer{a.Peer("b"), b.Peer("a")} {
		if !slices.Equal(p.Contacts, []Contact{{Incarnation: 1}}) {
			t.Errorf("the contacts are %v, want one", p.Contacts)
		}
	}
	stopA()
	if strings.Contains(log.String(), "refused") {
		t.Errorf("somebody who is not known yet is a reason to warn: %s", log.String())
	}
}

// goes removes a peer for which packets wait.
func goes(t *testing.T, n Network) {
	a, b := guest(t, n)
	exchange(a, b)
	n.Cut("a", "b")
	a.Wait("b", "is down", func(p *Peer) bool { return !p.Up })
	a.Send("b", 10)
	old := a.Peer("b").Link
	a.Remove("b")
	dropped := a.Peer("b").Dropped
	if n := len(dropped); n < 10 || dropped[n-10] != a.Sent()-9 {
		t.Errorf("dropped are %v, want at least %d to %d", dropped, a.Sent()-9, a.Sent())
	}
	old.Send(Packet(1000)) // says nothing, and does no harm
	b.WaitDown("a", "a has not found b yet: it is looked for")
	a.Remove("b") // once more

	n.Heal("a", "b")
	b.Send("a", 5)
	a.Add("b")
	a.Add("b")
	up(a, b)
	twice := func(p *Peer) bool { return len(p.Contacts) == 2 }
	a.Wait("b", "is met twice", twice)
	b.Wait("a", "is met twice", twice)
	if d := b.Peer("a").Dropped; len(d) < 5 || d[len(d)-1] != b.Sent() {
		t.Errorf("b was told of %v, want the last 5 on the old link dropped", d)
	}
	exchange(a, b)
	a.Send("b", 10)
	b.WaitReceived("a", a.Sent())
	b.WantAll("a", a.Sent()-10, a.Sent())
	if d := a.Peer("b").Dropped; !slices.Equal(d, dropped) {
		t.Errorf("dropped are %v, they were %v", d, dropped)
	}
}

// foundAgain lets one side remove and add the other, again and again, while the
// other side keeps its link and has packets on it: whatever numbers the sessions
// have, neither takes the new link for the old one.
func foundAgain(t *testing.T, n Network) {
	for _, who := range []string{"a", "b", "ab", "aab", "ba", "aabb"} {
		s := &storm{t: t, n: n, tide: true, lives: make(map[algo.PeerName][]*Handler), stop: make(map[algo.PeerName]func())}
		s.start("a")
		s.start("b")
		a, b := s.now("a"), s.now("b")
		for range 3 {
			up(a, b)
			exchange(a, b)
			n.Cut("a", "b")
			n.Cut("b", "a")
			a.Send("b", 7)
			b.Send("a", 9)
			for _, name := range who {
				h := s.now(algo.PeerName(name))
				h.Remove(other(h.name))
				h.Add(other(h.name))
			}
			n.Heal("a", "b")
			n.Heal("b", "a")
			for range 2 {
				calm(a, b)
				calm(b, a)
			}
		}
		s.compare("a", "b")
		s.compare("b", "a")
		s.stop["a"]()
		s.stop["b"]()
	}
}

// removeWaits removes a peer while packets of it are handed over.
func removeWaits(t *testing.T, n Network) {
	n.Unlist("b")
	a := NewHandler(t, "a")
	blocked, free := make(chan struct{}), make(chan struct{})
	a.OnReceive = func(algo.PeerName, node.Link, []node.Packet) {
		close(blocked)
		<-free
	}
	StartWith(t, n, opened(Config("a", 1), "a"), false, a)
	b, _ := Start(t, n, opened(Config("b", 1), "a"), false)
	a.Add("b")
	up(a, b)
	b.Send("a", 1)
	<-blocked
	began, removed := make(chan struct{}), make(chan struct{})
	go func() {
		close(began)
		a.Remove("b") // says whether a call is under way
		close(removed)
	}()
	<-began
	for range 10_000 { // a timer would not do: who waits for a mutex holds up a bubble's time
		if runtime.Gosched(); ended(removed) {
			t.Error("Remove returns while packets are handed over")
			break
		}
	}
	close(free)
	<-removed
}

func ended(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// always adds and removes what neither is added nor removed.
func always(t *testing.T, n Network) {
	a, b := guest(t, n)
	b.transport.Remove("a")
	b.transport.Remove("b")
	b.transport.Add("a")
	b.transport.Add("b")
	b.transport.Locate("b", "nowhere")
	a.transport.Remove("c")
	exchange(a, b)
	for _, p := range []Peer{a.Peer("b"), b.Peer("a")} {
		if !p.Up || len(p.Contacts) != 1 || p.Ups != 1 {
			t.Errorf("contacts %v, up %t; want one, as before", p.Contacts, p.Up)
		}
	}
}

func openMismatches(t *testing.T, n Network) {
	for _, c := range []struct {
		a, b  link.Config
		words string
	}{
		{opened(Config("a", 1), "a", "b", "c"), Config("b", 1), "b has a fixed list of peers, a finds them as they come and go: give a list to all peers, or to none"},
		{opened(Config("a", 1), "a", "b", "c"), opened(Config("b", 1), "a", "b"), "only in the list of a: give all peers the same voters"},
		{opened(Config("a", 1), "a"), opened(Config("b", 1), "a", "c"), "only in the list of b: give all peers the same voters"},
	} {
		a, stopA := Start(t, n, c.a, false)
		b, stopB := Start(t, n, c.b, false)
		a.Add("b")
		b.Add("a")
		a.WaitDown("b", c.words)
		b.WaitDown("a", c.words)
		stopA()
		stopB()
		if got := len(a.Peer("b").Contacts) + len(b.Peer("a").Contacts); got > 0 {
			t.Errorf("%s: %d contacts between peers that do not fit", c.words, got)
		}
	}
}

// moves finds b, which nobody finds under its name.
func moves(t *testing.T, n Network) {
	n.Unlist("b")
	a, _ := Start(t, n, opened(Config("a", 1), "a"), false)
	a.Add("b")
	a.WaitDown("b", "cannot reach b at")
	b, _ := Start(t, n, opened(Config("b", 1), "a"), true)
	b.Wait("a", "answers", func(p *Peer) bool { return p.Reason != "" })
	a.transport.Locate("b", n.Address(b.transport))
	up(a, b)
	exchange(a, b)
}

// movesAnew crashes b, which starts again at another address.
func movesAnew(t *testing.T, n Network) {
	a, b := guest(t, n)
	exchange(a, b)
	n.Crash("b")
	a.Wait("b", "is down", func(p *Peer) bool { return !p.Up })
	b, _ = Start(t, n, opened(Config("b", 2), "a"), true)
	a.transport.Locate("b", n.Address(b.transport))
	lastContact(a, "b", 2)
	up(a, b)
	exchange(a, b)
}

// rumour says of a peer that is up that it is elsewhere.
func rumour(t *testing.T, n Network) {
	a, b := guest(t, n)
	nowhere, _ := Start(t, n, opened(Config("c", 1), "a"), true)
	a.transport.Locate("b", n.Address(nowhere.transport))
	exchange(a, b)
	if p := a.Peer("b"); !p.Up || p.Ups != 1 {
		t.Errorf("a rumour has broken a link: %q", p.Reasons)
	}
	n.Cut("a", "b")
	a.Wait("b", "is down", func(p *Peer) bool { return !p.Up })
	n.Heal("a", "b")
	a.WaitDown("b", "correct the address in the peers list of a")
	a.transport.Locate("b", n.Where("a", "b"))
	up(a, b)
	exchange(a, b)
	if p := a.Peer("b"); len(p.Contacts) != 1 {
		t.Errorf("a has contacts %v, want one", p.Contacts)
	}
}

// hammer lets both sides remove and add each other at the same time.
func hammer(t *testing.T, n Network) {
	s := &storm{t: t, n: n, tide: true, lives: make(map[algo.PeerName][]*Handler), stop: make(map[algo.PeerName]func())}
	s.start("a")
	s.start("b")
	a, b := s.now("a"), s.now("b")
	up(a, b)
	done := make(chan struct{})
	for _, h := range []*Handler{a, b} {
		go func() {
			defer func() { done <- struct{}{} }()
			for i := range 50 {
				h.Remove(other(h.name))
				h.Add(other(h.name))
				if i%5 == 0 {
					h.Wait(other(h.name), "is met", func(p *Peer) bool { return p.Link != nil })
					h.Send(other(h.name), 20)
				}
			}
		}()
	}
	<-done
	<-done
	for range 2 {
		calm(a, b)
		calm(b, a)
	}
	s.compare("a", "b")
	s.compare("b", "a")
}
