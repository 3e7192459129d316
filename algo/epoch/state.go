package epoch

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/conchlock/conch/algo"
)

// Check implements algo.Process.
func (p *Process) Check() error {
	if p.begun != p.ready() {
		return fmt.Errorf("%s: invariant 1: begun is %t, every peer has joined is %t", p.self, p.begun, p.ready())
	}
	for _, name := range p.sortedLocks() {
		l := p.locks[name]
		if l.machine != nil {
			if !p.begun || p.closed(name) {
				return fmt.Errorf("%s: invariant 2: a machine for %q, begun %t, closed %t", p.self, name, p.begun, p.closed(name))
			}
			if err := l.machine.Check(); err != nil {
				return err
			}
		}
		if l.inside && l.wanted {
			return fmt.Errorf("%s: invariant 3: wants %q and is inside", p.self, name)
		}
		if l.wanted && p.begun && !p.closed(name) && l.machine == nil {
			return fmt.Errorf("%s: invariant 3: wants %q, and nobody was asked", p.self, name)
		}
	}
	for _, a := range p.aside {
		if p.begun && !p.closed(a.lock) {
			return fmt.Errorf("%s: invariant 4: a message for the open lock %q was left aside", p.self, a.lock)
		}
	}
	for _, o := range p.others {
		if j := p.peers[o].joined; !p.epoch.Merge(j).Equal(p.epoch) {
			return fmt.Errorf("%s: invariant 5: %s has joined %s, this peer is at %s", p.self, o, j, p.epoch)
		}
	}
	return nil
}

// Clone implements algo.Process.
func (p *Process) Clone() algo.Process {
	c := *p
	c.peers = make(map[algo.PeerName]*peer, len(p.peers))
	for name, o := range p.peers {
		oc := *o
		c.peers[name] = &oc
	}
	c.locks = maps.Clone(p.locks)
	for name, l := range c.locks {
		lc := *l
		if l.machine != nil {
			lc.machine = l.machine.Clone()
		}
		c.locks[name] = &lc
	}
	c.aside = slices.Clone(p.aside)
	return &c
}

// AppendState implements algo.Process.
func (p *Process) AppendState(dst []byte) []byte {
	dst = appendEpoch(dst, p.epoch)
	dst = binary.AppendUvarint(dst, p.life.Losses)
	for _, name := range p.others {
		o := p.peers[name]
		dst = binary.AppendUvarint(dst, uint64(o.incarnation))
		dst = appendEpoch(dst, o.joined)
		dst = appendStrings(dst, o.held)
	}
	names := p.sortedLocks()
	dst = appendStrings(dst, names)
	for _, name := range names {
		l := p.locks[name]
		dst = append(dst, flags(l.wanted, l.inside, l.old, l.machine != nil))
		if l.machine != nil {
			dst = l.machine.AppendState(dst)
		}
	}
	dst = binary.AppendUvarint(dst, uint64(len(p.aside)))
	for _, a := range p.aside {
		dst = appendStrings(dst, []string{string(a.from), a.lock, a.msg.Kind()})
		for _, f := range a.msg.AppendFields(nil) {
			dst = appendStrings(dst, []string{f.Key, f.Value})
		}
	}
	return dst
}

func appendEpoch(dst []byte, e Epoch) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(e)))
	for _, m := range e {
		dst = appendStrings(dst, []string{string(m.Peer)})
		dst = binary.AppendUvarint(dst, uint64(m.Life.Incarnation))
		dst = binary.AppendUvarint(dst, m.Life.Losses)
	}
	return dst
}

func appendStrings(dst []byte, list []string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(list)))
	for _, s := range list {
		dst = binary.AppendUvarint(dst, uint64(len(s)))
		dst = append(dst, s...)
	}
	return dst
}

func flags(bits ...bool) byte {
	var b byte
	for i, set := range bits {
		if set {
			b |= 1 << i
		}
	}
	return b
}
