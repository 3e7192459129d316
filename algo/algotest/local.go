package algotest

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
	id          uint32       // names this state of the peer, if there is a memo
	twin        algo.Process // another process in the same state, if there is a memo
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
	id      uint32 // names the packet, if there is a memo
}

// result is what an input did to a peer.
type result struct {
	next    *local
	input   algo.Input
	out     []algo.Output
	packets []*packet // of those outputs that are sends, in order
	err     error
}

// start starts an incarnation. Its clock goes on where that of the last one
// ended: the runtime keeps a ceiling of it on disk.
func start(create NewProcess, names []algo.PeerName, i int, incarnation algo.Incarnation, clock algo.Clock) *local {
	others := slices.Delete(slices.Clone(names), i, i+1)
	return &local{
		name:        names[i],
		process:     create(names[i], incarnation, others),
		clock:       clock,
		born:        clock.Now(),
		incarnation: incarnation,
	}
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
		p.phase[lock] = idle
	}
	*r = result{next: p, input: in, out: r.out[:0], packets: r.packets[:0]}
	defer func() {
		if bad := recover(); bad != nil {
			r.err = fmt.Errorf("%s panics: %v", p.name, bad)
		}
	}()
	r.out = p.process.Step(in, r.out)
	for _, o := range r.out {
		switch o.Kind {
		case algo.Send:
			r.packets = append(r.packets, &packet{lock: o.Lock, time: in.Time, message: o.Message})
		case algo.Enter:
			if r.err = p.enter(slices.Index(locks, o.Lock)); r.err != nil {
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

// enter takes note of an entry.
func (p *local) enter(lock int) error {
	if lock < 0 || p.phase[lock] != waiting {
		return fmt.Errorf("%s enters without a request", p.name)
	}
	p.phase[lock] = inside
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
		case at == waiting && len(waits) == 0:
			return fmt.Errorf("%s waits, and does not say for whom", p.name)
		case !slices.IsSorted(waits) || slices.Contains(waits, p.name):
			return fmt.Errorf("%s says that it waits for %s", p.name, join(waits))
		}
	}
	return nil
}
