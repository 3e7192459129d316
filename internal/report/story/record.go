package story

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/trace"
)

// Stories are what the entries of one lock can be explained from: the events
// about that lock and those about no single lock, by steps.
type Stories struct {
	*record
	lock    string
	entries []*node         // by token
	ends    map[*node]*node // of an entry: the exit, the loss, or what tells of the death of its peer
	inside  map[int]*node   // by peer: the entry that has not ended yet
}

// record is a run: all locks share it.
type record struct {
	sends    map[trace.MessageID]*node
	receipts map[trace.MessageID]*node
	steps    []*step // in causal order
	peers    map[algo.PeerName]*peer
}

// peer is the end of one peer's events.
type peer struct {
	last *node
	past trace.Past // shared by its events until the next receipt
}

// node is an event.
type node struct {
	trace.Event
	pos   trace.Pos
	who   int
	index uint64
	past  trace.Past // what happened before it at other peers
	step  *step
	prev  *node // the event of the same peer before it
}

// step is what a peer did at one time of its clock: something happened, and
// the rest followed from it. A death is a step of its own.
type step struct {
	nodes []*node
}

func (s *step) first() *node { return s.nodes[0] }

// after says that n is x or that x happened before it.
func (n *node) after(x *node) bool {
	if n.who == x.who {
		return n.index >= x.index
	}
	return n.past.Has(x.who, x.index)
}

// stamp is how a request is called.
func (n *node) stamp() algo.Stamp {
	return algo.Stamp{Time: n.Clock, Peer: n.Peer, Incarnation: n.Incarnation}
}

// before returns a peer's last event of a kind that comes before n in its
// trace and is about the lock, or about none; nil if there is none.
func (s *Stories) before(n *node, kind trace.Kind) *node {
	for n = n.prev; n != nil; n = n.prev {
		if n.Kind == kind && (n.Lock == s.lock || n.Lock == "") {
			return n
		}
	}
	return nil
}

// Collect takes the events of a run in causal order. If lock is empty, it is
// the one lock that there is.
func Collect(events iter.Seq[*trace.Merged], lock string) (*Stories, error) {
	all := CollectAll(events, lock)
	switch {
	case len(all) == 1:
		return all[0], nil
	case len(all) > 1:
		return nil, fmt.Errorf("which lock? There are %s", quotedList(all))
	case lock == "":
		return nil, fmt.Errorf("the traces know of no lock")
	}
	return nil, fmt.Errorf("the traces know of no lock %q", lock)
}

// CollectAll takes the events of a run in causal order. It returns the stories
// of one lock or, if that is empty, those of every lock, by name.
func CollectAll(events iter.Seq[*trace.Merged], lock string) []*Stories {
	r := &record{sends: map[trace.MessageID]*node{}, receipts: map[trace.MessageID]*node{}, peers: map[algo.PeerName]*peer{}}
	all := map[string]*Stories{}
	for e := range events {
		if lock != "" && e.Lock != "" && e.Lock != lock {
			continue
		}
		s := all[e.Lock]
		if s == nil && e.Lock != "" {
			s = &Stories{record: r, lock: e.Lock, ends: map[*node]*node{}, inside: map[int]*node{}}
			all[e.Lock] = s
		}
		n := r.add(e)
		switch e.Kind {
		case trace.Crash, trace.Start:
			for _, s := range all {
				s.end(n)
			}
		case trace.Exit, trace.Lost:
			s.end(n)
		case trace.Enter:
			s.entries = append(s.entries, n)
			s.inside[n.who] = n
		}
	}
	stories := slices.SortedFunc(maps.Values(all), func(a, b *Stories) int { return cmp.Compare(a.lock, b.lock) })
	for _, s := range stories {
		slices.SortStableFunc(s.entries, func(a, b *node) int { return cmp.Compare(a.Token, b.Token) })
	}
	return stories
}

// quotedList lists the locks for an error, not endlessly many.
func quotedList(all []*Stories) string {
	const most = 5
	var names []string
	for _, s := range all {
		names = append(names, fmt.Sprintf("%q", s.lock))
	}
	if len(names) > most {
		names = append(names[:most], fmt.Sprintf("%d more", len(names)-most))
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// add takes one event.
func (r *record) add(e *trace.Merged) *node {
	p := r.peers[e.Peer]
	if p == nil {
		p = &peer{past: e.Past.Clone()}
		r.peers[e.Peer] = p
	}
	if e.Kind == trace.Receive || e.Gap != "" {
		p.past = e.Past.Clone()
	}
	n := &node{Event: e.Clone(), pos: e.Pos, who: e.Who, index: e.Index, past: p.past, prev: p.last}
	if p.last != nil && e.Kind != trace.Crash && p.last.Kind != trace.Crash &&
		p.last.Clock == e.Clock && p.last.Incarnation == e.Incarnation {
		n.step = p.last.step
	} else {
		n.step = new(step)
		r.steps = append(r.steps, n.step)
	}
	n.step.nodes = append(n.step.nodes, n)
	p.last = n
	switch e.Kind {
	case trace.Send:
		r.sends[e.Message.ID] = n
	case trace.Receive:
		r.receipts[e.Message.ID] = n
	}
	return n
}

// end notes that the hold of n's peer has ended with n.
func (s *Stories) end(n *node) {
	if enter := s.inside[n.who]; enter != nil {
		s.ends[enter] = n
		delete(s.inside, n.who)
	}
}

// Lock returns the name of the lock.
func (s *Stories) Lock() string { return s.lock }

// Entries returns how many entries there are.
func (s *Stories) Entries() int { return len(s.entries) }

// Find returns which entry, counted from 1, has a token; 0 if none has.
func (s *Stories) Find(token algo.Token) int {
	return 1 + slices.IndexFunc(s.entries, func(n *node) bool { return n.Token == token })
}

// After returns which entry, counted from 1, is the first with a larger token;
// 0 if there is none.
func (s *Stories) After(token algo.Token) int {
	for k, n := range s.entries {
		if n.Token > token {
			return k + 1
		}
	}
	return 0
}
