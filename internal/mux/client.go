package mux

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// ErrBroken says that a connection has ended. Whether a call under way happened is
// unknown.
var ErrBroken = errors.New("the connection has ended")

const (
	maxMethod = 255 // bytes of a name
	// maxAnswer bounds what a client takes for an answer, in bytes.
	maxAnswer = 1 << 22
	// patience is how long a server may take to read what it is sent.
	patience = 10 * time.Second
	// closeTime is how long what is pending has at the end.
	closeTime = time.Second
)

// Client makes calls over one connection. Its methods are safe for concurrent use.
type Client struct {
	in  reader
	out *writer

	mu    sync.Mutex
	last  uint64
	waits map[uint64]chan reply // nil when the connection has ended
	err   error                 // why
}

type reply struct {
	body []byte
	err  error
}

// NewClient returns a client on a connection, which is its own from now on. What has been
// read of it already is in r.
func NewClient(conn net.Conn, r *bufio.Reader) *Client {
	c := &Client{in: reader{in: r, max: headSize + maxAnswer}, out: newWriter(conn, patience), waits: make(map[uint64]chan reply)}
	go func() { c.end(c.read()) }()
	return c
}

// Ended says that the connection has ended.
func (c *Client) Ended() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err != nil
}

// Close ends the connection, and with it the calls under way.
func (c *Client) Close() { c.end(net.ErrClosed) }

// Call makes a call. The error is a *Failure if the server says so, wraps ErrBroken, or
// is ctx's: then the server is told that nobody waits any more.
func (c *Client) Call(ctx context.Context, method string, request []byte) ([]byte, error) {
	if len(method) > maxMethod {
		return nil, fmt.Errorf("the method's name has %d bytes, at most %d are allowed", len(method), maxMethod)
	}
	wait := make(chan reply, 1)
	c.mu.Lock()
	if c.err != nil {
		defer c.mu.Unlock()
		return nil, c.err
	}
	c.last++
	id := c.last
	c.waits[id] = wait
	c.mu.Unlock()
	if err := c.out.write(call, id, append([]byte{byte(len(method))}, method...), request); err != nil {
		c.end(err)
	}
	select {
	case r := <-wait:
		return r.body, r.err
	case <-ctx.Done():
	}
	if c.take(id) == nil { // the answer has just come
		r := <-wait
		return r.body, r.err
	}
	c.out.write(cancel, id)
	return nil, ctx.Err()
}

// take takes out who waits for an answer.
func (c *Client) take(id uint64) chan reply {
	c.mu.Lock()
	defer c.mu.Unlock()
	wait := c.waits[id]
	delete(c.waits, id)
	return wait
}

// read hands the answers out until the connection ends.
func (c *Client) read() error {
	for {
		f, err := c.in.next()
		if err != nil {
			return err
		}
		var r reply
		switch f.kind {
		case ping:
			c.out.write(pong, 0)
			continue
		case answer:
			r.body = append([]byte{}, f.body...)
		case failure:
			why, err := parseFailure(f.body)
			switch {
			case err != nil:
				return err
			case f.id == 0:
				return fmt.Errorf("the peer has ended it: %s", why.Message)
			}
			r.err = why
		default:
			return fmt.Errorf("a frame has the kind %d, which no server sends", f.kind)
		}
		if wait := c.take(f.id); wait != nil {
			wait <- r
		}
	}
}

// end ends the connection for a reason, if nothing has before.
func (c *Client) end(why error) {
	c.mu.Lock()
	first := c.err == nil
	if first {
		if errors.Is(why, io.EOF) {
			why = errors.New("the peer has closed it")
		}
		c.err = fmt.Errorf("%w: %w", ErrBroken, why)
	}
	waits := c.waits
	c.waits = nil
	c.mu.Unlock()
	for _, wait := range waits {
		wait <- reply{err: c.err}
	}
	if first {
		c.out.close(closeTime, c.err)
	}
}
