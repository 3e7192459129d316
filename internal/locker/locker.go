// Package locker is what a conch.Mutex stands on: a peer in this process, or a
// session with one on this machine. So both are the same type to a program.
package locker

import (
	"context"
	"time"

	"github.com/conchlock/conch/algo"
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
	Try   bool   // the caller will not wait for long: a peer elsewhere may say so at once
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
	// Release gives the lock back. If the hold has ended before, it returns the
	// cause: context.Canceled for an earlier Release, conch.ErrClosed or
	// conch.ErrLost.
	Release() error
}
