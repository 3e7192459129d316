package report

import (
	"fmt"
	"regexp"

	"github.com/conchlock/conch/internal/report/document"
)

// messages lists the kinds of messages of the run, each with its first example.
func (r *run) messages() []document.Block {
	blocks := []document.Block{document.Heading{Level: 2, ID: r.id("messages"), Text: say("Its messages, with the first example of each in this run")}}
	if len(r.lock.kinds) == 0 {
		text := "No message about the lock was sent: with one peer there is nobody to ask."
		if len(r.peers) > 1 {
			text = "No message about the lock was sent."
		}
		return append(blocks, document.Paragraph{Text: say(text)})
	}
	t := document.Table{
		Head:    []document.Text{say("message"), say("how many"), say("first"), say("sent because"), say("sent, received")},
		Columns: []document.Column{document.Left, document.Right},
		ID:      r.id("kinds"), Caption: say("Messages about lock ", quote(r.lock.name), ". What keeps a lease alive, or tells peers what they need not know at once, is upkeep."),
	}
	for _, k := range r.lock.kinds {
		many := fmt.Sprint(k.count)
		switch {
		case k.upkeep == k.count:
			many += ", upkeep"
		case k.upkeep > 0:
			many += fmt.Sprintf(", %d upkeep", k.upkeep)
		}
		where := say(r.line(k.sent, true))
		if k.handed.Line > 0 {
			where = append(where, say(", ", r.line(k.handed, false))...)
		}
		t.Rows = append(t.Rows, []document.Text{say(mono(k.name)), say(many), say(fmt.Sprintf("%s to %s", k.from, k.to)), say(k.reason), where})
	}
	return append(blocks, t)
}

// asides are the parts of a chapter that a report leaves out.
var asides = regexp.MustCompile(`(?s)<!-- aside:.*?<!-- end of aside -->\n`)

// chapter is what there is to say about an algorithm, from its chapter in the
// documentation.
func chapter(a *Algorithm, o *Options) ([]document.Block, error) {
	return document.Markdown(asides.ReplaceAll(a.Chapter, nil), document.MarkdownOptions{
		Name: a.Name + ".md", Level: 1, Prefix: "algorithm-" + a.Name + "-", Link: o.link("docs/algorithms/"),
	})
}
