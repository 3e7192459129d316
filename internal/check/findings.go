package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/conchlock/conch/internal/trace"
)

// Verdict is the answer to a question about a run.
type Verdict string

const (
	True    Verdict = "true"
	False   Verdict = "false"
	Unknown Verdict = "unknown"
)

// rule is one of the questions.
type rule int

const (
	exclusion rule = iota
	tokens
	requests
	fifo
	shared
	record
	ruleCount
)

// rules names the questions and says what the answers rest on.
var rules = [ruleCount]struct{ name, rests string }{
	exclusion: {"mutual exclusion", "causal order: every send paired with its receipt, and the order of lines within a peer"},
	tokens:    {"fencing tokens", "the tokens of the entries, compared along causal order"},
	requests:  {"requests", "the order of lines within each peer"},
	fifo:      {"links", "the numbers of the messages between two incarnations"},
	shared:    {SectionFile, "the order of its lines, and the tokens and ends of holds in the traces"},
	record:    {"the record", "ids, numbers and clocks in it"},
}

// Finding is a reason for a verdict that is not true.
type Finding struct {
	Rule    string   `json:"rule"`
	Verdict Verdict  `json:"verdict"` // false: it is proven; unknown: it prevents "true"
	Lock    string   `json:"lock,omitempty"`
	Text    string   `json:"text"`
	Lines   []string `json:"lines,omitempty"` // FILE:LINE, the proof
	Rests   string   `json:"rests_on"`
}

// findings collects them. Of each rule the first ones are kept, the rest
// counted: a run that is thoroughly broken needs no million of them.
type findings struct {
	kept  [ruleCount]struct{ violations, doubts []Finding }
	more  [ruleCount]int
	worst [ruleCount]Verdict
}

const findingsMax = 20

// violation notes that a rule is broken, and the lines that prove it.
func (f *findings) violation(r rule, lock string, lines []trace.Pos, format string, args ...any) {
	f.worst[r] = False
	f.add(r, &f.kept[r].violations, Finding{Verdict: False, Lock: lock, Text: fmt.Sprintf(format, args...)}, lines)
}

// doubt notes that a rule cannot be shown to hold.
func (f *findings) doubt(r rule, lock string, lines []trace.Pos, format string, args ...any) {
	if f.worst[r] != False {
		f.worst[r] = Unknown
	}
	f.add(r, &f.kept[r].doubts, Finding{Verdict: Unknown, Lock: lock, Text: fmt.Sprintf(format, args...)}, lines)
}

func (f *findings) add(r rule, kept *[]Finding, x Finding, lines []trace.Pos) {
	if len(*kept) == findingsMax {
		f.more[r]++
		return
	}
	x.Rule, x.Rests = rules[r].name, rules[r].rests
	for _, p := range lines {
		x.Lines = append(x.Lines, p.String())
	}
	*kept = append(*kept, x)
}

// list returns what was kept, proven violations first.
func (f *findings) list() []Finding {
	var list []Finding
	for r := range f.kept {
		list = append(list, f.kept[r].violations...)
	}
	for r := range f.kept {
		list = append(list, f.kept[r].doubts...)
	}
	return list
}

// verdict sums the rules up: one that is broken decides, then one in doubt.
func (f *findings) verdict() Verdict {
	switch {
	case slices.Contains(f.worst[:], False):
		return False
	case slices.Contains(f.worst[:], Unknown):
		return Unknown
	}
	return True
}

// distrust makes doubts of all violations: in a record whose lines are not
// where they were written, nothing is proven.
func (f *findings) distrust() {
	for r := range f.kept {
		for i := range f.kept[r].violations {
			x := &f.kept[r].violations[i]
			x.Verdict = Unknown
			x.Text = strings.TrimSuffix(x.Text, ".") + " (if the record can be trusted)"
		}
		if f.worst[r] == False {
			f.worst[r] = Unknown
		}
	}
}
