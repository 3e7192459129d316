// Package epoch carries machines that know nothing of restarts over restarts.
//
// The classic algorithms need every peer, and every peer's memory. A peer that
// restarts has forgotten whom it gave leave, and whether it had the token. So
// a restart ends the epoch for everybody: each peer drops its machines and
// confirms that with a Join to every other; when all have confirmed, all begin
// anew, with fresh machines. Whoever is inside a lock at that moment stays
// inside; its Join says so, and the lock stays closed for everybody until it
// says Left. Other locks do not wait for that.
//
// An epoch is named by the lives of the peers that have begun anew, so that
// peers that see several restarts in different orders agree in the end: they
// merge what they hear, and Join again.
//
// Links are FIFO, so messages need no mark of their epoch: what a peer sent
// between two of its Joins belongs to the first of them.
//
// First contact is no restart, and costs no message. But a peer that has just
// started cannot know that it is no restart until it has had contact with every
// other: each contact says whether that peer knew an earlier incarnation. Until
// then it asks for nothing and answers nothing. That is enough: a peer whose
// state is worth anything has had contact with all the others, and knew them.
//
// A peer that never comes back is waited for. So is a peer that is inside.
// There is never a second holder.
//
// # Fencing tokens
//
// A new epoch's entries come after every Join and, for a lock that was held,
// after its holder's Left. Both carry the Lamport clock of their sender, so
// tokens go on growing. A holder that died has told nobody its last time; its
// next incarnation's clock has to start at or above it.
package epoch

import (
	"fmt"
	"maps"
	"slices"

	"github.com/conchlock/conch/algo"
)

// New makes the machine of one lock. The others are sorted; the machine may
// keep the slice, which nobody changes.
type New func(self algo.PeerName, incarnation algo.Incarnation, others []algo.PeerName) algo.Machine

// Process is one peer's part in all its locks, under an algorithm that knows
// nothing of restarts. It implements algo.Process.
//
// Invariants:
//
//	(1) begun exactly while there has been contact with every peer and the last
//	    Join of each is for this epoch;
//	(2) there is a machine for a lock only while begun and the lock is open;
//	(3) a request is in a machine exactly while it is wanted and there is a
//	    machine; inside and wanted exclude each other;
//	(4) messages are put aside only while not begun or for a lock that is
//	    closed;
//	(5) no Join that was heard is ahead of this peer's epoch.
type Process struct {
	self   algo.PeerName
	life   Life
	others []algo.PeerName // sorted
	make   New

	epoch Epoch
	begun bool
	peers map[algo.PeerName]*peer
	locks map[string]*lock
	aside []packet // messages that came early, in order
}

// peer is what this peer knows of another.
type peer struct {
	incarnation algo.Incarnation // 0: no contact yet
	joined      Epoch            // its last Join
	held        []string         // the locks it is inside since before that Join; sorted
}

// lock is a lock that somebody uses.
type lock struct {
	machine algo.Machine // nil while the epoch has not begun or the lock is closed
	wanted  bool         // this peer has an open request
	inside  bool         // this peer is in the section
	old     bool         // inside, and has been since before this epoch
}

// asideMax is how many messages can be put aside, times the number of other
// peers. They come while another peer has begun and this one has not, because the
// two learn of a third at different times; that is short, unless the third is
// gone for good. It leaves room for two about each lock that the runtime lets a
// peer want at a time. One message more, and this peer begins anew as after any
// other loss.
const asideMax = 1 << 15

// packet is a message that was put aside.
type packet struct {
	from algo.PeerName
	lock string
	msg  algo.Message
}

// NewProcess returns the process of one incarnation of self.
func NewProcess(self algo.PeerName, incarnation algo.Incarnation, others []algo.PeerName, machine New) *Process {
	p := &Process{
		self:   self,
		life:   Life{Incarnation: incarnation},
		others: slices.Sorted(slices.Values(others)),
		make:   machine,
		peers:  make(map[algo.PeerName]*peer, len(others)),
		locks:  make(map[string]*lock),
	}
	for _, o := range p.others {
		p.peers[o] = &peer{}
	}
	p.begun = p.ready() // at once, if alone
	return p
}

// Step implements algo.Process.
func (p *Process) Step(in algo.Input, out []algo.Output) []algo.Output {
	switch in.Kind {
	case algo.Acquire:
		return p.acquire(in, out)
	case algo.Cancel:
		return p.cancel(in, out)
	case algo.Release:
		return p.release(in, out)
	case algo.Contact:
		return p.contact(in, out)
	case algo.Receive:
		from, known := p.peers[in.From]
		if !known || from.incarnation == 0 {
			return out
		}
		switch msg := in.Message.(type) {
		case Join:
			return p.stepJoin(from, msg, in, out)
		case Left:
			return p.stepLeft(from, in, out)
		default:
			return p.stepInner(from, in, out)
		}
	}
	return out
}

