package linktest

import (
	"testing"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/transport/link"
)

func mismatches(t *testing.T, n Network) {
	for _, c := range []struct {
		change func(cfg *link.Config)
		words  string
	}{
		{func(c *link.Config) { c.Cluster = "other" }, "cluster"},
		{func(c *link.Config) { c.Algorithm = "token-ring" }, "algorithm"},
		{func(c *link.Config) { c.TTL *= 2 }, "TTL"},
		{func(c *link.Config) { c.Drift++ }, "clocks that drift by"},
		{func(c *link.Config) { c.Votes = map[algo.PeerName]int{"a": 1, "b": 1} }, "lists of peers"},
		{func(c *link.Config) { c.Votes = map[algo.PeerName]int{"a": 1, "b": 1, "c": 2} }, "votes"},
		{func(c *link.Config) { c.Votes = map[algo.PeerName]int{"a": 1, "b": 1, "d": 1} }, "lists of peers"},
	} {
		cfg := Config("b", 1)
		c.change(&cfg)
		a, stopA := Start(t, n, Config("a", 1), false)
		b, stopB := Start(t, n, cfg, false)
		a.WaitDown("b", c.words)
		b.WaitDown("a", c.words)
		stopA()
		stopB()
		if got := len(a.Peer("b").Contacts) + len(b.Peer("a").Contacts); got > 0 {
			t.Errorf("%s: %d contacts between peers that do not fit", c.words, got)
		}
	}
}

func twins(t *testing.T, n Network) {
	a, b := pair(t, n)
	// It reaches b, but a's address leads to the other one.
	stray, stop := Start(t, n, Config("a", 99), true)
	stray.WaitDown("b", "two processes")
	if c := stray.Peer("b").Contacts; len(c) > 0 {
		t.Errorf("the second a has contacts %v", c)
	}
	a.WaitUp("b")
	b.WaitUp("a")
	a.Send("b", 10)
	b.WaitReceived("a", 10)
	b.WantAll("a", 1, 10)
	if c := b.Peer("a").Contacts; len(c) != 1 {
		t.Errorf("b has contacts %v, want only the first a", c)
	}
	stop()
	// An older one is told likewise.
	stray, _ = Start(t, n, Config("b", 1), true)
	stray.Wait("a", "is down", func(p *Peer) bool { return p.Reason != "" })
}

func outdated(t *testing.T, n Network) {
	a, _ := Start(t, n, Config("a", 1), false)
	b, stopB := Start(t, n, Config("b", 10), false)
	a.WaitUp("b")
	b.WaitUp("a")
	n.Crash("b")
	stopB()
	setBack(t, n, a, 5, "b says that it is incarnation 5, but its incarnation 10 is known already")
	setBack(t, n, a, 10, "two processes were started as incarnation 10 of b")
	b, _ = Start(t, n, Config("b", 11), false)
	if c := lastContact(b, "a", 1); !c.KnewMe {
		t.Errorf("b was not told that it was known")
	}
	lastContact(a, "b", 11)
}

// setBack starts b with an incarnation that is not above 10, and sees it told.
func setBack(t *testing.T, n Network, a *Handler, incarnation algo.Incarnation, words string) {
	told := make(chan algo.Incarnation, 100)
	cfg := Config("b", incarnation)
	cfg.Outdated = func(known algo.Incarnation) {
		select {
		case told <- known:
		default:
		}
	}
	b, stop := Start(t, n, cfg, false)
	defer stop()
	select {
	case known := <-told:
		if known != 10 {
			t.Errorf("b was told of its incarnation %d, want 10", known)
		}
	case <-time.After(Patience):
		t.Fatal("nobody told b that it is outdated")
	}
	a.WaitDown("b", words)
	b.WaitDown("a", words)
	if c := b.Peer("a").Contacts; len(c) > 0 {
		t.Errorf("the outdated one has contacts %v", c)
	}
}
