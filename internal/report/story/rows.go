package story

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/trace"
)

// rows writes what is told, a row for each step. What is not ordered with the
// request comes after it, and what is not ordered with the entry before that.
func (t *tale) rows() []Row {
	var first, between, last []Row
	for _, st := range t.steps {
		var told []*node
		for _, n := range st.nodes {
			if t.told[n] {
				told = append(told, n)
			}
		}
		if len(told) == 0 {
			continue
		}
		row := Row{Clock: told[0].Clock, Peer: told[0].Peer, Clauses: t.clauses(told)}
		if t.request != nil {
			row.Since = told[0].At.Sub(t.request.At)
		}
		switch {
		case st == t.enter.step:
			last = append(last, row)
		case st == t.request.step:
			first = append(first, row)
		default:
			between = append(between, row)
		}
	}
	return append(append(first, between...), last...)
}

// Text says in a sentence what the peer did.
func (r *Row) Text() string {
	var b strings.Builder
	b.WriteString(string(r.Peer))
	for i, c := range r.Clauses {
		last := i == len(r.Clauses)-1
		switch {
		case i == 0:
			b.WriteByte(' ')
		case last:
			b.WriteString(" and ")
		default:
			b.WriteString(", ")
		}
		b.WriteString(c.Did)
		switch {
		case c.Why == "":
		case last:
			b.WriteString(": " + c.Why)
		default:
			b.WriteString(" (" + c.Why + ")")
		}
	}
	return b.String()
}

// clauses says what a peer did in one step.
func (t *tale) clauses(nodes []*node) []Clause {
	var clauses []Clause
	for i := 0; i < len(nodes); i++ {
		n := nodes[i]
		c := Clause{Events: []Event{told(n)}}
		if n.Kind != trace.Send {
			c.Did, c.Why = t.did(n)
			clauses = append(clauses, c)
			continue
		}
		// The same message to several peers is one clause.
		to := []algo.PeerName{n.Message.To}
		for i+1 < len(nodes) && sameMessage(n, nodes[i+1]) {
			i++
			to = append(to, nodes[i].Message.To)
			c.Events = append(c.Events, told(nodes[i]))
		}
		c.Did, c.Why = "sends "+plain(n.Message.Kind)+" to "+names(to), plain(n.Reason)
		clauses = append(clauses, c)
	}
	return clauses
}

func told(n *node) Event {
	e := Event{Kind: n.Kind, Line: n.pos.String()}
	if n.Message != nil {
		e.Message = n.Message.ID.String()
	}
	return e
}

// did says what happened, and why.
func (t *tale) did(n *node) (did, why string) {
	why = plain(n.Reason)
	switch n.Kind {
	case trace.Request:
		if n == t.request {
			return "asks for the lock (request " + n.stamp().String() + ")", why
		}
		return "makes request " + n.stamp().String(), why
	case trace.Receive:
		return "receives " + plain(n.Message.Kind) + " from " + string(n.Message.From), ""
	case trace.Enter:
		return fmt.Sprintf("enters with token %d", n.Token), why
	case trace.Exit:
		return fmt.Sprintf("leaves (token %d)", n.Token), why
	case trace.Lost:
		return fmt.Sprintf("loses the lock (token %d)", n.Token), why
	case trace.Crash:
		return "is killed" + t.hadToken(n), why
	case trace.Start:
		if n.prev == nil {
			return "starts", ""
		}
		if held := t.hadToken(n); held != "" || n.prev.Kind != trace.Crash && n.prev.Kind != trace.Stop {
			return "starts again: it was killed" + held, ""
		}
		return "starts again", ""
	case trace.Note:
		return plain(trace.Phrase(&n.Event)), ""
	}
	return plain(trace.Phrase(&n.Event)), why
}

// hadToken says in which hold a peer was killed.
func (t *tale) hadToken(n *node) string {
	if enter := t.endedWith(n); enter != nil {
		return fmt.Sprintf(" inside, with token %d", enter.Token)
	}
	return ""
}

// endedWith returns the entry whose hold ended with n, nil if none did.
func (t *tale) endedWith(n *node) *node {
	if enter := t.before(n, trace.Enter); enter != nil && t.ends[enter] == n {
		return enter
	}
	return nil
}

// sameMessage says that b is sent in the same words as a.
func sameMessage(a, b *node) bool {
	return b.Kind == trace.Send && a.Message.Kind == b.Message.Kind && a.Reason == b.Reason
}

func names[S ~string](list []S) string {
	var b strings.Builder
	for i, name := range list {
		switch {
		case i == 0:
		case i == len(list)-1:
			b.WriteString(" and ")
		default:
			b.WriteString(", ")
		}
		b.WriteString(string(name))
	}
	return b.String()
}

// plain makes words from a trace safe to print.
func plain(words string) string {
	if strings.ContainsFunc(words, func(r rune) bool { return !unicode.IsPrint(r) }) {
		quoted := strconv.Quote(words)
		return quoted[1 : len(quoted)-1]
	}
	return words
}