// acquire passes the request on, now or when the lock opens.
func (p *Process) acquire(in algo.Input, out []algo.Output) []algo.Output {
	l := p.lock(in.Lock)
	if l.wanted || l.inside {
		panic(fmt.Sprintf("epoch: %s acquires %q twice", p.self, in.Lock))
	}
	l.wanted = true
	switch {
	case !p.begun:
		return append(out, algo.Output{Kind: algo.Note, Lock: in.Lock, Why: whyNotBegun})
	case p.closed(in.Lock):
		return append(out, algo.Output{Kind: algo.Note, Lock: in.Lock, Why: whyHeldStill})
	}
	return p.stepMachine(in, out)
}

// cancel passes the cancel on, unless the machine never saw the request.
func (p *Process) cancel(in algo.Input, out []algo.Output) []algo.Output {
	l := p.lock(in.Lock)
	if !l.wanted {
		panic(fmt.Sprintf("epoch: %s cancels %q, which it has not asked for", p.self, in.Lock))
	}
	l.wanted = false
	if l.machine == nil {
		p.forget(in.Lock)
		return out
	}
	return p.stepMachine(in, out)
}

// release passes the release on; the machine of an old hold is gone, and
// everybody waits to hear of it.
func (p *Process) release(in algo.Input, out []algo.Output) []algo.Output {
	l := p.lock(in.Lock)
	if !l.inside {
		panic(fmt.Sprintf("epoch: %s releases %q, which it is not inside", p.self, in.Lock))
	}
	l.inside = false
	if !l.old {
		return p.stepMachine(in, out)
	}
	l.old = false
	for _, o := range p.others {
		if p.peers[o].incarnation != 0 {
			out = append(out, algo.Output{Kind: algo.Send, Lock: in.Lock, To: o, Message: Left{}, Why: whyLeft})
		}
	}
	return p.open(in.Lock, in.Time, out)
}

// stepInner hands a message to the lock's machine, if it belongs to this epoch.
func (p *Process) stepInner(from *peer, in algo.Input, out []algo.Output) []algo.Output {
	switch {
	case !from.joined.Equal(p.epoch):
		return append(out, algo.Output{Kind: algo.Note, Lock: in.Lock, Why: whyOldEpoch})
	case (!p.begun || p.closed(in.Lock)) && len(p.aside) >= asideMax*len(p.others):
		p.life.Losses++
		return p.end(p.epoch.with(Member{p.self, p.life}), whyFull, in.Time, out)
	case !p.begun || p.closed(in.Lock):
		p.aside = append(p.aside, packet{from: in.From, lock: in.Lock, msg: in.Message})
		return append(out, algo.Output{Kind: algo.Note, Lock: in.Lock, Why: whyEarly})
	}
	return p.stepMachine(in, out)
}

// stepMachine lets the lock's machine take the input, and drops the machine
// when nobody needs it any more.
func (p *Process) stepMachine(in algo.Input, out []algo.Output) []algo.Output {
	l := p.lock(in.Lock)
	if l.machine == nil {
		l.machine = p.make(p.self, p.life.Incarnation, p.others)
	}
	first := len(out)
	out = l.machine.Step(in, out)
	for i := first; i < len(out); i++ {
		out[i].Lock = in.Lock
		if out[i].Kind == algo.Enter {
			l.wanted, l.inside = false, true
			out[i].Deadline = algo.Never // the papers know no leases
		}
	}
	p.forget(in.Lock)
	return out
}

// lock returns the lock of that name, made if need be.
func (p *Process) lock(name string) *lock {
	l := p.locks[name]
	if l == nil {
		l = &lock{}
		p.locks[name] = l
	}
	return l
}

// forget drops a lock of which there is nothing to remember.
func (p *Process) forget(name string) {
	l := p.locks[name]
	if !l.wanted && !l.inside && (l.machine == nil || l.machine.Idle()) {
		delete(p.locks, name)
	}
}

// closed says that somebody, this peer included, is inside the lock since
// before this epoch, as far as this peer knows.
func (p *Process) closed(name string) bool {
	if l := p.locks[name]; l != nil && l.old {
		return true
	}
	for _, o := range p.others {
		if _, held := slices.BinarySearch(p.peers[o].held, name); held {
			return true
		}
	}
	return false
}

// WaitsFor implements algo.Process.
func (p *Process) WaitsFor(name string) []algo.PeerName {
	l := p.locks[name]
	switch {
	case l == nil || !l.wanted:
		return nil
	case l.machine != nil:
		return l.machine.WaitsFor()
	}
	var waits []algo.PeerName
	for _, o := range p.others {
		_, held := slices.BinarySearch(p.peers[o].held, name)
		if !p.joined(p.peers[o]) || held {
			waits = append(waits, o)
		}
	}
	return waits
}

// Wake implements algo.Process: the papers know no time.
func (p *Process) Wake() algo.Instant { return algo.Never }

// sortedLocks lists the locks in use by name: peers and locks are always
// visited in order, so that a run can be repeated.
func (p *Process) sortedLocks() []string { return slices.Sorted(maps.Keys(p.locks)) }
