package serf

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/serf/serf"
)

// settled is how many of the longest pauses pass before an address is looked at
// again that answers, and is nobody's: as one behind a NAT, or a name whose
// addresses may change.
const settled = 10

// target is somebody to be found: a Join address, or a peer that was seen before.
type target struct {
	name  string // of the peer; empty: a Join address
	voter bool   // of a peer
	addr  string // HOST:PORT
	addrs []netip.AddrPort

	pause time.Duration // the last one
	due   time.Time     // of the next attempt; zero: not looked for
}

// seeker looks for whoever is known of and not there, for ever: one attempt at a
// time, with pauses that grow up to a bound. As long as all are there it sleeps.
type seeker struct {
	self   string
	at     place
	agent  *serf.Serf
	gate   *gate
	said   *notices
	lookup func(context.Context, string) ([]netip.Addr, error)
	pace   pace
	wake   chan struct{} // members have changed
	doubts <-chan string // peers that seem not to answer by UDP

	seen    *contacts
	targets []*target // those to join first, then those with a vote, then by name
	home    target    // the cluster itself, when it believes this peer to be elsewhere
}

func newSeeker(self string, at place, source Source, seen *contacts, agent *serf.Serf, g *gate, said *notices, doubts <-chan string) *seeker {
	s := &seeker{
		self: self, at: at, agent: agent, gate: g, said: said, lookup: source.test.lookup, pace: source.Network.pace(),
		wake: make(chan struct{}, 1), seen: seen, doubts: doubts,
	}
	for _, addr := range source.Join {
		s.targets = append(s.targets, &target{addr: addr, due: time.Now()})
	}
	s.retarget()
	for _, t := range s.targets {
		t.due = time.Now() // at the beginning nobody waits
	}
	return s
}

// run looks for them until the context ends.
func (s *seeker) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		members := s.agent.Members()
		s.note(members)
		t, wait := s.next(members, time.Now())
		if t != nil {
			if s.attempt(ctx, t) {
				continue
			}
			wait = s.pace.gap
		}
		timer.Reset(wait)
		var wake <-chan struct{}
		if t == nil { // else the gap is kept, whoever comes
			wake = s.wake
		}
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-wake:
		case name := <-s.doubts:
			s.doubt(name, members)
		}
	}
}

// maxDoubts bounds how many wait to be cleared up; there will be more of each.
const maxDoubts = 8

// doubt finds out whether a peer answers by UDP that memberlist reached only by TCP.
func (s *seeker) doubt(name string, members []serf.Member) {
	i := slices.IndexFunc(members, func(m serf.Member) bool { return m.Name == name && up(m) })
	if i < 0 || s.said.has("udp "+name) || s.ping(name, gossipAddr(members[i])) {
		return
	}
	s.said.once("udp "+name, fmt.Sprintf("peer %s answers by TCP and not by UDP: let UDP through to the gossip ports too; until then, news are slow", name))
}

// note takes note of who is there.
func (s *seeker) note(members []serf.Member) {
	news := false
	for _, m := range members {
		switch a, err := readTags(m.Name, m.Tags); {
		case m.Name == s.self || err != nil:
		case up(m):
			news = s.seen.see(m.Name, gossipAddr(m), s.votes(m.Name, a.voter)) || news
		case m.Status == serf.StatusLeft:
			news = s.seen.farewell(m.Name) || news
		}
	}
	if news {
		s.seen.save()
		s.retarget()
	}
}

// votes says whether somebody has a vote who says that it does or does not. Where it
// is known who has one, others can say what they like.
func (s *seeker) votes(name string, says bool) bool {
	if len(s.gate.voters) == 0 {
		return says
	}
	return slices.Contains(s.gate.voters, name)
}

