package story

import (
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/trace"
)

// Part is one thing that the entry waited for. The parts of a story follow
// each other without a gap from the request to the entry.
type Part struct {
	Kind    PartKind      `json:"kind"`
	From    time.Duration `json:"from_ns"` // since the request
	Took    time.Duration `json:"took_ns"` // never negative
	Peer    algo.PeerName `json:"peer,omitempty"`
	Other   algo.PeerName `json:"other,omitempty"`   // Message: the receiver; Contact: the peer that was out of reach
	Token   algo.Token    `json:"token,omitempty"`   // Inside; Clock: of a hold that ended without an exit before
	Message string        `json:"message,omitempty"` // Message: its kind
	ID      string        `json:"id,omitempty"`      // Message: its id
	Why     string        `json:"why,omitempty"`     // Inside, Down: how it ended or began, if not by an exit
	Begin   string        `json:"begin"`             // the line of the event with which it began
	End     string        `json:"end"`               // and ended
	Text    string        `json:"text"`              // the part in words
	Largest bool          `json:"largest,omitempty"` // no part took longer
	Skewed  bool          `json:"skewed,omitempty"`  // the peers' clocks disagree, and it was cut to fit
}

// PartKind says what a part is.
type PartKind string

const (
	Message PartKind = "message" // a message from Peer to Other was on its way
	Inside  PartKind = "inside"  // Peer was inside
	Wish    PartKind = "wish"    // Peer had yet to ask for the lock too, or to give that up
	Clock   PartKind = "clock"   // Peer waited for its clock
	Down    PartKind = "down"    // Peer was not running
	Contact PartKind = "contact" // Peer and Other were not connected
	Local   PartKind = "local"   // Peer was at work
	Rest    PartKind = "rest"    // the record does not say what led on
)

// way follows an entry back to its request, from each event to the one that
// made it happen:
//
//   - a receipt was made to happen by its send, and that by what began the
//     sender's step;
//   - the end of a hold, by the hold: it goes on where that began;
//   - news of another peer, by the start of one of the two, and that by its
//     death; or by the loss of the connection before;
//   - what a peer does unprompted, by its clock. If a hold has ended before that
//     without an exit, then by that: nobody is told of such an end, but the
//     clock tells when it must have come. Else it goes on where the peer first
//     heard of the request.
//
// The first two are certain. News and clocks stand in the record alone: what
// led to them is taken from the times.
type way struct {
	*tale
	at    time.Time // the time from here to the entry is accounted for
	parts []Part    // from the last to the first
	seen  map[*step]bool
}

// waitedFor divides the time from request to entry into parts, and tells the
// events between them (3).
func (t *tale) waitedFor() []Part {
	w := &way{tale: t, at: t.enter.At, parts: []Part{}, seen: map[*step]bool{}}
	if w.at.Before(t.request.At) { // the clock was set back
		w.at = t.request.At
	}
	st, to := t.enter.step, t.enter
	for st != nil && st != t.request.step && !w.seen[st] {
		w.seen[st] = true
		st, to = w.back(st, to)
	}
	if to == nil {
		to = t.enter
	}
	switch {
	case st == t.request.step:
		w.add(Part{Kind: Local, Peer: t.enter.Peer}, t.request, to)
	case w.at.After(t.request.At):
		w.add(Part{Kind: Rest}, t.request, to)
	}
	return w.finish()
}

// add puts a part in front, from an event to one after it.
func (w *way) add(p Part, from, to *node) {
	begin := from.At
	if begin.After(w.at) {
		begin, p.Skewed = w.at, true
	}
	if begin.Before(w.request.At) {
		begin, p.Skewed = w.request.At, p.Skewed || from.after(w.request)
	}
	p.From, p.Took = begin.Sub(w.request.At), w.at.Sub(begin)
	p.Begin, p.End = from.pos.String(), to.pos.String()
	w.at = begin
	w.parts = append(w.parts, p)
	w.tell(from)
	w.tell(to)
}

// since adds a part that began with an event, and returns where to go on:
// nowhere, if that was before the request.
func (w *way) since(p Part, from, to *node) (*step, *node) {
	w.add(p, from, to)
	if from.after(w.request) || from.At.After(w.request.At) {
		return from.step, from
	}
	return nil, from
}

