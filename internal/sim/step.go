package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/conchlock/conch/algo"
)

// Op is a kind of step.
type Op uint8

// The steps of a network.
const (
	Request Op = iota + 1 // Peer wants Lock
	Cancel                // Peer gives up its request for Lock
	Release               // Peer leaves Lock
	Deliver               // the oldest message from Peer reaches Other
	Contact               // Peer learns of Other's present incarnation, on a new link
	Restart               // Peer dies and comes back
	Lose                  // the link between Peer and Other ends, with what is on it
	Wipe                  // Peer dies and comes back with an empty disk
	Replace               // Peer stops in good order and comes back
	Down                  // Peer believes that the link to Other is down
	Up                    // Peer sees that it is not
	Leave                 // Peer takes Other, which has no vote, for gone; in an open network
	Wake                  // Peer sees that time has passed
	Pass                  // time passes
)

var opNames = [...]string{Request: "request", Cancel: "cancel", Release: "release", Deliver: "deliver",
	Contact: "contact", Restart: "restart", Lose: "lose", Wipe: "wipe", Replace: "replace",
	Down: "down", Up: "up", Leave: "leave", Wake: "wake", Pass: "pass"}

func (o Op) String() string { return opNames[o] }

// Step is one thing that can happen. Peers and locks are indices.
type Step struct {
	Op    Op
	Peer  uint8
	Other uint8         // Deliver, Contact, Lose, Down, Up, Leave
	Lock  uint8         // Request, Cancel, Release
	Time  algo.Duration // Pass
}

// local says that the step is about a lock at one peer; pairwise, that it is
// about two peers.
func (o Op) local() bool { return o == Request || o == Cancel || o == Release }
func (o Op) pairwise() bool {
	return o == Deliver || o == Contact || o == Lose || o == Down || o == Up || o == Leave
}

// Format writes a step as a line of a scenario.
func (n *Network) Format(s Step) string {
	if s.Op == Pass {
		return "pass " + time.Duration(s.Time).String()
	}
	line := s.Op.String() + " " + string(n.names[s.Peer])
	if s.Op.pairwise() {
		line += " " + string(n.names[s.Other])
	}
	if s.Op.local() && len(n.locks) > 1 {
		line += " " + n.locks[s.Lock]
	}
	return line
}

// Enabled appends every step that is possible now, in a fixed order.
func (n *Network) Enabled(dst []Step) []Step {
	for i := range n.peers {
		p := uint8(i)
		for l := range n.locks {
			k := uint8(l)
			switch n.peers[i].phase[l] {
			case idle:
				dst = append(dst, Step{Op: Request, Peer: p, Lock: k})
			case waiting:
				dst = append(dst, Step{Op: Cancel, Peer: p, Lock: k})
			case inside:
				dst = append(dst, Step{Op: Release, Peer: p, Lock: k})
			}
		}
		dst = append(dst, Step{Op: Restart, Peer: p})
		if n.TTL > 0 {
			dst = append(dst, Step{Op: Wipe, Peer: p})
			if n.keeps(i) {
				dst = append(dst, Step{Op: Replace, Peer: p})
			}
			if n.due(i) {
				dst = append(dst, Step{Op: Wake, Peer: p})
			}
		}
		for j := range n.peers {
			for _, op := range [...]Op{Contact, Deliver, Lose, Down, Up, Leave} {
				if s := (Step{Op: op, Peer: p, Other: uint8(j)}); n.refusePair(s) == "" {
					dst = append(dst, s)
				}
			}
		}
	}
	if n.TTL > 0 {
		dst = append(dst, Step{Op: Pass, Time: n.Tick})
	}
	return dst
}

// due says that it is time for a peer to see that time has passed.
func (n *Network) due(i int) bool { return n.peers[i].process.Wake() <= n.now(i) }

// Refuse says why a step is not possible now; nil if it is.
func (n *Network) Refuse(s Step) error {
	if reason := n.refuse(s); reason != "" {
		return fmt.Errorf("%s: %s", n.Format(s), reason)
	}
	return nil
}

func (n *Network) refuse(s Step) string {
	if s.Op.pairwise() {
		return n.refusePair(s)
	}
	at := n.peers[s.Peer].phase[s.Lock]
	switch {
	case s.Op == Wake && !n.due(int(s.Peer)):
		return "it waits for no time that is past"
	case s.Op == Replace && !n.keeps(int(s.Peer)):
		return "it keeps no promises, and starts as after a crash in any case: write restart"
	case s.Op == Pass && s.Time <= 0:
		return "time does not go back"
	case s.Op == Request && at == waiting:
		return "it waits already"
	case s.Op == Request && at == inside:
		return "it is inside"
	case s.Op == Cancel && at != waiting:
		return "it waits for nothing"
	case s.Op == Release && at != inside:
		return "it is not inside"
	}
	return ""
}

