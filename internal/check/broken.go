package check

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/trace"
)

// Broken is a hold that ended without an exit, because its lease ran out or its
// peer was killed, and how the lock went on.
type Broken struct {
	Lock  string        `json:"lock"`
	Peer  algo.PeerName `json:"peer"`
	Token algo.Token    `json:"token"`
	How   string        `json:"how"` // lost or killed
	Text  string        `json:"text"`
	Line  string        `json:"line"` // where the hold began

	// Next is who had the lock next, by tokens; empty if nobody had. After is
	// how long that took, from the end of the hold or the last sign of life
	// from its peer, by the clocks of the traces.
	Next  algo.PeerName `json:"next,omitempty"`
	After int64         `json:"next_after_ns,omitempty"`

	from time.Time
	then string // what is measured from, in words
}

// brokenMax bounds how many of them a report lists.
const brokenMax = 100

// breakOff notes a hold that has just ended, if that was no exit. e is the
// event that says so.
func (c *checker) breakOff(l *lock, h *hold, e *trace.Merged) {
	switch {
	case h.ended != lost && h.ended != died, len(c.broken) == brokenMax:
		return
	case e.Kind == trace.Stop: // a violation, and told as such
		return
	}
	x := Broken{Lock: l.name, Peer: h.peer, Token: h.token, How: "killed", Line: h.enter.String()}
	switch {
	case h.ended == lost && e.At.Before(h.deadline) || !h.leased && h.ended == lost:
		x.How, x.Text, x.from = "lost", "was lost", e.At
	case h.ended == lost:
		x.How, x.Text, x.from = "lost", "was lost when its lease ran out", h.deadline
	case e.Kind == trace.Crash:
		x.Text, x.from = fmt.Sprintf("ended when %s was killed", h.peer), e.At
	default: // somebody killed it and did not say when
		x.Text, x.from, x.then = fmt.Sprintf("ended when %s was killed", h.peer), c.peers[h.who].latest, "than its last event"
	}
	c.broken = append(c.broken, x)
}

// listBroken finds out how a lock went on after its holds that were broken off.
func (c *checker) listBroken(l *lock) {
	for i := range c.broken {
		x := &c.broken[i]
		if x.Lock != l.name {
			continue
		}
		at, _ := slices.BinarySearchFunc(l.entries, x.Token, func(y entry, t algo.Token) int { return cmp.Compare(y.token, t) })
		for at < len(l.entries) && l.entries[at].token == x.Token {
			at++
		}
		text := fmt.Sprintf("the hold with token %d of %s %s; ", x.Token, x.Peer, x.Text)
		if at == len(l.entries) {
			x.Text = text + "nobody has entered since"
			continue
		}
		next := &l.entries[at]
		x.Next, x.After = c.names[next.who], next.at-x.from.UnixNano()
		who := string(x.Next)
		if x.Next == x.Peer {
			who = "it"
		}
		when := roughly(time.Duration(x.After)) + " later"
		if x.After < 0 {
			when = roughly(time.Duration(-x.After)) + " before that by the clocks of the traces"
		}
		if x.then != "" {
			when += " " + x.then
		}
		x.Text = fmt.Sprintf("%s%s entered %s, with token %d", text, who, when, next.token)
	}
}
