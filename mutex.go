package conch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/locker"
	"github.com/conchlock/conch/internal/node"
	"github.com/conchlock/conch/view"
)

// Errors, for errors.Is.
var (
	// ErrClosed says that the peer is closed, or was while the call waited.
	// The operation certainly did not happen. It is also the cause with which
	// the context of a hold ends when its peer is closed.
	ErrClosed = node.ErrClosed
	// ErrLost says that a hold has ended before it was unlocked. It is the
	// cause with which the hold's context ends then.
	ErrLost = node.ErrLost
	// ErrNotAcquired says that TryLock did not get the lock.
	ErrNotAcquired = errors.New("lock not acquired")
	// ErrUnlocked says that a hold was unlocked before.
	ErrUnlocked = errors.New("the hold was unlocked before")
)

// Token is a fencing token: it is larger than the tokens of all earlier holds
// of the same lock, also of those before restarts, and below 2^53. Pass it to
// the resource, and let the resource refuse a token smaller than the largest it
// has seen: package fence does that, fence.Token(hold.Token()) is what it takes.
type Token uint64

// Mutex is a named lock of the cluster. Any number may be made for one name, at
// any peers: they are all the same lock. Its methods are safe for concurrent
// use; each Lock is a waiter of its own.
type Mutex struct {
	from locker.Locker
	name string
}

// Mutex returns the lock of that name, 1 to 200 bytes of printable UTF-8. No
// lock has to be made or removed: one that nobody uses costs nothing, except
// that the token of a token ring rests somewhere, which takes some 200 bytes at
// each of a few peers. At most 16384 locks can be held or wanted at one peer at
// a time.
func (p *Peer) Mutex(name string) *Mutex { return MutexOf((*own)(p), name) }

// MutexOf is for package client, whose mutexes stand on a peer in another process.
// Other programs call Peer.Mutex.
func MutexOf(from locker.Locker, name string) *Mutex { return &Mutex{from: from, name: name} }

// own is the peer in this process, as a mutex sees it.
type own Peer

// Acquire implements locker.Locker.
func (o *own) Acquire(ctx context.Context, lock string, options locker.Options) (locker.Hold, error) {
	about := node.About{Label: options.Label, Trace: options.Trace, ID: options.ID, Lost: options.Lost}
	if options.Progress != nil {
		return o.acquireTold(ctx, lock, about, options.Progress)
	}
	return o.acquire(ctx, lock, about)
}

// acquireTold is Acquire, and tells the caller what it waits for meanwhile.
func (o *own) acquireTold(ctx context.Context, lock string, about node.About, tell locker.Progress) (locker.Hold, error) {
	if about.ID == 0 {
		about.ID = locker.NewID()
	}
	defer tell.Report(func(ctx context.Context) {
		(*Peer)(o).Watch(ctx, lock, func(v view.View) error {
			l := v.Lock(lock)
			tell(l.Place(v.Peer, about.ID), l)
			return nil
		})
	})()
	return o.acquire(ctx, lock, about)
}

// acquire waits for the lock, and tells the observer, if there is one, how it went.
func (o *own) acquire(ctx context.Context, lock string, about node.About) (locker.Hold, error) {
	var from time.Time
	if o.observer != nil {
		from = time.Now()
	}
	h, err := o.node.Acquire(ctx, lock, about)
	if o.observer != nil {
		e := Event{Kind: Entered, Lock: lock, Took: time.Since(from)}
		if err != nil {
			e.Kind = GaveUp
		}
		o.observer.Observe(e)
	}
	if err != nil {
		return nil, err // not a nil *node.Hold
	}
	return h, nil
}

// Busy implements locker.Locker.
func (o *own) Busy(_ context.Context, lock string) (bool, error) { return o.node.Busy(lock), nil }

// Option says more about a wish for a lock.
type Option func(*locker.Options)

// WithLabel says who wants the lock and what for, to people who ask who has it: at
// most MaxLabel bytes of printable UTF-8.
func WithLabel(text string) Option {
	return func(o *locker.Options) { o.Label = text }
}

// WithTrace says in which span the caller waits for the lock and holds it, as the
// traceparent header of W3C Trace Context does, to those who look: so the span of who
// waits can be linked to that of who held it up. At most MaxLabel bytes.
func WithTrace(traceparent string) Option {
	return func(o *locker.Options) { o.Trace = traceparent }
}

// WithProgress has f told what the caller waits for: its place in the queue, from 1, or
// 0 if that is not known, and what is known of the lock. It is told when the caller has
// waited for a moment, and whenever something has changed, at most 20 times a second.
// Calls come one after the other, from another goroutine; none is under way any more
// when Lock returns, so f must not wait for the lock. Given twice, both are told.
func WithProgress(f func(place int, l view.Lock)) Option {
	return func(o *locker.Options) {
		before := o.Progress
		if before == nil {
			o.Progress = f
			return
		}
		o.Progress = func(place int, l view.Lock) {
			before(place, l)
			f(place, l)
		}
	}
}

// MaxLabel is the length of the longest label, in bytes.
const MaxLabel = algo.MaxLockName

// Name returns the lock's name.
func (m *Mutex) Name() string { return m.name }

