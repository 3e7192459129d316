package serf

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/conchlock/conch/discovery"
)

// freeAddr is an address where nobody listens.
func freeAddr(t *testing.T, host string) string {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Skip(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestNobodyThere joins an address where nobody is until later, and says so once.
func TestNobodyThere(t *testing.T) {
	t.Parallel()
	addr := freeAddr(t, "127.0.0.1")
	f := newFabric()
	var dials atomic.Int32
	f.lose(func(_, _, kind string) bool {
		if kind == "tcp" {
			dials.Add(1)
		}
		return false
	})
	a := start(t, "a", f.over, joining(addr))
	a.warned("nobody answers at "+addr, "trying for as long as it takes")
	a.poll("more attempts", func() bool { return dials.Load() >= 4 })
	b := start(t, "b", bound(addr))
	a.finds("b")
	b.finds("a")
	if w := a.warnings(); len(w) != 1 {
		t.Errorf("warned %q", w)
	}
}

// TestSomebodyElseThere joins the port of something that is no gossip.
func TestSomebodyElseThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			c.Close()
		}
	}()
	start(t, "a", joining(l.Addr().String())).warned("somebody at "+l.Addr().String(), "does not gossip as Conch does")
}

// TestOtherCluster joins a peer of another cluster: both are told, with both names,
// and neither finds anybody.
func TestOtherCluster(t *testing.T) {
	a := start(t, "a", cluster("prod"))
	b := start(t, "b", cluster("staging"), joining(a.Addr()))
	c := start(t, "c", cluster("prod"), joining(a.Addr()))
	b.warned(`peer a at `+a.Addr(), `cluster "prod"`, `cluster "staging"`, "give both the same cluster")
	a.warned(`peer b at `+b.Addr(), `cluster "prod"`, `cluster "staging"`)
	a.finds("c")
	c.finds("a")
	b.finds()
	if w := b.warnings("nobody"); a.heard()[0].Name != "c" || len(w) > 0 {
		t.Errorf("a has heard %v, b has warned %q", a.heard(), w)
	}
}

// TestAddressOfAnother has a peer go without a goodbye, and another cluster take its
// address: the peer is not looked for there any more, and nobody is blamed.
func TestAddressOfAnother(t *testing.T) {
	t.Parallel()
	a := start(t, "a", hasty)
	v := start(t, "v", visitor(), joining(a.Addr()))
	a.finds("v")
	addr := v.Addr()
	v.crash()
	a.hears("v", discovery.Forgotten)
	other := start(t, "w", cluster("other"), bound(addr))
	other.warned(`peer a at `+a.Addr(), `cluster "other"`, `cluster "test"`) // a has asked
	for _, w := range a.warnings() {
		// A peer of a test beside this one may look for one of its own at a's port, which
		// was that one's before: that is another matter.
		if strings.Contains(w, addr) {
			t.Errorf("warned %q", w)
		}
	}
}

