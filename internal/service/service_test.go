package service

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect/v2"

	"github.com/conchlock/conch"
	"github.com/conchlock/conch/internal/clock"
	"github.com/conchlock/conch/internal/local"
	"github.com/conchlock/conch/internal/locker"
	"github.com/conchlock/conch/proto/conch/v1/conchv1connect"
)

// join starts a peer that is a cluster by itself.
func join(t testing.TB) *conch.Peer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	peer, err := conch.Join(context.Background(), conch.Config{Name: "a", Peers: conch.Peers{"a": addr}, TTL: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := peer.Close(); err != nil {
			t.Error(err)
		}
	})
	return peer
}

// serve serves a peer's calls at a unix socket.
func serve(t testing.TB, peer *conch.Peer) (s *Server, path string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "conch") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path = filepath.Join(dir, "s")
	l, err := local.ListenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	s = New(peer)
	s.Serve(l)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, path
}

// callers returns clients of a socket.
func callers(t testing.TB, path string) *connect.Client {
	t.Helper()
	w, err := local.Dial("unix:" + path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return connect.NewClient(w)
}

func lockCalls(t testing.TB, path string) conchv1connect.LocksClient {
	t.Helper()
	return conchv1connect.NewLocksClient(callers(t, path))
}

// post makes a request to a server without a network.
func post(s *Server, path, contentType, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "http://localhost"+path, strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	for i := 0; i+1 < len(header); i += 2 {
		if r.Header.Set(header[i], header[i+1]); header[i] == "Host" {
			r.Host = header[i+1]
		}
	}
	w := httptest.NewRecorder()
	s.http.Handler.ServeHTTP(w, r)
	return w
}

// failure is what a refused JSON call is answered.
type failure struct{ Code, Message string }

func failed(t *testing.T, w *httptest.ResponseRecorder) (f failure) {
	t.Helper()
	if err := json.Unmarshal(w.Body.Bytes(), &f); err != nil {
		t.Errorf("HTTP status %d, answer %q: %v", w.Code, w.Body, err)
	}
	return f
}

// count is how many sessions there are.
func (a *sessions) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.byID)
}

// A listener that is given up is told of by Close, and not before.
func TestListenerFails(t *testing.T) {
	s := New(join(t))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Serve(&failing{Listener: l, err: io.ErrUnexpectedEOF})
	s.serves.Wait()
	if err := s.Close(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("Close says %v", err)
	}
}

// failing is a listener whose Accept fails, for some times or for ever.
type failing struct {
	net.Listener
	times int // 0: for ever
	err   error
}

func (f *failing) Accept() (net.Conn, error) {
	if f.times == 1 {
		return f.Listener.Accept()
	}
	f.times--
	return nil, f.err
}

// granted opens a session that has lock x, by a call of Acquire that is not answered yet.
func granted(t *testing.T, all *sessions, id string) (*session, *wish) {
	t.Helper()
	s, err := all.open(time.Hour, "")
	if err != nil {
		t.Fatal(err)
	}
	w, err := s.want(id, "x", locker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	<-w.done
	return s, w
}

// The last of the calls about a wish gives it up, if its time is over; none before.
func TestLastCallGivesUp(t *testing.T) {
	peer := join(t)
	hold, err := peer.Mutex("x").Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Unlock()
	all := newSessions(peer)
	defer all.close()
	s, err := all.open(time.Minute, "")
	if err != nil {
		t.Fatal(err)
	}
	var w *wish
	for range 3 {
		if w, err = s.want("1", "x", locker.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	for i, c := range []struct{ late, there bool }{{true, true}, {false, true}, {true, false}} {
		s.detach(w, c.late, clock.Now())
		all.mu.Lock()
		if there := s.wishes["1"] == w; there != c.there {
			t.Errorf("after call %d of 3: there %v, want %v", i+1, there, c.there)
		}
		all.mu.Unlock()
	}
	<-w.done
	if w.err == nil {
		t.Error("granted, though it was given up")
	}
}

// A wish that is given up at the very moment it is granted, when wait has just seen that it
// was not, leaves nothing held.
func TestGivenUpAsGranted(t *testing.T) {
	peer := join(t)
	all := newSessions(peer)
	defer all.close()
	s, err := all.open(time.Hour, "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	w := &wish{id: "1", lock: "x", cancel: cancel, done: make(chan struct{})}
	all.waits++
	givenBack := make(chan struct{})
	var once sync.Once
	s.wait(seen{ctx, func() {
		if all.mu.TryLock() {
			all.mu.Unlock()
			return // it still waits
		}
		once.Do(func() {
			go func() { s.giveBack(w, errGivenUp); close(givenBack) }()
			select {
			case <-givenBack:
			case <-time.After(10 * time.Millisecond): // it has to wait for the mutex
			}
		})
	}}, w)
	<-givenBack
	if l := peer.Status().Locks; len(l) > 0 {
		t.Errorf("left behind: %+v", l)
	}
}

// seen is a context that calls a function when somebody has looked whether it has ended.
type seen struct {
	context.Context
	f func()
}

func (s seen) Err() error {
	defer s.f()
	return s.Context.Err()
}

// A call that comes after its wish was given up opens none: neither one that is the first
// to come, nor one more.
func TestGivenUpForGood(t *testing.T) {
	all := newSessions(join(t))
	defer all.close()
	s, _ := granted(t, all, "came")
	for _, id := range []string{"came", "comes"} {
		s.cancelWish(id)
		if _, err := s.want(id, "x", locker.Options{}); !errors.Is(err, errGivenUp) {
			t.Errorf("%s: %v", id, err)
		}
	}
}

// A session whose time is over is not brought back to life by a call that found it before:
// its client would be told of a lease, and the session end all the same. It ends as soon
// as somebody asks for it, however late its timer is.
func TestOverIsOver(t *testing.T) {
	peer := join(t)
	all := newSessions(peer)
	defer all.close()
	s, w := granted(t, all, "1")
	s.detach(w, false, clock.Now())
	all.mu.Lock()
	s.expires = clock.Now()
	all.mu.Unlock()
	if _, err := s.want("2", "x", locker.Options{}); !errors.Is(err, errNoSession) {
		t.Errorf("a wish: %v", err)
	}
	if _, err := all.find(s.id, 1); !errors.Is(err, errNoSession) {
		t.Errorf("it is found: %v", err)
	}
	if l := peer.Status().Locks; len(l) > 0 {
		t.Errorf("it holds %+v", l)
	}
}

// A sign of life that is noted late, after a pause, takes nothing back of what was told
// after it.
func TestLateSignOfLife(t *testing.T) {
	all := newSessions(join(t))
	defer all.close()
	s, err := all.open(time.Hour, "")
	if err != nil {
		t.Fatal(err)
	}
	all.mu.Lock()
	defer all.mu.Unlock()
	now := clock.Now()
	s.live(now.Add(1000))
	until := s.expires
	if s.live(now); s.expires != until {
		t.Errorf("it ends %s earlier", time.Duration(until.Sub(s.expires)))
	}
}
