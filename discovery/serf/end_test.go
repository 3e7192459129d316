package serf

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/serf/serf"

	"github.com/conchlock/conch/discovery"
)

// exampleHosts knows one host.
func exampleHosts(_ context.Context, host string) ([]netip.Addr, error) {
	if host != "peer.example" {
		return nil, errors.New("no such host")
	}
	return []netip.Addr{netip.MustParseAddr("2001:db8::7"), netip.MustParseAddr("192.0.2.7")}, nil
}

// goroutines counts those that run, or wait, in code with one of these names.
func goroutines(names ...string) (n int, stacks string) {
	buf := make([]byte, 1<<20)
	for _, stack := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		for _, name := range names {
			if strings.Contains(stack, name) {
				n++
				stacks += stack + "\n\n"
				break
			}
		}
	}
	return n, stacks
}

// TestNothingIsLeft ends peers, one of them while it waits for an answer to an
// attempt to join, one with a connection from somebody who says nothing: at once
// nothing is left of this package, and soon nothing of the libraries.
func TestNothingIsLeft(t *testing.T) {
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	a := start(t, "a")
	b := start(t, "b", joining(a.Addr()))
	waits := start(t, "waits", joining(mute.Addr().String()), func(s *settings) { s.source.Network = LAN })
	a.finds("b")
	in, err := mute.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	idle, err := net.Dial("tcp", a.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	for _, p := range []*peer{waits, a, b} {
		begin := time.Now()
		if err := p.Leave(); err != nil {
			t.Error(err)
		}
		if d := time.Since(begin); d > 2500*time.Millisecond {
			t.Errorf("leaving took %s %v", p.name, d)
		}
	}
	if n, stacks := goroutines("serf.(*search)", "serf.(*seeker)", "serf.(*wire)", "serf.(*keyring)"); n > 0 {
		t.Errorf("%d goroutines are left:\n%s", n, stacks)
	}
	a.poll("the libraries' goroutines to end", func() bool { n, _ := goroutines("hashicorp/serf", "hashicorp/memberlist"); return n == 0 })
}

// TestSlowEar has somebody take news slowly: nobody waits for it, and what it hears
// in the end is how things are.
func TestSlowEar(t *testing.T) {
	busy, free := make(chan bool, 1), make(chan bool)
	a, err := try(t, "a", func(s *settings) {
		hear := s.told
		s.told = func(n discovery.News) {
			select {
			case busy <- true:
			default:
			}
			<-free
			hear(n)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	b := start(t, "b", joining(a.Addr()))
	<-busy
	addr := b.Addr()
	for n := range uint64(3) {
		b.crash()
		b = start(t, "b", joining(a.Addr()), bound(addr), incarnation(n+2))
		b.finds("a")
	}
	c := start(t, "c", joining(b.Addr()))
	c.finds("a", "b")
	a.poll("incarnation 4 in serf's eyes", func() bool {
		for _, m := range a.agent.Members() {
			if m.Name == "b" && m.Tags[tagIncarnation] == "4" {
				return true
			}
		}
		return false
	})
	close(free)
	a.finds("b", "c")
	a.until("incarnation 4", func() bool { return a.last["b"].Incarnation == 4 })
	if n := len(a.heard()); n > 4 {
		t.Errorf("it has heard %v", a.heard())
	}
}

// TestReplay has a peer come back as an earlier incarnation than it was: nobody
// takes that for news.
func TestReplay(t *testing.T) {
	a := start(t, "a")
	d := start(t, "d", joining(a.Addr()), incarnation(5))
	a.finds("d")
	addr := d.Addr()
	d.crash()
	d = start(t, "d", joining(a.Addr()), bound(addr), incarnation(4))
	d.finds("a")
	a.warned("peer d says to be incarnation 4, and was 5 before")
	d.crash()
	start(t, "d", joining(a.Addr()), bound(addr), incarnation(6))
	a.until("incarnation 6", func() bool { return a.last["d"].Incarnation == 6 })
	for _, n := range a.heard() {
		if n.Incarnation == 4 {
			t.Errorf("it has heard %+v", n)
		}
	}
}

// TestBadTags has a member with tags that cannot be read: it is ignored, which is
// said, and the others find each other through whoever knows it.
func TestBadTags(t *testing.T) {
	a := start(t, "a")
	bad := start(t, "bad", joining(a.Addr()), func(s *settings) {
		s.source.test.tune = func(c *serf.Config) { c.Tags, c.Merge = map[string]string{"v": "1", "a": "nowhere"}, nil }
	})
	a.warned(`a member "bad" gossips at `+bad.Addr(), "is ignored", `address "nowhere": write HOST:PORT`)
	bad.finds("a")
	c := start(t, "c", joining(a.Addr(), bad.Addr()))
	a.finds("c")
	c.finds("a")
	other := start(t, "other", joining(a.Addr()), func(s *settings) { s.self.Algorithm = "lamport" })
	other.warned(`runs the algorithm "relay"`, `with "lamport"`)
	a.warned("peer other", `runs the algorithm "lamport"`)
}
