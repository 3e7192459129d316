package node

import (
	"context"
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
	hold    *Hold     // nil if nobody here is inside
	waiters []*waiter // in the order they came; the first one's request is open
	asked   time.Time // when the open request was made
	told    time.Time // when it was last noted that it waits
}

// maxLocks bounds the locks that are held or wanted at one peer at a time. After
// a restart of another peer, all of them are asked for in one step and named in
// one message: that has to fit into a link (link.Limits, link.MaxPacket), and
// into what others put aside (epoch's asideMax).
const maxLocks = 16384

// waiter is a caller that waits for a lock.
type waiter struct {
	granted chan *Hold // has room for the one hold
}

// Hold is one stay of this peer in a critical section.
type Hold struct {
	node  *Node
	lock  *lock
	token algo.Token
	since time.Time
	ctx   context.Context
	end   context.CancelCauseFunc
}

// Acquire waits until this caller is inside the lock. When ctx ends first, the
// error wraps its cause, says for whom this peer waited, and the caller
// certainly is not inside.
func (n *Node) Acquire(ctx context.Context, name string) (*Hold, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	w := &waiter{granted: make(chan *Hold, 1)}
	if err := n.enqueue(name, w); err != nil {
		return nil, err
	}
	select {
	case h := <-w.granted:
		return h, nil
	case <-n.done:
		return nil, n.abandon(name, w, n.Err())
	case <-ctx.Done():
		return nil, n.abandon(name, w, context.Cause(ctx))
	}
}

// enqueue puts a waiter in line.
func (n *Node) enqueue(name string, w *waiter) error {
	n.mu.Lock()
	defer n.unlock()
	if n.ended {
		return n.err()
	}
	l := n.locks[name]
	if l == nil {
		if len(n.locks) >= maxLocks {
			return fmt.Errorf("%d locks are held or wanted at this peer, and that is the limit: unlock some first", maxLocks)
		}
		l = &lock{name: name}
		n.locks[name] = l
	}
	l.waiters = append(l.waiters, w)
	if l.hold == nil && len(l.waiters) == 1 {
		n.ask(l)
	}
	return nil
}

// ask opens a request for the first waiter.
func (n *Node) ask(l *lock) {
	l.asked = time.Now()
	l.told = l.asked
	n.step(algo.Input{Kind: algo.Acquire, Lock: l.name}, trace.Event{Kind: trace.Request})
}

// grant gives the lock to the first waiter.
func (n *Node) grant(name string, token algo.Token) {
	l := n.locks[name]
	w := l.waiters[0]
	l.waiters = slices.Delete(l.waiters, 0, 1)
	h := &Hold{node: n, lock: l, token: token, since: time.Now()}
	h.ctx, h.end = context.WithCancelCause(context.Background())
	l.hold = h
	w.granted <- h
}

// abandon takes a waiter out of the line. If it was granted the lock just now,
// it gives it back: the caller has been told that it did not get in.
func (n *Node) abandon(name string, w *waiter, why error) error {
	n.mu.Lock()
	defer n.unlock()
	l := n.locks[name]
	select {
	case h := <-w.granted:
		if h.ctx.Err() == nil { // else Close or a failure has ended it already
			n.leave(h, why, trace.GivenBack)
		}
		return why
	default:
	}
	i := -1
	if l != nil {
		i = slices.Index(l.waiters, w)
	}
	if i < 0 {
		return why // the node gave it up already
	}
	why = fmt.Errorf("%w%s", why, n.waitsFor(l))
	l.waiters = slices.Delete(l.waiters, i, i+1)
	if i == 0 && l.hold == nil && len(l.waiters) == 0 {
		n.step(algo.Input{Kind: algo.Cancel, Lock: name}, trace.Event{Kind: trace.Cancel})
	}
	n.forget(l)
	return why
}

// Release leaves the section. If the hold has ended before, it returns the cause:
// context.Canceled for an earlier Release, ErrClosed, or ErrLost.
func (h *Hold) Release() error {
	n := h.node
	n.mu.Lock()
	defer n.unlock()
	if h.ctx.Err() != nil {
		return context.Cause(h.ctx)
	}
	n.leave(h, context.Canceled, "")
	return n.failure // the others may not know that it has left: nobody else is inside
}

// Token returns the hold's fencing token.
func (h *Hold) Token() algo.Token { return h.token }

// Context ends when the hold does.
func (h *Hold) Context() context.Context { return h.ctx }

// leave ends a hold and opens the next waiter's request. The reason is for the
// record; most holds end because their work is done, and need none.
func (n *Node) leave(h *Hold, cause error, reason string) {
	h.end(cause)
	l := h.lock
	n.step(algo.Input{Kind: algo.Release, Lock: l.name}, trace.Event{Kind: trace.Exit, Token: h.token, Reason: reason})
	l.hold = nil
	if len(l.waiters) > 0 {
		n.ask(l)
	}
	n.forget(l)
}

// forget drops a lock that nobody here holds or wants.
func (n *Node) forget(l *lock) {
	if l.hold == nil && len(l.waiters) == 0 {
		delete(n.locks, l.name)
	}
}

// giveUp ends every hold and every open request.
func (n *Node) giveUp() {
	for _, name := range slices.Sorted(maps.Keys(n.locks)) {
		l := n.locks[name]
		wanted := len(l.waiters) > 0
		l.waiters = nil
		switch {
		case l.hold != nil:
			n.leave(l.hold, ErrClosed, "its peer is closing")
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
			l.hold.end(fmt.Errorf("%w: %w", ErrLost, err))
		}
	}
}
