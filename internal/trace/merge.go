package trace

import (
	"cmp"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"

	"github.com/conchlock/conch/algo"
)

// Merger puts the events of several peers into one order in which every event
// comes after all that happened before it (Lamport's relation: the order
// within a peer, and a send before its receipt). Of the events that may come
// next it takes the one with the smallest clock, then the smaller name, so
// equal traces give equal orders. It keeps only the messages in flight, and
// with each the events that happened before it, as a vector clock.
//
// Where something is missing or wrong, it says so in Problems and gives what
// can be given: a receipt whose send is known to be missing comes anyway, and
// it and all that it leads to have a Past that is Blind.
type Merger struct {
	streams  []*stream
	byName   map[algo.PeerName]*stream
	absent   map[algo.PeerName]bool // named by others, but without a trace
	problems []*Problem
	out      Merged
}

// Merged is an event in its place. It is good until the next one; Event.Clone
// and Past.Clone keep what is needed for longer.
type Merged struct {
	*Line
	Who     int    // whose it is: an index into Merger.Peers
	Index   uint64 // its place in the peer's trace, from 1
	Past    Past   // what happened before it
	Sent    *Sent  // Receive: the send it pairs with; nil if that is missing
	Again   bool   // Receive: the link has already handed over this message or a later one
	Skipped []Sent // Receive: sent on this link before Sent, and never received
}

// Past is what happened before an event, and the event itself.
type Past struct {
	seen []uint64 // how many events of each peer
	// Blind says that it also holds events that are missing in the trace, and
	// whatever those knew of.
	Blind bool
}

// Has says that the event with this index in the trace of peer who is in p. If
// p is Blind, false means unknown.
func (p Past) Has(who int, index uint64) bool { return p.seen[who] >= index }

// Count returns how many of peer who's events p has: its component of the vector
// clock.
func (p Past) Count(who int) uint64 { return p.seen[who] }

// Clone returns a copy that stays good.
func (p Past) Clone() Past { return Past{seen: slices.Clone(p.seen), Blind: p.Blind} }

// Sent is a message on its way.
type Sent struct {
	ID     MessageID
	Pos    Pos
	At     time.Time
	Index  uint64 // of the send in the sender's trace
	Kind   string
	Lock   string
	Clock  algo.Time
	Upkeep bool
	past   *Past // the sender's, apart from its own events
}

// stream is what a Merger knows of one peer.
type stream struct {
	Source
	who   int
	feed  *feed
	batch []Line
	head  *Line // the next event; nil at the end

	index       uint64
	past        Past
	snapshot    *Past // a copy of past that messages in flight share; nil once it has changed
	incarnation algo.Incarnation
	number      uint64 // of the last message sent
	holes       bool   // sends may be missing
	links       []link // by receiver
}

// link is what is on its way from one peer to another.
type link struct {
	flight   []Sent
	received MessageID // the last one
}

// Merge returns a Merger over the traces of different peers.
func Merge[S Source](sources ...S) *Merger {
	m := &Merger{byName: make(map[algo.PeerName]*stream), absent: make(map[algo.PeerName]bool)}
	for _, s := range sources {
		m.streams = append(m.streams, &stream{Source: s, links: make([]link, len(sources)), past: Past{seen: make([]uint64, len(sources))}})
	}
	slices.SortFunc(m.streams, func(s, t *stream) int { return cmp.Compare(s.Peer(), t.Peer()) })
	for i, s := range m.streams {
		s.who = i
		m.byName[s.Peer()] = s
	}
	return m
}

// Peers returns the names of the peers, sorted.
func (m *Merger) Peers() []algo.PeerName {
	names := make([]algo.PeerName, len(m.streams))
	for i, s := range m.streams {
		names[i] = s.Peer()
	}
	return names
}

// Problems returns what is missing or wrong in the traces, as far as they have
// been read.
func (m *Merger) Problems() []*Problem { return m.problems }

// Events gives all events, once. The traces are read ahead by goroutines,
// which have ended when the loop over the events has.
func (m *Merger) Events() iter.Seq[*Merged] {
	return func(yield func(*Merged) bool) {
		stop := make(chan struct{})
		for _, s := range m.streams {
			s.feed = startFeed(s.Source, stop)
		}
		defer func() {
			close(stop)
			for _, s := range m.streams {
				<-s.feed.done
			}
		}()
		for _, s := range m.streams {
			m.advance(s)
		}
		for s := m.pick(); s != nil; s = m.pick() {
			if !yield(m.emit(s)) {
				return
			}
			m.advance(s)
		}
	}
}

// advance moves to the next event of s.
func (m *Merger) advance(s *stream) {
	s.head = nil
	for len(s.batch) == 0 {
		batch, err := s.feed.next()
		if err != nil {
			if problem, ok := err.(*Problem); ok {
				m.problems = append(m.problems, problem)
				s.holes = true
			} else if err != io.EOF {
				m.problem(Pos{File: string(s.Peer())}, false, "%v", err)
				s.holes = true
			}
			return
		}
		s.batch = batch
	}
	s.head, s.batch = &s.batch[0], s.batch[1:]
}

// pick returns the stream whose event comes next, nil at the end.
func (m *Merger) pick() *stream {
	var best, stuck *stream
	for _, s := range m.streams {
		if s.head == nil {
			continue
		}
		if best != nil && best.head.Clock <= s.head.Clock {
			continue
		}
		if s.head.Kind == Receive && m.waits(s) {
			stuck = s
			continue
		}
		best = s
	}
	if best == nil && stuck != nil {
		m.problem(stuck.head.Pos, true, "the send of message %s stands behind what could only come after this receipt: lines are not in the order they were written in", stuck.head.Message.ID)
	}
	return best
}

