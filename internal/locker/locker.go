// Package locker is what a conch.Mutex stands on: a peer in this process, or a
// session with one on this machine. So both are the same type to a program.
package locker

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/view"
)

// Locker gives locks. Its methods are safe for concurrent use.
type Locker interface {
	// Acquire waits until the caller holds the lock, whose name has been checked.
	// When ctx ends first, the error wraps its cause, says for whom it waited if
	// that is known, and the caller certainly does not hold the lock.
	Acquire(ctx context.Context, lock string, o Options) (Hold, error)
	// Busy says that somebody who asks here holds or wants the lock.
	Busy(ctx context.Context, lock string) (bool, error)
}

// Options are what a caller may say of its wish.
type Options struct {
	Label string // shown to people who ask who holds it
	Trace string // likewise: the span in which it waits, as in a traceparent header
	Try   bool   // the caller will not wait for long: a peer elsewhere may say so at once
	ID    uint64 // tells the caller apart in views, from NewID; 0 if nobody needs to
	// Lost is set before the hold is released if whom the caller has got it for had lost it
	// by then, which the peer does not see; nil if that is the caller itself.
	Lost *atomic.Bool
	// Progress is told what the caller waits for; nil tells nobody.
	Progress Progress
}

// Progress is told the caller's place in the queue, 0 if it is not known, and what is known
// of the lock.
type Progress func(place int, l view.Lock)

var ids atomic.Uint64

// NewID returns an ID that no other caller in this process has.
func NewID() uint64 { return ids.Add(1) }

// reportAfter is how long a caller waits before there is something to tell: most do not.
const reportAfter = 50 * time.Millisecond

// Report runs watch, which tells p, when the caller has waited for a moment, until the
// function that it returns is called; that returns when nothing is told any more. A nil p
// is told nothing.
func (p Progress) Report(watch func(ctx context.Context)) (end func()) {
	if p == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-time.After(reportAfter):
			watch(ctx)
		case <-ctx.Done():
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// Hold is a lock that is held, until it ends.
type Hold interface {
	Token() algo.Token
	// Deadline is when the lease ends, as far as it is renewed by now; the zero
	// time without one.
	Deadline() time.Time
	// Context ends when the hold does, with the cause that Release returns; a margin
	// before its lease can.
	Context() context.Context
	// Asked is closed when somebody has asked the holder to give way; AskedBy says
	// who, last, and why.
	Asked() <-chan struct{}
	AskedBy() (by, reason string)
	// Release gives the lock back. If the hold has ended before, it returns the
	// cause: context.Canceled for an earlier Release, conch.ErrClosed or
	// conch.ErrLost.
	Release() error
}
