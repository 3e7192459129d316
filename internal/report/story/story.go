// Package story tells in words how entries came about.
package story

import (
	"fmt"
	"iter"

	"github.com/conchlock/conch/internal/trace"
)

// Story tells how the k-th entry of a lock, in the order of tokens from 1,
// came about. See Stories.Story.
func Story(events iter.Seq[*trace.Merged], lock string, k int) ([]string, error) {
	s, err := Collect(events, lock)
	if err != nil {
		return nil, err
	}
	return s.Story(k)
}

// Story tells how the k-th entry came about: one line says which it is, and
// then there is one for each step that mattered to it, in causal order, with
// the Lamport time and the milliseconds since the request, by the wall clock
// of the peer that took the step.
//
// What matters, from the request to the entry, is known without knowing the
// algorithm:
//
//	(1) the messages that the request set off, at once or when the peer could
//	    ask, and what their receivers did;
//	(2) what the peer received while it waited, if that came from (1) or in
//	    the end from somebody's leaving, giving up or losing the lock, and the
//	    way it came;
//	(3) the last message before the entry, whatever it came from;
//	(4) the holds that ended between the two, by peers that knew of the request;
//	(5) the end of the hold before, by tokens, if that was no exit: no message
//	    tells that a peer was killed or that a lease has run out.
//
// Messages that are upkeep matter only where (2) or (3) says so.
func (s *Stories) Story(k int) ([]string, error) {
	if k < 1 || k > len(s.entries) {
		return nil, fmt.Errorf("there is no entry %d of lock %q: it was entered %d times", k, s.lock, len(s.entries))
	}
	t := &tale{Stories: s, enter: s.entries[k-1], told: map[*node]bool{}}
	t.request = s.before(t.enter, trace.Request)
	title := fmt.Sprintf("Entry %d of lock %q: %s, with token %d", k, s.lock, t.enter.Peer, t.enter.Token)
	if t.request == nil {
		return []string{title + ". Its request is not in the record."}, nil
	}
	t.caused(t.request.step)
	t.postponed()
	t.awaited()
	t.holds()
	t.brokenOff(k)
	t.tell(t.request)
	t.tell(t.enter)
	lines := []string{fmt.Sprintf("%s, %s after it asked.", title, milliseconds(t.enter.At.Sub(t.request.At)))}
	return append(lines, t.lines()...), nil
}

// tale is the choice of events for one story.
type tale struct {
	*Stories
	request, enter *node
	told           map[*node]bool // what matters
}

func (t *tale) tell(n *node) { t.told[n] = true }

// led says that n happened before the entry.
func (t *tale) led(n *node) bool { return n != nil && t.enter.past.Has(n.who, n.index) }

// old says that n happened before the request.
func (t *tale) old(n *node) bool { return t.request.past.Has(n.who, n.index) }

// caused tells the messages that a step sent, and what came of them (1).
func (t *tale) caused(st *step) {
	for _, n := range st.nodes {
		switch n.Kind {
		case trace.Send:
			to := t.receipts[n.Message.ID]
			if n.Message.Upkeep || !t.led(to) || t.told[to] {
				continue
			}
			t.tell(n)
			t.tell(to)
			if to.step != t.enter.step {
				t.caused(to.step)
			}
		case trace.Note, trace.Enter:
			if t.led(n) {
				t.tell(n)
			}
		}
	}
}

// postponed tells the messages that the peer sent while it waited and that no
// message about the lock made it send: at the time of the request it could not
// ask, because a peer was missing or had to begin anew (1).
func (t *tale) postponed() {
	for _, st := range t.steps {
		first := st.cause()
		if first.who == t.enter.who && first.Kind == trace.Send && first.index > t.request.index && first.index < t.enter.index {
			t.caused(st)
		}
	}
}

// awaited tells the way of what the peer received while it waited (2, 3).
func (t *tale) awaited() {
	for _, st := range t.steps {
		n := st.cause()
		if n.who != t.enter.who || n.Kind != trace.Receive || n.index < t.request.index || n.index > t.enter.index {
			continue
		}
		way, matters := t.way(n)
		if !matters && st != t.enter.step {
			continue
		}
		for _, x := range way {
			t.tell(x)
		}
	}
}

// way follows a receipt back to what set it off, through the steps that did
// nothing but pass it on, and says whether that matters to who waits: it does
// if it is told already, or the end of somebody's turn.
func (t *tale) way(n *node) (way []*node, matters bool) {
	for {
		sent := t.sends[n.Message.ID]
		if sent == nil {
			return append(way, n), false
		}
		way = append(way, n, sent)
		if t.told[sent] {
			return way, true
		}
		cause := sent.step.cause()
		if t.old(sent) {
			return way, false
		}
		switch cause.Kind {
		case trace.Receive:
			n = cause
		case trace.Exit, trace.Cancel, trace.Lost:
			return append(way, cause), true
		default:
			return append(way, cause), false
		}
	}
}

// holds tells the holds that stood between request and entry (4).
func (t *tale) holds() {
	for _, st := range t.steps {
		for _, n := range st.nodes {
			if n.Kind != trace.Exit && n.Kind != trace.Lost || !t.led(n) || !n.past.Has(t.request.who, t.request.index) || n.who == t.enter.who {
				continue
			}
			t.tell(n)
			if enter := t.before(n, trace.Enter); enter != nil && !t.old(enter) {
				t.tell(enter)
			}
		}
	}
}

// brokenOff tells how the hold before the k-th ended, if that was no exit (5).
func (t *tale) brokenOff(k int) {
	if k < 2 {
		return
	}
	before := t.entries[k-2]
	end := t.ends[before]
	if end == nil || end.Kind == trace.Exit {
		return
	}
	t.tell(end)
	if !t.old(before) {
		t.tell(before)
	}
}
