package maekawa

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/conchlock/conch/algo"
)

// Check implements algo.Machine.
func (m *Machine) Check() error {
	for _, err := range [...]error{m.candidate.check(), m.arbiter.check(), m.checkOwn()} {
		if err != nil {
			return fmt.Errorf("%s: %w", m.self, err)
		}
	}
	return nil
}

// check checks invariants 1 to 3.
func (c *candidate) check() error {
	switch {
	case c.own.IsZero() != (c.phase == idle):
		return fmt.Errorf("invariant 1: phase %d with own request %q", c.phase, c.own)
	case c.phase == inside && c.lacks():
		return fmt.Errorf("invariant 2: inside without every lock")
	case c.phase == waiting && !c.lacks():
		return fmt.Errorf("invariant 2: waits though every member is locked for it")
	}
	for _, q := range c.quorum {
		if q.inquired && (c.phase != waiting || q.answer != locked || c.hasFailed()) {
			return fmt.Errorf("invariant 3: %s has no answer to its inquiry", q.name)
		}
		if c.phase == idle && q.answer != none {
			return fmt.Errorf("invariant 1: idle, with an answer of %s", q.name)
		}
	}
	return nil
}

// check checks invariants 4 to 7.
func (a *arbiter) check() error {
	if a.lock.IsZero() && (len(a.queue) > 0 || a.inquired) {
		return fmt.Errorf("invariant 4: locked for nobody, and %d wait", len(a.queue))
	}
	for i, w := range a.queue {
		switch {
		case i > 0 && a.queue[i-1].stamp.Compare(w.stamp) >= 0:
			return fmt.Errorf("invariant 5: %s waits behind %s", w.stamp, a.queue[i-1].stamp)
		case w.stamp.Peer == a.lock.Peer || slices.ContainsFunc(a.queue[:i], func(v waiter) bool { return v.stamp.Peer == w.stamp.Peer }):
			return fmt.Errorf("invariant 5: %s has two requests here", w.stamp.Peer)
		case w.stamp.Compare(a.lock) < 0 && !a.inquired:
			return fmt.Errorf("invariant 6: the older %s waits, and %s was not asked", w.stamp, a.lock)
		case !w.told && (i > 0 || a.lock.Compare(w.stamp) < 0):
			return fmt.Errorf("invariant 7: %s does not know that it waits", w.stamp)
		}
	}
	return nil
}

// checkOwn checks invariant 8: what this peer as a candidate believes of itself
// as an arbiter.
func (m *Machine) checkOwn() error {
	i := slices.IndexFunc(m.quorum, func(q member) bool { return q.name == m.self })
	if i < 0 {
		return nil
	}
	var is answer
	if waits := slices.IndexFunc(m.queue, func(w waiter) bool { return w.stamp.Peer == m.self }); waits >= 0 {
		if m.queue[waits].told {
			is = failed
		}
	} else if m.lock.Peer == m.self {
		is = locked
	}
	if believed := m.quorum[i].answer; believed != is {
		return fmt.Errorf("invariant 8: answer %d of itself, taken for %d", is, believed)
	}
	return nil
}

// Clone implements algo.Machine.
func (m *Machine) Clone() algo.Machine {
	c := *m
	c.quorum = slices.Clone(m.quorum)
	c.queue = slices.Clone(m.queue)
	c.toSelf = nil
	return &c
}

// AppendState implements algo.Machine.
func (m *Machine) AppendState(dst []byte) []byte {
	dst = appendStamp(append(dst, byte(m.phase)), m.own)
	for _, q := range m.quorum {
		dst = append(dst, flagged(byte(q.answer), q.inquired))
	}
	dst = appendStamp(append(dst, flagged(0, m.inquired)), m.lock)
	dst = binary.AppendUvarint(dst, uint64(len(m.queue)))
	for _, w := range m.queue {
		dst = appendStamp(append(dst, flagged(0, w.told)), w.stamp)
	}
	return dst
}

func appendStamp(dst []byte, s algo.Stamp) []byte {
	dst = binary.AppendUvarint(dst, uint64(s.Time))
	dst = binary.AppendUvarint(dst, uint64(s.Incarnation))
	dst = binary.AppendUvarint(dst, uint64(len(s.Peer)))
	return append(dst, s.Peer...)
}

// flagged adds a flag to a small number.
func flagged(b byte, flag bool) byte {
	b <<= 1
	if flag {
		b |= 1
	}
	return b
}