// waits says that the send that the head of s pairs with is still to come.
func (m *Merger) waits(s *stream) bool {
	id := s.head.Message.ID
	from := m.byName[id.From]
	return from != nil && from.head != nil && before(from.incarnation, from.number, id) && !from.beganAfter(id, s.head.Message.Clock)
}

// beganAfter says that the record of s lacks its beginning, and that a message
// was sent in what is missing: the next event is later, and none before it was
// a send.
func (s *stream) beganAfter(id MessageID, sent algo.Time) bool {
	h := s.head
	if s.incarnation > 0 || !s.holes && h.Gap == "" || h.Incarnation < id.Incarnation {
		return false
	}
	return h.Incarnation > id.Incarnation || h.Clock > sent || h.Kind == Send && h.Clock == sent && h.Message.ID.Number > id.Number
}

// before says that an incarnation which has sent number messages is yet to
// send id.
func before(incarnation algo.Incarnation, number uint64, id MessageID) bool {
	return incarnation < id.Incarnation || incarnation == id.Incarnation && number < id.Number
}

// emit takes the head of s into account and describes it.
func (m *Merger) emit(s *stream) *Merged {
	l := s.head
	s.index++
	s.past.seen[s.who] = s.index
	if l.Gap != "" {
		m.problem(l.Pos, false, "%s", l.Gap)
		s.holes, s.past.Blind, s.snapshot = true, true, nil
	}
	m.out = Merged{Line: l, Who: s.who, Index: s.index}
	switch {
	case l.Kind == Send:
		s.incarnation, s.number = l.Incarnation, l.Message.ID.Number
		m.send(s, l)
	case l.Kind == Receive:
		m.receive(s, l)
	case l.Kind == Start:
		s.incarnation, s.number = l.Incarnation, 0
	case l.Kind == LinkUp:
		m.knows(l, l.Other)
	}
	m.out.Past = s.past
	return &m.out
}

func (m *Merger) send(s *stream, l *Line) {
	to := m.byName[l.Message.To]
	if to == nil {
		m.knows(l, l.Message.To)
		return
	}
	if s.snapshot == nil {
		s.snapshot = &Past{seen: slices.Clone(s.past.seen), Blind: s.past.Blind}
	}
	k := &s.links[to.who]
	k.flight = append(k.flight, Sent{
		ID: l.Message.ID, Pos: l.Pos, At: l.At, Index: s.index, Kind: l.Message.Kind, Lock: l.Lock,
		Clock: l.Message.Clock, Upkeep: l.Message.Upkeep, past: s.snapshot,
	})
}

func (m *Merger) receive(s *stream, l *Line) {
	id := l.Message.ID
	from := m.byName[id.From]
	if from == nil {
		m.knows(l, id.From)
		s.blind()
		return
	}
	k := &from.links[s.who]
	if !before(k.received.Incarnation, k.received.Number, id) {
		m.out.Again = true
		return
	}
	at, found := slices.BinarySearchFunc(k.flight, id, func(sent Sent, id MessageID) int {
		return cmp.Or(cmp.Compare(sent.ID.Incarnation, id.Incarnation), cmp.Compare(sent.ID.Number, id.Number))
	})
	if !found {
		m.orphan(s, from, l)
		return
	}
	sent := &k.flight[at]
	m.out.Sent, m.out.Skipped = sent, k.flight[:at]
	k.flight, k.received = k.flight[at+1:], id
	if sent.Kind != l.Message.Kind || sent.Lock != l.Lock || sent.Clock != l.Message.Clock {
		m.problem(l.Pos, true, "message %s is not the one that %s sends", id, sent.Pos)
	}
	for i, n := range sent.past.seen {
		s.past.seen[i] = max(s.past.seen[i], n)
	}
	s.past.seen[from.who] = max(s.past.seen[from.who], sent.Index)
	s.past.Blind = s.past.Blind || sent.past.Blind
	s.snapshot = nil
}

// orphan takes a receipt whose send is not there.
func (m *Merger) orphan(s, from *stream, l *Line) {
	switch {
	case from.holes: // which has been said
	case from.index == 0 && from.head != nil && from.head.Gap != "": // which will be said
	case before(from.incarnation, from.number, l.Message.ID):
		m.problem(l.Pos, false, "message %s is received, but the trace of %s ends before it is sent", l.Message.ID, from.Peer())
		from.holes = true
	default:
		m.problem(l.Pos, true, "message %s is received, but %s has not sent it to %s", l.Message.ID, from.Peer(), s.Peer())
	}
	s.blind()
}

func (s *stream) blind() { s.past.Blind, s.snapshot = true, nil }

// knows notes that l is about a peer that has no trace, if so.
func (m *Merger) knows(l *Line, peer algo.PeerName) {
	if m.byName[peer] == nil && !m.absent[peer] {
		m.absent[peer] = true
		m.problem(l.Pos, false, "the trace of peer %s (%s%s) is missing, and it took part", peer, peer, Suffix)
	}
}

func (m *Merger) problem(pos Pos, disorder bool, format string, args ...any) {
	m.problems = append(m.problems, &Problem{Pos: pos, Reason: fmt.Sprintf(format, args...), Disorder: disorder})
}
