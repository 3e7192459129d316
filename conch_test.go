package conch_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/conchlock/conch"
	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/algo/roster"
	"github.com/conchlock/conch/discovery"
	"github.com/conchlock/conch/internal/state"
)

// addresses returns free loopback addresses for peers a, b, c, ...
func addresses(t testing.TB, n int) conch.Peers {
	t.Helper()
	peers := make(conch.Peers)
	for i := range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // after all are chosen, so that none is chosen twice
		peers[string(rune('a'+i))] = l.Addr().String()
	}
	return peers
}

// cluster joins n peers over gRPC, with short heartbeats.
func cluster(t testing.TB, n int, algorithm string) []*conch.Peer {
	t.Helper()
	addrs := addresses(t, n)
	var peers []*conch.Peer
	for i := range n {
		name := string(rune('a' + i))
		peer, err := conch.Join(t.Context(), conch.Config{Name: name, Peers: addrs, Algorithm: algorithm, TTL: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := peer.Close(); err != nil {
				t.Errorf("close %s: %v", name, err)
			}
		})
		peers = append(peers, peer)
	}
	return peers
}

// Many callers at real peers: never two inside, tokens grow, all get in.
func TestMutualExclusion(t *testing.T) {
	for _, algorithm := range roster.Names() {
		for _, n := range []int{1, 2, 3, 5} {
			t.Run(fmt.Sprintf("%s/%d", algorithm, n), func(t *testing.T) {
				peers := cluster(t, n, algorithm)
				var inside atomic.Int32
				var last conch.Token
				var wg sync.WaitGroup
				for _, peer := range peers {
					for range 2 {
						wg.Go(func() {
							for range 10 {
								err := peer.Mutex("x").Do(t.Context(), func(_ context.Context, token conch.Token) error {
									if inside.Add(1) != 1 {
										return errors.New("two are inside")
									}
									defer inside.Add(-1)
									if token <= last {
										return fmt.Errorf("token %d comes after %d", token, last)
									}
									last = token
									return nil
								})
								if err != nil {
									t.Error(err)
								}
							}
						})
					}
				}
				wg.Wait()
			})
		}
	}
}

// A call that ends without the lock says so, and for whom it waited.
func TestLockGivesUp(t *testing.T) {
	peers := cluster(t, 2, "")
	hold, err := peers[0].Mutex("x").Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := peers[1].Mutex("x").Lock(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), `lock "x"`) || !strings.Contains(err.Error(), "waits for a") {
		t.Errorf("Lock: %v", err)
	}
	if _, err := peers[1].Mutex("x").TryLock(t.Context()); !errors.Is(err, conch.ErrNotAcquired) {
		t.Errorf("TryLock: %v", err)
	}
	if _, err := peers[0].Mutex("x").TryLock(t.Context()); !errors.Is(err, conch.ErrNotAcquired) {
		t.Errorf("TryLock where it is held: %v", err)
	}
	if err := hold.Unlock(); err != nil {
		t.Error(err)
	}
	if err := hold.Unlock(); !errors.Is(err, conch.ErrUnlocked) {
		t.Errorf("a second Unlock: %v", err)
	}
	if cause := context.Cause(hold.Context()); !errors.Is(cause, context.Canceled) {
		t.Errorf("the hold's context ended with %v", cause)
	}
	hold, err = peers[1].Mutex("x").TryLock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := peers[1].Close(); err != nil {
		t.Error(err)
	}
	if cause := context.Cause(hold.Context()); !errors.Is(cause, conch.ErrClosed) {
		t.Errorf("the hold's context ended with %v", cause)
	}
	if err := hold.Unlock(); !errors.Is(err, conch.ErrClosed) {
		t.Errorf("Unlock after Close: %v", err)
	}
	if _, err := peers[1].Mutex("x").Lock(t.Context()); !errors.Is(err, conch.ErrClosed) {
		t.Errorf("Lock after Close: %v", err)
	}
	if err := peers[1].Err(); !errors.Is(err, conch.ErrClosed) {
		t.Errorf("Err after Close: %v", err)
	}
}

