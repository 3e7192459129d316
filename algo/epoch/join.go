package epoch

import (
	"slices"

	"github.com/conchlock/conch/algo"
)

// contact takes notice of a peer's incarnation. It ends the epoch if this is a
// restart in anybody's eyes, and if messages were lost.
func (p *Process) contact(in algo.Input, out []algo.Output) []algo.Output {
	from, known := p.peers[in.From]
	if !known {
		return out
	}
	next, why := p.epoch, whyRestart
	switch {
	case from.incarnation == 0: // first contact
	case from.incarnation < in.Incarnation:
		next = next.with(Member{in.From, Life{Incarnation: in.Incarnation}})
	default: // messages were lost (or incarnations do not grow, which is no better)
		p.life.Losses++
		next, why = next.with(Member{p.self, p.life}), whyLost
	}
	if in.KnewMe {
		next = next.with(Member{p.self, p.life})
	}
	if from.incarnation != in.Incarnation {
		// The new incarnation has joined nothing, and its holds died with the
		// old one. (After a loss its holds go on; its next Join names them.)
		*from = peer{incarnation: in.Incarnation}
	}
	if !next.Equal(p.epoch) {
		return p.end(next, why, in.Time, out)
	}
	if len(p.epoch) > 0 {
		out = p.join(in.From, whyForNew, out)
	}
	return p.maybeBegin(in.Time, out)
}

// stepJoin takes notice of another peer's epoch, and follows it if it is ahead.
func (p *Process) stepJoin(from *peer, msg Join, in algo.Input, out []algo.Output) []algo.Output {
	if !p.plausible(msg.Epoch) {
		return append(out, algo.Output{Kind: algo.Note, Why: whyImplausible})
	}
	from.joined = msg.Epoch
	from.held = slices.Sorted(slices.Values(msg.Held))
	if next := p.epoch.Merge(msg.Epoch); !next.Equal(p.epoch) {
		return p.end(next, whyFollows, in.Time, out)
	}
	return p.maybeBegin(in.Time, out)
}

// plausible says that an epoch names only peers that there are, and no life of
// this one that is still to come.
func (p *Process) plausible(e Epoch) bool {
	for _, m := range e {
		if m.Peer == p.self && m.Life.Compare(p.life) > 0 || m.Peer != p.self && p.peers[m.Peer] == nil {
			return false
		}
	}
	return true
}

// stepLeft takes notice that a peer has left a lock.
func (p *Process) stepLeft(from *peer, in algo.Input, out []algo.Output) []algo.Output {
	i, held := slices.BinarySearch(from.held, in.Lock)
	if !held {
		return out
	}
	from.held = slices.Delete(slices.Clone(from.held), i, i+1)
	return p.open(in.Lock, in.Time, out)
}

// end ends the epoch: drop everything but what this peer is inside of, and
// confirm the next epoch to everybody. The last to hear of it begins it at once.
func (p *Process) end(next Epoch, why algo.Reason, now algo.Time, out []algo.Output) []algo.Output {
	p.epoch = next
	p.begun = false
	p.aside = nil
	for _, name := range p.sortedLocks() {
		l := p.locks[name]
		l.machine = nil
		l.old = l.inside
		p.forget(name)
	}
	for _, o := range p.others {
		if p.peers[o].incarnation != 0 {
			out = p.join(o, why, out)
		}
	}
	return p.maybeBegin(now, out)
}

// join sends this peer's Join to one other.
func (p *Process) join(to algo.PeerName, why algo.Reason, out []algo.Output) []algo.Output {
	var held []string
	for _, name := range p.sortedLocks() {
		if p.locks[name].old {
			held = append(held, name)
		}
	}
	return append(out, algo.Output{Kind: algo.Send, To: to, Message: Join{Epoch: p.epoch, Held: held}, Why: why})
}

// joined says that there has been contact with o, and that its last Join is
// for this epoch.
func (p *Process) joined(o *peer) bool { return o.incarnation != 0 && o.joined.Equal(p.epoch) }

// ready says that every peer has joined.
func (p *Process) ready() bool {
	for _, o := range p.others {
		if !p.joined(p.peers[o]) {
			return false
		}
	}
	return true
}

// maybeBegin begins the epoch once every peer has joined.
func (p *Process) maybeBegin(now algo.Time, out []algo.Output) []algo.Output {
	if p.begun || !p.ready() {
		return out
	}
	p.begun = true
	aside := p.aside
	p.aside = nil
	out = p.replay(aside, now, out)
	for _, name := range p.sortedLocks() {
		out = p.ask(name, now, out)
	}
	return out
}

// open goes on with one lock if the last who held it closed has left.
func (p *Process) open(name string, now algo.Time, out []algo.Output) []algo.Output {
	if p.begun && !p.closed(name) {
		aside := p.aside
		p.aside = nil
		out = p.replay(aside, now, out)
		out = p.ask(name, now, out)
	}
	if p.locks[name] != nil {
		p.forget(name)
	}
	return out
}

// replay hands messages that came early to their machines, in the order they
// came; those of closed locks are put aside again.
func (p *Process) replay(aside []packet, now algo.Time, out []algo.Output) []algo.Output {
	for _, a := range aside {
		if p.closed(a.lock) {
			p.aside = append(p.aside, a)
			continue
		}
		in := algo.Input{Kind: algo.Receive, Lock: a.lock, Time: now, From: a.from, Message: a.msg}
		out = p.stepMachine(in, out)
	}
	return out
}

// ask puts an open request to the lock's machine, if it has waited for that.
func (p *Process) ask(name string, now algo.Time, out []algo.Output) []algo.Output {
	l := p.locks[name]
	if l == nil || !l.wanted || p.closed(name) {
		return out
	}
	return p.stepMachine(algo.Input{Kind: algo.Acquire, Lock: name, Time: now}, out)
}
