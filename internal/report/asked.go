package report

import (
	"fmt"

	"github.com/conchlock/conch/internal/check"
	"github.com/conchlock/conch/internal/report/document"
)

// asked lists what the assignment asks for and, for each, how it is met and
// where that can be seen.
func asked(runs []*run, o *Options) []document.Block {
	t := document.Table{
		Head: []document.Text{say("what is asked"), say("how it is met"), say("where it is shown")}, ID: "asked-table",
		Caption: say("References such as ", mono("a:17"), " are lines of the logs in the appendix; with more than one run, the log that is meant is that of the run named before."),
	}
	row := func(name, what string, how document.Text, where func(r *run) document.Text) {
		t.Rows = append(t.Rows, []document.Text{say(bold(name), " ", what), how, each(runs, where)})
	}
	row("R1", "A set of peer nodes and a critical section. Any node may want it at any time.",
		say("Peers are processes of the same program. None has a special part, there is no server. Each asks at moments of its own."),
		func(r *run) document.Text {
			return say(to(r.id("peers"), "the peers"), ", and ", r.nth(r.requests(), "requests at "))
		})
	row("R2", "Safety: at most one node is in it at a time.",
		say("The algorithm's rules, and a checker that reads the logs of all peers and knows nothing of the algorithm."),
		func(r *run) document.Text {
			return say(to(r.id("rules"), "the verdict"), ": ", r.rule("mutual exclusion"), "; ", r.allEntries())
		})
	row("R3", "Liveness: every node that asks gets it, at some point.",
		say("Requests are ordered, or a token goes round; the checker looks for requests that nobody answered."),
		func(r *run) document.Text { return say(r.answered(), "; ", r.allEntries()) })
	row("T1", "Go.", say("Go, one module: ", mono(o.Module), "."), nil)
	row("T2", "A README that says how to start it.", say(mono("README.md"), " in ", o.repository(), ": ", mono("go run ./cmd/conch demo"), " and ", mono("go test ./..."), "."), nil)
	row("T3", "gRPC for all messages between nodes.",
		say("Each pair of peers has two gRPC streams, one opened by each; the schema is ", mono("internal/transport/wire/peers.proto"), "."),
		func(r *run) document.Text { return r.nth(r.linkUps(), "streams begin at ") })
	row("T4", "Nodes find each other: from a file of addresses, from the command line, or through Serf.",
		discovered(), nil)
	row("T5", "It is shown with three nodes and more.", say("With real processes on one machine."),
		func(r *run) document.Text { return say(to(r.id("setting"), count(len(r.peers), "peer"))) })
	row("T6", "The logs show the sequence of messages that leads to an entry.",
		say("Every message is logged where it is sent and where it is received, with its Lamport time and the reason; a program puts the logs into causal order."),
		func(r *run) document.Text { return r.sequence() })
	row("H", "One report as a PDF: discussion, link to the repository, the logs in its appendix.",
		say("This document, made from the logs by ", mono("conch report"), ". The repository: ", o.repository(), "."),
		func(r *run) document.Text { return say(to(r.id("logs"), "the logs")) })
	return []document.Block{document.Heading{Level: 1, ID: "asked", Text: say("What was asked, and where it is shown")}, t}
}

// each says the same of every run.
func each(runs []*run, where func(r *run) document.Text) document.Text {
	if where == nil {
		return nil
	}
	var t document.Text
	for i, r := range runs {
		if i > 0 {
			t = append(t, say(". ")...)
		}
		if len(runs) > 1 {
			t = append(t, say(fmt.Sprintf("Run %d: ", r.number))...)
		}
		t = append(t, where(r)...)
	}
	return t
}

// nth refers to the first few lines of a list.
func (r *run) nth(places []string, intro string) document.Text {
	const most = 3
	if len(places) == 0 {
		return say("nothing in the logs of this run")
	}
	t := say(intro, r.places(places[:min(len(places), most)], true))
	if len(places) > most {
		t = append(t, say(" and so on")...)
	}
	return t
}

// requests are the lines of the first request of each peer.
func (r *run) requests() []string {
	var list []string
	if r.lock == nil {
		return nil
	}
	seen := map[string]bool{}
	for _, e := range r.lock.entries {
		if e.asked > 0 && !seen[string(e.peer)] {
			seen[string(e.peer)] = true
			list = append(list, e.askedPos.String())
		}
	}
	return list
}

// linkUps are the lines in which peers first came into contact.
func (r *run) linkUps() []string {
	var list []string
	for _, pos := range r.contacts {
		list = append(list, pos.String())
	}
	return list
}

// rule is the answer to one of the checker's questions.
func (r *run) rule(name string) document.Span {
	for _, x := range r.verdict.Rules {
		if x.Name == name {
			return bold(map[check.Verdict]string{check.True: "holds", check.False: "BROKEN", check.Unknown: "unknown"}[x.Verdict])
		}
	}
	return bold("unknown")
}

// allEntries refers to the table of entries.
func (r *run) allEntries() document.Span {
	if r.lock == nil || len(r.lock.entries) == 0 {
		return document.Span{Text: "nobody entered"}
	}
	return to(r.id("entries"), "all entries")
}

// answered says what became of the requests.
func (r *run) answered() string {
	t := &r.verdict.Totals
	text := fmt.Sprintf("%s, %d of them still waiting when the logs end", count(t.Entries+t.Cancelled+t.RequestsDied+t.Open, "request"), t.Open)
	if t.Cancelled+t.RequestsDied > 0 {
		text += fmt.Sprintf(" (%d given up, %d ended with their peers)", t.Cancelled, t.RequestsDied)
	}
	return text
}

// sequence refers to the entry that is told in full.
func (r *run) sequence() document.Text {
	if r.shown == nil {
		return say("nobody entered in this run")
	}
	return say(to(r.id("example"), fmt.Sprintf("entry %d, message by message", r.shown.number)), ", from ", r.line(r.shown.askedPos, true), " to ", r.line(r.shown.pos, true))
}

// discovered says how peers find each other.
func discovered() document.Text {
	return say("From a file of addresses (", mono("--peers-file FILE"), "), from flags (", mono("--peer a=HOST:PORT"), "), and through Serf (",
		mono("--join HOST:PORT --voters a,b,c"), "): the voters are named, and found by gossip; others come and go.")
}
