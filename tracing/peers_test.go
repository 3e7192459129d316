package tracing_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/conchlock/conch"
	"github.com/conchlock/conch/client"
	"github.com/conchlock/conch/internal/local"
	"github.com/conchlock/conch/internal/service"
	"github.com/conchlock/conch/tracing"
	"github.com/conchlock/conch/view"
)

// addresses returns free loopback addresses for a and b.
func addresses(t *testing.T) conch.Peers {
	t.Helper()
	addrs := make(conch.Peers)
	for _, name := range []string{"a", "b"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // after both are chosen, so that none is chosen twice
		addrs[name] = l.Addr().String()
	}
	return addrs
}

// pair joins both, and returns a, and a client of b.
func pair(t *testing.T) (*conch.Peer, *client.Client) {
	t.Helper()
	addrs := addresses(t)
	join := func(name string) *conch.Peer {
		p, err := conch.Join(t.Context(), conch.Config{Name: name, Peers: addrs, TTL: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		return p
	}
	a, b := join("a"), join("b")
	dir, err := os.MkdirTemp("", "conch") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := local.ListenUnix(filepath.Join(dir, "b"))
	if err != nil {
		t.Fatal(err)
	}
	server := service.New(b)
	server.Serve(l)
	t.Cleanup(func() { server.Close() })
	c, err := client.Dial(t.Context(), client.Config{Addr: "unix:" + filepath.Join(dir, "b")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return a, c
}

// next has a caller wait for the lock, and the holder leave when it has been seen.
func next(t *testing.T, m *tracing.Mutex, unlock func() error) *tracing.Hold {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	seen, left := make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(left)
		select {
		case <-seen:
		case <-ctx.Done():
		}
		if err := unlock(); err != nil {
			t.Error(err)
		}
	}()
	hold, err := m.Lock(ctx, conch.WithProgress(func(place int, l view.Lock) {
		if place == 1 && l.Holder != nil {
			select {
			case seen <- struct{}{}:
			default:
			}
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	<-left
	return hold
}

// The wait is linked to the span of the hold that it waited for: from a peer to a client of
// another one, and back. A holder whose traceparent is none is named, and not linked.
func TestLinks(t *testing.T) {
	a, c := pair(t)
	provider, r := recorded()
	atA := tracing.New(a.Mutex("x"), tracing.Options{TracerProvider: provider})
	atB := tracing.New(c.Mutex("x"), tracing.Options{TracerProvider: provider})

	first, err := a.Mutex("x").Lock(t.Context(), conch.WithTrace("00-1-2-01"))
	if err != nil {
		t.Fatal(err)
	}
	want := func(peer string, holder *tracing.Hold) {
		t.Helper()
		wait := span(t, r, "conch.wait")
		if got := attributes(wait.Attributes()); got["conch.holder.peer"] != peer || got["conch.wait.holders"] != "1" || got["conch.wait.place"] != "1" {
			t.Errorf("attributes %v", got)
		}
		links := wait.Links()
		if holder == nil {
			if len(links) != 0 {
				t.Errorf("links to nobody's span: %+v", links)
			}
			return
		}
		held := trace.SpanContextFromContext(holder.Context())
		if len(links) != 1 || links[0].SpanContext.TraceID() != held.TraceID() || links[0].SpanContext.SpanID() != held.SpanID() {
			t.Errorf("links %+v, want one to %v", links, held)
		}
	}
	second := next(t, atB, first.Unlock)
	want("a", nil)
	if _, err := a.Ask(t.Context(), "x", "root@a", "the disk is needed"); err != nil {
		t.Fatal(err)
	}
	<-second.Asked()
	third := next(t, atA, second.Unlock)
	want("b", second)
	if e := span(t, r, "conch.lock").Events(); len(e) != 1 || e[0].Name != "asked" {
		t.Errorf("events of the hold that was asked: %+v", e)
	}
	fourth := next(t, atB, third.Unlock)
	want("a", third)
	if err := fourth.Unlock(); err != nil {
		t.Error(err)
	}
}
