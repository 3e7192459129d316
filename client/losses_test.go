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
// it back then, at once, the peer counts a loss all the same.
func TestLossIsCounted(t *testing.T) {
	t.Parallel()
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
	l, err := local.ListenUnix(filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	server := service.New(peer)
	server.Serve(l)
	t.Cleanup(func() { server.Close() })
	p, through := newProxy(t, filepath.Join(dir, "s"))
	hold, err := dial(t, client.Config{Addr: through, TTL: time.Second}).Mutex("x").Lock(t.Context())
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
