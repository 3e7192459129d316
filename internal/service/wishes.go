package service

import (
	"context"
	"sync/atomic"

	"github.com/conchlock/conch"
	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/clock"
	"github.com/conchlock/conch/internal/locker"
)

// wish is a lock that is wanted or held.
type wish struct {
	id, lock string
	options  locker.Options
	cancel   context.CancelCauseFunc // gives it up
	done     chan struct{}           // closed when hold or err is set
	hold     *conch.Hold
	err      error
	told     algo.Instant // until when the client believes in the hold, at most
	lost     atomic.Bool  // the client had lost the hold when it was given back
	calls    int          // of Acquire that are about it, now
	waiting  []*call      // those of them that wait until it is granted
}

// want opens a wish, or finds the one that has this id, and attaches the call to it.
func (s *session) want(id, lock string, o locker.Options) (*wish, error) {
	a := s.all
	a.mu.Lock()
	defer a.mu.Unlock()
	if s.over(clock.Now()) { // since it was found; expire may have seen that, and be about to end it
		return nil, errNoSession
	}
	if s.refused[id] || s.older[id] {
		return nil, errGivenUp
	}
	if w := s.wishes[id]; w != nil {
		if w.lock != lock {
			return nil, invalid("request_id %q is that of a wish for lock %q: take a new one for each", id, w.lock)
		}
		s.attach(w)
		return w, nil
	}
	switch {
	case len(s.wishes) >= maxWishes:
		return nil, errManyWishes
	case a.waits >= maxWaits:
		return nil, errManyWaits
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	o.ID = locker.NewID()
	w := &wish{id: id, lock: lock, options: o, cancel: cancel, done: make(chan struct{})}
	w.options.Lost = &w.lost
	s.wishes[id] = w
	s.attach(w)
	a.waits++
	a.wishes.Go(func() { s.wait(ctx, w) })
	return w, nil
}

// wait waits for a wish to be granted.
func (s *session) wait(ctx context.Context, w *wish) {
	mutex := s.all.peer.Mutex(w.lock)
	options := func(o *locker.Options) { *o = w.options }
	var hold *conch.Hold
	var err error
	if w.options.Try {
		hold, err = mutex.TryLock(ctx, options)
	} else {
		hold, err = mutex.Lock(ctx, options)
	}
	s.all.mu.Lock()
	s.all.waits--
	w.hold, w.err = hold, err
	if err != nil && s.wishes[w.id] == w {
		delete(s.wishes, w.id) // the same id may be tried again
	}
	late := err == nil && ctx.Err() != nil
	if late {
		w.hold, w.err = nil, context.Cause(ctx) // nobody may be told of it
	}
	if n := s.news; n != nil && w.hold != nil && !s.ended {
		s.all.wishes.Go(func() { n.follow(hold) })
	}
	close(w.done)
	calls := w.waiting
	w.waiting = nil
	s.all.mu.Unlock()
	for _, c := range calls {
		c.finish(w.err)
	}
	if late {
		hold.Unlock() // it was given up at the very moment
	}
}

// caller returns who a wish is in views; 0 if there is none of that id.
func (s *session) caller(id string) uint64 {
	s.all.mu.Lock()
	defer s.all.mu.Unlock()
	if w := s.wishes[id]; w != nil {
		return w.options.ID
	}
	return 0
}

// giveBack ends a wish, or the hold it was granted. One of two unlocks a hold that is
// granted at this very moment: all.mu says which came first.
func (s *session) giveBack(w *wish, why error) {
	s.all.mu.Lock()
	w.cancel(why)
	hold := w.hold
	s.all.mu.Unlock()
	if hold != nil { // else wait sees to it
		hold.Unlock()
	}
}

// cancelWish gives a wish up, for good.
func (s *session) cancelWish(id string) {
	s.all.mu.Lock()
	w := s.wishes[id]
	delete(s.wishes, id)
	s.refuse(id)
	s.all.mu.Unlock()
	if w != nil {
		s.giveBack(w, errGivenUp)
		s.all.signal()
	}
}

// refuse sees to it that a call which comes after its wish was given up opens none, which
// would be granted to nobody. all.mu is held.
func (s *session) refuse(id string) {
	if len(s.refused) >= maxRefused/2 {
		s.refused, s.older = nil, s.refused
	}
	if s.refused == nil {
		s.refused = make(map[string]bool)
	}
	s.refused[id] = true
}

// release gives back the hold of a lock with a token, and no other. It is no loss that a
// client has none any more because the peer is about to end, and has told it so.
func (s *session) release(lock string, token conch.Token, lost bool) (found bool, err error) {
	w := s.held(lock, token)
	if w == nil {
		return false, nil
	}
	w.lost.Store(lost && !s.all.isClosed())
	err = w.hold.Unlock()
	w.cancel(errGivenUp)
	s.all.signal()
	return true, err
}

// held takes the wish with that lock and token out.
func (s *session) held(lock string, token conch.Token) *wish {
	s.all.mu.Lock()
	defer s.all.mu.Unlock()
	for id, w := range s.wishes {
		if w.lock == lock && w.hold != nil && w.hold.Token() == token {
			delete(s.wishes, id)
			return w
		}
	}
	return nil
}
