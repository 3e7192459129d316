package check

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/conchlock/conch/algo"
	"github.com/conchlock/conch/internal/trace"
	"github.com/conchlock/conch/internal/trace/tracetest"
)

// oracleSection judges the file that the holders of one lock share, stay by
// stay. In it no peer has a token twice.
func oracleSection(lines []tracetest.Written, g *graph, lock string) Verdict {
	worst := True
	set := func(v Verdict) {
		if worst != False && v != True {
			worst = v
		}
	}
	last := algo.Token(0)
	for i, x := range lines {
		same := func(y tracetest.Written) bool { return y.Peer == x.Peer && y.Token == x.Token }
		if !x.Enter {
			if !slices.ContainsFunc(lines[:i], same) {
				set(Unknown) // it has not entered
			}
			continue
		}
		if last > 0 && x.Token <= last {
			set(False)
		}
		last = x.Token
		rest := lines[i+1:]
		next := slices.IndexFunc(rest, func(y tracetest.Written) bool { return y.Enter })
		set(oracleStay(g.hold(lock, x), slices.IndexFunc(rest, same), next))
	}
	return cmpVerdict(worst, oracleUnwritten(lines, g, lock))
}

// oracleStay judges a stay of which the file has the exit at the one place and
// the next enter at the other; -1 if not at all.
func oracleStay(h *stayed, exit, next int) Verdict {
	overlaps := next >= 0 && (exit < 0 || exit > next)
	switch {
	case h == nil && overlaps && exit >= 0:
		return False
	case h == nil:
		return Unknown // no trace knows of it
	case overlaps && (h.how == lost || exit < 0 && (h.how == died || h.how == unended)):
		return True // it could not help it
	case overlaps:
		return False
	case exit < 0 && h.how == exited && !h.givenBack:
		return Unknown // where is it?
	}
	return True
}

// oracleUnwritten looks for holds that the file should know.
func oracleUnwritten(lines []tracetest.Written, g *graph, lock string) Verdict {
	for _, h := range g.holds {
		wrote := slices.ContainsFunc(lines, func(x tracetest.Written) bool {
			return x.Enter && g.hold(lock, x) != nil && g.hold(lock, x).enter == h.enter
		})
		if h.lock == lock && h.how == exited && !h.givenBack && !wrote {
			return Unknown
		}
	}
	return True
}

func cmpVerdict(a, b Verdict) Verdict {
	if a == False || b == True {
		return a
	}
	return b
}

// hold finds the hold that a line tells of.
func (g *graph) hold(lock string, x tracetest.Written) *stayed {
	for i := range g.holds {
		h := &g.holds[i]
		if e := &g.nodes[h.enter]; h.lock == lock && e.Peer == x.Peer && e.Token == x.Token {
			return h
		}
	}
	return nil
}

// TestSectionAgreesWithOracle gives the checker what the holders have written,
// as it is or changed in a line.
func TestSectionAgreesWithOracle(t *testing.T) {
	t.Parallel()
	chance := rand.New(rand.NewPCG(4, 4))
	verdicts := map[Verdict]int{}
	for _, c := range leases(800) {
		c.Locks = 1
		lived := tracetest.PlayLeases(c)
		g := newGraph(lived.Trace).withHolds()
		if len(g.holds) == 0 || !uniqueTokens(g) {
			continue
		}
		lines := slices.Clone(lived.Writing)
		spoiled := len(lines) > 1 && chance.IntN(2) == 0
		if spoiled {
			lines = spoilLines(lines, chance)
		}
		got := sharedVerdict(lived.Trace, lines)
		if want := oracleSection(lines, g, "demo"); got != want {
			t.Fatalf("%+v: %s, the oracle says %s\n%+v\n%+v", c, got, want, lines, g.holds)
		}
		if !spoiled && soundness(lived) == "sound" && got != True {
			t.Fatalf("%+v: it was sound, but the file is said to be %s\n%+v", c, got, lines)
		}
		verdicts[got]++
	}
	t.Log(verdicts)
	if verdicts[True] < 30 || verdicts[Unknown] < 10 || verdicts[False] < 30 {
		t.Errorf("too one-sided to be a test: %v", verdicts)
	}
}

// spoilLines changes one line or two.
func spoilLines(lines []tracetest.Written, chance *rand.Rand) []tracetest.Written {
	switch at := chance.IntN(len(lines)); chance.IntN(4) {
	case 0:
		return slices.Delete(lines, at, at+1)
	case 1:
		return lines[:len(lines)-1]
	case 2:
		lines[at].Token += 100
	default:
		at = max(at, 1)
		lines[at-1], lines[at] = lines[at], lines[at-1]
	}
	return lines
}

func uniqueTokens(g *graph) bool {
	seen := make(map[uint64]bool)
	for _, h := range g.holds {
		if seen[h.token] {
			return false
		}
		seen[h.token] = true
	}
	return true
}

// sharedVerdict is what the checker thinks of the shared file.
func sharedVerdict(run tracetest.Trace, lines []tracetest.Written) Verdict {
	var text strings.Builder
	for _, x := range lines {
		word := "exit"
		if x.Enter {
			word = "enter"
		}
		fmt.Fprintf(&text, "%s %s %d\n", word, x.Peer, x.Token)
	}
	r := checkWith(texts(run).merge(), text.String())
	i := slices.IndexFunc(r.Rules, func(x Rule) bool { return x.Name == SectionFile })
	return r.Rules[i].Verdict
}

func checkWith(events *trace.Merger, text string) *Report {
	return run(events, nil, readSection(SectionFile, strings.NewReader(text)))
}
