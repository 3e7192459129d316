// Package conch is a mutex for programs on different machines, without a lock
// server: peers agree among themselves, over gRPC, who may be in the critical
// section.
//
// A program joins a cluster of peers that all know each other's addresses, and
// then locks named mutexes. Locks are independent of each other:
//
//	peer, err := conch.Join(ctx, conch.Config{Name: "a", Peers: conch.Peers{
//		"a": "10.0.0.1:7400", "b": "10.0.0.2:7400", "c": "10.0.0.3:7400",
//	}})
//	if err != nil {
//		return err
//	}
//	defer peer.Close()
//
//	hold, err := peer.Mutex("nightly-report").Lock(ctx)
//	if err != nil {
//		return err
//	}
//	defer hold.Unlock()
//	work(hold.Context(), hold.Token())
//
// # What is promised
//
// At most one peer believes that it holds a lock at a time, in the whole
// cluster. Everyone who waits gets in, in a fair order, while a majority of peers
// is connected. A holder that falls silent loses its hold after a TTL; while its
// process runs, the hold's context ends before that. A process that was stopped
// learns of it only when it runs again. So every hold has a fencing token that
// is larger than those of all earlier holds of the lock: a resource that refuses
// smaller tokens than the largest it has seen is safe even from a program that
// believes in a hold it no longer has.
//
// docs/guarantees.md says under which assumptions. The classic algorithms
// (Config.Algorithm) need every peer, and their holds have no leases.
package conch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/algo/roster"
	"github.com/conchlock/conch/discovery"
	"github.com/conchlock/conch/internal/board"
	"github.com/conchlock/conch/internal/node"
	"github.com/conchlock/conch/internal/transport"
)

// Peers are the peers of a cluster: the address HOST:PORT of each, by name.
type Peers = discovery.Peers

// Config says which peer to be, and in which cluster. Name and either Peers or
// Discovery are needed; the zero value of everything else is a good default.
type Config struct {
	// Name is this peer's name, [a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?. It must
	// be among the peers, and no two processes may have the same.
	Name string

	// Peers are all peers of the cluster, this one included. Every peer must
	// be given the same names; addresses may differ where they are translated.
	Peers Peers

	// Voters are the names of the peers whose votes count: a lock can be had while
	// a majority of them is connected. The others use every lock, and nobody needs
	// them. The default is all peers. Every peer must be given the same voters;
	// which they are is decided when the cluster is born and stays so. With the
	// classic algorithms, which need every peer, all must vote. With a Discovery that
	// finds peers while they run (discovery/serf) they must be named: that tells who
	// is the cluster, and the others come and go.
	Voters []string

	// Discovery finds the peers instead, e.g. discovery.File("peers.txt"), or
	// a serf.Source of package discovery/serf, which finds them while they run.
	Discovery discovery.Source

	// Listen is the address to listen on, HOST:PORT. The default is this
	// peer's own address among the peers; give another where the others reach
	// this one through a translated address. Where peers are found while they run
	// the default is all addresses of this machine, with port 7400.
	Listen string

	// Advertise is the address at which the others reach this peer, if that is
	// not the one among the peers given here. It is shown in Status; the others
	// use their own lists. Where peers are found while they run it is what the
	// others are told; the default is the address listened on, or this machine's
	// own if it has just one.
	Advertise string

	// Cluster keeps clusters apart that might reach each other by mistake:
	// peers of different clusters refuse each other. The default is "conch".
	Cluster string

	// Algorithm is relay (the default), ricart-agrawala, token-ring, lamport,
	// suzuki-kasami, maekawa, raymond or naimi-trehel. With raymond the peers
	// form a binary tree, with raymond:line or raymond:star one of that shape. All
	// peers must run the same.
	Algorithm string

	// TTL is how long a lease lasts, with algorithms that have them: so long
	// the others wait for a holder that has fallen silent. It also sets how soon
	// silence is noticed: heartbeats go out every TTL/8, and a peer that was
	// silent for three of them counts as down. It should be far above four round
	// trips of the network. The default is 5 s, the least MinTTL, the most
	// MaxTTL. All peers must have the same.
	TTL time.Duration

	// Dir keeps what must survive a restart; it must be this peer's alone.
	// Without one, fencing tokens grow over a restart as long as the wall
	// clock was not set back. Algorithms with leases also use it for a quick
	// start: a peer that was closed in good order, on a machine that has not been
	// started since, knows what it has granted. Any other that is not new to its
	// cluster grants nothing for a TTL; Status says so.
	Dir string

	// TraceDir turns the trace on: every event of this peer is appended to
	// NAME.ndjson in that directory. Files are put aside as they grow, and the
	// oldest are removed beyond 1 GiB in all.
	TraceDir string

	// Logger gets the same events as log records, at level Info, and what goes
	// wrong, at Warn and above. The default is silence.
	Logger *slog.Logger

	// Observer is told what the peer does, to count and to measure it, e.g. a
	// metrics.Metrics of package metrics. The default is nobody, which costs nothing.
	Observer Observer

	// Tuning is for what few programs need to change.
	Tuning Tuning
}

