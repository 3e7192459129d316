package serf

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/hashicorp/serf/serf"

	"github.com/conchlock/conch/discovery"
)

// fabric is the network between peers of a test, and loses what it is told to.
type fabric struct {
	mu    sync.Mutex
	names map[string]string // by address
	loses func(from, to, kind string) bool
}

func newFabric() *fabric {
	return &fabric{names: make(map[string]string), loses: func(from, to, kind string) bool { return false }}
}

// lose makes it lose packets ("udp") and refuse connections ("tcp").
func (f *fabric) lose(which func(from, to, kind string) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.loses = which
}

func (f *fabric) lost(from, to, kind string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.loses(from, f.names[to], kind)
}

// over puts a peer on the fabric.
func (f *fabric) over(s *settings) {
	name := s.self.Name
	s.source.test.wrap = func(inner memberlist.NodeAwareTransport) memberlist.NodeAwareTransport {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.names[fmt.Sprintf("127.0.0.1:%d", inner.(*wire).port())] = name
		return &faulty{NodeAwareTransport: inner, fabric: f, name: name}
	}
}

// faulty is the end of a fabric at one peer.
type faulty struct {
	memberlist.NodeAwareTransport
	fabric *fabric
	name   string
}

func (f *faulty) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	if f.fabric.lost(f.name, a.Addr, "udp") {
		return time.Now(), nil
	}
	return f.NodeAwareTransport.WriteToAddress(b, a)
}

func (f *faulty) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	if f.fabric.lost(f.name, a.Addr, "tcp") {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("i/o timeout")}
	}
	return f.NodeAwareTransport.DialAddressTimeout(a, timeout)
}

// hasty makes serf forget failed members within a moment.
func hasty(s *settings) {
	s.source.test.tune = func(c *serf.Config) {
		c.ReapInterval, c.ReconnectTimeout = 50*time.Millisecond, 200*time.Millisecond
		c.MemberlistConfig.GossipToTheDeadTime = 200 * time.Millisecond
	}
}

// TestLongPartition cuts four peers in two pairs until both have forgotten each
// other, and mends the network: all find all. Serf alone does not get over this
// (hashicorp/serf, issues 333 and 605).
func TestLongPartition(t *testing.T) {
	t.Parallel()
	f := newFabric()
	a := start(t, "a", f.over, hasty)
	b := start(t, "b", f.over, hasty, joining(a.Addr()))
	c := start(t, "c", f.over, hasty, joining(a.Addr()), visitor())
	d := start(t, "d", f.over, hasty, joining(a.Addr()))
	all := []*peer{a, b, c, d}
	whole := func() {
		t.Helper()
		a.finds("b", "c", "d")
		b.finds("a", "c", "d")
		c.finds("a", "b", "d")
		d.finds("a", "b", "c")
	}
	whole()
	side := func(name string) bool { return name < "c" }
	f.lose(func(from, to, _ string) bool { return side(from) != side(to) })
	for _, p := range all {
		for _, q := range all {
			if side(p.name) != side(q.name) {
				p.hears(q.name, discovery.Forgotten)
			}
		}
	}
	f.lose(func(from, to, _ string) bool { return false })
	whole()
}

// TestUDPBlocked has three peers find each other by TCP alone.
func TestUDPBlocked(t *testing.T) {
	t.Parallel()
	f := newFabric()
	f.lose(func(from, to, kind string) bool { return kind == "udp" })
	a := start(t, "a", f.over)
	b := start(t, "b", f.over, joining(a.Addr()))
	c := start(t, "c", f.over, joining(a.Addr()))
	a.finds("b", "c")
	b.finds("a", "c")
	c.finds("a", "b")
	a.warned("answers by TCP and not by UDP")
}

// TestTCPBlocked has two peers find each other by a third, though TCP is blocked
// between them; and one that has no third is told of what is wrong.
func TestTCPBlocked(t *testing.T) {
	f := newFabric()
	pair := func(x, y string) bool { return x == "a" && y == "b" || x == "b" && y == "a" }
	f.lose(func(from, to, kind string) bool { return kind == "tcp" && (pair(from, to) || from == "d") })
	a := start(t, "a", f.over)
	c := start(t, "c", f.over, joining(a.Addr()))
	b := start(t, "b", f.over, joining(a.Addr(), c.Addr()))
	a.finds("b", "c")
	b.finds("a", "c")
	d := start(t, "d", f.over, joining(a.Addr()))
	d.warned("answers by UDP and not by TCP", a.Addr())
	f.lose(func(from, to, kind string) bool { return false })
	d.finds("a", "b", "c")
}

// TestFalseAlarm loses all that one peer says until the others take it for dead:
// they find it again when it is heard.
func TestFalseAlarm(t *testing.T) {
	t.Parallel()
	f := newFabric()
	a := start(t, "a", f.over)
	b := start(t, "b", f.over, joining(a.Addr()))
	a.finds("b")
	b.finds("a")
	f.lose(func(from, to, kind string) bool { return from == "b" || to == "b" })
	a.hears("b", discovery.Failed)
	f.lose(func(from, to, kind string) bool { return false })
	a.hears("b", discovery.Found)
	b.finds("a")
}

// TestComesInBetween has a peer start to listen just after somebody has tried to join
// it in vain, and before it is pinged: that is no reason to suspect a firewall.
func TestComesInBetween(t *testing.T) {
	f := newFabric()
	tried := false
	f.lose(func(from, to, kind string) bool {
		if from != "b" || kind != "tcp" || tried {
			return false
		}
		tried = true
		return true
	})
	a := start(t, "a", f.over)
	b := start(t, "b", f.over, joining(a.Addr()))
	b.finds("a")
	if w := b.warnings(); len(w) > 0 {
		t.Errorf("warned %q", w)
	}
}