// back goes from an event in a step to what made it happen, and returns that
// and its step; nil if there is nothing to go on with.
func (w *way) back(st *step, to *node) (*step, *node) {
	cause := w.cause(st, to)
	if cause != to {
		w.add(Part{Kind: Local, Peer: to.Peer}, cause, to)
	}
	switch cause.Kind {
	case trace.Receive:
		m := cause.Message
		sent := w.sends[m.ID]
		if sent == nil {
			return nil, cause
		}
		return w.since(Part{Kind: Message, Peer: m.From, Other: m.To, Message: m.Kind, ID: m.ID.String()}, sent, cause)
	case trace.Exit, trace.Lost:
		return w.hold(cause, w.before(cause, trace.Enter))
	case trace.Cancel:
		if asked := w.before(cause, trace.Request); asked != nil {
			return w.since(Part{Kind: Wish, Peer: cause.Peer, Why: "until it gave up"}, asked, cause)
		}
		return nil, cause
	case trace.Request:
		return w.heard(Part{Kind: Wish, Peer: cause.Peer}, cause)
	case trace.Start:
		return w.down(cause)
	}
	if news(cause) {
		return w.contact(cause)
	}
	return w.unprompted(st, cause)
}

// cause is what began a step, as far as it is about the lock or about none.
func (w *way) cause(st *step, to *node) *node {
	if first := st.first(); first.Kind == trace.Receive || first.Kind == trace.Start || news(first) {
		return first
	}
	for _, n := range st.nodes {
		if n == to {
			break
		}
		switch n.Kind {
		case trace.Exit, trace.Lost, trace.Cancel, trace.Request:
			if w.mine(n) {
				return n
			}
		}
	}
	return to
}

// news says that an event tells of another peer, by itself: that there is
// contact with it, or a way to it, or none.
func news(n *node) bool {
	return n.Kind == trace.Note && n.Lock == "" && n.Other != "" || n.Kind == trace.LinkUp || n.Kind == trace.LinkDown || n.Kind == trace.Suspect || n.Kind == trace.Leave
}

// How a hold ended, if not by an exit.
const (
	whyLost   = "until it lost the lock"
	whyKilled = "until it was killed"
)

// hold goes on at the beginning of the hold that has ended with end.
func (w *way) hold(end, enter *node) (*step, *node) {
	if enter == nil {
		return nil, end
	}
	p := Part{Kind: Inside, Peer: enter.Peer, Token: enter.Token}
	switch w.endOf(enter) {
	case trace.Lost:
		p.Why = whyLost
	case trace.Crash, trace.Start:
		p.Why = whyKilled
	}
	return w.since(p, enter, end)
}

// endOf says how a hold ended; "" if the record does not.
func (t *tale) endOf(enter *node) trace.Kind {
	if end := t.ends[enter]; end != nil {
		return end.Kind
	}
	return ""
}

// unprompted goes on from an event that nothing in the record made happen.
func (w *way) unprompted(st *step, to *node) (*step, *node) {
	for _, n := range st.nodes {
		if n.Kind == trace.Stop {
			return w.heard(Part{Kind: Local, Peer: to.Peer, Why: "until it was stopped"}, to)
		}
	}
	p := Part{Kind: Clock, Peer: to.Peer}
	if enter := w.brokenOff(); enter != nil {
		p.Other, p.Token, p.Why = enter.Peer, enter.Token, "after "+string(enter.Peer)+" had been killed inside"
		end := death(w.ends[enter])
		if w.endOf(enter) == trace.Lost {
			p.Why = "after " + string(enter.Peer) + " had lost the lock"
			if end.At.After(w.at) { // it noticed late
				p.Why = "for the hold of " + string(enter.Peer) + " to run out"
				return w.heard(p, to)
			}
		}
		w.tell(w.ends[enter])
		if end.At.After(w.request.At) {
			w.add(p, end, to)
			return w.hold(end, enter)
		}
	}
	return w.heard(p, to)
}

