package check

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/trace"
)

// section is what stands in the file that the peers share: a stay of a peer in
// the critical section as the resource saw it.
type section struct {
	stays  []stay
	broken []*trace.Problem
	torn   *trace.Problem // the last line is not finished
}

type stay struct {
	peer  algo.PeerName
	token algo.Token
	enter trace.Pos
	exit  trace.Pos // zero: it is missing
	next  trace.Pos // where the next enter stands, if exit is missing
}

// readSection reads lines "enter NAME TOKEN" and "exit NAME TOKEN".
func readSection(path string, in io.Reader) *section {
	s := new(section)
	pos := trace.Pos{File: path}
	lines := bufio.NewReader(in)
	for {
		text, err := lines.ReadString('\n')
		if text != "" {
			pos.Line++
			s.line(pos, strings.TrimSuffix(text, "\n"), err != nil)
		}
		if err != nil {
			if err != io.EOF {
				s.broken = append(s.broken, &trace.Problem{Pos: pos, Reason: err.Error()})
			}
			return s
		}
	}
}

func (s *section) line(pos trace.Pos, text string, torn bool) {
	if torn {
		s.torn = &trace.Problem{Pos: pos, Reason: "the line is not finished"}
		return
	}
	problem := func(format string, args ...any) {
		s.broken = append(s.broken, &trace.Problem{Pos: pos, Reason: fmt.Sprintf(format, args...)})
	}
	words := strings.Split(text, " ")
	if len(words) != 3 || words[0] != "enter" && words[0] != "exit" {
		problem("%.60q is neither \"enter NAME TOKEN\" nor \"exit NAME TOKEN\"", text)
		return
	}
	peer := algo.PeerName(words[1])
	n, err := strconv.ParseUint(words[2], 10, 53)
	if err != nil || peer.Check() != nil {
		problem("%.60q is neither \"enter NAME TOKEN\" nor \"exit NAME TOKEN\"", text)
		return
	}
	token := algo.Token(n)
	var last *stay
	if n := len(s.stays); n > 0 {
		last = &s.stays[n-1]
	}
	if words[0] == "enter" {
		if last != nil && last.exit.Line == 0 {
			last.next = pos
		}
		s.stays = append(s.stays, stay{peer: peer, token: token, enter: pos})
		return
	}
	// An exit ends the latest stay of that peer and token; if it is not the
	// last one, the stays overlap.
	for i := len(s.stays) - 1; i >= 0; i-- {
		if x := &s.stays[i]; x.peer == peer && x.token == token && x.exit.Line == 0 {
			x.exit = pos
			return
		}
	}
	problem("%s leaves with token %d, but has not entered with it", peer, token)
}

// section judges the shared file: stays follow each other, tokens grow, and it
// tells of the same entries as the traces.
func (c *checker) section(s *section) {
	for _, p := range s.broken {
		c.doubt(shared, "", []trace.Pos{p.Pos}, "%s", p.Reason)
	}
	if s.torn != nil && !c.anyKilled() {
		c.doubt(shared, "", []trace.Pos{s.torn.Pos}, "%s, and no peer was killed", s.torn.Reason)
	}
	for i := range s.stays {
		x := &s.stays[i]
		if i > 0 && x.token <= s.stays[i-1].token {
			before := &s.stays[i-1]
			c.violation(shared, "", []trace.Pos{before.enter, x.enter}, "%s enters with token %d after %s did with token %d: tokens must grow",
				x.peer, x.token, before.peer, before.token)
		}
		c.stay(x)
	}
	c.unwritten(s)
}

// stay judges one stay, and finds it in the traces.
func (c *checker) stay(x *stay) {
	l, known := c.find(x.peer, x.token)
	if known == nil {
		c.doubt(shared, "", []trace.Pos{x.enter}, "no trace knows that %s entered with token %d", x.peer, x.token)
	}
	switch {
	case x.next.Line == 0 && (x.exit.Line > 0 || known != nil && !known.clean):
		// It ended before the next one began, or was never to end.
	case x.next.Line == 0:
		c.doubt(shared, "", []trace.Pos{x.enter}, "the exit of %s (token %d) is missing, and its trace does not say that it was killed", x.peer, x.token)
	case x.exit.Line == 0 && known != nil && known.gone: // killed inside
	case known != nil && known.lost:
		// Whoever was stopped while its lease ran out may write late; that is
		// what the resource checks tokens for.
	case x.exit.Line == 0 && (known == nil || c.peers[known.who].everUnseen):
		c.doubt(shared, "", []trace.Pos{x.enter, x.next}, "the exit of %s (token %d) is missing, and its trace does not say why", x.peer, x.token)
	default:
		lines := []trace.Pos{x.enter, x.next}
		if x.exit.Line > 0 {
			lines = append(lines, x.exit)
		}
		c.violation(shared, lockName(l), lines, "%s is inside (token %d), and another enters before it has left", x.peer, x.token)
	}
}

func lockName(l *lock) string {
	if l == nil {
		return ""
	}
	return l.name
}

// find looks for an entry in the traces.
func (c *checker) find(peer algo.PeerName, token algo.Token) (*lock, *entry) {
	for _, l := range c.sorted() {
		at, _ := slices.BinarySearchFunc(l.entries, token, func(x entry, t algo.Token) int { return cmp.Compare(x.token, t) })
		for ; at < len(l.entries) && l.entries[at].token == token; at++ {
			if c.names[l.entries[at].who] == peer {
				return l, &l.entries[at]
			}
		}
	}
	return nil, nil
}

// unwritten looks for entries of the traces that the file does not know. A
// lock of which it knows none is not the one that guards it; and a peer that
// was killed inside may not have come to writing.
func (c *checker) unwritten(s *section) {
	type key struct {
		peer  algo.PeerName
		token algo.Token
	}
	written := make(map[key]bool, len(s.stays))
	for _, x := range s.stays {
		written[key{x.peer, x.token}] = true
	}
	for _, l := range c.sorted() {
		var missing []entry
		for _, x := range l.entries {
			if !written[key{c.names[x.who], x.token}] && x.clean {
				missing = append(missing, x)
			}
		}
		if len(missing) == len(l.entries) && len(c.locks) > 1 {
			continue
		}
		for _, x := range missing {
			c.doubt(shared, l.name, []trace.Pos{x.pos}, "%s entered with token %d, and the shared file does not know it", c.names[x.who], x.token)
		}
	}
}

func (c *checker) anyKilled() bool {
	for i := range c.peers {
		if c.peers[i].kills > 0 || c.peers[i].running {
			return true
		}
	}
	return false
}
