package board

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/node"
	"github.com/conchlock/conch/internal/viewcodec"
	"github.com/conchlock/conch/view"
)

// fake is a peer that knows what a test says, and reaches the others by memory.
type fake struct {
	name algo.PeerName
	all  map[algo.PeerName]*fake

	mu      sync.Mutex
	reports map[string]Report // by lock; "" is all
	changed chan struct{}
	moved   chan struct{}
	down    map[algo.PeerName]string // why
	turned  map[algo.PeerName]time.Time
	life    int    // what was asked of an earlier one is never answered any more
	deaf    bool   // it does not answer
	refuses string // it answers so
	steered []node.Wish
	lost    bool // nobody there holds anything any more
	follows int
}

func fakes(names ...algo.PeerName) map[algo.PeerName]*fake {
	all := make(map[algo.PeerName]*fake)
	for _, name := range names {
		all[name] = &fake{name: name, all: all, reports: map[string]Report{}, changed: make(chan struct{}), moved: make(chan struct{}), down: map[algo.PeerName]string{}, turned: map[algo.PeerName]time.Time{}}
	}
	return all
}

func (f *fake) say(sights ...node.Sight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.reports)
	f.reports[""] = Report{Locks: sights}
	for _, s := range sights {
		f.reports[s.Name] = Report{Locks: []node.Sight{s}}
	}
	close(f.changed)
	f.changed = make(chan struct{})
}

// lose takes the link to a peer down or, without a reason, up.
func (f *fake) lose(peer algo.PeerName, why string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down[peer], f.turned[peer] = why, time.Now()
	close(f.moved)
	f.moved = make(chan struct{})
}

func (f *fake) Look(lock string) Report {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reports[lock]
}

func (f *fake) Changed(string) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed
}

func (f *fake) Steer(lock string, w node.Wish) (*node.HoldSight, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.steered = append(f.steered, w)
	if f.lost {
		return nil, nil
	}
	told := *f.reports[lock].Locks[0].Hold
	told.Lease /= 2 // it has changed since it was looked at
	return &told, nil
}

func (f *fake) Peers() (list []node.PeerStatus) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name := range f.all {
		if name != f.name {
			list = append(list, node.PeerStatus{Name: name, Up: f.down[name] == "", Reason: f.down[name], Since: f.turned[name]})
		}
	}
	slices.SortFunc(list, func(a, b node.PeerStatus) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return list
}

func (f *fake) PeersChanged() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.moved
}

func (f *fake) lives() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.life
}

// restart has a fake begin a new life without a word: as a machine that loses its power.
func (f *fake) restart() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.life++
}

// Watch implements Carrier, for calls from others.
func (f *fake) Watch(ctx context.Context, peer algo.PeerName, lock string, tell func(Report)) error {
	f.mu.Lock()
	to, refuses := f.all[peer], f.all[peer].refuses
	f.follows++
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.follows--
		f.mu.Unlock()
	}()
	switch {
	case to.deaf:
		<-ctx.Done()
		return ctx.Err()
	case refuses != "":
		return errors.New(refuses)
	}
	life := to.lives()
	return Follow(ctx, to, lock, func(r Report) error {
		if to.lives() == life {
			tell(r)
		}
		return nil
	})
}

