package report

import (
	"fmt"
	"time"

	"github.com/conchlock/conch/internal/check"
	"github.com/conchlock/conch/internal/report/document"
)

// verdictIn says in a few words what a verdict is.
func verdictIn(v check.Verdict) string {
	switch v {
	case check.True:
		return "sound"
	case check.False:
		return "NOT SOUND"
	}
	return "unknown"
}

// judged is what the checker says of the run.
func (r *run) judged() []document.Block {
	v := r.verdict
	blocks := []document.Block{document.Heading{Level: 2, ID: r.id("verdict"), Text: say("Verdict: " + verdictIn(v.Verdict))}}
	var text string
	switch v.Verdict {
	case check.True:
		text = "At no time were two peers in the critical section, tokens grew from entry to entry, and every request that was not given up, and whose peer lived, was answered."
	case check.False:
		text = "A rule is broken, and the lines below prove it."
	default:
		text = "What was recorded does not suffice to say yes or no; below is what is missing."
	}
	blocks = append(blocks, document.Paragraph{Kind: document.Key, Text: say(text)})
	t := document.Table{
		Head: []document.Text{say("what was asked of the logs"), say("answer"), say("by")}, ID: r.id("rules"),
		Caption: say("The checker knows no algorithm: it reads the logs alone. ", mono("conch check"), " prints the same."),
	}
	for _, x := range v.Rules {
		answer := map[check.Verdict]string{check.True: "holds", check.False: "BROKEN", check.Unknown: "unknown"}[x.Verdict]
		t.Rows = append(t.Rows, []document.Text{say(x.Name), say(bold(answer)), say(x.Rests)})
	}
	blocks = append(blocks, t)
	var list document.List
	for _, f := range v.Findings {
		item := say(bold(f.Rule), ": ", f.Text)
		if len(f.Lines) > 0 {
			item = append(item, say(" (", r.places(f.Lines, true), ")")...)
		}
		list.Items = append(list.Items, []document.Block{document.Paragraph{Text: item}})
	}
	if v.Omitted > 0 {
		list.Items = append(list.Items, []document.Block{document.Paragraph{Text: say("and ", count(v.Omitted, "more finding"))}})
	}
	for _, o := range v.Open {
		list.Items = append(list.Items, []document.Block{document.Paragraph{Text: say(bold(string(o.Peer)), " still waits for lock ", quote(o.Lock), " when the record ends: request ", mono(o.Request), " (", r.at(o.Line, true), ")")}})
	}
	if len(list.Items) > 0 {
		blocks = append(blocks, list)
	}
	return blocks
}

// setting says what was run.
func (r *run) setting() []document.Block {
	v := r.verdict
	blocks := []document.Block{document.Heading{Level: 2, ID: r.id("setting"), Text: say("The run")}}
	algorithm := "an algorithm that the logs do not name"
	switch len(v.Runs) {
	case 0:
	case 1:
		algorithm = "the algorithm " + v.Runs[0]
	default:
		algorithm = fmt.Sprintf("%d different algorithms (%v), so they refused each other", len(v.Runs), v.Runs)
	}
	text := say(fmt.Sprintf("%s with %s, %s in %s from %s on; the logs have %s. The folder of the run is called ",
		count(len(r.peers), "peer"), algorithm, count(v.Totals.Entries, "entry"), time.Duration(v.Totals.SpanNanoseconds).Round(time.Millisecond),
		r.begin.UTC().Format("2006-01-02 15:04:05 UTC"), count(v.Totals.Events, "event")), mono(r.name), ".")
	if len(r.locks) > 1 && r.lock != nil {
		text = append(text, say(fmt.Sprintf(" There are %s; this part is about ", count(len(r.locks), "lock")), quote(r.lock.name), ".")...)
	}
	blocks = append(blocks, document.Paragraph{Text: text})
	t := document.Table{
		Head:    []document.Text{say("peer"), say("entries"), say("events"), say("starts"), say("kills"), say("at the end"), say("log")},
		Columns: []document.Column{document.Left, document.Right, document.Right, document.Right, document.Right},
		ID:      r.id("peers"), Caption: say("The peers."),
	}
	for _, p := range v.Peers {
		t.Rows = append(t.Rows, []document.Text{say(bold(string(p.Name))), say(p.Entries), say(p.Events), say(p.Starts), say(p.Kills), say(p.End), say(mono(string(p.Name) + ".ndjson"))})
	}
	blocks = append(blocks, t)
	if len(r.locks) > 1 {
		blocks = append(blocks, r.otherLocks())
	}
	return blocks
}

// otherLocks lists all locks, those with the most entries first.
func (r *run) otherLocks() document.Block {
	const most = 20
	t := document.Table{Head: []document.Text{say("lock"), say("entries")}, Columns: []document.Column{document.Left, document.Right}, Caption: say("The locks.")}
	for i, l := range r.byEntries() {
		if i == most {
			t.Caption = say("The locks with the most entries, of ", count(len(r.locks), "lock"), ".")
			break
		}
		t.Rows = append(t.Rows, []document.Text{say(quote(l.name)), say(len(l.entries))})
	}
	return t
}
