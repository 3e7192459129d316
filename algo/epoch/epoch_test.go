package epoch_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/algo/epoch"
	"github.com/conchlock/conch/algo/ricartagrawala"
	"github.com/conchlock/conch/algo/ring"
)

func member(p algo.PeerName, incarnation algo.Incarnation, losses uint64) epoch.Member {
	return epoch.Member{Peer: p, Life: epoch.Life{Incarnation: incarnation, Losses: losses}}
}

// Peers that hear of the same restarts in different orders agree on one epoch:
// merging is commutative, associative and idempotent.
func TestMerge(t *testing.T) {
	epochs := []epoch.Epoch{
		nil,
		{member("b", 2, 0)},
		{member("b", 2, 1)},
		{member("b", 3, 0), member("c", 2, 0)},
		{member("a", 2, 0), member("c", 2, 7)},
	}
	for _, e := range epochs {
		if !e.Merge(e).Equal(e) {
			t.Errorf("%v merged with itself is %v", e, e.Merge(e))
		}
		for _, f := range epochs {
			if !e.Merge(f).Equal(f.Merge(e)) {
				t.Errorf("%v and %v: %v one way, %v the other", e, f, e.Merge(f), f.Merge(e))
			}
			for _, g := range epochs {
				if !e.Merge(f).Merge(g).Equal(e.Merge(f.Merge(g))) {
					t.Errorf("%v, %v and %v depend on the order", e, f, g)
				}
			}
		}
	}
	if got := epochs[3].Merge(epochs[4]).String(); got != "a:2 b:3 c:2/7" {
		t.Error(got)
	}
	if got := epochs[0].String(); got != "first" {
		t.Error(got)
	}
}

// Merging never changes what was merged.
func TestMergeCopies(t *testing.T) {
	e, f := epoch.Epoch{member("b", 2, 0)}, epoch.Epoch{member("a", 9, 0), member("b", 3, 0)}
	before, also := slices.Clone(e), slices.Clone(f)
	e.Merge(f)
	f.Merge(e)
	if !e.Equal(before) || !f.Equal(also) {
		t.Errorf("merging changed %v to %v, %v to %v", before, e, also, f)
	}
}

// Messages that come before the epoch has begun are put aside; too many of them
// are a loss, and the peer begins anew.
func TestAsideIsBounded(t *testing.T) {
	p := epoch.NewProcess("a", 1, []algo.PeerName{"b", "c"}, ring.New)
	p.Step(algo.Input{Kind: algo.Contact, Time: 1, From: "b", Incarnation: 1}, nil)
	var now algo.Time = 1
	for {
		now++
		out := p.Step(algo.Input{Kind: algo.Receive, Lock: "x", Time: now, From: "b", Message: ring.Want{}}, nil)
		if now%1024 == 0 {
			if err := p.Check(); err != nil {
				t.Fatal(err)
			}
		}
		if len(out) == 1 && out[0].Kind == algo.Note {
			if now > 1<<20 {
				t.Fatal("a million messages were put aside")
			}
			continue
		}
		if len(out) != 1 || out[0].Message.Kind() != "join" || out[0].To != "b" {
			t.Fatalf("after %d messages: %v", now-2, out)
		}
		break
	}
	if err := p.Check(); err != nil {
		t.Fatal(err)
	}
	if size := len(p.AppendState(nil)); size > 200 {
		t.Errorf("%d bytes are left of what was put aside", size)
	}
}

// As many requests as the others may have open at a time are not too many, even
// from all of them at once.
func TestAsideHasRoom(t *testing.T) {
	p := epoch.NewProcess("a", 1, []algo.PeerName{"b", "c", "d"}, ricartagrawala.New)
	var now algo.Time
	for _, from := range []algo.PeerName{"b", "c"} {
		now++
		p.Step(algo.Input{Kind: algo.Contact, Time: now, From: from, Incarnation: 1}, nil)
	}
	for i := range 16384 {
		for _, from := range []algo.PeerName{"b", "c"} {
			now++
			request := ricartagrawala.Request{Stamp: algo.Stamp{Time: now, Peer: from, Incarnation: 1}}
			out := p.Step(algo.Input{Kind: algo.Receive, Lock: fmt.Sprint(i), Time: now, From: from, Message: request}, nil)
			if len(out) != 1 || out[0].Kind != algo.Note {
				t.Fatalf("request %d of %s: %v", i, from, out)
			}
		}
	}
	replies := p.Step(algo.Input{Kind: algo.Contact, Time: now + 1, From: "d", Incarnation: 1}, nil)
	if len(replies) != 2*16384 {
		t.Errorf("%d replies once everybody is there", len(replies))
	}
}

// A lock that nobody uses is forgotten, and a peer that nobody knows is not
// listened to.
func TestForgets(t *testing.T) {
	p := epoch.NewProcess("a", 1, []algo.PeerName{"b"}, ring.New)
	p.Step(algo.Input{Kind: algo.Contact, Time: 1, From: "b", Incarnation: 1}, nil)
	state := p.AppendState(nil)
	p.Step(algo.Input{Kind: algo.Acquire, Lock: "x", Time: 2}, nil)
	p.Step(algo.Input{Kind: algo.Release, Lock: "x", Time: 3}, nil)
	for _, from := range []algo.PeerName{"a", "z"} {
		p.Step(algo.Input{Kind: algo.Contact, Time: 4, From: from, Incarnation: 7, KnewMe: true}, nil)
		p.Step(algo.Input{Kind: algo.Receive, Lock: "x", Time: 5, From: from, Message: ring.Want{}}, nil)
	}
	if !slices.Equal(state, p.AppendState(nil)) {
		t.Error("something is left")
	}
}

// A Join that cannot be right is ignored: followed, it would keep everybody from
// ever agreeing on an epoch, or hide this peer's next loss.
func TestImplausibleJoin(t *testing.T) {
	p := epoch.NewProcess("a", 1, []algo.PeerName{"b"}, ring.New)
	p.Step(algo.Input{Kind: algo.Contact, Time: 1, From: "b", Incarnation: 1}, nil)
	before := p.AppendState(nil)
	for _, e := range []epoch.Epoch{
		{member("stranger", 1, 0)},
		{member("a", 1, 1)},
		{member("a", 2, 0)},
	} {
		out := p.Step(algo.Input{Kind: algo.Receive, Time: 2, From: "b", Message: epoch.Join{Epoch: e}}, nil)
		if len(out) != 1 || out[0].Kind != algo.Note || !slices.Equal(p.AppendState(nil), before) {
			t.Errorf("a join for %v: %v", e, out)
		}
	}
}
