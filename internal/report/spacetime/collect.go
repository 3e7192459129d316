package spacetime

import (
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/report/story"
	"github.com/conchlock/conch/internal/trace"
)

// collector takes the events of a run.
type collector struct {
	Options
	t      *Timeline
	locks  map[string]bool
	column map[algo.PeerName]int
	peers  []*peer
	flying map[trace.MessageID]flight
	seq    int
	end    time.Time // the last event of all
	until  time.Time // the end of the hold of Path, once it has been seen
}

// peer is what a collector knows of one.
type peer struct {
	at      time.Time // of its last event, but never before what came first
	step    *step
	begun   bool
	waiting *bar
	holding *bar
	away    *bar // down or unborn
}

// flight is a message that has not arrived yet.
type flight struct {
	at    time.Time
	arrow *arrow
	kept  bool // the arrow is in the timeline
}

// stepMax is how far the events of one step lie apart, at most.
const stepMax = time.Millisecond

func newCollector(names []algo.PeerName, o Options) *collector {
	c := &collector{
		Options: o, locks: map[string]bool{}, column: map[algo.PeerName]int{}, flying: map[trace.MessageID]flight{},
		t: &Timeline{lock: o.Lock, begin: o.Begin, path: o.Path, traces: len(names)},
	}
	for _, name := range names {
		c.who(name)
		c.peers = append(c.peers, &peer{})
	}
	return c
}

// who returns the column of a peer. One that has no trace gets one, too.
func (c *collector) who(name algo.PeerName) int {
	i, ok := c.column[name]
	if !ok {
		i = len(c.t.peers)
		c.t.peers = append(c.t.peers, name)
		c.column[name] = i
	}
	return i
}

// add takes an event.
func (c *collector) add(e *trace.Merged) {
	if e.Lock != "" {
		c.locks[e.Lock] = true
		if c.t.lock == "" {
			c.t.lock = e.Lock
		}
	}
	p := c.peers[e.Who]
	if c.t.begin.IsZero() {
		c.t.begin = e.At
	}
	p.at = later(p.at, e.At)
	c.end = later(c.end, p.at)
	ofPeer := e.Kind == trace.Start || e.Kind == trace.Stop || e.Kind == trace.Crash
	if e.Lock != c.t.lock && !ofPeer || c.t.lock == "" && !ofPeer {
		return
	}
	if e.Kind == trace.Receive {
		p.at = later(p.at, c.flying[e.Message.ID].at)
	}
	place := story.Place{Who: e.Who, Index: e.Index}
	told := c.Path != nil && c.Path.Has(place)
	if c.Path != nil && place == c.Path.End {
		c.until = p.at
	}
	st := c.step(p, e)
	shown, inside := c.show(p, st, e, told), c.within(st.at, told)
	st.told = st.told || told && shown
	if shown && inside && !st.drawn {
		st.drawn = true
		c.t.steps = append(c.t.steps, st)
	}
	c.t.cut = c.t.cut || shown && !st.drawn && !c.room() && (told || c.bounds(st.at))
	if shown || e.Kind == trace.Note {
		st.tip(e)
	}
}

// within says that a moment is to be drawn.
func (c *collector) within(at time.Time, told bool) bool {
	return c.room() && (told || c.bounds(at))
}

// room says that more can be drawn.
func (c *collector) room() bool {
	return len(c.t.arrows) < c.Most && len(c.t.steps) < stepsMost*c.Most
}

// bounds says that a moment is within what was asked for.
func (c *collector) bounds(at time.Time) bool {
	if c.Path != nil {
		return !at.Before(c.Path.From) && (c.until.IsZero() || !at.After(c.until))
	}
	since := at.Sub(c.t.begin)
	return (c.From == 0 || since >= c.From) && (c.To == 0 || since <= c.To)
}

// step returns the step that an event belongs to.
func (c *collector) step(p *peer, e *trace.Merged) *step {
	st := p.step
	apart := e.Kind == trace.Start || e.Kind == trace.Stop || e.Kind == trace.Crash
	if st == nil || apart || st.clock != e.Clock || st.inc != e.Incarnation || e.At.Sub(st.last) > stepMax {
		c.seq++
		st = &step{who: e.Who, at: p.at, seq: c.seq, clock: e.Clock, inc: e.Incarnation}
		p.step = st
	}
	st.last = e.At
	return st
}

// show takes down what an event shows, if anything.
func (c *collector) show(p *peer, st *step, e *trace.Merged, told bool) bool {
	at := edge{st, st.at}
	switch e.Kind {
	case trace.Request:
		p.waiting = c.open(p.waiting, waiting, at, 0)
	case trace.Cancel:
		c.close(&p.waiting, at, false)
	case trace.Enter:
		c.close(&p.waiting, at, false)
		p.holding = c.open(p.holding, holding, at, e.Token)
	case trace.Exit, trace.Lost:
		c.close(&p.holding, at, e.Kind == trace.Lost)
	case trace.Stop, trace.Crash:
		c.close(&p.waiting, at, false)
		c.close(&p.holding, at, e.Kind == trace.Crash)
		p.away = c.open(p.away, down, at, 0)
	case trace.Start:
		return c.start(p, st, e)
	case trace.Send:
		return c.send(st, e, told)
	case trace.Receive:
		return c.receive(st, e, told)
	case trace.Drop:
		return c.drop(e)
	default:
		return false
	}
	p.begun = true
	st.marks = append(st.marks, mark{kind: e.Kind, token: e.Token})
	return true
}