// retarget makes the targets those to join, and everybody who has been seen.
func (s *seeker) retarget() {
	old := make(map[string]*target)
	s.targets = slices.DeleteFunc(s.targets, func(t *target) bool {
		if t.name != "" {
			old[t.name] = t
		}
		return t.name != ""
	})
	for name, c := range s.seen.by {
		t := old[name]
		if t == nil || t.addr != c.addr.String() || t.voter != c.voter {
			t = &target{name: name, voter: c.voter, addr: c.addr.String(), addrs: []netip.AddrPort{c.addr}}
		}
		if name != s.self {
			s.targets = append(s.targets, t)
		}
	}
	rank := func(t *target) int {
		switch {
		case t.name == "":
			return 0
		case t.voter:
			return 1
		}
		return 2
	}
	slices.SortStableFunc(s.targets, func(a, b *target) int { return cmp.Or(rank(a)-rank(b), strings.Compare(a.name, b.name)) })
}

// next returns whom to look for now or, if nobody, for how long to sleep.
func (s *seeker) next(members []serf.Member, now time.Time) (*target, time.Duration) {
	names, addrs := make(map[string]bool), map[netip.AddrPort]bool{s.at.advertise: true, s.at.bind: true}
	var door netip.AddrPort
	for _, m := range members {
		if up(m) && m.Name != s.self {
			names[m.Name], addrs[gossipAddr(m)] = true, true
			door = gossipAddr(m)
		}
	}
	var best *target
	consider := func(t *target, there bool) {
		switch {
		case there:
			t.pause, t.due = 0, time.Time{}
			return
		case t.due.IsZero():
			s.wait(t, now)
		}
		if best == nil || t.due.Before(best.due) {
			best = t
		}
	}
	for _, t := range s.targets {
		consider(t, names[t.name] || len(t.addrs) > 0 && !slices.ContainsFunc(t.addrs, func(a netip.AddrPort) bool { return !addrs[a] }))
	}
	if door.IsValid() {
		s.home.addr = door.String()
	}
	consider(&s.home, s.home.addr == "" || !s.gate.contested())
	switch {
	case best == nil:
		return nil, never
	case best.due.After(now):
		return nil, best.due.Sub(now)
	}
	return best, 0
}

// wait puts a target off. Chance keeps peers apart that lost each other at the same
// moment. Those without a vote may be many and gone for good, so in the end they are
// looked for more rarely: they look for the voters, too.
func (s *seeker) wait(t *target, now time.Time) {
	longest := s.pace.longest
	if t.name != "" && !t.voter {
		longest *= settled
	}
	t.pause = min(max(s.pace.first, 2*t.pause), longest)
	t.due = now.Add(t.pause*3/4 + rand.N(t.pause/2))
}

// attempt looks for a target once, and returns whether somebody has answered.
func (s *seeker) attempt(ctx context.Context, t *target) bool {
	host, port, err := split(t.addr)
	if err != nil { // both Join and contacts are checked
		return false
	}
	ips, err := resolveAll(ctx, s.lookup, host)
	if err != nil {
		if ctx.Err() == nil {
			s.said.once("nobody "+t.addr, fmt.Sprintf("nobody can be found at %s: %v; trying for as long as it takes", t.addr, err))
		}
		s.wait(t, time.Now())
		return false
	}
	t.addrs = t.addrs[:0]
	answered, reached := false, false
	for _, ip := range ips {
		addr := netip.AddrPortFrom(ip, port)
		t.addrs = append(t.addrs, addr)
		if t != &s.home && s.there(addr) {
			reached = true
			continue
		}
		if addr == s.at.advertise || addr == s.at.bind || ctx.Err() != nil {
			continue
		}
		if e := s.join(ctx, addr, t.name != ""); e != nil {
			err = e
			continue
		}
		answered, reached = true, true
	}
	if reached {
		s.said.over("nobody " + t.addr)
		s.said.over("key " + t.addr)
	}
	switch now := time.Now(); {
	case err == nil && t == &s.home:
		s.wait(t, now)
	case err == nil: // or there is only this peer itself
		t.due = now.Add(settled * s.pace.longest)
	case ctx.Err() == nil:
		if !reached {
			s.report(ctx, t, err)
		}
		if t.name != "" && s.gate.refused(reason(err)) && s.seen.farewell(t.name) {
			s.seen.save() // its address is another's by now
			s.retarget()
			break
		}
		s.wait(t, now)
	}
	return answered
}

