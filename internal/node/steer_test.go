package node_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/conchlock/conch/internal/node"
)

// A hold that somebody ends is told at once. Its lease is not renewed for it any more, and
// nobody else is let in before that has ended, unless it leaves.
func TestForcedHold(t *testing.T) {
	end := node.Wish{Token: 1, By: "root@here", Reason: "it hangs", End: true}
	start := func(t *testing.T) (*leased, *node.Hold, chan *node.Hold) {
		l := alone(t)
		l.lessor.renews.Store(true)
		h := l.acquire("x")
		next := make(chan *node.Hold, 1)
		go func() { next <- l.acquire("x") }()
		wait(10*ttl + ttl/4)
		if l.node.Steer("x", end) == nil {
			t.Fatal("nobody holds it")
		}
		cause := context.Cause(h.Context())
		if !errors.Is(cause, node.ErrLost) || !strings.Contains(cause.Error(), "root@here has ended it: it hangs") {
			t.Errorf("the context's cause is %v", cause)
		}
		select {
		case <-h.Asked():
		default:
			t.Error("it was not told who wants it to leave")
		}
		if s := l.node.Look("x"); s.Hold == nil || s.Hold.Ended == "" || len(s.Waiters) != 1 {
			t.Errorf("it is seen as %+v", s)
		}
		return l, h, next
	}
	bubble(t, "it leaves", func(t *testing.T) {
		l, h, next := start(t)
		defer l.close()
		wait(time.Millisecond)
		if err := h.Release(); !errors.Is(err, node.ErrLost) {
			t.Errorf("release: %v", err)
		}
		began := time.Now()
		if err := (<-next).Release(); err != nil || time.Since(began) > 0 {
			t.Errorf("the next got in after %s: %v", time.Since(began), err)
		}
	})
	bubble(t, "it stays", func(t *testing.T) {
		l, h, next := start(t)
		defer l.close()
		deadline := h.Deadline()
		if left := time.Until(deadline); left <= 0 || left > ttl {
			t.Fatalf("%s are left of its lease", left)
		}
		other := <-next
		if now := time.Now(); now.Before(deadline) || now.After(deadline.Add(10*time.Millisecond)) {
			t.Errorf("the next got in %s after the lease has ended", now.Sub(deadline))
		}
		if !h.Deadline().Equal(deadline) {
			t.Error("its lease was renewed")
		}
		if err := other.Release(); err != nil {
			t.Error(err)
		}
		wantLost(t, h)
	})
}

// Only the hold that is meant is told.
func TestSteerMeans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := alone(t)
		defer l.close()
		h := l.acquire("x")
		for _, w := range []node.Wish{{Token: 2, By: "b", End: true}, {Token: 0, By: "b", End: true}} {
			if l.node.Steer("x", w) != nil || l.node.Steer("y", w) != nil {
				t.Errorf("%+v was told to somebody", w)
			}
		}
		if l.node.Steer("x", node.Wish{Token: 1, By: "b", Reason: "first"}) == nil || l.node.Steer("x", node.Wish{Token: 1, By: "c", Reason: "again"}) == nil {
			t.Error("it was not asked")
		}
		<-h.Asked()
		if by, reason := h.AskedBy(); by != "c" || reason != "again" {
			t.Errorf("asked by %s: %s", by, reason)
		}
		if h.Context().Err() != nil {
			t.Error("it was only asked, and has ended")
		}
		if err := h.Release(); err != nil {
			t.Error(err)
		}
		if l.node.Steer("x", node.Wish{Token: 1, By: "b"}) != nil {
			t.Error("a hold that was given back was asked")
		}
	})
}

// Who has looked at many locks, one after the other, leaves nothing behind.
func TestChangedIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := alone(t)
		defer l.close()
		first := l.node.Changed("first")
		for i := range 10000 {
			l.node.Changed(fmt.Sprint(i))
		}
		select {
		case <-first:
		default:
			t.Error("all of them are kept")
		}
	})
}

// Changed says so whenever Look would say something else.
func TestChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := alone(t)
		defer l.close()
		l.lessor.renews.Store(true)
		said := func(what string, f func()) {
			t.Helper()
			one, all, other := l.node.Changed("x"), l.node.Changed(""), l.node.Changed("y")
			f()
			synctest.Wait()
			for name, c := range map[string]<-chan struct{}{"of it": one, "of all": all} {
				select {
				case <-c:
				default:
					t.Errorf("%s: who asked %s is not told", what, name)
				}
			}
			select {
			case <-other:
				if what != "a lease is renewed" { // by a tick, which is about no single lock
					t.Errorf("%s: who asked of another lock is told", what)
				}
			default:
			}
		}
		var h *node.Hold
		said("it is entered", func() { h = l.acquire("x") })
		ctx, cancel := context.WithCancel(t.Context())
		said("somebody waits", func() { go l.node.Acquire(ctx, "x", node.About{}) })
		said("another one waits", func() { go l.node.Acquire(t.Context(), "x", node.About{Label: "last"}) })
		said("somebody gives up", func() { cancel() })
		if s := l.node.Look("x"); len(s.Waiters) != 1 || s.Waiters[0].Label != "last" {
			t.Errorf("waiters: %+v", s.Waiters)
		}
		said("a lease is renewed", func() { wait(ttl / 2) })
		said("it is asked", func() { l.node.Steer("x", node.Wish{Token: 1, By: "b"}) })
		said("it is left", func() { h.Release() })
	})
}
