package service

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect/v2"

	"github.com/conchlock/conch/internal/locker"
	conchv1 "github.com/conchlock/conch/proto/conch/v1"
)

// A bad request is answered with what is wrong with it, and opens nothing.
func TestBadJSON(t *testing.T) {
	s := New(join(t))
	defer s.Close()
	const open, acquire = "/conch.v1.Locks/Open", "/conch.v1.Locks/Acquire"
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	io.WriteString(z, `{"label":"`+strings.Repeat("a", 1<<26)+`"}`)
	z.Close()
	for _, tt := range []struct {
		path, body    string
		header        []string
		status        int
		code, message string
	}{
		{open, "", nil, 400, "invalid_argument", "zero-length"},
		{open, "{", nil, 400, "invalid_argument", "unexpected"},
		{open, "[]", nil, 400, "invalid_argument", ""},
		{open, `{"ttl":"soon"}`, nil, 400, "invalid_argument", "soon"},
		{open, `{"ttl":"0.1s"}`, nil, 400, "invalid_argument", "ttl 100ms: use 1s to 1h"},
		{open, `{"ttl":"-1s"}`, nil, 400, "invalid_argument", "ttl -1s"},
		{open, `{"ttl":"315576000000s"}`, nil, 400, "invalid_argument", "use 1s to 1h"},
		{open, `{"label":"\u0000"}`, nil, 400, "invalid_argument", "cannot be printed"},
		{open, "{\"label\":\"\xff\"}", nil, 400, "invalid_argument", "UTF-8"},
		{open, `{"label":"` + strings.Repeat("a", 201) + `"}`, nil, 400, "invalid_argument", "at most 200"},
		{open, `{"label":"` + strings.Repeat("a", maxMessage) + `"}`, nil, 429, "resource_exhausted", "larger than configured max"},
		{open, bomb.String(), []string{"Content-Encoding", "gzip"}, 429, "resource_exhausted", "larger than configured max"},
		{open, "no gzip", []string{"Content-Encoding", "gzip"}, 400, "invalid_argument", "gzip"},
		{open, "{}", []string{"Content-Encoding", "rar"}, 501, "unimplemented", "rar"},
		{open, "{}", []string{"Connect-Protocol-Version", "0"}, 400, "invalid_argument", "Connect-Protocol-Version"},
		{open, "{}", []string{"Connect-Timeout-Ms", "soon"}, 400, "invalid_argument", "soon"},
		{acquire, "{}", nil, 400, "invalid_argument", "request_id has 0 bytes"},
		{acquire, `{"requestId":"1","lock":"x"}`, nil, 404, "not_found", "open a new one"},
		{acquire, `{"requestId":"1","lock":"x","wait":"-1s"}`, nil, 400, "invalid_argument", "cannot be negative"},
		{acquire, `{"requestId":"1","lock":"` + strings.Repeat("a", 201) + `"}`, nil, 400, "invalid_argument", "lock name"},
		{"/conch.v1.Locks/Cancel", `{"requestId":"` + strings.Repeat("a", maxRequestID+1) + `"}`, nil, 400, "invalid_argument", "request_id has 65 bytes"},
		{"/conch.v1.Locks/Release", `{"token":"-1"}`, nil, 400, "invalid_argument", "token"},
		{"/conch.v1.Locks/Steal", "{}", nil, 501, "unimplemented", "Steal"},
	} {
		w := post(s, tt.path, "application/json", tt.body, tt.header...)
		if f := failed(t, w); w.Code != tt.status || f.Code != tt.code || !strings.Contains(f.Message, tt.message) {
			t.Errorf("%s %.60q %v: HTTP status %d, %+v; want %d, %s, %q", tt.path, tt.body, tt.header, w.Code, f, tt.status, tt.code, tt.message)
		}
	}
	for _, tt := range []struct {
		path, contentType string
		status            int
	}{
		{"/conch.v1.Locks/Open", "text/plain", http.StatusUnsupportedMediaType},
		{"/conch.v0.Locks/Open", "application/json", http.StatusNotFound},
		{"/", "application/json", http.StatusNotFound},
	} {
		if w := post(s, tt.path, tt.contentType, "{}"); w.Code != tt.status {
			t.Errorf("%s as %s: HTTP status %d, want %d", tt.path, tt.contentType, w.Code, tt.status)
		}
	}
	if n := s.sessions.count(); n != 0 {
		t.Errorf("bad requests have opened %d sessions", n)
	}
	// A newer client may say more than is understood.
	if w := post(s, open, "application/json", `{"ttl":"1s","colour":"red"}`); w.Code != 200 {
		t.Errorf("a newer client: HTTP status %d, %s", w.Code, w.Body)
	}
}

