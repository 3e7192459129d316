package conch_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/conchlock/conch"
)

// awaitDown waits until one peer knows that another is down.
func awaitDown(t *testing.T, peer *conch.Peer, other string) {
	t.Helper()
	await(t, peer, other+" is down", func(all map[string]conch.PeerStatus) bool { return !all[other].Up })
}

// awaitReady waits until a peer says so of itself: all that is wanted occurs in the
// error, or there is none if nothing is wanted.
func awaitReady(t *testing.T, peer *conch.Peer, want ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		changed := peer.PeersChanged()
		err := peer.Ready()
		found := (err == nil) == (len(want) == 0)
		for _, text := range want {
			found = found && strings.Contains(err.Error(), text)
		}
		if found {
			return
		}
		select {
		case <-changed:
		case <-time.After(20 * time.Millisecond): // it may be about time
		case <-ctx.Done():
			t.Fatalf("%s is ready: %v; want %q", peer.Name(), err, want)
		}
	}
}

// A peer is ready while a majority is up and it does not abstain; with a classic
// algorithm, while all are up.
func TestReady(t *testing.T) {
	for _, tt := range []struct {
		algorithm string
		one, two  []string // what is missing if so many of 3 are up
	}{
		{"relay", []string{"1 of 3 voters are up, and 2 are needed; missing: b (", "), c ("}, []string{"a grants nothing for "}},
		{"lamport", []string{"1 of 3 peers are up, and this algorithm needs all; missing: b (", "), c ("}, []string{"2 of 3 peers are up", "missing: c ("}},
	} {
		t.Run(tt.algorithm, func(t *testing.T) {
			addrs := addresses(t, 3)
			join := func(name string) *conch.Peer {
				// So long a peer abstains that has not met all others: c knows best whether it is new.
				p, err := conch.Join(t.Context(), conch.Config{Name: name, Peers: addrs, Algorithm: tt.algorithm, TTL: time.Minute})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { p.Close() })
				return p
			}
			a := join("a")
			awaitReady(t, a, tt.one...)
			b := join("b")
			awaitReady(t, a, tt.two...)
			c := join("c")
			awaitReady(t, a)
			c.Close()
			if tt.algorithm == "relay" {
				awaitDown(t, a, "c")
				awaitReady(t, a)
			} else {
				awaitReady(t, a, tt.two...)
			}
			b.Close()
			awaitReady(t, a, tt.one...)
			a.Close()
			if err := a.Ready(); !errors.Is(err, conch.ErrClosed) {
				t.Errorf("closed, it is ready: %v", err)
			}
		})
	}
}

// Peers without a vote are not needed, and need a majority themselves.
func TestReadyWithoutVote(t *testing.T) {
	addrs := addresses(t, 3)
	peers := joinVoters(t, addrs, []string{"a", "b"}, "a", "c")
	awaitReady(t, peers["c"], "1 of 2 voters are up, and 2 are needed; missing: b (")
	awaitReady(t, peers["a"], "1 of 2 voters are up, and 2 are needed; missing: b (")
	joinVoters(t, addrs, []string{"a", "b"}, "b")
	awaitReady(t, peers["c"])
	awaitReady(t, peers["a"])
	peers["c"].Close()
	awaitReady(t, peers["a"])
}
