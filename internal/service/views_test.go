package service

import (
	"context"
	"errors"
	"testing"

	"connectrpc.com/connect/v2"

	"github.com/conchlock/conch"
	"github.com/conchlock/conch/internal/locker"
	conchv1 "github.com/conchlock/conch/proto/conch/v1"
	"github.com/conchlock/conch/proto/conch/v1/conchv1connect"
)

// acquired opens a session that holds lock x.
func acquired(t *testing.T, calls conchv1connect.LocksClient) (session string, token uint64) {
	t.Helper()
	s, err := calls.Open(t.Context(), &conchv1.OpenRequest{Label: "me"})
	if err != nil {
		t.Fatal(err)
	}
	a, err := calls.Acquire(t.Context(), &conchv1.AcquireRequest{Session: s.GetSession(), RequestId: "1", Lock: "x"})
	if err != nil {
		t.Fatal(err)
	}
	return s.GetSession(), a.GetLease().GetToken()
}

// What the program itself gives back is no news to it: else each Release would cost a
// sign of life.
func TestNoNews(t *testing.T) {
	peer := join(t)
	a := newSessions(peer)
	s, err := a.open(ttlDefault, "")
	if err != nil {
		t.Fatal(err)
	}
	n, end := s.watch(t.Context())
	defer end()
	w, err := s.want("1", "x", locker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	<-w.done
	if found, err := s.release("x", w.hold.Token(), false); !found || err != nil {
		t.Errorf("%t, %v", found, err)
	}
	a.wishes.Wait() // also for who follows the hold
	if len(n.come) != 0 {
		t.Error("it is told of its own Release")
	}
}

// The place of a wish is told, also if who watches was faster than the wish.
func TestPlace(t *testing.T) {
	peer := join(t)
	_, path := serve(t, peer)
	calls := lockCalls(t, path)
	session, token := acquired(t, calls)
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := conchv1connect.NewViewsClient(callers(t, path)).Watch(ctx, &conchv1.WatchViewRequest{Lock: "x", Session: session, RequestId: "2"})
	if err != nil {
		t.Fatal(err)
	}
	if v, err := stream.Receive(); err != nil || v.GetPlace() != 0 {
		t.Fatalf("before there is a wish: %v, %v", v, err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		calls.Acquire(ctx, &conchv1.AcquireRequest{Session: session, RequestId: "2", Lock: "x"})
	}()
	for {
		v, err := stream.Receive()
		if err != nil {
			t.Fatal(err)
		}
		if l := v.GetView().GetLocks(); len(l) == 1 && len(l[0].GetWaiters()) == 1 {
			if v.GetPlace() != 1 || l[0].GetHolder().GetToken() != token {
				t.Errorf("%v", v)
			}
			break
		}
	}
	cancel()
	<-done
	if _, err := calls.Close(t.Context(), &conchv1.CloseRequest{Session: session}); err != nil {
		t.Error(err)
	}
}

// News of a hold is pushed, and KeepAlive then has it.
func TestNews(t *testing.T) {
	peer := join(t)
	_, path := serve(t, peer)
	calls := lockCalls(t, path)
	session, token := acquired(t, calls)
	stream, err := calls.Watch(t.Context(), &conchv1.WatchSessionRequest{Session: session})
	if err != nil {
		t.Fatal(err)
	}
	pushed := func() *conchv1.KeepAliveResponse {
		t.Helper()
		if _, err := stream.Receive(); err != nil {
			t.Fatal(err)
		}
		k, err := calls.KeepAlive(t.Context(), &conchv1.KeepAliveRequest{Session: session})
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	if _, err := peer.Ask(t.Context(), "x", "somebody", "please"); err != nil {
		t.Fatal(err)
	}
	if l := pushed().GetLeases(); len(l) != 1 || l[0].GetAskedBy() != "somebody" || l[0].GetAskedReason() != "please" {
		t.Errorf("when it is asked: %v", l)
	}
	if _, err := peer.End(t.Context(), "x", conch.Token(token), "somebody", "now"); err != nil {
		t.Fatal(err)
	}
	k := pushed()
	if e := k.GetEnded(); len(k.GetLeases()) != 0 || len(e) != 1 || e[0].GetToken() != token {
		t.Errorf("when it is ended: %v", k)
	}
	// A second call that watches the session ends the first one, and both end with it.
	second, err := calls.Watch(t.Context(), &conchv1.WatchSessionRequest{Session: session})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Receive(); connect.CodeOf(err) != connect.CodeAborted {
		t.Errorf("the first of two: %v", err)
	}
	if _, err := calls.Close(t.Context(), &conchv1.CloseRequest{Session: session}); err != nil {
		t.Fatal(err)
	}
	for err == nil { // the end of the hold, perhaps
		_, err = second.Receive()
	}
	if connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("after the session: %v", err)
	}
	if gone, err := calls.Watch(t.Context(), &conchv1.WatchSessionRequest{Session: session}); err == nil {
		if _, err = gone.Receive(); connect.CodeOf(err) != connect.CodeNotFound {
			t.Errorf("a session that is gone: %v", err)
		}
	}
}

// Programs see locks, and steer them, as the peer does.
func TestViews(t *testing.T) {
	peer := join(t)
	_, path := serve(t, peer)
	locks, views := lockCalls(t, path), conchv1connect.NewViewsClient(callers(t, path))
	session, token := acquired(t, locks)
	ctx, cancel := context.WithCancel(t.Context())
	waited := make(chan error)
	go func() {
		_, err := locks.Acquire(ctx, &conchv1.AcquireRequest{Session: session, RequestId: "2", Lock: "x", Label: "who waits"})
		waited <- err
	}()
	stream, err := views.Watch(t.Context(), &conchv1.WatchViewRequest{Lock: "x", Session: session, RequestId: "1"})
	if err != nil {
		t.Fatal(err)
	}
	var seen *conchv1.Lock
	for len(seen.GetWaiters()) == 0 {
		answer, err := stream.Receive()
		if err != nil {
			t.Fatal(err)
		}
		if answer.GetPlace() != 0 {
			t.Errorf("who holds it has place %d in the queue", answer.GetPlace())
		}
		seen = answer.GetView().GetLocks()[0]
	}
	if h := seen.GetHolder(); h.GetToken() != token || h.GetLabel() != "me" || seen.GetWaiters()[0].GetLabel() != "who waits" {
		t.Errorf("seen: %v", seen)
	}
	mine, err := views.Watch(t.Context(), &conchv1.WatchViewRequest{Lock: "x", Session: session, RequestId: "2"})
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := mine.Receive(); err != nil || answer.GetPlace() != 1 {
		t.Errorf("who waits has place %d: %v", answer.GetPlace(), err)
	}
	cancel()
	<-waited
	for what, c := range map[string]struct {
		call func() error
		want connect.Code
	}{
		"a view of no lock's name": {func() error { _, err := views.Get(t.Context(), &conchv1.GetViewRequest{Lock: "\x01"}); return err }, connect.CodeInvalidArgument},
		"nobody holds it":          {func() error { _, err := views.Ask(t.Context(), &conchv1.AskRequest{Lock: "y", By: "me"}); return err }, connect.CodeFailedPrecondition},
		"nobody asks":              {func() error { _, err := views.Ask(t.Context(), &conchv1.AskRequest{Lock: "x"}); return err }, connect.CodeInvalidArgument},
		"another token": {func() error {
			_, err := views.End(t.Context(), &conchv1.EndRequest{Lock: "x", By: "me", Reason: "why", Token: 1})
			return err
		}, connect.CodeFailedPrecondition},
		"no reason": {func() error { _, err := views.End(t.Context(), &conchv1.EndRequest{Lock: "x", By: "me"}); return err }, connect.CodeInvalidArgument},
		"no lock": {func() error {
			_, err := views.End(t.Context(), &conchv1.EndRequest{By: "me", Reason: "why"})
			return err
		}, connect.CodeInvalidArgument},
		"a session that is not there": {func() error { return first(views.Watch(t.Context(), &conchv1.WatchViewRequest{Session: "?"})) }, connect.CodeNotFound},
	} {
		if err := c.call(); connect.CodeOf(err) != c.want {
			t.Errorf("%s: %v", what, err)
		}
	}
	end, err := views.End(t.Context(), &conchv1.EndRequest{Lock: "x", By: "me", Reason: "why"})
	if err != nil || end.GetHolder().GetToken() != token || end.GetWait() == nil {
		t.Errorf("%v, %v", end, err)
	}
	if _, err := locks.Close(t.Context(), &conchv1.CloseRequest{Session: session}); err != nil {
		t.Error(err)
	}
}

// first receives once.
func first(s conchv1connect.ViewsWatchClientStream, err error) error {
	if err == nil {
		_, err = s.Receive()
	}
	return err
}

// Calls that watch end when the server does.
func TestWatchersEnd(t *testing.T) {
	peer := join(t)
	s, path := serve(t, peer)
	session, err := lockCalls(t, path).Open(t.Context(), &conchv1.OpenRequest{})
	if err != nil {
		t.Fatal(err)
	}
	news, err := lockCalls(t, path).Watch(t.Context(), &conchv1.WatchSessionRequest{Session: session.GetSession()})
	if err != nil {
		t.Fatal(err)
	}
	views, err := conchv1connect.NewViewsClient(callers(t, path)).Watch(t.Context(), &conchv1.WatchViewRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := views.Receive(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	for err = error(nil); err == nil; {
		_, err = views.Receive()
	}
	if connect.CodeOf(err) != connect.CodeUnavailable {
		t.Errorf("a view: %v", err)
	}
	if _, err := news.Receive(); connect.CodeOf(err) != connect.CodeUnavailable && connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("news: %v", err)
	}
	if errors.Is(peer.Err(), conch.ErrClosed) {
		t.Error("the peer has ended with its service")
	}
}
