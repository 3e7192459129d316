package serf

import (
	"context"
	"log"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// wire is memberlist's network, and knows its connections, so that nothing waits
// for a slow one when the search ends.
type wire struct {
	*memberlist.NetTransport
	patience time.Duration // the longest that dialing may take
	streams  chan net.Conn
	dialing  context.Context
	stop     context.CancelFunc // ends all dialing
	closed   chan struct{}
	pumping  sync.WaitGroup
	once     sync.Once

	mu    sync.Mutex
	conns map[*conn]bool // true: dialed here
}

// conn is a connection that a wire knows until it is closed.
type conn struct {
	net.Conn
	wire *wire
}

func (c *conn) Close() error {
	c.wire.mu.Lock()
	delete(c.wire.conns, c)
	c.wire.mu.Unlock()
	return c.Conn.Close()
}

// listenTries is how often a port is asked for that is free for TCP and for UDP.
const listenTries = 10

func listen(bind netip.AddrPort, patience time.Duration, logger *log.Logger) (*wire, error) {
	conf := &memberlist.NetTransportConfig{BindAddrs: []string{bind.Addr().String()}, BindPort: int(bind.Port()), Logger: logger}
	tries := 1
	if bind.Port() == 0 {
		tries = listenTries
	}
	var inner *memberlist.NetTransport
	var err error
	for range tries {
		if inner, err = memberlist.NewNetTransport(conf); err == nil {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	w := &wire{
		NetTransport: inner, patience: patience, streams: make(chan net.Conn), closed: make(chan struct{}), conns: make(map[*conn]bool),
	}
	w.dialing, w.stop = context.WithCancel(context.Background())
	w.pumping.Go(w.pump)
	return w, nil
}

// port is the one it listens on, for UDP and TCP.
func (w *wire) port() uint16 { return uint16(w.GetAutoBindPort()) }

// pump hands connections on that come in.
func (w *wire) pump() {
	for {
		select {
		case c := <-w.NetTransport.StreamCh():
			known := w.know(c, false)
			select {
			case w.streams <- known:
			case <-w.closed:
				known.Close()
				return
			}
		case <-w.closed:
			return
		}
	}
}

func (w *wire) know(c net.Conn, dialed bool) *conn {
	known := &conn{Conn: c, wire: w}
	w.mu.Lock()
	w.conns[known] = dialed
	w.mu.Unlock()
	return known
}

// StreamCh returns the connections that come in.
func (w *wire) StreamCh() <-chan net.Conn { return w.streams }

// DialTimeout connects to an address.
func (w *wire) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	d := net.Dialer{Timeout: min(timeout, w.patience)}
	c, err := d.DialContext(w.dialing, "tcp", addr)
	if err != nil {
		return nil, err
	}
	known := w.know(c, true)
	if w.dialing.Err() != nil { // hangUp may have missed it
		known.Close()
		return nil, w.dialing.Err()
	}
	return known, nil
}

// DialAddressTimeout connects to an address; the name with it does not matter.
func (w *wire) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return w.DialTimeout(a.Addr, timeout)
}

// hangUp ends what was dialed here, and dialing itself, for ever.
func (w *wire) hangUp() {
	w.stop()
	w.close(func(dialed bool) bool { return dialed })
}

func (w *wire) close(which func(dialed bool) bool) {
	w.mu.Lock()
	var found []*conn
	for c, dialed := range w.conns {
		if which(dialed) {
			found = append(found, c)
		}
	}
	w.mu.Unlock()
	for _, c := range found {
		c.Close()
	}
}

// Shutdown ends everything. Memberlist's network waits until what it has received
// is taken, which is done here, as memberlist may not take it any more.
func (w *wire) Shutdown() error {
	var err error
	w.once.Do(func() {
		w.hangUp()
		close(w.closed)
		w.pumping.Wait()
		down := make(chan struct{})
		var waste sync.WaitGroup
		waste.Go(func() { w.waste(down) })
		err = w.NetTransport.Shutdown()
		close(down)
		waste.Wait()
		w.close(func(bool) bool { return true })
	})
	return err
}

func (w *wire) waste(down <-chan struct{}) {
	for {
		select {
		case <-w.PacketCh():
		case c := <-w.NetTransport.StreamCh():
			c.Close()
		case <-down:
			return
		}
	}
}
