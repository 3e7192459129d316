// Package board asks all peers of a cluster what they know of its locks, for as long as
// somebody looks, and puts that together. It also carries what somebody wants of a holder
// to the holder's peer.
//
// Nothing here takes part in an algorithm: a view is for people, and for programs that
// show it to people.
package board

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/node"
	"github.com/conchlock/conch/view"
)

// Report is what one peer knows of a lock, or of all.
type Report struct {
	Locks []node.Sight // sorted by name
	More  int          // locks that are not listed
}

// Local is this peer. Its methods are safe for concurrent use.
type Local interface {
	// Look says what is known here of a lock or, with an empty name, of all.
	Look(lock string) Report
	// Changed returns a channel that is closed when Look may say something else.
	Changed(lock string) <-chan struct{}
	// Steer tells the holder of a lock what somebody wants, and returns what there
	// is to say of it then; nil if nobody here holds the lock with that token.
	Steer(lock string, w node.Wish) (*node.HoldSight, error)
	// Peers lists the others, sorted by name.
	Peers() []node.PeerStatus
	// PeersChanged returns a channel that is closed when Peers says something else.
	PeersChanged() <-chan struct{}
}

// Carrier reaches the other peers.
type Carrier interface {
	// Watch tells what a peer knows of a lock, or of all, now and whenever that
	// changes, until ctx ends or the peer does not answer any more.
	Watch(ctx context.Context, peer algo.PeerName, lock string, tell func(Report)) error
	// Steer has a peer tell the holder of a lock what somebody wants: as Local.Steer.
	Steer(ctx context.Context, peer algo.PeerName, lock string, w node.Wish) (*node.HoldSight, error)
}

// Board is one peer's. Its methods are safe for concurrent use.
type Board struct {
	self    algo.PeerName
	local   Local
	carrier Carrier
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	work    sync.WaitGroup

	mu      sync.Mutex
	watches map[string]*watch // by lock, or "" for all
}

// maxWatched bounds the locks that are watched at a time.
const maxWatched = 256

// New returns the board of a peer.
func New(self algo.PeerName, local Local, carrier Carrier) *Board {
	b := &Board{self: self, local: local, carrier: carrier, watches: make(map[string]*watch)}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	return b
}

// Close ends what is under way. Views end with node.ErrClosed.
func (b *Board) Close() {
	b.mu.Lock()
	b.cancel()
	b.mu.Unlock()
	b.work.Wait()
}

// Watch tells what is known of a lock or, with an empty name, of all, now and whenever
// it changes, but not more often than pace allows, until ctx ends or tell returns an
// error. The first view comes when every peer that can be reached has answered, or after
// a second.
func (b *Board) Watch(ctx context.Context, lock string, tell func(view.View) error) error {
	w, err := b.join(lock)
	if err != nil {
		return err
	}
	defer b.leave(w)
	if err := w.first(ctx); err != nil {
		return err
	}
	for {
		changed := w.next()
		began := time.Now()
		v := w.view()
		rest := restAfter(time.Since(began))
		if err := tell(v); err != nil {
			return err
		}
		if err := w.wait(ctx, nil, time.After(rest)); err != nil {
			return err
		}
		if err := w.wait(ctx, changed, lapse(&v)); err != nil {
			return err
		}
	}
}

// errOne ends a Watch after one view.
var errOne = errors.New("one view is enough")

// Look tells it once.
func (b *Board) Look(ctx context.Context, lock string) (view.View, error) {
	var one view.View
	err := b.Watch(ctx, lock, func(v view.View) error {
		one = v
		return errOne
	})
	if err == errOne {
		err = nil
	}
	return one, err
}

// Errors of Steer. With each of them, nobody was told anything.
var (
	ErrNotHeld = errors.New("nobody holds it")
	ErrSilent  = errors.New("the peer that may hold it does not answer")
	ErrOther   = errors.New("it is held with another token")
)

