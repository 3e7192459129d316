package serf

import (
	"fmt"
	"maps"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/hashicorp/serf/serf"

	"github.com/conchlock/conch/discovery"
)

func TestReadTags(t *testing.T) {
	good := map[string]string{"v": "1", "c": "conch", "a": "10.0.0.1:7400", "i": "7", "w": "1", "g": "relay"}
	tests := []struct {
		name, key, value string
		want             string // part of the error; none if empty
	}{
		{"a", "v", "1", ""},
		{"a", "later", "something", ""},
		{"a", "a", "[::1]:7400", ""},
		{"a", "a", "host.example:7400", ""},
		{"a", "i", "18446744073709551615", ""},
		{"A", "v", "1", `peer name "A"`},
		{"", "v", "1", "a peer needs a name"},
		{"a", "v", "", "is it a peer of Conch at all"},
		{"a", "v", "2", `its tags are of version "2", here they are of version 1`},
		{"a", "c", strings.Repeat("x", 65), "its cluster"},
		{"a", "c", "a\nb", "cannot be printed"},
		{"a", "a", "", "write HOST:PORT"},
		{"a", "a", ":7400", "has no host"},
		{"a", "a", "10.0.0.1:0", "the port must be a number"},
		{"a", "a", "10.0.0.\x001:1", "cannot be printed"},
		{"a", "a", strings.Repeat("x", 300) + ":1", "at most 261"},
		{"a", "i", "", "is not a number"},
		{"a", "i", "-1", "is not a number"},
		{"a", "i", "+1", "is not a number"},
		{"a", "i", "01", "is not a number"},
		{"a", "i", "18446744073709551616", "is not a number"},
		{"a", "w", "yes", "does not say whether it has a vote"},
		{"a", "w", "", "does not say whether it has a vote"},
		{"a", "g", "\xff", "not UTF-8"},
	}
	for _, tt := range tests {
		tags := maps.Clone(good)
		tags[tt.key] = tt.value
		_, err := readTags(tt.name, tags)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s=%q: got %v, want %q", tt.key, tt.value, err, tt.want)
		}
	}
}

// TestTagsFit holds that the longest that is accepted has room in memberlist.
func TestTagsFit(t *testing.T) {
	self := discovery.Self{
		Name: strings.Repeat("n", 63), Addr: strings.Repeat("h", maxAddr-6) + ":65535", Incarnation: math.MaxUint64,
		Cluster: strings.Repeat("c", 200), Algorithm: strings.Repeat("g", maxAlgorithm), Voter: true,
	}
	tags, err := tagsOf(self)
	if err != nil {
		t.Fatal(err)
	}
	n := 1
	for k, v := range tags {
		n += len(k) + len(v) + 6 // the most that msgpack adds
	}
	if n > memberlist.MetaMaxSize {
		t.Errorf("%d bytes", n)
	}
	self.Addr = "h" + self.Addr
	if _, err := tagsOf(self); err == nil {
		t.Error("an address is accepted that is too long")
	}
}

func TestClusterTag(t *testing.T) {
	long := strings.Repeat("ä", 100)
	for _, c := range []struct{ cluster, want string }{
		{"prod", "prod"},
		{strings.Repeat("x", 64), strings.Repeat("x", 64)},
		{long, strings.Repeat("ä", 15) + "~"},
		{long + "b", strings.Repeat("ä", 15) + "~"},
		{"a\n", "~"},
	} {
		got := clusterTag(c.cluster)
		if !strings.HasPrefix(got, c.want) || len(got) > maxCluster || checkText("", got, maxCluster) != nil {
			t.Errorf("%q is %q", c.cluster, got)
		}
	}
	if clusterTag(long) == clusterTag(long+"b") {
		t.Error("two long names are the same")
	}
}

// FuzzReadTags holds that what is accepted can be told on, and that errors can be
// printed.
func FuzzReadTags(f *testing.F) {
	f.Add("a", "1", "conch", "10.0.0.1:7400", "7", "1", "relay")
	f.Add("", "", "", "", "", "", "")
	f.Fuzz(func(t *testing.T, name, v, c, a, i, w, g string) {
		tags := map[string]string{"v": v, "c": c, "a": a, "i": i, "w": w, "g": g}
		got, err := readTags(name, tags)
		if err != nil {
			if len(err.Error()) > 1<<10 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
			if checkText("", err.Error(), len(err.Error())) != nil {
				t.Errorf("the error cannot be printed: %q", err)
			}
			return
		}
		self := discovery.Self{Name: got.name, Addr: got.addr, Incarnation: got.incarnation, Cluster: got.cluster, Algorithm: got.algorithm, Voter: got.voter}
		again, err := tagsOf(self)
		if err != nil || !maps.Equal(again, tags) {
			t.Errorf("%v became %v, %v", tags, again, err)
		}
	})
}

func member(name string, status serf.MemberStatus, incarnation string) serf.Member {
	return serf.Member{
		Name: name, Status: status, Addr: []byte{127, 0, 0, 1}, Port: 1,
		Tags: map[string]string{"v": "1", "c": "conch", "a": "10.0.0.1:7400", "i": incarnation, "w": "0", "g": "relay"},
	}
}