// Tuning has the rare settings. They matter to algorithms with leases only; the
// zero value of each is a good default.
type Tuning struct {
	// Linger is for how long a lock that nobody wants stays with the peer that
	// had it last, where entering again costs no message. It costs the others
	// nothing: they get the lock as soon as they ask. The default is TTL/4, the
	// most TTL/3.
	Linger time.Duration

	// Drift bounds by how much the clocks of two machines may differ in rate,
	// in parts per million. Leases are shortened by it, so that a clock that
	// runs slow does not make a holder believe in a lease that is over. The
	// default is 1000, a second in a quarter of an hour: NTP slews a clock by at
	// most half of that. The most is MaxDrift. All peers must have the same.
	Drift int64
}

// DefaultTTL is the TTL of a Config that names none.
const DefaultTTL = 5 * time.Second

// MinTTL is the shortest TTL: below it, heartbeats would come too often.
const MinTTL = 100 * time.Millisecond

// MaxTTL is the longest TTL: so long a lock can be closed after a crash.
const MaxTTL = 24 * time.Hour

// MaxDrift is the largest Tuning.Drift, ten percent. Clocks that differ by more
// are broken.
const MaxDrift = 100_000

const (
	clusterMax     = 200 // bytes of a cluster's name
	defaultCluster = "conch"
	defaultPort    = "7400"  // to listen on, where peers are found
	defaultDrift   = 1000    // parts per million
	traceCap       = 1 << 30 // bytes
)

// Peer is one peer of a cluster. Its methods are safe for concurrent use.
type Peer struct {
	name        algo.PeerName
	addrs       Peers // those known beforehand
	voters      []string
	cluster     string
	algorithm   string
	leases      bool     // a majority of voters is enough
	observer    Observer // nil: nobody
	listen      string
	advertise   string
	node        *node.Node
	links       *transport.Transport
	board       *board.Board
	audit       *audit
	search      discovery.Search // nil if all peers are known beforehand
	incarnation algo.Incarnation
	since       time.Time      // when it started
	release     []func() error // what Close lets go of after the node, last first

	watching sync.WaitGroup // of watch, and of who hears the news

	closing sync.Once
	closed  error // what Close returns
}

// Join starts a peer. It returns as soon as the peer listens; the others may
// come later. Locks are granted once a majority is there; with the classic
// algorithms, once every peer is.
//
// Join takes a ctx for sources of peers that need the network; it has no
// influence on the peer once Join has returned.
func Join(ctx context.Context, cfg Config) (*Peer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	peers, err := cfg.complete()
	if err != nil {
		return nil, fmt.Errorf("conch: %w", err)
	}
	p := &Peer{
		name: algo.PeerName(cfg.Name), addrs: peers, voters: cfg.Voters, cluster: cfg.Cluster, algorithm: cfg.Algorithm,
		leases: roster.Leases(cfg.Algorithm), observer: cfg.Observer, advertise: cfg.Advertise,
	}
	if err := p.start(ctx, cfg); err != nil {
		for _, release := range slices.Backward(p.release) {
			release()
		}
		return nil, fmt.Errorf("conch: peer %s: %w", cfg.Name, err)
	}
	if p.observer != nil {
		p.observer.Joined(p)
	}
	return p, nil
}

// Check returns the first thing that Join would find wrong with the configuration
// itself. It starts nothing, and looks at no address and no directory; a Discovery that
// has a file is read.
func (c Config) Check() error {
	_, err := c.complete()
	if err == nil {
		_, err = roster.New(c.Algorithm)
	}
	if err != nil {
		return fmt.Errorf("conch: %w", err)
	}
	return nil
}

