package service

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/conchlock/conch"
	conchv1 "github.com/conchlock/conch/proto/conch/v1"
)

// Close says for whom it waits, if that takes long, and goes on as soon as they have given
// back what they hold. Those that watch their session are told at once.
func TestCloseWaits(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds; leave out -short")
	}
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	peer, err := conch.Join(context.Background(), conch.Config{Name: "a", Peers: conch.Peers{"a": l.Addr().String()}, TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	s, path := serve(t, peer)
	said := make(chan string, 1)
	s.Warn(func(text string) { said <- text })
	calls := lockCalls(t, path)
	session, token := acquired(t, calls)
	news, err := calls.Watch(t.Context(), &conchv1.WatchSessionRequest{Session: session})
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	if _, err := news.Receive(); err == nil {
		t.Error("who watches is not told")
	}
	if text := <-said; !strings.Contains(text, "waits until programs have given back what they hold, for ") || !strings.Contains(text, "x (me)") {
		t.Error(text)
	}
	select {
	case err := <-closed:
		t.Error("it has not waited", err)
	default:
	}
	if _, err := calls.Release(t.Context(), &conchv1.ReleaseRequest{Session: session, Lock: "x", Token: token}); err != nil {
		t.Error(err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

// Whatever gives holds back is heard of by Close, which may wait for them.
func TestGivenBackIsSignalled(t *testing.T) {
	all := newSessions(join(t))
	defer all.close()
	for what, giveBack := range map[string]func(s *session, w *wish){
		"Release": func(s *session, w *wish) { s.release(w.lock, w.hold.Token(), false) },
		"Cancel":  func(s *session, w *wish) { s.cancelWish(w.id) },
		"Close":   func(s *session, _ *wish) { s.end(false) },
	} {
		s, w := granted(t, all, "1")
		giveBack(s, w)
		select {
		case <-all.released:
		default:
			t.Errorf("%s is not", what)
		}
	}
}
