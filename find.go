package conch

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/discovery"
	"github.com/conchlock/conch/internal/node"
	"github.com/conchlock/conch/internal/transport"
)

// maxFound bounds how many peers without a vote are known at a time: each costs
// two connections, and requests go to all of them. Whoever comes then waits until
// there is room.
const maxFound = 512

// goneCheck is how often a peer that is said to be gone, and yet has a link, is
// looked at again.
const goneCheck = time.Second

// find makes this peer known, and begins to hear of others.
func (p *Peer) find(ctx context.Context, cfg Config, finder discovery.Finder, logger *slog.Logger) error {
	addr, err := p.reachable(cfg)
	if err != nil {
		return err
	}
	p.advertise = addr
	r := &roll{
		self: p.name, voters: cfg.Voters, open: cfg.open(), algorithm: cfg.Algorithm, node: p.node, links: p.links, logger: logger,
		wake: make(chan struct{}, 1), found: make(map[string]standing), gone: make(map[string]discovery.News),
	}
	p.watching.Go(r.run)
	self := discovery.Self{
		Name: cfg.Name, Addr: addr, Incarnation: uint64(p.incarnation), Cluster: cfg.Cluster, Algorithm: cfg.Algorithm, Voter: p.voter(cfg.Name), Voters: cfg.Voters,
		Warn: func(text string) { logger.Warn(text) },
	}
	if p.search, err = finder.Find(ctx, self, r.tell); err != nil {
		return err
	}
	p.release = append(p.release, p.search.Leave)
	return nil
}

// reachable says at which address the others reach this peer.
func (p *Peer) reachable(cfg Config) (string, error) {
	if cfg.Advertise != "" {
		return cfg.Advertise, nil
	}
	host, port, err := net.SplitHostPort(p.listen)
	if err != nil {
		return "", err
	}
	if ip := net.ParseIP(host); ip != nil && !ip.IsUnspecified() {
		return p.listen, nil
	}
	hosts, err := ownHosts()
	if err != nil {
		return "", err
	}
	if len(hosts) != 1 {
		return "", fmt.Errorf("it listens on all addresses of this machine (%s), and the others need one: say which with Config.Advertise (--advertise HOST:%s)",
			strings.Join(hosts, ", "), port)
	}
	return net.JoinHostPort(hosts[0], port), nil
}

// ownHosts lists the addresses at which other machines may reach this one: those
// of version 4 or, if there are none, of version 6.
func ownHosts() ([]string, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("addresses of this machine: %w", err)
	}
	var four, six []string
	for _, a := range all {
		ip, ok := a.(*net.IPNet)
		switch {
		case !ok || !ip.IP.IsGlobalUnicast():
		case ip.IP.To4() != nil:
			four = append(four, ip.IP.String())
		default:
			six = append(six, ip.IP.String())
		}
	}
	if len(four) == 0 {
		four = six
	}
	return four, nil
}

// roll is who is there, as somebody says who finds peers. Nothing of what it does
// decides anything: voters stay voters, and a peer that is taken for gone, wrongly,
// comes back with a new link.
type roll struct {
	self      algo.PeerName
	voters    []string
	open      bool
	algorithm string
	node      *node.Node
	links     *transport.Transport
	logger    *slog.Logger

	wake chan struct{}
	mu   sync.Mutex
	news []discovery.News // not heard yet; of each peer the last

	// Of run.
	found map[string]standing       // those without a vote that the node knows
	gone  map[string]discovery.News // those of them that are said to be gone, and have a link
	waits []discovery.News          // those for whom there was no room, who came first first; a finder bounds them

	crowded bool // somebody waits, which was said
}

// standing is what is said of a peer that was found.
type standing struct {
	failed string // why it is held for dead; empty if it is not
}

