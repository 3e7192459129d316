package conch_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/conchlock/conch"
	"github.com/conchlock/conch/view"
)

// until watches a lock until something is so.
func until(t *testing.T, p *conch.Peer, lock, what string, so func(l view.Lock) bool) view.Lock {
	t.Helper()
	var last view.Lock
	found := errors.New("it is so")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := p.Watch(ctx, lock, func(v view.View) error {
		last = v.Lock(lock)
		if so(last) {
			return found
		}
		return nil
	}); err != found {
		t.Fatalf("%s: never seen, %v; %+v", what, err, last)
	}
	return last
}

// wait has somebody wait for a lock, who is ended with the test.
func waitFor(t *testing.T, p *conch.Peer, lock string, options ...conch.Option) <-chan *conch.Hold {
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan *conch.Hold, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if h, err := p.Mutex(lock).Lock(ctx, options...); err == nil {
			got <- h
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return got
}

// From every peer one sees who holds a lock and who waits, with every algorithm that waits
// in its own way.
func TestLook(t *testing.T) {
	for _, algorithm := range []string{"relay", "ricart-agrawala", "token-ring"} {
		t.Run(algorithm, func(t *testing.T) {
			peers := cluster(t, 3, algorithm)
			hold, err := peers[1].Mutex("x").Lock(t.Context(), conch.WithLabel("the holder"), conch.WithTrace("00-1-2-01"))
			if err != nil {
				t.Fatal(err)
			}
			waitFor(t, peers[2], "x", conch.WithLabel("first"))
			until(t, peers[0], "x", "the first waits", func(l view.Lock) bool { return len(l.Waiters) == 1 })
			waitFor(t, peers[0], "x", conch.WithLabel("second"))
			for _, p := range peers {
				l := until(t, p, "x", "both wait", func(l view.Lock) bool { return len(l.Waiters) == 2 && len(l.Waiters[0].WaitsFor) > 0 })
				h := l.Holder
				if h == nil || h.Peer != "b" || h.Token != uint64(hold.Token()) || h.Label != "the holder" || h.Trace != "00-1-2-01" || h.Deadline.IsZero() != (algorithm != "relay") {
					t.Errorf("%s sees the holder %+v", p.Name(), h)
				}
				// The view may have been faster than the request, whose stamp then is no
				// older: either order may be the queue's.
				if got := l.Waiters[0].Peer + l.Waiters[0].Label + l.Waiters[1].Peer + l.Waiters[1].Label; got != "cfirstasecond" && got != "asecondcfirst" {
					t.Errorf("%s sees waiters %+v", p.Name(), l.Waiters)
				}
			}
			v, err := peers[0].Look(t.Context(), "")
			if err != nil || len(v.Locks) != 1 || len(v.Silent) != 0 {
				t.Errorf("all locks: %+v, %v", v, err)
			}
			unlock(t, hold)
		})
	}
}

// Who waits is told its place, and of changes as they come; never after Lock.
func TestProgress(t *testing.T) {
	peers := cluster(t, 2, "")
	hold, err := peers[0].Mutex("x").Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, peers[0], "x") // it asks when the holder has left: after the other peer's
	until(t, peers[1], "x", "it waits", func(l view.Lock) bool { return len(l.Waiters) == 1 })
	places := make(chan int, 1000)
	returned := false
	done := make(chan struct{})
	go func() {
		defer close(done)
		h, err := peers[1].Mutex("x").Lock(t.Context(), conch.WithProgress(func(place int, l view.Lock) {
			if returned {
				t.Error("told after Lock has returned")
			}
			if l.Holder != nil {
				places <- place
			}
		}))
		returned = true
		if err != nil {
			t.Error(err)
			return
		}
		unlock(t, h)
	}()
	for place := 0; place != 1; { // not in the view at once
		place = <-places
	}
	unlock(t, hold)
	<-done
}