func (c carrier) Steer(ctx context.Context, peer algo.PeerName, lock string, w node.Wish) (*node.HoldSight, error) {
	if c.all[peer].deaf {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return c.all[peer].Steer(lock, w)
}

// carrier is a fake as a Carrier: both have a method Steer.
type carrier struct{ *fake }

func held(lock string, token algo.Token, lease time.Duration) node.Sight {
	return node.Sight{Name: lock, Hold: &node.HoldSight{Token: token, For: time.Minute, Lease: lease}}
}

func waits(lock string, stamp algo.Time, labels ...string) node.Sight {
	s := node.Sight{Name: lock, Stamp: stamp, WaitsFor: []algo.PeerName{"a"}}
	for _, l := range labels {
		s.Waiters = append(s.Waiters, node.WaiterSight{About: node.About{Label: l}})
	}
	return s
}

// look starts a board for a, and has it look once.
func look(t *testing.T, all map[algo.PeerName]*fake, lock string) view.View {
	t.Helper()
	b := New("a", all["a"], carrier{all["a"]})
	defer b.Close()
	v, err := b.Look(t.Context(), lock)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func labels(l view.Lock) (list []string) {
	for _, w := range l.Waiters {
		list = append(list, w.Label)
	}
	return list
}

// The queue is in the order of stamps; a peer's second caller goes behind the first of
// all others, and those at the holder's peer ask when it has left.
func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := fakes("a", "b", "c")
		all["a"].say(waits("x", 7, "a1", "a2", "a3"))
		b := held("x", 5, time.Second)
		b.Waiters = waits("x", 0, "b1", "b2").Waiters
		all["b"].say(b)
		all["c"].say(waits("x", 4, "c1"), waits("y", 9, "c2"))
		v := look(t, all, "")
		if len(v.Locks) != 2 || len(v.Silent) != 0 {
			t.Fatalf("%+v", v)
		}
		x := v.Lock("x")
		if got, want := fmt.Sprint(labels(x)), "[c1 a1 b1 a2 b2 a3]"; got != want {
			t.Errorf("the queue is %s, want %s", got, want)
		}
		if x.Holder == nil || x.Holder.Peer != "b" || x.Holder.Token != 5 || v.At.Sub(x.Holder.Since) != time.Minute || x.Holder.Deadline.Sub(v.At) != time.Second {
			t.Errorf("the holder is %+v", x.Holder)
		}
		if len(x.Waiters[0].WaitsFor) != 1 || len(x.Waiters[3].WaitsFor) != 0 {
			t.Errorf("who waits for whom: %+v", x.Waiters)
		}
		if y := v.Lock("y"); y.Holder != nil || len(y.Waiters) != 1 {
			t.Errorf("y is %+v", y)
		}
	})
}

// What a silent peer said last is shown as that, until it cannot be so any more.
func TestSilentHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := fakes("a", "b", "c")
		all["b"].say(held("x", 5, 3*time.Second))
		all["c"].say(node.Sight{Name: "x", LentTo: "b", LentFor: 4 * time.Second}, waits("y", 1, "c1"))
		board := New("a", all["a"], carrier{all["a"]})
		defer board.Close()
		views := make(chan view.View, 100)
		go board.Watch(t.Context(), "x", func(v view.View) error {
			views <- v
			return nil
		})
		if v := <-views; v.Lock("x").Holder == nil || v.Lock("x").Holder.Silent {
			t.Fatalf("%+v", v)
		}
		all["a"].lose("b", "it is gone")
		v := <-views
		x := v.Lock("x")
		if x.Holder == nil || !x.Holder.Silent || len(v.Silent) != 1 || v.Silent[0].Reason != "it is gone" {
			t.Errorf("%+v", v)
		}
		if _, err := board.Steer(t.Context(), "x", node.Wish{By: "me", End: true}); !errors.Is(err, ErrSilent) {
			t.Errorf("a silent holder was told: %v", err)
		}
		time.Sleep(3*time.Second + pace)
		v, err := board.Look(t.Context(), "x")
		if err != nil {
			t.Fatal(err)
		}
		if x := v.Lock("x"); x.Holder != nil || x.Lent == nil || x.Lent.Peer != "b" {
			t.Errorf("after its lease: %+v", x)
		}
		if _, err := board.Steer(t.Context(), "x", node.Wish{By: "me", End: true}); !errors.Is(err, ErrSilent) {
			t.Errorf("who may hold it was told: %v", err)
		}
		if len(all["b"].steered) != 0 {
			t.Error("somebody was told")
		}
	})
}

