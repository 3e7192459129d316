package sim

import (
	"fmt"
	"strings"
	"time"

	"github.com/conchlock/conch/algo"
)

// Describe writes a message as people read it: reply(stamp 4.c).
func Describe(m algo.Message) string {
	fields := m.AppendFields(nil)
	if len(fields) == 0 {
		return m.Kind()
	}
	said := make([]string, len(fields))
	for i, f := range fields {
		said[i] = f.Key + " " + f.Value
	}
	return m.Kind() + "(" + strings.Join(said, ", ") + ")"
}

// Tell writes what a step did: who did what at which Lamport time, and below it
// what followed and why.
func (n *Network) Tell(e Event) string {
	var b strings.Builder
	s := e.Step
	who, other := n.names[s.Peer], algo.PeerName("")
	if s.Op.pairwise() {
		other = n.names[s.Other]
	}
	of := n.ofLock(e.Input.Lock)
	switch s.Op {
	case Request:
		fmt.Fprintf(&b, "%d %s wants the section%s\n", e.Input.Time, who, of)
	case Cancel:
		fmt.Fprintf(&b, "%d %s gives up its request%s\n", e.Input.Time, who, strings.Replace(of, "of", "for", 1))
	case Release:
		fmt.Fprintf(&b, "%d %s leaves the section%s\n", e.Input.Time, who, of)
	case Deliver:
		fmt.Fprintf(&b, "%d %s receives %s%s from %s\n", e.Input.Time, other, Describe(e.Input.Message), of, who)
	case Contact:
		fmt.Fprintf(&b, "%d %s has contact with incarnation %d of %s", e.Input.Time, who, e.Input.Incarnation, other)
		if e.Input.KnewMe {
			fmt.Fprintf(&b, ", which has known an earlier %s", who)
		}
		b.WriteByte('\n')
	case Replace:
		n.tellReplace(&b, e)
		return b.String()
	case Restart, Wipe:
		p := n.peers[s.Peer]
		fmt.Fprintf(&b, "%d %s starts again, as incarnation %d", p.clock.Now(), who, p.incarnation)
		if s.Op == Wipe {
			b.WriteString(", on an empty disk")
		}
		b.WriteByte('\n')
	case Down, Up:
		fmt.Fprintf(&b, "%d %s believes that its link to %s is %s\n", e.Input.Time, who, other, s.Op)
	case Leave:
		fmt.Fprintf(&b, "%d %s takes %s for gone\n", e.Input.Time, who, other)
	case Wake:
		fmt.Fprintf(&b, "%d %s looks at its clock: %v\n", e.Input.Time, who, time.Duration(e.Input.Now))
	case Pass:
		fmt.Fprintf(&b, "%v pass\n", time.Duration(s.Time))
	case Lose:
		fmt.Fprintf(&b, "the link between %s and %s breaks\n", who, other)
	}
	for _, o := range e.Outputs {
		n.tellOutput(&b, o)
	}
	return b.String()
}

// tellReplace writes what a restart in good order did: what was given up, the
// stop, and the start. What is told of a peer's clock and number is of now.
func (n *Network) tellReplace(b *strings.Builder, e Event) {
	p := n.peers[e.Step.Peer]
	for _, part := range e.parts {
		if part.Step.Op != Replace {
			b.WriteString(n.Tell(part))
			continue
		}
		fmt.Fprintf(b, "%d %s stops in good order\n", part.Input.Time, p.name)
		for _, o := range part.Outputs {
			n.tellOutput(b, o)
		}
		if e.stop == nil {
			return // something went wrong
		}
		fmt.Fprintf(b, "%d %s starts again, as incarnation %d, ", p.clock.Now(), p.name, p.incarnation)
		switch {
		case !e.stop.all:
			b.WriteString("as after a crash: it does not know all that binds it\n")
		case len(e.stop.promises) == 0:
			b.WriteString("bound by nothing\n")
		default:
			fmt.Fprintf(b, "bound by %s\n", n.describePromises(e.stop.promises))
		}
	}
}

// describePromises writes promises as people read them.
func (n *Network) describePromises(list []algo.Promise) string {
	said := make([]string, len(list))
	for i, p := range list {
		said[i] = fmt.Sprintf("ballot %d for %v%s until %v", p.Ballot, p.Term, n.ofLock(p.Lock), time.Duration(p.Expiry))
	}
	return strings.Join(said, " and ")
}

func (n *Network) tellOutput(b *strings.Builder, o algo.Output) {
	of := n.ofLock(o.Lock)
	switch o.Kind {
	case algo.Send:
		fmt.Fprintf(b, "    sends %s%s to %s: %s\n", Describe(o.Message), of, o.To, o.Why)
	case algo.Enter:
		fmt.Fprintf(b, "    enters%s with token %d: %s\n", strings.Replace(of, " of ", " ", 1), o.Token, o.Why)
	case algo.Extend:
		fmt.Fprintf(b, "    may stay%s until %v: %s\n", strings.Replace(of, " of ", " in ", 1), time.Duration(o.Deadline), o.Why)
	case algo.Lost:
		fmt.Fprintf(b, "    loses the section%s: %s\n", of, o.Why)
	case algo.Floor:
		fmt.Fprintf(b, "    writes the floor %d\n", o.Token)
	case algo.Note:
		fmt.Fprintf(b, "    %s\n", o.Why)
	}
}

// ofLock names the lock, where there are several.
func (n *Network) ofLock(lock string) string {
	if lock == "" || len(n.locks) == 1 {
		return ""
	}
	return " of " + lock
}

// Status says where everybody stands and what is on its way.
func (n *Network) Status() string {
	var b strings.Builder
	for i, name := range n.names {
		for l, lock := range n.locks {
			if len(n.locks) > 1 {
				fmt.Fprintf(&b, "%s: ", lock)
			}
			fmt.Fprintf(&b, "%s %s\n", name, n.standing(i, l))
		}
	}
	for i, from := range n.names {
		for j, to := range n.names {
			if i == j {
				continue
			}
			p, back := n.pair(i, j), n.pair(j, i)
			if p.link != p.now {
				fmt.Fprintf(&b, "%s has yet to learn of %s\n", from, to)
			}
			for _, k := range p.queue {
				late := ""
				if k.link != back.link {
					late = ", when they have contact"
				}
				fmt.Fprintf(&b, "%s -> %s %s%s%s\n", from, to, Describe(k.message), n.ofLock(k.lock), late)
			}
		}
	}
	return b.String()
}

func (n *Network) standing(i, l int) string {
	switch n.peers[i].phase[l] {
	case waiting:
		return "waits for " + join(n.peers[i].process.WaitsFor(n.locks[l]))
	case inside:
		return "is inside"
	}
	return "wants nothing"
}
