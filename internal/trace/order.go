package trace

import (
	"bytes"
	"fmt"

	"github.com/conchlock/conch/algo"
)

// order holds what one peer's events, taken one after the other, must obey:
//
//	(1) all are the peer's own;
//	(2) an incarnation begins with start, each with a larger number, and ends
//	    with stop or by being killed; after stop comes only the next start, or
//	    a crash noted by whoever killed it;
//	(3) within an incarnation the clock never goes back, and it has moved when
//	    a request, a cancel, an exit or a receipt begins a new step;
//	(4) the messages an incarnation sends are numbered 1, 2, 3, ...;
//	(5) no line is there twice, and a step enters a lock once.
//
// So a line that was removed, added, doubled or moved shows, unless it stands
// alone in every respect. Where events are known to be missing, the first one
// after them is taken as it is.
type order struct {
	begun       bool
	stopped     bool
	crashed     bool
	incarnation algo.Incarnation
	clock       algo.Time
	numbered    bool   // number is known
	number      uint64 // of the last message sent
	entered     string // the lock that was last entered, at clock
	line        []byte // the last one
}

// next takes the next event, which was read from text, and may give it a Gap.
func (o *order) next(l *Line, peer algo.PeerName, text []byte) error {
	switch {
	case l.Peer != peer:
		return fmt.Errorf("an event of peer %s in the trace of %s", l.Peer, peer)
	case l.LostEvents():
		l.Gap = l.Reason
	case !o.begun && l.Kind != Start && l.Gap == "":
		l.Gap = "its beginning is missing"
	}
	var err error
	if l.Kind == Start {
		err = o.start(l)
	} else {
		err = o.within(l, text)
	}
	if err != nil {
		return err
	}
	if l.Kind == Enter {
		o.entered = l.Lock
	} else if l.Clock != o.clock {
		o.entered = ""
	}
	o.begun, o.incarnation, o.clock = true, l.Incarnation, l.Clock
	o.line = append(o.line[:0], text...)
	return nil
}

func (o *order) start(l *Line) error {
	if o.begun && l.Incarnation <= o.incarnation {
		return fmt.Errorf("incarnation %d starts after incarnation %d", l.Incarnation, o.incarnation)
	}
	o.stopped, o.crashed = false, false
	o.numbered, o.number = true, 0
	return nil
}

func (o *order) within(l *Line, text []byte) error {
	if l.Gap != "" {
		o.numbered = false
		if o.begun && (l.Incarnation < o.incarnation || l.Incarnation == o.incarnation && l.Clock < o.clock) {
			return fmt.Errorf("incarnation %d at clock %d after incarnation %d at clock %d: the lines are not in the order they were written in",
				l.Incarnation, l.Clock, o.incarnation, o.clock)
		}
		o.stopped = l.Kind == Stop
		return o.send(l)
	}
	switch {
	case o.crashed, o.stopped && l.Kind != Crash:
		return fmt.Errorf("%s after the end of incarnation %d", l.Kind, o.incarnation)
	case l.Incarnation != o.incarnation:
		return fmt.Errorf("an event of incarnation %d, which has not started, within incarnation %d", l.Incarnation, o.incarnation)
	case l.Clock < o.clock:
		return fmt.Errorf("the clock goes back from %d to %d: the lines are not in the order they were written in", o.clock, l.Clock)
	case l.Kind != Note && bytes.Equal(text, o.line),
		l.Kind == Enter && l.Clock == o.clock && l.Lock == o.entered:
		return fmt.Errorf("the line is there twice")
	case l.Clock == o.clock && (l.Kind == Request || l.Kind == Cancel || l.Kind == Exit || l.Kind == Receive):
		return fmt.Errorf("%s at clock %d, as the event before it: a line is there twice or in the wrong place", l.Kind, l.Clock)
	}
	o.stopped = o.stopped || l.Kind == Stop
	o.crashed = l.Kind == Crash
	return o.send(l)
}

func (o *order) send(l *Line) error {
	if l.Kind != Send {
		return nil
	}
	n := l.Message.ID.Number
	switch {
	case !o.numbered:
	case n <= o.number:
		return fmt.Errorf("message %s is sent after number %d: it is there twice or in the wrong place", l.Message.ID, o.number)
	case n > o.number+1:
		return fmt.Errorf("message %s is sent after number %d: what was sent between is missing", l.Message.ID, o.number)
	}
	o.numbered, o.number = true, n
	return nil
}
