package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect/v2"

	"github.com/conchlock/conch"
	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/clock"
	conchv1 "github.com/conchlock/conch/proto/conch/v1"
)

// session is what the peer keeps of this client. It has ended when the peer says
// that it does not know it, or may have ended because it heard nothing for the TTL.
type session struct {
	c    *Client
	id   string
	ttl  time.Duration
	done chan struct{} // closed when it has ended
	news chan struct{} // tells keepAlive that there is a new hold

	mu        sync.Mutex
	holds     map[*hold]bool
	wakes     algo.Instant // when keepAlive shows the next sign of life, if no news comes
	ended     bool
	listening bool // for news of its holds
}

func (s *session) over() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// keepAlive shows signs of life until the session ends, and carries over what the
// peer says of the leases. The peer renews those by itself, but only an answer lets
// this program know.
func (s *session) keepAlive() {
	timer := time.NewTimer(s.next())
	defer timer.Stop()
	pause := retryMin // before the next attempt, while nobody answers
	for {
		select {
		case <-timer.C:
		case <-s.news:
			timer.Reset(s.next())
			continue
		case <-s.done:
			return
		case <-s.c.ctx.Done():
			return
		}
		switch err := s.refresh(s.c.ctx); {
		case err == nil:
			pause = retryMin
			timer.Reset(s.next())
			s.listen()
		case s.over():
			return
		default:
			timer.Reset(pause)
			pause = min(2*pause, retryMax)
		}
	}
}

// next says when to show the next sign of life: three times in a TTL, and three
// times in what is left of each lease.
func (s *session) next() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	next, now := s.ttl/3, clock.Now()
	for h := range s.holds {
		next = min(next, time.Duration(h.deadline.Sub(now))/3)
	}
	next = max(next, nextMin)
	s.wakes = now.Add(algo.Duration(next))
	return next
}

// nextMin is the least time between two signs of life; the shortest leases are 100 ms.
const nextMin = 5 * time.Millisecond

// refresh shows one sign of life. If the peer does not know the session any more, it has
// ended.
func (s *session) refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.ttl/3)
	defer cancel()
	asked := clock.Now()
	answer, err := s.c.calls.KeepAlive(ctx, &conchv1.KeepAliveRequest{Session: s.id, AskedNs: int64(asked)})
	if err != nil {
		s.notice(err)
		return err
	}
	leases := make(map[algo.Token]map[string]*conchv1.Lease, len(answer.GetLeases()))
	for _, l := range answer.GetLeases() {
		t := algo.Token(l.GetToken())
		if leases[t] == nil {
			leases[t] = make(map[string]*conchv1.Lease)
		}
		leases[t][l.GetLock()] = l
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for h := range s.holds {
		switch l := leases[h.token][h.lock]; {
		case l != nil:
			h.extend(until(l))
			h.ask(l.GetAskedBy(), l.GetAskedReason())
		case h.since < asked: // else the peer may have answered before it was granted
			h.finish(h.lost(answer.GetEnded()))
			delete(s.holds, h)
		}
	}
	return nil
}

// notice ends the session if an error says that the peer does not know it any more.
func (s *session) notice(err error) {
	if connect.CodeOf(err) == connect.CodeNotFound {
		s.c.forget(s)
		s.lose(fmt.Errorf("%w: the peer has ended the session: it heard nothing for %s, is about to end, or was started again", conch.ErrLost, s.ttl))
	}
}

// lost takes note of why the peer says that a hold has ended. s.mu is held.
func (h *hold) lost(ended []*conchv1.Ended) error {
	for _, e := range ended {
		if algo.Token(e.GetToken()) == h.token && e.GetLock() == h.lock {
			h.ask(e.GetAskedBy(), e.GetAskedReason())
			return fmt.Errorf("%w%s", conch.ErrLost, strings.TrimPrefix(e.GetReason(), conch.ErrLost.Error()))
		}
	}
	return fmt.Errorf("%w: the peer has lost it", conch.ErrLost)
}

// until is when a lease ends, by this program's clock.
func until(l *conchv1.Lease) algo.Instant {
	length := algo.Duration(l.GetLength().AsDuration())
	return algo.Instant(l.GetAskedNs()).Add(length - slack(length))
}

// hold takes over a lease that was granted, to a wish that was asked for again if it is named.
func (s *session) hold(ctx context.Context, l *conchv1.Lease, again string) (*hold, error) {
	now := clock.Now()
	h := &hold{s: s, lock: l.GetLock(), token: algo.Token(l.GetToken()), again: again, since: now, deadline: until(l), asked: make(chan struct{})}
	h.ctx, h.end = context.WithCancelCause(context.Background())
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return nil, errSession
	}
	s.holds[h] = true
	term := h.deadline.Sub(now)
	h.term = term
	h.timer = time.AfterFunc(time.Hour, h.look)
	soon := s.wakes <= now || now.Add(term/3) < s.wakes
	s.mu.Unlock()
	if soon {
		select {
		case s.news <- struct{}{}:
		default:
		}
	}
	if now.Sub(algo.Instant(l.GetAskedNs())) > 10*term {
		// The wait was long, and what counts from its beginning is inexact.
		if err := s.refresh(ctx); err != nil && ctx.Err() != nil {
			h.drop(context.Cause(ctx), false)
			return nil, context.Cause(ctx)
		}
	}
	h.look()
	if err := h.cause(); err != nil {
		h.drop(err, false) // nobody has seen it
		return nil, errSession
	}
	return h, nil
}