// What was asked of a peer before its link went down is asked again when it is up: a
// connection may be dead, and nobody says so.
func TestDeadConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := fakes("a", "b")
		all["b"].say(held("x", 5, time.Hour))
		board := New("a", all["a"], carrier{all["a"]})
		defer board.Close()
		var last view.View
		go board.Watch(t.Context(), "x", func(v view.View) error {
			last = v
			return nil
		})
		time.Sleep(time.Second)
		all["b"].restart()
		all["b"].say(held("x", 6, time.Hour))
		time.Sleep(time.Second)
		all["a"].lose("b", "no heartbeat")
		time.Sleep(time.Second)
		all["a"].lose("b", "")
		time.Sleep(time.Second)
		synctest.Wait()
		if h := last.Lock("x").Holder; h == nil || h.Token != 6 || h.Silent {
			t.Errorf("the holder is %+v", h)
		}
		if n := all["a"].follows; n != 1 {
			t.Errorf("b is asked by %d", n)
		}
	})
}

// Lists in JSON are lists, also if they are empty: scripts go through them.
func TestJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := fakes("a")
		for _, sights := range [][]node.Sight{nil, {held("x", 1, 0)}} {
			all["a"].say(sights...)
			v := look(t, all, "")
			told := viewcodec.Decode(viewcodec.Encode(&v))
			for _, v := range []view.View{v, told} {
				if text, err := json.Marshal(v); err != nil || strings.Contains(string(text), "null") {
					t.Errorf("%s, %v", text, err)
				}
			}
		}
	})
}

// Locks that several peers do not list may be the same ones.
func TestMore(t *testing.T) {
	locks, more := merge([]report{{peer: "a", Report: Report{More: 5}}, {peer: "b", Report: Report{More: 7}}, {peer: "c", Report: Report{More: 9}, silent: true}}, time.Now())
	if more != 7 || len(locks) != 0 {
		t.Errorf("at least %d more", more)
	}
}

// What ends by time alone is told, too; and a peer that stays away is no news.
func TestTimePasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := fakes("a", "b", "c")
		all["b"].say(held("x", 5, 3*time.Second))
		all["c"].say(node.Sight{Name: "x", LentTo: "b", LentFor: 4 * time.Second})
		board := New("a", all["a"], carrier{all["a"]})
		defer board.Close()
		var views []string
		go board.Watch(t.Context(), "x", func(v view.View) error {
			l := v.Lock("x")
			views = append(views, fmt.Sprintf("held %t, lent %t, silent %d", l.Holder != nil, l.Lent != nil, len(v.Silent)))
			return nil
		})
		time.Sleep(time.Second)
		all["b"].restart()
		all["a"].lose("b", "it is gone")
		time.Sleep(time.Hour)
		synctest.Wait()
		want := "held true, lent false, silent 1; held false, lent true, silent 1; held false, lent false, silent 1"
		if got := strings.Join(views[max(0, len(views)-3):], "; "); got != want || len(views) > 6 {
			t.Errorf("%d views: %s", len(views), got)
		}
	})
}

// A vote for a peer that answers, and does not hold the lock, holds up nobody.
func TestRestingToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := fakes("a", "b")
		all["a"].say(node.Sight{Name: "x", LentTo: "b", LentFor: time.Second})
		if v := look(t, all, ""); len(v.Locks) != 0 {
			t.Errorf("%+v", v)
		}
	})
}

// The first view waits for who should answer, but not for ever; who refuses is named.
func TestFirstView(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := fakes("a", "b", "c", "d")
		all["b"].deaf = true
		all["c"].refuses = "it is older"
		all["d"].say(held("x", 1, 0))
		began := time.Now()
		v := look(t, all, "x")
		if d := time.Since(began); d != firstTime {
			t.Errorf("it took %s", d)
		}
		if len(v.Silent) != 2 || v.Silent[0].Peer != "b" || v.Silent[1].Reason != "it is older" || v.Lock("x").Holder == nil {
			t.Errorf("%+v", v)
		}
		all["b"].deaf = false
		began = time.Now()
		if v = look(t, all, "x"); time.Since(began) != 0 || len(v.Silent) != 1 {
			t.Errorf("after %s: %+v", time.Since(began), v)
		}
	})
}

