package client_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/conchlock/conch"
	"github.com/conchlock/conch/client"
	"github.com/conchlock/conch/internal/local"
	"github.com/conchlock/conch/internal/mux"
	"github.com/conchlock/conch/internal/service"
	conchv1 "github.com/conchlock/conch/proto/conch/v1"
)

// proxy stands between a client and its peer, and breaks their connections.
type proxy struct {
	to string

	mu    sync.Mutex
	conns []net.Conn
	shut  bool
	tries int  // while it was shut
	older bool // the peer behind it knows no short way
	asked bool // for the short way
	late  *late
}

// late is the next thing that a program says over a connection which breaks then, and that
// the peer hears of later.
type late struct {
	said  chan struct{} // closed when it was said
	goOn  chan struct{} // closed when the peer may hear of it
	heard chan struct{} // closed when it has
}

// forward is where a proxy's program speaks to its peer.
type forward struct {
	p         *proxy
	near, far net.Conn
}

func (f forward) Write(b []byte) (int, error) {
	f.p.mu.Lock()
	l := f.p.late
	f.p.late = nil
	f.p.mu.Unlock()
	if l == nil {
		return f.far.Write(b)
	}
	f.near.Close()
	close(l.said)
	<-l.goOn
	n, err := f.far.Write(b)
	f.far.(*net.UnixConn).CloseWrite()
	io.Copy(io.Discard, f.far) // until the peer has read it all
	close(l.heard)
	return n, err
}

func newProxy(t *testing.T, to string) (*proxy, string) {
	t.Helper()
	p := &proxy{to: strings.TrimPrefix(to, "unix:")}
	path := filepath.Join(t.TempDir(), "p")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go p.carry(conn)
		}
	}()
	return p, "unix:" + path
}

func (p *proxy) carry(near net.Conn) {
	far, err := net.Dial("unix", p.to)
	p.mu.Lock()
	if err != nil || p.shut {
		p.tries++
		p.mu.Unlock()
		near.Close()
		return
	}
	p.conns = append(p.conns, near, far)
	older := p.older
	p.mu.Unlock()
	go io.Copy(near, far)
	if older {
		first := make([]byte, 1024)
		n, err := near.Read(first)
		if err != nil {
			far.Close()
			return
		}
		p.mu.Lock()
		p.asked = p.asked || bytes.Contains(first[:n], []byte(mux.Path))
		p.mu.Unlock()
		far.Write(bytes.ReplaceAll(first[:n], []byte(mux.Path), []byte("/conch/0")))
	}
	io.Copy(forward{p, near, far}, near)
}

// cut breaks all connections; shut lets no new one come.
func (p *proxy) cut(shut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
	p.conns, p.shut = nil, shut
}

// A broken connection costs neither a hold nor a place in the queue.
func TestBrokenConnection(t *testing.T) {
	peers, addrs := peersOf(t, 1, time.Second)
	addr := addrs[0]
	p, through := newProxy(t, addr)
	ours, theirs := dial(t, client.Config{Addr: through}), dial(t, client.Config{Addr: addr})
	hold, err := ours.Mutex("mine").Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first, err := theirs.Mutex("x").Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := newRaw(t, addr)
	session := r.open()
	waits := make(chan *conch.Hold, 1)
	go func() {
		h, err := ours.Mutex("x").Lock(t.Context())
		if err != nil {
			t.Error(err)
		}
		waits <- h
	}()
	awaitWaiters(t, peers[0], "x", 1)
	later := make(chan *conchv1.Lease, 1)
	go func() { later <- r.acquire(session, "later", "x") }()
	awaitWaiters(t, peers[0], "x", 2)
	for range 3 {
		p.cut(false)
	}
	if err := first.Unlock(); err != nil {
		t.Error(err)
	}
	h := <-waits
	select {
	case <-later:
		t.Error("who came later got in first")
	default:
	}
	if err := h.Unlock(); err != nil {
		t.Error(err)
	}
	if l := <-later; l.GetToken() <= uint64(h.Token()) {
		t.Errorf("token %d comes after %d", l.GetToken(), h.Token())
	}
	if err := hold.Unlock(); err != nil {
		t.Errorf("the hold: %v", err)
	}
}

// Who cannot reach its peer any more is told before its lease ends.
func TestCutOff(t *testing.T) {
	addr := cluster(t, 1)[0]
	p, through := newProxy(t, addr)
	ours, theirs := dial(t, client.Config{Addr: through, TTL: time.Second}), dial(t, client.Config{Addr: addr})
	hold, err := ours.Mutex("x").Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p.cut(true)
	other, err := theirs.Mutex("x").Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if hold.Context().Err() == nil {
		t.Error("two believe that they are inside")
	}
	p.mu.Lock()
	if p.tries > 25 { // in a second: often at first, then less and less
		t.Errorf("the peer that does not answer was called %d times", p.tries)
	}
	p.mu.Unlock()
	if err := hold.Unlock(); !errors.Is(err, conch.ErrLost) {
		t.Errorf("Unlock: %v", err)
	}
	if err := other.Unlock(); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := ours.Mutex("x").Lock(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Lock without a peer: %v", err)
	}
}

// A lock is to be had as soon as the peer serves again, though the session is a new one:
// not only at the next sign of life.
func TestPeerStartsAgain(t *testing.T) {
	peers, servers, addrs := serving(t, 1, time.Second)
	c := dial(t, client.Config{Addr: addrs[0], TTL: time.Hour})
	if err := servers[0].Close(); err != nil {
		t.Fatal(err)
	}
	l, err := local.ListenUnix(strings.TrimPrefix(addrs[0], "unix:"))
	if err != nil {
		t.Fatal(err)
	}
	again := service.New(peers[0])
	again.Serve(l)
	t.Cleanup(func() { again.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	hold, err := c.Mutex("x").Lock(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := hold.Unlock(); err != nil {
		t.Error(err)
	}
}

// A call that was made again, over another connection, and is heard of when the lock has
// long been given back, takes the lock for nobody.
func TestLateCall(t *testing.T) {
	addr := cluster(t, 1)[0]
	p, through := newProxy(t, addr)
	ours, theirs := dial(t, client.Config{Addr: through}), dial(t, client.Config{Addr: addr})
	l := &late{make(chan struct{}), make(chan struct{}), make(chan struct{})}
	p.mu.Lock()
	p.late = l
	p.mu.Unlock()
	hold, err := ours.Mutex("x").Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	<-l.said
	if err := hold.Unlock(); err != nil {
		t.Error(err)
	}
	close(l.goOn)
	<-l.heard
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for range 10 {
		hold, err := theirs.Mutex("x").Lock(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := hold.Unlock(); err != nil {
			t.Error(err)
		}
	}
}

// Wishes that the peer cannot have heard of leave nothing behind that gives them up: while
// no peer answers there may be very many.
func TestNobodyHears(t *testing.T) {
	_, servers, addrs := serving(t, 1, time.Second)
	c := dial(t, client.Config{Addr: addrs[0], TTL: time.Hour})
	if err := servers[0].Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	before := runtime.NumGoroutine()
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if _, err := c.Mutex("x").Lock(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := runtime.NumGoroutine() - before; n > 20 {
		t.Errorf("%d goroutines more", n)
	}
}