// there says that somebody gossips at the address who is a member.
func (s *seeker) there(addr netip.AddrPort) bool {
	return slices.ContainsFunc(s.agent.Members(), func(m serf.Member) bool {
		return up(m) && m.Name != s.self && gossipAddr(m) == addr
	})
}

// join joins whoever gossips at an address. If the others believe this peer to be
// elsewhere, whoever is there is asked for an answer: if none comes, it is this peer
// before it was started again, and its name will be free soon.
func (s *seeker) join(ctx context.Context, addr netip.AddrPort, quiet bool) error {
	s.gate.begin(netip.AddrPort{}, quiet)
	_, err := s.agent.Join([]string{addr.String()}, true)
	rival, _ := s.gate.end()
	if !rival.IsValid() || ctx.Err() != nil {
		return err
	}
	if s.ping(s.self, rival) {
		s.said.once("rival "+rival.String(), fmt.Sprintf("%s already runs at %s: stop it or take another name; trying again", s.self, rival))
		return errSaid
	}
	s.said.once("elsewhere "+rival.String(), fmt.Sprintf("the others believe %s to be at %s, where it does not answer: it gets in when they have noticed; trying again", s.self, rival))
	s.gate.begin(rival, quiet)
	_, err = s.agent.Join([]string{addr.String()}, true)
	s.gate.end()
	return err
}

// errSaid is the failure of an attempt that has been explained already.
var errSaid = fmt.Errorf("said")

// pings is how many packets have to be lost, or to be late, until somebody is taken
// for dead.
const pings = 3

// ping says whether somebody answers at an address by UDP, of that name or, without
// one, any. Memberlist adds to a ping what it has to tell, so whoever has this peer's
// name hears of it, too.
func (s *seeker) ping(name string, addr netip.AddrPort) bool {
	for range pings {
		if _, err := s.agent.Memberlist().Ping(name, net.UDPAddrFromAddrPort(addr)); err == nil {
			return true
		}
	}
	return false
}

// report says why nobody was found, once.
func (s *seeker) report(ctx context.Context, t *target, err error) {
	text := reason(err)
	switch {
	case err == errSaid || s.gate.refused(text):
	case isKeyTrouble(text):
		s.said.once("key "+t.addr, keyTrouble(t.addr))
	case t.name != "" || t == &s.home:
		// That it does not answer is in the news.
	case s.said.has("nobody " + t.addr): // without pings
	case !strings.Contains(text, "dial "):
		s.said.once("nobody "+t.addr, fmt.Sprintf("somebody at %s answers, and does not gossip as Conch does (%s): is that the port of the gossip? Trying for as long as it takes", t.addr, text))
	case !s.ping("", t.addrs[len(t.addrs)-1]):
		s.said.once("nobody "+t.addr, fmt.Sprintf("nobody answers at %s (%s): trying for as long as it takes", t.addr, text))
	case s.join(ctx, t.addrs[len(t.addrs)-1], false) == nil: // it has come just in between
	default:
		s.said.once("nobody "+t.addr, fmt.Sprintf("somebody at %s answers by UDP and not by TCP (%s): let TCP through to the gossip ports too; trying for as long as it takes", t.addr, text))
	}
}

// reason takes out of an error of memberlist what has happened.
func reason(err error) string {
	text := err.Error()
	if _, after, ok := strings.Cut(text, "failed to join "); ok {
		if _, after, ok = strings.Cut(after, ": "); ok {
			text = after
		}
	}
	text, _, _ = strings.Cut(strings.TrimSpace(text), "\n")
	return shorten(text, 200)
}
