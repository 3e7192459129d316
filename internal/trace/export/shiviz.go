// Package export writes traces as other programs read them.
package export

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/conchlock/conch/internal/trace"
)

// ShiVizParser is the expression with which ShiViz
// takes a log apart; it is the one that ShiViz proposes.
const ShiVizParser = `(?<event>.*)\n(?<host>\S*) (?<clock>{.*})`

// ShiViz writes all events as a log for ShiViz, which draws them, and compares
// and searches drawings: two lines for each event, what happened, and the peer
// with its vector clock. The first two lines of the file are the expression and
// an empty line, as ShiViz wants them when a file is opened; they do no harm
// when the text is pasted.
//
// The clocks are computed from the order of events in each trace and from which
// receipt belongs to which send. A receipt whose send is missing knows nothing of
// it. Problems with the traces are for the caller to look up in m.
func ShiViz(w io.Writer, m *trace.Merger) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "%s\n\n", ShiVizParser)
	peers := m.Peers()
	for e := range m.Events() {
		fmt.Fprintf(out, "%s\n%s {", shivizText(&e.Event), e.Peer)
		comma := ""
		for who, name := range peers {
			if n := e.Past.Count(who); n > 0 {
				fmt.Fprintf(out, `%s"%s":%d`, comma, name, n)
				comma = ","
			}
		}
		if _, err := out.WriteString("}\n"); err != nil {
			return err // nobody reads any more
		}
	}
	return out.Flush()
}

// shivizText says in a line what happened.
func shivizText(e *trace.Event) string {
	var b strings.Builder
	b.WriteString(trace.Phrase(e))
	if e.Kind == trace.Enter || e.Kind == trace.Extend || e.Kind == trace.Exit || e.Kind == trace.Lost {
		fmt.Fprintf(&b, " (token %d)", e.Token)
	}
	if e.Reason != "" && e.Kind != trace.Note {
		b.WriteString(": " + e.Reason)
	}
	fmt.Fprintf(&b, " [clock %d", e.Clock)
	if e.Lock != "" {
		fmt.Fprintf(&b, ", lock %q", e.Lock)
	}
	if e.Message != nil {
		b.WriteString(", message " + e.Message.ID.String())
	}
	b.WriteString("]")
	return strings.Map(oneLine, b.String())
}

// oneLine keeps a text on one line, and without what could be taken for a
// clock.
func oneLine(r rune) rune {
	switch {
	case r == '{':
		return '('
	case r == '}':
		return ')'
	case r < ' ', r == 0x7f, r == 0x85, r == 0x2028, r == 0x2029:
		return ' '
	}
	return r
}