// TestView follows a peer through all that can become of it.
func TestView(t *testing.T) {
	v := newView("me", time.Minute, newNotices())
	me := member("me", serf.StatusAlive, "1")
	for _, step := range []struct {
		member serf.Member
		want   discovery.NewsKind // none: nothing new
	}{
		{member("b", serf.StatusFailed, "5"), 0}, // never told of
		{member("b", serf.StatusAlive, "5"), discovery.Found},
		{member("b", serf.StatusAlive, "5"), 0},
		{member("b", serf.StatusLeaving, "5"), 0},
		{member("b", serf.StatusAlive, "4"), 0}, // an old message
		{member("b", serf.StatusAlive, "6"), discovery.Found},
		{member("b", serf.StatusFailed, "6"), discovery.Failed},
		{member("b", serf.StatusFailed, "6"), 0},
		{member("b", serf.StatusAlive, "5"), 0}, // an old message
		{member("b", serf.StatusAlive, "6"), discovery.Found},
		{member("b", serf.StatusLeft, "6"), discovery.Left},
		{member("c", serf.StatusLeft, "6"), discovery.Forgotten}, // b is not there
		{member("b", serf.StatusAlive, "5"), 0},                  // an old message
		{member("b", serf.StatusAlive, "6"), discovery.Found},
		{member("b", serf.StatusAlive, "six"), 0},
	} {
		news, _ := v.look([]serf.Member{me, step.member}, time.Time{})
		switch {
		case step.want == 0 && len(news) > 0, step.want != 0 && (len(news) != 1 || news[0].Kind != step.want || news[0].Name != "b"):
			t.Errorf("%v: got %+v, want %v", step.member, news, step.want)
		}
	}
	if said := v.said.take(); len(said) != 1 || !strings.Contains(said[0], "peer b says to be incarnation 4, and was 5 before") {
		t.Errorf("said %q", said)
	}
}

// TestLie has somebody say that a peer is a later incarnation, elsewhere, than it is.
// When it has contradicted for long enough, it is believed; an old message that is sent
// again while it is away is not.
func TestLie(t *testing.T) {
	v := newView("me", time.Minute, newNotices())
	b, lie := member("b", serf.StatusAlive, "5"), member("b", serf.StatusAlive, "18446744073709551615")
	away := member("b", serf.StatusFailed, "5")
	lie.Tags["a"] = "10.0.0.99:7400"
	now := time.Time{}
	for i, step := range []struct {
		passes time.Duration
		member serf.Member
		want   string        // address of who is found, if that is news
		again  time.Duration // when to look again
	}{
		{0, b, "10.0.0.1:7400", 0},
		{0, lie, "10.0.0.99:7400", 0},
		{0, b, "", time.Minute},
		{50 * time.Second, b, "", 10 * time.Second},
		{0, away, "", 0},
		{20 * time.Second, b, "", time.Minute},
		{20 * time.Second, lie, "10.0.0.99:7400", 0},
		{0, b, "", time.Minute},
		{time.Minute, b, "10.0.0.1:7400", 0},
		{0, b, "", 0},
		{0, lie, "10.0.0.99:7400", 0},
		{0, b, "", time.Minute},
		{0, member("c", serf.StatusAlive, "1"), "10.0.0.1:7400", 0}, // b is not there
	} {
		now = now.Add(step.passes)
		news, again := v.look([]serf.Member{step.member}, now)
		got := ""
		for _, n := range news {
			if n.Kind == discovery.Found {
				got = n.Addr
			}
		}
		if got != step.want || again != step.again {
			t.Errorf("step %d: %v, again after %v; want %q, %v", i, news, again, step.want, step.again)
		}
	}
	if len(v.doubts) > 0 {
		t.Errorf("doubts are left: %v", v.doubts)
	}
}

// TestFull fills a gate with names that somebody makes up: who was let in before and
// was away is let in again, and so is everybody with a vote, however fast they come.
func TestFull(t *testing.T) {
	g := newGate(discovery.Self{Name: "me", Cluster: "conch", Algorithm: "relay", Voters: []string{"me", "v"}}, netip.AddrPort{}, newNotices())
	members := []serf.Member{member("me", serf.StatusAlive, "1"), member("away", serf.StatusFailed, "1")}
	g.know(members)
	admits := func(name string) bool {
		m := member(name, serf.StatusNone, "2")
		return g.NotifyMerge([]*serf.Member{&m}) == nil
	}
	admitted := len(members)
	for i := range 2 * maxMembers {
		if admits(fmt.Sprint("p", i)) {
			admitted++
		}
	}
	if admitted != maxMembers {
		t.Errorf("%d are admitted, at most %d should be", admitted, maxMembers)
	}
	for name, want := range map[string]bool{"v": true, "away": true, "p1": true, "another": false} {
		if got := admits(name); got != want {
			t.Errorf("%s is admitted: %t, want %t", name, got, want)
		}
	}
}

// TestViewForgets holds that made-up peers that come and go leave little behind.
func TestViewForgets(t *testing.T) {
	v := newView("me", time.Minute, newNotices())
	for i := range 3 * maxPast {
		name := "p" + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + strings.Repeat("y", i/26%40)
		v.look([]serf.Member{member(name, serf.StatusAlive, "1")}, time.Time{})
	}
	if len(v.told) != 1 || len(v.past) > maxPast || len(v.order) != len(v.past) {
		t.Errorf("%d told, %d past, %d in order", len(v.told), len(v.past), len(v.order))
	}
}
