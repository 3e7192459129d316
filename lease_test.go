package conch_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/conchlock/conch"
)

// leased joins three peers whose holds have leases.
func leased(t *testing.T) []*conch.Peer { return cluster(t, 3, "relay") }

// lock locks "x" at a peer.
func lock(t *testing.T, peer *conch.Peer) *conch.Hold {
	t.Helper()
	hold, err := peer.Mutex("x").Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return hold
}

// A lease is renewed while its hold lasts, and the deadline moves with it.
func TestLeaseIsRenewed(t *testing.T) {
	hold := lock(t, leased(t)[0])
	first := hold.Deadline()
	if first.IsZero() {
		t.Fatal("the hold has no deadline")
	}
	ctx, cancel := context.WithDeadline(hold.Context(), first.Add(time.Second/2))
	defer cancel()
	<-ctx.Done()
	if err := hold.Context().Err(); err != nil {
		t.Errorf("the hold has ended: %v", context.Cause(hold.Context()))
	}
	if next := hold.Deadline(); !next.After(first) {
		t.Errorf("the deadline was %v and is %v", first, next)
	}
	if err := hold.Unlock(); err != nil {
		t.Error(err)
	}
}

// A holder that is left alone loses its hold before its lease ends.
func TestLeaseIsLost(t *testing.T) {
	peers := leased(t)
	hold := lock(t, peers[0])
	for _, other := range peers[1:] {
		if err := other.Close(); err != nil {
			t.Fatal(err)
		}
	}
	<-hold.Context().Done()
	if left := time.Until(hold.Deadline()); left <= 0 {
		t.Logf("the context ended %v after the deadline: this machine is busy", -left)
	}
	if cause := context.Cause(hold.Context()); !errors.Is(cause, conch.ErrLost) {
		t.Errorf("the context's cause is %v", cause)
	}
	for range 2 {
		if err := hold.Unlock(); !errors.Is(err, conch.ErrLost) {
			t.Errorf("unlock: %v", err)
		}
	}
}
