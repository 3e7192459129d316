package client_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/conchlock/conch"
	"github.com/conchlock/conch/client"
)

// holder is a client that holds lock x at the first of two peers, with a TTL so long that
// its signs of life are rare, and has its news pushed.
func holder(t *testing.T) (peers []*conch.Peer, hold *conch.Hold) {
	peers, addrs := peersOf(t, 2, 2*time.Second)
	c, err := client.Dial(t.Context(), client.Config{Addr: addrs[0], TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if hold, err = c.Mutex("x").Lock(t.Context(), conch.WithLabel("a program")); err != nil {
		t.Fatal(err)
	}
	return peers, hold
}

// A client's hold is asked to give way, from another peer, and nothing comes of it.
func TestAsked(t *testing.T) {
	peers, hold := holder(t)
	h, err := peers[1].Ask(t.Context(), "x", "root@b", "the disk is needed")
	if err != nil || h.Label != "a program" {
		t.Fatalf("%+v, %v", h, err)
	}
	<-hold.Asked()
	if by, reason := hold.AskedBy(); by != "root@b" || reason != "the disk is needed" {
		t.Errorf("asked by %q: %q", by, reason)
	}
	if err := hold.Unlock(); err != nil {
		t.Error(err)
	}
	if _, err := peers[1].Ask(t.Context(), "x", "root@b", ""); !errors.Is(err, conch.ErrNotHeld) {
		t.Errorf("a lock that nobody holds: %v", err)
	}
}

// A client's hold is ended: it is told why, and the lock goes on when it has left.
func TestTold(t *testing.T) {
	peers, hold := holder(t)
	// It listens as soon as it has shown a sign of life; an ask shows that it has.
	if _, err := peers[1].Ask(t.Context(), "x", "root@b", ""); err != nil {
		t.Fatal(err)
	}
	<-hold.Asked()
	if _, err := peers[1].End(t.Context(), "x", hold.Token(), "root@b", "it hangs"); err != nil {
		t.Fatal(err)
	}
	<-hold.Context().Done()
	cause := context.Cause(hold.Context())
	if !errors.Is(cause, conch.ErrLost) || !strings.Contains(cause.Error(), "root@b has ended it: it hangs") {
		t.Errorf("the context's cause is %v", cause)
	}
	if by, reason := hold.AskedBy(); by != "root@b" || reason != "it hangs" {
		t.Errorf("told by %q: %q", by, reason)
	}
	if err := hold.Unlock(); !errors.Is(err, conch.ErrLost) {
		t.Errorf("Unlock: %v", err)
	}
	next, err := peers[1].Mutex("x").Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	next.Unlock()
}

// Whoever unlocks a hold that was ended a moment before, of which the news has not come
// yet, hears of it then.
func TestToldLate(t *testing.T) {
	peers, hold := holder(t)
	if _, err := peers[1].End(t.Context(), "x", hold.Token(), "root@b", "it hangs"); err != nil {
		t.Fatal(err)
	}
	if err := hold.Unlock(); !errors.Is(err, conch.ErrLost) {
		t.Errorf("Unlock: %v", err)
	}
}
