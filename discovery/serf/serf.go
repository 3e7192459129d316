// Package serf finds the peers of a cluster by gossip: each needs to know one
// other to begin with, they learn of all the others by themselves, and notice
// when one comes, moves, fails or goes. It embeds github.com/hashicorp/serf.
//
// It decides nothing about safety. Whoever has the key (or, without one, reaches
// the port) can claim anything here: that costs time, never a second holder.
//
// What serf does not do by itself is done here. Somebody who has been away for
// so long that serf has forgotten it is still looked for, so partitions of any
// length heal (serf gives up after its reconnect timeout). Who has been seen
// outlives a restart (serf's own snapshot forgets those who failed or left). Two
// peers of one name are told of each other, and the first stays (serf would let
// the others vote, and shut one down: a vote that is lost by mistake would leave
// a working peer deaf, so that is switched off). And what goes wrong is said once,
// with the mend.
package serf

import (
	"context"
	"fmt"
	"log"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/hashicorp/serf/serf"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/discovery"
)

// Source finds peers by gossip; it is a discovery.Finder. The zero value listens
// beside the peer, on port 7946, and waits to be joined.
type Source struct {
	// Join has addresses HOST:PORT where others gossip, any of them; one that is up
	// is enough. Of a name that resolves to several addresses all are tried. The own
	// address may be among them, so that all peers can have the same list. More
	// addresses make it likelier that one is up; each that is down costs an attempt
	// every half a minute. Empty: start alone and be joined.
	Join []string

	// Bind is the HOST:PORT to gossip on, by UDP and TCP, both of which others must
	// reach. Port 0 is any port that is free. Empty: the host of the peer's own
	// address, and port 7946.
	Bind string

	// Advertise is the HOST:PORT at which others reach Bind, if that is different,
	// as behind a NAT. Empty: Bind or, if that is all addresses of this machine
	// (0.0.0.0 or [::]), the host of the peer's own address with Bind's port.
	Advertise string

	// Keyring is the path of a file with the keys of the gossip: one a line, 16, 24
	// or 32 random bytes in base64 (head -c 32 /dev/urandom | base64); # starts a
	// comment. All are tried on what comes in; the first is used for what goes out
	// (AES-GCM). The file is read again when it changes. To change keys without a
	// gap: add the new one to every file, then make it the first in every file, then
	// remove the old one from every file. Empty: everybody who reaches the port can
	// read and forge the gossip.
	Keyring string

	// Dir is where it is written down who has been seen, for after a restart: a small
	// file, gossip.txt, of this peer alone. The folder must be there. Empty: after a
	// restart only Join leads back.
	Dir string

	// Network says how far the peers are from each other: what a shorter wait for an
	// answer gains in time to notice a failure, it costs in packets and false alarms.
	Network Network

	test seams
}

// seams are what tests put in; the zero value is for everybody else.
type seams struct {
	wrap   func(memberlist.NodeAwareTransport) memberlist.NodeAwareTransport
	tune   func(*serf.Config)
	lookup func(ctx context.Context, host string) ([]netip.Addr, error)
}

var _ discovery.Finder = Source{}

// Peers returns no peers: all are found.
func (s Source) Peers() (discovery.Peers, error) { return discovery.Peers{}, nil }

// Find begins to gossip. See discovery.Finder. Warnings are told by the goroutine
// that tells the news.
func (s Source) Find(ctx context.Context, self discovery.Self, told func(discovery.News)) (discovery.Search, error) {
	if s.test.lookup == nil {
		s.test.lookup = lookup
	}
	tags, err := s.check(self)
	if err != nil {
		return nil, err
	}
	at, err := s.place(ctx, self.Addr)
	if err != nil {
		return nil, err
	}
	said := newNotices()
	keys, err := openKeyring(s.Keyring, said)
	if err != nil {
		return nil, err
	}
	seen, err := readContacts(s.Dir, clusterTag(self.Cluster), said)
	if err != nil {
		return nil, err
	}
	doubts := make(chan string, maxDoubts)
	logger := log.New(&lines{said: said, doubts: doubts}, "", 0)
	w, err := listen(at.bind, s.Network.pace().dial, logger)
	if err != nil {
		return nil, fmt.Errorf("gossip on %s: %w; is another peer there? Give each its own address (Source.Bind, --serf-addr)", at.bind, err)
	}
	at = at.on(w.port())
	g := newGate(self, at.advertise, said)
	conf := s.Network.config(w, at, keys.ring, logger)
	conf.NodeName, conf.Tags, conf.Merge = self.Name, tags, g
	events := make(chan serf.Event, eventBuffer)
	conf.EventCh = events
	if s.test.wrap != nil {
		conf.MemberlistConfig.Transport = s.test.wrap(w)
	}
	if s.test.tune != nil {
		s.test.tune(conf)
	}
	agent, err := serf.Create(conf)
	if err != nil {
		w.Shutdown() // a second time, if memberlist did it already
		return nil, fmt.Errorf("gossip on %s: %w", at.bind, err)
	}
	r := &search{
		addr: at.advertise.String(), agent: agent, wire: w, gate: g, said: said, events: events,
		view: newView(self.Name, s.Network.pace().stands, said), self: self, told: told, changed: make(chan struct{}, 1),
		seeker: newSeeker(self.Name, at, s, seen, agent, g, said, doubts), keys: keys,
	}
	r.start(s.Network.pace())
	return r, nil
}