// complete checks the configuration, fills in the defaults, and returns the
// peers.
func (c *Config) complete() (Peers, error) {
	if err := algo.PeerName(c.Name).Check(); err != nil {
		return nil, fmt.Errorf("Config.Name: %w", err)
	}
	source := c.Discovery
	switch {
	case source == nil && len(c.Peers) == 0:
		return nil, errors.New("Config needs Peers or Discovery, to know the others")
	case source != nil && len(c.Peers) > 0:
		return nil, errors.New("Config has both Peers and Discovery; give one")
	case source == nil:
		source = discovery.Static(c.Peers)
	}
	peers, err := source.Peers()
	if err != nil {
		return nil, err
	}
	if err := c.completeAddrs(peers); err != nil {
		return nil, err
	}
	if c.Cluster == "" {
		c.Cluster = defaultCluster
	}
	if len(c.Cluster) > clusterMax {
		return nil, fmt.Errorf("Config.Cluster has %d bytes, at most %d are allowed", len(c.Cluster), clusterMax)
	}
	if c.Algorithm == "" {
		c.Algorithm = roster.Default
	}
	if err := c.completeVoters(peers); err != nil {
		return nil, err
	}
	if c.TTL == 0 {
		c.TTL = DefaultTTL
	}
	if c.TTL < MinTTL {
		return nil, fmt.Errorf("Config.TTL is %s, the least is %s", c.TTL, MinTTL)
	}
	if c.TTL > MaxTTL {
		return nil, fmt.Errorf("Config.TTL is %s, the most is %s", c.TTL, MaxTTL)
	}
	if err := c.Tuning.complete(c.TTL); err != nil {
		return nil, err
	}
	return peers, nil
}

// finder returns what finds the peers while they run; nil if all are known.
func (c *Config) finder() discovery.Finder {
	f, _ := c.Discovery.(discovery.Finder)
	return f
}

// open says that peers without a vote come and go.
func (c *Config) open() bool { return c.finder() != nil && roster.Leases(c.Algorithm) }

// completeAddrs checks this peer's own addresses.
func (c *Config) completeAddrs(peers Peers) error {
	own, ok := peers[c.Name]
	switch {
	case c.finder() != nil:
		own = cmp.Or(c.Listen, net.JoinHostPort("", defaultPort))
	case !ok:
		return fmt.Errorf("%s is not among the peers (%s)", c.Name, strings.Join(slices.Sorted(maps.Keys(peers)), ", "))
	}
	if c.Listen == "" {
		c.Listen = own
	}
	if c.Advertise == "" && c.finder() != nil {
		return nil // once it listens, there is more to say
	}
	c.Advertise = cmp.Or(c.Advertise, own)
	if err := discovery.CheckAddr(c.Advertise); err != nil {
		return fmt.Errorf("Config.Advertise: %w", err)
	}
	return nil
}

// completeVoters checks the voters, and sorts them.
func (c *Config) completeVoters(peers Peers) error {
	if c.finder() != nil {
		return c.completeFoundVoters()
	}
	names := slices.Sorted(maps.Keys(peers))
	if len(c.Voters) == 0 {
		c.Voters = names
		return nil
	}
	c.Voters = slices.Sorted(slices.Values(c.Voters))
	for i, name := range c.Voters {
		if _, ok := peers[name]; !ok {
			return fmt.Errorf("Config.Voters: %q is not among the peers (%s)", name, strings.Join(names, ", "))
		}
		if i > 0 && name == c.Voters[i-1] {
			return fmt.Errorf("Config.Voters: %s is named twice", name)
		}
	}
	if len(c.Voters) < len(names) && !roster.Leases(c.Algorithm) {
		return fmt.Errorf("Config.Voters: %s needs every peer, so all of them vote: name no voters, or all peers", c.Algorithm)
	}
	return nil
}

// completeFoundVoters does so where peers are found: the voters are all that is
// known of the cluster beforehand.
func (c *Config) completeFoundVoters() error {
	if len(c.Voters) == 0 {
		return errors.New("Config.Voters is empty: where peers are found while they run, name those whose votes count, the same at every peer, for as long as the cluster lives")
	}
	c.Voters = slices.Sorted(slices.Values(c.Voters))
	for i, name := range c.Voters {
		if err := algo.PeerName(name).Check(); err != nil {
			return fmt.Errorf("Config.Voters: %w", err)
		}
		if i > 0 && name == c.Voters[i-1] {
			return fmt.Errorf("Config.Voters: %s is named twice", name)
		}
	}
	if !c.open() && !slices.Contains(c.Voters, c.Name) {
		return fmt.Errorf("Config.Voters: %s needs every peer, so the voters (%s) are all there are, and %s is none of them: "+
			"name it among them at every peer, or use relay", c.Algorithm, strings.Join(c.Voters, ", "), c.Name)
	}
	return nil
}

// complete does the same for its part.
func (t *Tuning) complete(ttl time.Duration) error {
	if t.Linger == 0 {
		t.Linger = ttl / 4
	}
	if t.Linger < 0 || t.Linger > ttl/3 {
		return fmt.Errorf("Config.Tuning.Linger is %s, it must be positive and at most a third of the TTL, %s", t.Linger, ttl/3)
	}
	if t.Drift == 0 {
		t.Drift = defaultDrift
	}
	if t.Drift < 0 || t.Drift > MaxDrift {
		return fmt.Errorf("Config.Tuning.Drift is %d parts per million, it must be positive and at most %d", t.Drift, MaxDrift)
	}
	return nil
}