// Steer tells the holder of a lock what somebody wants, wherever it is, and returns who
// that is. With a token of 0 it is whoever holds the lock now. After an error that is none
// of the above the holder may have been told.
func (b *Board) Steer(ctx context.Context, lock string, want node.Wish) (view.Holder, error) {
	for tries := 1; ; tries++ {
		v, err := b.Look(ctx, lock)
		if err != nil {
			return view.Holder{}, err
		}
		h, err := holder(&v, lock, want.Token)
		if err != nil {
			return h, err
		}
		peer, one := algo.PeerName(h.Peer), want
		one.Token = algo.Token(h.Token)
		told, err := b.tell(ctx, peer, lock, one)
		switch {
		case err != nil:
			return h, fmt.Errorf("%s, which holds it: %w", h.Peer, err)
		case told != nil:
			return holderOf(peer, told, time.Now()), nil
		case want.Token != 0 || tries == steerTries:
			return h, fmt.Errorf("%w any more: %s has left it at this moment", ErrNotHeld, h.Peer)
		}
	}
}

const (
	// steerTime is how long the holder's peer may take to answer: less than those
	// wait who ask the peer on their machine.
	steerTime = 2 * time.Second
	// steerTries is how often another holder is looked for if whoever was meant has
	// just left.
	steerTries = 3
)

// tell tells a peer's holder.
func (b *Board) tell(ctx context.Context, peer algo.PeerName, lock string, want node.Wish) (*node.HoldSight, error) {
	if peer == b.self {
		return b.local.Steer(lock, want)
	}
	within, cancel := context.WithTimeout(ctx, steerTime)
	defer cancel()
	told, err := b.carrier.Steer(within, peer, lock, want)
	if err != nil && within.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("no answer within %s; it may be told later", steerTime)
	}
	return told, err
}

// holder finds who holds a lock and can be told something.
func holder(v *view.View, lock string, token algo.Token) (view.Holder, error) {
	l := v.Lock(lock)
	h := l.Holder
	switch {
	case h == nil && l.Lent != nil:
		return view.Holder{}, fmt.Errorf("%w: %s; others get in in %s at the latest, unless it still reaches them", ErrSilent, l.Lent.Peer, left(v, l.Lent.Until))
	case h == nil && len(v.Silent) > 0:
		return view.Holder{}, fmt.Errorf("%w, as far as is known: no answer from %s", ErrNotHeld, v.Silent[0].Peer)
	case h == nil:
		return view.Holder{}, ErrNotHeld
	case token != 0 && uint64(token) != h.Token:
		return *h, fmt.Errorf("%w, %d", ErrOther, h.Token)
	case h.Silent && h.Deadline.IsZero():
		return *h, fmt.Errorf("%w: %s, and its hold has no lease that would end", ErrSilent, h.Peer)
	case h.Silent:
		return *h, fmt.Errorf("%w: %s; its lease ends by itself in %s at the latest, unless it still reaches a majority", ErrSilent, h.Peer, left(v, h.Deadline))
	}
	return *h, nil
}

func left(v *view.View, until time.Time) time.Duration {
	return max(0, until.Sub(v.At)).Round(100 * time.Millisecond)
}

// join returns the watch of a lock, begun if need be.
func (b *Board) join(lock string) (*watch, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ctx.Err() != nil {
		return nil, node.ErrClosed
	}
	w := b.watches[lock]
	if w == nil {
		if len(b.watches) >= maxWatched {
			return nil, fmt.Errorf("%d locks are watched at this peer, and that is the limit", maxWatched)
		}
		w = &watch{board: b, lock: lock, answers: make(map[algo.PeerName]*answer), changed: make(chan struct{})}
		w.ctx, w.cancel = context.WithCancel(b.ctx)
		b.watches[lock] = w
		b.work.Go(w.run)
	}
	w.users++
	return w, nil
}

// leave ends the watch of a lock when nobody looks any more.
func (b *Board) leave(w *watch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if w.users--; w.users == 0 {
		w.cancel()
		delete(b.watches, w.lock)
	}
}
