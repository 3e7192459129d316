// Package check judges traces: from the events of all peers it decides whether
// the lock did what it promises, and says what that rests on.
//
// The verdict has three values. False means that a violation is proven, and
// names the lines that prove it. True means that everything was there to be
// judged, and was right. Unknown is all else: something is missing or damaged,
// or cannot be decided from what was recorded.
//
// Causal order decides, and wall clocks do not, with one exception: that a lease
// has run out is told by no message. Where a hold with a lease and a later one
// have no causal order, the clocks of the traces can show that the first was
// over. They can clear; they never convict.
//
// Judgements are made while events stream by in causal order, so that memory
// grows with the entries and with what is in flight, not with the trace.
package check

import (
	"errors"
	"iter"
	"os"
	"path/filepath"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/trace"
)

// SectionFile is the name of the file that all peers of a demo write to when
// they are in the critical section.
const SectionFile = "critical-section.txt"

// Dir judges the traces in a folder, and the shared file in it, if there is
// one. The error says that there is nothing to judge.
func Dir(dir string) (*Report, error) {
	readers, problems, err := trace.Dir(dir, true)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, SectionFile)
	section, err := trace.OpenFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return run(trace.Merge(readers...), problems, nil), nil
	}
	if err != nil {
		return nil, err
	}
	defer section.Close()
	return run(trace.Merge(readers...), problems, readSection(path, section)), nil
}

// Events is where events come from, in causal order; *trace.Merger is one.
type Events interface {
	Peers() []algo.PeerName
	Events() iter.Seq[*trace.Merged]
	Problems() []*trace.Problem
}

// Run judges all events of a run.
func Run(events Events) *Report { return run(events, nil, nil) }

func run(events Events, problems []*trace.Problem, section *section) *Report {
	c := &checker{
		names:  events.Peers(),
		locks:  make(map[string]*lock),
		runs:   make(map[string]bool),
		clocks: newClocks(len(events.Peers())),
		links:  links{drops: make(map[trace.MessageID]bool), gaps: make(map[trace.MessageID]gap)},
	}
	c.peers = make([]peer, len(c.names))
	for e := range events.Events() {
		c.event(e)
	}
	for _, p := range append(problems, events.Problems()...) {
		c.problem(p)
	}
	c.finish(section)
	return c.report()
}

// checker is the state of one Run.
type checker struct {
	findings
	names    []algo.PeerName
	peers    []peer
	locks    map[string]*lock
	links    links
	clocks   clocks
	cleared  int // pairs of holds whose order the clocks have shown
	broken   []Broken
	pending  []pending
	events   int
	noLock   int // messages about no lock
	last     *lock
	first    time.Time
	latest   time.Time
	open     []Open
	disorder bool
	shared   bool            // there is a shared file
	runs     map[string]bool // the algorithms that peers started with
	byName   []*lock
}

// peer is what is known of one peer as a whole.
type peer struct {
	events      int
	starts      int
	kills       int
	incarnation algo.Incarnation
	latest      time.Time // of its last event
	running     bool      // started, and neither stopped nor known to be killed
	stopped     bool
	unseen      bool // events of this incarnation are missing
	everUnseen  bool
	heard       []algo.Incarnation // by sender: the own incarnation that last received from it
	killed      []algo.Incarnation // incarnations that did not stop
}

// event takes the next event.
func (c *checker) event(e *trace.Merged) {
	c.events++
	p := &c.peers[e.Who]
	p.events++
	if c.first.IsZero() || e.At.Before(c.first) {
		c.first = e.At
	}
	if e.At.After(c.latest) {
		c.latest = e.At
	}
	if e.Gap != "" {
		c.lose(e)
	}
	switch e.Kind {
	case trace.Start:
		c.start(e)
	case trace.Stop:
		c.stop(e)
	case trace.Crash:
		c.kill(e)
	case trace.Request, trace.Cancel, trace.Enter, trace.Extend, trace.Exit, trace.Lost:
		c.turn(e)
	case trace.Send:
		c.count(e)
	case trace.Receive:
		c.receive(e)
	case trace.Drop:
		c.drop(e)
	}
	p.incarnation, p.latest = e.Incarnation, e.At
}

