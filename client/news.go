package client

import (
	"context"
	"time"

	"connectrpc.com/connect/v2"

	conchv1 "github.com/conchlock/conch/proto/conch/v1"
)

// listen begins to hear of news of the session's holds, if there are any. That is after
// the first sign of life that they live to see: most do not, and cost no call.
func (s *session) listen() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listening || s.ended || len(s.holds) == 0 {
		return
	}
	s.listening = s.c.start(s.hear)
}

// hear shows a sign of life whenever there is news: the answer has it.
func (s *session) hear() {
	ctx, cancel := context.WithCancel(s.c.ctx)
	defer cancel()
	go func() {
		select {
		case <-s.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	for pause := retryMin; ; pause = min(2*pause, time.Second) {
		stream, err := s.c.calls.Watch(ctx, &conchv1.WatchSessionRequest{Session: s.id})
		for err == nil {
			if _, err = stream.Receive(); err == nil {
				pause = retryMin
				s.refresh(ctx) // if it fails, keepAlive goes on
			}
		}
		if connect.CodeOf(err) == connect.CodeUnimplemented {
			return // an older peer; the signs of life bring the news, too
		}
		s.refresh(ctx) // it may be about to end
		if !sleep(ctx, pause) {
			return
		}
	}
}

// ask tells the holder that somebody has asked it to give way. s.mu is held.
func (h *hold) ask(by, reason string) {
	if by == "" && reason == "" {
		return
	}
	if h.by == "" && h.reason == "" {
		close(h.asked)
	}
	h.by, h.reason = by, reason
}

// Asked implements locker.Hold.
func (h *hold) Asked() <-chan struct{} { return h.asked }

// AskedBy implements locker.Hold.
func (h *hold) AskedBy() (by, reason string) {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	return h.by, h.reason
}
