// Package spacetime draws what peers did as a space-time diagram, Lamport's
// picture of a distributed system: a line for each peer, and arrows for the
// messages between them. It knows no algorithm.
//
// Time runs downwards, so that a long run is a long sheet, which can be cut
// into pages, and there is room across for the names of messages. It is not to
// scale: steps follow each other at even distances in the order of the peers'
// clocks on the wall, as far as these do not contradict what is known to have
// come first. A ruler says when each step was. So every arrow points downwards,
// and bars that stand side by side were there at the same time.
package spacetime

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/report/story"
	"github.com/conchlock/conch/internal/trace"
)

// Options say what to draw.
type Options struct {
	Lock string // empty: the only one there is

	// Begin is when the run began: times are counted from there. If it is
	// zero, that is the first event.
	Begin time.Time

	// From and To bound what is drawn; To 0 stands for the end.
	From, To time.Duration

	// Path, if there is one, bounds it to the time from a request to the end of
	// its hold, and what led to the entry stands out.
	Path *story.Path

	Upkeep bool // also draw messages that no entry needs
	Most   int  // how many messages are drawn, at most; 0 stands for MostDefault
}

// MostDefault is how many messages are drawn if nothing else is said. It
// bounds the memory of a Timeline: what is not drawn is not kept.
const MostDefault = 3000

// stepsMost is how many steps are drawn for each message that may be, at most:
// who enters where a token rests sends none.
const stepsMost = 3

// Timeline is what happened around one lock, ready to be drawn.
type Timeline struct {
	lock   string
	begin  time.Time
	path   *story.Path
	peers  []algo.PeerName // a column each
	traces int             // how many of the peers have a trace; the others are named in messages
	steps  []*step         // in the order of time
	rows   []row
	arrows []*arrow // in the order of sending
	bars   []*bar
	more   int  // how many messages were left out, as they were too many
	cut    bool // steps were left out, as they or the messages were too many
}

// Left returns how many messages are not drawn because they would be more than
// Options.Most; they come after those that are.
func (t *Timeline) Left() int { return t.more }

// Cut says that the end is not drawn, as there would be more than Options.Most
// messages or too many steps.
func (t *Timeline) Cut() bool { return t.cut || t.more > 0 }

// Messages returns how many messages are drawn.
func (t *Timeline) Messages() int { return len(t.arrows) }

// Peers returns how many lifelines are drawn.
func (t *Timeline) Peers() int { return len(t.peers) }

// step is what a peer did at one moment: something happened, and the rest
// followed from it.
type step struct {
	who   int
	at    time.Time // by the clock on the wall, but never before what came first
	last  time.Time // when its last event was, by that clock
	seq   int       // in causal order
	clock algo.Time
	inc   algo.Incarnation
	drawn bool // it has something to show, within the bounds
	told  bool // it led to the entry
	row   int

	marks    []mark
	tips     []string
	arrivals []*arrow
	sends    bool
}

// mark is an event that has a sign of its own.
type mark struct {
	kind  trace.Kind
	token algo.Token
	again bool // Start: and not for the first time
}

// turn says that a hold begins or ends in the step.
func (s *step) turn() bool {
	return slices.ContainsFunc(s.marks, func(m mark) bool {
		return m.kind == trace.Enter || m.kind == trace.Exit || m.kind == trace.Lost || m.kind == trace.Crash
	})
}

// idle says that the peer does nothing in the step but start or stop.
func (s *step) idle() bool {
	if len(s.arrivals) > 0 || s.sends {
		return false
	}
	return !slices.ContainsFunc(s.marks, func(m mark) bool { return m.kind != trace.Start && m.kind != trace.Stop })
}

// arrow is a message. Where it begins or ends outside of what is drawn, the
// step is nil or is not drawn.
type arrow struct {
	from, to       int
	kind           string
	clock          algo.Time
	upkeep         bool
	told           bool
	why            string
	sent, received *step
	fate           fate
}

// fate is what became of a message.
type fate uint8

const (
	onItsWay fate = iota
	received
	dropped
)

// barKind says what a bar on a lifeline shows.
type barKind uint8

const (
	waiting barKind = iota
	holding
	down   // between two incarnations
	unborn // before the first
)

// bar is a time in which a peer waited, held the lock, or was not there.
type bar struct {
	kind     barKind
	who      int
	token    algo.Token
	from, to edge
	broken   bool // it was ended by a crash or a loss
}

// edge is an end of a bar. With a zero time it is that of the record.
type edge struct {
	step *step
	at   time.Time
}

// Collect reads what is to be drawn. It keeps no more than that.
func Collect(m *trace.Merger, o Options) (*Timeline, error) {
	if o.Path != nil {
		o.Lock = o.Path.Lock
	}
	if o.Most <= 0 {
		o.Most = MostDefault
	}
	c := newCollector(m.Peers(), o)
	for e := range m.Events() {
		c.add(e)
	}
	if err := c.whichLock(); err != nil {
		return nil, err
	}
	t := c.finish()
	if len(t.steps) == 0 {
		until := "on"
		if o.To > 0 {
			until = "to " + o.To.String()
		}
		return nil, fmt.Errorf("nothing happened to lock %q from %v %s: the record ends after %v", t.lock, o.From, until, c.end.Sub(t.begin).Round(time.Microsecond))
	}
	t.order()
	return t, nil
}

// whichLock says what is wrong with the choice of the lock.
func (c *collector) whichLock() error {
	switch {
	case c.Lock == "" && len(c.locks) > 1:
		return fmt.Errorf("which lock? There are %s", c.quotedLocks())
	case len(c.locks) == 0:
		return fmt.Errorf("the traces know of no lock")
	case !c.locks[c.t.lock]:
		return fmt.Errorf("the traces know of no lock %q; there are %s", c.t.lock, c.quotedLocks())
	}
	return nil
}

// quotedLocks lists the locks for an error, not endlessly many.
func (c *collector) quotedLocks() string {
	const most = 5
	var names []string
	for name := range c.locks {
		names = append(names, fmt.Sprintf("%q", name))
	}
	slices.Sort(names)
	if len(names) > most {
		names = append(names[:most], fmt.Sprintf("%d more", len(names)-most))
	}
	if len(names) == 1 {
		return names[0]
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}
