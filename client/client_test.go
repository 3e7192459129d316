package client_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/conchlock/conch"
	"github.com/conchlock/conch/client"
	"github.com/conchlock/conch/internal/local"
	"github.com/conchlock/conch/internal/mutextest"
	"github.com/conchlock/conch/internal/service"
)

// addresses returns free loopback addresses for so many peers.
func addresses(t testing.TB, n int) conch.Peers {
	t.Helper()
	peers := make(conch.Peers)
	for i := range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // after all are chosen, so that none is chosen twice
		peers[fmt.Sprint("p", i)] = l.Addr().String()
	}
	return peers
}

// cluster joins n peers, each of which serves programs at a socket.
func cluster(t testing.TB, n int) (addrs []string) {
	t.Helper()
	_, addrs = peersOf(t, n, time.Second)
	return addrs
}

// peersOf does so, and returns the peers, too.
func peersOf(t testing.TB, n int, ttl time.Duration) (list []*conch.Peer, addrs []string) {
	t.Helper()
	list, _, addrs = serving(t, n, ttl)
	return list, addrs
}

// serving returns their servers, too.
func serving(t testing.TB, n int, ttl time.Duration) (list []*conch.Peer, servers []*service.Server, addrs []string) {
	t.Helper()
	peers := addresses(t, n)
	dir, err := os.MkdirTemp("", "conch") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for i := range n {
		name := fmt.Sprint("p", i)
		peer, err := conch.Join(t.Context(), conch.Config{Name: name, Peers: peers, TTL: ttl})
		if err != nil {
			t.Fatal(err)
		}
		server := service.New(peer)
		path := filepath.Join(dir, name)
		l, err := local.ListenUnix(path)
		if err != nil {
			t.Fatal(err)
		}
		server.Serve(l)
		t.Cleanup(func() {
			if err := server.Close(); err != nil {
				t.Errorf("close the service of %s: %v", name, err)
			}
			if err := peer.Close(); err != nil {
				t.Errorf("close %s: %v", name, err)
			}
		})
		list, servers, addrs = append(list, peer), append(servers, server), append(addrs, "unix:"+path)
	}
	return list, servers, addrs
}

// awaitWaiters returns when so many wait for a lock at a peer.
func awaitWaiters(t *testing.T, peer *conch.Peer, lock string, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		for _, l := range peer.Status().Locks {
			if l.Name == lock && l.Waiters == n {
				return
			}
		}
		runtime.Gosched()
	}
	t.Fatalf("%d never waited for %s", n, lock)
}

func dial(t testing.TB, cfg client.Config) *client.Client {
	t.Helper()
	c, err := client.Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// suiteTTL is so long that a thousand callers at once on a busy machine cost no hold
// its lease.
const suiteTTL = 10 * time.Second

// A client's mutexes do what a peer's do.
func TestSuite(t *testing.T) {
	mutextest.Suite(t, func(t *testing.T, n int) (list []mutextest.Source) {
		_, addrs := peersOf(t, n, suiteTTL)
		for _, addr := range addrs {
			list = append(list, dial(t, client.Config{Addr: addr}))
		}
		return list
	})
	t.Run("at one peer", func(t *testing.T) {
		mutextest.Suite(t, func(t *testing.T, n int) (list []mutextest.Source) {
			_, addrs := peersOf(t, 1, suiteTTL)
			addr := addrs[0]
			for range n {
				list = append(list, dial(t, client.Config{Addr: addr}))
			}
			return list
		})
	})
}

// With a peer that knows no short way they do so over HTTP/2.
func TestOlderPeer(t *testing.T) {
	mutextest.Suite(t, func(t *testing.T, n int) (list []mutextest.Source) {
		_, addrs := peersOf(t, 1, suiteTTL)
		p, through := newProxy(t, addrs[0])
		p.mu.Lock()
		p.older = true
		p.mu.Unlock()
		for range n {
			list = append(list, dial(t, client.Config{Addr: through}))
		}
		t.Cleanup(func() {
			p.cut(true)
			if !p.asked {
				t.Error("nobody has asked for the short way, so this test tries nothing")
			}
		})
		return list
	})
}
