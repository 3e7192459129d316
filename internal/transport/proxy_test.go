package transport_test

import (
	"io"
	"net"
	"sync"
	"testing"
)

// proxy is a way from one peer to another that can be cut, also after a number
// of bytes, and stalled.
type proxy struct {
	t        *testing.T
	listener net.Listener
	done     sync.WaitGroup

	mu     sync.Mutex
	free   *sync.Cond // signalled when stalled ends, or a connection is closed
	target string     // empty refuses
	cut    bool
	stall  bool
	budget int // bytes, both ways, until connections are closed; negative is no limit
	conns  map[net.Conn]bool
}

func newProxy(t *testing.T) *proxy {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, listener: listener, budget: -1, conns: make(map[net.Conn]bool)}
	p.free = sync.NewCond(&p.mu)
	p.done.Go(p.accept)
	return p
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

func (p *proxy) close() {
	p.listener.Close()
	p.change(func() { p.cut = true })
	p.breakConns()
	p.done.Wait()
}

func (p *proxy) change(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	p.free.Broadcast()
}

func (p *proxy) breakConns() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.breakLocked()
}

// breakLocked closes connections with a reset, as a crash does.
func (p *proxy) breakLocked() {
	for c := range p.conns {
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
	clear(p.conns)
	p.free.Broadcast()
}

func (p *proxy) accept() {
	for {
		near, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		target, ok := p.target, !p.cut && p.target != ""
		p.mu.Unlock()
		var far net.Conn
		if ok {
			far, err = net.Dial("tcp", target)
			ok = err == nil
		}
		if !ok {
			near.(*net.TCPConn).SetLinger(0)
			near.Close()
			continue
		}
		p.mu.Lock()
		p.conns[near], p.conns[far] = true, true
		if p.cut {
			p.breakLocked()
		}
		p.mu.Unlock()
		p.done.Go(func() { p.pipe(near, far) })
		p.done.Go(func() { p.pipe(far, near) })
	}
}

// pipe copies until either side is gone.
func (p *proxy) pipe(from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		m, ok := p.admit(from, n)
		if _, writeErr := to.Write(buffer[:m]); writeErr != nil || !ok {
			if !ok {
				p.breakConns()
			}
			return
		}
		if err != nil {
			if err == io.EOF {
				to.(*net.TCPConn).CloseWrite()
				// The other direction may go on.
				if p.alive(from) {
					return
				}
			}
			return
		}
	}
}

func (p *proxy) alive(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.conns[c]
}

// admit says how many of n bytes may pass, and whether more may follow.
func (p *proxy) admit(from net.Conn, n int) (int, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.stall && p.conns[from] {
		p.free.Wait()
	}
	if p.budget < 0 {
		return n, true
	}
	if n < p.budget {
		p.budget -= n
		return n, true
	}
	n = p.budget
	p.budget = -1
	return n, false
}
