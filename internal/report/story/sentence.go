package story

import (
	"fmt"
	"strings"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/trace"
)

// lines writes what is told, a line for each step.
func (t *tale) lines() []string {
	width := len(fmt.Sprint(t.enter.Clock))
	var lines []string
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
		since := told[0].At.Sub(t.request.At)
		lines = append(lines, fmt.Sprintf("  %*d  %+8.2f ms  %s", width, told[0].Clock, since.Seconds()*1000, t.sentence(told)))
	}
	return lines
}

// sentence says what a peer did in one step.
func (t *tale) sentence(nodes []*node) string {
	var clauses []clause
	for i := 0; i < len(nodes); i++ {
		n := nodes[i]
		if n.Kind != trace.Send {
			clauses = append(clauses, t.clause(n))
			continue
		}
		// The same message to several peers is one clause.
		to := []algo.PeerName{n.Message.To}
		for i+1 < len(nodes) && sameMessage(n, nodes[i+1]) {
			i++
			to = append(to, nodes[i].Message.To)
		}
		clauses = append(clauses, clause{"sends " + n.Message.Kind + " to " + names(to), n.Reason})
	}
	var b strings.Builder
	b.WriteString(string(nodes[0].Peer))
	for i, c := range clauses {
		last := i == len(clauses)-1
		switch {
		case i == 0:
			b.WriteByte(' ')
		case last:
			b.WriteString(" and ")
		default:
			b.WriteString(", ")
		}
		b.WriteString(c.did)
		switch {
		case c.why == "":
		case last:
			b.WriteString(": " + c.why)
		default:
			b.WriteString(" (" + c.why + ")")
		}
	}
	return b.String()
}

// clause is one thing that a peer did, and why, if that is known.
type clause struct{ did, why string }

func (t *tale) clause(n *node) clause {
	switch n.Kind {
	case trace.Request:
		if n == t.request {
			return clause{"asks for the lock (request " + n.stamp().String() + ")", n.Reason}
		}
		return clause{"makes request " + n.stamp().String(), n.Reason}
	case trace.Receive:
		return clause{"receives " + n.Message.Kind + " from " + string(n.Message.From), ""}
	case trace.Enter:
		return clause{fmt.Sprintf("enters with token %d", n.Token), n.Reason}
	case trace.Exit:
		return clause{fmt.Sprintf("leaves (token %d)", n.Token), n.Reason}
	case trace.Lost:
		return clause{fmt.Sprintf("loses the lock (token %d)", n.Token), n.Reason}
	case trace.Crash:
		return clause{fmt.Sprintf("is killed%s", t.inside(n)), n.Reason}
	case trace.Start:
		return clause{fmt.Sprintf("starts again: it was killed%s", t.inside(n)), ""}
	case trace.Note:
		return clause{trace.Phrase(&n.Event), ""}
	}
	return clause{trace.Phrase(&n.Event), n.Reason}
}

// inside says in which hold a peer was killed.
func (t *tale) inside(n *node) string {
	for enter, end := range t.ends {
		if end == n {
			return fmt.Sprintf(" inside, with token %d", enter.Token)
		}
	}
	return ""
}

// sameMessage says that b is sent in the same words as a.
func sameMessage(a, b *node) bool {
	return b.Kind == trace.Send && a.Message.Kind == b.Message.Kind && a.Reason == b.Reason
}

func names(list []algo.PeerName) string {
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

func milliseconds(d time.Duration) string { return fmt.Sprintf("%.2f ms", d.Seconds()*1000) }
