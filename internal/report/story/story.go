// Package story tells in words how entries came about. It knows no algorithm:
// everything follows from what happened before what.
package story

import (
	"fmt"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/trace"
)

// Story is how an entry came about. Times are by the wall clock of the peer
// that an event belongs to. Lines are FILE:LINE of an event in the traces.
type Story struct {
	Entry   int           `json:"entry"` // in the order of tokens, from 1
	Lock    string        `json:"lock"`
	Peer    algo.PeerName `json:"peer"`
	Token   algo.Token    `json:"token"`
	Request string        `json:"request,omitempty"` // its stamp; empty if it is not in the record
	Asked   string        `json:"asked,omitempty"`   // the request's line
	Entered string        `json:"entered"`           // the entry's line

	// Waited is the time from request to entry. If the peer's clock was set back
	// by more than that, it is 0 and ClockBack is true.
	Waited    time.Duration `json:"waited_ns"`
	ClockBack bool          `json:"clock_set_back,omitempty"`

	// Between are the tokens of the holds that stood between request and entry.
	Between []algo.Token `json:"between"`

	Because string `json:"because"` // why this peer entered at this place, in plain sentences
	Rows    []Row  `json:"rows"`    // what happened; the first is the request, the last the entry
	Parts   []Part `json:"parts"`   // what it waited for, from request to entry; they add up to Waited
}

// Row is what a peer did in one step, as far as it mattered.
type Row struct {
	Clock   algo.Time     `json:"clock"`    // Lamport time
	Since   time.Duration `json:"since_ns"` // since the request; negative where something began before it
	Peer    algo.PeerName `json:"peer"`
	Clauses []Clause      `json:"clauses"`
}

// Clause is one thing that a peer did, and why, if that is known. A message
// that is sent to several peers is one thing.
type Clause struct {
	Did    string  `json:"did"`
	Why    string  `json:"why,omitempty"`
	Events []Event `json:"events"`
}

// Event is an event that a clause tells.
type Event struct {
	Kind    trace.Kind `json:"event"`
	Line    string     `json:"line"`
	Message string     `json:"message,omitempty"` // its id
}

// Tell tells how the k-th entry came about, in the order of tokens from 1. An
// entry whose request is not in the record has one row, and no parts.
//
// What matters, from the request to the entry, is known without knowing the
// algorithm:
//
//	(1) the messages that the request set off, at once or when the peer could
//	    ask, and what their receivers did;
//	(2) what the peer received while it waited, if that came from (1), or in
//	    the end from somebody's leaving, giving up or losing the lock, and the way
//	    it came; and what else was sent to it, not to ask for the lock, by peers
//	    that had heard of the request;
//	(3) the chain of events that ended with the entry, each the one that
//	    made the next happen: see way;
//	(4) the holds that stood between the two, and how they ended.
//
// Messages that are upkeep matter only where (2) or (3) says so.
func (s *Stories) Tell(k int) (*Story, error) { return s.TellAs(k, k) }

// TellAs tells the k-th entry of the record, which has another place in the
// run if the record is a part of it.
func (s *Stories) TellAs(k, place int) (*Story, error) {
	t, err := s.tale(k)
	if err != nil {
		return nil, err
	}
	t.place = place
	story := &Story{Entry: place, Lock: s.lock, Peer: t.enter.Peer, Token: t.enter.Token, Entered: t.enter.pos.String(), Between: []algo.Token{}, Parts: []Part{}}
	story.Rows = t.rows()
	if t.request == nil {
		story.Because = "Its request is not in the record."
		return story, nil
	}
	story.Request, story.Asked = t.request.stamp().String(), t.request.pos.String()
	waited := t.enter.At.Sub(t.request.At)
	story.Waited, story.ClockBack = max(waited, 0), waited < 0
	for _, enter := range t.between {
		story.Between = append(story.Between, enter.Token)
	}
	story.Parts = t.parts
	story.Because = t.because()
	return story, nil
}

// tale is the choice of events for one story.
type tale struct {
	*Stories
	k, place       int
	request, enter *node
	told           map[*node]bool // what matters
	between        []*node        // the entries whose holds stood between request and entry, by token
	parts          []Part
}