// start takes the beginning of an incarnation. If nothing says how the one
// before ended, that was after its last step.
func (c *collector) start(p *peer, st *step, e *trace.Merged) bool {
	at := edge{st, st.at}
	if !p.begun {
		p.away = c.open(nil, unborn, edge{}, 0)
		p.away.who = e.Who
	} else if p.away == nil {
		c.close(&p.waiting, at, false)
		c.close(&p.holding, at, true)
		p.away = c.open(nil, down, at, 0)
	}
	st.marks = append(st.marks, mark{kind: trace.Start, again: p.begun})
	p.begun = true
	c.close(&p.away, at, false)
	return true
}

// open begins a bar; an earlier one that has no end is left as it is.
func (c *collector) open(before *bar, kind barKind, from edge, token algo.Token) *bar {
	if before != nil {
		c.close(&before, from, false)
	}
	b := &bar{kind: kind, from: from, token: token}
	if from.step != nil {
		b.who = from.step.who
	}
	return b
}

// close ends a bar, and keeps it if it may be seen.
func (c *collector) close(b **bar, to edge, broken bool) {
	if *b == nil {
		return
	}
	(*b).to, (*b).broken = to, broken
	c.keep(*b)
	*b = nil
}

// keep keeps a bar unless it is before or after what is drawn.
func (c *collector) keep(b *bar) {
	drawn := b.from.step != nil && b.from.step.drawn || b.to.step != nil && b.to.step.drawn
	first := c.t.begin.Add(c.From)
	if c.Path != nil {
		first = c.Path.From
	}
	over := !b.to.at.IsZero() && b.to.at.Before(first)
	beyond := !b.from.at.IsZero() && b.from.at.After(first) && !c.within(b.from.at, false)
	if drawn || !over && !beyond {
		c.t.bars = append(c.t.bars, b)
	}
}

func (c *collector) send(st *step, e *trace.Merged, told bool) bool {
	if e.Message.Upkeep && !c.Upkeep && !told {
		return false
	}
	a := &arrow{
		from: e.Who, to: c.who(e.Message.To), kind: e.Message.Kind, clock: e.Message.Clock, upkeep: e.Message.Upkeep,
		told: told, why: e.Reason, sent: st,
	}
	st.sends = true
	kept := c.within(st.at, told)
	switch {
	case kept:
		c.t.arrows = append(c.t.arrows, a)
	case told || c.bounds(st.at):
		c.t.more++
	}
	c.flying[e.Message.ID] = flight{st.at, a, kept}
	return true
}

func (c *collector) receive(st *step, e *trace.Merged, told bool) bool {
	f, ok := c.flying[e.Message.ID]
	delete(c.flying, e.Message.ID)
	for _, s := range e.Skipped {
		delete(c.flying, s.ID)
	}
	if e.Message.Upkeep && !c.Upkeep && !ok && !told {
		return false
	}
	if !ok { // its send is missing
		f.arrow = &arrow{from: c.who(e.Message.From), to: e.Who, kind: e.Message.Kind, clock: e.Message.Clock, upkeep: e.Message.Upkeep}
	}
	a := f.arrow
	a.received, a.fate, a.told = st, received, a.told || told
	if !f.kept && c.within(st.at, told) {
		c.t.arrows = append(c.t.arrows, a)
	}
	st.arrivals = append(st.arrivals, a)
	return true
}

// drop notes that a message was discarded. Where it was sent says so; when the
// link found out does not matter. If its receiver had taken it before, as an
// event that comes later may show, it has arrived.
func (c *collector) drop(e *trace.Merged) bool {
	if f, ok := c.flying[e.Message.ID]; ok {
		f.arrow.fate = dropped
	}
	return false
}

// finish closes what is open and leaves out what has turned out to be after
// the end.
func (c *collector) finish() *Timeline {
	for _, p := range c.peers {
		for _, b := range []*bar{p.waiting, p.holding, p.away} {
			if b != nil {
				c.keep(b)
			}
		}
	}
	t := c.t
	if c.Path != nil && !c.until.IsZero() {
		for _, st := range t.steps {
			st.drawn = st.told || !st.at.After(c.until)
		}
		t.steps = slices.DeleteFunc(t.steps, func(st *step) bool { return !st.drawn })
	}
	t.arrows = slices.DeleteFunc(t.arrows, func(a *arrow) bool { return !shown(a.sent) && !shown(a.received) })
	return t
}

func shown(st *step) bool { return st != nil && st.drawn }

// tip adds an event to what is shown when one points at the step.
func (s *step) tip(e *trace.Merged) {
	const most = 12
	if len(s.tips) > most {
		return
	}
	if len(s.tips) == most {
		s.tips = append(s.tips, "and more")
		return
	}
	text := trace.Phrase(&e.Event)
	if e.Kind == trace.Enter {
		text += " with token " + strconv.FormatUint(uint64(e.Token), 10)
	}
	if e.Reason != "" && e.Kind != trace.Note {
		text += ": " + e.Reason
	}
	s.tips = append(s.tips, shorten(text, 160))
}

// shorten cuts a text after so many characters.
func shorten(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:max(most-1, 0)]) + "…"
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
