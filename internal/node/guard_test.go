package node_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/conchlock/conch/internal/node"
	"github.com/conchlock/conch/internal/transport/memory"
)

// A context ends by time while the disk, or the trace, hangs. In real time: a
// goroutine that waits for a mutex lets no virtual time pass.
func TestHangingDisk(t *testing.T) {
	for name, hang := range map[string]func(l *leased, slow func()){
		"floor": func(l *leased, slow func()) {
			l.disk.setSlow(slow)
			l.lessor.floors.Store(true)
		},
		"trace": func(l *leased, slow func()) { l.events.setSlow(slow) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := alone(t)
			defer l.close()
			h, late := l.acquire("x"), l.acquire("y")
			ctx := h.Context()

			hanging, mend := make(chan struct{}, 1), make(chan struct{})
			hang(l, func() {
				select {
				case hanging <- struct{}{}:
				default:
				}
				<-mend
			})
			entered := make(chan error, 1)
			go func() {
				h, err := l.node.Acquire(t.Context(), "z", node.About{})
				if err == nil {
					err = context.Cause(h.Context())
				}
				entered <- err
			}()
			<-hanging
			over := time.NewTimer(ttl) // by then, so is the lease with which z was granted, if it was
			for _, ctx := range []context.Context{ctx, late.Context()} {
				select {
				case <-ctx.Done():
				case <-time.After(time.Minute):
					t.Error("the context does not end")
				}
				if !errors.Is(context.Cause(ctx), node.ErrLost) {
					t.Errorf("the cause is %v", context.Cause(ctx))
				}
			}
			<-over.C
			close(mend)
			if err := <-entered; err != nil {
				t.Errorf("it has entered with a hold that has ended: %v", err)
			}
			wantLost(t, h)
		})
	}
}

// A hold whose lease has ended before its caller could know of it is nobody's:
// Acquire asks again.
func TestLostBeforeItIsGranted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := alone(t)
		defer l.close()
		slow := 3
		l.disk.setSlow(func() {
			if slow > 0 {
				slow--
				l.sleep(2 * ttl)
			}
		})
		l.lessor.floors.Store(true)
		h := l.acquire("x")
		if h.Context().Err() != nil || h.Token() != 4 {
			t.Errorf("token %d, context: %v", h.Token(), context.Cause(h.Context()))
		}
		if err := h.Release(); err != nil {
			t.Error(err)
		}
	})
	synctest.Test(t, func(t *testing.T) { // and a waiter that sleeps when it is granted
		l := lease(t, memory.NewNetwork(1, "a"), "a")
		defer l.close()
		first := l.acquire("x")
		second := make(chan *node.Hold, 1)
		go func() { second <- l.acquire("x") }()
		synctest.Wait()
		l.lessor.floors.Store(true)
		slow := 1
		l.disk.setSlow(func() {
			if slow > 0 {
				slow--
				l.sleep(2 * ttl)
			}
		})
		if err := first.Release(); err != nil {
			t.Error(err)
		}
		if h := <-second; h.Context().Err() != nil {
			t.Errorf("entered with a hold that has ended: %v", context.Cause(h.Context()))
		}
	})
}

// A hold that was left ends no other one when its time is over, even if the
// process has extended it as it was left.
func TestExtendedWhileItIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := alone(t)
		defer l.close()
		l.lessor.late.Store(true)
		if err := l.acquire("x").Release(); err != nil {
			t.Error(err)
		}
		wait(ttl / 2)
		h := l.acquire("x")
		wait(ttl*3/4 - margin) // the first one's time is over, this one's is not
		if s := l.node.Status(); len(s.Locks) != 1 || !s.Locks[0].Held || h.Context().Err() != nil {
			t.Errorf("held %v, the context's cause is %v", s.Locks, context.Cause(h.Context()))
		}
		if err := h.Release(); err != nil {
			t.Error(err)
		}
	})
}
