package report

import (
	"fmt"
	"math"
	"time"

	"github.com/conchlock/conch/internal/report/document"
)

// cost is what the run cost, beside what the literature says.
func (r *run) cost(a *Algorithm) []document.Block {
	blocks := []document.Block{document.Heading{Level: 2, ID: r.id("cost"), Text: say("What it cost")}}
	l := r.figures()
	if l == nil || l.Entries == 0 {
		return append(blocks, document.Paragraph{Text: say("Nobody entered, so there is nothing to measure.")})
	}
	t := document.Table{
		Head:    []document.Text{say("of lock ", quote(l.Name)), say("measured"), say("")},
		Columns: []document.Column{document.Left, document.Right},
		ID:      r.id("figures"), Caption: say("Measured from the logs. Times are by the peers' wall clocks, which on one machine are the same clock."),
	}
	row := func(what, figure, remark string) {
		t.Rows = append(t.Rows, []document.Text{say(what), say(figure), say(remark)})
	}
	row("messages for an entry, mean", fmt.Sprintf("%.2f", l.PerEntry), fmt.Sprintf("%s for %s; upkeep apart", count(l.Messages, "message"), count(l.Entries, "entry")))
	row("messages for an entry, median", fmt.Sprint(l.Cost.Median), "that happened before it and before no earlier entry")
	row("messages for an entry, most", fmt.Sprint(l.Cost.Max), "where others wait, their requests are among them")
	row("upkeep for an entry, mean", fmt.Sprintf("%.2f", float64(l.Upkeep)/float64(l.Entries)), "messages that no entry needs, such as renewals of a lease")
	if l.Handoff.Count > 0 {
		row("from an exit to the next entry, median", ms(time.Duration(l.Handoff.P50)), fmt.Sprintf("%s with somebody waiting; the mean is %s", count(l.Handoff.Count, "exit"), ms(time.Duration(l.Handoff.Mean))))
	}
	row("waiting, median", ms(time.Duration(l.Wait.P50)), "from request to entry")
	row("waiting, 99 in 100 at most", ms(time.Duration(l.Wait.P99)), "")
	row("waiting, longest", ms(time.Duration(l.Wait.Max)), "")
	row("fairness by entries", fmt.Sprintf("%.2f", l.JainEntries), "Jain's index over the peers: 1 if all entered as often")
	row("overtaken, most", count(l.Overtaken, "time"), "entries by younger requests while one waited")
	blocks = append(blocks, t)
	if a == nil {
		return append(blocks, document.Paragraph{Kind: document.Remark, Text: say("The record does not say which one algorithm the peers ran, so there is no formula to compare with.")})
	}
	return append(blocks, r.theory(a, l.PerEntry)...)
}

// theory compares the messages of an entry with the formulas.
func (r *run) theory(a *Algorithm, measured float64) []document.Block {
	n := len(r.peers)
	t := document.Table{
		Head:    []document.Text{say("messages for an entry, N peers"), say("formula"), say(fmt.Sprintf("for N = %d", n)), say("measured here")},
		Columns: []document.Column{document.Left, document.Left, document.Right, document.Right},
		Caption: say("Messages against theory. Light: nobody else wants the lock. Heavy: everybody wants it all the time."),
	}
	low, high := math.Inf(1), 0.0
	for _, x := range []struct {
		load string
		f    Formula
	}{{"light load", a.Light}, {"heavy load", a.Heavy}} {
		if x.f.Mean == nil {
			continue
		}
		least, most := x.f.mean(n)
		low, high = min(low, least), max(high, most)
		value := fmt.Sprintf("%.2f", least)
		if least != most {
			value = fmt.Sprintf("%.2f to %.2f", least, most)
		}
		t.Rows = append(t.Rows, []document.Text{say(x.load), say(x.f.Text), say(value), say(fmt.Sprintf("%.2f", measured))})
	}
	if len(t.Rows) == 0 {
		return nil
	}
	const tolerance = 0.005 // what is printed is the same
	text := fmt.Sprintf("The run was a mixture of the two, and its mean of %.2f lies between what the formulas say of them, %.2f and %.2f.", measured, low, high)
	least, most := a.Heavy.mean(n)
	switch {
	case high-low < tolerance && math.Abs(measured-low) < tolerance:
		text = fmt.Sprintf("Measured and formula agree: %.2f messages for an entry, at any load.", measured)
	case least == most && math.Abs(measured-least) < tolerance:
		text = fmt.Sprintf("Measured is what the formula says of heavy load: %.2f messages for an entry.", measured)
	case measured < low-tolerance || measured > high+tolerance:
		text = fmt.Sprintf("The mean of %.2f is outside of what the formulas say, %.2f to %.2f. They are about long runs without faults: ", measured, low, high) + r.whyOutside()
	}
	return []document.Block{t, document.Paragraph{Text: say(text)}}
}

// mean is between what the mean over many entries lies; nothing, if nothing is
// said.
func (f Formula) mean(n int) (least, most float64) {
	if f.Mean == nil {
		return math.Inf(-1), math.Inf(1)
	}
	return f.Mean(n)
}

// whyOutside says what in this run the formulas know nothing of.
func (r *run) whyOutside() string {
	t := &r.verdict.Totals
	kills := 0
	for _, p := range r.verdict.Peers {
		kills += p.Kills
	}
	switch {
	case kills > 0:
		return fmt.Sprintf("here peers were killed (%s), and what had been asked was asked again.", count(kills, "time"))
	case t.Cancelled+t.Open+t.Inside > 0:
		return "here requests were given up, or wait when the record ends."
	case t.Entries < 20*t.Peers:
		return fmt.Sprintf("this one is short (%s), and who asks where the token already is pays nothing, who asks first pays more.", count(t.Entries, "entry"))
	}
	return "how the load was spread decides."
}
