package client_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/client"
	"github.com/conchlock/conch/internal/clock"
	"github.com/conchlock/conch/internal/local"
	conchv1 "github.com/conchlock/conch/proto/conch/v1"
	"github.com/conchlock/conch/proto/conch/v1/conchv1connect"
)

// raw is a program that makes the calls itself.
type raw struct {
	t *testing.T
	conchv1connect.LocksClient
}

func newRaw(t *testing.T, addr string) raw {
	t.Helper()
	w, err := local.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	return raw{t, conchv1connect.NewLocksClient(connect.NewClient(w))}
}

// open begins a session of the shortest kind.
func (r raw) open() string {
	r.t.Helper()
	answer, err := r.Open(r.t.Context(), &conchv1.OpenRequest{Ttl: durationpb.New(time.Second)})
	if err != nil {
		r.t.Fatal(err)
	}
	return answer.GetSession()
}

func (r raw) acquire(session, id, lock string) *conchv1.Lease {
	r.t.Helper()
	answer, err := r.Acquire(r.t.Context(), &conchv1.AcquireRequest{Session: session, RequestId: id, Lock: lock})
	if err != nil {
		r.t.Fatal(err)
	}
	return answer.GetLease()
}

// A program that falls silent loses what it holds, and is told when it comes back.
func TestSilence(t *testing.T) {
	addr := cluster(t, 1)[0]
	r := newRaw(t, addr)
	s := r.open()
	lease := r.acquire(s, "1", "x")
	if d := lease.GetLength().AsDuration(); d <= 0 || d > time.Second {
		t.Errorf("a session of 1s has a lease of %s", d)
	}
	other := dial(t, client.Config{Addr: addr})
	hold, err := other.Mutex("x").Lock(t.Context()) // when the session has ended
	if err != nil {
		t.Fatal(err)
	}
	if uint64(hold.Token()) <= lease.GetToken() {
		t.Errorf("token %d comes after %d", hold.Token(), lease.GetToken())
	}
	if _, err := r.KeepAlive(t.Context(), &conchv1.KeepAliveRequest{Session: s}); connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("a sign of life after the end of the session: %v", err)
	}
	if _, err := r.Release(t.Context(), &conchv1.ReleaseRequest{Session: s, Lock: "x", Token: uint64(hold.Token())}); connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("a stranger's hold is given back: %v", err)
	}
	if err := hold.Unlock(); err != nil {
		t.Error(err)
	}
}

// One request id is one wish, however often it is asked for; and a Release that is
// repeated ends no other hold.
func TestRepeated(t *testing.T) {
	addr := cluster(t, 1)[0]
	r := newRaw(t, addr)
	s := r.open()
	var tokens [2]uint64
	var both sync.WaitGroup
	for i := range tokens {
		both.Go(func() { tokens[i] = r.acquire(s, "1", "x").GetToken() })
	}
	both.Wait()
	if tokens[0] != tokens[1] {
		t.Errorf("one wish has got two holds, with tokens %v", tokens)
	}
	first := &conchv1.ReleaseRequest{Session: s, Lock: "x", Token: tokens[0]}
	for i, ended := range []bool{false, true} {
		if answer, err := r.Release(t.Context(), first); err != nil || answer.GetEnded() != ended || answer.GetLost() {
			t.Errorf("release %d: %v, %v", i+1, answer, err)
		}
	}
	second := r.acquire(s, "2", "x").GetToken()
	if _, err := r.Release(t.Context(), first); err != nil {
		t.Error(err)
	}
	answer, err := r.KeepAlive(t.Context(), &conchv1.KeepAliveRequest{Session: s, AskedNs: 1})
	if err != nil || len(answer.GetLeases()) != 1 || answer.GetLeases()[0].GetToken() != second || answer.GetLeases()[0].GetAskedNs() != 1 {
		t.Errorf("a late Release has ended the next hold: %v, %v", answer, err)
	}
	if _, err := r.Acquire(t.Context(), &conchv1.AcquireRequest{Session: s, RequestId: "2", Lock: "y"}); err == nil {
		t.Error("one id is taken for two wishes")
	}
	if _, err := r.Cancel(t.Context(), &conchv1.CancelRequest{Session: s, RequestId: "3"}); err != nil {
		t.Error(err)
	}
	if _, err := r.Acquire(t.Context(), &conchv1.AcquireRequest{Session: s, RequestId: "3", Lock: "z"}); connect.CodeOf(err) != connect.CodeCanceled {
		t.Errorf("a wish that was given up before it came: %v", err)
	}
	for range 2 {
		if _, err := r.Cancel(t.Context(), &conchv1.CancelRequest{Session: s, RequestId: "2"}); err != nil {
			t.Error(err)
		}
		if _, err := r.Close(t.Context(), &conchv1.CloseRequest{Session: s}); err != nil {
			t.Error(err)
		}
		s = r.open()
		r.acquire(s, "2", "x") // it was given back
	}
}

// A wish with a limit says that it was not granted, and is given up.
func TestWait(t *testing.T) {
	addr := cluster(t, 1)[0]
	hold, err := dial(t, client.Config{Addr: addr}).Mutex("x").Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := newRaw(t, addr)
	s := r.open()
	for _, q := range []*conchv1.AcquireRequest{
		{Session: s, RequestId: "1", Lock: "x", Wait: durationpb.New(10 * time.Millisecond)},
		{Session: s, RequestId: "2", Lock: "x", Wait: durationpb.New(0)},
		{Session: s, RequestId: "3", Lock: "x", Try: true},
	} {
		if _, err := r.Acquire(t.Context(), q); connect.CodeOf(err) != connect.CodeDeadlineExceeded {
			t.Errorf("%v: %v", q, err)
		}
	}
	if err := hold.Unlock(); err != nil {
		t.Error(err)
	}
	r.acquire(s, "1", "x")
}

