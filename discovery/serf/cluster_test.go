package serf

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/conchlock/conch/discovery"
)

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

// peer is a search in a test, and what it has told.
type peer struct {
	t    *testing.T
	name string
	*search

	mu    sync.Mutex
	cond  *sync.Cond
	news  []discovery.News
	last  map[string]discovery.News
	warns []string
}

// settings are what a test changes of a peer.
type settings struct {
	source Source
	self   discovery.Self
	told   func(discovery.News)
}

type setting func(*settings)

func joining(addrs ...string) setting { return func(s *settings) { s.source.Join = addrs } }
func bound(addr string) setting       { return func(s *settings) { s.source.Bind = addr } }
func keeping(dir string) setting      { return func(s *settings) { s.source.Dir = dir } }
func locked(path string) setting      { return func(s *settings) { s.source.Keyring = path } }
func incarnation(n uint64) setting    { return func(s *settings) { s.self.Incarnation = n } }
func cluster(name string) setting     { return func(s *settings) { s.self.Cluster = name } }
func visitor() setting                { return func(s *settings) { s.self.Voter = false } }

// start starts a peer on loopback, on a free port, and ends it with the test.
func start(t *testing.T, name string, set ...setting) *peer {
	t.Helper()
	p, err := try(t, name, set...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func try(t *testing.T, name string, set ...setting) (*peer, error) {
	p := &peer{t: t, name: name, last: make(map[string]discovery.News)}
	p.cond = sync.NewCond(&p.mu)
	s := settings{
		source: Source{Bind: "127.0.0.1:0", Network: Loopback},
		self: discovery.Self{
			Name: name, Addr: "127.0.0.1:7400", Incarnation: 1, Cluster: "test", Algorithm: "relay", Voter: true, Warn: p.warn,
		},
		told: p.hear,
	}
	for _, f := range set {
		f(&s)
	}
	found, err := s.source.Find(context.Background(), s.self, s.told)
	if err != nil {
		return nil, err
	}
	p.search = found.(*search)
	t.Cleanup(p.crash)
	return p, nil
}

// crash ends a peer as kill -9 would.
func (p *peer) crash() { p.end(false) }

func (p *peer) hear(n discovery.News) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.news = append(p.news, n)
	p.last[n.Name] = n
	p.cond.Broadcast()
}

func (p *peer) warn(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.warns = append(p.warns, text)
	p.cond.Broadcast()
}

// until waits for something that its news or warnings bring about.
func (p *peer) until(what string, ok func() bool) {
	p.t.Helper()
	late := false
	timer := time.AfterFunc(patience, func() {
		p.mu.Lock()
		late = true
		p.mu.Unlock()
		p.cond.Broadcast()
	})
	defer timer.Stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for !ok() {
		if late {
			p.t.Fatalf("%s waits in vain for %s; it has heard %v and warned %q", p.name, what, p.last, p.warns)
		}
		p.cond.Wait()
	}
}

// heard returns the news so far.
func (p *peer) heard() []discovery.News {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.news)
}

// warnings returns the warnings so far that have all of these words.
func (p *peer) warnings(words ...string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.matching(words)
}

// poll waits for something that nobody tells.
func (p *peer) poll(what string, ok func() bool) {
	p.t.Helper()
	tick, late := time.NewTicker(5*time.Millisecond), time.After(patience)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			p.t.Fatalf("%s waits in vain for %s", p.name, what)
		}
	}
}

// finds waits until exactly these are there.
func (p *peer) finds(names ...string) {
	p.t.Helper()
	slices.Sort(names)
	p.until(fmt.Sprint(names), func() bool {
		var found []string
		for _, name := range slices.Sorted(maps.Keys(p.last)) {
			if p.last[name].Kind == discovery.Found {
				found = append(found, name)
			}
		}
		return slices.Equal(found, names)
	})
}

// hears waits for the last news of somebody to be of a kind, and returns it.
func (p *peer) hears(name string, kind discovery.NewsKind) discovery.News {
	p.t.Helper()
	p.until(fmt.Sprintf("%s: %v", name, kind), func() bool { return p.last[name].Kind == kind })
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last[name]
}

// warned waits for a warning with all of these words.
func (p *peer) warned(words ...string) {
	p.t.Helper()
	p.until(fmt.Sprintf("a warning %q", words), func() bool { return len(p.matching(words)) > 0 })
}

// matching is warnings for who holds the lock.
func (p *peer) matching(words []string) []string {
	return slices.DeleteFunc(slices.Clone(p.warns), func(w string) bool {
		return slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(w, word) })
	})
}

func TestFindAndLeave(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	b := start(t, "b", joining(a.Addr()))
	c := start(t, "c", joining(b.Addr()), visitor())
	a.finds("b", "c")
	b.finds("a", "c")
	c.finds("a", "b")
	want := discovery.News{Kind: discovery.Found, Name: "c", Addr: "127.0.0.1:7400", Incarnation: 1}
	if got := a.hears("c", discovery.Found); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	begin := time.Now()
	if err := c.Leave(); err != nil {
		t.Error(err)
	}
	t.Logf("leaving took %v", time.Since(begin))
	after := len(c.heard())
	a.hears("c", discovery.Left)
	b.hears("c", discovery.Left)
	begin = time.Now()
	b.crash()
	n := a.hears("b", discovery.Failed)
	t.Logf("the failure of b was noticed after %v: %s", time.Since(begin), n.Reason)
	if n := len(c.heard()); n != after || c.Leave() != nil {
		t.Errorf("c has heard %d pieces of news after it left", n-after)
	}
	for _, p := range []*peer{a, b, c} {
		if w := p.warnings(); len(w) > 0 {
			t.Errorf("%s has warned %q", p.name, w)
		}
	}
}