// There is a limit to what one session wants, and to how many there are.
func TestLimits(t *testing.T) {
	peer := join(t)
	server, path := serve(t, peer)
	calls := lockCalls(t, path)
	s, err := server.sessions.open(time.Hour, "")
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxWishes {
		if _, err := s.want(fmt.Sprint(i), "x", locker.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	_, err = calls.Acquire(t.Context(), &conchv1.AcquireRequest{Session: s.id, RequestId: "more", Lock: "x"})
	if connect.CodeOf(err) != connect.CodeResourceExhausted {
		t.Errorf("one wish more: %v", err)
	}
	for i := range 2 * maxRefused {
		s.cancelWish(fmt.Sprint("never", i))
	}
	if n := len(s.refused) + len(s.older); n > maxRefused {
		t.Errorf("%d wishes that never came are remembered", n)
	}
	if _, err := s.want(fmt.Sprint("never", 2*maxRefused-maxRefused/2), "x", locker.Options{}); !errors.Is(err, errGivenUp) {
		t.Errorf("one of the last that were given up: %v", err)
	}
	s.end(false)
	server.sessions.wishes.Wait()
	server.sessions.mu.Lock()
	if n := server.sessions.waits; n != 0 {
		t.Errorf("%d wishes are open, and all were given up", n)
	}
	server.sessions.waits = maxWaits - 1
	server.sessions.mu.Unlock()
	other, err := server.sessions.open(time.Hour, "")
	if err != nil {
		t.Fatal(err)
	}
	hold, err := peer.Mutex("y").Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.want("1", "y", locker.Options{}); err != nil {
		t.Error(err)
	}
	_, err = calls.Acquire(t.Context(), &conchv1.AcquireRequest{Session: other.id, RequestId: "2", Lock: "y"})
	if connect.CodeOf(err) != connect.CodeResourceExhausted {
		t.Errorf("too many that wait: %v", err)
	}
	if err := hold.Unlock(); err != nil {
		t.Error(err)
	}
	other.end(false)
	for server.sessions.count() < maxSessions {
		if _, err := server.sessions.open(time.Hour, ""); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := calls.Open(t.Context(), &conchv1.OpenRequest{}); connect.CodeOf(err) != connect.CodeResourceExhausted {
		t.Errorf("one session more: %v", err)
	}
}

// A moment without file descriptors is survived.
func TestAcceptFails(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := New(join(t))
	s.Serve(&failing{Listener: l, times: 4, err: &net.OpError{Op: "accept", Err: syscall.EMFILE}})
	answer, err := http.Post(fmt.Sprintf("http://%s/conch.v1.Locks/Open", l.Addr()), "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != 200 {
		t.Errorf("HTTP status %s", answer.Status)
	}
	http.DefaultClient.CloseIdleConnections()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// pipes is a listener without a network, for tests in which time is not real.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newPipes() *pipes {
	return &pipes{make(chan net.Conn), make(chan struct{})}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// Who does not say what it wants, or says it without end, is cut off in time.
func TestSlowClients(t *testing.T) {
	peer := join(t)
	const head = "POST /conch.v1.Locks/Open HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
	const h2 = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00" // the preface and empty settings
	for _, tt := range []struct {
		name, first, more string // more comes every second
		most              time.Duration
		answer            string
	}{
		{"says nothing", "", "", headerTime, ""},
		{"headers drop by drop", head, "x: y\r\n", headerTime, ""},
		{"headers without end", head + strings.Repeat("x: "+strings.Repeat("y", 1000)+"\r\n", 2*maxMessage/1000), "", headerTime, "431"},
		{"body drop by drop", head + "Content-Length: 100\r\n\r\n", " ", arriveTime, "504 Gateway Timeout"},
		{"body that does not come", head + "Transfer-Encoding: chunked\r\n\r\n", "", arriveTime, "504 Gateway Timeout"},
		{"no more calls", head + "Content-Length: 2\r\n\r\n{}", "", idleTime, "200 OK"},
		{"no HTTP at all", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "", headerTime, "400"},
		{"HTTP/2 that is stopped", h2, "", 2 * silenceTime, ""},
		{"HTTP/2 that is none", h2 + "\xff\xff\xff\xff\xff\xff\xff\xff\xff", "", headerTime, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := New(peer)
				l := newPipes()
				s.Serve(l)
				near, far := net.Pipe()
				l.conns <- far
				began := time.Now()
				said := make(chan struct{})
				go func() {
					defer close(said)
					if _, err := io.WriteString(near, tt.first); err != nil {
						return
					}
					for range time.Tick(time.Second) {
						if _, err := io.WriteString(near, tt.more); err != nil {
							return
						}
					}
				}()
				answer, _ := io.ReadAll(near)
				if took := time.Since(began); took > tt.most+2*time.Second {
					t.Errorf("cut off after %s", took)
				}
				if !strings.Contains(string(answer), tt.answer) {
					t.Errorf("answered %q", answer)
				}
				near.Close()
				<-said
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
