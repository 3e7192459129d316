package service

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/conchlock/conch"
	"github.com/conchlock/conch/internal/locker"
	conchv1 "github.com/conchlock/conch/proto/conch/v1"
)

// known is what a fuzzed request can put the session's name for: as long as a real
// one, so that it fits in protobuf, too.
const known = "SESSION-OF-THE-FUZZER-2345"

// FuzzLocks lets a client say anything, in each of the encodings, to each of the
// calls. It wants an answer, no panic, and at most one session more; and when the
// service has closed, nothing is held or wanted.
func FuzzLocks(f *testing.F) {
	json := func(path, body string) { f.Add(path, "application/json", []byte(body)) }
	json("Open", `{"ttl":"1.5s","label":"x"}`)
	json("KeepAlive", `{"session":"`+known+`","askedNs":"9223372036854775807"}`)
	json("Acquire", `{"session":"`+known+`","requestId":"1","lock":"x","wait":"0.01s"}`)
	json("Acquire", `{"session":"`+known+`","requestId":"held","lock":"mine","try":true,"askedNs":"-1"}`)
	json("Cancel", `{"session":"`+known+`","requestId":"held"}`)
	json("Release", `{"session":"`+known+`","lock":"mine","token":"1"}`)
	json("Close", `{"session":"`+known+`"}`)
	for path, m := range map[string]proto.Message{
		"Open":    &conchv1.OpenRequest{Ttl: durationpb.New(time.Second), Label: "x"},
		"Acquire": &conchv1.AcquireRequest{Session: known, RequestId: "1", Lock: "x", Wait: durationpb.New(time.Millisecond), AskedNs: 1},
		"Release": &conchv1.ReleaseRequest{Session: known, Lock: "mine", Token: 1 << 63},
	} {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(path, "application/proto", b)
		framed := append([]byte{0, 0, 0, 0, byte(len(b))}, b...)
		for _, kind := range []string{"application/grpc", "application/grpc+proto", "application/grpc-web+proto"} {
			f.Add(path, kind, framed)
		}
	}
	f.Add("Open", "application/grpc+json", []byte("\x00\x00\x00\x00\x02{}"))
	f.Add("Open", "application/grpc", []byte{1, 0xff, 0xff, 0xff, 0xff})
	f.Add("../Peers/Get", "application/json", []byte("{}"))
	f.Add("/grpc.health.v1.Health/Check", "application/json", []byte(`{"service":"x"}`))

	peer := join(f)
	f.Fuzz(func(t *testing.T, path, kind string, body []byte) {
		s := New(peer)
		mine, err := s.sessions.open(time.Hour, "")
		if err != nil {
			t.Fatal(err)
		}
		w, err := mine.want("held", "mine", locker.Options{})
		if err != nil {
			t.Fatal(err)
		}
		<-w.done
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Millisecond) // it hangs up
		defer cancel()
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, "http://localhost/", strings.NewReader(strings.ReplaceAll(string(body), known, mine.id)))
		r.URL.Path = "/conch.v1.Locks/" + path
		if strings.HasPrefix(path, "/") {
			r.URL.Path = path
		}
		if strings.HasPrefix(kind, "application/grpc") {
			r.ProtoMajor, r.ProtoMinor, r.Proto = 2, 0, "HTTP/2.0"
		}
		r.Header.Set("Content-Type", kind)
		answer := httptest.NewRecorder()
		answer.Code = 0
		s.http.Handler.ServeHTTP(answer, r)
		if answer.Code == 0 {
			t.Errorf("%s, %s: no answer", path, kind)
		}
		leavesNothing(t, s, mine, peer)
	})
}

// leavesNothing ends a service that has had one session, and wants that a request has made
// one more at most, and left nothing held or wanted.
func leavesNothing(t *testing.T, s *Server, mine *session, peer *conch.Peer) {
	t.Helper()
	if n := s.sessions.count(); n > 2 {
		t.Errorf("%d sessions", n)
	}
	mine.end(false) // else Close waits for what was told of its leases
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if n := s.sessions.count(); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
	for _, l := range peer.Status().Locks {
		if l.Held || l.Waiters > 0 {
			t.Errorf("left behind: %+v", l)
		}
	}
}