// check says what is wrong with the source or the peer, as far as that can be seen
// without asking anybody. It returns what others will be told.
func (s Source) check(self discovery.Self) (map[string]string, error) {
	if err := algo.PeerName(self.Name).Check(); err != nil {
		return nil, err
	}
	if err := discovery.CheckAddr(self.Addr); err != nil {
		return nil, err
	}
	for _, addr := range s.Join {
		if err := discovery.CheckAddr(addr); err != nil {
			return nil, fmt.Errorf("join (Source.Join, --join): %w", err)
		}
	}
	if s.Network > Loopback {
		return nil, fmt.Errorf("no such network: %d; there are LAN, WAN and Loopback", s.Network)
	}
	return tagsOf(self)
}

// search is a source at work.
type search struct {
	addr   string
	agent  *serf.Serf
	wire   *wire
	gate   *gate
	said   *notices
	events <-chan serf.Event
	view   *view
	self   discovery.Self
	told   func(discovery.News)
	seeker *seeker
	keys   *keyring

	changed chan struct{} // members have changed
	cancel  context.CancelFunc
	work    sync.WaitGroup // all but drain
	drained sync.WaitGroup
	leaving sync.Once
	left    error
}

// Addr returns where others join.
func (r *search) Addr() string { return r.addr }

// start begins the four loops of a search. Each owns what it works on.
func (r *search) start(p pace) {
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	r.drained.Go(r.drain)
	r.work.Go(func() { r.tell(ctx) })
	r.work.Go(func() { r.seeker.run(ctx) })
	if r.keys.ring != nil {
		r.work.Go(func() { r.keys.watch(ctx, p.keys) })
	}
}

// drain takes serf's events, so that serf never waits, and makes of them no more
// than a hint that something has changed. It ends some time after serf, and what
// serf says still later finds room in the buffer.
func (r *search) drain() {
	for {
		select {
		case <-r.events:
			hint(r.changed)
		case <-r.agent.ShutdownCh():
			return
		}
	}
}

// eventBuffer is more than serf can say after its end.
const eventBuffer = 1024

// tell compares the members with what was told last, and tells the difference. So
// news of a peer that come faster than they are taken become one.
func (r *search) tell(ctx context.Context) {
	for {
		members := r.agent.Members()
		r.gate.know(members)
		news, again := r.view.look(members, time.Now())
		hint(r.seeker.wake)
		for _, n := range news {
			if ctx.Err() == nil && r.told != nil {
				r.told(n)
			}
		}
		for _, text := range r.said.take() {
			if ctx.Err() == nil && r.self.Warn != nil {
				r.self.Warn(text)
			}
		}
		select { // thirty that come at once cause a thousand changes
		case <-ctx.Done():
			return
		case <-time.After(settle):
		}
		var late <-chan time.Time
		if again > 0 {
			late = time.After(again)
		}
		select {
		case <-ctx.Done():
			return
		case <-r.changed:
		case <-r.said.wake:
		case <-late:
		}
	}
}

// settle is how long changes are gathered after a look at the members.
const settle = 20 * time.Millisecond

// Leave tells the others, and ends the search. It takes two seconds at most. Of
// memberlist's goroutines one may outlive it, until the answer to its last probe
// is overdue: for the preset's probe interval, eight times that under load.
func (r *search) Leave() error {
	return r.end(true)
}

// end ends the search, in good order or, as tests have it, as a crash does.
func (r *search) end(orderly bool) error {
	r.leaving.Do(func() {
		r.cancel()
		r.wire.hangUp() // an attempt to join under way fails at once
		r.work.Wait()
		// Whoever is refused because of its name must not say goodbye: the others would
		// take that for the goodbye of the first of the name.
		if orderly && !r.gate.contested() {
			r.agent.Leave() // what it says does not matter: the others will notice anyway
		}
		r.left = r.agent.Shutdown()
		r.drained.Wait()
	})
	return r.left
}

// hint wakes whoever waits on c, now or later.
func hint(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
