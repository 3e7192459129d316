package link

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/node"
)

// nobody is a carrier whose dials are counted, and fail.
type nobody struct{ dials atomic.Int64 }

func (n *nobody) Dial(context.Context, algo.PeerName, string) (Stream, error) {
	n.dials.Add(1)
	return nil, errors.New("nobody is there")
}

func (n *nobody) Where(algo.PeerName) string { return "" }

// deaf hears little more than why a peer is down.
type deaf struct {
	node.Handler
	mu      sync.Mutex
	reason  string
	dropped int // calls
}

func (d *deaf) Down(_ algo.PeerName, reason string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reason = reason
}

func (d *deaf) Contact(node.Contact) {}

func (d *deaf) Dropped(algo.PeerName, []node.Packet) { d.dropped++ }

func (d *deaf) why() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.reason
}

// alone starts v, a voter of an open cluster of which nobody else is there.
func alone(t *testing.T) (*Transport, *nobody, *deaf) {
	t.Helper()
	carrier, handler := &nobody{}, &deaf{}
	tr, err := New(Config{Self: "v", Incarnation: 1, Open: true, Votes: map[algo.PeerName]int{"v": 1, "w": 1}, TTL: time.Second}, carrier)
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.Start(handler); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tr.Close() })
	return tr, carrier, handler
}

// stream returns one on which a peer has said hello.
func stream(tr *Transport, from algo.PeerName) *incoming {
	ctx, cancel := context.WithCancelCause(tr.ctx)
	return &incoming{t: tr, ctx: ctx, cancel: cancel, wake: make(chan struct{}, 1), peer: tr.peer(from), incarnation: 1}
}

// A peer of which nobody has said where it is is not dialed, even where there is
// a voter's chance that it comes; it is as soon as somebody has.
func TestNoAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, carrier, handler := alone(t)
		<-time.After(time.Hour)
		tr.Retry("w")
		<-time.After(time.Hour)
		if n := carrier.dials.Load(); n != 0 || handler.why() != "nobody has said yet where w is" {
			t.Errorf("%d dials, and the reason is %q", n, handler.why())
		}
		tr.Locate("w", "there")
		synctest.Wait()
		if n := carrier.dials.Load(); n != 1 || handler.why() != "cannot reach w at there: nobody is there" {
			t.Errorf("%d dials, and the reason is %q", n, handler.why())
		}
	})
}

// What is said of a peer before it is added counts once it is; Remove forgets.
func TestLocateBeforeAdd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, carrier, handler := alone(t)
		tr.Locate("g", "there")
		tr.Add("g")
		synctest.Wait()
		if n := carrier.dials.Load(); n != 1 {
			t.Errorf("%d dials, want one at once", n)
		}
		tr.Remove("g")
		tr.Add("g")
		synctest.Wait()
		if n := carrier.dials.Load(); n != 1 || handler.why() != "nobody has said yet where g is" {
			t.Errorf("%d dials, and the reason is %q", n, handler.why())
		}
	})
}

// A peer that rests is dialed seldom, and one that is said to be back at once.
func TestRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, carrier, _ := alone(t)
		tr.Locate("w", "there")
		during := func(d time.Duration) int64 {
			before := carrier.dials.Load()
			<-time.After(d)
			synctest.Wait()
			return carrier.dials.Load() - before
		}
		for name, ends := range map[string]func(){
			"Retry":  func() { tr.Retry("w") },
			"Locate": func() { tr.Locate("w", "elsewhere") },
			"Rest":   func() { tr.Rest("w", false) },
			"a stream from it": func() {
				if err := tr.peer("w").greet(stream(tr, "w")); err != nil {
					t.Error(err)
				}
			},
		} {
			during(time.Minute)
			if n := during(time.Hour); n < 1800 || n > 3600 {
				t.Errorf("%d attempts in an hour, want one every 1 to 2 seconds", n)
			}
			tr.Rest("w", true)
			during(5 * time.Minute)
			if n := during(time.Hour); n < 120 || n > 240 {
				t.Errorf("%d attempts in an hour of rest, want one every 15 to 30 seconds", n)
			}
			ends()
			if n := during(0); n != 1 {
				t.Errorf("%s: %d attempts at once, want one", name, n)
			}
			if n := during(time.Hour); n < 1800 {
				t.Errorf("%s: %d attempts in the hour after the rest", name, n)
			}
		}
	})
}

