package conch_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/conchlock/conch"
	"github.com/conchlock/conch/algo/roster"
)

// joinVoters joins peers of a cluster in which only some vote.
func joinVoters(t *testing.T, addrs conch.Peers, voters []string, names ...string) map[string]*conch.Peer {
	t.Helper()
	peers := map[string]*conch.Peer{}
	for _, name := range names {
		peer, err := conch.Join(t.Context(), conch.Config{Name: name, Peers: addrs, Voters: voters, TTL: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { peer.Close() })
		peers[name] = peer
	}
	return peers
}

// Peers without a vote use locks, and nobody needs them; voters are needed.
func TestVoters(t *testing.T) {
	peers := joinVoters(t, addresses(t, 5), []string{"c", "a", "b"}, "a", "b", "d") // neither c nor e
	for range 3 {
		for _, name := range []string{"d", "a", "d", "b"} {
			hold, err := peers[name].Mutex("x").Lock(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := hold.Unlock(); err != nil {
				t.Error(err)
			}
		}
	}
	s := peers["d"].Status()
	if s.Voter || s.Abstains != 0 {
		t.Errorf("d votes: %t, abstains for %s", s.Voter, s.Abstains)
	}
	for _, p := range s.Peers {
		if p.Voter != (p.Name < "d") {
			t.Errorf("d says of %s that it votes: %t", p.Name, p.Voter)
		}
	}
	// Four of five peers are no majority of the voters if two of these are away.
	others := joinVoters(t, addresses(t, 5), []string{"a", "b", "c"}, "a", "d", "e")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if hold, err := others["d"].Mutex("x").Lock(ctx); err == nil {
		t.Error("a lock is granted by one voter of three, with token", hold.Token())
	} else if !strings.Contains(err.Error(), "b, which is down") {
		t.Error(err)
	}
}

// Peers that do not agree on who votes refuse each other, and say so.
func TestOtherVoters(t *testing.T) {
	addrs := addresses(t, 2)
	joinVoters(t, addrs, []string{"a"}, "a")
	b := joinVoters(t, addrs, nil, "b")["b"]
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := b.Mutex("x").Lock(ctx)
	if said := b.Status().Peers[0].Reason; err == nil || !strings.Contains(said, "a vote in the list of b, no vote in that of a") && !strings.Contains(said, "no vote in the list of a, a vote in that of b") {
		t.Errorf("%v; a is down: %q", err, said)
	}
}

func TestVotersRefuses(t *testing.T) {
	addrs := addresses(t, 3)
	for _, c := range []struct {
		algorithm string
		voters    []string
		want      string
	}{
		{"relay", []string{"a", "x"}, `Config.Voters: "x" is not among the peers (a, b, c)`},
		{"relay", []string{"b", "a", "b"}, "Config.Voters: b is named twice"},
		{"lamport", []string{"a", "b"}, "Config.Voters: lamport needs every peer"},
	} {
		if peer, err := conch.Join(t.Context(), conch.Config{Name: "a", Peers: addrs, Algorithm: c.algorithm, Voters: c.voters}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s, %q: %v, %v", c.algorithm, c.voters, peer, err)
		}
	}
	for _, algorithm := range roster.Names() {
		peer, err := conch.Join(t.Context(), conch.Config{Name: "a", Peers: addrs, Algorithm: algorithm, Voters: []string{"c", "b", "a"}})
		if err != nil {
			t.Fatal(algorithm, err)
		}
		peer.Close()
	}
}
