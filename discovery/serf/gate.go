package serf

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/serf/serf"

	"github.com/conchlock/conch/discovery"
)

// maxMembers bounds who is known at a time, but for those with a vote. The root
// package takes fewer.
const maxMembers = 1024

// gate decides who is let in: peers of this cluster, with tags that can be read, and
// with a name of their own. It is serf's merge delegate. Serf asks it with everybody
// that somebody else knows, before two clusters become one, and with one member at
// each of its signs of life. Serf holds locks then, so the gate calls nobody.
type gate struct {
	name      string
	cluster   string
	algorithm string
	voters    []string
	own       netip.AddrPort
	said      *notices

	mu    sync.Mutex
	where map[string]netip.AddrPort // all members, as far as is known; zero: down, or just let in

	// About joining. A peer that was started again at another address is listed at the
	// old one for a while; one whose name is taken is too. A ping tells which.
	joining  bool
	quiet    bool           // joining an address where somebody was, who may be long gone
	rival    netip.AddrPort // where the others believe this peer to be, if that is wrong
	ghost    netip.AddrPort // a rival that does not answer
	listed   bool           // the others have it right
	homeless bool           // they had it wrong when last heard of
	refusal  string         // the last one
}

func newGate(self discovery.Self, own netip.AddrPort, said *notices) *gate {
	return &gate{
		name: self.Name, cluster: clusterTag(self.Cluster), algorithm: self.Algorithm, voters: self.Voters, own: own, said: said,
		where: make(map[string]netip.AddrPort),
	}
}

// know takes note of who is there.
func (g *gate) know(members []serf.Member) {
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(g.where)
	for _, m := range members {
		g.where[m.Name] = netip.AddrPort{}
		if up(m) {
			g.where[m.Name] = gossipAddr(m)
		}
	}
}

// NotifyMerge lets members in or, with an error, not. A list is refused as a whole
// when this peer's name is taken in it, or nobody in it is let in: one member with
// bad tags must not keep out the others.
func (g *gate) NotifyMerge(members []*serf.Member) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	var first error
	defer func() { // what is refused has been said
		if err := first; err != nil {
			g.refusal = err.Error()
		}
	}()
	good := 0
	for _, m := range members {
		err, taken := g.admit(m, len(members) > 1)
		if taken {
			return err
		}
		if err == nil {
			good++
		} else if first == nil {
			first = err
		}
	}
	if good > 0 {
		return nil
	}
	return first
}

// admit decides about one member. Of those in a list it is not known whether they
// are up. Taken means that it has this peer's name.
func (g *gate) admit(m *serf.Member, listed bool) (err error, taken bool) {
	addr := gossipAddr(*m)
	a, err := readTags(m.Name, m.Tags)
	if err != nil {
		err = fmt.Errorf("a member %.70q gossips at %s and is ignored: %w", m.Name, addr, err)
		g.said.once("tags "+addr.String(), err.Error())
		return err, false
	}
	if a.cluster != g.cluster {
		err = fmt.Errorf("peer %s at %s is of cluster %q, and this is %s of cluster %q: give both the same cluster (Config.Cluster, --cluster), or join addresses of your own",
			a.name, addr, a.cluster, g.name, g.cluster)
		if !g.joining || !g.quiet {
			g.said.once("cluster "+a.cluster+" "+a.name, err.Error())
		}
		return err, false
	}
	if a.algorithm != g.algorithm {
		err = fmt.Errorf("peer %s at %s runs the algorithm %q, and this is %s with %q: start all peers of a cluster with the same",
			a.name, addr, a.algorithm, g.name, g.algorithm)
		g.said.once("algorithm "+a.algorithm+" "+a.name, err.Error())
		return err, false
	}
	if m.Name == g.name {
		return g.namesake(m, addr, listed)
	}
	at, known := g.where[m.Name]
	if !known && len(g.where) >= maxMembers && !slices.Contains(g.voters, m.Name) {
		err = fmt.Errorf("peer %s at %s is ignored: there are %d others already", a.name, addr, len(g.where))
		g.said.once("too many", err.Error())
		return err, false
	}
	if !known && !listed {
		g.where[m.Name] = netip.AddrPort{} // thousands may come before the next look at the members
	}
	if at.IsValid() && at != addr && !listed {
		// Memberlist decides, as it knows better who is up.
		g.said.once(fmt.Sprint("name ", m.Name, at, addr), fmt.Sprintf("peer %s is at %s, and somebody at %s says to be %s too, who is not let in as long as the first one answers: "+
			"if it was started again elsewhere, it gets in when that is noticed; if two peers have one name, give each its own", m.Name, at, addr, m.Name))
	}
	return nil, false
}

// namesake decides about a member with this peer's name: it is this peer itself, or
// what it was before a restart, or somebody else.
func (g *gate) namesake(m *serf.Member, addr netip.AddrPort, listed bool) (err error, taken bool) {
	switch {
	case addr == g.own:
		g.listed = true
		return nil, false
	case m.Status == serf.StatusLeft, listed && addr == g.ghost:
		return nil, false
	}
	err = fmt.Errorf("there are two peers of the name %s: here at %s, and at %s", g.name, g.own, addr)
	switch {
	case g.joining:
		g.rival = addr
	case !g.homeless: // else this peer is the one who is not let in
		g.said.once("namesake "+addr.String(), fmt.Sprintf("somebody at %s says to be %s too, and is not let in: stop it or give it another name", addr, g.name))
	}
	return err, true
}

// begin is called before an attempt to join; ghost is a rival that is known not to
// answer. Quiet is for an address that was somebody's: that another cluster is there
// now is no mistake of anybody's.
func (g *gate) begin(ghost netip.AddrPort, quiet bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.joining, g.quiet, g.rival, g.listed, g.ghost = true, quiet, netip.AddrPort{}, false, ghost
}

// end is called after an attempt to join. It returns where else the others believe
// this peer to be, if they do, and whether they know where it really is.
func (g *gate) end() (rival netip.AddrPort, listed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.joining, g.ghost = false, netip.AddrPort{}
	switch {
	case g.rival.IsValid():
		g.homeless = true
	case g.listed:
		g.homeless = false
	}
	return g.rival, g.listed
}

// refused says that an attempt to join has failed for a reason that was said here.
func (g *gate) refused(text string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.refusal != "" && strings.HasPrefix(g.refusal, strings.TrimSuffix(text, "..."))
}

// contested says that the others believe somebody else to be this peer.
func (g *gate) contested() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.homeless
}

// up says that a member takes part: one that is about to leave does, too.
func up(m serf.Member) bool {
	return m.Status == serf.StatusAlive || m.Status == serf.StatusLeaving
}

// gossipAddr is where a member gossips.
func gossipAddr(m serf.Member) netip.AddrPort {
	ip, _ := netip.AddrFromSlice(m.Addr)
	return netip.AddrPortFrom(ip.Unmap(), m.Port)
}
