package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/conchlock/conch/internal/report/document"
	"github.com/conchlock/conch/internal/report/spacetime"
	"github.com/conchlock/conch/internal/trace"
)

// How much a report shows of a run.
const (
	listMax     = 40 // entries in the table
	whyMax      = 12 // entries whose reasons are told
	overviewMax = 90 // messages in the picture of the whole run
	rowsMax     = 60 // rows in the table of an entry
)

// order tells who entered when, and why.
func (r *run) order() ([]document.Block, error) {
	l := r.lock
	blocks := []document.Block{
		document.Heading{Level: 2, ID: r.id("order"), Text: say("Who entered, in which order, and why")},
	}
	if len(l.entries) == 0 {
		return append(blocks, document.Paragraph{Text: say("Nobody entered.")}), nil
	}
	tokens := "Entries are counted in the order of their tokens: each is larger than all before it. "
	blocks = append(blocks, document.Paragraph{Text: say(tokens,
		"A request is named by its stamp, its Lamport time and the peer: of two, the one with the lower time is older; of two with the same time, that of the peer whose name comes first.")})
	t := document.Table{
		Head:    []document.Text{say("entry"), say("peer"), say("request"), say("token"), say("waited"), say("inside"), say("asked"), say("entered"), say("left")},
		Columns: []document.Column{document.Right, document.Left, document.Left, document.Right, document.Right, document.Right},
		ID:      r.id("entries"), Caption: say("Entries of lock ", quote(l.name), ", each with the lines of its request, its entry and its exit."),
	}
	for _, e := range l.entries[:min(len(l.entries), listMax)] {
		t.Rows = append(t.Rows, r.entryRow(e))
	}
	blocks = append(blocks, t)
	if n := len(l.entries) - listMax; n > 0 {
		blocks = append(blocks, document.Paragraph{Kind: document.Remark, Text: say(count(n, "more entry"), " follow; ", mono("conch explain DIR --entry K"), " tells about each of them.")})
	}
	list, err := r.tell(l, l.entries[:min(len(l.entries), whyMax)]...)
	if err != nil {
		return nil, err
	}
	var why document.List
	why.Ordered = true
	for _, x := range list {
		why.Items = append(why.Items, []document.Block{document.Paragraph{Text: say(x.story.Because)}})
	}
	if len(why.Items) > 0 {
		blocks = append(blocks, document.Paragraph{Text: say("Why each came at its place. The reasons follow from which message was sent before which was received, whatever the algorithm. Times with a sign are counted from the request of the entry that is told.")}, why)
	}
	overview, err := r.overview()
	return append(blocks, overview...), err
}

func (r *run) entryRow(e *entry) []document.Text {
	row := []document.Text{say(e.number), say(bold(string(e.peer))), say(mono(e.stamp)), say(uint64(e.token)), say("?"), say("?"), nil, say(r.line(e.pos, false)), nil}
	if e.asked > 0 {
		row[4], row[6] = say(ms(e.waited())), say(r.line(e.askedPos, false))
	}
	switch {
	case e.ended == 0:
		row[8] = say("still inside")
	case e.how == trace.Exit:
		row[5], row[8] = say(ms(e.endedAt.Sub(e.at))), say(r.line(e.endPos, false))
	case e.how == trace.Lost:
		row[5], row[8] = say(ms(e.endedAt.Sub(e.at))), say("lost, ", r.line(e.endPos, false))
	case e.how == trace.Enter:
		row[8] = say("before ", r.line(e.endPos, false))
	case e.how == trace.Start:
		row[8] = say("killed; back at ", r.line(e.endPos, false))
	default:
		row[5], row[8] = say(ms(e.endedAt.Sub(e.at))), say("killed, ", r.line(e.endPos, false))
	}
	return row
}

func ms(d time.Duration) string { return fmt.Sprintf("%.2f ms", d.Seconds()*1000) }

// overview draws the beginning of the run, all of it if it is short.
func (r *run) overview() ([]document.Block, error) {
	t, err := r.draw(spacetime.Options{Lock: r.lock.name, Most: overviewMax})
	if err != nil {
		return nil, nil // there is nothing to be drawn
	}
	text := say("The run as a space-time diagram: a line for each peer, time runs downwards, arrows are messages, bars are waiting (hatched) and being inside (solid, with the token).")
	if t.Left() > 0 {
		text = say(fmt.Sprintf("The first %d messages of the run as a space-time diagram; ", t.Messages()), mono("conch diagram DIR"), " draws the others. A line for each peer, time runs downwards, arrows are messages, bars are waiting (hatched) and being inside (solid, with the token).")
	}
	return pictures(t, len(r.peers), r.id("overview"), text), nil
}

// pictures are the pages of a diagram.
func pictures(t *spacetime.Timeline, peers int, id string, caption document.Text) []document.Block {
	var blocks []document.Block
	for i, page := range t.Pages(picture(peers)) {
		f := document.Figure{Drawing: page, Caption: caption}
		if i == 0 {
			f.ID = id
		} else {
			f.Caption = say("(continued)")
		}
		blocks = append(blocks, f)
	}
	return blocks
}

