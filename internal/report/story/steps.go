package story

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/trace"
)

// Stories are what the entries of one lock can be explained from: the events
// about that lock, by steps.
type Stories struct {
	lock     string
	entries  []*node         // by token
	ends     map[*node]*node // of an entry: the exit, the loss, or what tells of the death of its peer
	sends    map[trace.MessageID]*node
	receipts map[trace.MessageID]*node
	steps    []*step       // in causal order
	inside   map[int]*node // by peer: the entry that has not ended yet
}

// node is an event.
type node struct {
	trace.Event
	who   int
	index uint64
	past  trace.Past // Request, Enter, Exit and Lost only
	step  *step
}

// step is what a peer did at one time of its clock: something happened, and
// the rest followed from it.
type step struct {
	nodes []*node
}

func (s *step) cause() *node { return s.nodes[0] }

// Collect takes the events of a run in causal order. If lock is empty, it is
// the one lock that there is.
func Collect(events iter.Seq[*trace.Merged], lock string) (*Stories, error) {
	all := map[string]*Stories{}
	latest := map[string]map[int]*step{}
	for e := range events {
		if e.Kind == trace.Crash || e.Kind == trace.Start {
			for _, s := range all {
				s.died(e)
			}
		}
		if e.Lock == "" || lock != "" && e.Lock != lock {
			continue
		}
		s := all[e.Lock]
		if s == nil {
			s = &Stories{lock: e.Lock, sends: map[trace.MessageID]*node{}, receipts: map[trace.MessageID]*node{}, ends: map[*node]*node{}, inside: map[int]*node{}}
			all[e.Lock], latest[e.Lock] = s, map[int]*step{}
		}
		s.add(e, latest[e.Lock])
	}
	if lock == "" && len(all) > 1 {
		return nil, fmt.Errorf("which lock? There are %s", quotedList(all))
	}
	for _, s := range all {
		slices.SortStableFunc(s.entries, func(a, b *node) int { return cmp.Compare(a.Token, b.Token) })
		return s, nil
	}
	if lock == "" {
		return nil, fmt.Errorf("the traces know of no lock")
	}
	return nil, fmt.Errorf("the traces know of no lock %q", lock)
}

// quotedList lists the locks for an error, not endlessly many.
func quotedList(all map[string]*Stories) string {
	const most = 5
	var names []string
	for name := range all {
		names = append(names, fmt.Sprintf("%q", name))
	}
	slices.Sort(names)
	if len(names) > most {
		names = append(names[:most], fmt.Sprintf("%d more", len(names)-most))
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// add takes one event; latest is each peer's latest step.
func (s *Stories) add(e *trace.Merged, latest map[int]*step) {
	n := &node{Event: e.Clone(), who: e.Who, index: e.Index}
	st := latest[e.Who]
	if st == nil || st.cause().Clock != e.Clock || st.cause().Incarnation != e.Incarnation {
		st = new(step)
		latest[e.Who] = st
		s.steps = append(s.steps, st)
	}
	n.step = st
	st.nodes = append(st.nodes, n)
	switch e.Kind {
	case trace.Send:
		s.sends[e.Message.ID] = n
	case trace.Receive:
		s.receipts[e.Message.ID] = n
	case trace.Request, trace.Exit, trace.Lost:
		n.past = e.Past.Clone()
	case trace.Enter:
		n.past = e.Past.Clone()
		s.entries = append(s.entries, n)
		s.inside[e.Who] = n
	}
	if e.Kind == trace.Exit || e.Kind == trace.Lost {
		s.end(n)
	}
}

// end notes that the hold of n's peer has ended with n.
func (s *Stories) end(n *node) {
	if enter := s.inside[n.who]; enter != nil {
		s.ends[enter] = n
		delete(s.inside, n.who)
	}
}

// died takes an event that shows that a peer was killed, if it was inside. It
// is no part of the step before it.
func (s *Stories) died(e *trace.Merged) {
	if s.inside[e.Who] == nil {
		return
	}
	n := &node{Event: e.Clone(), who: e.Who, index: e.Index, past: e.Past.Clone(), step: new(step)}
	n.step.nodes = []*node{n}
	s.steps = append(s.steps, n.step)
	s.end(n)
}

// Entries returns how many entries there are.
func (s *Stories) Entries() int { return len(s.entries) }

// before returns a peer's last event of the given kind that comes before n in
// its trace, nil if there is none.
func (s *Stories) before(n *node, kind trace.Kind) *node {
	var found *node
	for _, st := range s.steps {
		if st.cause().who != n.who {
			continue
		}
		for _, x := range st.nodes {
			if x.Kind == kind && x.index < n.index {
				found = x
			}
		}
	}
	return found
}

// stamp is how a request is called.
func (n *node) stamp() algo.Stamp {
	return algo.Stamp{Time: n.Clock, Peer: n.Peer, Incarnation: n.Incarnation}
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
