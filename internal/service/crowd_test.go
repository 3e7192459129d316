package service

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	conchv1 "github.com/conchlock/conch/proto/conch/v1"
)

// say writes a JSON call to a new connection, which a client may then abandon.
func say(t *testing.T, socket, path, body string) net.Conn {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: any\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body); err != nil {
		t.Fatal(err)
	}
	return conn
}

// request makes a JSON call over a connection of its own.
func request(t *testing.T, socket, path, body string) (status int, answer string) {
	t.Helper()
	conn := say(t, socket, path, body)
	defer conn.Close()
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(text)
}

// eventually waits until something holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for !holds() {
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatalf("%s: never", what)
		}
	}
}

// used is how much of the heap is in use, with nothing to be collected.
func used() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// Clients that open a session and die leave nothing behind: some while they wait,
// some with what they hold.
func TestClientsDie(t *testing.T) {
	clients := 10_000
	if testing.Short() {
		clients = 1000
	}
	peer := join(t)
	s, path := serve(t, peer)
	hold, err := peer.Mutex("held").Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	before, goroutines := used(), runtime.NumGoroutine()
	for i := range clients {
		status, answer := request(t, path, "/conch.v1.Locks/Open", `{"ttl":"1s","label":"`+strings.Repeat("x", 200)+`"}`)
		var opened struct{ Session string }
		if err := json.Unmarshal([]byte(answer), &opened); err != nil || status != 200 {
			t.Fatalf("HTTP status %d, %s: %v", status, answer, err)
		}
		lock := "held"
		switch i % 10 {
		default:
			continue
		case 1:
			lock = fmt.Sprint("own", i)
		case 2:
		}
		conn := say(t, path, "/conch.v1.Locks/Acquire", fmt.Sprintf(`{"session":%q,"requestId":"1","lock":%q}`, opened.Session, lock))
		conn.Close()
	}
	eventually(t, "all sessions end", func() bool { return s.sessions.count() == 0 })
	eventually(t, "nobody waits any more", func() bool {
		for _, l := range peer.Status().Locks {
			if l.Waiters > 0 || l.Name != "held" && l.Held {
				return false
			}
		}
		return true
	})
	eventually(t, "their goroutines end", func() bool { return runtime.NumGoroutine() < goroutines+10 })
	if err := hold.Unlock(); err != nil {
		t.Error(err)
	}
	// What stays is what each lock that was ever used costs, under 100 bytes, and the
	// room that maps keep.
	eventually(t, "memory comes back", func() bool { return used()-before < clients*400 })
	t.Logf("%d clients have left %d bytes each", clients, (used()-before)/clients)
	if _, err := lockCalls(t, path).Open(t.Context(), &conchv1.OpenRequest{}); err != nil {
		t.Error(err)
	}
}

// Many who wait and are given up at once: each is answered, and the lock is free.
func TestAllGiveUp(t *testing.T) {
	peer := join(t)
	s, path := serve(t, peer)
	calls := lockCalls(t, path)
	hold, err := peer.Mutex("x").Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	open, err := calls.Open(t.Context(), &conchv1.OpenRequest{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	answers := make(chan error)
	for i := range 1000 {
		go func() {
			_, err := calls.Acquire(ctx, &conchv1.AcquireRequest{Session: open.GetSession(), RequestId: fmt.Sprint(i), Lock: "x"})
			answers <- err
		}()
	}
	waiting := func(n int) func() bool {
		return func() bool {
			for _, l := range peer.Status().Locks {
				if l.Name == "x" {
					return l.Waiters == n
				}
			}
			return false
		}
	}
	eventually(t, "all wait", waiting(1000))
	cancel()
	for range 1000 {
		if err := <-answers; err == nil {
			t.Error("a wish that was given up is granted")
		}
	}
	if _, err := calls.Close(t.Context(), &conchv1.CloseRequest{Session: open.GetSession()}); err != nil {
		t.Error(err)
	}
	eventually(t, "nobody waits", waiting(0))
	if n := s.sessions.count(); n != 0 {
		t.Errorf("%d sessions", n)
	}
	if err := hold.Unlock(); err != nil {
		t.Error(err)
	}
}