// Lock waits until the caller holds the lock. Callers at one peer are served in
// the order they came, and peers in the algorithm's order.
//
// If ctx ends first, the error wraps ctx's cause, names the peers that the call
// waited for, and the caller certainly does not hold the lock. ctx has no
// influence on the hold.
func (m *Mutex) Lock(ctx context.Context, options ...Option) (*Hold, error) {
	return m.lock(ctx, options, false)
}

// lock is Lock, and what TryLock does when nobody here is in its way.
func (m *Mutex) lock(ctx context.Context, options []Option, try bool) (*Hold, error) {
	if err := algo.CheckLock(m.name); err != nil {
		return nil, fmt.Errorf("conch: %w", err)
	}
	o := locker.Options{Try: try}
	if len(options) > 0 {
		var err error
		if o, err = chosen(o, options); err != nil {
			return nil, fmt.Errorf("conch: lock %q: %w", m.name, err)
		}
	}
	h, err := m.from.Acquire(ctx, m.name, o)
	if err != nil {
		return nil, fmt.Errorf("conch: lock %q: %w", m.name, err)
	}
	return &Hold{lock: m.name, hold: h}, nil
}

// chosen is what the options make of o. It is a function of its own so that calls without
// options allocate none.
func chosen(o locker.Options, options []Option) (locker.Options, error) {
	for _, set := range options {
		set(&o)
	}
	if err := algo.CheckText("label", o.Label); err != nil {
		return o, err
	}
	return o, algo.CheckText("trace", o.Trace)
}

// tryFor is how long TryLock asks. Peers that do not want to give the lock away
// do not say so, they say nothing; this is many round trips of any network in
// which locks make sense.
const tryFor = 500 * time.Millisecond

// TryLock asks for the lock and gives up soon: at once if a caller at this peer
// holds it or waits for it, else after half a second, or when ctx ends. Its
// error is then ErrNotAcquired.
func (m *Mutex) TryLock(ctx context.Context, options ...Option) (*Hold, error) {
	busy, err := m.from.Busy(ctx, m.name)
	switch {
	case err != nil:
		return nil, fmt.Errorf("conch: lock %q: %w", m.name, err)
	case busy:
		return nil, fmt.Errorf("conch: lock %q is in use at this peer: %w", m.name, ErrNotAcquired)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, tryFor, ErrNotAcquired)
	defer cancel()
	h, err := m.lock(ctx, options, true)
	if err != nil && ctx.Err() != nil && !errors.Is(err, ErrNotAcquired) {
		err = fmt.Errorf("%w: %w", ErrNotAcquired, err)
	}
	return h, err
}

// Do calls f while holding the lock. f should stop when its context ends, and
// pass the token to the resource that the lock protects. Do returns f's error,
// joined with ErrLost or ErrClosed if the hold had ended before f returned.
func (m *Mutex) Do(ctx context.Context, f func(ctx context.Context, token Token) error, options ...Option) error {
	hold, err := m.Lock(ctx, options...)
	if err != nil {
		return err
	}
	unlocked := false
	defer func() {
		if !unlocked { // f panicked
			hold.Unlock()
		}
	}()
	within, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(hold.Context(), func() { cancel(context.Cause(hold.Context())) })()
	err = f(within, hold.Token())
	unlocked = true
	return errors.Join(err, hold.Unlock())
}

// Hold is a lock that is held. Its methods are safe for concurrent use.
type Hold struct {
	lock string
	hold locker.Hold
}

// Lock returns the name of the lock.
func (h *Hold) Lock() string { return h.lock }

// Token returns the hold's fencing token.
func (h *Hold) Token() Token { return Token(h.hold.Token()) }

// Deadline returns when the hold's lease ends; the zero time if it has none. The
// peer renews the lease for as long as the hold lasts and enough others can be
// reached, so a later call returns a later time. The context ends a little
// earlier, by a sixteenth of the TTL but at most 100 ms: that is the time to stop
// in.
func (h *Hold) Deadline() time.Time { return h.hold.Deadline() }

// Context ends when the hold does: with cause context.Canceled at Unlock, with
// ErrClosed when the peer is closed, with ErrLost when the hold is lost, shortly
// before its lease can end. After a pause of the whole process (or the machine) it
// ends as soon as the program runs again, at the latest a second after that.
// What a pause cannot be told from inside, the resource can tell by the token.
func (h *Hold) Context() context.Context { return h.hold.Context() }

// Asked returns a channel that is closed when somebody asks the holder to give way
// (Peer.Ask, conch ask), or ends its hold (Peer.End). By default nothing comes of
// being asked: a holder that can stop early waits for it.
func (h *Hold) Asked() <-chan struct{} { return h.hold.Asked() }

// AskedBy says who asked last, and why; both are empty as long as nobody has.
func (h *Hold) AskedBy() (by, reason string) { return h.hold.AskedBy() }

// Unlock ends the hold; the lock goes to who waits for it. The error is
// ErrUnlocked if that was done before, and ErrClosed or ErrLost if the hold had
// ended without it. Call it then, too: a lock whose lease is about to end goes on
// at once when its holder says that it has stopped.
func (h *Hold) Unlock() error {
	err := h.hold.Release()
	if errors.Is(err, context.Canceled) {
		err = ErrUnlocked
	}
	return err
}
