package mux

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Limits bound what a client can cost a server.
type Limits struct {
	Request int           // bytes of a call's request
	Calls   int           // of one connection, not answered yet
	Pending int           // bytes of answers that the client does not read; then no more calls are taken up
	Arrive  time.Duration // for a frame that has begun
	Silence time.Duration // after which, or half of which, a client is asked whether it runs, which it has to answer in as long; likewise, for the client to read
	Close   time.Duration // for what is pending at the end
	Busy    uint32        // code of the failure of a call too many
	Broken  uint32        // and of a connection on which something is not as described
}

// Handler takes up a call, on the connection's only goroutine: it must not wait for
// long. It calls Answer or Fail once, then or later. Request is its own until it
// returns.
type Handler func(c *Call, method string, request []byte)

// Server serves calls on connections.
type Server struct {
	handler Handler
	limits  Limits

	mu     sync.Mutex
	conns  map[*served]struct{}
	closed bool
	work   sync.WaitGroup
}

// NewServer returns a server, which lasts until Close.
func NewServer(handler Handler, limits Limits) *Server {
	return &Server{handler: handler, limits: limits, conns: make(map[*served]struct{})}
}

// served is one connection.
type served struct {
	server *Server
	in     reader
	out    *writer
	asked  bool      // whether the client runs, and it has said nothing since
	until  time.Time // when reading ends, if nothing comes

	mu    sync.Mutex
	ended bool
	calls map[uint64]*Call // not answered
}

// Call is a call at the server.
type Call struct {
	conn *served
	id   uint64
	gone func()
}

// Serve serves a connection, which is the server's from now on, and returns at once. What
// has been read of it already is in r.
func (s *Server) Serve(conn net.Conn, r *bufio.Reader) {
	c := &served{server: s, in: reader{in: r, max: headSize + 1 + 255 + s.limits.Request}, out: newWriter(conn, s.limits.Silence), calls: make(map[uint64]*Call)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		conn.Close()
		return
	}
	s.conns[c] = struct{}{}
	s.work.Go(c.serve)
}

// Close ends all connections, once the calls that have been taken up are through with
// their handlers.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	for c := range s.conns {
		c.out.conn.SetReadDeadline(time.Unix(1, 0))
		c.out.hurry(s.limits.Close) // it may wait for room, not for a frame
	}
	s.mu.Unlock()
	s.work.Wait()
}

func (s *Server) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

var (
	errEnd    = errors.New("the server ends")
	errSilent = errors.New("the client does not answer: it is stopped, or does not read")
)

// serve reads until the connection ends, and then ends its calls.
func (c *served) serve() {
	err := c.read()
	var wrong *Failure
	if errors.As(err, &wrong) {
		c.out.write(failure, 0, wrong.body())
	}
	c.mu.Lock()
	c.ended = true
	calls := c.calls
	c.calls = nil
	c.mu.Unlock()
	for _, call := range calls {
		if call.gone != nil {
			call.gone()
		}
	}
	c.out.close(c.server.limits.Close, err)
	c.server.mu.Lock()
	delete(c.server.conns, c)
	c.server.mu.Unlock()
}

func (c *served) read() error {
	for {
		if err := c.out.room(c.server.limits.Pending); err != nil {
			return err
		}
		if err := c.await(); err != nil {
			return err
		}
		f, err := c.in.next()
		switch {
		case errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrUnexpectedEOF):
			return err
		case errors.Is(err, os.ErrDeadlineExceeded):
			return c.wrong("a frame has %s to arrive", c.server.limits.Arrive)
		case err != nil:
			return c.wrong("%v", err)
		}
		if err := c.take(f); err != nil {
			return err
		}
	}
}

func (c *served) wrong(format string, args ...any) error {
	return &Failure{c.server.limits.Broken, fmt.Sprintf(format, args...)}
}

// await waits until a frame begins, and gives the rest of it a time to arrive in.
func (c *served) await() error {
	conn, limits := c.out.conn, &c.server.limits
	for c.in.in.Buffered() == 0 {
		// Not anew for each frame: half of the time that is allowed will do, too.
		if now := time.Now(); c.until.Sub(now) < limits.Silence/2 {
			c.until = now.Add(limits.Silence)
			conn.SetReadDeadline(c.until)
		}
		if c.server.isClosed() { // Close may have set a deadline before
			return errEnd
		}
		_, err := c.in.in.Peek(1)
		switch {
		case err == nil:
		case !errors.Is(err, os.ErrDeadlineExceeded) || c.server.isClosed():
			return err
		case c.asked:
			return errSilent
		default:
			c.asked = true
			c.out.write(ping, 0)
		}
	}
	c.asked = false
	if c.in.whole() {
		return nil
	}
	c.until = time.Time{}
	conn.SetReadDeadline(time.Now().Add(limits.Arrive))
	if c.server.isClosed() {
		return errEnd
	}
	return nil
}

// take does what a frame says.
func (c *served) take(f frame) error {
	switch f.kind {
	case call:
		method, request, err := parseCall(f.body)
		switch {
		case err != nil:
			return c.wrong("%v", err)
		case f.id == 0:
			return c.wrong("a call has the number 0")
		case len(request) > c.server.limits.Request:
			return c.wrong("a request has %d bytes, at most %d are allowed", len(request), c.server.limits.Request)
		}
		return c.begin(f.id, method, request)
	case cancel:
		if call := c.remove(f.id); call != nil && call.gone != nil {
			call.gone()
		}
	case pong:
	default:
		return c.wrong("a frame has the kind %d, which no client sends", f.kind)
	}
	return nil
}

func (c *served) begin(id uint64, method string, request []byte) error {
	call := &Call{conn: c, id: id}
	c.mu.Lock()
	_, double := c.calls[id]
	busy := len(c.calls) >= c.server.limits.Calls
	if !double && !busy {
		c.calls[id] = call
	}
	c.mu.Unlock()
	switch {
	case double:
		return c.wrong("two calls have the number %d", id)
	case busy:
		why := Failure{c.server.limits.Busy, fmt.Sprintf("%d calls of one connection wait for an answer, and that is the limit", c.server.limits.Calls)}
		return c.out.write(failure, id, why.body())
	}
	c.server.handler(call, method, request)
	return nil
}

// remove takes a call out that is not answered: nil if there is none. So it is
// answered or given up once.
func (c *served) remove(id uint64) *Call {
	c.mu.Lock()
	defer c.mu.Unlock()
	call := c.calls[id]
	delete(c.calls, id)
	return call
}

// Gone says what is to be done when the client does not wait for the answer any more.
// The handler calls it, if at all, before it returns. F may be called as the answer
// comes.
func (c *Call) Gone(f func()) { c.gone = f }

// Answer answers the call, unless nobody waits for it any more.
func (c *Call) Answer(body []byte) {
	if c.conn.remove(c.id) != nil {
		c.conn.out.write(answer, c.id, body)
	}
}

// Fail does so with an error.
func (c *Call) Fail(f *Failure) {
	if c.conn.remove(c.id) != nil {
		c.conn.out.write(failure, c.id, f.body())
	}
}