// Views are pushed: at once, then at most once in pace, none without need; who looks at the
// same shares what the others say; and nothing stays when nobody looks any more.
func TestPushed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := fakes("a", "b")
		board := New("a", all["a"], carrier{all["a"]})
		ctx, cancel := context.WithCancel(t.Context())
		counts := make([]int, 3)
		var looks sync.WaitGroup
		for i := range counts {
			looks.Go(func() {
				board.Watch(ctx, "x", func(view.View) error {
					counts[i]++
					return nil
				})
			})
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		for _, n := range counts { // b may have answered a moment later
			if n < 1 || n > 2 {
				t.Errorf("%d views without news", n)
			}
		}
		if all["a"].follows != 1 {
			t.Errorf("b is asked by %d", all["a"].follows)
		}
		before := counts[0]
		for range 100 {
			all["b"].say(held("x", 1, 0))
			time.Sleep(pace / 10)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if n := counts[0] - before; n < 5 || n > 15 {
			t.Errorf("%d views of 100 changes within %s", n, 10*pace)
		}
		cancel()
		looks.Wait()
		synctest.Wait()
		if all["a"].follows != 0 || len(board.watches) != 0 {
			t.Errorf("%d still follow", all["a"].follows)
		}
		board.Close()
		if err := board.Watch(t.Context(), "x", nil); err != node.ErrClosed {
			t.Errorf("a closed board: %v", err)
		}
	})
}

// Steer finds the holder, and says for certain when nobody was told.
func TestSteer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := fakes("a", "b")
		board := New("a", all["a"], carrier{all["a"]})
		defer board.Close()
		want := node.Wish{By: "me", Reason: "because", End: true}
		if _, err := board.Steer(t.Context(), "x", want); err != ErrNotHeld {
			t.Errorf("nobody holds it: %v", err)
		}
		all["b"].say(held("x", 5, time.Second))
		if h, err := board.Steer(t.Context(), "x", want); err != nil || h.Token != 5 || h.Peer != "b" || time.Until(h.Deadline) != time.Second/2 {
			t.Errorf("%+v: %v", h, err)
		}
		want.Token = 4
		if _, err := board.Steer(t.Context(), "x", want); !errors.Is(err, ErrOther) {
			t.Errorf("another token: %v", err)
		}
		if len(all["b"].steered) != 1 || all["b"].steered[0].Token != 5 {
			t.Errorf("b was told %+v", all["b"].steered)
		}
		all["a"].say(held("y", 6, 0))
		if _, err := board.Steer(t.Context(), "y", node.Wish{By: "me"}); err != nil || len(all["a"].steered) != 1 {
			t.Errorf("its own: %v", err)
		}
		all["b"].lost, want.Token = true, 0
		if _, err := board.Steer(t.Context(), "x", want); !errors.Is(err, ErrNotHeld) {
			t.Errorf("who has just left: %v", err)
		}
		go board.Watch(t.Context(), "x", func(view.View) error { return nil })
		synctest.Wait()
		all["b"].deaf = true // its process has been stopped, and nobody has noticed yet
		began := time.Now()
		_, err := board.Steer(t.Context(), "x", want)
		if err == nil || !strings.Contains(err.Error(), "b, which holds it: no answer within 2s") || errors.Is(err, ErrSilent) || time.Since(began) != steerTime {
			t.Errorf("who does not answer, after %s: %v", time.Since(began), err)
		}
	})
}

// The locks that are watched at a time are bounded.
func TestManyWatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := fakes("a")
		board := New("a", all["a"], carrier{all["a"]})
		defer board.Close()
		var looks sync.WaitGroup
		defer looks.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for i := range maxWatched {
			looks.Go(func() { board.Watch(ctx, fmt.Sprint(i), func(view.View) error { return nil }) })
		}
		synctest.Wait()
		if _, err := board.Look(t.Context(), "one more"); err == nil {
			t.Error("one more is watched")
		}
		if _, err := board.Look(t.Context(), "7"); err != nil {
			t.Error(err)
		}
	})
}
