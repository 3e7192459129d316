package sim

import (
	"fmt"
	"slices"

	"github.com/conchlock/conch/algo"
)

// local is one peer, apart from its links.
type local struct {
	name        algo.PeerName
	process     algo.Process
	clock       algo.Clock
	born        algo.Time // where this incarnation's clock started
	incarnation algo.Incarnation
	phase       [maxLocks]phase
	deadline    [maxLocks]algo.Instant // of a hold, by this peer's clock
	floor       algo.Token             // on its disk
	behind      algo.Duration          // by how much its clock is behind, since it runs on another machine
	id          uint32                 // names this state of the peer, if there is a memo
	twin        algo.Process           // another process in the same state, if there is a memo
}

// phase is where a peer stands with a lock.
type phase uint8

const (
	idle phase = iota
	waiting
	inside
)

// packet is a message on its way.
type packet struct {
	lock    string
	time    algo.Time // the sender's clock
	message algo.Message
	id      uint32        // names the packet, if there is a memo
	due     algo.Duration // when it arrives, in a timed run; 0: not decided yet
}

// result is what an input did to a peer.
type result struct {
	next    *local
	input   algo.Input
	out     []algo.Output
	packets []*packet // of those outputs that are sends, in order
	stop    *stop     // of a Stop, if the peer keeps promises
	err     error
}

// start starts the incarnation that follows old's; the first if old has none.
// Its clock goes on where that of the last one ended: the runtime keeps a
// ceiling of it on disk. Where peers forget it, only the floor is kept. A disk
// that was wiped is replaced by a wall clock, which is above all that was used.
// All have the same TTL for ever, so Setup.Bound says nothing that it does not.
func (n *Network) start(i int, old *local, wiped bool, last *stop) *local {
	p := &local{
		name:        n.names[i],
		clock:       old.clock,
		incarnation: old.incarnation + 1,
		floor:       old.floor,
		behind:      old.behind,
	}
	if n.Forget && old.incarnation > 0 {
		p.clock = algo.Clock{}
	}
	if wiped && old.incarnation > 0 {
		p.floor = n.wallClock()
		p.behind = min(n.passed, p.behind+n.TTL/4) // another machine: its clock reads less
	}
	p.born = p.clock.Now()
	voters := n.Voters
	if len(voters) == 0 {
		voters = n.names
	}
	s := algo.Setup{
		Self:        p.name,
		Incarnation: p.incarnation,
		Others:      n.others(i),
		Voters:      voters,
		Open:        n.Open,
		TTL:         n.TTL,
		Linger:      n.Linger,
		Drift:       n.Drift,
		Now:         n.counted(i, n.passed-p.behind),
		Floor:       p.floor,
	}
	if last != nil && last.all {
		s.Kept, s.Promises = true, last.promises
	}
	p.process = n.New(s)
	return p
}

// others lists whom a peer knows beforehand: all others or, if they come and go,
// those that vote.
func (n *Network) others(i int) []algo.PeerName {
	return slices.DeleteFunc(slices.Clone(n.names), func(name algo.PeerName) bool {
		return name == n.names[i] || n.Open && !slices.Contains(n.Voters, name)
	})
}

// wallClock is above every number that was used: each start of a peer makes it
// grow.
func (n *Network) wallClock() algo.Token {
	starts := algo.Token(1)
	for _, p := range n.peers {
		starts += algo.Token(p.incarnation)
	}
	return starts << 36
}

// now reads a peer's clock.
func (n *Network) now(i int) algo.Instant { return n.reading(i, n.passed) }

// reading is what a peer's clock reads when so much time has passed.
func (n *Network) reading(i int, d algo.Duration) algo.Instant {
	if i < len(n.peers) {
		d -= n.peers[i].behind
	}
	return n.counted(i, d)
}

