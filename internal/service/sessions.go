package service

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/conchlock/conch"
	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/clock"
)

const (
	ttlDefault = 15 * time.Second
	ttlMin     = time.Second
	ttlMax     = time.Hour

	maxSessions  = 1 << 16 // at one peer
	maxWishes    = 1 << 10 // open, or granted and not given back, of one session
	maxWaits     = 1 << 16 // wishes that are open, of all sessions: each takes some 6 KB
	maxRequestID = 64      // bytes
	maxRefused   = 1 << 10 // wishes of one session that were given up, and are remembered
)

// sessions are what clients hold and want at this peer.
type sessions struct {
	peer *conch.Peer

	mu       sync.Mutex
	byID     map[string]*session
	waits    int            // wishes that are open
	closed   bool           // no client is told of a lease any more, nor waits for one
	warn     func(string)   // what people should know
	released chan struct{}  // has room for a signal: a client has given something back
	wishes   sync.WaitGroup // their goroutines
}

// session is a client that comes back to it. It ends when it has shown no sign of
// life for its TTL: then everything it holds and wants is given back. What it
// believes of its leases has ended by then, since they are told it no longer than
// that.
type session struct {
	all   *sessions
	id    string
	label string
	ttl   time.Duration

	// Guarded by all.mu.
	wishes   map[string]*wish // by request id
	refused  map[string]bool  // ids that were given up: calls may overtake each other, and come late
	older    map[string]bool  // likewise, before those
	attached int              // calls of Acquire under way: as long as there are any, it lives
	expires  algo.Instant     // by this machine's clock
	timer    *time.Timer
	asked    int64        // the client's clock, at its last request that said so
	got      algo.Instant // when that came in
	news     *news        // for the call that watches; nil if none does
	unwatch  context.CancelCauseFunc
	ended    bool
}

var (
	errNoSession  = errors.New("no such session: it has ended, and so have its holds; open a new one")
	errEnded      = errors.New("the session has ended")
	errWatched    = errors.New("another call watches the session now")
	errGivenUp    = errors.New("the wish was given up")
	errManyWishes = fmt.Errorf("the session holds or wants %d locks, and that is the limit", maxWishes)
	errManyWaits  = fmt.Errorf("programs wait %d times for locks at this peer, and that is the limit", maxWaits)
	errManyOpen   = fmt.Errorf("%d programs have sessions with this peer, and that is the limit", maxSessions)
)

func newSessions(peer *conch.Peer) *sessions {
	return &sessions{peer: peer, byID: make(map[string]*session), released: make(chan struct{}, 1), warn: func(string) {}}
}

// open begins a session.
func (a *sessions) open(ttl time.Duration, label string) (*session, error) {
	s := &session{all: a, id: rand.Text(), label: label, ttl: ttl, wishes: make(map[string]*wish)}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.closed:
		return nil, conch.ErrClosed
	case len(a.byID) >= maxSessions:
		return nil, errManyOpen
	}
	a.byID[s.id] = s
	s.timer = time.AfterFunc(ttl, s.expire)
	s.live(clock.Now())
	return s, nil
}

// find returns a session, which has shown a sign of life. While the service is about
// to close, clients hear that theirs has ended.
func (a *sessions) find(id string, asked int64) (*session, error) {
	if a.isClosed() {
		return nil, errNoSession
	}
	return a.lookup(id, asked)
}

// leaving does so for who gives something back, which is heard until the end.
func (a *sessions) leaving(id string) (*session, error) { return a.lookup(id, 0) }

// lookup is find, also while the service is about to close.
func (a *sessions) lookup(id string, asked int64) (*session, error) {
	a.mu.Lock()
	now := clock.Now()
	s := a.byID[id]
	over := s == nil || s.over(now)
	if !over {
		s.live(now)
		if asked != 0 {
			s.asked, s.got = asked, now
		}
	}
	a.mu.Unlock()
	switch {
	case !over:
		return s, nil
	case s != nil: // its timer has stood still while the machine slept
		s.end(true)
	}
	return nil, errNoSession
}