// contact goes on from news of another peer: at the start of one of the two, at
// the other's death, or where the connection was lost.
func (w *way) contact(to *node) (*step, *node) {
	p := Part{Kind: Contact, Peer: to.Peer, Other: to.Other}
	var began *node
	for _, name := range []algo.PeerName{to.Peer, to.Other} {
		n := w.latest(name, func(n *node) bool { return n.Kind == trace.Start })
		if n != nil && (began == nil || n.At.After(began.At)) {
			began = n
		}
	}
	if to.Kind == trace.LinkDown || to.Kind == trace.Suspect || to.Kind == trace.Leave {
		p.Why = "and " + string(to.Peer) + " had yet to notice"
		began = w.latest(to.Other, func(n *node) bool { return n.Kind == trace.Crash || n.Kind == trace.Stop })
	}
	switch {
	case began != nil && began.Kind == trace.Start && began.At.After(w.request.At):
		w.add(p, began, to)
		return w.down(began)
	case began != nil && began.At.After(w.request.At):
		w.add(p, began, to)
		return w.died(began, began)
	}
	for n := to.prev; n != nil && n.At.After(w.request.At); n = n.prev {
		if n.Kind == trace.LinkDown && n.Other == to.Other && to.Kind != trace.LinkDown {
			w.add(p, n, to)
			return w.meanwhile(n)
		}
	}
	w.add(p, w.request, to) // all that time
	return nil, to
}

// latest returns a peer's last such event till here, by the clocks.
func (w *way) latest(name algo.PeerName, such func(*node) bool) *node {
	p := w.peers[name]
	if p == nil {
		return nil
	}
	for n := p.last; n != nil; n = n.prev {
		if such(n) && !n.At.After(w.at) {
			return n
		}
	}
	return nil
}

// later returns the later one of an event and the request, by the clocks.
func (w *way) later(n *node) *node {
	if n.At.After(w.request.At) {
		return n
	}
	return w.request
}

// down goes on from a peer's start, at its death.
func (w *way) down(start *node) (*step, *node) {
	p := Part{Kind: Down, Peer: start.Peer, Why: "it had been killed"}
	died := start.prev
	if died == nil {
		p.Why = "it had not been started"
		w.add(p, w.request, start)
		return nil, start
	}
	if died.Kind == trace.Stop {
		p.Why = "it had been stopped"
	}
	w.add(p, w.later(died), start)
	return w.died(died, start)
}

// died goes on from a peer's death, of which the record tells by that event or
// by its next start: at the hold that it ended.
func (w *way) died(died, start *node) (*step, *node) {
	w.tell(died)
	if !died.At.After(w.request.At) {
		return nil, died
	}
	for _, end := range []*node{died, start} {
		if enter := w.endedWith(end); enter != nil {
			return w.hold(died, enter)
		}
	}
	return w.meanwhile(died)
}

// death is the last that is known of a hold that ended with n.
func death(n *node) *node {
	if n.Kind == trace.Start {
		return n.prev
	}
	return n
}

// brokenOff returns the latest hold before the entry that is not accounted for
// yet, if it ended without an exit; else nil.
func (w *way) brokenOff() *node {
	for i := w.k - 2; i >= 0; i-- {
		enter := w.entries[i]
		if w.seen[enter.step] || enter.At.After(w.at) {
			continue
		}
		if end := w.ends[enter]; end != nil && end.Kind != trace.Exit {
			return enter
		}
		return nil
	}
	return nil
}

// meanwhile goes on at the hold that there was at the time of an event which
// does not say itself what the entry waited for till then, or the one before.
func (w *way) meanwhile(to *node) (*step, *node) {
	for i := w.k - 2; i >= 0; i-- {
		enter := w.entries[i]
		end := w.ends[enter]
		if end == nil || w.seen[enter.step] || enter.At.After(w.at) {
			continue
		}
		if end = death(end); end.At.Before(w.at) {
			if !end.At.After(w.request.At) {
				break
			}
			w.add(Part{Kind: Rest}, end, to)
			return w.hold(end, enter)
		}
		return w.hold(to, enter)
	}
	return w.heard(Part{Kind: Rest}, to)
}

// heard adds a part that ended with to, and began when its peer first heard of
// the request, as far as that is known.
func (w *way) heard(p Part, to *node) (*step, *node) {
	var first *node
	for n := range w.told {
		if n.Kind == trace.Receive && n.who == to.who && n.index < to.index && n.after(w.request) && (first == nil || n.index < first.index) {
			first = n
		}
	}
	if first == nil || to.who == w.enter.who {
		w.add(p, w.request, to)
		return nil, to
	}
	return w.since(p, first, to)
}
