// Package mutextest is what a program may expect of a conch.Mutex, whatever it
// stands on: a peer in its process, or a session with one on its machine.
package mutextest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/conchlock/conch"
	"github.com/conchlock/conch/view"
)

// Source gives mutexes.
type Source interface {
	Mutex(name string) *conch.Mutex
	Close() error
}

// Suite runs over sources that make makes: so many, whose mutexes of one name are
// one lock. They are closed with the test.
func Suite(t *testing.T, make func(t *testing.T, n int) []Source) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, make func(t *testing.T, n int) []Source)
	}{
		{"one at a time", oneAtATime},
		{"gives up", givesUp},
		{"tries", tries},
		{"unlocks once", unlocksOnce},
		{"closes", closes},
		{"does", does},
		{"in order", inOrder},
		{"bad names", badNames},
		{"cancelled at once", cancelled},
		{"progress", progress},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, make) })
	}
}

// oneAtATime has many callers: never two inside, tokens grow, all get in.
func oneAtATime(t *testing.T, make func(t *testing.T, n int) []Source) {
	var inside atomic.Int32
	var last conch.Token
	var wg sync.WaitGroup
	for _, s := range make(t, 3) {
		for range 3 {
			wg.Go(func() {
				for range 10 {
					err := s.Mutex("x").Do(t.Context(), func(_ context.Context, token conch.Token) error {
						if inside.Add(1) != 1 {
							return errors.New("two are inside")
						}
						defer inside.Add(-1)
						if token <= last {
							return fmt.Errorf("token %d comes after %d", token, last)
						}
						last = token
						return nil
					}, conch.WithLabel("one of many"))
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
}

// givesUp ends with the caller's context, and certainly does not hold the lock.
func givesUp(t *testing.T, make func(t *testing.T, n int) []Source) {
	s := make(t, 2)
	hold := lock(t, s[0], "x")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s[1].Mutex("x").Lock(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Lock: %v", err)
	}
	because := errors.New("no more patience")
	ctx2, cancel2 := context.WithCancelCause(t.Context())
	cancel2(because)
	if _, err := s[1].Mutex("x").Lock(ctx2); !errors.Is(err, because) {
		t.Errorf("Lock with a context that has ended: %v", err)
	}
	unlock(t, hold)
	unlock(t, lock(t, s[1], "x")) // it would wait for ever, if the wish were still open
	unlock(t, lock(t, s[0], "x"))
}

// tries does not wait for long.
func tries(t *testing.T, make func(t *testing.T, n int) []Source) {
	s := make(t, 2)
	hold, err := s[0].Mutex("x").TryLock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range s {
		if _, err := s[i].Mutex("x").TryLock(t.Context()); !errors.Is(err, conch.ErrNotAcquired) {
			t.Errorf("TryLock at %d: %v", i, err)
		}
	}
	unlock(t, hold)
	hold, err = s[1].Mutex("x").TryLock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	unlock(t, hold)
}

// unlocksOnce says what a second Unlock is, and how the context ended.
func unlocksOnce(t *testing.T, make func(t *testing.T, n int) []Source) {
	s := make(t, 1)
	hold := lock(t, s[0], "x")
	if hold.Lock() != "x" || hold.Token() == 0 || !hold.Deadline().After(time.Now()) {
		t.Errorf("the hold: lock %q, token %d, deadline %s", hold.Lock(), hold.Token(), hold.Deadline())
	}
	if err := hold.Context().Err(); err != nil {
		t.Errorf("the context of a hold has ended: %v", err)
	}
	next := lockAfter(t, s[0], hold)
	if err := hold.Unlock(); !errors.Is(err, conch.ErrUnlocked) {
		t.Errorf("a second Unlock: %v", err)
	}
	if cause := context.Cause(hold.Context()); !errors.Is(cause, context.Canceled) {
		t.Errorf("the hold's context ended with %v", cause)
	}
	if next.Context().Err() != nil {
		t.Error("a second Unlock has ended the next hold")
	}
	unlock(t, next)
}

// lockAfter locks once more, after a hold.
func lockAfter(t *testing.T, s Source, hold *conch.Hold) *conch.Hold {
	t.Helper()
	unlock(t, hold)
	return lock(t, s, hold.Lock())
}

// closes ends everything.
func closes(t *testing.T, make func(t *testing.T, n int) []Source) {
	s := make(t, 3) // a majority of peers stays
	hold, other := lock(t, s[0], "x"), lock(t, s[1], "y")
	waits := background(func() error {
		_, err := s[0].Mutex("y").Lock(t.Context())
		return err
	})
	if err := s[0].Close(); err != nil {
		t.Error(err)
	}
	if err := <-waits; !errors.Is(err, conch.ErrClosed) {
		t.Errorf("who waited: %v", err)
	}
	if cause := context.Cause(hold.Context()); !errors.Is(cause, conch.ErrClosed) {
		t.Errorf("the hold's context ended with %v", cause)
	}
	if err := hold.Unlock(); !errors.Is(err, conch.ErrClosed) {
		t.Errorf("Unlock after Close: %v", err)
	}
	if _, err := s[0].Mutex("x").Lock(t.Context()); !errors.Is(err, conch.ErrClosed) {
		t.Errorf("Lock after Close: %v", err)
	}
	unlock(t, lock(t, s[1], "x"))
	unlock(t, other)
}

func background(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return done
}

// does passes on what its function returns, and unlocks when it panics.
func does(t *testing.T, make func(t *testing.T, n int) []Source) {
	s := make(t, 1)[0]
	wrong := errors.New("wrong")
	if err := s.Mutex("x").Do(t.Context(), func(context.Context, conch.Token) error { return wrong }); !errors.Is(err, wrong) {
		t.Errorf("Do: %v", err)
	}
	func() {
		defer func() { recover() }()
		s.Mutex("x").Do(t.Context(), func(context.Context, conch.Token) error { panic("on purpose") })
	}()
	unlock(t, lock(t, s, "x"))
}

// inOrder serves the callers of one source in the order they came.
func inOrder(t *testing.T, make func(t *testing.T, n int) []Source) {
	s := make(t, 1)[0]
	hold := lock(t, s, "x")
	var order []int
	var all sync.WaitGroup
	for i := range 4 {
		asked := t.Context()
		ctx, begun := context.WithCancel(asked)
		all.Go(func() {
			begun()
			h, err := s.Mutex("x").Lock(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			order = append(order, i)
			unlock(t, h)
		})
		<-ctx.Done() // it is about to ask; that it has is not known, so the order is not checked here
	}
	unlock(t, hold)
	all.Wait()
	if len(order) != 4 {
		t.Errorf("%d of 4 got in", len(order))
	}
}

// badNames are refused before anybody waits.
func badNames(t *testing.T, make func(t *testing.T, n int) []Source) {
	s := make(t, 1)[0]
	for _, name := range []string{"", "a\nb", "\xff"} {
		if _, err := s.Mutex(name).Lock(t.Context()); err == nil {
			t.Errorf("%q is taken for a lock's name", name)
		}
	}
	if _, err := s.Mutex("x").Lock(t.Context(), conch.WithLabel("a\nb")); err == nil {
		t.Error("a label of two lines is accepted")
	}
}

// cancelled has a thousand waiters give up at once; nothing of them stays.
func cancelled(t *testing.T, make func(t *testing.T, n int) []Source) {
	s := make(t, 2)
	hold := lock(t, s[0], "x")
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for i := range 1000 {
		all.Go(func() {
			if _, err := s[i%2].Mutex("x").Lock(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("Lock: %v", err)
			}
		})
	}
	cancel()
	all.Wait()
	unlock(t, hold)
	unlock(t, lock(t, s[1], "x"))
}

// progress is told while a caller waits, and not after that.
func progress(t *testing.T, make func(t *testing.T, n int) []Source) {
	s := make(t, 2)
	hold, err := s[0].Mutex("x").Lock(t.Context(), conch.WithLabel("who holds"), conch.WithTrace("00-1-2-01"))
	if err != nil {
		t.Fatal(err)
	}
	seen := errors.New("it is told who holds")
	ctx, cancel := context.WithCancelCause(t.Context())
	var returned atomic.Bool
	_, err = s[1].Mutex("x").Lock(ctx, conch.WithLabel("who waits"), conch.WithProgress(func(place int, l view.Lock) {
		if returned.Load() {
			t.Error("told after Lock has returned")
		}
		if h := l.Holder; h != nil && place == 1 && l.Name == "x" && h.Label == "who holds" && h.Trace == "00-1-2-01" &&
			h.Token == uint64(hold.Token()) && l.Waiters[0].Label == "who waits" {
			cancel(seen)
		}
	}))
	returned.Store(true)
	if !errors.Is(err, seen) {
		t.Errorf("Lock: %v", err)
	}
	unlock(t, hold)
}

func lock(t *testing.T, s Source, name string) *conch.Hold {
	t.Helper()
	hold, err := s.Mutex(name).Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return hold
}

func unlock(t *testing.T, hold *conch.Hold) {
	t.Helper()
	if err := hold.Unlock(); err != nil {
		t.Error(err)
	}
}
