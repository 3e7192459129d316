package service

import (
	"context"
	"net"
	"testing"

	"github.com/conchlock/conch"
	conchv1 "github.com/conchlock/conch/proto/conch/v1"
	"github.com/conchlock/conch/proto/conch/v1/conchv1connect"
)

// ends are told how holds end.
type ends chan conch.EventKind

func (ends) Joined(*conch.Peer) {}
func (e ends) Observe(event conch.Event) {
	if event.Kind == conch.Exited || event.Kind == conch.LostHold {
		e <- event.Kind
	}
}

// What a program had lost before it was given back counts as lost at its peer, whose own
// lease it was not: so whoever looks at the peer's metrics sees it.
func TestLosses(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	ended := make(ends, 1)
	peer, err := conch.Join(context.Background(), conch.Config{Name: "a", Peers: conch.Peers{"a": addr}, Observer: ended})
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	s, path := serve(t, peer)
	calls := lockCalls(t, path)
	release := func(lost bool) func(*testing.T, conchv1connect.LocksClient, string, uint64) {
		return func(t *testing.T, calls conchv1connect.LocksClient, session string, token uint64) {
			if _, err := calls.Release(t.Context(), &conchv1.ReleaseRequest{Session: session, Lock: "x", Token: token, Lost: lost}); err != nil {
				t.Error(err)
			}
		}
	}
	for _, tt := range []struct {
		name string
		end  func(t *testing.T, calls conchv1connect.LocksClient, session string, token uint64)
		want conch.EventKind
	}{
		{"given back", release(false), conch.Exited},
		{"given back when it was lost", release(true), conch.LostHold},
		{"the session is closed", func(t *testing.T, calls conchv1connect.LocksClient, session string, _ uint64) {
			if _, err := calls.Close(t.Context(), &conchv1.CloseRequest{Session: session}); err != nil {
				t.Error(err)
			}
		}, conch.Exited},
		{"the program is silent", func(_ *testing.T, _ conchv1connect.LocksClient, session string, _ uint64) {
			s.sessions.mu.Lock()
			silent := s.sessions.byID[session]
			silent.expires = 0 // as if its TTL were over
			s.sessions.mu.Unlock()
			silent.expire()
		}, conch.LostHold},
		{"the peer is about to end, and has told it so", func(t *testing.T, calls conchv1connect.LocksClient, session string, token uint64) {
			s.sessions.turnAway()
			release(true)(t, calls, session, token)
		}, conch.Exited},
	} {
		t.Run(tt.name, func(t *testing.T) {
			session, token := acquired(t, calls)
			tt.end(t, calls, session, token)
			if got := <-ended; got != tt.want {
				t.Errorf("its end is an event %d, want %d", got, tt.want)
			}
		})
	}
}