// example picks the entry that is told in full: the third, if its peer had to
// wait for another and no death came in between, else the first of which that is
// true; at last the first that was asked for.
func (l *scannedLock) example() *entry {
	if len(l.entries) >= 3 && l.telling(l.entries[2]) {
		return l.entries[2]
	}
	for _, such := range []func(*entry) bool{l.telling, (*entry).known} {
		if i := slices.IndexFunc(l.entries, such); i >= 0 {
			return l.entries[i]
		}
	}
	return nil
}

// known says that the request of an entry is in the record.
func (e *entry) known() bool { return e.asked > 0 }

// telling says that an entry had to wait for others, and nothing else happened.
func (l *scannedLock) telling(e *entry) bool {
	holds := l.between(e)
	return e.known() && len(holds) > 0 && !slices.ContainsFunc(holds, func(x *entry) bool { return x.how != trace.Exit })
}

// full tells an entry message by message: as sentences, as a table, as what it
// waited for, and as a picture.
func (r *run) full(e *entry, id, title string, intro func(told) document.Text) ([]document.Block, error) {
	list, err := r.tell(r.lock, e)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	x := list[0]
	blocks := []document.Block{document.Heading{Level: 2, ID: id, Text: say(title)}}
	blocks = append(blocks, document.Paragraph{Text: intro(x)}, document.Paragraph{Kind: document.Key, Text: say(x.story.Because)})
	blocks = append(blocks, r.rows(x), r.parts(x))
	t, err := r.draw(spacetime.Options{Path: x.path, Most: overviewMax})
	if err != nil {
		return blocks, nil
	}
	caption := say(fmt.Sprintf("Entry %d, from the request to the end of the hold. What led to the entry stands out.", e.number))
	return append(blocks, pictures(t, len(r.peers), id+"-picture", caption)...), nil
}

// rows is the sequence of messages that led to an entry.
func (r *run) rows(x told) document.Table {
	t := document.Table{
		Head:    []document.Text{say("clock"), say("since the request"), say("what happened, and why"), say("lines")},
		Columns: []document.Column{document.Right, document.Right},
		Caption: say(fmt.Sprintf("The way to entry %d, in causal order. The clock is Lamport's; the time is by the wall clock of the peer that the row begins with.", x.number)),
	}
	for i, row := range x.story.Rows {
		if i == rowsMax {
			t.Rows = append(t.Rows, []document.Text{nil, nil, say(count(len(x.story.Rows)-rowsMax, "more row"), "; ", mono("conch explain"), " has them")})
			break
		}
		var lines []string
		for _, c := range row.Clauses {
			for _, e := range c.Events {
				lines = append(lines, e.Line)
			}
		}
		t.Rows = append(t.Rows, []document.Text{
			say(uint64(row.Clock)), say(fmt.Sprintf("%+.2f ms", row.Since.Seconds()*1000)), say(row.Text()), r.places(lines, false),
		})
	}
	return t
}

// parts is what an entry waited for.
func (r *run) parts(x told) document.Block {
	t := document.Table{
		Head:    []document.Text{say("took"), say("what it waited for"), say("from"), say("to")},
		Columns: []document.Column{document.Right},
		Caption: say("Where the time went: the parts follow each other without a gap and add up to ", ms(x.story.Waited), "."),
	}
	for _, p := range x.story.Parts {
		text := say(p.Text)
		if p.Largest && len(x.story.Parts) > 1 {
			text = append(text, bold(" (the longest)"))
		}
		t.Rows = append(t.Rows, []document.Text{say(ms(p.Took)), text, say(r.at(p.Begin, false)), say(r.at(p.End, false))})
	}
	return t
}

// broken tells of holds that ended without an exit, and how the lock went on.
func (r *run) broken() ([]document.Block, error) {
	const most = 3
	var blocks []document.Block
	n := 0
	for _, b := range r.verdict.Broken {
		if r.lock == nil || b.Lock != r.lock.name {
			continue
		}
		if n++; n > most {
			continue
		}
		text := say(capital(b.Text), " (it began at ", r.at(b.Line, true), "). ")
		next := r.lock.after(b.Token)
		if next == nil || b.Next == "" {
			blocks = append(blocks, document.Heading{Level: 2, ID: r.brokenID(n), Text: say("A hold without an exit")}, document.Paragraph{Text: text})
			continue
		}
		text = append(text, say("How that came about:")...)
		title := fmt.Sprintf("A crash, and how it went on: entry %d", next.number)
		if b.How == "lost" {
			title = fmt.Sprintf("A lost hold, and how it went on: entry %d", next.number)
		}
		of, err := r.full(next, r.brokenID(n), title, func(told) document.Text { return text })
		if err != nil {
			return nil, err
		}
		blocks = append(blocks, of...)
	}
	if n > most {
		blocks = append(blocks, document.Paragraph{Kind: document.Remark, Text: say(count(n-most, "more hold"), " ended without an exit; the verdict lists them.")})
	}
	return blocks, nil
}

// capital begins a sentence.
func capital(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

func (r *run) brokenID(n int) string { return fmt.Sprintf("%s-%d", r.id("broken"), n) }
