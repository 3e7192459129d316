package story

import (
	"time"

	"github.com/conchlock/conch/algo"
)

// Place is where an event stands: whose it is, an index into the peers of the
// Merger, and its place in that peer's trace.
type Place struct {
	Who   int
	Index uint64
}

// Path is what led to one entry, by places, so that it can be found again when
// the traces are read another time.
type Path struct {
	Lock  string
	Entry int // in the order of tokens, from 1
	Peer  algo.PeerName
	Token algo.Token

	// From is when the peer asked, or entered if the request is not in the
	// record. End is what ended the hold; zero if that is not in the record.
	From time.Time
	End  Place
	told map[Place]bool
}

// Has says that an event led to the entry.
func (p *Path) Has(at Place) bool { return p.told[at] }

// Path returns what led to the k-th entry: the events that Tell tells of, and
// the end of the hold.
func (s *Stories) Path(k int) (*Path, error) {
	t, err := s.tale(k)
	if err != nil {
		return nil, err
	}
	p := &Path{Lock: s.lock, Entry: k, Peer: t.enter.Peer, Token: t.enter.Token, From: t.enter.At, told: map[Place]bool{}}
	if t.request != nil {
		p.From = t.request.At
	}
	for n := range t.told {
		p.told[n.place()] = true
	}
	if end := s.ends[t.enter]; end != nil {
		p.End = end.place()
		p.told[p.End] = true
	}
	return p, nil
}

func (n *node) place() Place { return Place{n.who, n.index} }