// tell takes news. It never blocks.
func (r *roll) tell(n discovery.News) {
	r.mu.Lock()
	if i := slices.IndexFunc(r.news, func(old discovery.News) bool { return old.Name == n.Name }); i >= 0 {
		r.news = slices.Delete(r.news, i, i+1)
	}
	r.news = append(r.news, n)
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// run hears the news until the node ends.
func (r *roll) run() {
	tick := time.NewTicker(goneCheck)
	defer tick.Stop()
	for {
		select {
		case <-r.node.Done():
			return
		case <-r.wake:
			r.mu.Lock()
			news := r.news
			r.news = nil
			r.mu.Unlock()
			for _, n := range news {
				r.hear(n)
			}
		case <-tick.C:
			for _, n := range r.gone {
				r.forget(n)
			}
		}
		r.admit()
	}
}

// hear acts on a piece of news.
func (r *roll) hear(n discovery.News) {
	name := algo.PeerName(n.Name)
	votes := slices.Contains(r.voters, n.Name)
	_, found := r.found[n.Name]
	r.waits = slices.DeleteFunc(r.waits, func(old discovery.News) bool { return old.Name == n.Name })
	switch {
	case name == r.self:
	case name.Check() != nil:
		r.logger.Warn("somebody was found whose name is no peer's", "peer", n.Name, "addr", n.Addr)
	case n.Kind == discovery.Found && !votes && !r.open:
		r.logger.Warn("somebody was found who cannot take part: with this algorithm the voters are all there are",
			"peer", n.Name, "addr", n.Addr, "algorithm", r.algorithm, "voters", strings.Join(r.voters, ","))
	case n.Kind == discovery.Found && (votes || found):
		r.join(n, votes)
	case n.Kind == discovery.Found:
		r.waits = append(r.waits, n)
	case n.Kind == discovery.Failed:
		if found {
			r.found[n.Name] = standing{failed: reason(n)}
		}
		r.node.Suspect(name, reason(n))
		r.links.Rest(name, true)
	case votes:
		r.node.Leave(name, reason(n))
		r.links.Rest(name, true)
	case found:
		r.forget(n)
	}
}

// admit lets those in who wait, while there is room: that of those who are held for
// dead, too, if need be, since they are found again when they are back. So names that
// somebody makes up keep nobody out for longer than it takes to see that they are
// nobody's.
func (r *roll) admit() {
	for len(r.waits) > 0 && (len(r.found) < maxFound || r.makeRoom()) {
		n := r.waits[0]
		r.waits = r.waits[1:]
		r.join(n, false)
	}
	if len(r.waits) > 0 && !r.crowded {
		r.logger.Warn("somebody was found who cannot take part before others leave: there are too many peers",
			"peer", r.waits[0].Name, "addr", r.waits[0].Addr, "limit", maxFound)
	}
	r.crowded = len(r.waits) > 0
}

// makeRoom forgets somebody who is held for dead, and has no link.
func (r *roll) makeRoom() bool {
	for name, s := range r.found {
		if s.failed != "" && !r.node.IsUp(algo.PeerName(name)) {
			r.drop(name, s.failed+"; others need the room")
			return true
		}
	}
	return false
}

// join makes a peer known, or its new address.
func (r *roll) join(n discovery.News, votes bool) {
	name := algo.PeerName(n.Name)
	why := fmt.Sprintf("found at %s, incarnation %d", n.Addr, n.Incarnation)
	switch {
	case votes && !n.Voter:
		why += "; it says that it has no vote, and has one here"
	case !votes && n.Voter:
		why += "; it says that it has a vote, and has none here"
	}
	if delete(r.gone, n.Name); !votes {
		r.found[n.Name] = standing{}
	}
	r.node.Join(name, why)
	r.links.Locate(name, n.Addr)
}

// forget forgets a peer without a vote that is said to be gone, as soon as its
// link is down: what works is worth more than what is said.
func (r *roll) forget(n discovery.News) {
	if r.node.IsUp(algo.PeerName(n.Name)) {
		r.gone[n.Name] = n
		return
	}
	r.drop(n.Name, reason(n))
}

// drop forgets a peer without a vote.
func (r *roll) drop(name, why string) {
	delete(r.gone, name)
	delete(r.found, name)
	r.node.Leave(algo.PeerName(name), why)
}

// reason says why a peer is taken for what the news say.
func reason(n discovery.News) string {
	if n.Reason == "" {
		return n.Kind.String()
	}
	return n.Kind.String() + ": " + n.Reason
}