// TestNoKey has one peer with keys and one without; each joins the other.
func TestNoKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, []byte(key(1, 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	a := start(t, "a", locked(path))
	b := start(t, "b", joining(a.Addr()))
	b.warned(a.Addr(), "compare the keyrings", "another cluster")
	a.warned("127.0.0.1", "compare the keyrings")
	c := start(t, "c", locked(path), joining(b.Addr()))
	c.warned(b.Addr(), "compare the keyrings")
	b.warned("gossips at 127.0.0.1 ", "compare the keyrings")
}

// TestOneName starts a second peer of a name: it is told, the others are, and the
// first one stays as it was. When the first one stops, the second gets in.
func TestOneName(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	d := start(t, "d", joining(a.Addr()))
	a.finds("d")
	d.finds("a")
	twin := start(t, "d", joining(a.Addr()), incarnation(9))
	twin.warned("d already runs at "+d.Addr(), "stop it or take another name", "trying again")
	a.warned("peer d is at "+d.Addr(), twin.Addr(), "if two peers have one name")
	direct := start(t, "d", joining(d.Addr()))
	direct.warned("d already runs at "+d.Addr(), "stop it or take another name")
	d.warned("somebody at "+direct.Addr()+" says to be d too", "is not let in")
	if err := direct.Leave(); err != nil { // its goodbye must not be taken for that of d
		t.Error(err)
	}
	e := start(t, "e", joining(a.Addr()))
	e.finds("a", "d")
	d.finds("a", "e")
	for _, n := range a.heard() {
		if n.Name == "d" && (n.Kind == discovery.Left || n.Incarnation != 1) {
			t.Errorf("the first d was disturbed: %+v", n)
		}
	}
	if w := twin.warnings(); len(w) != 1 {
		t.Errorf("the second d has warned %q", w)
	}
	d.crash()
	twin.finds("a", "e")
	a.until("the second d", func() bool { return a.last["d"].Kind == discovery.Found && a.last["d"].Incarnation == 9 })
}

// TestRestart starts a peer again that has crashed: at the same address it is back
// at once, at another one when the old one is known to be dead.
func TestRestart(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	d := start(t, "d", joining(a.Addr()), incarnation(1))
	a.finds("d")
	at := d.Addr()
	d.crash()
	begin := time.Now()
	d = start(t, "d", joining(a.Addr()), bound(at), incarnation(2))
	a.until("incarnation 2", func() bool { return a.last["d"].Incarnation == 2 })
	t.Logf("back at the same address after %v", time.Since(begin))
	if w := a.warnings(); len(w) > 0 {
		t.Errorf("warned %q", w)
	}
	d.crash()
	begin = time.Now()
	d = start(t, "d", joining(a.Addr()), incarnation(3))
	a.until("incarnation 3", func() bool { return a.last["d"].Incarnation == 3 })
	t.Logf("back at another address after %v", time.Since(begin))
	d.finds("a")
	d.warned("the others believe d to be at "+at, "gets in when they have noticed")
	d.poll("peace", func() bool { return !d.gate.contested() })
	if err := d.Leave(); err != nil {
		t.Error(err)
	}
	a.hears("d", discovery.Left)
	d = start(t, "d", joining(a.Addr()), incarnation(4)) // after a goodbye its name is free at once
	a.until("incarnation 4", func() bool { return a.last["d"].Incarnation == 4 && a.last["d"].Kind == discovery.Found })
}

// TestAllDownAndUp crashes three peers, and starts them in another order, each with
// nothing but what it has written down.
func TestAllDownAndUp(t *testing.T) {
	t.Parallel()
	dirs := map[string]string{"a": t.TempDir(), "b": t.TempDir(), "c": t.TempDir()}
	a := start(t, "a", keeping(dirs["a"]))
	b := start(t, "b", keeping(dirs["b"]), joining(a.Addr()))
	c := start(t, "c", keeping(dirs["c"]), joining(a.Addr()), visitor())
	a.finds("b", "c")
	b.finds("a", "c")
	c.finds("a", "b")
	at := map[string]string{"a": a.Addr(), "b": b.Addr(), "c": c.Addr()}
	a.crash()
	b.Leave() // even then
	c.crash()
	again := func(name string, n uint64) *peer {
		return start(t, name, keeping(dirs[name]), bound(at[name]), incarnation(n))
	}
	c = again("c", 2)
	b = again("b", 2)
	b.finds("c")
	a = again("a", 2)
	a.finds("b", "c")
	b.finds("a", "c")
	c.finds("a", "b")
	a.crash()
	a = start(t, "a", keeping(dirs["a"]), cluster("other"))
	a.warned(`these were peers of cluster "test"`)
}

// TestThirty starts thirty peers at once that all know one address.
func TestThirty(t *testing.T) {
	n := 30
	if testing.Short() {
		n = 10
	}
	first := start(t, "p0")
	begin := time.Now()
	peers := []*peer{first}
	for i := 1; i < n; i++ {
		peers = append(peers, start(t, fmt.Sprint("p", i), joining(first.Addr())))
	}
	for _, p := range peers {
		p.until("all the others", func() bool { // false alarms do not matter here
			found := map[string]bool{p.name: true}
			for _, n := range p.news {
				found[n.Name] = true
			}
			return len(found) == n
		})
	}
	t.Logf("%d peers have all found each other after %v", n, time.Since(begin))
}

func TestSix(t *testing.T) {
	freeAddr(t, "::1") // or there is no IPv6 here
	six := func(s *settings) { s.self.Addr, s.source.Bind = "[::1]:7400", "[::1]:0" }
	a := start(t, "a", six)
	b := start(t, "b", six, joining(a.Addr()))
	a.finds("b")
	b.finds("a")
	if got := b.hears("a", discovery.Found).Addr; got != "[::1]:7400" {
		t.Errorf("a is at %s", got)
	}
}

// TestManyAddresses joins a name with two addresses, at one of which nobody is, and
// a name that does not exist until later.
func TestManyAddresses(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("127.0.0.2 is not an address of this machine")
	}
	a := start(t, "a", bound("127.0.0.2:0"))
	_, port, _ := net.SplitHostPort(a.Addr())
	exists := make(chan bool, 1)
	names := func(s *settings) {
		s.source.test.lookup = func(_ context.Context, host string) ([]netip.Addr, error) {
			if host == "later.example" {
				select {
				case <-exists:
				default:
					return nil, errors.New("no such host")
				}
			}
			return []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")}, nil
		}
	}
	b := start(t, "b", names, joining("peers.example:"+port))
	b.finds("a")
	a.finds("b")
	if w := b.warnings("nobody"); len(w) > 0 {
		t.Errorf("warned %q", w)
	}
	c := start(t, "c", names, joining("later.example:"+port))
	c.warned("nobody can be found at later.example:", "no such host")
	exists <- true
	c.finds("a", "b")
}

