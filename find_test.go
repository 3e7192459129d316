package conch_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/conchlock/conch"
	"github.com/conchlock/conch/discovery"
)

// board is where peers find each other, and where tests tell lies.
type board struct {
	mu    sync.Mutex
	told  map[string]func(discovery.News) // by peer
	known map[string]discovery.News
}

func newBoard() *board {
	return &board{told: make(map[string]func(discovery.News)), known: make(map[string]discovery.News)}
}

// Peers implements discovery.Source.
func (b *board) Peers() (discovery.Peers, error) { return nil, nil }

// Find implements discovery.Finder.
func (b *board) Find(_ context.Context, self discovery.Self, told func(discovery.News)) (discovery.Search, error) {
	n := discovery.News{Kind: discovery.Found, Name: self.Name, Addr: self.Addr, Incarnation: self.Incarnation, Voter: self.Voter}
	b.tell(n)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.told[self.Name], b.known[self.Name] = told, n
	for _, other := range b.known {
		told(other)
	}
	return seat{b, self.Name}, nil
}

// tell tells everybody.
func (b *board) tell(n discovery.News) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, told := range b.told {
		told(n)
	}
}

// seat is a peer's place at the board.
type seat struct {
	b    *board
	name string
}

func (s seat) Addr() string { return "board" }

func (s seat) Leave() error {
	s.b.mu.Lock()
	delete(s.b.told, s.name)
	delete(s.b.known, s.name)
	s.b.mu.Unlock()
	s.b.tell(discovery.News{Kind: discovery.Left, Name: s.name})
	return nil
}

const findTTL = 500 * time.Millisecond

// joins starts a peer that finds the others at a board.
func (b *board) joins(t *testing.T, name string, voters ...string) *conch.Peer {
	t.Helper()
	peer, err := conch.Join(t.Context(), conch.Config{Name: name, Voters: voters, Discovery: b, Listen: "127.0.0.1:0", TTL: findTTL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := peer.Close(); err != nil {
			t.Errorf("close %s: %v", name, err)
		}
	})
	return peer
}

// await waits until what a peer says of the others satisfies ok.
func await(t *testing.T, peer *conch.Peer, what string, ok func(map[string]conch.PeerStatus) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		changed := peer.PeersChanged()
		others := make(map[string]conch.PeerStatus)
		for _, p := range peer.Status().Peers {
			others[p.Name] = p
		}
		if ok(others) {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("%s does not see that %s: %+v", peer.Name(), what, others)
		}
	}
}

func up(names ...string) func(map[string]conch.PeerStatus) bool {
	return func(others map[string]conch.PeerStatus) bool {
		for _, name := range names {
			if !others[name].Up {
				return false
			}
		}
		return true
	}
}

