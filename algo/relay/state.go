package relay

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/conchlock/conch/algo"
)

// Clone implements algo.Process.
func (p *Process) Clone() algo.Process {
	c := *p
	c.peers = slices.Clone(p.peers)
	c.locks = make(map[string]*lock, len(p.locks))
	c.wakes = make(wakes, len(p.wakes))
	for name, l := range p.locks {
		m := *l
		m.Process = &c
		m.waiting = slices.Clone(l.waiting)
		m.ballots = slices.Clone(l.ballots)
		m.support = slices.Clone(l.support)
		c.locks[name] = &m
		if m.place >= 0 {
			c.wakes[m.place] = &m
		}
	}
	return &c
}

// AppendState implements algo.Process.
func (p *Process) AppendState(dst []byte) []byte {
	e := encoder(dst)
	e.numbers(int64(p.incarnation), int64(p.abstains), int64(p.floor), int64(p.folded), int64(p.ballot))
	e.flags(p.stopped)
	for i, o := range p.peers {
		if p.open {
			e.text(string(p.names[i]))
		}
		e.numbers(int64(o.incarnation))
		e.flags(o.up, o.stranger)
		for _, life := range o.newborn {
			e.text(string(life.Peer))
			e.numbers(int64(life.Incarnation))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.locks)) {
		e.text(name)
		p.locks[name].append(&e)
	}
	return e
}

// append encodes a lock.
func (l *lock) append(e *encoder) {
	for _, w := range l.waiting {
		e.stamp(w.stamp)
		e.numbers(int64(w.asked), int64(w.got))
	}
	e.numbers(int64(len(l.served)))
	for _, s := range l.served {
		e.stamp(s)
	}
	e.numbers(int64(l.keep))

	v, c := &l.vote, &l.claim
	e.stamp(v.term)
	e.numbers(int64(v.ballot), int64(v.ceiling), int64(v.expiry), int64(v.owner), int64(l.base))
	e.flags(v.inquired, v.renewed)
	e.stamp(c.term)
	e.numbers(int64(c.number), int64(c.from), int64(c.asked), int64(c.got))

	e.stamp(l.own)
	e.stamp(l.won)
	e.numbers(int64(l.refresh), int64(len(l.ballots)))
	for _, b := range l.ballots {
		e.flags(b.counts)
		e.numbers(int64(b.offer), int64(b.ceiling), int64(b.deadline))
	}

	e.flags(l.owns, l.inside, l.entered, l.first, l.told)
	e.numbers(int64(l.seen))
	if !l.owns {
		return
	}
	e.stamp(l.term)
	e.numbers(int64(l.number), int64(l.ceiling), int64(l.deadline), int64(l.rest), int64(l.owner.asked))
	for _, s := range l.support {
		e.numbers(int64(s.ceiling), int64(s.deadline), int64(s.asked), int64(s.got))
		e.stamp(s.eldest)
	}
}

// encoder appends to itself.
type encoder []byte

func (e *encoder) numbers(list ...int64) {
	for _, n := range list {
		*e = binary.AppendVarint(*e, n)
	}
}

func (e *encoder) text(s string) {
	*e = append(binary.AppendUvarint(*e, uint64(len(s))), s...)
}

func (e *encoder) stamp(s algo.Stamp) {
	e.numbers(int64(s.Time), int64(s.Incarnation))
	e.text(string(s.Peer))
}

func (e *encoder) flags(list ...bool) {
	var b byte
	for i, f := range list {
		if f {
			b |= 1 << i
		}
	}
	*e = append(*e, b)
}

// Check implements algo.Process: it tests the invariants of Process.
func (p *Process) Check() error {
	for _, l := range p.sorted() {
		if err := l.check(); err != nil {
			return fmt.Errorf("%s, lock %q: %w", p.self, l.name, err)
		}
	}
	return nil
}

func (l *lock) check() error {
	switch {
	case l.idle() && l.wake > l.now: // else it is about to be
		return fmt.Errorf("invariant 1: it could be forgotten")
	case l.vote.ceiling > l.floor:
		return fmt.Errorf("invariant 2: it confirms %d above the floor %d", l.vote.ceiling, l.floor)
	case l.inside && (!l.owns || l.number > l.ceiling):
		return fmt.Errorf("invariant 3: inside with number %d, confirmed to %d, owner %t", l.number, l.ceiling, l.owns)
	case !l.own.IsZero() && l.inside:
		return fmt.Errorf("invariant 4: inside and asking")
	case !l.own.IsZero() && !(l.mayAnswer(l.own) || l.own == l.won && l.owns && l.first):
		return fmt.Errorf("invariant 4: asks with %v, after %v won", l.own, l.won)
	}
	for i, w := range l.waiting {
		if s := w.stamp; !s.IsZero() && (s.Peer != l.names[i] || s.Incarnation != l.peers[i].incarnation || l.isServed(s)) {
			return fmt.Errorf("invariant 5: %v is said to wait", s)
		}
	}
	return nil
}

// Seen is a process at one moment of its own clock.
type Seen struct {
	Process algo.Process
	Now     algo.Instant
}

// CheckTogether tests what makes relay safe (docs/algorithms/relay.md, section
// 7), over all peers at one moment: at most one of them believes in a token
// (I2), and a majority of voters supports its term (I3) or abstains.
func CheckTogether(peers []Seen) error {
	for i := range peers {
		p := peers[i].Process.(*Process)
		for name, l := range p.locks {
			if !l.owns || peers[i].Now >= l.deadline {
				continue
			}
			if err := l.checkAlone(i, name, peers); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *lock) checkAlone(self int, name string, peers []Seen) error {
	support := 0
	for j := range peers {
		q, now := peers[j].Process.(*Process), peers[j].Now
		o := q.locks[name]
		if o != nil && j != self && o.owns && now < o.deadline {
			return fmt.Errorf("I2: %s believes in a token of %v and %s in one of %v", l.self, l.term, o.self, o.term)
		}
		if q.votes && (now < q.abstains || o != nil && o.vote.term == l.term && now < o.vote.expiry) {
			support++
		}
	}
	if support < l.quorum {
		return fmt.Errorf("I3: %s believes in its token of %v, and only %d of %d voters support it", l.self, l.term, support, len(l.voters))
	}
	return nil
}