// lose ends the session and all its holds.
func (s *session) lose(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.ended = true
	close(s.done)
	for h := range s.holds {
		h.finish(why)
	}
	s.holds = nil
}

// cancelWish gives up a wish that may be open or granted. If the peer does not hear
// of it, it ends with the session.
func (s *session) cancelWish(id string) {
	s.c.tell(s, func(ctx context.Context) error {
		_, err := s.c.calls.Cancel(ctx, &conchv1.CancelRequest{Session: s.id, RequestId: id})
		return err
	})
}

// tell tells the peer something that it has to hear while the session lasts, and
// waits for that, but not for long; then it goes on in the background.
func (c *Client) tell(s *session, call func(context.Context) error) {
	ctx, cancel := context.WithTimeout(c.ctx, tellTime)
	defer cancel()
	if heard(call(ctx)) {
		return
	}
	told := make(chan struct{})
	started := c.start(func() {
		defer close(told)
		ctx, cancel := context.WithTimeout(c.ctx, s.ttl)
		defer cancel()
		for pause := retryMin; !s.over() && sleep(ctx, pause); pause = min(2*pause, retryMax) {
			if heard(call(ctx)) {
				return
			}
		}
	})
	if !started {
		return // Close ends the session
	}
	select {
	case <-told:
	case <-ctx.Done():
	}
}

// heard says that a call need not be made again.
func heard(err error) bool {
	return err == nil || !temporary(err) || connect.CodeOf(err) == connect.CodeNotFound
}

// tellTime is how long a caller waits until the peer has heard.
const tellTime = 250 * time.Millisecond

// start starts a goroutine that Close waits for, if it is not too late.
func (c *Client) start(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return false
	}
	c.work.Go(f)
	return true
}

// hold is one lock that is held. It implements locker.Hold.
type hold struct {
	s     *session
	lock  string
	token algo.Token
	again string       // its wish, if that was asked for more than once
	since algo.Instant // when it was told
	ctx   context.Context
	end   context.CancelCauseFunc

	// Guarded by s.mu.
	deadline algo.Instant
	term     algo.Duration // the most that was ever left
	timer    *time.Timer
	why      error         // why it has ended; nil while it lasts
	asked    chan struct{} // closed when by is set
	by       string        // who has asked it to give way, last
	reason   string
}

// Token implements locker.Hold.
func (h *hold) Token() algo.Token { return h.token }

// Deadline implements locker.Hold.
func (h *hold) Deadline() time.Time {
	at, now := time.Now(), clock.Now()
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	return at.Add(time.Duration(h.deadline.Sub(now)))
}

// Context implements locker.Hold.
func (h *hold) Context() context.Context {
	h.look()
	return h.ctx
}

// look ends the hold if its time is over, and else sees to it that it is looked at
// again: timers stand still while the machine sleeps, and the clock does not.
func (h *hold) look() {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	if h.why != nil {
		return
	}
	left := time.Duration(h.deadline.Sub(clock.Now())) - margin(min(h.s.ttl, time.Duration(h.term)))
	if left <= 0 {
		h.finish(fmt.Errorf("%w: its lease ends, and was not renewed in time", conch.ErrLost))
		return
	}
	h.timer.Reset(min(left, time.Second))
}

// extend lets it last longer. s.mu is held.
func (h *hold) extend(deadline algo.Instant) {
	h.deadline = max(h.deadline, deadline)
	h.term = max(h.term, h.deadline.Sub(clock.Now()))
}

// finish ends it for its caller. Only the first cause counts. s.mu is held.
func (h *hold) finish(why error) {
	if h.why != nil {
		return
	}
	h.why = why
	h.timer.Stop()
	h.end(why)
}

func (h *hold) cause() error {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	return h.why
}

// drop ends it, and tells the peer, also if it was lost to its caller before. A wish that
// was asked for again is given up for good, too: a call of it that the peer has not taken
// up yet would be granted to nobody. It returns true if the peer says that it had lost it.
func (h *hold) drop(why error, lost bool) bool {
	h.s.mu.Lock()
	h.finish(why)
	delete(h.s.holds, h)
	h.s.mu.Unlock()
	var there atomic.Bool // the loss, at the peer
	h.s.c.tell(h.s, func(ctx context.Context) error {
		answer, err := h.s.c.calls.Release(ctx, &conchv1.ReleaseRequest{Session: h.s.id, Lock: h.lock, Token: uint64(h.token), Lost: lost})
		if answer.GetLost() {
			there.Store(true)
		}
		if err == nil && h.again != "" {
			_, err = h.s.c.calls.Cancel(ctx, &conchv1.CancelRequest{Session: h.s.id, RequestId: h.again})
		}
		return err
	})
	return there.Load()
}

// Release implements locker.Hold.
func (h *hold) Release() error {
	h.look()
	before := h.cause()
	if errors.Is(before, context.Canceled) || errors.Is(before, conch.ErrClosed) {
		return before
	}
	lost := h.drop(context.Canceled, before != nil) // also if it is lost: then others get in the sooner
	if lost && before == nil {
		return fmt.Errorf("%w: the peer has lost it", conch.ErrLost)
	}
	return before
}