// lock returns what is known of a lock.
func (c *checker) lock(name string) *lock {
	if c.last != nil && c.last.name == name {
		return c.last
	}
	l := c.locks[name]
	if l == nil {
		l = &lock{name: name, turns: make([]turn, len(c.names))}
		for who := range l.turns {
			l.turns[who].unseen = c.peers[who].unseen
		}
		c.locks[name] = l
	}
	c.last = l
	return l
}

// lose notes that events of a peer are missing before e: of whatever it was
// doing, the end was not seen.
func (c *checker) lose(e *trace.Merged) {
	p := &c.peers[e.Who]
	p.unseen, p.everUnseen, p.running = true, true, true
	for _, l := range c.sorted() {
		c.abandon(l, e.Who, unseen, e)
		l.turns[e.Who].unseen = true
	}
}

// start begins an incarnation. If the one before has not stopped, it was
// killed, at some time before this event.
func (c *checker) start(e *trace.Merged) {
	p := &c.peers[e.Who]
	if p.running {
		c.kill(e)
	}
	if p.unseen {
		for _, l := range c.sorted() {
			l.turns[e.Who].unseen = false
		}
	}
	p.starts++
	if e.Algorithm != "" {
		c.runs[e.Algorithm] = true
	}
	p.running, p.stopped, p.unseen = true, false, false
}

// kill ends whatever the peer was doing, at e.
func (c *checker) kill(e *trace.Merged) {
	p := &c.peers[e.Who]
	if !p.running {
		return
	}
	p.running = false
	p.kills++
	p.killed = append(p.killed, p.incarnation)
	for _, l := range c.sorted() {
		c.abandon(l, e.Who, died, e)
	}
}

// stop ends an incarnation in good order: nothing may be left open.
func (c *checker) stop(e *trace.Merged) {
	p := &c.peers[e.Who]
	p.running, p.stopped = false, true
	for _, l := range c.sorted() {
		t := &l.turns[e.Who]
		if t.asking {
			c.violation(requests, l.name, []trace.Pos{t.request, e.Pos},
				"%s stops in good order, but its request %s was neither granted nor cancelled", e.Peer, t.stamp)
			t.asking = false
		}
		if t.hold != nil {
			c.violation(requests, l.name, []trace.Pos{t.hold.enter, e.Pos},
				"%s stops in good order, but does not leave the critical section", e.Peer)
			c.end(l, t, died, e)
		}
	}
}

// finish judges what is still open at the end of the record.
func (c *checker) finish(section *section) {
	for _, l := range c.sorted() {
		for who := range l.turns {
			t := &l.turns[who]
			if t.asking {
				l.openRequests++
				c.listOpen(Open{Lock: l.name, Peer: c.names[who], Request: t.stamp.String(), Line: t.request.String()})
			}
			if t.hold != nil {
				l.openHolds++
				c.end(l, t, unended, nil)
			}
		}
	}
	c.clocks.chain()
	for _, p := range c.pending {
		c.settle(p.lock, p.pair)
	}
	for _, l := range c.sorted() {
		c.listBroken(l)
	}
	c.finishLinks()
	if section != nil {
		c.shared = true
		c.section(section)
	}
	if c.events == 0 {
		c.doubt(record, "", nil, "there is not one event in the record")
	}
}

func (c *checker) listOpen(o Open) {
	if len(c.open) < openMax {
		c.open = append(c.open, o)
	}
}

// problem takes what reading the traces has shown.
func (c *checker) problem(p *trace.Problem) {
	c.disorder = c.disorder || p.Disorder
	c.doubt(record, "", []trace.Pos{p.Pos}, "%s", p.Reason)
}