// A hold can be ended from any peer: its caller is told why, nobody gets in before it has
// left or its lease has ended, and it is in the audit logs.
func TestEnd(t *testing.T) {
	addrs, dir := addresses(t, 3), t.TempDir()
	var peers []*conch.Peer
	for i := range 3 {
		name := string(rune('a' + i))
		p, err := conch.Join(t.Context(), conch.Config{Name: name, Peers: addrs, TTL: time.Second, Dir: filepath.Join(dir, name)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		peers = append(peers, p)
	}
	hold, err := peers[0].Mutex("x").Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	next := waitFor(t, peers[1], "x")
	for _, wrong := range []struct {
		lock, by, reason string
		token            conch.Token
	}{{"", "me", "why", 0}, {"x", "", "why", 0}, {"x", "me", "", 0}, {"x", "me\n", "why", 0}, {"x", "me", "why", 1}, {"y", "me", "why", 0}} {
		if _, err := peers[2].End(t.Context(), wrong.lock, wrong.token, wrong.by, wrong.reason); err == nil {
			t.Errorf("%+v: it was ended", wrong)
		}
	}
	if hold.Context().Err() != nil {
		t.Fatal("it was ended by somebody else's mistake")
	}
	h, err := peers[2].End(t.Context(), "x", hold.Token(), "root@c", "it hangs")
	if err != nil || h.Peer != "a" {
		t.Fatalf("%+v, %v", h, err)
	}
	if cause := context.Cause(hold.Context()); !errors.Is(cause, conch.ErrLost) || !strings.Contains(cause.Error(), "root@c has ended it: it hangs") {
		t.Errorf("its context's cause is %v", cause)
	}
	// An order for a hold that is over, or never was, is not kept as done.
	if told, err := conch.Steered(peers[0], "x", uint64(hold.Token())-1); told || err != nil {
		t.Errorf("a hold with another token: %t, %v", told, err)
	}
	deadline := hold.Deadline()
	other := <-next // without its Unlock
	if !time.Now().After(deadline) {
		t.Error("the next got in while the lease lasts")
	}
	unlock(t, other)
	for name, want := range map[string]string{"a": "end done", "c": "end asked for"} {
		var line struct{ Peer, Event, Lock, By, Reason string }
		text, err := os.ReadFile(filepath.Join(dir, name, "audit.log"))
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		if err != nil || json.Unmarshal([]byte(lines[len(lines)-1]), &line) != nil {
			t.Fatalf("%s: %v, %q", name, err, text)
		}
		if got := fmt.Sprint(line); got != fmt.Sprint(struct{ Peer, Event, Lock, By, Reason string }{name, want, "x", "root@c", "it hangs"}) {
			t.Errorf("the audit log of %s: %s", name, got)
		}
	}
}

// An end that cannot be kept in the audit log is not done.
func TestEndNotKept(t *testing.T) {
	dir := t.TempDir()
	p, err := conch.Join(t.Context(), conch.Config{Name: "a", Peers: addresses(t, 1), TTL: time.Second, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	hold, err := p.Mutex("x").Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "audit.log"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := p.End(t.Context(), "x", 0, "me", "why"); err == nil || !strings.Contains(err.Error(), "audit log") {
		t.Errorf("ended: %v", err)
	}
	unlock(t, hold)
}

// Without leases, a hold that was ended goes on when its holder leaves, and no earlier.
func TestEndWithoutLease(t *testing.T) {
	peers := cluster(t, 2, "ricart-agrawala")
	hold, err := peers[0].Mutex("x").Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	next := waitFor(t, peers[1], "x")
	if _, err := peers[1].End(t.Context(), "x", 0, "me", "why"); err != nil {
		t.Fatal(err)
	}
	<-hold.Context().Done()
	<-hold.Asked()
	l := until(t, peers[1], "x", "it is told to leave", func(l view.Lock) bool { return l.Holder != nil && l.Holder.Ended != "" })
	if !l.Holder.Deadline.IsZero() {
		t.Errorf("%+v", l.Holder)
	}
	select {
	case <-next:
		t.Error("the next got in while the holder is inside")
	default:
	}
	if err := hold.Unlock(); !errors.Is(err, conch.ErrLost) {
		t.Errorf("Unlock: %v", err)
	}
	unlock(t, <-next)
}

func unlock(t *testing.T, h *conch.Hold) {
	t.Helper()
	if err := h.Unlock(); err != nil {
		t.Error(err)
	}
}
