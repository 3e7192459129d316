package sim

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"slices"

	"github.com/conchlock/conch/algo"
)

// memo makes exploring fast. A cluster has far more states than each of its
// peers, so a peer takes each step from each of its states only once; after
// that the outcome is looked up. States of peers and packets are named by
// numbers, and a state of the cluster is a short string of those.
type memo struct {
	hash    hasher
	locks   []string
	locals  []*local
	packets []*packet
	index   map[sum]uint32 // of locals and packets
	done    map[cause]*result
	buf     []byte
}

// cause is an input to a peer in one of its states.
type cause struct {
	local       uint32
	kind        algo.InputKind
	knewMe      bool
	incarnation algo.Incarnation
	packet      uint32 // of a Receive, else 0
	sent        algo.Time
	now         algo.Instant
	name        string // the lock, or who sent it
}

// sum stands for a state. Two states with equal sums are taken to be one; with
// 128 bits and a billion states the chance that any two differ is below 1e-20.
type sum [2]uint64

// hasher makes sums. They differ from run to run; nothing visible depends on
// them.
type hasher [2]maphash.Seed

func (h hasher) sum(b []byte) sum { return sum{maphash.Bytes(h[0], b), maphash.Bytes(h[1], b)} }

func newMemo(locks []string) *memo {
	return &memo{
		hash:  hasher{maphash.MakeSeed(), maphash.MakeSeed()},
		locks: locks,
		index: make(map[sum]uint32),
		done:  make(map[cause]*result),
	}
}

// step is local.step, but leaves p as it is. K is the packet of a Receive.
func (m *memo) step(p *local, in algo.Input, k *packet, sent algo.Time) *result {
	c := cause{local: p.id, kind: in.Kind, knewMe: in.KnewMe, incarnation: in.Incarnation, sent: sent, now: in.Now, name: string(in.From)}
	if k != nil {
		c.packet = k.id
	}
	if in.From == "" {
		c.name = in.Lock
	}
	if r := m.done[c]; r != nil {
		return r
	}
	next := *p
	next.process = p.process.Clone()
	r := &result{}
	next.twin = nil
	var twin algo.Process
	if p.twin != nil {
		twin = p.twin.Clone()
	}
	next.step(in, sent, m.locks, twin, r)
	if r.err == nil {
		r.next = m.intern(&next)
		for i, k := range r.packets {
			r.packets[i] = m.internPacket(k)
		}
	}
	m.done[c] = r
	return r
}

// intern returns the one peer in this state.
func (m *memo) intern(p *local) *local {
	b := appendString(append(m.buf[:0], 'l'), string(p.name))
	for _, v := range [...]uint64{uint64(p.clock.Now()), uint64(p.born), uint64(p.incarnation)} {
		b = binary.AppendUvarint(b, v)
	}
	for l, at := range p.phase {
		b = binary.AppendVarint(append(b, byte(at)), int64(p.deadline[l]))
	}
	b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(p.floor)), uint64(p.behind))
	m.buf = p.process.AppendState(b)
	id, known := m.index[m.hash.sum(m.buf)]
	if known {
		m.locals[id].twin = p.process // with another history
		return m.locals[id]
	}
	p.id = uint32(len(m.locals))
	m.index[m.hash.sum(m.buf)] = p.id
	m.locals = append(m.locals, p)
	return p
}

// internPacket returns the one packet that says this. What messages say of
// themselves is for people, and leaves out the incarnation in a stamp.
func (m *memo) internPacket(k *packet) *packet {
	b := appendString(append(m.buf[:0], 'p'), k.lock)
	b = binary.AppendUvarint(b, uint64(k.time))
	m.buf = fmt.Appendf(b, "%#v", k.message)
	id, known := m.index[m.hash.sum(m.buf)]
	if known {
		return m.packets[id]
	}
	k.id = uint32(len(m.packets))
	m.index[m.hash.sum(m.buf)] = k.id
	m.packets = append(m.packets, k)
	return k
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// remember makes a network that is stepped from memory.
func (n *Network) remember() {
	n.memo = newMemo(n.locks)
	for i, p := range n.peers {
		n.peers[i] = n.memo.intern(p)
	}
	for i := range n.pairs {
		for j, q := range n.pairs[i].queue {
			n.pairs[i].queue[j].packet = n.memo.internPacket(q.packet)
		}
	}
}

// appendState encodes everything that decides what can happen from here on.
// Numbers of links count only relative to the present one.
func (n *Network) appendState(b []byte) []byte {
	for _, p := range n.peers {
		b = binary.AppendUvarint(b, uint64(p.id))
	}
	for i := range n.peers {
		for j, other := range n.peers {
			if j == i {
				continue
			}
			k := n.pair(i, j)
			b = append(b, behind(k.link, k.now), knew(k.first, other.incarnation, k.down), byte(len(k.queue)))
			for _, q := range k.queue {
				b = append(b, behind(q.link, k.now))
				b = binary.AppendUvarint(b, uint64(q.id))
			}
		}
	}
	for l := range n.locks {
		b = binary.AppendUvarint(b, uint64(n.tokens[l]))
	}
	return binary.AppendUvarint(b, uint64(n.passed))
}

// setState turns the network into the one that was encoded, and returns what
// follows in b.
func (n *Network) setState(b []byte) []byte {
	const now = 1 << 8 // room for all that a byte can be behind
	byteOf := func() byte {
		v := b[0]
		b = b[1:]
		return v
	}
	number := func() uint64 {
		v, size := binary.Uvarint(b)
		b = b[size:]
		return v
	}
	for i := range n.peers {
		n.peers[i] = n.memo.locals[number()]
	}
	for i := range n.peers {
		for j, other := range n.peers {
			if j == i {
				continue
			}
			k := n.pair(i, j)
			k.now = now
			k.link = ahead(byteOf(), now)
			k.first, k.down = firstKnown(byteOf(), other.incarnation)
			k.queue = slices.Grow(k.queue[:0], int(b[0]))[:b[0]]
			for q := range int(byteOf()) {
				k.queue[q].link = ahead(byteOf(), now)
				k.queue[q].packet = n.memo.packets[number()]
			}
		}
	}
	for l := range n.locks {
		n.tokens[l] = algo.Token(number())
	}
	n.passed = algo.Duration(number())
	return b
}

// behind says how far a link is behind the present one, from 1; 0 if there is
// none.
func behind(link, now uint32) byte {
	if link == 0 {
		return 0
	}
	return byte(now-link) + 1
}

// ahead undoes behind.
func ahead(behind byte, now uint32) uint32 {
	if behind == 0 {
		return 0
	}
	return now - uint32(behind) + 1
}

// knew says what a peer knows of another: nothing, an earlier incarnation than
// the present one, or none but that; and whether it believes that it is down.
func knew(first, present algo.Incarnation, down bool) byte {
	var b byte
	switch first {
	case 0:
	case present:
		b = 2
	default:
		b = 1
	}
	if down {
		b |= 4
	}
	return b
}

// firstKnown undoes knew: of the earlier ones, any will do.
func firstKnown(knew byte, present algo.Incarnation) (first algo.Incarnation, down bool) {
	return [...]algo.Incarnation{0, 1, present}[knew&3], knew&4 != 0
}
