package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/trace"
)

// lock is a lock that somebody here holds or wants. The process sees one
// request of this peer at a time: the first waiter's.
type lock struct {
	name    string
	hold    *Hold        // nil if nobody here is inside
	waiters []*waiter    // in the order they came; the first one's request is open
	asked   time.Time    // when the open request was made
	stamp   algo.Time    // of the open request
	told    time.Time    // when it was last noted that it waits
	freed   algo.Instant // when the last hold here ended, if somebody here has waited since then; else Never
}

// maxLocks bounds the locks that are held or wanted at one peer at a time. After
// a restart of another peer, all of them are asked for in one step and named in
// one message: that has to fit into a link (link.Limits, link.MaxPacket), and
// into what others put aside (epoch's asideMax).
const maxLocks = 16384

// waiter is a caller that waits for a lock, and the hold that it will get: one
// piece of memory for both.
type waiter struct {
	hold    Hold
	granted chan struct{} // closed when it has the hold; nil if it did not have to wait
}

// Acquire waits until this caller is inside the lock. When ctx ends first, the
// error wraps its cause, says for whom this peer waited, and the caller
// certainly is not inside.
func (n *Node) Acquire(ctx context.Context, name string, about About) (*Hold, error) {
	for {
		w := &waiter{hold: Hold{node: n, name: name, about: about}}
		if err := n.await(ctx, w); err != nil {
			return nil, err
		}
		if !errors.Is(n.guard.cause(&w.hold), ErrLost) {
			return &w.hold, nil
		}
		w.hold.Release() // a disk that hung has cost it its lease: nobody has seen it
	}
}

// await waits until w has its hold.
func (n *Node) await(ctx context.Context, w *waiter) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if err := n.enqueue(w); err != nil || w.granted == nil {
		return err
	}
	select {
	case <-w.granted:
		n.BeforeSend() // before the caller does anything that others can see
		return nil
	case <-n.done:
		return n.abandon(w, n.Err())
	case <-ctx.Done():
		return n.abandon(w, context.Cause(ctx))
	}
}

// enqueue puts a waiter in line.
func (n *Node) enqueue(w *waiter) error {
	n.mu.Lock()
	defer n.unlock()
	n.look()
	if n.ended {
		return n.err()
	}
	l := n.locks[w.hold.name]
	if l == nil {
		if len(n.locks) >= maxLocks {
			return fmt.Errorf("%d locks are held or wanted at this peer, and that is the limit: unlock some first", maxLocks)
		}
		if l, n.spare = n.spare, nil; l == nil {
			l = &lock{}
		}
		l.name, l.freed = w.hold.name, algo.Never
		n.locks[l.name] = l
	}
	w.hold.since = n.at
	l.waiters = append(l.waiters, w)
	if l.hold == nil && len(l.waiters) == 1 {
		n.ask(l)
	} else {
		n.stir(l.name)
	}
	if w.hold.lock == nil {
		w.granted = make(chan struct{})
	}
	return nil
}

// ask opens a request for the first waiter.
func (n *Node) ask(l *lock) {
	l.asked = time.Now()
	l.told = l.asked
	l.stamp = n.clock.Now() + 1 // the step's
	n.step(algo.Input{Kind: algo.Acquire, Lock: l.name}, trace.Event{Kind: trace.Request})
}

// grant gives the lock to the first waiter.
func (n *Node) grant(o *algo.Output) {
	l := n.locks[o.Lock]
	if n.cfg.Recorder != nil {
		e := trace.Event{Kind: trace.Enter, Lock: o.Lock, Token: o.Token, Lease: n.left(o.Deadline), Reason: n.reason(o.Why)}
		if l.freed != algo.Never {
			e.Took = time.Duration(max(1, n.now.Sub(l.freed)))
		}
		n.record(e)
	}
	w := l.waiters[0]
	l.waiters = slices.Delete(l.waiters, 0, 1)
	h := &w.hold
	h.lock, h.token, h.since = l, o.Token, time.Now()
	l.hold = h
	n.guard.watch(h, o.Deadline, n.now)
	if w.granted != nil {
		close(w.granted)
	}
}

// abandon takes a waiter out of the line. If it was granted the lock just now,
// it gives it back: the caller has been told that it did not get in.
func (n *Node) abandon(w *waiter, why error) error {
	n.mu.Lock()
	defer n.unlock()
	n.look()
	if h := &w.hold; h.lock != nil {
		if h.inside() { // else its time is over, or Close has ended it already
			n.leave(h, why, trace.Event{Kind: trace.Exit, Reason: trace.GivenBack})
		}
		return why
	}
	i, l := -1, n.locks[w.hold.name]
	if l != nil {
		i = slices.Index(l.waiters, w)
	}
	if i < 0 {
		return why // the node gave it up already
	}
	why = fmt.Errorf("%w%s", why, n.waitsFor(l))
	l.waiters = slices.Delete(l.waiters, i, i+1)
	n.stir(l.name)
	if i == 0 && l.hold == nil && len(l.waiters) == 0 {
		n.step(algo.Input{Kind: algo.Cancel, Lock: l.name}, trace.Event{Kind: trace.Cancel})
	}
	n.forget(l)
	return why
}

// next opens the next waiter's request after a hold has ended.
func (n *Node) next(l *lock) {
	l.freed = n.now
	if len(l.waiters) > 0 {
		n.ask(l)
	}
	n.forget(l)
}

// forget drops a lock that nobody here holds or wants.
func (n *Node) forget(l *lock) {
	if l.hold == nil && len(l.waiters) == 0 {
		delete(n.locks, l.name)
		n.spare = l
	}
}

// giveUp ends every hold and every open request.
func (n *Node) giveUp() {
	for _, name := range slices.Sorted(maps.Keys(n.locks)) {
		l := n.locks[name]
		if l == nil {
			continue // a step has just lost it
		}
		wanted := len(l.waiters) > 0
		l.waiters = nil
		switch {
		case l.hold != nil:
			n.leave(l.hold, ErrClosed, trace.Event{Kind: trace.Exit, Reason: "its peer is closing"})
		case wanted:
			n.step(algo.Input{Kind: algo.Cancel, Lock: name}, trace.Event{Kind: trace.Cancel})
			n.forget(l)
		}
	}
}

// Fail ends the node as a crash would, for a reason of the caller's.
func (n *Node) Fail(err error) {
	n.mu.Lock()
	defer n.unlock()
	n.fail(err)
}

// fail ends the node as a crash would: nothing is released, since a peer that
// cannot move its clock cannot tell anybody. Holds end with the error.
func (n *Node) fail(err error) {
	if n.failure != nil {
		return
	}
	n.failure = fmt.Errorf("%w: %w", ErrClosed, err)
	n.end()
	n.cfg.Logger.Error("this peer can take no more steps", "error", err)
	for _, l := range n.locks {
		if l.hold != nil {
			n.guard.finish(l.hold, fmt.Errorf("%w: %w", ErrLost, err))
		}
	}
}
