package memory

import (
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/conchlock/conch/internal/transport/link"
)

// stream is two pipes and their common end. It ends at once and for both sides
// when it fails; when the server ends it, the dialer still receives what was
// sent before.
type stream struct {
	network *Network
	way     *wayState
	forth   pipe
	back    pipe

	failed   chan struct{}
	failOnce sync.Once
	failure  error // set before failed is closed

	ended  chan struct{}
	result error // of the server, set before ended is closed
}

// pipe is one direction. It holds so many frames that who sends to a reader
// that does not read is held up in the end, as over TCP.
type pipe struct {
	frames chan delayed
	due    time.Time // of the last frame; guarded by Network.mu
}

type delayed struct {
	frame link.Frame
	due   time.Time
}

const pipeFrames = 256

func newStream(n *Network, w *wayState) *stream {
	return &stream{
		network: n,
		way:     w,
		forth:   pipe{frames: make(chan delayed, pipeFrames)},
		back:    pipe{frames: make(chan delayed, pipeFrames)},
		failed:  make(chan struct{}),
		ended:   make(chan struct{}),
	}
}

// fail breaks the stream.
func (s *stream) fail(err error) {
	s.failOnce.Do(func() {
		s.failure = err
		close(s.failed)
	})
}

// end is called once, when the server returns.
func (s *stream) end(result error) {
	if result == nil {
		result = io.EOF
	}
	s.result = result
	close(s.ended)
}

// admit decides about a frame: when it arrives, or that the stream breaks.
func (s *stream) admit(p *pipe, f *link.Frame) (due time.Time, ok bool) {
	n := s.network
	n.mu.Lock()
	defer n.mu.Unlock()
	if units := 1 + len(f.Packets); s.way.budget >= 0 {
		if s.way.budget < units {
			s.way.budget = -1
			s.fail(errCut)
			return due, false
		}
		s.way.budget -= units
	}
	delay := n.delayMin
	if n.delayMax > n.delayMin {
		delay += time.Duration(n.rand.Int64N(int64(n.delayMax - n.delayMin)))
	}
	if due = time.Now().Add(delay); due.Before(p.due) {
		due = p.due
	}
	p.due = due
	return due, true
}

// send puts a frame into a pipe.
func (s *stream) send(p *pipe, f *link.Frame) error {
	due, ok := s.admit(p, f)
	if !ok {
		return nil // lost on the way: who sends does not know
	}
	d := delayed{*f, due}
	d.frame.Packets = slices.Clone(f.Packets)
	select {
	case p.frames <- d:
		return nil
	case <-s.failed:
		return s.failure
	case <-s.ended:
		return io.EOF
	}
}

// arrive waits until a frame that was taken from a pipe may be received, or the
// reader is gone.
func (s *stream) arrive(d *delayed, f *link.Frame, gone <-chan struct{}) error {
	if wait := time.Until(d.due); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-s.failed:
			return s.failure
		case <-gone:
			return io.EOF
		}
	}
	s.network.mu.Lock()
	stalled := s.way.stalled
	s.network.mu.Unlock()
	if stalled != nil {
		select {
		case <-stalled:
		case <-s.failed:
			return s.failure
		case <-gone:
			return io.EOF
		}
	}
	select {
	case <-s.failed:
		return s.failure
	default:
	}
	*f = d.frame
	return nil
}

// dialer is the end of who has dialed.
type dialer struct {
	*stream
	stop func() bool // of the context's watch
}

func (d *dialer) Send(f *link.Frame) error { return d.send(&d.forth, f) }

func (d *dialer) Recv(f *link.Frame) error {
	var frame delayed
	select {
	case frame = <-d.back.frames:
	case <-d.failed:
		return d.failure
	case <-d.ended:
		select {
		case frame = <-d.back.frames:
		default:
			return d.result
		}
	}
	return d.arrive(&frame, f, nil)
}

// Close breaks the stream and forgets it.
func (d *dialer) Close() {
	d.stop()
	d.fail(errCut)
	d.network.mu.Lock()
	defer d.network.mu.Unlock()
	delete(d.way.streams, d.stream)
	if w := d.way; len(w.streams) == 0 && !w.cut && w.stalled == nil && w.budget < 0 {
		maps.DeleteFunc(d.network.ways, func(_ way, state *wayState) bool { return state == w })
	}
}

// server is the other end.
type server struct{ *stream }

func (s *server) Send(f *link.Frame) error { return s.send(&s.back, f) }

func (s *server) Recv(f *link.Frame) error {
	select {
	case d := <-s.forth.frames:
		return s.arrive(&d, f, s.ended)
	case <-s.failed:
		return s.failure
	case <-s.ended:
		return io.EOF
	}
}

// Close does nothing: the stream ends when the server returns.
func (s *server) Close() {}