// TestRefused gives sources and peers that cannot work.
func TestRefused(t *testing.T) {
	taken := start(t, "a")
	for _, tt := range []struct {
		set  setting
		want string
	}{
		{bound(taken.Addr()), "is another peer there"},
		{bound("127.0.0.1"), "write HOST:PORT"},
		{bound("127.0.0.1:x"), "the port must be a number"},
		{joining("127.0.0.1"), "--join"},
		{keeping("/nowhere/at/all"), "Source.Dir"},
		{func(s *settings) { s.source.Advertise = "nothing" }, "Source.Advertise"},
		{func(s *settings) { s.source.Advertise = "0.0.0.0:1" }, "the others need one: say which (Source.Advertise, --serf-advertise)"},
		{func(s *settings) { s.source.Bind, s.self.Addr = "0.0.0.0:0", "[::]:1" }, "the others need one: say which (Source.Advertise, --serf-advertise)"},
		{func(s *settings) { s.source.Network = 9 }, "no such network"},
		{func(s *settings) { s.self.Name = "A" }, `peer name "A"`},
		{func(s *settings) { s.self.Addr = ":1" }, "has no host"},
		{func(s *settings) { s.self.Algorithm = strings.Repeat("x", 33) }, "its algorithm"},
	} {
		if _, err := try(t, "b", tt.set); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got %v, want %q", err, tt.want)
		}
	}
}

// TestBindAll listens on all addresses, and is found at the one of the peer.
func TestBindAll(t *testing.T) {
	a := start(t, "a", bound("0.0.0.0:0"))
	if !strings.HasPrefix(a.Addr(), "127.0.0.1:") {
		t.Errorf("it says to be at %s", a.Addr())
	}
	b := start(t, "b", joining(a.Addr()))
	a.finds("b")
	b.finds("a")
}
