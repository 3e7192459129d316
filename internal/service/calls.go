package service

import (
	"errors"
	"slices"
	"time"

	"github.com/conchlock/conch"
	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/clock"
	conchv1 "github.com/conchlock/conch/proto/conch/v1"
)

// call is a call of Acquire, about a wish. No goroutine waits for the answer: it is
// given once, by whoever takes the call out of wish.waiting.
type call struct {
	s      *session
	w      *wish
	answer func(*conchv1.AcquireResponse, error)
	timer  *time.Timer // nil if it waits for ever
}

// attach begins a call that is about a wish: until detach the session lives, and
// nobody else gives the wish up because its time is over. all.mu is held.
func (s *session) attach(w *wish) {
	s.attached++
	w.calls++
}

// detach ends the call. A call whose time is over gives the wish up, unless another
// still waits for it, or the client knows already that it was granted.
func (s *session) detach(w *wish, late bool, now algo.Instant) {
	s.all.mu.Lock()
	w.calls--
	s.attached--
	s.live(now)
	last := late && w.calls == 0 && w.told == 0 && s.wishes[w.id] == w
	if last {
		delete(s.wishes, w.id)
	}
	s.all.mu.Unlock()
	if last {
		s.giveBack(w, errGivenUp)
	}
}

// await answers the call when its wish is granted, or at the latest after a limit, if
// there is one.
func (c *call) await(limit *time.Duration) {
	a := c.s.all
	a.mu.Lock()
	select {
	case <-c.w.done:
		a.mu.Unlock()
		c.finish(c.w.err)
		return
	default:
	}
	if a.closed {
		a.mu.Unlock()
		c.finish(conch.ErrClosed)
		return
	}
	c.w.waiting = append(c.w.waiting, c)
	if limit != nil {
		c.timer = time.AfterFunc(*limit, func() { c.leave(conch.ErrNotAcquired) })
	}
	a.mu.Unlock()
}

// leave ends the call for a reason, if it still waits.
func (c *call) leave(why error) {
	c.s.all.mu.Lock()
	i := slices.Index(c.w.waiting, c)
	if i >= 0 {
		c.w.waiting = slices.Delete(c.w.waiting, i, i+1)
	}
	c.s.all.mu.Unlock()
	if i >= 0 {
		c.finish(why)
	}
}

// finish answers the call, which waits no longer: why is nil if its wish is granted.
func (c *call) finish(why error) {
	if c.timer != nil {
		c.timer.Stop()
	}
	var answer *conchv1.AcquireResponse
	now := clock.Now()
	if why == nil {
		granted, told := c.s.lease(c.w, now)
		switch {
		case told:
			answer = &conchv1.AcquireResponse{Lease: granted.proto()}
		case c.s.all.isClosed():
			why = conch.ErrClosed
		default:
			why = errGivenUp
		}
	}
	c.s.detach(c.w, errors.Is(why, conch.ErrNotAcquired), now) // after what is told of it
	c.answer(answer, refuse(why))
}
