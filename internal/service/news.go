package service

import (
	"context"

	"github.com/conchlock/conch"
	conchv1 "github.com/conchlock/conch/proto/conch/v1"
	"github.com/conchlock/conch/proto/conch/v1/conchv1connect"
)

// news tells the program of a session that something has become of its holds that it
// cannot know by its own clock.
type news struct {
	ctx  context.Context // ends with the call that watches
	come chan struct{}   // has room for a signal
}

// Watch implements conchv1connect.LocksHandler.
func (l *locks) Watch(ctx context.Context, r *conchv1.WatchSessionRequest, stream conchv1connect.LocksWatchServerStream) error {
	s, err := l.sessions.leaving(r.GetSession())
	if err != nil {
		return refuse(err)
	}
	n, end := s.watch(ctx)
	defer end()
	if err := stream.SendHeaders(); err != nil {
		return err
	}
	for {
		select {
		case <-n.come:
			if err := stream.Send(&conchv1.WatchSessionResponse{}); err != nil {
				return err
			}
		case <-n.ctx.Done():
			return refuse(context.Cause(n.ctx))
		case <-l.done:
			return unavailable()
		}
	}
}

// watch begins to watch the session's holds. Of several calls that watch one session the
// last counts; the others end.
func (s *session) watch(ctx context.Context) (*news, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	n := &news{ctx: ctx, come: make(chan struct{}, 1)}
	s.all.mu.Lock()
	defer s.all.mu.Unlock()
	if s.ended {
		cancel(errEnded)
		return n, func() {}
	}
	if s.unwatch != nil {
		s.unwatch(errWatched)
	}
	s.news, s.unwatch = n, cancel
	for _, w := range s.wishes {
		if w.hold != nil {
			s.all.wishes.Go(func() { n.follow(w.hold) })
		}
	}
	return n, func() {
		cancel(nil)
		s.all.mu.Lock()
		defer s.all.mu.Unlock()
		if s.news == n {
			s.news, s.unwatch = nil, nil
		}
	}
}

// follow waits until there is something to say of a hold.
func (n *news) follow(h *conch.Hold) {
	asked, ended := h.Asked(), h.Context().Done()
	for ended != nil {
		select {
		case <-asked:
			asked = nil
		case <-ended:
			if context.Cause(h.Context()) == context.Canceled {
				return // the program has given it back, and knows
			}
			ended = nil
		case <-n.ctx.Done():
			return
		}
		select {
		case n.come <- struct{}{}:
		default:
		}
	}
}
