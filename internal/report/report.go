// Package report composes a report from the traces of runs: what was asked and
// where it is shown, what happened and why, what it cost, the verdict, and the
// logs themselves. It knows no algorithm; what there is to say about one comes
// from outside.
package report

import (
	"fmt"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/conchlock/conch/internal/report/document"
)

// Options say what stands around the runs.
type Options struct {
	Title      string // empty: a title that fits
	Author     string // may be empty
	Repository string // a URL; empty: Module is printed instead
	Module     string
	Lock       string // the lock to show; empty: of each run the one with the most entries
	Algorithms func(name string) *Algorithm
	Guarantees []byte // what is promised, as Markdown
	LogLines   int    // how many lines of logs there are at most; 0: LogLinesDefault
}

// LogLinesDefault is how many lines the appendix has at most, beside those that
// the report refers to: 150 pages or so.
const LogLinesDefault = 12_000

// Algorithm is what a report says about one.
type Algorithm struct {
	Name         string
	Chapter      []byte // Markdown
	Light, Heavy Formula
}

// Formula is what the literature says of the messages of an entry, of n peers.
type Formula struct {
	Text string
	Mean func(n int) (least, most float64) // between these lies the mean; nil: nothing is said
	Most func(n int) float64
}

// Compose makes the report on the runs in some folders. Equal runs and options
// give equal reports. An error says which folder cannot be read.
func Compose(dirs []string, o Options) (*document.Document, error) {
	var runs []*run
	for i, dir := range dirs {
		r, err := readRun(dir, i+1, o.Lock)
		if err != nil {
			return nil, err
		}
		runs = append(runs, r)
	}
	d := &document.Document{Title: o.Title, Author: o.Author, Date: began(runs)}
	if d.Title == "" {
		d.Title = "One at a time: distributed mutual exclusion, seen at work"
	}
	d.Subject = "What peers without a central server did to enter a critical section one at a time, from their logs"
	for _, r := range runs {
		d.Subtitle = append(d.Subtitle, r.summary())
	}
	d.Subtitle = append(d.Subtitle, plainText(o.repository()))
	d.Blocks = append(d.Blocks, document.Contents{})
	d.Blocks = append(d.Blocks, asked(runs, &o)...)
	d.Blocks = append(d.Blocks, words()...)
	for _, r := range runs {
		part, err := r.part(&o)
		if err != nil {
			return nil, err
		}
		d.Blocks = append(d.Blocks, part...)
	}
	rest, err := background(runs, &o)
	if err != nil {
		return nil, err
	}
	d.Blocks = append(d.Blocks, rest...)
	logs, err := appendices(runs, &o)
	d.Blocks = append(d.Blocks, logs...)
	return d, err
}

// began is when the first of the runs did.
func began(runs []*run) time.Time {
	var first time.Time
	for _, r := range runs {
		if first.IsZero() || r.begin.Before(first) {
			first = r.begin
		}
	}
	return first
}

// summary is a run in a line.
func (r *run) summary() string {
	algorithm := r.algorithm()
	if algorithm == "" {
		algorithm = "an algorithm without a name"
	}
	return fmt.Sprintf("Run %d: %s, %s, %s: %s", r.number, algorithm, count(len(r.peers), "peer"), count(r.verdict.Totals.Entries, "entry"), verdictIn(r.verdict.Verdict))
}

// repository says where the code is.
func (o *Options) repository() document.Text {
	if o.Repository == "" {
		return say("Go module ", mono(o.Module))
	}
	return say(document.Span{Text: o.Repository, Link: o.Repository})
}

func plainText(t document.Text) string {
	var b strings.Builder
	for _, s := range t {
		b.WriteString(s.Text)
	}
	return b.String()
}

// link turns a relative link of a page in the documentation into one to the
// repository; there is none without it.
func (o *Options) link(folder string) func(string) string {
	return func(target string) string {
		u, err := url.Parse(target)
		switch {
		case err != nil, o.Repository == "" && !u.IsAbs(), strings.HasPrefix(target, "#"):
			return ""
		case u.IsAbs():
			return target
		}
		return strings.TrimSuffix(o.Repository, "/") + "/blob/main/" + path.Join(folder, u.Path)
	}
}

