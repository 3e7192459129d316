package epoch

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/conchlock/conch/algo"
)

// Life counts how often a peer has begun anew: once for each incarnation, and
// within one, once for each time it lost messages. The zero Life stands for
// the first, of which nobody needs to be told.
type Life struct {
	Incarnation algo.Incarnation
	Losses      uint64
}

// Compare orders the lives of one peer.
func (l Life) Compare(m Life) int {
	if c := cmp.Compare(l.Incarnation, m.Incarnation); c != 0 {
		return c
	}
	return cmp.Compare(l.Losses, m.Losses)
}

// Member says which life of a peer an epoch is about.
type Member struct {
	Peer algo.PeerName
	Life Life
}

// Epoch names an epoch: the lives of the peers that have begun anew, sorted by
// peer. Peers that never did are left out, so the first epoch is empty.
// Epochs are merged by taking the later life of each peer; they only grow. An
// Epoch is a value: no one changes its members in place.
type Epoch []Member

// Equal says that e and f are the same epoch.
func (e Epoch) Equal(f Epoch) bool { return slices.Equal(e, f) }

// Merge returns the earliest epoch that is not before e or f.
func (e Epoch) Merge(f Epoch) Epoch {
	merged := e
	for _, m := range f {
		merged = merged.with(m)
	}
	return merged
}

// with returns e with the life of one peer raised to at least m's.
func (e Epoch) with(m Member) Epoch {
	if m.Life == (Life{}) {
		return e
	}
	i, found := slices.BinarySearchFunc(e, m.Peer, func(x Member, p algo.PeerName) int { return cmp.Compare(x.Peer, p) })
	switch {
	case !found:
		return slices.Insert(slices.Clone(e), i, m)
	case e[i].Life.Compare(m.Life) >= 0:
		return e
	}
	e = slices.Clone(e)
	e[i] = m
	return e
}

// String writes an epoch as people read it: "b:2", "b:2 c:5/1", or "first".
func (e Epoch) String() string {
	if len(e) == 0 {
		return "first"
	}
	var s strings.Builder
	for i, m := range e {
		if i > 0 {
			s.WriteByte(' ')
		}
		s.WriteString(string(m.Peer))
		s.WriteByte(':')
		s.WriteString(strconv.FormatUint(uint64(m.Life.Incarnation), 10))
		if m.Life.Losses > 0 {
			s.WriteByte('/')
			s.WriteString(strconv.FormatUint(m.Life.Losses, 10))
		}
	}
	return s.String()
}