// Names that come and go leave nothing behind but a number.
func TestForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, _, _ := alone(t)
		for i := range 1000 {
			name := algo.PeerName(fmt.Sprintf("g%d", i))
			tr.Locate(name, "there")
			if i%3 > 0 {
				tr.Add(name)
			}
			if i%3 > 1 {
				synctest.Wait()
			}
			tr.Rest(name, true)
			tr.Remove(name)
			tr.Retry(name)
			tr.Rest(name, false)
		}
		if len(tr.peers) != 1 || len(tr.addrs) != 0 {
			t.Errorf("%d peers and %d addresses are left, want the other voter", len(tr.peers), len(tr.addrs))
		}
	})
}

// Peers may be added and removed by many at once, and while all is closed.
func TestCloseWhileChanging(t *testing.T) {
	tr, _, _ := alone(t)
	var changing sync.WaitGroup
	for i := range 4 {
		changing.Go(func() {
			for j := range 200 {
				name := algo.PeerName(fmt.Sprintf("g%d", (i+j)%3))
				tr.Locate(name, "there")
				tr.Add(name)
				tr.Remove(name)
				if i == 0 && j == 100 {
					tr.Close()
				}
			}
		})
	}
	changing.Wait()
	if len(tr.peers) != 1 {
		t.Errorf("%d peers are left", len(tr.peers))
	}
}

// Who still knows a peer that is gone gets nowhere with it.
func TestGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, _, handler := alone(t)
		tr.Add("g")
		p := tr.peer("g")
		p.mu.Lock()
		p.newLinkLocked(1)
		link := p.link
		p.mu.Unlock()
		link.Send(node.Packet{Number: 1})
		tr.Remove("g")
		if handler.dropped != 1 {
			t.Error("what waited was not told to be dropped")
		}
		link.Send(node.Packet{Number: 2})
		if len(p.dropped) > 0 || link.queue.len() > 0 {
			t.Error("what is sent to who is gone is kept")
		}
		in := stream(tr, "g")
		in.peer = p
		var refusal *Refusal
		if err := p.greet(in); !errors.As(err, &refusal) || refusal.Cause != CauseUnknown {
			t.Errorf("a stream from who is gone is answered with %v", err)
		}
	})
}

func TestOpenNamesVotersOnly(t *testing.T) {
	_, err := New(Config{Self: "v", Incarnation: 1, Open: true, Votes: map[algo.PeerName]int{"v": 0, "w": 0}, TTL: time.Second}, &nobody{})
	if err == nil {
		t.Error("a peer that is there for ever has no vote, in a cluster where such peers come and go")
	}
}

// Sessions of a peer that was removed, of all its incarnations, are not used
// again with the next ones of that name.
func TestFloor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, _, _ := alone(t)
		tr.Add("g")
		p := tr.peer("g")
		meet := func(incarnation algo.Incarnation, floor uint64) error {
			h := p.hello()
			h.From, h.To, h.Incarnation, h.Known, h.KnownProcess, h.Floor = "g", "v", incarnation, 1, tr.process, floor
			return p.welcome(&outgoing{peer: p, ctx: t.Context()}, h)
		}
		want := func(session uint64) {
			t.Helper()
			if p.session != session {
				t.Errorf("the session is %d, want %d", p.session, session)
			}
		}
		want(1)
		meet(1, 8) // whether it was heard, the session shows
		want(9)
		meet(2, 0)
		want(1)
		tr.Remove("g")
		tr.Add("g")
		p = tr.peer("g")
		want(10)
		meet(1, 0)
		want(10)
		if err := meet(2, maxSession); err == nil {
			t.Error("somebody has had more sessions than there are")
		}
	})
}
