package transport

import (
	"net"
	"sync"
)

// listener remembers the connections that it has accepted, so that Close can
// end them: gRPC's server would wait for those that have not yet said anything
// until their time is up.
type listener struct {
	net.Listener

	mu     sync.Mutex
	closed bool
	conns  map[*conn]struct{}
}

// conn is a connection that a listener remembers until it is closed.
type conn struct {
	net.Conn
	listener *listener
}

func newListener(l net.Listener) *listener {
	return &listener{Listener: l, conns: make(map[*conn]struct{})}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	tcp, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &conn{tcp, l}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		tcp.Close()
	} else {
		l.conns[c] = struct{}{}
	}
	return c, nil
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.listener.mu.Lock()
	delete(c.listener.conns, c)
	c.listener.mu.Unlock()
	return c.Conn.Close()
}

// hangUp closes all connections, also those still to be accepted.
func (l *listener) hangUp() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for c := range l.conns {
		c.Conn.Close()
	}
}
