package conch_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/conchlock/conch"
)

// watcher keeps what an Observer is told.
type watcher struct {
	mu     sync.Mutex
	joined []*conch.Peer
	events []conch.Event
}

func (w *watcher) Joined(p *conch.Peer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.joined = append(w.joined, p)
}

func (w *watcher) Observe(e conch.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
}

// of returns the events of one kind.
func (w *watcher) of(kind conch.EventKind) (list []conch.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if e.Kind == kind {
			list = append(list, e)
		}
	}
	return list
}

// observed joins peer a, with others; a has an observer and a trace, whose path is
// returned.
func observed(t *testing.T, others ...string) (*conch.Peer, *watcher, string) {
	t.Helper()
	addrs, w, dir := addresses(t, 1+len(others)), &watcher{}, t.TempDir()
	a, err := conch.Join(t.Context(), conch.Config{Name: "a", Peers: addrs, Observer: w, TraceDir: dir, TTL: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	var peers []*conch.Peer
	for _, name := range others {
		p, err := conch.Join(t.Context(), conch.Config{Name: name, Peers: addrs, TTL: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		peers = append(peers, p)
	}
	for _, p := range peers {
		for range 3 {
			if err := p.Mutex("x").Do(t.Context(), func(context.Context, conch.Token) error { return nil }); err != nil {
				t.Fatal(err)
			}
		}
	}
	return a, w, filepath.Join(dir, "a.ndjson")
}

// An observer is told what the trace has: both come from one source.
func TestObserverSeesTheTrace(t *testing.T) {
	a, w, path := observed(t, "b", "c")
	for range 5 {
		if err := a.Mutex("x").Do(t.Context(), func(context.Context, conch.Token) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if len(w.joined) != 1 || w.joined[0] != a {
		t.Errorf("joined are %v", w.joined)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for event, kind := range map[string]conch.EventKind{
		"enter": conch.Entered, "exit": conch.Exited, "lost": conch.LostHold, "send": conch.Sent, "receive": conch.Received,
		"drop": conch.Dropped, "link-up": conch.LinkUp, "link-down": conch.LinkDown,
	} {
		if traced, seen := strings.Count(string(text), `"event":"`+event+`"`), len(w.of(kind)); traced != seen {
			t.Errorf("%s: %d in the trace, and the observer was told of %d", event, traced, seen)
		}
	}
	if sent, received, entered := w.of(conch.Sent), w.of(conch.Received), w.of(conch.Entered); len(sent) == 0 || len(received) == 0 || len(entered) != 5 {
		t.Fatalf("%d sent, %d received, %d entered", len(sent), len(received), len(entered))
	} else if sent[0].Message == "" || sent[0].Peer == "a" || received[0].Peer == "a" || entered[0].Lock != "x" || entered[0].Took <= 0 {
		t.Errorf("sent %+v, received %+v, entered %+v", sent[0], received[0], entered[0])
	}
	if exits := w.of(conch.Exited); exits[0].Took <= 0 || exits[0].Took > time.Minute {
		t.Errorf("exited %+v", exits[0])
	}
}

// Waiting counts for each caller: those that wait for others at their own peer, and
// those that give up.
func TestObserverSeesWaits(t *testing.T) {
	a, w, _ := observed(t)
	mutex := a.Mutex("x")
	hold, err := mutex.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := mutex.Lock(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the second caller gets %v", err)
	}
	if _, err := mutex.TryLock(t.Context()); !errors.Is(err, conch.ErrNotAcquired) {
		t.Errorf("the third caller gets %v", err)
	}
	var callers sync.WaitGroup
	callers.Go(func() {
		if hold, err := mutex.Lock(t.Context()); err == nil {
			hold.Unlock()
		}
	})
	for a.Status().Locks[0].Waiters == 0 && t.Context().Err() == nil {
		runtime.Gosched()
	}
	began := time.Now()
	a.Status() // which takes a little
	waited := time.Since(began)
	hold.Unlock()
	callers.Wait()

	if gave := w.of(conch.GaveUp); len(gave) != 1 || gave[0].Lock != "x" || gave[0].Took < 20*time.Millisecond {
		t.Errorf("gave up %+v", gave)
	}
	if entered := w.of(conch.Entered); len(entered) != 2 || entered[1].Took < waited {
		t.Errorf("entered %+v, waited %v", entered, waited)
	}
	if exits := w.of(conch.Exited); len(exits) != 2 || exits[0].Took < waited {
		t.Errorf("exited %+v, waited %v", exits, waited)
	}
	if handed := w.of(conch.HandedOver); len(handed) != 1 || handed[0].Took <= 0 || handed[0].Took > time.Since(began) {
		t.Errorf("handed over %+v", handed)
	}
}