// counted is what a peer's clock reads when it has counted so much.
func (n *Network) counted(i int, d algo.Duration) algo.Instant {
	if i < len(n.Rates) {
		d += algo.Duration(int64(d) / 1000 * n.Rates[i] / 1000)
	}
	if i < len(n.Offset) {
		d += n.Offset[i]
	}
	return algo.Instant(d)
}

// step gives the peer an input that was sent at a time, or 0 for its own
// events, and checks what can be checked without the others. A twin, if there
// is one, is another process in the same state. The result is valid until r is
// used again.
func (p *local) step(in algo.Input, sent algo.Time, locks []string, twin algo.Process, r *result) {
	in.Time = p.clock.Receive(sent) // for its own events, a tick
	lock := slices.Index(locks, in.Lock)
	switch in.Kind {
	case algo.Acquire:
		p.phase[lock] = waiting
	case algo.Cancel, algo.Release:
		p.phase[lock], p.deadline[lock] = idle, 0
	}
	*r = result{next: p, input: in, out: r.out[:0], packets: r.packets[:0]}
	defer func() {
		if bad := recover(); bad != nil {
			r.err = fmt.Errorf("%s panics: %v", p.name, bad)
		}
	}()
	r.out = p.process.Step(in, r.out)
	if k, keeps := p.process.(algo.Keeper); keeps && in.Kind == algo.Stop {
		// Asked at once, as the runtime does. If there is a memo, another process
		// with the same encoding will stand for this one: it has stopped at another time.
		promises, all := k.Promises()
		r.stop = &stop{promises, all}
	}
	for _, o := range r.out {
		switch o.Kind {
		case algo.Send:
			r.packets = append(r.packets, &packet{lock: o.Lock, time: in.Time, message: o.Message})
		case algo.Floor:
			p.floor = max(p.floor, o.Token)
		case algo.Enter, algo.Extend, algo.Lost:
			if r.err = p.hold(slices.Index(locks, o.Lock), o, in); r.err != nil {
				return
			}
		}
	}
	if r.err = p.process.Check(); r.err == nil {
		r.err = p.checkWaits(locks)
	}
	if r.err == nil && twin != nil {
		r.err = checkTwin(twin, p.process, in, r.out)
	}
}

// hold takes note of what happens to a hold.
func (p *local) hold(lock int, o algo.Output, in algo.Input) error {
	switch {
	case lock < 0:
		return fmt.Errorf("%s is told of %q", p.name, o.Lock)
	case o.Kind == algo.Lost:
		if p.phase[lock] == inside {
			p.phase[lock] = idle
		} else if in.Kind != algo.Release || in.Lock != o.Lock {
			return fmt.Errorf("%s loses what it has not", p.name)
		}
		p.deadline[lock] = 0
		return nil
	case o.Kind == algo.Enter && p.phase[lock] != waiting:
		return fmt.Errorf("%s enters without a request", p.name)
	case o.Kind == algo.Extend && p.phase[lock] != inside:
		return fmt.Errorf("%s may stay where it is not", p.name)
	case o.Deadline <= in.Now || o.Deadline < p.deadline[lock]:
		return fmt.Errorf("%s may stay inside until %d, at %d, and before until %d", p.name, o.Deadline, in.Now, p.deadline[lock])
	}
	p.phase[lock], p.deadline[lock] = inside, o.Deadline
	return nil
}

// checkWaits checks that a peer that waits says for whom, and that one that
// does not says nothing.
func (p *local) checkWaits(locks []string) error {
	for l, name := range locks {
		waits := p.process.WaitsFor(name)
		switch at := p.phase[l]; {
		case at != waiting && len(waits) > 0:
			return fmt.Errorf("%s says that it waits for %s, and has no open request", p.name, join(waits))
		case at == waiting && len(waits) == 0 && p.process.Wake() == algo.Never:
			return fmt.Errorf("%s waits, and does not say for whom", p.name)
		case !slices.IsSorted(waits) || slices.Contains(waits, p.name):
			return fmt.Errorf("%s says that it waits for %s", p.name, join(waits))
		}
	}
	return nil
}