// tale chooses what matters to the k-th entry.
func (s *Stories) tale(k int) (*tale, error) {
	switch n := len(s.entries); {
	case n == 0:
		return nil, fmt.Errorf("there is no entry %d of lock %q: it was never entered", k, s.lock)
	case k < 1 || k > n:
		return nil, fmt.Errorf("there is no entry %d of lock %q: it was entered %s", k, s.lock, times(n))
	}
	t := &tale{Stories: s, k: k, enter: s.entries[k-1], told: map[*node]bool{}}
	t.request = s.before(t.enter, trace.Request)
	t.told[t.enter] = true
	if t.request == nil || t.request.Incarnation != t.enter.Incarnation || t.answered() {
		t.request = nil
		return t, nil
	}
	t.told[t.request] = true
	t.caused(t.request.step)
	t.postponed()
	t.awaited()
	t.parts = t.waitedFor()
	t.holds()
	return t, nil
}

// answered says that the request led to an earlier entry: the one that led to
// this is missing.
func (t *tale) answered() bool {
	earlier := t.before(t.enter, trace.Enter)
	return earlier != nil && earlier.index > t.request.index
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// tell takes note of an event, unless it happened before the request or after
// the entry: then it is no part of this story.
func (t *tale) tell(n *node) {
	if n != nil && !t.request.after(n) && !n.after(t.enter) {
		t.told[n] = true
	}
}

// led says that n happened before the entry.
func (t *tale) led(n *node) bool { return n != nil && t.enter.after(n) }

// mine says that n is about the lock of the story.
func (t *tale) mine(n *node) bool { return n.Lock == t.lock }

// caused tells the messages that a step sent, and what came of them (1).
func (t *tale) caused(st *step) {
	for _, n := range st.nodes {
		if !t.mine(n) {
			continue
		}
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
	for n := t.enter.prev; n != nil && n != t.request; n = n.prev {
		if n.Kind != trace.Send || !t.mine(n) {
			continue
		}
		if first := n.step.first(); first.Kind != trace.Receive || first.Lock == "" {
			t.caused(n.step)
		}
	}
}

// awaited tells what the peer received while it waited (2).
func (t *tale) awaited() {
	var receipts []*node
	for n := t.enter; n != nil && n != t.request; n = n.prev {
		if n.Kind == trace.Receive && t.mine(n) && t.sends[n.Message.ID] != nil {
			receipts = append(receipts, n)
		}
	}
	for i := len(receipts) - 1; i >= 0; i-- {
		n := receipts[i]
		came, matters := t.came(n)
		if sent := t.sends[n.Message.ID]; !matters && t.answers(sent) {
			came, matters = []*node{n, sent}, true
		}
		for _, x := range came {
			if matters {
				t.tell(x)
			}
		}
	}
}

// came follows a receipt back to what set it off, through the steps that did
// nothing but pass it on, and says whether that matters to who waits.
func (t *tale) came(n *node) (came []*node, matters bool) {
	for {
		sent := t.sends[n.Message.ID]
		if sent == nil {
			return append(came, n), false
		}
		came = append(came, n, sent)
		if t.told[sent] {
			return came, true
		}
		if t.request.after(sent) {
			return came, false
		}
		switch first := sent.step.first(); first.Kind {
		case trace.Receive:
			if !t.mine(first) {
				return came, false
			}
			n = first
		case trace.Exit, trace.Cancel, trace.Lost:
			return append(came, first), true
		default:
			return came, false
		}
	}
}

// answers says that the sender of a message had heard of the request, and did
// not ask for the lock itself: not of its own, nor by a message of a kind by
// which the peer that waits has asked.
func (t *tale) answers(sent *node) bool {
	return !sent.Message.Upkeep && sent.after(t.request) && sent.step.first().Kind != trace.Request && !t.asksLike(sent)
}

// asksLike says that a message is of a kind by which the peer that waits has
// asked.
func (t *tale) asksLike(sent *node) bool {
	for n := t.enter.prev; n != nil && n.index >= t.request.index; n = n.prev {
		if n.Kind == trace.Send && t.mine(n) && t.told[n] && n.Message.Kind == sent.Message.Kind {
			return true
		}
	}
	return false
}