// Do passes on what its function returns, unlocks when it panics, and ends its
// context when the hold ends.
func TestDo(t *testing.T) {
	peer := cluster(t, 1, "")[0]
	mutex := peer.Mutex("x")
	if mutex.Name() != "x" {
		t.Errorf("the lock is called %q", mutex.Name())
	}
	mine := errors.New("mine")
	if err := mutex.Do(t.Context(), func(context.Context, conch.Token) error { return mine }); !errors.Is(err, mine) {
		t.Errorf("got %v", err)
	}
	func() {
		defer func() { recover() }()
		mutex.Do(t.Context(), func(context.Context, conch.Token) error { panic("mine") })
	}()
	err := mutex.Do(t.Context(), func(ctx context.Context, _ conch.Token) error {
		go peer.Close()
		<-ctx.Done()
		return context.Cause(ctx)
	})
	if !errors.Is(err, conch.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestBadLockName(t *testing.T) {
	peer := cluster(t, 1, "")[0]
	for name, want := range map[string]string{
		"":                       "a lock needs a name",
		strings.Repeat("x", 201): "at most 200",
		"a\nb":                   "cannot be printed",
		"a\xff":                  "not valid UTF-8",
	} {
		if _, err := peer.Mutex(name).Lock(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("lock %q: %v, want %q", name, err, want)
		}
	}
}

func TestJoinRefuses(t *testing.T) {
	addrs := addresses(t, 1)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	inUse := t.TempDir()
	first, err := conch.Join(t.Context(), conch.Config{Name: "a", Peers: addrs, Listen: "127.0.0.1:0", Dir: inUse})
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()

	tests := []struct {
		cfg  conch.Config
		want string
	}{
		{conch.Config{Peers: addrs}, "Config.Name: a peer needs a name"},
		{conch.Config{Name: "a"}, "needs Peers or Discovery"},
		{conch.Config{Name: "a", Peers: addrs, Discovery: discovery.File("x")}, "both Peers and Discovery"},
		{conch.Config{Name: "b", Peers: addrs}, "b is not among the peers (a)"},
		{conch.Config{Name: "a", Peers: conch.Peers{"a": "127.0.0.1"}}, "write HOST:PORT"},
		{conch.Config{Name: "a", Peers: addrs, Advertise: "here"}, "Config.Advertise: address \"here\": write HOST:PORT"},
		{conch.Config{Name: "a", Peers: addrs, Cluster: strings.Repeat("c", 201)}, "Config.Cluster has 201 bytes"},
		{conch.Config{Name: "a", Peers: addrs, TTL: time.Millisecond}, "the least is 100ms"},
		{conch.Config{Name: "a", Peers: addrs, TTL: 25 * time.Hour}, "the most is 24h"},
		{conch.Config{Name: "a", Peers: addrs, TTL: 3 * time.Second, Tuning: conch.Tuning{Linger: 2 * time.Second}}, "at most a third of the TTL, 1s"},
		{conch.Config{Name: "a", Peers: addrs, Tuning: conch.Tuning{Linger: -1}}, "Config.Tuning.Linger"},
		{conch.Config{Name: "a", Peers: addrs, Tuning: conch.Tuning{Drift: conch.MaxDrift + 1}}, "Config.Tuning.Drift"},
		{conch.Config{Name: "a", Peers: addrs, Tuning: conch.Tuning{Drift: -1}}, "Config.Tuning.Drift"},
		{conch.Config{Name: "a", Peers: addrs, Algorithm: "luck"}, `no algorithm is called "luck"`},
		{conch.Config{Name: "a", Peers: addrs, Listen: taken.Addr().String()}, taken.Addr().String() + ": bind: address already in use"},
		{conch.Config{Name: "a", Peers: addrs, Dir: file}, "directory for the peer's state"},
		{conch.Config{Name: "a", Peers: addrs, Dir: inUse}, "in use by another process"},
		{conch.Config{Name: "a", Peers: addrs, TraceDir: file}, file},
	}
	for _, tt := range tests {
		peer, err := conch.Join(t.Context(), tt.cfg)
		if err == nil {
			peer.Close()
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got %v, want %q", err, tt.want)
		}
		outside := tt.cfg.Listen != "" || tt.cfg.Dir != "" || tt.cfg.TraceDir != "" // what is wrong is not the configuration
		if err := tt.cfg.Check(); outside && err != nil || !outside && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("Check says %v, want %q", err, tt.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := conch.Join(ctx, conch.Config{Name: "a", Peers: addrs}); !errors.Is(err, context.Canceled) {
		t.Errorf("Join with a context that has ended: %v", err)
	}
}

// Peers whose trees have different shapes refuse each other, and say so to who waits.
func TestOtherTree(t *testing.T) {
	addrs := addresses(t, 2)
	join := func(name, algorithm string) *conch.Peer {
		peer, err := conch.Join(t.Context(), conch.Config{Name: name, Peers: addrs, Algorithm: algorithm})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { peer.Close() })
		return peer
	}
	a := join("a", "raymond")
	join("b", "raymond:star")
	told := func(err error) bool { // by whichever refused first
		text := strings.ReplaceAll(err.Error(), `"`, "")
		return strings.Contains(text, "b runs") && strings.Contains(text, "raymond:star") && strings.Contains(text, "start all peers with the same one")
	}
	var err error
	for range 20 { // once, unless this machine is very busy
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		_, err = a.Mutex("x").Lock(ctx)
		cancel()
		if err == nil || told(err) {
			break
		}
	}
	if err == nil || !told(err) {
		t.Errorf("got %v", err)
	}
}

// Two processes that were started from copies of one directory are the same
// incarnation of one peer, and yet two: the second is told, whether the first
// still runs or not, and never enters.
func TestCopiedDirectory(t *testing.T) {
	for _, algorithm := range roster.Names() {
		for _, running := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/running=%t", algorithm, running), func(t *testing.T) {
				addrs, dirs := addresses(t, 2), t.TempDir()
				for _, name := range []algo.PeerName{"a", "b"} {
					if err := state.Create(filepath.Join(dirs, string(name)), name); err != nil {
						t.Fatal(err)
					}
				}
				if err := os.CopyFS(filepath.Join(dirs, "copy"), os.DirFS(filepath.Join(dirs, "a"))); err != nil {
					t.Fatal(err)
				}
				join := func(name, dir, listen string) *conch.Peer {
					peer, err := conch.Join(t.Context(), conch.Config{
						Name: name, Peers: addrs, Algorithm: algorithm, TTL: time.Second, Dir: filepath.Join(dirs, dir), Listen: listen,
					})
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { peer.Close() })
					return peer
				}
				a, b := join("a", "a", ""), join("b", "b", "")
				hold, err := b.Mutex("x").Lock(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				listen := "127.0.0.1:0"
				if !running {
					listen = ""
					if err := a.Close(); err != nil {
						t.Fatal(err)
					}
				}
				second := join("a", "copy", listen)
				if _, err := second.Mutex("x").Lock(t.Context()); !errors.Is(err, conch.ErrClosed) || !strings.Contains(err.Error(), "an old copy") {
					t.Errorf("the second one: %v", err)
				}
				if err := hold.Unlock(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// A peer whose state is an old copy, or whose wall clock was set back, cannot
// know which tokens it has used. The others know that it was later once: it is
// told, serves nobody, and says why and what to do. With the right state it goes
// on.
func TestSetBack(t *testing.T) {
	addrs := addresses(t, 2)
	b, err := conch.Join(t.Context(), conch.Config{Name: "b", Peers: addrs})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	dir := t.TempDir()
	enter := func(dir string) error {
		a, err := conch.Join(t.Context(), conch.Config{Name: "a", Peers: addrs, Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		hold, err := a.Mutex("x").Lock(t.Context())
		if err == nil {
			err = hold.Unlock()
		}
		return err
	}
	if err := enter(dir); err != nil {
		t.Fatal(err)
	}
	for starts := 1; starts <= 2; starts++ { // the copy's incarnation is the same, or an earlier one
		old := t.TempDir()
		if err := os.CopyFS(old, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		for range starts {
			if err := enter(dir); err != nil {
				t.Fatal(err)
			}
		}
		if err := enter(old); !errors.Is(err, conch.ErrClosed) || !strings.Contains(err.Error(), "an old copy") {
			t.Errorf("with an old copy of the state: %v", err)
		}
	}
	if err := enter(dir); err != nil {
		t.Errorf("with the right state again: %v", err)
	}
}
