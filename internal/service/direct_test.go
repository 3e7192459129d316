package service

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/conchlock/conch/internal/locker"
	"github.com/conchlock/conch/internal/mux"
	conchv1 "github.com/conchlock/conch/proto/conch/v1"
	"github.com/conchlock/conch/proto/conch/v1/conchv1connect"
)

const upgradeRequest = "POST " + mux.Path + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: Upgrade\r\nUpgrade: " + mux.Protocol + "\r\n\r\n"

// upgrade makes a connection that goes the short way.
func upgrade(t testing.TB, conn net.Conn) *mux.Client {
	t.Helper()
	in := bufio.NewReader(conn)
	if _, err := io.WriteString(conn, upgradeRequest); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(in, nil)
	if err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", answer, err)
	}
	return mux.NewClient(conn, in)
}

// directly makes one call.
func directly(ctx context.Context, c *mux.Client, procedure string, request, answer proto.Message) error {
	body, err := proto.Marshal(request)
	if err != nil {
		return err
	}
	if body, err = c.Call(ctx, procedure, body); err != nil {
		return err
	}
	return proto.Unmarshal(body, answer)
}

// Nobody is upgraded who does not ask for it, and no web page.
func TestUpgradeRefused(t *testing.T) {
	s := New(join(t))
	defer s.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Serve(l)
	swap := func(old, new string) string { return strings.Replace(upgradeRequest, old, new, 1) }
	for _, tt := range []struct{ name, request, want string }{
		{"as it should be", upgradeRequest, "101 Switching Protocols"},
		{"another protocol", swap("Upgrade: conch/1", "Upgrade: websocket"), "426 Upgrade Required"},
		{"a newer one", swap("Upgrade: conch/1", "Upgrade: conch/2"), "426 Upgrade Required"},
		{"none", swap("Connection: Upgrade\r\nUpgrade: conch/1\r\n", ""), "426 Upgrade Required"},
		{"GET", swap("POST", "GET"), "426 Upgrade Required"},
		{"elsewhere", swap(mux.Path, "/conch/2"), "404 Not Found"},
		{"a web page", swap("Content", "Origin: http://evil.example\r\nContent"), "403 Forbidden"},
		{"a web page that says less", swap("Content", "Sec-Fetch-Site: cross-site\r\nContent"), "403 Forbidden"},
		{"a name made to lead here", swap("Host: localhost", "Host: evil.example"), "403 Forbidden"},
	} {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, tt.request)
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || answer.Status != tt.want {
			t.Errorf("%s: %v, %v; want %s", tt.name, answer, err, tt.want)
		}
		conn.Close()
	}
}

// A call that is wrong is refused as it is over HTTP, and the connection stays.
func TestDirectRefuses(t *testing.T) {
	_, path := serve(t, join(t))
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	c := upgrade(t, conn)
	defer c.Close()
	for _, tt := range []struct {
		procedure string
		request   string
		code      connect.Code
		message   string
	}{
		{conchv1connect.LocksOpenProcedure, "\xff", connect.CodeInvalidArgument, "unmarshal message"},
		{conchv1connect.LocksAcquireProcedure, "\xff", connect.CodeInvalidArgument, "unmarshal message"},
		{conchv1connect.LocksAcquireProcedure, "", connect.CodeInvalidArgument, "request_id has 0 bytes"},
		{conchv1connect.LocksKeepAliveProcedure, "", connect.CodeNotFound, "open a new one"},
		{"/conch.v1.Locks/Steal", "", connect.CodeUnimplemented, "does not know the call /conch.v1.Locks/Steal"},
		{conchv1connect.PeersGetProcedure, "", connect.CodeUnimplemented, "does not know"},
		{"", "", connect.CodeUnimplemented, "does not know"},
	} {
		_, err := c.Call(t.Context(), tt.procedure, []byte(tt.request))
		var failed *mux.Failure
		if !errors.As(err, &failed) || connect.Code(failed.Code) != tt.code || !strings.Contains(failed.Message, tt.message) {
			t.Errorf("%s %q: %v, want %s, %q", tt.procedure, tt.request, err, tt.code, tt.message)
		}
	}
	var open conchv1.OpenResponse
	if err := directly(t.Context(), c, conchv1connect.LocksOpenProcedure, &conchv1.OpenRequest{}, &open); err != nil || open.GetSession() == "" {
		t.Errorf("%v, %v", &open, err)
	}
}

// A session whose program waits lives, until the connection ends: which it does when the
// program is stopped, too.
func TestConnectionEnds(t *testing.T) {
	peer := join(t)
	hold, err := peer.Mutex("x").Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Unlock()
	s, path := serve(t, peer)
	var clients []*mux.Client
	for range 2 {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		c := upgrade(t, conn)
		defer c.Close()
		var open conchv1.OpenResponse
		if err := directly(t.Context(), c, conchv1connect.LocksOpenProcedure, &conchv1.OpenRequest{Ttl: durationpb.New(ttlMin)}, &open); err != nil {
			t.Fatal(err)
		}
		go directly(t.Context(), c, conchv1connect.LocksAcquireProcedure, &conchv1.AcquireRequest{Session: open.GetSession(), RequestId: "1", Lock: "x"}, &conchv1.AcquireResponse{})
		clients = append(clients, c)
	}
	waiters := func(n int) func() bool {
		return func() bool { return peer.Status().Locks[0].Waiters == n }
	}
	eventually(t, "both wait", waiters(2))
	clients[0].Close()
	eventually(t, "one has ended", func() bool { return s.sessions.count() == 1 }) // the other one's TTL has passed before
	eventually(t, "one waits", waiters(1))
	clients[1].Close()
	eventually(t, "both have ended", func() bool { return s.sessions.count() == 0 })
}

// FuzzDirect lets a client say anything in any call that goes the short way. It wants an
// answer, at most one session more, and nothing held or wanted when the service has
// closed.
func FuzzDirect(f *testing.F) {
	for procedure, m := range map[string]proto.Message{
		"Open":      &conchv1.OpenRequest{Ttl: durationpb.New(time.Second), Label: "x"},
		"KeepAlive": &conchv1.KeepAliveRequest{Session: known, AskedNs: -1},
		"Acquire":   &conchv1.AcquireRequest{Session: known, RequestId: "1", Lock: "x", Wait: durationpb.New(time.Millisecond), AskedNs: 1},
		"Cancel":    &conchv1.CancelRequest{Session: known, RequestId: "held"},
		"Release":   &conchv1.ReleaseRequest{Session: known, Lock: "mine", Token: 1},
		"Close":     &conchv1.CloseRequest{Session: known},
	} {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(procedure, b)
	}
	f.Add("../Peers/Get", []byte{})
	peer := join(f)
	f.Fuzz(func(t *testing.T, procedure string, request []byte) {
		s := New(peer)
		mine, err := s.sessions.open(time.Hour, "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := mine.want("held", "mine", locker.Options{}); err != nil {
			t.Fatal(err)
		}
		near, far := net.Pipe()
		s.direct.Serve(far, bufio.NewReader(far))
		c := mux.NewClient(near, bufio.NewReader(near))
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Millisecond) // it hangs up
		defer cancel()
		procedure = "/conch.v1.Locks/" + procedure
		body := strings.ReplaceAll(string(request), known, mine.id)
		if _, err := c.Call(ctx, procedure[:min(len(procedure), 255)], []byte(body)); errors.Is(err, mux.ErrBroken) && len(body) <= maxMessage {
			t.Errorf("%s: %v", procedure, err)
		}
		c.Close()
		leavesNothing(t, s, mine, peer)
	})
}