// A wish that two calls wait for is not given up because the time of one is over, and
// a wish that waits for longer than the session lasts keeps it alive.
func TestTwoCalls(t *testing.T) {
	peers, addrs := peersOf(t, 1, time.Second)
	hold, err := dial(t, client.Config{Addr: addrs[0]}).Mutex("x").Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := newRaw(t, addrs[0])
	s := r.open()
	granted := make(chan *conchv1.Lease, 1)
	go func() { granted <- r.acquire(s, "1", "x") }()
	awaitWaiters(t, peers[0], "x", 1)
	if _, err := r.Acquire(t.Context(), &conchv1.AcquireRequest{Session: s, RequestId: "1", Lock: "x", Wait: durationpb.New(1500 * time.Millisecond)}); connect.CodeOf(err) != connect.CodeDeadlineExceeded {
		t.Errorf("the call with a limit: %v", err)
	}
	awaitWaiters(t, peers[0], "x", 1)
	if err := hold.Unlock(); err != nil {
		t.Error(err)
	}
	lease := <-granted
	answer, err := r.KeepAlive(t.Context(), &conchv1.KeepAliveRequest{Session: s})
	if err != nil || len(answer.GetLeases()) != 1 || answer.GetLeases()[0].GetToken() != lease.GetToken() {
		t.Errorf("after the grant: %v, %v", answer, err)
	}
}

// What is wrong with a request is said, and changes nothing.
func TestBadRequests(t *testing.T) {
	r := newRaw(t, cluster(t, 1)[0])
	s := r.open()
	long := strings.Repeat("x", 201)
	for _, q := range []*conchv1.AcquireRequest{
		{Session: s, RequestId: "", Lock: "x"},
		{Session: s, RequestId: long, Lock: "x"},
		{Session: s, RequestId: "1", Lock: ""},
		{Session: s, RequestId: "1", Lock: long},
		{Session: s, RequestId: "1", Lock: "a\nb"},
		{Session: s, RequestId: "1", Lock: "x", Label: long},
		{Session: s, RequestId: "1", Lock: "x", Label: "a\x00b"},
		{Session: s, RequestId: "1", Lock: "x", Wait: durationpb.New(-1)},
	} {
		if _, err := r.Acquire(t.Context(), q); connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("%v: %v", q, err)
		}
	}
	for _, q := range []*conchv1.OpenRequest{
		{Ttl: durationpb.New(time.Millisecond)}, {Ttl: durationpb.New(2 * time.Hour)}, {Ttl: durationpb.New(-time.Second)}, {Label: long},
	} {
		if _, err := r.Open(t.Context(), q); connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("%v: %v", q, err)
		}
	}
	if _, err := r.Acquire(t.Context(), &conchv1.AcquireRequest{Session: "nobody's", RequestId: "1", Lock: "x"}); connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("a session that was never there: %v", err)
	}
}

// A hold lasts for as long as it is wanted: much longer than the peer's leases, which
// are shorter than the session.
func TestLasts(t *testing.T) {
	addr := cluster(t, 1)[0]
	hold, err := dial(t, client.Config{Addr: addr}).Mutex("x").Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first := hold.Deadline()
	ctx, cancel := context.WithDeadline(t.Context(), first.Add(2500*time.Millisecond))
	defer cancel()
	other := dial(t, client.Config{Addr: addr})
	if h, err := other.Mutex("x").Lock(ctx); err == nil {
		t.Errorf("somebody else enters with token %d", h.Token())
	}
	if !hold.Deadline().After(first.Add(2 * time.Second)) {
		t.Errorf("the lease ended at %s at first, and now at %s", first, hold.Deadline())
	}
	if err := hold.Unlock(); err != nil {
		t.Errorf("after some leases: %v", err)
	}
}

// A peer that is closed in good order gives nobody the lock while a client may believe
// to have it: the client is told, and until it has given the lock back or its lease
// has ended the peer waits.
func TestPeerCloses(t *testing.T) {
	for _, c := range []struct {
		name string
		deaf bool // the client hears nothing of it
	}{{"told", false}, {"deaf", true}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			peers, servers, addrs := serving(t, 3, 3*time.Second) // longer than it takes to close
			var believes func() bool
			if c.deaf {
				r := newRaw(t, addrs[0])
				asked := clock.Now()
				session, err := r.Open(t.Context(), &conchv1.OpenRequest{})
				if err != nil {
					t.Fatal(err)
				}
				answer, err := r.Acquire(t.Context(), &conchv1.AcquireRequest{Session: session.GetSession(), RequestId: "1", Lock: "x", AskedNs: int64(asked)})
				if err != nil {
					t.Fatal(err)
				}
				end := asked.Add(algo.Duration(answer.GetLease().GetLength().AsDuration()))
				believes = func() bool { return clock.Now() < end }
			} else {
				hold, err := dial(t, client.Config{Addr: addrs[0]}).Mutex("x").Lock(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				believes = func() bool { return hold.Context().Err() == nil }
				context.AfterFunc(hold.Context(), func() { hold.Unlock() }) // as a good program does
			}
			closed := make(chan error, 1)
			go func() { closed <- errors.Join(servers[0].Close(), peers[0].Close()) }()
			hold, err := peers[1].Mutex("x").Lock(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if believes() {
				t.Errorf("the next one enters with token %d, and the client believes to be inside", hold.Token())
			}
			if err := hold.Unlock(); err != nil {
				t.Error(err)
			}
			if err := <-closed; err != nil {
				t.Error(err)
			}
		})
	}
}
