package story

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/algo/roster"
	"github.com/conchlock/conch/internal/trace"
	"github.com/conchlock/conch/internal/trace/tracetest"
)

// TestStoriesOfAlgorithms has a run of each algorithm written down, the first
// in which a peer is killed inside, and starts again.
func TestStoriesOfAlgorithms(t *testing.T) {
	for _, algorithm := range roster.Names() {
		t.Run(algorithm, func(t *testing.T) {
			for seed := uint64(1); ; seed++ {
				run := simulation{algorithm: algorithm, seed: seed, peers: 3, entries: 6, kills: 1}.play(t)
				lines := all(t, collected(t, run, ""))
				if strings.Contains(strings.Join(lines, "\n"), "killed inside") {
					golden(t, algorithm+".txt", lines)
					return
				}
			}
		})
	}
}

// TestStoriesAddUp tells all entries of many runs of all algorithms.
func TestStoriesAddUp(t *testing.T) {
	seeds := uint64(40)
	if testing.Short() {
		seeds = 12
	}
	for _, algorithm := range roster.Names() {
		t.Run(algorithm, func(t *testing.T) {
			kinds := map[PartKind]int{}
			for seed := range seeds {
				s := simulation{algorithm: algorithm, seed: seed, peers: 1 + int(seed%6), entries: 20, kills: int(seed % 3), cancels: seed%2 == 0}
				if seed%5 == 4 {
					s.skew = 10 * time.Millisecond
				}
				for kind, n := range addUp(t, fmt.Sprintf("seed %d", seed), s.play(t)) {
					kinds[kind] += n
				}
			}
			for _, kind := range []PartKind{Message, Inside, Down} {
				if kinds[kind] == 0 && !testing.Short() {
					t.Errorf("nobody waited for %s: %v", kind, kinds)
				}
			}
			t.Log(kinds)
		})
	}
}

// addUp tells all entries of a run, and counts the parts of each kind.
func addUp(t *testing.T, name string, run tracetest.Trace) map[PartKind]int {
	t.Helper()
	merged := merge(run)
	s, err := Collect(merged.Events(), "")
	if err != nil {
		t.Fatal(name, err)
	}
	if p := merged.Problems(); len(p) > 0 {
		t.Fatal(name, p[0])
	}
	kinds := map[PartKind]int{}
	for k := range s.Entries() {
		story, err := s.Tell(k + 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := sound(story, run); err != nil {
			t.Errorf("%s, entry %d: %v\n%s", name, k+1, err, strings.Join(story.Lines(), "\n"))
		}
		for _, p := range story.Parts {
			kinds[p.Kind]++
		}
	}
	return kinds
}

// sound says what a story gets wrong: parts that do not add up to the time
// between the two lines, rows out of causal order, lines that are not there.
func sound(s *Story, run tracetest.Trace) error {
	asked, entered := at(run, s.Asked), at(run, s.Entered)
	switch {
	case entered == nil || entered.Kind != trace.Enter || entered.Token != s.Token || entered.Peer != s.Peer:
		return fmt.Errorf("entered at %s", s.Entered)
	case s.Request == "" || asked == nil || asked.Kind != trace.Request || asked.Peer != s.Peer:
		return fmt.Errorf("asked at %q", s.Asked)
	case max(0, entered.At.Sub(asked.At)) != s.Waited:
		return fmt.Errorf("waited %v", s.Waited)
	}
	var sum time.Duration
	for _, p := range s.Parts {
		if p.Took < 0 || p.From != sum || p.Text == "" || at(run, p.Begin) == nil || at(run, p.End) == nil {
			return fmt.Errorf("part %+v after %v", p, sum)
		}
		sum += p.Took
	}
	if sum != s.Waited {
		return fmt.Errorf("the parts make %v of %v", sum, s.Waited)
	}
	if s.Because == "" || !strings.HasPrefix(s.Because, string(s.Peer)+" entered ") {
		return fmt.Errorf("because %q", s.Because)
	}
	return ordered(s, run)
}

// ordered checks the rows.
func ordered(s *Story, run tracetest.Trace) error {
	first, last := s.Rows[0], s.Rows[len(s.Rows)-1]
	if !tells(first, s.Asked) || !tells(last, s.Entered) {
		return fmt.Errorf("not from the request to the entry")
	}
	lines := map[algo.PeerName]int{}
	sent := map[string]bool{}
	for _, r := range s.Rows {
		before := lines[r.Peer]
		for _, c := range r.Clauses {
			for _, e := range c.Events {
				_, line, ok := place(e.Line)
				x := at(run, e.Line)
				switch {
				case !ok || x == nil || x.Kind != e.Kind || x.Peer != r.Peer || x.Clock != r.Clock:
					return fmt.Errorf("%+v is not in the traces", e)
				case line <= before:
					return fmt.Errorf("%s comes too late", e.Line)
				case e.Kind == trace.Send:
					sent[e.Message] = true
				case e.Kind == trace.Receive && !sent[e.Message] && toldLater(s, e.Message):
					return fmt.Errorf("message %s is received before it is sent", e.Message)
				}
				lines[r.Peer] = max(lines[r.Peer], line)
			}
		}
	}
	return nil
}

func tells(r Row, line string) bool {
	return slices.ContainsFunc(r.Clauses, func(c Clause) bool {
		return slices.ContainsFunc(c.Events, func(e Event) bool { return e.Line == line })
	})
}

// toldLater says that the story tells of sending a message.
func toldLater(s *Story, id string) bool {
	for _, r := range s.Rows {
		for _, c := range r.Clauses {
			for _, e := range c.Events {
				if e.Kind == trace.Send && e.Message == id {
					return true
				}
			}
		}
	}
	return false
}

// place reads PEER.ndjson:LINE.
func place(pos string) (peer algo.PeerName, line int, ok bool) {
	file, number, ok := strings.Cut(pos, trace.Suffix+":")
	line, err := strconv.Atoi(number)
	return algo.PeerName(file), line, ok && err == nil
}

// at returns the event at a line of a run, nil if there is none.
func at(run tracetest.Trace, pos string) *trace.Event {
	peer, line, ok := place(pos)
	if !ok || line < 1 || line > len(run[peer]) {
		return nil
	}
	return &run[peer][line-1]
}
