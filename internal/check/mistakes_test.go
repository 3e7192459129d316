package check

import (
	"flag"
	"strings"
	"testing"

	"github.com/conchlock/conch/internal/overlay"
)

var seeded = flag.Bool("mistakes", false, "break the checker on purpose, and see that the oracle notices")

// mistakes are the rules by which holds with leases are judged, each broken on
// purpose. The oracle must catch every one, without the runs written by hand.
var mistakes = []struct{ what, file, old, new string }{
	{"a bound is the largest that was seen, not the least", "clocks.go", "*bound = min(*bound, e.At.Sub(e.Sent.At))", "if x := e.At.Sub(e.Sent.At); *bound == noBound || x > *bound {\n*bound = x\n}"},
	{"the bound is for the clocks the other way round", "clocks.go", "bound := &k.ahead[from*k.peers+e.Who]", "bound := &k.ahead[e.Who*k.peers+from]"},
	{"the last bound counts, not the least", "clocks.go", "*bound = min(*bound, e.At.Sub(e.Sent.At))", "*bound = e.At.Sub(e.Sent.At)"},
	{"bounds do not add up along a chain", "clocks.go", "*bound = min(*bound, first+second)", "*bound = min(*bound, first)"},
	{"chains are not looked at", "check.go", "c.clocks.chain()", "_ = c.clocks"},
	{"clocks that were never compared are equal", "clocks.go", "k.ahead[i] = noBound", "k.ahead[i] = 0"},
	{"the clocks are taken to be equal", "clocks.go", "return ok && !at.Add(ahead).After(bt)", "return ok && !at.After(bt) && ahead == ahead"},
	{"the offset is taken off, not added", "clocks.go", "at.Add(ahead)", "at.Add(-ahead)"},
	{"a second more or less is all right", "clocks.go", "at.Add(ahead)", "at.Add(ahead - 1_000_000_000)"},

	{"a smaller token is not noticed when clocks order the holds", "pairs.go", "if second.token < first.token {", "if false {"},
	{"clocks do not clear who came before in the order of events", "pairs.go", "case c.overBefore(a, b):", "case false:"},
	{"clocks do not clear who comes later in the order of events", "pairs.go", "case c.overBefore(b, a):", "case false:"},
	{"those behind the frontier are not compared", "pairs.go", "\t\tc.behind(l, a, b)\n", ""},
	{"an overlap that messages prove is left to the clocks", "pairs.go", "if a.ended == exited && p.saw[0] &&", "if false && a.ended == exited && p.saw[0] &&"},
	{"to have seen the other is proof enough", "pairs.go", "(p.after || b.ended == exited && p.saw[1]) && !a.blind", "!a.blind"},
	{"holds with leases are judged as those without", "pairs.go", "case a.leased || b.leased:", "case false:"},
	{"what ended with its peer is as good as left", "pairs.go", "if a.ended == exited && p.saw[0]", "if p.saw[0]"},
	{"pairs that only clocks can judge are forgotten", "pairs.go", "c.pending = append(c.pending, pending{l, p})", "_ = p"},

	{"who is off the frontier by the clocks is not compared at the end", "holds.go", "c.pending = append(c.pending, pending{l, &pair{a: earlier", "_ = append(c.pending, pending{l, &pair{a: earlier"},
	{"a hold that was killed is over at once", "holds.go", "case h.ended == lost, h.ended == died:\n\t\th.over = h.deadline", "case h.ended == lost:\n\t\th.over = h.deadline\n\tcase h.ended == died:\n\t\th.over = e.At"},
	{"a hold is over when its lease is, though it was left later", "holds.go", "case h.ended == exited, h.ended == lost && e.At.Before(h.deadline):", "case e != nil && e.At.Before(h.deadline):"},
	{"a hold that was lost early lasts until its lease is over", "holds.go", "h.ended == lost && e.At.Before(h.deadline):", "false:"},
	{"a loss is over when it is noticed", "holds.go", "h.ended == lost && e.At.Before(h.deadline):", "h.ended == lost:"},
	{"an extension is ignored", "turns.go", "t.hold.lease(e)", "_ = e"},
	{"an extension may shorten a lease", "holds.go", "deadline.After(h.deadline)", "true"},
	{"an extension with another token counts", "turns.go", "case e.Token != t.hold.token:", "case false:"},
	{"who has left may stay longer", "turns.go", "case t.hold == nil && !t.unseen:\n\t\tc.violation(requests, l.name, []trace.Pos{e.Pos}, \"%s may", "case false:\n\t\tc.violation(requests, l.name, []trace.Pos{e.Pos}, \"%s may"},
	{"tokens are compared along the frontier alone", "holds.go", "for i := len(l.entries) - 1; i >= at && !found; i-- {", "for i := len(l.entries) - 1; i >= len(l.entries)-1 && i >= at && !found; i-- {"},
	{"a crash ends nothing", "check.go", "case trace.Crash:\n\t\tc.kill(e)", "case trace.Crash:"},

	{"a loss is reported as of when it was noticed", "broken.go", "\"was lost when its lease ran out\", h.deadline", "\"was lost when its lease ran out\", e.At"},
	{"a hold that was lost early is reported as run out", "broken.go", "case h.ended == lost && e.At.Before(h.deadline) ||", "case false ||"},
	{"the next one is the hold itself", "broken.go", "\t\t\tat++\n", "\t\t\tbreak\n"},
	{"a death is measured from the start after it", "broken.go", "c.peers[h.who].latest, \"than", "e.At, \"than"},
	{"a hold that ended at a stop is told as killed", "broken.go", "case e.Kind == trace.Stop: //", "case false: //"},

	{"tokens in the shared file may stay the same", "section.go", "x.token <= s.stays[i-1].token", "x.token < s.stays[i-1].token-1"},
	{"who has lost its hold must not write late", "section.go", "case known != nil && known.lost:", "case false:"},
	{"who died inside should have written an exit", "section.go", "case x.exit.Line == 0 && known != nil && known.gone: // killed inside", "case false:"},
	{"stays in the shared file may overlap", "section.go", "if last != nil && last.exit.Line == 0 {", "if false {"},
	{"an exit that is missing at the end is all right", "section.go", "(x.exit.Line > 0 || known != nil && !known.clean)", "true"},
	{"who never knew of its entry should have written", "section.go", "x.token}] && x.clean {", "x.token}] {"},
}

// TestMistakes makes every mistake and demands that the oracle catches it:
//
//	go test ./internal/check -run Mistakes -mistakes -v
func TestMistakes(t *testing.T) {
	if !*seeded {
		t.Skip("builds and runs the tests once for each mistake; with -mistakes")
	}
	for _, m := range mistakes {
		t.Run(m.what, func(t *testing.T) {
			edits := []overlay.Edit{{File: m.file, Old: m.old, New: m.new}}
			out, passed := overlay.Test(t, edits, "-timeout", "2m", "-run", "AgreeWithOracle|AgreeOnMistakes|SectionAgrees", ".")
			if passed {
				t.Fatal("not caught")
			}
			if !strings.Contains(out, "--- FAIL: Test") {
				t.Fatalf("this is no finding:\n%s", out)
			}
			for line := range strings.Lines(out) {
				if strings.HasPrefix(line, "--- FAIL") {
					t.Log(strings.TrimSpace(line))
				}
			}
		})
	}
}