// part is what there is to say about one run.
func (r *run) part(o *Options) ([]document.Block, error) {
	name := r.algorithm()
	title := fmt.Sprintf("Run %d: %s", r.number, count(len(r.peers), "peer"))
	if name != "" {
		title += ", " + name
	}
	blocks := []document.Block{document.Heading{Level: 1, ID: r.id("run"), Text: say(title)}}
	blocks = append(blocks, r.setting()...)
	if r.lock == nil {
		blocks = append(blocks, document.Paragraph{Text: say("Nobody wanted a lock.")})
		return append(blocks, r.judged()...), nil
	}
	for _, section := range []func() ([]document.Block, error){r.order, r.examples, r.broken} {
		of, err := section()
		if err != nil {
			return nil, err
		}
		blocks = append(blocks, of...)
	}
	blocks = append(blocks, r.messages()...)
	blocks = append(blocks, r.cost(o.Algorithms(name))...)
	return append(blocks, r.judged()...), nil
}

// examples tells an entry in full, and the one that had to wait for the most
// others.
func (r *run) examples() ([]document.Block, error) {
	e := r.shown
	if e == nil {
		return nil, nil
	}
	blocks, err := r.full(e, r.id("example"), fmt.Sprintf("One entry, message by message: entry %d, of %s", e.number, e.peer),
		func(told) document.Text {
			return say("The sequence of messages that led to one entry, as a table and as a picture. Every row can be found in the logs.")
		})
	if err != nil {
		return nil, err
	}
	if busiest := r.lock.busiest(); busiest != nil && busiest != e {
		more, err := r.full(busiest, r.id("contended"), fmt.Sprintf("A contended entry: entry %d, of %s", busiest.number, busiest.peer),
			func(x told) document.Text {
				return say(fmt.Sprintf("%s between its request and its entry.", capital(count(len(x.story.Between), "hold")+" stood")))
			})
		if err != nil {
			return nil, err
		}
		blocks = append(blocks, more...)
	}
	return blocks, nil
}

// background has the chapters of the algorithms that ran, and what is promised.
func background(runs []*run, o *Options) ([]document.Block, error) {
	var blocks []document.Block
	seen := map[string]bool{}
	for _, r := range runs {
		for _, name := range r.verdict.Runs {
			a := o.Algorithms(name)
			if a == nil || seen[name] {
				continue
			}
			seen[name] = true
			of, err := chapter(a, o)
			if err != nil {
				return nil, fmt.Errorf("the chapter on %s: %w", name, err)
			}
			blocks = append(blocks, of...)
		}
	}
	if len(o.Guarantees) == 0 {
		return blocks, nil
	}
	of, err := document.Markdown(o.Guarantees, document.MarkdownOptions{Name: "guarantees.md", Level: 1, Prefix: "guarantees-", Link: o.link("docs/")})
	if err != nil {
		return nil, fmt.Errorf("the guarantees: %w", err)
	}
	return append(blocks, of...), nil
}

// appendices has the logs of all runs.
func appendices(runs []*run, o *Options) ([]document.Block, error) {
	lines, peers := o.LogLines, 0
	if lines == 0 {
		lines = LogLinesDefault
	}
	for _, r := range runs {
		peers += len(r.peers) + 1 // and the shared file
	}
	var blocks []document.Block
	for _, r := range runs {
		of, err := r.appendix(max(1, lines/max(1, peers)))
		if err != nil {
			return nil, err
		}
		blocks = append(blocks, of...)
	}
	return blocks, nil
}

// words explains the few words that the report needs.
func words() []document.Block {
	item := func(word, text string) []document.Block {
		return []document.Block{document.Paragraph{Text: say(bold(word), " ", text)}}
	}
	return []document.Block{
		document.Heading{Level: 1, ID: "words", Text: say("The few words that it takes")},
		document.Paragraph{Text: say("Some programs on different machines share something that only one may use at a time. They have no memory in common, no clock in common, and nobody above them: all they can do is send each other messages, which take a while. What follows shows them agree, and proves it from what they logged.")},
		document.List{Items: [][]document.Block{
			item("Peer:", "one of the programs; all run the same code."),
			item("Lock, critical section:", "what only one may have at a time, and what is done by who has it. A peer asks for the lock (request), enters, and leaves (exit)."),
			item("Happened before:", "an event happened before another if it was earlier at the same peer, or was the sending of a message and the other its receipt, or if a chain of such steps leads from one to the other. Nothing else about the order of events at different peers can be known for certain."),
			item("Clock, Lamport time:", "each peer counts its steps, and when it receives a message with a larger number it goes on from there. So if one event happened before another, its number is smaller."),
			item("Stamp:", "the Lamport time of a request and the name of its peer, such as 5.b. Stamps of different requests are never equal, so requests have an order that all peers agree on."),
			item("Token (fencing token):", "a number that comes with each entry, larger than those of all entries before. Whatever the lock protects can refuse a number smaller than one that it has seen."),
			item("T:", "the time that a message takes."),
		}},
	}
}