// live takes note of a sign of life at an instant, perhaps after a later one: what was
// told since then stays true. The timer is not set again for each: when it fires, it
// sees how long there is still to go. all.mu is held.
func (s *session) live(now algo.Instant) {
	s.expires = max(s.expires, now.Add(algo.Duration(s.ttl)))
}

// isClosed says that no client is told of a lease any more.
func (a *sessions) isClosed() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.closed
}

// over says that the session's time is over, though its timer may be late. all.mu is
// held.
func (s *session) over(now algo.Instant) bool {
	return s.ended || s.attached == 0 && s.expires <= now
}

// expire ends the session if it has shown no sign of life for its TTL.
func (s *session) expire() {
	s.all.mu.Lock()
	now := clock.Now()
	over := s.over(now)
	if !over {
		left := time.Duration(s.expires.Sub(now))
		if s.attached > 0 {
			left = s.ttl // it lives at least as long once the last call has left
		}
		s.timer.Reset(max(time.Millisecond, left))
	}
	s.all.mu.Unlock()
	if over {
		s.end(true)
	}
}

// end gives everything back. What the client was told that it holds may be lost to it.
func (s *session) end(lost bool) {
	s.all.mu.Lock()
	delete(s.all.byID, s.id)
	s.ended = true
	if s.unwatch != nil {
		s.unwatch(errEnded)
	}
	s.timer.Stop()
	wishes := s.wishes
	s.wishes = nil
	s.all.mu.Unlock()
	for _, w := range wishes {
		w.lost.Store(lost && w.told != 0)
		s.giveBack(w, errEnded)
	}
	s.all.signal()
}

// close ends all sessions, and waits until nothing of them is left. It comes after drain.
func (a *sessions) close() {
	a.mu.Lock()
	var all []*session
	for _, s := range a.byID {
		all = append(all, s)
	}
	a.mu.Unlock()
	for _, s := range all {
		s.end(false)
	}
	a.wishes.Wait()
}

// lease is how long a hold of the session lasts from now on, by what the client
// can count: from when its last request that carried its clock came in.
type lease struct {
	lock       string
	token      conch.Token
	asked      int64
	length     time.Duration
	by, reason string // who has asked the holder to give way
}

// leases lists what the session holds, and apart from that the holds that have ended. They
// are not given back here: the client has the time until their leases end to stop in.
func (s *session) leases() (list []lease, ended []*wish) {
	s.all.mu.Lock()
	var holds []*wish
	for _, w := range s.wishes {
		if w.hold != nil {
			holds = append(holds, w)
		}
	}
	s.all.mu.Unlock()
	for _, w := range holds {
		if w.hold.Context().Err() == nil {
			if l, told := s.lease(w, clock.Now()); told {
				list = append(list, l)
			}
			continue
		}
		ended = append(ended, w)
		if deadline := w.hold.Deadline(); !deadline.IsZero() && deadline.Before(time.Now()) {
			s.release(w.lock, w.hold.Token(), false)
		}
	}
	return list, ended
}

// lease says how long one hold lasts: until its own lease ends, or the session's, which
// lives while a call is under way. It is false if that is not to be told any more. Now
// was read just before: a pause since then makes the lease shorter, not longer.
func (s *session) lease(w *wish, now algo.Instant) (lease, bool) {
	at := time.Now()
	end := algo.Never
	if deadline := w.hold.Deadline(); !deadline.IsZero() {
		end = now.Add(algo.Duration(deadline.Sub(at)))
	}
	s.all.mu.Lock()
	defer s.all.mu.Unlock()
	if s.all.closed || s.wishes[w.id] != w { // it may have been given up in this moment
		return lease{}, false
	}
	if s.attached > 0 {
		s.live(now)
	}
	asked, got, until := s.asked, s.got, min(end, s.expires)
	if asked == 0 {
		got = now
	}
	w.told = max(w.told, until)
	by, reason := w.hold.AskedBy()
	return lease{lock: w.lock, token: w.hold.Token(), asked: asked, length: time.Duration(until.Sub(got)), by: by, reason: reason}, true
}
