package algo_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/conchlock/conch/algo"
)

func TestStampOrder(t *testing.T) {
	sorted := []algo.Stamp{
		{},
		{Time: 1, Peer: "b", Incarnation: 9},
		{Time: 2, Peer: "a", Incarnation: 1},
		{Time: 2, Peer: "a", Incarnation: 2},
		{Time: 2, Peer: "b", Incarnation: 1},
		{Time: 10, Peer: "a", Incarnation: 1},
	}
	for i, s := range sorted {
		for j, u := range sorted {
			want := 0
			switch {
			case i < j:
				want = -1
			case i > j:
				want = 1
			}
			if got := s.Compare(u); got != want {
				t.Errorf("%v and %v: %d, want %d", s, u, got, want)
			}
		}
		if s.IsZero() != (i == 0) {
			t.Errorf("%v is zero: %t", s, s.IsZero())
		}
	}
	if got := sorted[5].String(); got != "10.a" {
		t.Error(got)
	}
}

func TestPeerName(t *testing.T) {
	for _, good := range []algo.PeerName{"a", "7", "a-b", "n1.example.org", algo.PeerName(strings.Repeat("x", 63))} {
		if err := good.Check(); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []algo.PeerName{"", "A", "-a", "a-", ".", "a b", "a_b", "é", "a\n", algo.PeerName(strings.Repeat("x", 64))} {
		if err := bad.Check(); err == nil {
			t.Errorf("%q is taken for a name", bad)
		}
	}
}

func TestLockName(t *testing.T) {
	for _, good := range []string{"x", "nightly report", "über", strings.Repeat("x", 200)} {
		if err := algo.CheckLock(good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", "a\nb", "\x00", "\xff", "\u202e", strings.Repeat("x", 201)} {
		if err := algo.CheckLock(bad); err == nil {
			t.Errorf("%q is taken for a lock's name", bad)
		}
	}
}

func TestClock(t *testing.T) {
	c := algo.ClockAt(5)
	got := []algo.Time{c.Now(), c.Tick(), c.Receive(3), c.Receive(7), c.Receive(20), c.Now()}
	if want := []algo.Time{5, 6, 7, 8, 21, 21}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestReason(t *testing.T) {
	about := algo.Stamp{Time: 4, Peer: "c"}
	for _, c := range []struct {
		reason algo.Reason
		want   string
	}{
		{algo.Reason{Text: "it wants nothing"}, "it wants nothing"},
		{algo.Reason{Text: "its own request % is older", About: about}, "its own request 4.c is older"},
		{algo.Reason{Text: "100 %"}, "100 %"},
	} {
		if got := c.reason.String(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestInputKinds(t *testing.T) {
	for k := algo.Acquire; k <= algo.Contact; k++ {
		if k.String() == "unknown input" {
			t.Errorf("kind %d has no name", k)
		}
	}
}