func (n *Network) refusePair(s Step) string {
	if s.Peer == s.Other {
		return "it takes two"
	}
	p, back := n.pair(int(s.Peer), int(s.Other)), n.pair(int(s.Other), int(s.Peer))
	switch {
	case s.Op == Contact && p.link == p.now:
		return "nothing new to learn"
	case (s.Op == Down || s.Op == Up) && (n.TTL == 0 || p.link == 0 || p.down == (s.Op == Down)):
		return "nothing new to learn"
	case s.Op == Leave && (!n.Open || n.votes(int(s.Other))):
		return "it is there for good"
	case s.Op == Leave && p.link == 0:
		return "it is not known there"
	case s.Op == Deliver && len(p.queue) == 0:
		return "nothing is on its way"
	case s.Op == Deliver && p.queue[0].link != back.link:
		return "the receiver has had no contact with this incarnation, or not since messages were lost"
	case s.Op == Lose && p.link != p.now && back.link != back.now:
		return "neither knows of a link between them"
	case s.Op == Lose && s.Peer > s.Other:
		// The same as the other way round; scenarios turn it.
		return "name the peers in order"
	}
	return ""
}

// Event is what a step did. Outputs are valid until the next step.
type Event struct {
	Step    Step
	Input   algo.Input // zero for Restart, Wipe, Replace, Lose and Pass
	Outputs []algo.Output

	received *packet   // of a Deliver
	sent     []*packet // of those outputs that are sends, in order
	parts    []Event   // of a Replace, one for each input; their outputs are Outputs
	stop     *stop     // what it left; nil if it has not started again
}

// Do takes a step. The error is a rule that was broken; a step that is not
// possible panics.
func (n *Network) Do(s Step) (Event, error) {
	if reason := n.refuse(s); reason != "" {
		panic("sim: " + n.Format(s) + ": " + reason)
	}
	i, j := int(s.Peer), int(s.Other)
	in := algo.Input{Lock: n.locks[s.Lock]}
	var sent algo.Time
	switch s.Op {
	case Request:
		in.Kind = algo.Acquire
	case Cancel:
		in.Kind = algo.Cancel
	case Release:
		in.Kind = algo.Release
	case Deliver:
		p := n.pair(i, j)
		k := p.queue[0]
		p.queue = slices.Delete(p.queue, 0, 1)
		in = algo.Input{Kind: algo.Receive, Lock: k.lock, From: n.names[i], Message: k.message}
		return n.step(s, j, in, k.packet, k.time)
	case Contact:
		in, sent = n.contact(i, j)
	case Restart, Wipe:
		return Event{Step: s}, n.restart(i, s.Op == Wipe, nil)
	case Replace:
		return n.replace(s)
	case Down, Up:
		n.pair(i, j).down = s.Op == Down
		in = algo.Input{Kind: algo.Up, From: n.names[j]}
		if s.Op == Down {
			in.Kind = algo.Down
		}
	case Leave:
		in = n.leave(i, j)
	case Wake:
		in = algo.Input{Kind: algo.Tick}
	case Pass:
		n.passed += s.Time
		return Event{Step: s}, n.check()
	case Lose:
		n.cut(i, j)
		return Event{Step: s}, nil
	}
	return n.step(s, i, in, nil, sent)
}

// contact lets peer i learn of peer j on the present link. The handshake says
// the other's clock. Only its start is sure to be in it.
func (n *Network) contact(i, j int) (in algo.Input, sent algo.Time) {
	p, back := n.pair(i, j), n.pair(j, i)
	p.link, p.down = p.now, false
	back.keep(p.link)
	other := n.peers[j]
	if p.first == 0 {
		p.first = other.incarnation
	}
	return algo.Input{
		Kind:        algo.Contact,
		From:        n.names[j],
		Incarnation: other.incarnation,
		KnewMe:      back.first != 0 && back.first < n.peers[i].incarnation,
	}, other.born
}

// step gives an input to a peer and checks what comes of it.
func (n *Network) step(s Step, i int, in algo.Input, k *packet, sent algo.Time) (Event, error) {
	r := &n.result
	in.Now = n.now(i)
	if n.memo == nil {
		var twin algo.Process
		if n.Twins {
			twin = n.peers[i].process.Clone()
		}
		n.peers[i].step(in, sent, n.locks, twin, r)
	} else {
		r = n.memo.step(n.peers[i], in, k, sent)
		n.peers[i] = r.next
	}
	e := Event{Step: s, Input: r.input, Outputs: r.out, received: k, sent: r.packets, stop: r.stop}
	if r.err != nil {
		return e, r.err
	}
	packets := r.packets
	for _, o := range r.out {
		var err error
		switch o.Kind {
		case algo.Send:
			err = n.send(i, o.To, packets[0])
			packets = packets[1:]
		case algo.Enter:
			err = n.enter(i, slices.Index(n.locks, o.Lock), o.Token)
		}
		if err != nil {
			return e, err
		}
	}
	return e, n.check()
}

// check checks what holds between peers.
func (n *Network) check() error {
	if n.Invariant == nil {
		return nil
	}
	n.views = n.views[:0]
	for i, p := range n.peers {
		n.views = append(n.views, View{Name: p.name, Process: p.process, Now: n.now(i)})
	}
	return n.Invariant(n.views)
}

// enter checks an entry: nobody else is inside with a lease that still runs by
// its own clock, and the token is above all earlier ones.
func (n *Network) enter(i, lock int, token algo.Token) error {
	for j, p := range n.peers {
		if j != i && p.phase[lock] == inside && n.now(j) < p.deadline[lock] {
			return fmt.Errorf("%s enters while %s is inside", n.names[i], p.name)
		}
	}
	if token <= n.tokens[lock] {
		return fmt.Errorf("%s enters with token %d after token %d", n.names[i], token, n.tokens[lock])
	}
	n.tokens[lock] = token
	return nil
}