// A peer without a vote comes, uses locks, and goes; another of that name comes.
func TestGuest(t *testing.T) {
	b := newBoard()
	peers := []*conch.Peer{b.joins(t, "a", "a", "b", "c"), b.joins(t, "b", "a", "b", "c"), b.joins(t, "c", "a", "b", "c")}
	var last conch.Token
	for range 2 {
		d, err := conch.Join(t.Context(), conch.Config{Name: "d", Voters: []string{"a", "b", "c"}, Discovery: b, Listen: "127.0.0.1:0", TTL: findTTL})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range append(peers, d) {
			hold, err := p.Mutex("x").Lock(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if hold.Token() <= last {
				t.Errorf("token %d comes after %d", hold.Token(), last)
			}
			last = hold.Token()
			if err := hold.Unlock(); err != nil {
				t.Error(err)
			}
		}
		if s := d.Status(); s.Voter || s.Gossip != "board" || len(s.Peers) != 3 {
			t.Errorf("d says of itself: %+v", s)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		await(t, peers[0], "d is gone", func(others map[string]conch.PeerStatus) bool {
			_, there := others["d"]
			return !there
		})
	}
}

// Whatever is said of a peer that is inside, nobody else gets in, and it stays.
func TestFalseDeath(t *testing.T) {
	for _, kind := range []discovery.NewsKind{discovery.Failed, discovery.Left, discovery.Forgotten} {
		for _, name := range []string{"b", "d"} {
			t.Run(fmt.Sprint(kind, " ", name), func(t *testing.T) {
				t.Parallel()
				b := newBoard()
				peers := make(map[string]*conch.Peer)
				for _, name := range []string{"a", "b", "c", "d"} {
					peers[name] = b.joins(t, name, "a", "b", "c")
				}
				hold, err := peers[name].Mutex("x").Lock(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range peers {
					await(t, p, "all are up", func(others map[string]conch.PeerStatus) bool {
						return up(without([]string{"a", "b", "c", "d"}, p.Name())...)(others)
					})
				}
				b.tell(discovery.News{Kind: kind, Name: name, Reason: "a lie"})
				ctx, cancel := context.WithTimeout(t.Context(), 3*findTTL)
				defer cancel()
				if h, err := peers["a"].Mutex("x").Lock(ctx); err == nil {
					t.Errorf("a enters with token %d while %s is inside with %d", h.Token(), name, hold.Token())
				}
				if err := hold.Unlock(); err != nil {
					t.Errorf("%s lost the lock because of a lie: %v", name, err)
				}
			})
		}
	}
}

func without(names []string, one string) (rest []string) {
	for _, name := range names {
		if name != one {
			rest = append(rest, name)
		}
	}
	return rest
}

// A lie about an address leaves a link that is up alone, and costs no more than time
// when it leads nowhere, or to somebody else.
func TestFalseAddress(t *testing.T) {
	b := newBoard()
	peers := []*conch.Peer{b.joins(t, "a", "a", "b", "c"), b.joins(t, "b", "a", "b", "c")}
	await(t, peers[0], "b is up", up("b"))
	b.tell(discovery.News{Kind: discovery.Found, Name: "b", Addr: "127.0.0.1:1", Incarnation: 1, Voter: true})
	b.tell(discovery.News{Kind: discovery.Found, Name: "c", Addr: peers[0].Addr(), Incarnation: 1, Voter: true})
	b.tell(discovery.News{Kind: discovery.Found, Name: "x", Addr: peers[0].Addr(), Incarnation: 1})
	b.tell(discovery.News{Kind: discovery.Found, Name: "no name", Addr: "nowhere", Incarnation: 1})
	await(t, peers[1], "c is not at a's address", func(others map[string]conch.PeerStatus) bool {
		return strings.Contains(others["c"].Reason, "is a, ") && strings.Contains(others["x"].Reason, "is a, ")
	})
	if s := peers[0].Status().Peers[0]; s.Name != "b" || !s.Up || s.Addr != "127.0.0.1:1" {
		t.Errorf("a says of b: %+v", s)
	}
	hold, err := peers[0].Mutex("x").Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := hold.Unlock(); err != nil {
		t.Error(err)
	}
}

// Peers with other voters, and peers that have a list, refuse each other and say why.
func TestFoundVoters(t *testing.T) {
	b := newBoard()
	a := b.joins(t, "a", "a", "b")
	b.joins(t, "b", "a", "b", "c")
	await(t, a, "b has other voters", func(others map[string]conch.PeerStatus) bool {
		return strings.Contains(others["b"].Reason, "c is only in the list of b: give all peers the same voters") ||
			strings.Contains(others["b"].Reason, `"c" is only in the list of b: give all peers the same voters`)
	})

	addrs := addresses(t, 2)
	listed, err := conch.Join(t.Context(), conch.Config{Name: "a", Peers: addrs, TTL: findTTL})
	if err != nil {
		t.Fatal(err)
	}
	defer listed.Close()
	c := newBoard()
	found, err := conch.Join(t.Context(), conch.Config{Name: "b", Voters: []string{"a", "b"}, Discovery: c, Listen: addrs["b"], TTL: findTTL})
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	c.tell(discovery.News{Kind: discovery.Found, Name: "a", Addr: addrs["a"], Incarnation: 1, Voter: true})
	await(t, found, "a has a list", func(others map[string]conch.PeerStatus) bool {
		return strings.Contains(others["a"].Reason, "list")
	})
}

// What is wrong with a configuration of peers that are found is said at once.
func TestFindConfig(t *testing.T) {
	good := conch.Config{Name: "a", Voters: []string{"a", "b"}, Discovery: newBoard(), Listen: "127.0.0.1:0"}
	for what, c := range map[string]struct {
		change func(*conch.Config)
		want   string
	}{
		"no voters":            {func(c *conch.Config) { c.Voters = nil }, "name those whose votes count"},
		"a voter twice":        {func(c *conch.Config) { c.Voters = []string{"b", "b"} }, "b is named twice"},
		"a bad voter":          {func(c *conch.Config) { c.Voters = []string{"B"} }, `peer name "B"`},
		"a list, too":          {func(c *conch.Config) { c.Peers = conch.Peers{"a": "127.0.0.1:1"} }, "both Peers and Discovery"},
		"a classic's guest":    {func(c *conch.Config) { c.Name, c.Algorithm = "d", "lamport" }, "d is none of them"},
		"a bad own address":    {func(c *conch.Config) { c.Advertise = ":1" }, "has no host"},
		"who finds has failed": {func(c *conch.Config) { c.Discovery = broken{} }, "no network today"},
	} {
		cfg := good
		c.change(&cfg)
		if p, err := conch.Join(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", what, err, c.want)
			if err == nil {
				p.Close()
			}
		}
	}
	for _, algorithm := range []string{"lamport", "raymond"} { // who votes may be found, too
		b := newBoard()
		var peers []*conch.Peer
		for _, name := range []string{"a", "b"} {
			cfg := conch.Config{Name: name, Voters: []string{"a", "b"}, Discovery: b, Listen: "127.0.0.1:0", Algorithm: algorithm}
			p, err := conch.Join(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			peers = append(peers, p)
		}
		b.tell(discovery.News{Kind: discovery.Found, Name: "stranger", Addr: "127.0.0.1:1", Incarnation: 1})
		for _, p := range peers {
			if err := p.Mutex("x").Do(t.Context(), func(context.Context, conch.Token) error { return nil }); err != nil {
				t.Error(err)
			}
			names := make(map[string]bool)
			for _, o := range p.Status().Peers {
				names[o.Name] = true
			}
			if len(names) != 1 {
				t.Errorf("%s knows %v", p.Name(), maps.Keys(names))
			}
		}
	}
}

// broken finds nobody.
type broken struct{}

func (broken) Peers() (discovery.Peers, error) { return nil, nil }
func (broken) Find(context.Context, discovery.Self, func(discovery.News)) (discovery.Search, error) {
	return nil, errors.New("no network today")
}

// Who leaves while it holds, waits or votes costs nobody time.
func TestLeavesInUse(t *testing.T) {
	const ttl = 2 * time.Second // nothing below takes so long, unless it waits for a lease to end
	b := newBoard()
	voters := []string{"a", "b", "c"}
	join := func(name string) *conch.Peer {
		p, err := conch.Join(t.Context(), conch.Config{Name: name, Voters: voters, Discovery: b, Listen: "127.0.0.1:0", TTL: ttl})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	a, c := join("a"), join("c")
	defer a.Close()
	defer c.Close()
	voter, holder, waiter := join("b"), join("d"), join("e")
	if _, err := holder.Mutex("x").Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	waits := make(chan error)
	go func() {
		_, err := waiter.Mutex("x").Lock(t.Context())
		waits <- err
	}()
	for _, p := range []*conch.Peer{voter, waiter, holder} {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := <-waits; !errors.Is(err, conch.ErrClosed) {
		t.Errorf("who waited: %v", err)
	}
	began := time.Now()
	for _, p := range []*conch.Peer{a, c} {
		hold, err := p.Mutex("x").Lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := hold.Unlock(); err != nil {
			t.Error(err)
		}
	}
	if d := time.Since(began); d > ttl {
		t.Errorf("it took %s, and nobody holds the lock any more", d)
	}
}

// Names that somebody makes up fill what room there is for peers without a vote. Who
// is there gets in as soon as one of them is seen to be nobody's, or has gone.
func TestCrowd(t *testing.T) {
	b := newBoard()
	a := b.joins(t, "a", "a")
	made := func(i int) discovery.News {
		return discovery.News{Kind: discovery.Found, Name: fmt.Sprint("made-up-", i), Addr: "127.0.0.1:1", Incarnation: 1}
	}
	const room = 512
	for i := range room {
		b.tell(made(i))
	}
	await(t, a, "there is no room", func(others map[string]conch.PeerStatus) bool { return len(others) == room })
	for i, kind := range []discovery.NewsKind{discovery.Failed, discovery.Left} {
		guest := b.joins(t, []string{"d", "e"}[i], "a")
		n := made(i)
		n.Kind = kind
		b.tell(n)
		await(t, a, guest.Name()+" has got in", up(guest.Name()))
	}
	if n := len(a.Status().Peers); n != room {
		t.Errorf("it knows %d peers, and has room for %d", n, room)
	}
}
