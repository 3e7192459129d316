package client_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/conchlock/conch"
	"github.com/conchlock/conch/client"
	"github.com/conchlock/conch/internal/local"
	"github.com/conchlock/conch/internal/service"
)

// ends are told how holds end.
type ends chan conch.EventKind

func (ends) Joined(*conch.Peer) {}
func (e ends) Observe(event conch.Event) {
	if event.Kind == conch.Exited || event.Kind == conch.LostHold {
		e <- event.Kind
	}
}

// A client that cannot reach its peer loses its hold before the peer does. When it gives
// it back then, at once, the peer counts a loss all the same; also if it had to ask for it
// twice.
func TestLossIsCounted(t *testing.T) {
	t.Run("asked once", func(t *testing.T) { t.Parallel(); testLossIsCounted(t, nil) })
	t.Run("asked twice", func(t *testing.T) {
		t.Parallel()
		l := &late{make(chan struct{}), make(chan struct{}), make(chan struct{})}
		defer close(l.goOn)
		testLossIsCounted(t, l)
	})
}

func testLossIsCounted(t *testing.T, l *late) {
	ended := make(ends, 1)
	peer, err := conch.Join(t.Context(), conch.Config{Name: "p0", Peers: addresses(t, 1), Observer: ended})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { peer.Close() })
	dir, err := os.MkdirTemp("", "conch") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	listener, err := local.ListenUnix(filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	server := service.New(peer)
	server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	p, through := newProxy(t, filepath.Join(dir, "s"))
	c := dial(t, client.Config{Addr: through, TTL: time.Second})
	p.mu.Lock()
	p.late = l
	p.mu.Unlock()
	hold, err := c.Mutex("x").Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p.cut(true)
	<-hold.Context().Done()
	p.cut(false)
	if err := hold.Unlock(); !errors.Is(err, conch.ErrLost) {
		t.Errorf("Unlock: %v", err)
	}
	if got := <-ended; got != conch.LostHold {
		t.Errorf("its end is an event %d, want %d", got, conch.LostHold)
	}
}
